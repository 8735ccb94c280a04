"""What a PostgreSQL server can do to a relay of its outbox; each test has a database of its own on a server they share."""
import contextlib
import json
import os
import signal
import subprocess
import time

from support import proc
from support.arrivals import all_there, each_once, file_ids, ids, lines, wait_ids
from support.bad_input import Saw, alive, all_came_once, ended, fault, faults, looked, readable
from support.pg import Postgres
from support.proc import check, check_equal, wait_for
from support.proxy import Proxy
from support.relaying import admin, config, daemon, freeze, metric, once, page, pipeline, start
from support.shop import PostgresShop, schema

SCHEMA, STATUS = schema("postgres/outbox"), schema("postgres/status")


def _wakeups(relay):
    """How often its threads have gone to sleep so far."""
    tasks = [f"{relay.pid}/task/{t}" for t in os.listdir(f"/proc/{relay.pid}/task")]
    return sum(proc.status_number(t, "voluntary_ctxt_switches") for t in tasks)


@contextlib.contextmanager
def _rests(relay):
    """Meanwhile the relay mostly sleeps, however long it takes. A loop that never waits takes a whole processor; one that asks the server
    again and again wakes up thousands of times a second."""
    cpu, wakeups, began = relay.cpu, _wakeups(relay), time.monotonic()
    yield
    took = time.monotonic() - began
    cpu, wakeups = relay.cpu - cpu, _wakeups(relay) - wakeups
    check(cpu < .5 * took, f"it took {cpu:.2f} s of a processor in {took:.2f} s")
    check(wakeups < 500 * took, f"it woke up {wakeups} times in {took:.2f} s")


def _settled(d, outbox, source=None, **top):
    """A daemon that has relayed and saved three events."""
    r = daemon(config(d, pipeline(source or outbox.source()), **top))
    outbox.insert(3)
    wait_ids(lambda: ids(r), outbox.ids)
    outbox.wait_saved(3)
    return r


# --- 8 ---

@faults({"injection": 'a"; drop table x;--', "unicode": "événement 表", "reserved": "order"})
def postgres_table(d, name):
    quoted = '"' + name.replace('"', '""') + '"'
    outbox = PostgresShop(f"create table x (a int); alter table outbox rename to {quoted.replace('%', '%%')}", table=quoted)
    outbox.insert(3)
    r = once(config(d, pipeline(outbox.source(table=quoted))))
    each_once(ids(r), outbox.ids)
    check_equal(outbox.value("select count(*) from x"), 0, "the other table is still there")
    return ended(r)


# --- 11, 12: not reached, not let in ---

@fault
def host_not_found(d):
    outbox, address = PostgresShop(), admin()
    r = daemon(config(d, pipeline(outbox.source(url="postgresql://postgres@no.such.host.invalid/x")), admin={"listen": address}))
    r.wait_log("state retrying")
    wait_for(lambda: page(address, "readyz")[0] == 503, 5, "readiness to go")
    check_equal(page(address, "healthz")[0], 200, "health")
    return alive(r)


def _link(d, spoil, said, **source):
    """The link is spoilt from the start, healed, spoilt under way, healed: everything arrives.

    Answers what it said, what it sent and what was committed.
    """
    outbox = PostgresShop()
    with Proxy("127.0.0.1", outbox.pg.port) as proxy:
        spoil(proxy)
        outbox.insert(3)
        r = daemon(config(d, pipeline(outbox.source(url=outbox.url(port=proxy.port), **source))))
        r.wait_log(said)
        check_equal(ids(r), [], "what was sent")
        proxy.heal()
        wait_ids(lambda: ids(r), outbox.ids)
        outbox.wait_saved(3)
        known = len(r.log)
        spoil(proxy)
        outbox.insert(3)
        wait_for(lambda: "state retrying" in r.log[known:], 20, "it to notice")
        check(outbox.cursor.endswith(" 3"), f"the position moved meanwhile: {outbox.cursor}")
        proxy.heal()
        wait_ids(lambda: ids(r), outbox.ids)
        saw = alive(r)
    return saw, ids(r), outbox.ids


@fault
def connection_refused(d):
    saw, got, want = _link(d, lambda p: p.refuse(), "server closed the connection|Connection refused|Connection reset")
    each_once(got, want)
    return saw


