"""What can happen to a change stream under way: the server goes, the link spoils it, the table changes, the sink stands still."""
import contextlib
import functools
import itertools
import json
import os
import re
import select
import struct
import subprocess
import threading

from faults_support import (RUNS, Saw, admin, alive, all_came_once, all_there, config, daemon, each_once, ended, fault, faults, ids, lines,
                            metric, once, page, pipeline, proc, readable, wait_for, wait_ids)
from support.pg import Postgres
from support.pgoutput import lsn
from support.proc import check, check_equal
from support.proxy import Proxy

SCHEMA = (proc.ROOT / "schema/postgres/outbox.sql").read_text()
SHORT_TIMEOUT = "6s"  # wal_sender_timeout where it is what is tested: a third of it is longer than a slow relay needs to answer

_number = itertools.count()


@functools.lru_cache(None)
def server():
    pg = Postgres(settings={"fsync": "off", "max_connections": 60, "max_wal_senders": 60, "max_replication_slots": 60}, name="faults-cdc")
    pg.start()
    pg.createdb("pattern")
    pg.sql(SCHEMA, dbname="pattern")
    return pg


class Shop:
    """A database with a published outbox and a slot that begins before its first row."""

    def __init__(self, sql="", pg=None, table="outbox", publish="insert, update, delete, truncate"):
        self.pg, self.table = pg or server(), table
        self.name = f"cdc{next(_number)}"
        if pg:
            pg.createdb(self.name)
            self.sql(SCHEMA)
        else:
            self.pg.sql(f"create database {self.name} template pattern")
        if sql:
            self.sql(sql)
        self.sql(f"create publication pub for table {table} with (publish = '{publish}')")
        self.ids = []

    def sql(self, text, *params):
        return self.pg.sql(text, *params, dbname=self.name)

    def value(self, text, *params):
        return self.pg.value(text, *params, dbname=self.name)

    def insert(self, n=1, payload='{"n": 1}', key="k"):
        fresh = [r[0] for r in self.sql(f"insert into {self.table} (aggregatetype, aggregateid, type, payload) "
                                        f"select 'order', %s, 'T', %s from generate_series(1, {n}) returning id::text", key, payload)]
        self.ids += fresh
        return fresh

    def source(self, port=None, **more):
        """snapshot and as can be given; what the slot and the publication are called is ours. Its time limits are for a server that is
        gone: one that is only slow stays below them."""
        return {"type": "cdc_postgres", "url": self.pg.url(self.name, port=port), "slot": self.name, "publication": "pub", "as": "outbox",
                "table": self.table, "connect_timeout": "30s", "read_timeout": "60s", "heartbeat_interval": "500ms", **more}

    def conf(self, d, sink=None, source=None, **top):
        """A configuration file whose relay has run once, so that the slot is there."""
        path = config(d, pipeline(source or self.source(), sink), **top)
        check_equal(once(path).poll(), 0, "exit code of the run that makes the slot")
        return path

    @property
    def confirmed(self):
        return self.slot("confirmed_flush_lsn::text")

    @property
    def wal_end(self):
        return lsn(self.value("select pg_current_wal_insert_lsn()::text"))

    def insert_large(self, n):
        """One transaction of many rows, more than may be in flight; where its commit record is at the earliest."""
        with contextlib.closing(self.pg.connect(self.name)) as c, c.cursor() as cur:
            cur.execute("insert into outbox (aggregatetype, aggregateid, type, payload) select 'order', 'k', 'T', to_jsonb(repeat('x', 300)) "
                        f"from generate_series(1, {n}) returning id::text")
            self.ids += [r[0] for r in cur.fetchall()]
            cur.execute("select pg_current_wal_insert_lsn()::text")
            end = lsn(cur.fetchone()[0])
            c.commit()
        return end

    @property
    def sender(self):
        """The pid of the walsender that streams to the relay, None without one."""
        return self.slot("active_pid")

    def slot(self, what):
        return self.value(f"select {what} from pg_replication_slots where slot_name = %s", self.name)

    def wait_streaming(self):
        wait_for(lambda: self.sender, 10, "the relay to stream")

    def wait_confirmed(self):
        """Until the server is told all that is committed now."""
        end = self.wal_end
        wait_for(lambda: lsn(self.confirmed) >= end, 10, "what is committed to be confirmed")

    def wait_asked(self, what):
        """Until the relay has asked, beside its stream, for what this part of an SQL text names, and has the answer: then it asks the next."""
        since = self.value("select clock_timestamp()")
        for text in (what, ""):
            since = wait_for(lambda t=text, s=since: self.value(
                "select max(query_start) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
                " and application_name like 'commitrelay%%' and query like %s and query_start > %s", f"%{t}%", s),
                20, f"the relay to ask for {what}, and then for something else")

    def wait_look(self):
        """Until the relay has looked at the state of its slot, which it does every second; two heartbeats would have been sent by then."""
        self.wait_asked("max_slot_wal_keep_size")

    @property
    def heard(self):
        """When the server heard from the relay's stream last."""
        return self.value("select reply_time from pg_stat_replication where pid = %s", self.sender)


