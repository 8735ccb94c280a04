#!/usr/bin/python3
"""`consume` from batch files: each event's effect comes once, whatever fails, in PostgreSQL and SQLite.

    consume.py [NAME...]     only these checks
"""
import json
import shutil
import signal
import sqlite3
from pathlib import Path

from support.cases import case, main
from support.consuming import Folder, Target, conf, consume, consumer, consuming, counts
from support.pg import Postgres
from support.proc import check, check_equal, run, tempdir, wait_for
from support.relaying import admin, daemon, metric
from support.shop import shared_server

ORDERS = """
create table orders (id bigint primary key, state text, total numeric(12,2), paid timestamptz, tags text[], info jsonb, raw bytea,
                     doubled numeric generated always as (total * 2) stored);
"""
# The order in which a function is called, and how often: what a consumer must not change.
JOURNAL = """
create table journal (n bigint generated always as identity primary key, id text, key text, i int);
create function note(event jsonb) returns void language sql as
$$ insert into public.journal (id, key, i) values (event ->> 'id', event ->> 'key', ((event ->> 'payload')::jsonb ->> 'i')::int) $$;
"""


def order(i, **more):
    return {"id": i, "state": "new", "total": "12.50", "paid": "2026-11-29T20:00:00+01:00", "tags": ["a", "b c"], "info": {"x": [1]},
            "raw": "\\x00ff", **more}


def sqlite_table(d):
    db = sqlite3.connect(Path(d) / "target.db")
    db.execute("create table orders (id integer primary key, state text, total text, amount real)")
    db.commit()
    db.close()
    return f"sqlite:{d}/target.db"


def sqlite_rows(d, sql):
    db = sqlite3.connect(Path(d) / "target.db", timeout=60)
    try:
        return db.execute(sql).fetchall()
    finally:
        db.close()


@case
def into_postgres(d):
    """Rows are inserted, updated and deleted by key, and the database makes the types of the columns; a second run finds nothing to do."""
    f, t = Folder(d), Target(ORDERS)
    f.write([(i, order(i)) for i in range(1, 21)])
    f.write([(3, {"id": 3, "state": "paid"}), (4, "null"), (5, {"id": 5, "__deleted": True}), (6, {"id": 6, "total": 7, "other": 1})])
    path = conf(d, consumer(f.source, t.url(), apply={"into": "orders"}))
    check_equal(counts(consume(path)), (24, 0, 0), "applied, seen, buried")
    check_equal(t.rows("select id, state, total::text, doubled::text from orders where id in (2, 3, 6) order by id"),
                [(2, "new", "12.50", "25.00"), (3, "paid", "12.50", "25.00"), (6, "new", "7.00", "14.00")], "rows")
    check_equal(t.value("select count(*) from orders where id in (4, 5)"), 0, "deleted rows")
    check_equal(t.rows("select paid::text, tags, info::text, encode(raw, 'hex') from orders where id = 1"),
                [("2026-11-29 19:00:00+00", ["a", "b c"], '{"x": [1]}', "00ff")], "types")
    check_equal(t.claims(), 24, "claims")
    check_equal(counts(consume(path)), (0, 0, 0), "a second run")
    t.sql("delete from commitrelay.consumer_positions")
    check_equal(counts(consume(path)), (0, 24, 0), "a run that reads all again")


@case
def into_sqlite(d):
    f = Folder(d)
    inbox = sqlite_table(d)
    f.write([(i, {"id": i, "state": "new", "total": 1.10, "amount": 2.5}) for i in range(1, 16)])
    f.write([(3, {"id": 3, "state": "it's"}), (4, "null")])
    path = conf(d, consumer(f.source, inbox, apply={"into": "orders"}))
    check_equal(counts(consume(path)), (17, 0, 0), "applied, seen, buried")
    check_equal(sqlite_rows(d, "select id, state, total, amount from orders where id in (2, 3, 4)"),
                [(2, "new", "1.1", 2.5), (3, "it's", "1.1", 2.5)], "rows")
    check_equal(sqlite_rows(d, "select count(*) from orders"), [(14,)], "rows")
    check_equal(sqlite_rows(d, "select number from commitrelay_consumer_positions"), [(17,)], "the position")
    sqlite_exec(d, "delete from commitrelay_consumer_positions")
    check_equal(counts(consume(path)), (0, 17, 0), "a run that reads all again")