@fault
def firewall_drops(d):
    """Short limits let a healed link fail again where the server is slow, so that events may come twice."""
    saw, got, want = _link(d, lambda p: p.blackhole(), "no answer within connect_timeout", connect_timeout="1s", read_timeout="1s")
    all_there(got, want)
    return saw


@fault
def link_cut(d):
    """Ten times in the middle of the answers, in order and by a reset."""
    outbox = PostgresShop()
    with Proxy("127.0.0.1", outbox.pg.port) as proxy:
        r = daemon(config(d, pipeline(outbox.source(url=outbox.url(port=proxy.port)))))
        for i in range(10):
            known = proxy.accepted
            proxy.cut_after(1 + 3000 * i, "down", rst=i % 2 == 1)
            outbox.insert(20, payload=json.dumps("x" * 2000))
            wait_ids(lambda: ids(r), outbox.ids)
            wait_for(lambda: proxy.accepted > known, 10, "it to connect again")
        saw = alive(r)
    all_there(ids(r), outbox.ids)
    return saw


@faults({"password": ("locked", "shop"), "database": ("postgres", "no_such_database"), "hba": ("rejected", "shop")})
def not_let_in(d, who):
    user, dbname = who
    outbox = PostgresShop()
    path = config(d, pipeline(outbox.source(url=outbox.pg.url(outbox.name if dbname == "shop" else dbname, user))))
    r = daemon(path, env={"PGPASSWORD": "wrong"})
    r.wait_exit(20)
    check("wrong" not in r.log.replace("wrong password", ""), "no password is shown")
    return ended(r)


@fault
def password_changes(d):
    """Let in at first and refused later, it waits for the operator and goes on by itself."""
    outbox, address = PostgresShop(), admin()
    outbox.sql("alter role locked password 'right'")
    r = daemon(config(d, pipeline(outbox.source(url=outbox.url(user="locked"))), admin={"listen": address}), env={"PGPASSWORD": "right"})
    outbox.insert(3)
    wait_ids(lambda: ids(r), outbox.ids)
    outbox.wait_saved(3)
    outbox.sql("alter role locked password 'other'")
    outbox.terminate()
    r.wait_log("state blocked")
    wait_for(lambda: page(address, "readyz")[0] == 503, 5, "readiness to go")
    outbox.insert(3)
    outbox.sql("alter role locked password 'right'")
    return all_came_once(r, outbox.ids)


# --- 24-26: the table changes ---

@faults({"column": "alter table outbox rename payload to body",
         "xid": "alter table outbox alter xid drop default, alter xid type text, alter xid set default ''",
         "table": "drop table outbox",
         "cache": "alter sequence outbox_seq_seq cache 20",
         "unique": "alter table outbox drop constraint outbox_pkey"})
def postgres_start_refused(d, sql):
    outbox = PostgresShop(sql)
    r = once(config(d, pipeline(outbox.source())))
    check_equal(outbox.value("select coalesce(max(delivered), 0) from commitrelay.positions"), 0, "delivered")
    return ended(r)


@fault
def mapped_column_missing(d):
    outbox = PostgresShop()
    return ended(once(config(d, pipeline(outbox.source(columns={"payload": "bodi"})))))


@fault
def route_column_missing(d):
    outbox = PostgresShop()
    return ended(once(config(d, pipeline(outbox.source(), topic="t.{tenant}"))))


CHANGES = {"column_renamed": ("alter table outbox rename payload to body", "alter table outbox rename body to payload"),
           "column_dropped": ("alter table outbox drop column aggregateid", "alter table outbox add column aggregateid text default 'k'"),
           "xid_type": ("alter table outbox alter xid drop default, alter xid type text",
                        "alter table outbox alter xid type xid8 using xid::text::xid8, alter xid set default pg_current_xact_id()"),
           "table_renamed": ("alter table outbox rename to gone", "alter table gone rename to outbox"),
           "rights": ("alter table outbox owner to locked; alter role locked nosuperuser; revoke all on outbox from locked",
                      "alter role locked superuser")}