class Piped:
    """A relay whose standard output is a pipe: full, nothing goes on, until it is read."""

    def __init__(self, d, path):
        self.log_path = d / "log"
        self._read, self._write = os.pipe()
        with open(self.log_path, "wb") as log:
            self.p = subprocess.Popen([proc.BIN, "run", "-c", str(path)], stdin=subprocess.DEVNULL, stdout=self._write, stderr=log,
                                      start_new_session=True)
        self.text, self._thread = [], None

    @property
    def log(self):
        return readable(self.log_path.read_text())

    def wait_full(self):
        """Until nothing more can be written, by the same question that a writer asks."""
        wait_for(lambda: not select.select([], [self._write], [], 0)[1], 10, f"the pipe to be full\n{self.log[-800:]}")

    def sip(self):
        """Reads a piece of what is in the pipe."""
        self.text.append(os.read(self._read, 1 << 16))

    def flow(self):
        """From now on the pipe is read to its end."""
        self._leave_writing()
        self._thread = threading.Thread(target=self._drain, daemon=True)
        self._thread.start()

    def _leave_writing(self):
        """The end comes once nobody can write."""
        if self._write is not None:
            os.close(self._write)
            self._write = None

    def _drain(self):
        while piece := os.read(self._read, 1 << 16):
            self.text.append(piece)

    @property
    def ids(self):
        return [json.loads(x)["id"] for x in b"".join(self.text).split(b"\n")[:-1]]

    def end(self):
        self.p.terminate()
        wait_for(lambda: self.p.poll() is not None, 20, f"the relay to end\n{self.log[-1500:]}")
        self._thread.join()
        check_equal(self.p.returncode, 0, f"exit code after SIGTERM\n{self.log[-1500:]}")
        return Saw(RUNS, self.log)

    def kill(self):
        """kill -9; what it had written before is read."""
        self.p.kill()
        self.p.wait()
        self._leave_writing()
        self._drain()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.p.poll() is None:
            self.p.kill()
            self.p.wait()
        self._leave_writing()


def _settled(d, shop, **how):
    """A daemon that has relayed three events."""
    r = daemon(shop.conf(d, **how))
    shop.insert(3)
    wait_ids(lambda: ids(r), shop.ids)
    return r


# --- 24-27: the table changes under the stream ---

@faults({"column": ("alter table outbox rename payload to body", {}),
         "named_headers": ("alter table outbox drop column headers", {"columns": {"headers": "headers"}}),
         "table": ("drop table outbox; create table outbo (id uuid primary key)", {})})
