#!/usr/bin/python3
"""`prune` and source.prune: a row goes only when every pipeline of its table has delivered it, judged by the writers' own truth.

    prune.py [NAME...]     only these checks
"""
import contextlib
import json
import re
import signal
import time

import psycopg2

from support.arrivals import each_once, ids, stdout_arrivals, wait_ids
from support.cases import case, main
from support.judge import judge
from support.proc import ROOT, check, check_equal, run, tempdir, wait_for
from support.pruning import ByCommand, Passes, files, prune, removed, rows
from support.relaying import LOADED, Relaying, admin, config, daemon, metric, once, pipeline, start
from support.shop import PostgresShop, SqliteShop, StreamShop, schema, shared_server
from support.workload import OpenTransaction, Workload, prepare, truth_of

OK, USAGE, GAVE_UP, KILLED, PERMISSION, CONFIG = 0, 64, 75, -9, 77, 78
STATUS = schema("postgres/status")


def shops(d):
    return [("postgres", PostgresShop()), ("sqlite", SqliteShop(d))]


# --- under load ---

class BySeqAlone:
    """What the page of SQL would be without the snapshots: seq up to the position of the pipeline that is furthest back."""

    def __init__(self, conninfo):
        self.conn, self.gone, self.said = psycopg2.connect(conninfo), 0, "pipeline b"
        self.conn.autocommit = True

    def one(self):
        with self.conn.cursor() as cur:
            cur.execute("delete from outbox where seq <= (select min(split_part(cursor, ' ', 6)::bigint) from commitrelay.positions"
                        " where cursor like 'p1 %') and (select count(*) from commitrelay.positions) = 2")
            self.gone += cur.rowcount
        time.sleep(.02)


def under_load(d, dbname, pruner_of):
    """Two pipelines, one of which stands still from the middle on; a transaction with an old seq commits while it does. Both verdicts."""
    server = shared_server()
    conninfo = prepare(server, dbname, "position", ROOT)
    source = {"type": "outbox_postgres", "url": conninfo, "poll_interval": "50ms", "connect_timeout": "30s", "read_timeout": "60s"}
    paths = {n: (d / n).mkdir() or config(d / n, pipeline(source, name=n, limits=LOADED)) for n in "ab"}
    relays = {n: Relaying(paths[n], name=n) for n in "ab"}
    late = OpenTransaction(conninfo, 1)
    workload = Workload(conninfo, rate=150, writers=6).start()
    outputs = {n: [r.start().stdout_path] for n, r in relays.items()}
    pruner = pruner_of(conninfo, paths)
    for n in "ab":
        wait_for(lambda n=n: outputs[n][0].read_bytes().count(b"\n") > 300, 60, f"{n} to have sent 300 events")
    passes = Passes(pruner)
    passes.wait(2)
    relays["b"].stop()
    wait_for(lambda: not workload.missing() and pruner.gone > 200, 90, "the workload to have done everything, and 200 rows to be gone")
    passes.wait(2)
    late.commit()
    passes.wait(3)
    workload.stop()
    relays["a"].stop()
    outputs["a"].append(relays["a"].drain().stdout_path)
    passes.wait(2)
    check("pipeline b" in pruner.said, f"who holds it back is not named: {pruner.said[-500:]}")
    outputs["b"].append(relays["b"].drain().stdout_path)
    passes.wait(1)
    passes.stop()
    truth = truth_of(server, dbname)
    left = server.value("select count(*) from outbox", dbname=dbname)
    return {n: judge(truth, [x for path in outputs[n] for x in stdout_arrivals(path)]) for n in "ab"}, left


@case
def nothing_undelivered_goes_under_load(d):
    verdicts, left = under_load(d, "prune_load", lambda conninfo, paths: ByCommand(paths["a"]))
    for n, v in verdicts.items():
        print(f"  {n}: {v}", flush=True)
        check(not v.faults(), f"{n}: {v.faults()}")
    check_equal(left, 0, "rows that both have delivered and that are still there")


@case
def the_judge_sees_a_prune_by_seq_alone(d):
    verdicts, _ = under_load(d, "prune_by_seq", lambda conninfo, paths: BySeqAlone(conninfo))
    print(f"  b: {verdicts['b']}", flush=True)
    check(any(t.k == "open" for t in verdicts["b"].lost), f"the row that committed late is not missed: {verdicts['b']}")


# --- what may go ---