@faults(CHANGES)
def postgres_blocks(d, change):
    """Under a running relay: it waits for the operator, moves nothing, and goes on once the table is mended."""
    spoil, mend = change
    outbox, address = PostgresShop(), admin()
    source = outbox.source(url=outbox.url(user="locked"))
    r = daemon(config(d, pipeline(source), admin={"listen": address}), env={"PGPASSWORD": "right"})
    outbox.insert(3)
    wait_ids(lambda: ids(r), outbox.ids)
    outbox.wait_saved(3)
    before = outbox.cursor.split(" ")[-1]
    outbox.spoil(spoil)
    r.wait_log("state blocked")
    wait_for(lambda: page(address, "readyz")[0] == 503, 5, "readiness to go")
    check_equal(outbox.cursor.split(" ")[-1], before, "delivered")
    outbox.sql(mend)
    outbox.insert(3)
    return all_came_once(r, outbox.ids)


@faults({"add": "alter table outbox add column note text default 'x'",
         "drop_unmapped": "alter table outbox add column more int; alter table outbox drop column more",
         "payload_type": "alter table outbox alter payload type text",
         "aggregateid_type": "alter table outbox alter aggregateid type varchar(80)",
         "recreate": "drop table outbox;" + SCHEMA,
         "vacuum_full": "vacuum full outbox",
         "truncate": "truncate outbox"})
def postgres_goes_on(d, sql):
    """Changes that leave what is mapped: relaying goes on, and nothing of before is sent again."""
    outbox = PostgresShop()
    r = _settled(d, outbox)
    outbox.sql(sql)
    outbox.insert(3)
    return all_came_once(r, outbox.ids)


# --- 31: read-only ---

@fault
def read_only_database(d):
    """Saving is refused (25006): it waits, and goes on when writing is allowed again."""
    outbox = PostgresShop()
    r = _settled(d, outbox)
    outbox.sql(f"alter database {outbox.name} set default_transaction_read_only = on")
    outbox.terminate()
    wait_for(lambda: "25006" in r.log or "read-only" in r.log, 20, "it to say that the server is read-only")
    outbox.pg.sql(f"alter database {outbox.name} set default_transaction_read_only = off")
    outbox.insert(3)
    wait_ids(lambda: ids(r), outbox.ids)
    saw = alive(r)
    all_there(ids(r), outbox.ids)
    return saw


@fault
def standby(d):
    """A standby is not read; the same server, promoted, is."""
    outbox = PostgresShop()
    outbox.insert(3)
    copy = proc.tempdir("standby")
    pg = outbox.pg
    if pg._as:
        os.chown(copy, pg._as["user"], pg._as["group"])
    subprocess.run([f"{pg.bindir}/pg_basebackup", "-D", str(copy / "data"), "-d", pg.conninfo("postgres"), "-R", "-X", "stream",
                         "-c", "fast", "--no-sync"], check=True, capture_output=True, cwd="/", **pg._as)
    other = Postgres(dir=copy, settings={"fsync": "off", "max_connections": "60"}, name="standby")
    other.start()
    try:
        source = outbox.source(url=f"postgresql://postgres@127.0.0.1:{other.port}/{outbox.name}")
        r = daemon(config(d, pipeline(source)))
        r.wait_log("state retrying")
        check_equal(ids(r), [], "what was sent")
        other.sql("select pg_promote()")
        wait_ids(lambda: ids(r), outbox.ids)
        saw = alive(r)
        each_once(ids(r), outbox.ids)
    finally:
        other.stop("immediate")
    return saw


# --- 33: a server that forgets ---

@fault
def numbers_given_again(d):
    """A server that crashes gives out again the numbers of transactions that wrote nothing durable; a snapshot knows them as over."""
    pg = Postgres(settings={"wal_writer_delay": "10s", "autovacuum": "off", "bgwriter_lru_maxpages": "0"}, name="faults-forgets").start()
    pg.sql(SCHEMA)
    outbox = "insert into outbox (aggregatetype, aggregateid, type, payload) values ('order', 'k', 'T', '{}') returning id::text"
    xmax = "select pg_snapshot_xmax(pg_current_snapshot())::text::int"
    want = [pg.value(outbox)]
    r = daemon(config(d, pipeline({"type": "outbox_postgres", "url": pg.url(), "poll_interval": "20ms"}, save_interval="1h")))

    def crash():
        """The relay sees an event together with what was rolled back behind it, of which nothing is durable. True: numbers were given back."""
        os.kill(pg.value("select pid from pg_stat_activity where backend_type = 'walwriter'"), signal.SIGSTOP)
        wait_ids(lambda: ids(r), want)
        freeze(r)
        want.append(pg.value(outbox))
        for _ in range(20):
            with contextlib.closing(pg.connect()) as c, c.cursor() as cur:
                cur.execute(outbox)
                c.rollback()
        os.kill(r.pid, signal.SIGCONT)
        wait_ids(lambda: ids(r), want)
        before = pg.value(xmax)
        pg.crash()
        pg.start()
        return pg.value(xmax) < before

    try:
        check(any(crash() for _ in range(20)), "no number was given back, twenty times")  # a checkpoint may come first
        want += [pg.value(outbox) for _ in range(30)]
        wait_ids(lambda: ids(r), want)
        saw = alive(r)
        all_there(ids(r), want)
    finally:
        pg.stop("immediate")
    return saw


