"""Rows that a server cannot give or a relay cannot carry: they are named and passed or waited for, and harm nobody else."""
import contextlib
import functools
import json
import re
import sqlite3

from support import proc
from support.arrivals import ids, wait_ids
from support.bad_input import alive, ended, fault, faults
from support.proc import check, check_equal
from support.relaying import config, daemon, once, pipeline
from support.shop import PostgresShop, SqliteShop, StreamShop, schema, shared_server

REFUSED = r"the server cannot send what comes "
ROW = "insert into outbox (aggregatetype, aggregateid, type, payload, n) values ('order', 'k', 'T', '{{}}', {})"
TEXT = "alter table outbox add n text"
INSIDE = "the table it named last is public\\.outbox"


def _filtered():
    """A row filter that fails at one row."""
    shop = StreamShop("alter table outbox add n int not null default 1")
    shop.sql("drop publication pub; create publication pub for table outbox where (10 / n > 0) with (publish = 'insert')")
    return shop


# Each makes an outbox, a transaction that the server cannot send, and what it says then.
REFUSING = {
    "filter": (_filtered, ROW.format(0), "division by zero"),
    # The row before it is sent, so that place and table are known.
    "filter_inside": (_filtered, f"{ROW.format(1)}; {ROW.format(0)}", f"behind change 1 of .*{INSIDE}.*division by zero"),
    # 168 MB, whose text would have more than a gigabyte, as that of 560 MB of bytea has.
    "huge": (lambda: StreamShop("alter table outbox add n bit varying"),
             "do $$ declare b bit varying := 0::bit(83886080); begin for i in 1..4 loop b := b || b; end loop; "
             f"{ROW.format('b')}; end $$", "invalid memory alloc request size"),
    "no_encoding": (lambda: StreamShop(TEXT, options="template template0 encoding 'SQL_ASCII' locale 'C'"),
                    ROW.format(r"E'caf\xe9'"), "invalid byte sequence for encoding")}


def _relays_three(d, shop):
    """The relay's file, and the relay, which has delivered three events."""
    path = shop.conf(d)
    r = daemon(path)
    shop.wait_streaming()
    shop.insert(3)
    wait_ids(lambda: ids(r), shop.ids)
    return path, r


@faults(REFUSING)
def cdc_refused(d, how):
    """What the server cannot send blocks, with the place; only what is beyond it shows that it is over; `position set` passes it."""
    make, spoil, why = how
    shop = make()
    path, r = _relays_three(d, shop)
    shop.sql(spoil)
    end = shop.value("select pg_current_wal_insert_lsn()::text")
    shop.insert(2)
    r.wait_log(f"state blocked: {REFUSED}.*{why}")
    check(" is back " not in r.log, "it said that it is back")
    place = re.findall(r"`position set (\S+) --yes`", r.log)[-1]
    proc.run(["position", "set", "-c", path, "--pipeline", "p", end if place == "LSN" else place, "--yes"], timeout=60)
    wait_ids(lambda: ids(r), shop.ids)
    r.wait_log("is back after")
    return alive(r)


@faults(REFUSING)
def cdc_refused_until_idle(d, how):
    make, spoil, why = how
    shop = make()
    path, r = _relays_three(d, shop)
    alive(r)
    shop.sql(spoil)
    r = once(path, timeout=60)
    check(re.search(f"{REFUSED}.*{why}", r.log), f"the reason\n{r.log}")
    return ended(r)


# --- an id that is the empty text ---

TEXT_ID = "alter table outbox alter id drop default, alter id type text"
INSERT = "insert into outbox (id, aggregatetype, aggregateid, type, payload) values ('{}', 'order', 'k', 'T', '{{}}')"


def _execute(shop, text):
    if isinstance(shop, SqliteShop):
        with contextlib.closing(sqlite3.connect(shop.path, timeout=30)) as db, db:
            db.execute(text)
    else:
        shop.sql(text)


def _sqlite(d, mode):
    shop = SqliteShop(d)
    return functools.partial(_execute, shop), config(d, pipeline(shop.source(mode=mode), poison="skip"))


def _postgres(d, mode):
    outbox = PostgresShop(TEXT_ID)
    return outbox.sql, config(d, pipeline(outbox.source(mode=mode), poison="skip"))


def _cdc(d, _):
    shop = StreamShop(TEXT_ID)
    path = config(d, pipeline(shop.source(), poison="skip"))
    check_equal(once(path).poll(), 0, "exit code of the run that makes the slot")
    return shop.sql, path