@case
def a_late_commit_stays_until_it_is_delivered(d):
    """Its seq is below every position, and nobody has delivered it."""
    shop = PostgresShop()
    paths = files(d, shop.source(), "a", "b")
    with contextlib.closing(shop.connect()) as c, c.cursor() as cur:
        cur.execute("insert into outbox (aggregatetype, aggregateid, type, payload) values ('order', 'late', 'T', '{}') returning id::text")
        late = cur.fetchone()[0]
        shop.insert(20)
        for path in paths.values():
            each_once(ids(once(path)), shop.ids)
        c.commit()
    check_equal(removed(prune(paths["a"], "--dry-run", name="a")), 20, "what would go")
    check_equal(rows(shop), 21, "a dry run removes nothing")
    r = prune(paths["a"], "--batch", "3", name="a")
    check_equal(removed(r), 20, "what is gone")
    check("pipeline a (1 rows or more)" in r.stdout and "pipeline b (1 rows or more)" in r.stdout, f"who holds the last one back: {r.stdout}")
    check_equal(ids(once(paths["a"])), [late], "the late one, first pipeline")
    check_equal(removed(prune(paths["a"], name="a")), 0, "the second pipeline has not delivered it")
    check_equal(ids(once(paths["b"])), [late], "the late one, second pipeline")
    check_equal(removed(prune(paths["b"], name="b")), 1, "delivered by both")


@case
def an_open_window_counts_up_to_its_last_row(d):
    """A relay that was killed in the middle of a backlog has a cursor with s2 and a seq."""
    shop = PostgresShop()
    path = config(d, pipeline(shop.source(batch_size=10), max_in_flight=10, save_interval="1ms"))
    shop.insert(2000)
    relay = start(["run", "-c", path], env={"COMMITRELAY_FAULT": "settle_after_save@5:kill"})
    check_equal(relay.wait_exit(60), KILLED, "the relay's end")
    cursor = shop.value("select cursor from commitrelay.positions").split()
    check(cursor[2] != "-" and int(cursor[5]) < 2000, f"no window is open: {cursor}")
    check_equal(removed(prune(path, "--batch", "7", "--pause", "0s")), int(cursor[5]), "rows up to the last one of the window")
    got = set(ids(relay)) | set(ids(once(path)))
    check_equal(got, set(shop.ids), "all that was committed")
    check_equal(removed(prune(path)), 2000 - int(cursor[5]), "the rest")


@case
def age_decides(d):
    for name, shop in shops(d):
        path = config(d, pipeline(shop.source()))
        shop.insert(10)
        old = ("update outbox set created_at = now() - interval '8 days' where seq <= 4" if name == "postgres" else
               "update outbox set created_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-8 days') where seq <= 4")
        (shop.sql if name == "postgres" else shop.script)(old)
        once(path)
        check_equal(removed(prune(path, "--dry-run", older="7d")), 4, f"{name}: older than a week, counted")
        check_equal(removed(prune(path, older="7d")), 4, f"{name}: older than a week")
        check_equal(removed(prune(path, older="7d")), 0, f"{name}: the second time")
        check_equal(rows(shop), 6, f"{name}: what is left")
        prune(path, older="7", code=USAGE)
        run(["prune", "-c", path], code=USAGE)


@case
def sqlite_waits_for_the_slowest(d):
    shop = SqliteShop(d)
    paths = files(d, shop.source(), "a", "b")
    shop.insert(30)
    for path in paths.values():
        once(path)
    shop.insert(20)
    once(paths["a"])
    r = prune(paths["a"], "--batch", "7", "--pause", "0s", name="a")
    check_equal(removed(r), 30, "delivered by both")
    check(re.search(r"held back by pipeline b \(\d+ rows or more\)", r.stdout), f"who holds it back: {r.stdout}")
    each_once(ids(once(paths["b"])), shop.ids[30:])
    check_equal(removed(prune(paths["b"], name="b")), 20, "the rest")
    shop.insert(3)
    each_once(ids(once(paths["a"])), shop.ids[50:])  # row ids are not given again


@case
def a_time_that_is_none_keeps_the_row(d):
    shop = SqliteShop(d)
    path = config(d, pipeline(shop.source()))
    shop.insert(5)
    shop.script("update outbox set created_at = 'yesterday' where seq = 2")
    once(path)
    check_equal(removed(prune(path)), 4, "rows with a time")
    check_equal(rows(shop), 1, "the one without")


# --- modes ---