# --- 34, 35: locks and time limits ---

def _marked(outbox, n):
    wait_for(lambda: outbox.value("select count(*) from outbox where status = 'done'") == n, 20, f"{n} rows to be marked")


@fault
def mark_waits_for_lock(d):
    """A row that is locked is delivered and marked later, never sent again meanwhile."""
    outbox = PostgresShop(STATUS)
    r = daemon(config(d, pipeline(outbox.source(mode="status"))))
    outbox.insert(3)
    _marked(outbox, 3)
    with contextlib.closing(outbox.pg.connect(outbox.name)) as c, c.cursor() as cur:
        freeze(r)  # else the row may be marked before the lock is there
        outbox.insert(1)
        cur.execute("lock table outbox in share mode")
        r.signal(signal.SIGCONT)
        wait_ids(lambda: ids(r), outbox.ids)
        r.wait_log("lock timeout", 60)
        c.rollback()
    _marked(outbox, 4)
    outbox.insert(3)
    _marked(outbox, 7)
    saw = alive(r)
    each_once(ids(r), outbox.ids)
    return saw


WAIT_FOR_US = """
create function wait_for_us() returns trigger language plpgsql as $$
begin perform pg_advisory_xact_lock(1); return coalesce(new, old); end $$;
create trigger wait_for_us before {event} on outbox for each row execute function wait_for_us();
"""


@faults({"status": ("update", STATUS), "delete": ("delete", "")})
def marks_held_up(d, how):
    """While no row can be marked no more are sent than may be in flight, for so many may come again after a crash."""
    event, schema = how
    outbox = PostgresShop(schema + WAIT_FOR_US.format(event=event))
    outbox.insert(3000)
    with contextlib.closing(outbox.pg.connect(outbox.name)) as c, c.cursor() as cur:
        cur.execute("select pg_advisory_lock(1)")
        r = daemon(config(d, pipeline(outbox.source(mode="status" if schema else "delete"), max_in_flight=100)))
        wait_for(lambda: len(ids(r)) >= 100, 20, "as many events as may be in flight")
        with _rests(r):
            r.wait_log("lock timeout", 60)
        check_equal(len(ids(r)), 100, "events sent while none could be marked")
    left = "select count(*) from outbox" + (" where status = 'pending'" if schema else "")
    wait_for(lambda: outbox.value(left) == 0, 30, "all rows to be marked")
    saw = alive(r)
    each_once(ids(r), outbox.ids)
    return saw


@fault
def resume_while_marking(d):
    """A `resume` starts the source anew; what was being marked is marked then, and comes into no second file."""
    outbox = PostgresShop(STATUS)
    outbox.insert(1)
    bad = outbox.insert(1, topic="no topic")
    sink = {"type": "file", "dir": f"{d}/out", "rotate": {"interval": "10ms"}}
    path = config(d, pipeline(outbox.source(mode="status"), sink=sink, topic="{aggregatetype}"))
    with contextlib.closing(outbox.pg.connect(outbox.name)) as c, c.cursor() as cur:
        cur.execute("select from outbox where id = %s for update", (outbox.ids[0],))
        r = daemon(path)
        r.wait_log("(?s)state blocked.*held up")
        proc.run(["resume", "-c", path])
        r.wait_log("(?s)resumed.*lock timeout", 30)
    _marked(outbox, 1)
    check_equal(file_ids(f"{d}/out"), outbox.ids[:1], "what the files hold")
    outbox.sql("update outbox set aggregatetype = 'order' where id = %s", *bad)
    proc.run(["resume", "-c", path])
    _marked(outbox, 2)
    saw = alive(r)
    each_once(file_ids(f"{d}/out"), outbox.ids)
    return saw