def cdc_start_refused(d, how):
    sql, more = how
    shop = Shop(sql, table="outbo" if "outbo (" in sql else "outbox")
    r = once(config(d, pipeline(shop.source(**{"table": "outbox", **more}))))
    return ended(r)


@faults({"renamed": ("alter table outbox rename payload to body", {"payload": "body"}),
         "dropped": ("alter table outbox add column who text; alter table outbox drop column aggregateid", {"aggregateid": "who"}),
         "retyped": ("alter table outbox alter payload type text", {})})
def cdc_blocks(d, change):
    """A mapped column goes or changes: it waits for the operator and moves nothing; told so by its file or a restart it goes on where it was."""
    sql, columns = change
    shop, address = Shop(), admin()
    r = _settled(d, shop, admin={"listen": address})
    shop.sql(sql)
    into = ", ".join(["aggregatetype", "type", columns.get("aggregateid", "aggregateid"), columns.get("payload", "payload")])
    row = shop.wal_end
    shop.ids += [x[0] for x in shop.sql(f"insert into outbox ({into}) values ('order', 'T', 'k', '{{}}') returning id::text")]
    r.wait_log("state blocked")
    wait_for(lambda: page(address, "readyz")[0] == 503, 5, "readiness to go")
    shop.wait_look()
    check_equal(len(ids(r)), 3, "what was sent")
    saw = alive(r)
    check(lsn(shop.confirmed) <= row, "what is confirmed while blocked")
    again = once(config(d, pipeline(shop.source(columns=columns))))
    check_equal(again.poll(), 0, f"exit code with the new name: {again.log}")
    each_once(ids(r) + ids(again), shop.ids)
    return saw


RECREATE = "drop table outbox;" + SCHEMA + "; alter publication pub add table outbox"


@faults({"add": "alter table outbox add column note text default 'x'",
         "add_first": "begin; alter table outbox add column note text; update outbox set note = 'x'; commit",
         "drop_unmapped": "alter table outbox drop column xid",
         "rename_unmapped": "alter table outbox rename xid to tx",
         "aggregateid_type": "alter table outbox alter aggregateid type varchar(80)",
         "rename_table_and_back": "alter table outbox rename to gone; alter table gone rename to outbox",
         "recreate": RECREATE,
         "vacuum_full": "vacuum full outbox",
         "truncate": "truncate outbox restart identity cascade",
         "delete": "delete from outbox",
         "update": "update outbox set type = 'U'"})
def cdc_goes_on(d, sql):
    """Relaying goes on, and none of this is an event."""
    shop = Shop()
    r = _settled(d, shop)
    shop.sql(sql)
    shop.insert(3)
    wait_ids(lambda: ids(r), shop.ids)
    shop.insert(1)
    return all_came_once(r, shop.ids)


# --- 28, 29: the server goes ---

def _own_server():
    """It waits without an end for a relay that does not let it go."""
    return Postgres(settings={"fsync": "off", "wal_sender_timeout": "0"}, name="going").start()


def _arrived(r):
    return r.stdout_path.read_bytes().count(b"\n")


def _in_the_middle(shop, r, n, end):
    """Ends the server while it sends a transaction of n rows, or more where it is too fast for that, and starts it again."""
    whole = True
    while whole:
        known = _arrived(r)
        shop.insert(n, payload=json.dumps("x" * 200))
        wait_for(lambda k=known: _arrived(r) > k, 10, "the first of them")
        whole = _arrived(r) >= known + n
        end()
        shop.pg.start()
        wait_ids(lambda: ids(r), shop.ids, 30)
        n *= 2


@fault
def shutdown_idle(d):
    """What it has written at the end is confirmed, too: the server waits for that. Nothing comes twice."""
    with _own_server() as pg:
        shop = Shop(pg=pg)
        r = _settled(d, shop)
        for how in ("at once", "after other writing"):
            if how != "at once":
                pg.sql("create table noise as select generate_series(1, 50000)")
            known = len(r.log)
            pg.stop()
            wait_for(lambda k=known: "state retrying" in r.log[k:], 20, "it to notice")
            pg.start()
            shop.insert(3)
            wait_ids(lambda: ids(r), shop.ids)
        return all_came_once(r, shop.ids)