@case
def status_mode_removes_what_is_done(d):
    shop = PostgresShop(STATUS)
    path = config(d, pipeline(shop.source(mode="status")))
    shop.insert(10)
    once(path)
    shop.insert(5)  # pending
    shop.sql("update outbox set status = 'failed' where seq in (3, 4)")
    shop.sql("update outbox set status = 'pending' where seq = 7")
    r = prune(path, "--batch", "2", "--pause", "0s")
    check_equal(removed(r), 7, "rows that are done")
    check("pipeline p (8 rows or more)" in r.stdout, f"what is not done: {r.stdout}")
    check_equal(shop.value("select string_agg(distinct status, ' ' order by status) from outbox"), "failed pending", "what is left")
    once(path)
    shop.sql("update outbox set published_at = now() + interval '1 hour' where seq = 11")
    check_equal(removed(prune(path)), 5, "all but the one that was marked after the last save")


@case
def other_modes_and_sources_have_nothing_to_prune(d):
    deletes = PostgresShop()
    r = prune(config(d, pipeline(deletes.source(mode="delete"))))
    check("nothing to do: mode: delete" in r.stdout, r.stdout)
    check("nothing to do: mode: delete" in prune(config(d, pipeline(SqliteShop(d).source(mode="delete")))).stdout, "SQLite, delete mode")
    stream = StreamShop()
    check("nothing to do: it reads the replication stream" in prune(config(d, pipeline(stream.source()))).stdout, "a change stream")
    for source in (deletes.source(mode="delete", prune={}), SqliteShop(d, name="o.db").source(mode="delete", prune={"older_than": "7d"})):
        check("source.prune: mode: delete removes" in run(["check", "-c", config(d, pipeline(source))], code=CONFIG).stdout, "a setting without effect")
    check("prune" in run(["check", "-c", config(d, pipeline(stream.source(prune={})))], code=CONFIG).log, "a stream with source.prune")


@case
def pipelines_of_other_modes_hold_back(d):
    """On one table: one by position, one by status, one that deletes."""
    shop = PostgresShop(STATUS)
    paths = {m: (d / m).mkdir() or config(d / m, pipeline(shop.source(mode=m), name=m)) for m in ("position", "status", "delete")}
    shop.insert(10)
    once(paths["position"])
    check_equal(removed(prune(paths["position"], name="position")), 10, "alone")
    shop.insert(10)
    once(paths["status"])
    r = prune(paths["status"], name="status")
    check_equal(removed(r), 0, "not delivered by position")
    check("pipeline position (10 rows or more)" in r.stdout, r.stdout)
    once(paths["position"])
    shop.insert(4)
    once(paths["position"])
    r = prune(paths["position"], name="position")
    check_equal(removed(r), 10, "delivered by both")
    check("pipeline status (4 rows or more)" in r.stdout, r.stdout)
    shop.sql("update outbox set created_at = now() + interval '1 hour'")  # what the delete mode must not see
    once(paths["delete"])
    shop.insert(3)
    once(paths["position"])
    once(paths["status"])
    r = prune(paths["status"], name="status")
    check_equal(removed(r), 0, "one removes its rows itself")
    check("pipeline delete (3 rows or more: it removes its rows itself" in r.stdout, r.stdout)


# --- who is registered ---

@case
def a_retired_pipeline_holds_back_until_it_is_forgotten(d):
    for name, shop in shops(d):
        (d / name).mkdir()
        paths = files(d / name, shop.source(), "a", "b")
        for path in paths.values():
            once(path)
        shop.insert(5)
        once(paths["a"])
        check("pipeline b (5 rows or more)" in prune(paths["a"], name="a").stdout, f"{name}: who holds it back")
        check("forgotten" in run(["position", "forget", "-c", paths["a"], "--pipeline", "b", "--yes"]).stdout, f"{name}: forget")
        check_equal(removed(prune(paths["a"], name="a")), 5, f"{name}: freed")