FAIL_TWICE = """
create sequence tries;
create function fail_twice() returns trigger language plpgsql as $$
begin
    if nextval('public.tries') <= 2 then raise exception 'not now' using errcode = '{code}'; end if;
    return coalesce(new, old);
end $$;
create trigger fail_twice before {event} on outbox for each row execute function fail_twice();
"""


@faults({"serialization_failure": ("status", "update", "40001"), "deadlock": ("delete", "delete", "40P01"),
         "lock_not_available": ("delete", "delete", "55P03"), "cancelled": ("status", "update", "57014"),
         "forbidden": ("status", "update", "P0001")})
def mark_fails(d, how):
    """Marking is tried again without sending again."""
    mode, event, code = how
    outbox = PostgresShop((STATUS if mode == "status" else "") + FAIL_TWICE.format(event=event, code=code))
    outbox.insert(5)
    path = config(d, pipeline(outbox.source(mode=mode)))
    r = daemon(path)
    left = "select count(*) from outbox" + (" where status = 'pending'" if mode == "status" else "")
    wait_for(lambda: outbox.value(left) == 0, 20, "all rows to be marked")
    saw = alive(r)
    each_once(ids(r), outbox.ids)
    return saw


# --- 49: poisoned, and something else fails ---

def _lose_file(r, directory):
    """Removes the file that is being written. False: it was complete before."""
    freeze(r)
    try:
        next(directory.glob(".tmp-*")).unlink()
        return True
    except (StopIteration, FileNotFoundError):
        return False
    finally:
        r.signal(signal.SIGCONT)


@faults({"database": lambda outbox, r, directory: outbox.terminate(), "sink": lambda outbox, r, directory: _lose_file(r, directory)})
def poison_blocks_again(d, fail):
    """What is before the poisoned event comes all the same, and then the state tells of the event again."""
    for interval in (1, 4, 16, 64):  # seconds: as long as it takes to find the first file open
        outbox, out = PostgresShop(), d / f"out-{interval}"
        outbox.insert(3)
        bad = outbox.insert(1, topic="no topic")
        outbox.insert(3)
        path = config(d, pipeline(outbox.source(), sink={"type": "file", "dir": str(out), "rotate": {"interval": f"{interval}s"}},
                                  topic="{aggregatetype}"))
        r = daemon(path)
        r.wait_log("state blocked: event " + bad[0])
        if fail(outbox, r, out):
            break
        r.kill9()
    r.wait_log("(?s)state retrying.*state blocked: event " + bad[0])
    wait_ids(lambda: file_ids(out), outbox.ids[:3])
    outbox.sql("update outbox set aggregatetype = 'order' where id = %s", *bad)
    proc.run(["resume", "-c", path])
    wait_ids(lambda: file_ids(out), outbox.ids)
    saw = alive(r)
    each_once(file_ids(out), outbox.ids)
    return saw


# --- 24: a position that the source refuses when it is started there ---

@fault
def position_refused_at_start(d):
    """The command is refused, and the relay stays: what refuses it holds the pipeline up until it is mended."""
    outbox = PostgresShop()
    path = config(d, pipeline(outbox.source()))
    r = daemon(path)
    outbox.insert(3)
    wait_ids(lambda: ids(r), outbox.ids)
    outbox.wait_saved(3)
    outbox.sql("alter sequence outbox_seq_seq cache 10")
    told = start(["position", "set", "beginning", "-c", path, "--pipeline", "p", "--yes"])
    told.wait_exit(30)
    check_equal(told.poll(), 78, "exit code of the command")
    r.wait_log("(?s)command refused.*state blocked")
    outbox.sql("alter sequence outbox_seq_seq cache 1")
    outbox.insert(3)
    return all_came_once(r, outbox.ids)


# --- 34: rows that wait for their next attempt ---

@fault
def more_keys_wait_than_fit(d):
    """More keys than are remembered wait behind a row that is not due: none of them is overtaken."""
    outbox = PostgresShop(STATUS)
    outbox.sql("insert into outbox (aggregatetype, aggregateid, type, payload, next_attempt_at) "
               "select 'order', 'key' || i, 'T', '{}', now() + interval '1 h' from generate_series(1, 10001) i")
    second = outbox.insert(1, key="key10001")
    r = daemon(config(d, pipeline(outbox.source(mode="status"))))
    r.wait_log("state running")
    outbox.wait_polls(20)
    check_equal(ids(r), [], "what was sent while all wait")
    first = outbox.value("update outbox set next_attempt_at = null where aggregateid = 'key10001' and id <> %s returning id::text", second[0])
    wait_for(lambda: ids(r) == [first, second[0]], 20, "the two in their order")
    return alive(r)