def sqlite_exec(d, sql):
    db = sqlite3.connect(Path(d) / "target.db", timeout=60, isolation_level=None)
    db.execute(sql)
    db.close()


@case
def call(d):
    """The function gets the event as it is; what comes twice, in another file too, is passed over."""
    f, t = Folder(d), Target(JOURNAL)
    ids = f.write([(f"k{i % 3}", {"i": i}) for i in range(25)])
    words = ["consume", "--from", f"file:{f.path}", "--inbox", t.url(), "--consumer", "billing", "--call", "note", "--until-idle"]
    r = run(words, timeout=60)
    check_equal(counts(r), (25, 0, 0), "applied, seen, buried")
    check_equal(t.rows("select id, i from journal order by n"), [(x, i) for i, x in enumerate(ids)], "the calls")
    other = Path(d) / "other"
    shutil.copytree(f.path, other)
    for p in other.iterdir():
        p.rename(other / p.name.replace("p-", "q-", 1))
    words[2] = f"file:{other}"
    check_equal(counts(run(words, timeout=60)), (0, 25, 0), "the same events in other files")
    check_equal(t.value("select count(*) from journal"), 25, "calls")


@case
def poison(d):
    """`stop` names the event and waits; `skip` keeps it whole as a dead letter. The others of its batch are applied."""
    f, t = Folder(d), Target(ORDERS)
    ids = f.write([(i, order(i, **({"total": "dear"} if i == 7 else {}))) for i in range(1, 21)])
    r = consume(conf(d, consumer(f.source, t.url(), apply={"into": "orders"})), code=75)
    check("can never be applied" in r.log and ids[6] in r.log and "numeric" in r.log, r.log)
    check_equal(t.value("select array_agg(id order by id) from orders"), [1, 2, 3, 4, 5, 6], "rows before the event")
    path = conf(d, consumer(f.source, t.url(), apply={"into": "orders"}, poison="skip"))
    check_equal(counts(consume(path))[2], 1, "dead letters")
    check_equal(t.value("select count(*) from orders"), 19, "rows")
    (letter,) = t.rows("select event_id, stream, number, key, reason, event::json ->> 'payload' from commitrelay.consumer_dead_letters")
    check_equal(letter[:4], (ids[6], "p", 7, "7"), "the dead letter")
    check("numeric" in letter[4], letter[4])
    check_equal(json.loads(letter[5])["total"], "dear", "the event in it")
    check_equal(t.value("select count(*) from inbox where event_id = %s", ids[6]), 0, "claims of it")


@case
def waits_for_help(d):
    """A consumer that runs is blocked by a poisoned event, and goes on once the database takes it."""
    f, t = Folder(d), Target(ORDERS + "alter table orders add check (id <> 7)")
    f.write([(i, order(i)) for i in range(1, 11)])
    r = consuming(conf(d, consumer(f.source, t.url(), apply={"into": "orders"})))
    r.wait_log("consumer blocked", 30)
    t.sql("alter table orders drop constraint orders_id_check")
    wait_for(lambda: t.value("select count(*) from orders") == 10, 30, "the events behind it")
    check_equal(r.stop(), 0, "exit code")


@case
def files_that_are_missing(d):
    f, t = Folder(d), Target(JOURNAL)
    f.write([("k", {"i": i}) for i in range(30)])
    second = f.files()[1]
    away = Path(d) / second.name
    first, aside = f.files()[0], Path(d) / "first"
    shutil.move(first, aside)
    path = conf(d, consumer(f.source, t.url(), apply={"call": "public.note"}))
    r = consume(path, code=69)
    check("events 1 to 10 of pipeline p are missing" in r.log, f"a new consumer passes over what is not there yet: {r.log}")
    check_equal(t.value("select count(*) from journal"), 0, "applied behind what is missing")
    shutil.move(aside, first)
    shutil.move(second, away)
    path = conf(d, consumer(f.source, t.url(), apply={"call": "public.note"}))
    r = consume(path, code=69)
    check("events 11 to 20 of pipeline p are missing" in r.log, r.log)
    check_equal(t.value("select max(i) from journal"), 9, "the last event before the gap")
    r = consuming(path)
    r.wait_log("are missing", 30)
    shutil.move(away, second)
    wait_for(lambda: t.value("select count(*) from journal") == 30, 30, "the file to be taken")
    check_equal(r.stop(), 0, "exit code")
    shutil.move(second, away)
    t.sql("truncate inbox, journal, commitrelay.consumer_positions")
    check_equal(counts(consume(conf(d, consumer({**f.source, "on_gap": "skip"}, t.url(), apply={"call": "note"}))))[0], 20, "applied")