@case
def what_is_not_known_holds_back(d):
    """A pipeline that an earlier version ran, one whose table has another name by now, one that has not run, one of another cluster."""
    shop = PostgresShop()
    paths = files(d, shop.source(), "a", "b", "c")
    shop.insert(5)
    check("so nothing is delivered" in prune(paths["a"], name="a", code=CONFIG).log, "before any relay has run")
    once(paths["a"])
    r = prune(paths["c"], name="c")
    check_equal((removed(r), "pipeline c (5 rows or more: it has not run yet)" in r.stdout), (0, True), f"one that has not run: {r.stdout}")
    once(paths["b"])
    spoilt = {"source_table = null, source_mode = null, cursor = ''": "its table is not known",
              "source_table = '\"public\".\"gone\"', cursor = ''": 'its table "public"."gone" is not there',
              "cursor = ''": "it has not run yet",
              "system_identifier = 42": "its position means nothing here",
              "seq_column = 'number'": "it reads other columns",
              "cursor = 'p1 9000000:9000000: - 5 5 5'": "",
              "cursor = 'p1 x'": "its position means nothing here"}
    was = shop.sql("select cursor, source_table, source_mode, seq_column, system_identifier from commitrelay.positions where pipeline = 'b'")[0]
    for change, why in spoilt.items():
        shop.sql(f"update commitrelay.positions set {change} where pipeline = 'b'")
        r = prune(paths["a"], name="a")
        check(removed(r) == 0 and f"pipeline b (5 rows or more{': ' if why else ''}{why}" in r.stdout, f"{change}: {r.stdout}")
        shop.sql("update commitrelay.positions set (cursor, source_table, source_mode, seq_column, system_identifier) ="
                 " (%s, %s, %s, %s, %s) where pipeline = 'b'", *was)
    shop.sql("update commitrelay.positions set source_table = '\"public\".\"gone\"', cursor = '' where pipeline = 'b'")
    shop.sql("create table gone ()")
    check_equal(removed(prune(paths["a"], name="a")), 5, "b reads another table")


@case
def a_store_of_an_earlier_version_is_not_guessed(d):
    shop = PostgresShop()
    path = config(d, pipeline(shop.source()))
    shop.insert(3)
    once(path)
    shop.sql("alter table commitrelay.positions drop column source_table, drop column source_mode, drop column seq_column, drop column xid_column;"
             " drop table commitrelay.pruned")
    check("start the relay once" in prune(path, code=CONFIG).log, "PostgreSQL")
    once(path)
    check_equal(removed(prune(path)), 3, "after a start")
    lite = SqliteShop(d)
    path = config(d, pipeline(lite.source()))
    lite.insert(3)
    once(path)
    lite.script("drop table commitrelay_pruned;"
                + "".join(f"alter table commitrelay_positions drop column {c};" for c in ("source_table", "source_mode")))
    check("start the relay once" in prune(path, code=CONFIG).log, "SQLite")
    once(path)
    check_equal(removed(prune(path)), 3, "after a start")


@case
def partitions_share_their_pipelines(d):
    """One pipeline reads the whole table, another one a partition of it."""
    shop = PostgresShop("""
        drop table outbox;
        create table outbox (seq bigint generated always as identity, xid xid8 not null default pg_current_xact_id(),
            id uuid not null default gen_random_uuid(), aggregatetype text not null, aggregateid text not null, type text not null,
            payload jsonb not null, headers jsonb, created_at timestamptz not null default clock_timestamp(), primary key (seq))
            partition by range (seq);
        create table outbox_0 partition of outbox for values from (1) to (11);
        create table outbox_1 partition of outbox for values from (11) to (1000);
        create index on outbox (xid, seq); create unique index on outbox_0 (id); create unique index on outbox_1 (id);""")
    whole = config(d, pipeline(shop.source(), name="whole"))
    (d / "part").mkdir()
    part = config(d / "part", pipeline(shop.source(table="outbox_0"), name="part", ordered=False))
    shop.insert(15)
    once(part)
    once(whole)
    shop.sql("update commitrelay.positions set cursor = 'p1 1:1: - 0 0 0' where pipeline = 'part'")
    r = prune(whole, name="whole")
    check(removed(r) == 5 and "pipeline part (10 rows or more)" in r.stdout, f"the one that reads a partition: {r.stdout}")
    once(part)
    shop.sql("update commitrelay.positions set cursor = 'p1 1:1: - 0 0 0' where pipeline = 'whole'")
    check("pipeline whole (10 rows or more)" in prune(part, name="part").stdout, "the one that reads the whole table")
    once(whole)
    check_equal(removed(prune(part, "--batch", "3", "--pause", "0s", name="part")), 10, "of the partition")


# --- dead letters ---

