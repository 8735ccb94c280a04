#!/usr/bin/python3
"""`consume` from batch files: each event's effect comes once, whatever fails, in PostgreSQL and SQLite.

    consume.py [NAME...]     only these checks
"""
import base64
import json
import shutil
import signal
import sqlite3
from pathlib import Path

from support.cases import case, main
from support.consuming import Folder, Target, conf, consume, consumer, consuming, counts
from support.pg import Postgres
from support.proc import check, check_equal, run, tempdir, wait_for
from support.relaying import admin, daemon, metric, once
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
    check_equal(t.rows("select (paid at time zone 'utc')::text, tags, info::text, encode(raw, 'hex') from orders where id = 1"),
                [("2026-11-29 19:00:00", ["a", "b c"], '{"x": [1]}', "00ff")], "types")
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
def an_altered_table(d):
    """Columns that are added, renamed and dropped are known with the next event, also to a consumer that runs."""
    f, t = Folder(d), Target(ORDERS)
    inbox = sqlite_table(d)
    f.write([(1, {"id": 1, "state": "new"})])
    path = conf(d, consumer(f.source, t.url(), apply={"into": "orders"}), consumer(f.source, inbox, name="lite", apply={"into": "orders"}))
    both = [consuming(path, name) for name in ("billing", "lite")]

    def there(condition):
        query = f"select count(*) from orders where {condition}"
        wait_for(lambda: t.value(query) == 1 and sqlite_rows(d, query) == [(1,)], 30, f"the row with {condition}")

    def alter(sql):
        t.sql(sql)
        sqlite_exec(d, sql)
    there("id = 1")
    alter("alter table orders add column note text")
    f.write([(2, {"id": 2, "note": "added"})])
    there("id = 2 and note = 'added'")
    alter("alter table orders rename column state to condition")
    f.write([(3, {"id": 3, "state": "old", "condition": "renamed"})])
    there("id = 3 and condition = 'renamed'")
    alter("alter table orders drop column note")
    f.write([(4, {"id": 4, "condition": "new", "note": "dropped"})])
    there("id = 4 and condition = 'new'")
    for r in both:
        check_equal(r.stop(), 0, "exit code")
        check("consumer blocked" not in r.log and "retry" not in r.log, r.log)


@case
def what_a_function_raises(d):
    """Whatever its code, it is the event's; what is missing in the database is not, and buries nothing."""
    f, t = Folder(d), Target(JOURNAL + """
        create function picky(event jsonb) returns void language plpgsql as $$
        declare i int := (event ->> 'payload')::jsonb ->> 'i';
        begin
            case i when 1 then raise 'of its own' using errcode = 'SH001';
                   when 3 then raise 'without a code';
                   when 5 then case when false then null; end case;
                   when 7 then raise 'a cursor' using errcode = '24000';
                   when 9 then insert into journal (n) overriding system value select n from journal limit 1;
                   else perform note(event); end case;
        end $$""")
    f.write([("k", {"i": i}) for i in range(11)])
    path = conf(d, consumer(f.source, t.url(), apply={"call": "picky"}, poison="skip", attempts=1))
    check_equal(counts(consume(path)), (6, 0, 5), "applied, seen, buried")
    check("of its own" in t.value("select string_agg(reason, ' ') from commitrelay.consumer_dead_letters"), "the reason")
    f.write([("k", {"i": 20})])
    t.sql("alter table journal rename to elsewhere")
    check_equal(counts(consume(path, code=78)), (0, 0, 0), "without the function's table")
    t.sql("alter table elsewhere rename to journal")
    check_equal(counts(consume(path)), (1, 0, 0), "with it")


@case
def codes_of_a_function(d):
    """An internal error is the event's after its tries; what is not ready is waited for, without end and without a dead letter."""
    own = ["XX000", "0A000", "25001", "28000", "42601", "42P17", "2F004"]
    later = ["55000", "57014", "53100", "40001", "08006"]
    f, t = Folder(d), Target(JOURNAL + """
        create table ready ();
        create function raises(event jsonb) returns void language plpgsql as $$
        declare code text := (event ->> 'payload')::jsonb ->> 'code';
        begin
            if code is null or to_regclass('ready') is not null and substr(code, 1, 2) in ('55', '57', '53', '40', '08')
            then perform note(event); else raise 'not now' using errcode = code; end if;
        end $$""")
    f.write([("own", {"code": c}) for c in own])
    path = conf(d, consumer(f.source, t.url(), apply={"call": "raises"}, poison="skip", attempts=2))
    check_equal(counts(consume(path)), (0, 0, len(own)), "applied, seen, buried")
    t.sql("drop table ready")
    for i, code in enumerate(later, 1):
        f.write([("later", {"code": code})])
        r = consuming(path)
        wait_for(lambda r=r: r.log.count("not now") >= 1 and "consumer retrying" in r.log, 30, f"a try of {code}")
        t.sql("create table ready ()")
        wait_for(lambda i=i: t.value("select count(*) from journal") == i, 30, f"the call after {code}")
        t.sql("drop table ready")
        check_equal(r.stop(), 0, "exit code")
    check_equal(t.value("select count(*) from commitrelay.consumer_dead_letters"), len(own), "dead letters")