@fault
def shutdown_busy(d):
    """Under load, and with a transaction in the middle of being sent."""
    with _own_server() as pg:
        shop = Shop(pg=pg)
        r = _settled(d, shop)
        for n in (2000, 1):
            shop.insert(n, payload=json.dumps("x" * 200))
            pg.stop()
            pg.start()
            wait_ids(lambda: ids(r), shop.ids, 30)
        _in_the_middle(shop, r, 30000, pg.stop)
        saw = alive(r)
    all_there(ids(r), shop.ids)
    return saw


@fault
def shutdown_dead_sink(d):
    """The sink takes nothing and much is waiting: the server is let go all the same, and nothing is lost."""
    with _own_server() as pg:
        shop = Shop(pg=pg)
        with Piped(d, shop.conf(d)) as r:
            commit = shop.insert_large(20000)
            r.wait_full()
            pg.stop()
            pg.start()
            shop.insert(3)
            check(lsn(shop.confirmed) <= commit, "a transaction is confirmed that was not delivered")
            r.flow()
            wait_ids(lambda: r.ids, shop.ids, 30)
            saw = r.end()
    all_there(r.ids, shop.ids)
    return saw


@faults({"immediate": lambda pg: pg.stop("immediate"), "crash": lambda pg: pg.crash()})
def server_crash(d, crash):
    """The slot may fall back to its last checkpoint; what is sent again is bounded by our own position, not by that."""
    with _own_server() as pg:
        shop = Shop(pg=pg)
        r = _settled(d, shop)
        shop.insert(5000)
        wait_ids(lambda: ids(r), shop.ids)
        pg.sql("checkpoint")
        crashes = []

        def end():
            crashes.append(crash(pg))
        for n in (5000, 20000):
            _in_the_middle(shop, r, n, end)
        saw = alive(r)
    all_there(ids(r), shop.ids)
    twice = len(ids(r)) - len(shop.ids)
    check(twice <= len(crashes) * 10000, f"{twice} came twice after {len(crashes)} crashes, at most a window may each time")
    return saw


# --- 32, 33: large and long transactions ---

def _heard_often(shop, sender, meanwhile=lambda: None):
    """The same walsender goes on longer than wal_sender_timeout: the relay reports at each third of it, and does so four times more."""
    heard = set()

    def often():
        meanwhile()
        check_equal(shop.sender, sender, "the walsender: it was never disconnected")
        heard.add(shop.heard)
        return len(heard) > 4
    wait_for(often, 20, "the relay to report")


@fault
def large_transaction(d):
    """Far more than it may hold, in one transaction; it stays connected, small, and in order."""
    count, address, shop = 300_000, admin(), Shop()
    shop.sql(f"alter database {shop.name} set wal_sender_timeout = '{SHORT_TIMEOUT}'")
    with Piped(d, shop.conf(d, admin={"listen": address})) as r:
        shop.wait_streaming()
        sender = shop.sender
        shop.sql("insert into outbox (aggregatetype, aggregateid, type, payload) select 'order', 'k', 'T', to_jsonb(repeat(md5(g::text), 8)) "
                 f"from generate_series(1, {count}) g")
        _heard_often(shop, sender, r.sip)
        check((metric(address, "events_delivered_total") or 0) < count, "it is under way")
        r.flow()
        wait_for(lambda: metric(address, "events_delivered_total") >= count, 60, "all of it to be delivered")
        check_equal(metric(address, "events_delivered_total"), float(count), "events delivered")
        check_equal(shop.sender, sender, "the walsender: it was never disconnected")
        peak = proc.status_number(r.p.pid, "VmHWM") / 1024
        check(peak < 64, f"peak memory {peak:.0f} MiB")
        return r.end()