@case
def a_dead_letters_row_goes_unless_it_is_the_only_copy(d):
    for name, shop in shops(d):
        (d / name).mkdir()
        path = config(d / name, pipeline(shop.source(), topic="{aggregatetype}", poison="skip", max_event_bytes="1KiB", attempts=1))
        shop.insert(3)
        shop.insert(payload=json.dumps({"n": "x" * 5000}))
        shop.insert(topic="bad topic")
        shop.insert(3)
        once(path)
        letters = shop.value(f"select count(*) from {shop.positions.replace('positions', 'dead_letters')}")
        kept = shop.value(f"select count(*) from {shop.positions.replace('positions', 'dead_letters')} where code = 'row_kept'")
        check_equal((letters, kept), (2, 1), f"{name}: dead letters, and those without the event")
        check_equal(removed(prune(path, "--batch", "2", "--pause", "0s")), 7, f"{name}: rows that may go")
        check_equal(shop.value("select length(cast(payload as text)) > 5000 from outbox"), True if name == "postgres" else 1, f"{name}: the row that is left")


# --- trouble ---

@case
def killed_in_the_middle(d):
    for name, shop in shops(d):
        (d / name).mkdir()
        paths = files(d / name, shop.source(), "a", "b")
        shop.insert(50)
        for path in paths.values():
            once(path)
        shop.insert(20)
        once(paths["a"])
        prune(paths["a"], "--batch", "10", "--pause", "0s", name="a", code=KILLED, env={"COMMITRELAY_FAULT": "prune_after_step@2:kill"})
        check_equal(rows(shop), 50, f"{name}: after two steps of ten rows")
        wait_for(lambda p=paths: prune(p["a"], "--batch", "10", "--pause", "0s", name="a", code=None).poll() == OK, 30, "the dead one's session to end")
        check_equal(rows(shop), 20, f"{name}: after the rest")
        each_once(ids(once(paths["b"])), shop.ids[50:])


@case
def a_reader_is_no_obstacle_and_a_lock_is_waited_for_in_bounds(d):
    shop = PostgresShop()
    path = config(d, pipeline(shop.source()))
    shop.insert(10)
    once(path)
    with contextlib.closing(shop.connect()) as c, c.cursor() as cur:
        cur.execute("select count(*) from outbox")  # a report that takes hours
        check_equal(removed(prune(path, "--batch", "5")), 10, "beside a long reader")
    shop.insert(10)
    once(path)
    with contextlib.closing(shop.connect()) as c, c.cursor() as cur:
        cur.execute("lock table outbox in share mode")
        r = prune(path, code=GAVE_UP)
        check("lock timeout" in r.log, f"what it waited for: {r.log}")
        check_equal(rows(shop), 10, "nothing is gone")
        shop.value("select count(*) from outbox")  # who comes behind it is not held up
    check_equal(removed(prune(path)), 10, "after the lock")


@case
def two_prunes_of_one_table(d):
    shop = PostgresShop()
    path = config(d, pipeline(shop.source()))
    shop.insert(10)
    once(path)
    first = start(["prune", "-c", path, "--older-than", "0s", "--batch", "1", "--pause", "1h"])
    wait_for(lambda: rows(shop) == 9, 20, "the first to have begun")
    check("another prune is at work" in prune(path, code=GAVE_UP).log, "the second")
    first.signal(signal.SIGINT)
    check_equal(first.wait_exit(), GAVE_UP, "the first after SIGINT")
    check("1 rows are removed" in first.stdout and "--batch 1 --pause 1h" in first.stdout, f"how to go on: {first.stdout}")
    check_equal(removed(prune(path)), 9, "the rest")