@case
def steps_back(d):
    """An event that comes behind a later one of its key is applied, and told of; one that only comes again is not."""
    f, t = Folder(d), Target(JOURNAL)
    f.write([("k", {"i": i}) for i in range(3)])
    (path,) = f.files()
    lines = path.read_text().splitlines(True)
    path.write_text("".join([lines[1], lines[0], lines[2]]))
    c = conf(d, consumer(f.source, t.url(), apply={"call": "note"}))
    r = consume(c)
    check("event e000000 (p, 2) came behind a later one of its key: its position is 1" in r.log and "steps back 1" in r.log, r.log)
    t.sql("delete from commitrelay.consumer_positions")
    check("steps back 0" in consume(c).log, "the same again")


@case
def damaged_files(d):
    f, t = Folder(d), Target(JOURNAL)
    f.write([("k", {"i": i}) for i in range(10)])
    (path,) = f.files()
    whole = path.read_text()
    c = conf(d, consumer(f.source, t.url(), apply={"call": "note"}))
    for text, what in ((whole[:-20], "does not end with a line end"), ("".join(whole.splitlines(True)[:-1]), "fewer events"),
                       (whole + whole.splitlines(True)[0], "more events")):
        path.write_text(text)
        check(what in consume(c, code=69).log, what)


REFUSED = [
    ({"apply": {"into": "nosuch"}}, 78, "there is no table nosuch"),
    ({"apply": {"into": "bare"}}, 78, "has no primary key"),
    ({"apply": {"call": "nosuch"}}, 78, "there is no function"),
    ({"apply": {}}, 78, "must have one of into, call, exec and exec_stream, and has none"),
    ({"apply": {"into": "orders", "call": "note"}}, 78, "has several"),
    ({"apply": {"into": "orders"}, "poison": "park_key"}, 78, "is not in this version"),
    ({"apply": {"into": "orders"}, "format": "avro"}, 78, "json"),
    ({"apply": {"into": "orders"}, "inbox": {"url": "mysql://h/d"}}, 78, "inbox.url must be"),
    ({"apply": {"call": "note"}, "inbox": {"url": "sqlite:x.db"}}, 78, "needs PostgreSQL"),
    ({"apply": {"into": "orders"}, "from": {"type": "file", "dir": "/nosuch/folder"}}, 78, "cannot be read"),
    ({"apply": {"into": "orders"}, "from": {"type": "amqp"}}, 78, "not a known type"),
    ({"apply": {"exec": ["/nosuch/program"]}}, 78, "cannot be started"),
]


@case
def refused(d):
    """What does not fit is named, with its exit code."""
    f, t = Folder(d), Target(ORDERS + JOURNAL + "create table bare (id int); create role reader login")
    f.write([("k", {"i": 1})])
    for more, code, text in REFUSED:
        r = consume(conf(d, {**consumer(f.source, t.url()), **more}), code=code)
        check(text in r.log, f"{more}: {r.log}")
    check("billing" in consume(conf(d, consumer(f.source, t.url(), apply={"into": "orders"})), "bilin", code=64).log, "the nearest name")
    r = consume(conf(d, consumer(f.source, t.pg.url(t.name, user="reader"), name="other", apply={"into": "orders"})), code=77)
    words = ["consume", "--from", f"file:{f.path}", "--consumer", "x", "--into", "orders", "--inbox"]
    check("holds a password" in run([*words, "postgresql://u:secret@h/d"], code=64).log, "a password")
    check("is none of" in run([*words[:2], "amqp://h", *words[3:], "postgresql://h/d"], code=64).log, "a source")
    check("give one of" in run([*words, t.url(), "--call", "f"], code=64).log, "two effects")


POINTS = ["consume_claimed", "consume_before_commit", "consume_committed"]