@fault
def open_transaction(d):
    """It began before the relay and ends last: everybody else's events flow, and the slot keeps what it will need."""
    shop = Shop()
    path = shop.conf(d)
    with contextlib.closing(shop.pg.connect(shop.name)) as c, c.cursor() as cur:
        cur.execute("insert into outbox (aggregatetype, aggregateid, type, payload) values ('order', 'open', 'T', '{}') returning id::text")
        late = cur.fetchone()[0]
        r = daemon(path)
        for _ in range(3):
            shop.insert(50)
            wait_ids(lambda: ids(r), shop.ids)
            shop.pg.sql("checkpoint")
        r.kill9()
        r2 = daemon(path)
        shop.insert(50)
        wait_ids(lambda: ids(r) + ids(r2), shop.ids)
        check(late not in ids(r) + ids(r2), "what is not committed was sent")
        c.commit()
    shop.ids.append(late)
    wait_ids(lambda: ids(r) + ids(r2), shop.ids)
    saw = alive(r2)
    check_equal(ids(r2)[-1], late, "the last to be committed")
    return saw


@fault
def rolled_back(d):
    """Transactions and savepoints that were rolled back, and messages of theirs, are never sent."""
    shop = Shop()
    r = _settled(d, shop, source=shop.source(messages=["outbox"]))
    body = '{"id": "%s", "aggregatetype": "order", "aggregateid": "k", "type": "T", "payload": {}}'
    with contextlib.closing(shop.pg.connect(shop.name)) as c, c.cursor() as cur:
        cur.execute("select pg_logical_emit_message(true, 'outbox', %s), pg_logical_emit_message(false, 'outbox', %s)",
                    (body % "gone-1", body % "gone-2"))
        cur.execute("insert into outbox (aggregatetype, aggregateid, type, payload) select 'order', 'k', 'T', '{}' from generate_series(1, 20)")
        c.rollback()
        cur.execute("select pg_logical_emit_message(true, 'outbox', %s)", (body % "message-1",))
        cur.execute("savepoint s")
        cur.execute("insert into outbox (aggregatetype, aggregateid, type, payload) values ('order', 'k', 'T', '{}')")
        cur.execute("select pg_logical_emit_message(true, 'outbox', %s)", (body % "gone-3",))
        cur.execute("rollback to s")
        cur.execute("select pg_logical_emit_message(true, 'outbox', %s)", (body % "message-2",))
        c.commit()
    shop.ids += ["message-1", "message-2"]
    shop.insert(3)
    wait_ids(lambda: ids(r), shop.ids)
    saw = alive(r)
    check_equal(ids(r), shop.ids, "events")
    return saw


# --- 36: a sink that stands still ---

@fault
def sink_blocked(d):
    """For longer than wal_sender_timeout nothing can be delivered: the walsender stays the same."""
    shop = Shop()
    shop.sql(f"alter database {shop.name} set wal_sender_timeout = '{SHORT_TIMEOUT}'")
    with Piped(d, shop.conf(d)) as r:
        shop.wait_streaming()
        sender, commit = shop.sender, shop.insert_large(30000)
        r.wait_full()
        _heard_often(shop, sender)
        check(lsn(shop.confirmed) <= commit, "a transaction is confirmed that was not delivered")
        r.flow()
        wait_ids(lambda: r.ids, shop.ids, 30)
        check_equal(shop.sender, sender, "the walsender")
        saw = r.end()
    each_once(r.ids, shop.ids)
    return saw


# --- 37: the link ---