@case
def tables_and_roles_that_do_not_fit(d):
    shop = PostgresShop()
    role = f"reads_{shop.name}"
    shop.insert(3)
    path = config(d, pipeline(shop.source()))
    once(path)
    shop.sql(f"create role {role} login; grant select on outbox to {role}; grant usage on schema commitrelay to {role};"
             f" grant select, insert, update, delete on all tables in schema commitrelay to {role}")
    weak = config(d, pipeline(shop.source(url=shop.url(user=role))))
    check(f'grant delete on "public"."outbox" to "{role}"' in prune(weak, code=PERMISSION).log, "the right that is missing")
    check_equal(removed(prune(weak, "--dry-run")), 3, "counting needs no right")
    wants = config(d, pipeline(pruning(shop) | {"url": shop.url(user=role)}))
    check('grant delete on "public"."outbox"' in run(["check", "-c", wants, "--connect"], code=PERMISSION).stdout, "check does not tell")
    path = config(d, pipeline(shop.source()))
    shop.sql("create function keep() returns trigger language plpgsql as $$ begin return null; end $$;"
             "create trigger keep before delete on outbox for each row execute function keep()")
    check("are still there: a trigger" in prune(path, code=CONFIG).log, "a trigger that keeps them")
    shop.sql("drop trigger keep on outbox; alter table outbox rename created_at to born")
    check("source.columns.created_at" in prune(path, code=CONFIG).log, "without created_at")
    shop.sql("alter table outbox add created_at text")
    check("says no time" in prune(path, code=CONFIG).log, "created_at is a text")
    check_equal(rows(shop), 3, "nothing is gone")
    check("says no time" in run(["check", "-c", config(d, pipeline(pruning(shop))), "--connect"], code=CONFIG).stdout, "nor the column")
    lite = SqliteShop(d)
    path = config(d, pipeline(lite.source()))
    once(path)
    lite.script("alter table outbox rename created_at to born")
    check("source.columns.created_at" in prune(path, code=CONFIG).log, "SQLite, without created_at")
    check("source.columns.created_at" in run(["check", "-c", config(d, pipeline(pruning(lite))), "--connect"], code=CONFIG).stdout, "nor check")


@case
def autovacuum_that_is_off_is_told(d):
    shop = PostgresShop()
    path = config(d, pipeline(shop.source()))
    shop.insert(3)
    once(path)
    check("note:" not in prune(path).stdout, "a note without a reason")
    shop.sql("alter table outbox set (autovacuum_enabled = false)")
    check("autovacuum is off for" in prune(path).stdout, "it is not told")


# --- the daemon ---

def pruning(shop, **more):
    return {**shop.source(), "prune": {"older_than": "1s", "every": "1s", "batch": 5, "pause": "0s", **more}}


@case
def the_daemon_prunes(d):
    for name, shop in shops(d):
        (d / name).mkdir()
        address = admin()
        r = daemon(config(d / name, pipeline(pruning(shop)), admin={"listen": address}))
        shop.insert(20)
        wait_for(lambda s=shop: rows(s) == 0, 30, f"{name}: all to be gone")
        wait_for(lambda a=address: metric(a, "pruned_rows_total") == 20, 10, f"{name}: the counter")  # it follows the run's end
        wait_for(lambda a=address: metric(a, "last_prune_timestamp_seconds") > 1.7e9, 10, f"{name}: the time to be told")
        shop.insert(5)
        wait_ids(lambda r=r: ids(r), shop.ids)
        (row,) = json.loads(run(["status", "-c", d / name / "relay.yaml", "--json"], cwd=r.dir).stdout)["pipelines"]
        check(row["pruned_rows_total"] >= 20 and row["last_prune_timestamp_seconds"] > 1.7e9, f"{name}: status: {row}")
        check("pruned" in r.log and "state retrying" not in r.log, f"{name}: {r.log}")
        check_equal(r.stop(), OK, f"{name}: its end")


@case
def what_the_daemons_prune_meets_does_not_touch_the_stream(d):
    """A right that is missing, another pipeline that holds back, a lock at the end: logged, and tried again."""
    shop = PostgresShop()
    role = f"relays_{shop.name}"
    other = config((d / "other").mkdir() or d / "other", pipeline(shop.source(), name="other"))
    once(other)
    shop.sql(f"create role {role} login; grant select on outbox to {role}; grant usage on schema commitrelay to {role};"
             f" grant select, insert, update, delete on all tables in schema commitrelay to {role}")
    source = {**pruning(shop), "url": shop.url(user=role)}
    r = daemon(config(d, pipeline(source)))
    shop.insert(10)
    r.wait_log("prune failed.*grant delete")
    shop.sql(f"grant delete on outbox to {role}")
    r.wait_log("held back by pipeline other .5 rows or more")
    each_once(ids(once(other)), shop.ids)
    wait_for(lambda: rows(shop) == 0, 30, "all to be gone")
    with contextlib.closing(shop.connect()) as c, c.cursor() as cur:
        shop.insert(3)
        cur.execute("lock table outbox in share mode")
        wait_ids(lambda: ids(r), shop.ids)
        wait_for(lambda: shop.value("select count(*) from pg_locks l join pg_class t on t.oid = l.relation where t.relname = 'outbox'"
                                    " and not l.granted"), 20, "the prune to wait for the lock")
        check_equal(r.stop(), OK, "its end while the prune waits")


main(lambda: tempdir("prune"))