@fault
def rows_without_key_wait(d):
    """Rows of no key that are not due hold back nobody, however many they are."""
    outbox = PostgresShop(STATUS + "alter table outbox alter aggregateid drop not null;")
    outbox.sql("insert into outbox (aggregatetype, aggregateid, type, payload, next_attempt_at) "
               "select 'order', null, 'T', '{}', now() + interval '1 h' from generate_series(1, 30) i")
    outbox.insert(3)
    r = daemon(config(d, pipeline(outbox.source(mode="status", batch_size=10))))
    wait_ids(lambda: ids(r), outbox.ids)
    with _rests(r):
        outbox.wait_polls(20)
    return alive(r)


@faults({"status": STATUS, "delete": ""})
def until_idle_ends_the_file(d, schema):
    """The last file is not waited for: that nothing more comes is reason enough to complete it."""
    outbox = PostgresShop(schema)
    outbox.insert(3)
    sink = {"type": "file", "dir": f"{d}/out", "rotate": {"interval": "1h"}}
    r = once(config(d, pipeline(outbox.source(mode="status" if schema else "delete"), sink=sink)))
    each_once(file_ids(f"{d}/out"), outbox.ids)
    return ended(r)


@fault
def statement_timeout(d):
    """A page that takes longer than the server allows is asked for in halves, until it fits. The server counts the rows whose key
    it looks at, instead of time: how many it reads in 400 ms depends on the machine."""
    outbox = PostgresShop(STATUS + """
        create type kind as enum ('k', 'waits');
        create function in_time(kind) returns text language plpgsql volatile as $$
        declare
            now text := statement_timestamp();
            n int := case when current_setting('t.at', true) = now then current_setting('t.n')::int + 1 else 1 end;
        begin
            perform set_config('t.at', now, false), set_config('t.n', n::text, false);
            if n > 60 then raise exception 'canceling statement due to statement timeout' using errcode = '57014'; end if;
            return enum_out($1)::text;
        end $$;
        create cast (kind as text) with function in_time(kind);
        alter table outbox alter aggregateid type kind using aggregateid::kind;
        insert into outbox (aggregatetype, aggregateid, type, payload, next_attempt_at) values ('order', 'waits', 'T', '{}', now() + interval '1 h');
        create role slow superuser login;
    """)
    r = daemon(config(d, pipeline(outbox.source(url=outbox.url(user="slow"), mode="status"))))
    r.wait_log("state running")
    outbox.wait_polls(20)  # which find the row that waits
    outbox.insert(300)
    wait_ids(lambda: ids(r), outbox.ids, 30)
    saw = alive(r)
    each_once(ids(r), outbox.ids)
    return saw


# --- 49-51: odd rows ---

MAPPED = """
create table mapped (seq bigint generated always as identity primary key, xid xid8 not null default pg_current_xact_id(), id text,
    aggregatetype text, aggregateid text, type text, payload {payload}, headers {headers}, created_at timestamptz default now());
create index on mapped (xid, seq);
"""
GOOD = "insert into mapped (id, aggregatetype, aggregateid, type, payload) values ('{id}', 'order', 'k', 'T', '{{}}');"

POISON = {"bad_topic": ("text", "'bad', 'a/b', 'k', 'T', '{}', null"),
          "null_topic": ("text", "'bad', null, 'k', 'T', '{}', null"),
          "null_id": ("text", "null, 'order', 'k', 'T', '{}', null"),
          "bad_headers": ("text", "'bad', 'order', 'k', 'T', '{}', '[1, 2]'")}


@faults(POISON)
def postgres_poison(d, row):
    headers, values = row
    outbox = PostgresShop(MAPPED.format(payload="text", headers=headers))
    outbox.sql(GOOD.format(id="a") + f"insert into mapped (id, aggregatetype, aggregateid, type, payload, headers) values ({values});"
               + GOOD.format(id="b"))
    r = once(config(d, pipeline(outbox.source(table="mapped"), topic="{aggregatetype}", poison="skip")))
    check_equal(r.poll(), 0, f"exit code\n{r.log}")
    check_equal(ids(r), ["a", "b"], "its neighbours")
    dead = outbox.sql("select convert_from(payload, 'UTF8'), reason from commitrelay.dead_letters")
    check_equal([row[0] for row in dead], ["{}"], "payloads of the dead letters")
    return Saw(0, dead[0][1])