# As f80dd49 made it.
EARLIER_LETTERS = """
create table {letters} (
    consumer text not null, event_id text not null, stream text not null, number {number} not null, key text, reason text not null,
    event text not null, created_at {time}, primary key (consumer, event_id));
insert into {letters} (consumer, event_id, stream, number, reason, event) values ('billing', 'old', 'p', 1, 'odd', 'an event');
"""


@case
def tables_of_an_earlier_build(d):
    """They get what they lack, and the dead letters in them stay. Who may not alter them is told what to do."""
    f, t, lite = Folder(d), Target(ORDERS), sqlite_table(d)
    earlier = EARLIER_LETTERS.format(letters="commitrelay.consumer_dead_letters", number="bigint", time="timestamptz not null default now()")
    t.sql("create schema commitrelay; create table commitrelay.consumer_positions (consumer text not null, stream text not null, number bigint not"
          " null, saved_at timestamptz not null default now(), primary key (consumer, stream));" + earlier)
    db = sqlite3.connect(Path(d) / "target.db")
    db.executescript("create table commitrelay_consumer_positions (consumer text not null, stream text not null, number integer not null,"
                     " saved_at text, primary key (consumer, stream)) without rowid;"
                     + EARLIER_LETTERS.format(letters="commitrelay_consumer_dead_letters", number="integer",
                                              time="text not null default '2026-11-29T20:00:00Z'"))
    db.close()
    t.sql(f"create role old_{t.name} login; grant usage on schema commitrelay to old_{t.name}; grant select, insert, update on all tables in"
          f" schema public, commitrelay to old_{t.name}")
    f.write([("1", "[1]"), ("1", "[2]")])
    (path,) = f.files()
    lines = [json.loads(x) for x in path.read_text().splitlines()]
    path.write_text("".join(json.dumps({**x, "id": "twice"}) + "\n" for x in lines))
    c = conf(d, *(consumer(f.source, url, name=name, apply={"into": "orders"}, poison="skip")
                  for name, url in (("poor", t.pg.url(t.name, user=f"old_{t.name}")), ("billing", t.url()), ("lite", lite))))
    run(["init", "--source", t.url(), "--inbox"])
    check("schema/postgres/consumer.sql" in consume(c, "poor", code=77).log, "what an owner is to run")
    check_equal(t.value("select count(*) from information_schema.columns where table_schema = 'commitrelay' and column_name = 'digest'"), 0, "columns")
    for again in range(2):
        for name in ("billing", "lite"):
            check_equal(counts(consume(c, name)), (0, 0, 2 - 2 * again), f"applied, seen, buried by {name}")
    want = [("old", "an event"), ("twice", "[1]"), ("twice", "[2]")]

    def letters(rows):
        return sorted((i, e if i == "old" else json.loads(e)["payload"]) for i, e in rows)
    check_equal(letters(t.rows("select event_id, event from commitrelay.consumer_dead_letters")), want, "letters")
    check_equal(letters(sqlite_rows(d, "select event_id, event from commitrelay_consumer_dead_letters")), want, "letters, SQLite")
    check_equal(sqlite_rows(d, "select name from sqlite_master where name like '%before'"), [], "what was put aside")
    t.sql((Path(__file__).parents[2] / "schema/postgres/consumer.sql").read_text())
    check_equal(t.value("select count(*) from commitrelay.consumer_dead_letters"), 3, "letters after an owner ran the file once more")


@case
def another_encoding(d):
    """A database that is not UTF-8 takes what its letters can say; an event with others is a dead letter with every byte."""
    f, t = Folder(d), Target("create table orders (id bigint primary key, state text)", encoding="LATIN1")
    f.write([("1", '{"id": 1, "state": "\u00e9"}'), ("2", '{"id": 2, "state": "\u20ac"}'), ("\u20ac", {"id": 3})])
    lines = f.files()[0].read_bytes().splitlines()
    check_equal(counts(consume(conf(d, consumer(f.source, t.url(), apply={"into": "orders"}, poison="skip")))), (2, 0, 1), "applied, seen, buried")
    check_equal(t.rows("select id, state from orders order by id"), [(1, "\u00e9"), (3, None)], "rows")
    check_equal(t.rows("select number, encode(event_bytes, 'hex') from commitrelay.consumer_dead_letters"), [(2, lines[1].hex())], "the dead letter")