@faults({"sqlite": (_sqlite, "position"), "sqlite_delete": (_sqlite, "delete"), "position": (_postgres, "position"),
         "delete": (_postgres, "delete"), "cdc": (_cdc, None)})
def empty_id(d, how):
    """Consumers could not drop its repetitions, so it is poison; the others come."""
    make, mode = how
    sql, path = make(d, mode)
    for text in ("a", "", "b"):
        sql(INSERT.format(text))
    r = once(path)
    check_equal(ids(r), ["a", "b"], "what came")
    check("dead letter: event" in r.log, "there is no dead letter")
    return ended(r)


# --- a row that the server cannot print ---

def _bytes_that_are_no_text():
    """The third of five rows, in a database that takes any bytes."""
    pg = shared_server()
    outbox = PostgresShop()
    name, outbox.name = outbox.name, f"{outbox.name}_ascii"
    pg.sql(f"drop database {name}")
    pg.sql(f"create database {outbox.name} template template0 encoding 'SQL_ASCII' locale 'C'")
    outbox.sql(schema("postgres/outbox") + "alter table outbox alter payload type text")
    return outbox, "convert_from('\\x6261ff'::bytea, 'SQL_ASCII')"


def _damaged():
    """Its payload lies in another file, where it is no more."""
    outbox = PostgresShop("create extension pg_surgery; alter table outbox alter payload set storage external")
    return outbox, "to_jsonb(repeat('x', 5000))"


def _damage(outbox):
    outbox.sql("select heap_force_kill(reltoastrelid, array(select format('(0,%s)', n)::tid from generate_series(1, 3) n)) "
               "from pg_class where oid = 'outbox'::regclass")


STATUSES = schema("postgres/status")


@faults({f"{what}_{mode}": (make, mode) for mode in ("position", "status", "delete")
         for what, make in {"no_text": _bytes_that_are_no_text, "damaged": _damaged}.items()})
def unprintable(d, how):
    """It is a dead letter that names the row, and the others come. The row goes only where the dead letter holds all of it, escaped."""
    make, mode = how
    outbox, payload = make()
    if mode == "status":
        outbox.sql(STATUSES)
    outbox.insert(20)
    bad = outbox.sql(f"insert into outbox (aggregatetype, aggregateid, type, payload) values ('order', 'k', 'T', {payload}) returning id::text")[0][0]
    outbox.insert(20)
    if make is _damaged:
        _damage(outbox)
    r = once(config(d, pipeline(outbox.source(mode=mode), poison="skip")))
    check_equal(ids(r), outbox.ids, "what came")
    whole = make is not _damaged
    check_equal(outbox.value("select count(*) from outbox where id = %s", bad), 0 if whole and mode == "delete" else 1, "the row")
    check_equal(outbox.value("select payload is not null from commitrelay.dead_letters"), whole, "a payload in the dead letter")
    check_equal(outbox.sql("select event_id from commitrelay.dead_letters"), [(bad,)], "dead letters")
    check(" retry in " not in r.log, "it had to begin anew")
    again = once(config(d, pipeline(outbox.source(mode=mode), poison="skip")))
    check_equal((again.poll(), ids(again)), (0, []), f"a second run: {again.log}")
    check("dead letter" not in again.log, "it is told twice")
    return ended(r)


# --- larger than an event may be ---

SMALL = {"max_event_bytes": "10KiB"}
BIG = json.dumps({"pad": "x" * 100_000})


def _sqlite_shop(d):
    shop = SqliteShop(d)
    return shop, "commitrelay_dead_letters"


def _postgres_shop(_):
    return PostgresShop(), "commitrelay.dead_letters"


@fault
def too_large_alone(d):
    """With nothing else to mark in delete mode, a run until idle ends all the same."""
    outbox = PostgresShop()
    outbox.insert(1, payload=BIG)
    return ended(once(config(d, pipeline(outbox.source(mode="delete"), poison="skip", **SMALL))))


@faults({"sqlite_position": (_sqlite_shop, "position"), "sqlite_delete": (_sqlite_shop, "delete"), "position": (_postgres_shop, "position"),
         "status": (_postgres_shop, "status"), "delete": (_postgres_shop, "delete")})