@fault
def cdc_link_cut(d):
    """In the middle of messages, again and again, in order and by a reset."""
    shop = Shop()
    shop.conf(d)
    with Proxy("127.0.0.1", shop.pg.port) as proxy:
        r = daemon(config(d, pipeline(shop.source(port=proxy.port))))
        shop.wait_streaming()
        for i in range(8):
            known = proxy.accepted
            proxy.cut_after(700 + 9001 * i, "down", rst=i % 2 == 1)
            shop.insert(40, payload=json.dumps("x" * 2000))
            wait_ids(lambda: ids(r), shop.ids)
            wait_for(lambda k=known: proxy.accepted > k, 10, "it to connect again")
        saw = alive(r)
    all_there(ids(r), shop.ids)
    return saw


# One pgoutput message in a CopyData of the server: d, length, w, three numbers, then the type byte.
INSERT = re.compile(rb"(d....w.{24})I(....N..t)(....)", re.S)


def _spoil(how):
    def edit(data):
        spoilt, n = INSERT.subn(how, data, count=1)
        return spoilt if n else None
    return edit


SPOILT = {"type": rb"\1?\2\3", "length": lambda m: m[1] + b"I" + m[2] + struct.pack(">I", 0x7fffffff),
          "frame": lambda m: b"\xff" + m[0][1:], "envelope": lambda m: m[1][:5] + b"\0" + m[1][6:] + b"I" + m[2] + m[3],
          "relation": lambda m: m[1] + b"I" + b"\x7f\xff\xff\xff" + m[2][4:] + m[3]}


@faults(SPOILT)
def spoilt_once(d, how):
    """A byte that cannot be: the connection is dropped and the transaction read again."""
    shop = Shop()
    shop.conf(d)
    with Proxy("127.0.0.1", shop.pg.port) as proxy:
        r = daemon(config(d, pipeline(shop.source(port=proxy.port))))
        shop.insert(3)
        wait_ids(lambda: ids(r), shop.ids)
        done = proxy.edit(_spoil(how))
        wait_for(lambda: shop.insert(5) and done.is_set(), 10, "the byte to be spoilt")
        wait_ids(lambda: ids(r), shop.ids)
        saw = alive(r)
    all_there(ids(r), shop.ids)
    return saw


@fault
def spoilt_for_ever(d):
    """The same place cannot be read however often it is sent: it gives up, and says where."""
    shop = Shop()
    shop.conf(d)
    with Proxy("127.0.0.1", shop.pg.port) as proxy:
        r = daemon(config(d, pipeline(shop.source(port=proxy.port))))
        shop.wait_streaming()
        proxy.edit(_spoil(SPOILT["type"]), times=1000)
        shop.insert(5)
        r.wait_exit(30)
    check_equal(ids(r), [], "what was sent")
    return ended(r)


# --- 38: values the server does not send ---

WIDE = """
create table wide (id int primary key, n int, big text);
alter table wide alter big set storage external;
"""


@faults({"omit": ("default", "omit"), "placeholder": ("default", "placeholder"), "full": ("full", "placeholder")})
def unchanged_value(d, how):
    """A large value that an update leaves alone is omitted and named, or marked, or taken from the old row; never null."""
    identity, unchanged = how
    shop = Shop(WIDE + f"alter table wide replica identity {identity}", table="wide")
    source = {k: v for k, v in shop.source(unchanged_toast=unchanged, snapshot="never").items() if k not in ("as", "table")}
    path = config(d, {**pipeline(source), "encode": {"format": "flat"}})
    check_equal(once(path).poll(), 0, "exit code of the run that makes the slot")
    shop.sql("insert into wide select 1, 1, repeat('x', 100000); update wide set n = 2")
    r = once(path)
    check_equal(len(lines(r)), 2, f"changes: {r.stdout[:300]}")
    row = lines(r)[1]["payload"]
    big = row.get("big", "absent")
    want = {"omit": "absent", "placeholder": "__debezium_unavailable_value", "full": "x" * 100000}[
        "full" if identity == "full" else unchanged]
    check_equal(big, want, "the value that was not sent")
    check_equal(row.get("__unchanged"), ["big"] if want == "absent" else None, "what is named as unchanged")
    return ended(r)