@case
def rights_on_columns(d):
    """A role without any right on the whole table applies all the same, and knows an altered table with the next event."""
    f, t = Folder(d), Target("create table orders (id bigint primary key, state text, secret text)")
    role = f"columns_{t.name}"
    run(["init", "--source", t.url(), "--inbox"])
    t.sql((Path(__file__).parents[2] / "schema/postgres/consumer.sql").read_text())
    t.sql(f"create role {role} login; grant usage on schema commitrelay to {role}; grant select, insert on inbox to {role};"
          f" grant select, insert, update on all tables in schema commitrelay to {role};"
          f" grant select (id, state), insert (id, state), update (id, state) on orders to {role}")
    path = conf(d, consumer(f.source, t.pg.url(t.name, user=role), apply={"into": "orders"}))
    f.write([(1, {"id": 1, "state": "new"}), (1, {"id": 1, "state": "paid"})])
    r = consuming(path)
    wait_for(lambda: t.rows("select id, state from orders") == [(1, "paid")], 30, "the row")
    t.sql(f"alter table orders add column note text; grant select (note), insert (note), update (note) on orders to {role}")
    f.write([(2, {"id": 2, "note": "added"})])
    wait_for(lambda: t.rows("select note from orders where id = 2") == [("added",)], 30, "the column that was added")
    check_equal(r.stop(), 0, "exit code")
    check("retry" not in r.log, r.log)


@case
def until_idle_beside_pipelines(d):
    """`run --until-idle`: a consumer ends when it has applied all that the pipelines beside it have sent, from a folder that they make."""
    f, t = Folder(d), Target(ORDERS)
    insert(f, [(i, order(i)) for i in range(1, 31)])
    c = json.loads(f.conf.read_text())
    c["consumers"] = [consumer(f.source, t.url(), apply={"into": "orders"})]
    path = Path(d) / "both.yaml"
    path.write_text(json.dumps(c))
    for n in (30, 31):
        r = once(path, 60)
        check_equal(r.poll(), 0, f"exit code:\n{r.log}")
        check_equal(t.value("select count(*) from orders"), n, "rows")
        insert(f, [(n + 1, order(n + 1))])


@case
def compressed_files(d):
    for compression in ("gzip", "zstd"):
        folder = Path(d) / compression
        folder.mkdir()
        f, t = Folder(folder, compression=compression), Target(JOURNAL)
        ids = f.write([("k", {"i": i, "text": "x" * 1000}) for i in range(600)])
        path = conf(folder, consumer(f.source, t.url(), apply={"call": "note"}))
        check_equal(counts(consume(path)), (600, 0, 0), "applied, seen, buried")
        check_equal(t.rows("select id from journal order by n"), [(i,) for i in ids], f"the calls, {compression}")
        t.sql("truncate inbox, journal, commitrelay.consumer_positions")
        first = f.files()[0]
        first.write_bytes(first.read_bytes()[:-9])
        check("cannot be unpacked to its end" in consume(path, code=69).log, "a file that was cut off")


@case
def binary_payloads(d):
    f, t = Folder(d), Target("create table got (id text, bytes bytea); create function take(event jsonb) returns void language sql as"
                             " $$ insert into got select event ->> 'id', decode(event ->> 'payload_base64', 'base64') $$")
    ids = f.write([("k", "x")])
    (path,) = f.files()
    line = json.loads(path.read_text())
    del line["payload"]
    path.write_text(json.dumps({**line, "payload_base64": base64.b64encode(b"\x00\xff").decode()}) + "\n")
    consume(conf(d, consumer(f.source, t.url(), apply={"call": "take"})))
    check_equal(t.rows("select id, encode(bytes, 'hex') from got"), [(ids[0], "00ff")], "the bytes")


@case
def letters_lose_nothing(d):
    """Two bodies of one id are two letters, bytes that are no text are kept as bytes, and what comes again changes nothing."""
    f, t = Folder(d), Target(ORDERS)
    inbox = sqlite_table(d)
    ids = f.write([("1", "[1]"), ("1", "[2]"), ("1", "[3]")])
    (path,) = f.files()
    lines = path.read_bytes().splitlines()
    lines[1] = lines[1].replace(ids[1].encode(), ids[0].encode())
    lines[2] = lines[2].replace(b'"key":"1"', b'"key":"\xff"')
    path.write_bytes(b"\n".join(lines) + b"\n")
    c = conf(d, consumer(f.source, t.url(), apply={"into": "orders"}, poison="skip"),
             consumer(f.source, inbox, name="lite", apply={"into": "orders"}, poison="skip"))
    for again in range(2):
        for name in ("billing", "lite"):
            check_equal(counts(consume(c, name)), (0, 0, 3), f"applied, seen, buried, run {again}")
        t.sql("delete from commitrelay.consumer_positions")
        sqlite_exec(d, "delete from commitrelay_consumer_positions")
    want = [(ids[0], 1, None), (ids[0], 2, None), (ids[2], 3, lines[2].hex())]
    check_equal(t.rows("select event_id, number, encode(event_bytes, 'hex') from commitrelay.consumer_dead_letters order by number"), want,
                "letters")
    check_equal(sqlite_rows(d, "select event_id, number, case when event_bytes is not null then lower(hex(event_bytes)) end"
                               " from commitrelay_consumer_dead_letters order by number"), want, "letters, SQLite")
    check(t.value("select event from commitrelay.consumer_dead_letters where number = 3").count("\ufffd") == 1, "the text beside them")