@fault
def postgres_odd_values(d):
    """Strange and harmless: passed on as the server prints it."""
    outbox = PostgresShop(MAPPED.format(payload="json", headers="json"))
    odd = ['"\\u0000"', '{"a":1,"a":2}', '""', "[]", "1e400"]
    for i, text in enumerate(odd):
        outbox.sql("insert into mapped (id, aggregatetype, aggregateid, type, payload, created_at) values (%s, 'order', 'k', 'T', %s, %s)",
                   f"e{i}", text, ["infinity", "-infinity", "0044-03-15 BC", "294276-12-31", None][i])
    outbox.sql("insert into mapped (id, aggregatetype, aggregateid, type, payload) values ('null', 'order', null, 'T', null)")
    r = once(config(d, pipeline(outbox.source(table="mapped"), poison="skip")))
    check_equal(r.poll(), 0, f"exit code\n{r.log}")
    got = [line.split('"payload":', 1)[1].split(',"created_at"')[0] for line in r.stdout.splitlines()]
    check_equal(got, [*odd, "null"], "payloads")
    check_equal([e["created_at"] for e in lines(r)][:2], ["infinity", "-infinity"], "times that are none")
    return ended(r)


@fault
def postgres_duplicate_id(d):
    """Both rows are sent: the consumer knows the id."""
    outbox = PostgresShop(MAPPED.format(payload="text", headers="json"))
    outbox.sql(GOOD.format(id="same") * 2)
    path = config(d, pipeline(outbox.source(table="mapped")))
    r = once(path)
    check_equal((r.poll(), ids(r)), (0, ["same", "same"]), "exit code and ids")
    return looked(path)


@fault
def many_columns(d):
    """A table as wide as PostgreSQL makes them."""
    outbox = PostgresShop("do $$ begin execute (select 'alter table outbox ' || string_agg('add column c' || i || ' bool', ', ') "
                    "from generate_series(1, 1500) i); end $$")
    outbox.insert(3)
    r = once(config(d, pipeline(outbox.source())))
    each_once(ids(r), outbox.ids)
    return ended(r)


@fault
def postgres_large_payloads(d):
    """Payloads of 30 MB through a window of 1 MB: one at a time, in bounded memory."""
    outbox = PostgresShop(MAPPED.format(payload="text", headers="json"))
    outbox.sql("insert into mapped (id, aggregatetype, aggregateid, type, payload) "
               "select i::text, 'order', 'k', 'T', repeat('x', 30000000) from generate_series(1, 4) i")
    sink = {"type": "file", "dir": f"{d}/out"}
    r = once(config(d, pipeline(outbox.source(table="mapped"), sink=sink, max_in_flight_bytes="1MiB")), timeout=60)
    check_equal(r.poll(), 0, f"exit code\n{r.log}")
    size = sum(f.stat().st_size for f in (d / "out").glob("*.jsonl"))
    check(size > 120_000_000, f"{size} bytes in files")
    check(r.rss < 260 * 1024, f"{r.rss} KiB of memory for payloads of 30 MB")
    return ended(r)


# --- 59: two relays ---

@faults({"position": "position", "status": "status", "delete": "delete"})
def two_relays(d, mode):
    """The second waits for the lock, and takes over when the first is gone."""
    outbox = PostgresShop(STATUS if mode == "status" else "")
    path = config(d, pipeline(outbox.source(mode=mode)))
    first = daemon(path)
    outbox.insert(3)
    wait_ids(lambda: ids(first), outbox.ids)
    second = daemon(path)
    second.wait_log("state waiting")
    outbox.insert(3)
    wait_ids(lambda: ids(first), outbox.ids)
    check_equal(ids(second), [], "what the second sent meanwhile")
    first.kill9()
    outbox.insert(3)
    wait_ids(lambda: ids(first) + ids(second), outbox.ids)
    saw = alive(second)
    all_there(ids(first) + ids(second), outbox.ids)
    return saw