@case
def killed_anywhere(d):
    """kill -9 at each point, again and again: effects are the committed events, once each and in their order."""
    f, t = Folder(d), Target(ORDERS + JOURNAL)
    ids = f.write([(f"k{i % 5}", {"id": i % 7, "state": str(i), "i": i}) for i in range(90)])
    for name, apply in (("a", {"call": "note"}), ("b", {"into": "orders"})):
        path = conf(d, consumer(f.source, t.url(), name=name, apply=apply, batch_size=7))
        for passage in (1, 2, 3):
            for point in POINTS:
                r = consuming(path, env={"COMMITRELAY_FAULT": f"{point}@{passage}:kill"})
                r.wait_exit(60)
                check(r.poll() in (-9, 0), f"end at {point}: {r.poll()}\n{r.log}")
        consume(path)
    check_equal([r[0] for r in t.rows("select id from journal order by n")], ids, "the calls")
    check_equal(t.rows("select id, state from orders order by id"),
                sorted((i % 7, str(i)) for i in range(83, 90)), "the rows")
    check_equal(t.claims(), 180, "claims")


@case
def a_server_that_dies(d):
    """The consumer's database is killed under load, and started again: the consumer goes on by itself."""
    f = Folder(d)
    with Postgres(name="dying") as pg:
        t = Target(JOURNAL, pg=pg)
        f.write([(f"k{i % 5}", {"i": i}) for i in range(40)])
        t.sql("create function slow(event jsonb) returns void language sql as $$ select note(event); select pg_advisory_xact_lock(1) $$")
        c = t.connect()
        with c.cursor() as cur:
            cur.execute("select pg_advisory_lock(1)")
        r = consuming(conf(d, consumer(f.source, t.url(), apply={"call": "slow"}, batch_size=10)))
        wait_for(lambda: t.value("select count(*) from pg_locks where not granted and locktype = 'advisory'"), 30, "a call to be under way")
        pg.crash()
        r.wait_log("retry in", 30)
        pg.start()
        wait_for(lambda: t.value("select count(*) from journal") == 40, 60, "all events")
        check_equal(r.stop(), 0, "exit code")
        check_equal([x[0] for x in t.rows("select i from journal order by n")], list(range(40)), "the calls")
        c.close()


@case
def sigterm_drains(d):
    """What is under way is finished; what has not begun is left for the next start."""
    f, t = Folder(d), Target(JOURNAL)
    f.write([("k", {"i": i}) for i in range(20)])
    t.sql("create function slow(event jsonb) returns void language sql as $$ select note(event); select pg_advisory_xact_lock(1) $$")
    c = t.connect(autocommit=True)
    with c.cursor() as cur:
        cur.execute("select pg_advisory_lock(1)")
        r = consuming(conf(d, consumer(f.source, t.url(), apply={"call": "slow"}, batch_size=5, drain_timeout="60s")))
        wait_for(lambda: t.value("select count(*) from pg_locks where not granted and locktype = 'advisory'"), 30, "a call to be under way")
        r.term()
        r.wait_log("consumer stopping", 30)
        cur.execute("select pg_advisory_unlock(1)")
    check_equal(r.wait_exit(60), 0, "exit code")
    check_equal(t.value("select count(*) from journal"), 5, "calls")
    check_equal(t.value("select number from commitrelay.consumer_positions"), 5, "the position")
    c.close()


def script(d, name, text):
    path = Path(d) / name
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return str(path)


@case
def exec_program(d):
    """Each event runs the program at least once, with its id and its line; 75 is tried again, any other failure is poison."""
    f, t = Folder(d), Target()
    ids = f.write([("k", {"i": i}) for i in range(12)])
    log = Path(d) / "log"
    program = script(d, "program", f'read -r line; echo "$COMMITRELAY_EVENT_ID $1 $line" >> {log}\n'
                                   f'[ "$COMMITRELAY_EVENT_ID" = {ids[3]} ] && [ ! -e {d}/again ] && touch {d}/again && exit 75\n'
                                   f'[ "$COMMITRELAY_EVENT_ID" = {ids[5]} ] && exit 3\nexit 0\n')
    path = conf(d, consumer(f.source, t.url(), apply={"exec": [program, "a b"]}, poison="skip", attempts=2))
    check_equal(counts(consume(path)), (11, 0, 1), "applied, seen, buried")
    lines = log.read_text().splitlines()
    check_equal([line.split()[0] for line in lines], [i for n, i in enumerate(ids) for _ in range(2 if n in (3, 5) else 1)], "runs")
    check(all(line.split(" ", 1)[1].startswith("a b {") for line in lines), "the argument")
    check_equal(json.loads(lines[0].split(" ", 3)[3])["id"], ids[0], "the line")
    check("ended with 3" in t.value("select reason from commitrelay.consumer_dead_letters"), "the reason")
    for point in ("consume_program_ended@2",):
        t.sql("truncate inbox, commitrelay.consumer_positions")
        log.write_text("")
        r = consuming(path, env={"COMMITRELAY_FAULT": f"{point}:kill"})
        r.wait_exit(60)
        check_equal(r.poll(), -9, "the kill")
        consume(path)
        check_equal(sorted(set(line.split()[0] for line in log.read_text().splitlines())), sorted(ids), "each at least once")