def too_large(d, how):
    """It is not fetched: a dead letter that is told once and counted, not pending; its row stays, for nobody else has it."""
    make, mode = how
    shop, letters = make(d)
    if mode == "status":
        shop.sql(STATUSES)
    shop.insert(3)
    bad = shop.insert(1, payload=BIG)
    shop.insert(3)
    path = config(d, pipeline(shop.source(mode=mode), poison="skip", **SMALL))
    r = once(path)
    check_equal(ids(r), [i for i in shop.ids if i not in bad], "what came")
    for _ in range(2):
        check_equal(shop.value(f"select count(*) from outbox where id = '{bad[0]}'"), 1, "the row")
        check_equal(shop.value(f"select count(*) from {letters} where event_id = '{bad[0]}'"), 1, "its dead letters")
        row = json.loads(proc.run(["status", "-c", path, "--json"]).stdout)["pipelines"][0]
        check_equal((row["pending_events"], row["dead_letters"]), (0, 1), "pending and dead letters")
        again = once(path)
        check_equal((again.poll(), ids(again)), (0, []), f"another run: {again.log}")
        check("dead letter" not in again.log, "it is told twice")
    return ended(r)


@fault
def too_large_in_the_stream(d):
    """Far beyond the limit it is not kept, so that it cannot be passed either; with a higher limit it comes."""
    shop = StreamShop()
    check_equal(once(config(d, pipeline(shop.source(), poison="skip", **SMALL))).poll(), 0, "exit code of the run that makes the slot")
    shop.insert(3)
    shop.insert(1, payload=BIG)
    shop.insert(3)
    r = once(config(d, pipeline(shop.source(), poison="skip", **SMALL)), timeout=60)
    check_equal((r.poll(), ids(r)), (75, shop.ids[:3]), f"exit code, and what came before it: {r.log}")
    more = once(config(d, pipeline(shop.source(), poison="skip", max_event_bytes="1MiB")))
    check_equal(ids(r) + ids(more), shop.ids, "what came in all")
    return ended(r)


# --- what a dead letter holds ---

@faults({"sqlite_delete": (_sqlite_shop, "delete"), "position": (_postgres_shop, "position"), "status": (_postgres_shop, "status"),
         "delete": (_postgres_shop, "delete"), "stream": (lambda d: (StreamShop(), None), None)})
def dead_letter_is_whole(d, how):
    """All of the event, topic and key too, before its row may go."""
    make, mode = how
    shop, _ = make(d)
    if mode == "status":
        shop.sql(STATUSES)
    source = shop.source(mode=mode) if mode else shop.source()
    path = config(d, pipeline(source, topic="shop.{aggregatetype}", route={"allow_topics": ["other.*"]}, poison="skip"))
    if not mode:
        check_equal(once(path).poll(), 0, "exit code of the run that makes the slot")
    shop.insert(1, key="k1", payload='{"n": 7}')
    r = once(path)
    check_equal((r.poll(), ids(r)), (0, []), f"exit code, and what came: {r.log}")
    letter = json.loads(proc.run(["dead-letters", "show", "-c", path, "--pipeline", "p", "--all", "--json"]).stdout)["dead_letters"][0]
    want = {"event_id": shop.ids[0], "topic": "shop.order", "key": "k1", "aggregatetype": "order", "aggregateid": "k1", "type": "T",
            "payload": '{"n": 7}', "code": "poison"}
    check_equal({k: letter[k] for k in want}, want, "the dead letter")
    check(letter["created_at"] and letter["payload_kind"] in ("json", "text"), f"the dead letter: {letter}")
    check_equal(shop.value("select count(*) from outbox"), 0 if mode == "delete" else 1, "rows that are left")
    return ended(r)


@faults({"sqlite": _sqlite_shop, "postgres": _postgres_shop})
def dead_letters_of_before(d, make):
    """A table that lacks columns gets them."""
    shop, letters = make(d)
    path = config(d, pipeline(shop.source(), topic="shop.{aggregatetype}", route={"allow_topics": ["other.*"]}, poison="skip"))
    check_equal(once(path).poll(), 0, "exit code of the run that makes the tables")
    for column in ("aggregatetype", "aggregateid", "type", "created_at", "payload_kind", "edits"):
        _execute(shop, f"alter table {letters} drop column {column}")
    shop.insert(1)
    r = once(path)
    check_equal(shop.value(f"select aggregatetype from {letters}"), "order", "a column of the dead letter")
    return ended(r)