@fault
def split_brain(d):
    """One freezes, loses its session and its lock; the other takes over; the frozen one awakes and may write nothing."""
    outbox = PostgresShop()
    path = config(d, pipeline(outbox.source()))
    first = daemon(path)
    outbox.insert(3)
    wait_ids(lambda: ids(first), outbox.ids)
    outbox.wait_saved(3)
    second = daemon(path)
    second.wait_log("state waiting")
    freeze(first)
    outbox.terminate()
    outbox.insert(3)
    wait_ids(lambda: ids(second), outbox.ids[3:])
    outbox.wait_saved(6)
    epoch = outbox.value("select epoch from commitrelay.positions")
    first.signal(signal.SIGCONT)
    outbox.insert(3)
    wait_ids(lambda: ids(first) + ids(second), outbox.ids)
    outbox.wait_saved(9)
    wait_for(lambda: not first.running or "state waiting" in first.log, 20, "the first to wait or to end")
    check_equal(outbox.value("select epoch from commitrelay.positions"), epoch, "the epoch: nobody else took the lock")
    saw = alive(second)
    check_equal(ids(second), outbox.ids[3:9], "what the second sent")
    check(set(ids(first)) <= set(outbox.ids), "and the first nothing strange")
    return Saw(saw.code, readable(first.log) + saw.text)


# --- 59: two relays of one pipeline with batch files ---

class _Rivals:
    """Relay A has an open batch file when it is frozen and loses its lock; B then takes over. Both write to one directory."""

    def __init__(self, d, manifest=True):
        self.d, self.outbox, self.manifest, self.out = d, PostgresShop(), manifest, d / "out"
        self.address = admin()
        self.a = daemon(self._config("a", "1h", admin={"listen": self.address}))
        self.outbox.insert(10)
        wait_for(self.open_files, 15, "A's temporary file")
        check_equal(file_ids(self.out), [], "complete files")
        freeze(self.a)
        self.outbox.terminate()

    def _config(self, name, interval, **top):
        sink = {"type": "file", "dir": str(self.out), "manifest": self.manifest, "rotate": {"interval": interval, "events": 100000}}
        (self.d / name).mkdir()
        return config(self.d / name, pipeline(self.outbox.source(), sink=sink), **top)

    def open_files(self):
        return {(p.name, p.stat().st_ino) for p in self.out.glob(".tmp-*")}

    def b(self, interval, fault_point=None):
        mine = self.open_files()
        relay = daemon(self._config("b", interval), env={"COMMITRELAY_FAULT": f"{fault_point}:kill" if fault_point else None})
        if fault_point:
            check_equal(relay.wait_exit(), -signal.SIGKILL, "how B ended")
        else:
            wait_for(lambda: self.open_files() and self.open_files() != mine, 15, "B's own temporary file")
        return relay

    def wake_a(self, state):
        self.a.signal(signal.SIGCONT)
        self.a.wait_log(f"state retrying[\\s\\S]*state {state}")

    def judged(self):
        each_once(file_ids(self.out), self.outbox.ids)
        check_equal(self.outbox.value("select delivered from commitrelay.positions"), len(self.outbox.ids), "what is saved as delivered")
        check_equal(list(self.out.glob(".tmp-*")), [], "temporary files")


POINTS = ("file_after_fsync", "file_after_intent", "file_after_manifest", "file_after_rename")


@faults({f"{p.removeprefix('file_')}{'' if m else ':no_manifest'}": (p, m) for p in POINTS for m in (True, False)})
def open_file_outlives_rival(d, how):
    """B dies at some step of its commit; A awakes, gets the lock again, and finishes what B had begun instead of throwing it away."""
    point, manifest = how
    rivals = _Rivals(d, manifest)
    rivals.b("50ms", point)
    rivals.wake_a("running")
    more = len(rivals.outbox.insert(3)) + (10 if point == "file_after_fsync" else 0)
    wait_for(lambda: metric(rivals.address, "in_flight_events") == more, 15, "A to take what is in no file")
    saw = alive(rivals.a)
    rivals.judged()
    return saw


@faults({"manifest": True, "no_manifest": False})
def open_file_of_living_rival(d, manifest):
    """A awakes, waits for the lock that B holds, and is stopped: the file that B fills is B's."""
    rivals = _Rivals(d, manifest)
    b = rivals.b("1h")
    rivals.wake_a("waiting")
    check_equal(rivals.a.stop(), 0, "exit code of A")
    saw = alive(b)
    rivals.judged()
    return Saw(saw.code, readable(rivals.a.log) + saw.text)
