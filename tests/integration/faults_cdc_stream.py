"""What can happen to a change stream under way: the server goes, the link spoils it, the table changes, the sink stands still."""
import contextlib
import json
import re
import struct

from support import proc
from support.arrivals import all_there, each_once, ids, lines, wait_ids
from support.bad_input import alive, all_came_once, ended, fault, faults
from support.pg import Postgres
from support.pgoutput import lsn
from support.piped import Piped
from support.proc import check, check_equal, wait_for
from support.proxy import Proxy
from support.relaying import admin, config, daemon, metric, once, page, pipeline
from support.shop import StreamShop, schema

SCHEMA = schema("postgres/outbox")
SHORT_TIMEOUT = "6s"  # wal_sender_timeout where it is what is tested: a third of it is longer than a slow relay needs to answer


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
    shop = StreamShop(sql, table="outbo" if "outbo (" in sql else "outbox")
    r = once(config(d, pipeline(shop.source(**{"table": "outbox", **more}))))
    return ended(r)


@faults({"renamed": ("alter table outbox rename payload to body", {"payload": "body"}),
         "dropped": ("alter table outbox add column who text; alter table outbox drop column aggregateid", {"aggregateid": "who"}),
         "retyped": ("alter table outbox alter payload type text", {})})
def cdc_blocks(d, change):
    """A mapped column goes or changes: it waits for the operator and moves nothing; told so by its file or a restart it goes on where it was."""
    sql, columns = change
    shop, address = StreamShop(), admin()
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
    shop = StreamShop()
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
        shop = StreamShop(pg=pg)
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
        shop = StreamShop(pg=pg)
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
        shop = StreamShop(pg=pg)
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
        shop = StreamShop(pg=pg)
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
    count, address, shop = 300_000, admin(), StreamShop()
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
        for name in ("events_delivered_total", "topic_events_delivered_total"):
            check_equal(metric(address, name), float(count), f"events delivered ({name})")
        check_equal(shop.sender, sender, "the walsender: it was never disconnected")
        peak = proc.status_number(r.p.pid, "VmHWM") / 1024
        check(peak < 64, f"peak memory {peak:.0f} MiB")
        return r.end()


@fault
def open_transaction(d):
    """It began before the relay and ends last: everybody else's events flow, and the slot keeps what it will need."""
    shop = StreamShop()
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
    shop = StreamShop()
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
    shop = StreamShop()
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
    shop = StreamShop()
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
    shop = StreamShop()
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
    shop = StreamShop()
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
    shop = StreamShop(WIDE + f"alter table wide replica identity {identity}", table="wide")
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