@case
def exec_stream(d):
    """One program for all events, started again when it ends: a line in, a line out."""
    f, t = Folder(d), Target()
    ids = f.write([("k", {"i": i}) for i in range(12)])
    log = Path(d) / "log"
    program = script(d, "stream", f'echo start >> {log}\nn=0\nwhile read -r line; do\necho "$line" >> {log}\nn=$((n + 1))\n'
                                  f'case "$line" in *{ids[4]}*) echo "bad event"; continue ;; esac\n'
                                  '[ $n = 8 ] && exit 1\necho ok\ndone\n')
    path = conf(d, consumer(f.source, t.url(), apply={"exec_stream": [program]}, poison="skip", attempts=1))
    check_equal(counts(consume(path)), (11, 0, 1), "applied, seen, buried")
    lines = log.read_text().splitlines()
    check_equal(lines.count("start"), 2, "starts")
    check_equal([json.loads(x)["id"] for x in lines if x != "start"], [*ids[:8], *ids[7:]], "lines")
    check("bad event" in t.value("select reason from commitrelay.consumer_dead_letters"), "the reason")


@case
def workers(d):
    """Keys are applied at the same time, and each key in its order; a restart changes nothing."""
    f, t = Folder(d, events=50), Target(JOURNAL)
    ids = f.write([(f"k{i % 11}", {"i": i}) for i in range(400)])
    path = conf(d, consumer(f.source, t.url(), apply={"call": "note"}, workers=4, batch_size=5))
    r = consuming(path, env={"COMMITRELAY_FAULT": "consume_before_commit@12:kill"})
    r.wait_exit(60)
    check_equal(r.poll(), -9, "the kill")
    consume(path)
    rows = t.rows("select key, i, id from journal order by n")
    check_equal(sorted(x[2] for x in rows), sorted(ids), "events")
    for key in {x[0] for x in rows}:
        own = [x[1] for x in rows if x[0] == key]
        check_equal(own, sorted(own), f"the order of {key}")
    check(r.log.count("consumer of file") == 1, "one start")


@case
def beside_pipelines(d):
    """`run` runs consumers beside pipelines: a reload replaces the one that changed, and /metrics counts."""
    f, t, address = Folder(d), Target(ORDERS), admin()
    f.path.mkdir()
    path = Path(d) / "both.yaml"

    def write(**more):
        c = json.loads(f.conf.read_text())
        c["admin"] = {"listen": address}
        c["pipelines"][0]["sink"]["rotate"]["interval"] = "100ms"
        c["consumers"] = [{**consumer(f.source, t.url(), apply={"into": "orders"}), **more}]
        path.write_text(json.dumps(c))
    write()
    check("OK    consumer billing: settings" in run(["check", "-c", path]).stdout, "check")
    r = daemon(path)
    r.wait_log("consumer running", 60)
    insert(f, [(i, order(i)) for i in range(1, 21)])
    wait_for(lambda: t.value("select count(*) from orders") == 20, 60, "the rows")
    insert(f, [(21, order(21, total="dear")), (22, order(22))])
    r.wait_log("consumer blocked", 60)
    write(poison="sometimes")
    r.signal(signal.SIGHUP)
    r.wait_log("reload refused", 60)
    write(poison="skip")
    r.signal(signal.SIGHUP)
    wait_for(lambda: t.value("select count(*) from orders") == 21, 60, "the row behind the dead letter")
    wait_for(lambda: metric(address, "consumer_dead_letters_total") == 1, 30, "the dead letter to be counted")
    check_equal(r.stop(30), 0, "exit code")


def insert(f, rows):
    db = f.shop.connect()
    db.executemany("insert into outbox (id, aggregatetype, aggregateid, type, payload) values (?, 'order', ?, 'T', ?)",
                   [(f"x{k}", str(k), json.dumps(p)) for k, p in rows])
    db.close()


if __name__ == "__main__":
    shared_server()
    main(lambda: Path(tempdir("consume")))