@case
def a_wal_does_not_grow_without_end(d):
    """Nobody else writes to the SQLite database: the consumer checkpoints it."""
    f, inbox = Folder(d, events=100), sqlite_table(d)
    sqlite_exec(d, "pragma journal_mode = wal")
    f.write([(i, {"id": i, "state": "x" * 30000}) for i in range(500)])
    consume(conf(d, consumer(f.source, inbox, apply={"into": "orders"}, batch_size=10)))
    size = (Path(d) / "target.db-wal").stat().st_size
    check(size < 8 << 20, f"the WAL has {size} bytes")
    check_equal(sqlite_rows(d, "select count(*) from orders"), [(500,)], "rows")


@case
def one_blocked_key(d):
    """While a key is blocked others are applied, and the consumer is not called well."""
    f, t = Folder(d), Target(ORDERS)
    f.write([(i, order(i, **({"total": "dear"} if i == 1 else {}))) for i in range(1, 3)])
    r = consuming(conf(d, consumer(f.source, t.url(), apply={"into": "orders"}, workers=4, attempts=1, batch_size=5)))
    r.wait_log("consumer blocked", 30)
    before = t.value("select count(*) from orders")
    f.write([(i, order(i)) for i in range(3, 40)])
    wait_for(lambda: t.value("select count(*) from orders") >= before + 10, 30, "rows of other keys")
    check_equal(r.log.count("consumer running"), 1, f"how often it was well:\n{r.log}")
    check_equal(r.stop(), 0, "exit code")


@case
def a_source_that_is_missing(d):
    """At the start of `consume` it ends it; `run` waits for it, since a pipeline may make it."""
    f, t = Folder(d), Target(ORDERS)
    path = conf(d, consumer(f.source, t.url(), apply={"into": "orders"}))
    r = consuming(path)
    check_equal(r.wait_exit(60), 78, f"exit code:\n{r.log}")
    check("consumer running" not in r.log, r.log)
    r = daemon(path)
    r.wait_log("cannot be read", 60)
    f.write([(1, order(1))])
    wait_for(lambda: t.value("select count(*) from orders") == 1, 60, "the row")
    check_equal(r.stop(), 0, "exit code")


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
                                  f'case "$line" in *{ids[4]}*) echo "bad event"; continue ;; *{ids[9]}*) exit 3 ;; esac\n'
                                  '[ $n = 8 ] && exit 1\necho ok\ndone\n')
    path = conf(d, consumer(f.source, t.url(), apply={"exec_stream": [program]}, poison="skip", attempts=2))
    check_equal(counts(consume(path)), (10, 0, 2), "applied, seen, buried")
    lines = log.read_text().splitlines()
    check_equal(lines.count("start"), 4, "starts")
    check_equal([json.loads(x)["id"] for x in lines if x != "start"],
                [ids[i] for i in (0, 1, 2, 3, 4, 4, 5, 6, 6, 7, 8, 9, 9, 10, 11)], "lines")
    reasons = [r[0] for r in t.rows("select reason from commitrelay.consumer_dead_letters order by number")]
    check("bad event" in reasons[0] and "ended with 3 before it answered" in reasons[1], f"the reasons: {reasons}")


@case
def exec_stream_stops_between_events(d):
    """A stop, and a partition that goes, wait for the event in hand, not for those that were taken with it."""
    f, t = Folder(d), Target()
    f.write([("k", {"i": i}) for i in range(12)])
    log, go = Path(d) / "log", Path(d) / "go"
    program = script(d, "held", f'while read -r line; do\necho line >> {log}\nwhile [ ! -e {go} ]; do sleep 0.02; done\necho ok\ndone\n')
    r = consuming(conf(d, consumer(f.source, t.url(), apply={"exec_stream": [program]}, drain_timeout="60s")))
    wait_for(log.exists, 30, "the first event")
    r.term()
    r.wait_log("consumer stopping", 30)
    go.touch()
    check_equal(r.wait_exit(60), 0, "exit code")
    check_equal((log.read_text().count("line"), t.claims()), (1, 1), "events, and claims")


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
