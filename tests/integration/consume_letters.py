#!/usr/bin/python3
"""Dead letters of a consumer: with `poison: park_key` later events of the key wait behind them, and `dead-letters --consumer` deals with them.

    consume_letters.py [NAME...]     only these checks
"""
import json
import sqlite3
from pathlib import Path

from support.cases import case, main
from support.consuming import Folder, Target, conf, consume, consumer, consuming, counts
from support.proc import check, check_equal, run, tempdir, wait_for
from support.relaying import daemon
from support.shop import shared_server

# A function that refuses what the table `refused` names.
TAKE = """
create table journal (n bigint generated always as identity primary key, id text, key text, i int);
create table refused (i int);
create function take(event jsonb) returns void language plpgsql as $$
declare wanted int := (event ->> 'payload')::jsonb ->> 'i';
begin
    if exists (select from public.refused where i = wanted) or wanted is null then
        raise 'refused %', event ->> 'payload' using errcode = 'SH001';
    end if;
    insert into public.journal (id, key, i) values (event ->> 'id', event ->> 'key', wanted);
end $$;
"""
EXIT_GAVE_UP, EXIT_USAGE = 75, 64


def letters(path, *words, code=0, **how):
    """`dead-letters` of the consumer: what it says."""
    return run(["dead-letters", words[0], "-c", path, "--consumer", "billing", *words[1:]], code=code, timeout=60, **how).stdout


def listed(path, *words):
    return json.loads(letters(path, "list", "--json", *words))["dead_letters"]


def events(key, numbers):
    return [(key, {"i": i}) for i in numbers]


def order_of(t, key):
    return [r[0] for r in t.rows(f"select i from journal where key = '{key}' order by n")]


class Lite:
    """A SQLite database with a table, as a consumer's target."""

    def __init__(self, d, sql="create table orders (id integer primary key, state text not null)"):
        self.path = Path(d) / "target.db"
        self.sql(sql)

    def url(self):
        return f"sqlite:{self.path}"

    def sql(self, sql):
        db = sqlite3.connect(self.path, timeout=60, isolation_level=None)
        try:
            return db.execute(sql).fetchall()
        finally:
            db.close()


@case
def a_key_waits(d):
    """What follows a dead letter waits, in its order, through restarts and whatever is read again; other keys go on. A retry applies all."""
    f, t = Folder(d), Target(TAKE + "insert into refused values (1)")
    path = conf(d, consumer(f.source, t.url(), apply={"call": "take"}, poison="park_key", workers=2, batch_size=3))
    f.write([x for pair in zip(events("a", range(6)), events("b", range(100, 106))) for x in pair])
    check_equal(counts(consume(path)), (7, 0, 1), "applied, seen, buried")
    f.write(events("a", range(6, 9)) + events("b", [106]))
    check_equal(counts(consume(path)), (1, 0, 0), "applied, seen, buried of the next file")
    check_equal((order_of(t, "a"), order_of(t, "b")), ([0], list(range(100, 107))), "the calls")
    t.sql("delete from commitrelay.consumer_positions")
    check_equal(counts(consume(path)), (0, 16, 0), "a run that reads all again")
    # What is parked stays so under another policy: the order would break.
    other = conf(d, consumer(f.source, t.url(), apply={"call": "take"}, poison="skip"), name="other.yaml")
    f.write(events("a", [9]))
    check_equal(counts(consume(other))[0], 0, "events that pass the others of their key")
    (letter,) = listed(path)
    check_equal((letter["waiting"], letter["state"], letter["key"], "SH001" in letter["reason"] or "refused" in letter["reason"]),
                (8, "dead", "a", True), "the dead letter")
    number = str(letter["id"])
    check("would retry 1" in letters(path, "retry", number), "a retry without --yes")
    check("stays open" in letters(path, "retry", number, "--yes", code=EXIT_GAVE_UP), "a retry of what is still refused")
    check_equal(order_of(t, "a"), [0], "the calls before it is mended")
    t.sql("delete from refused")
    check("then applied 8" in letters(path, "retry", number, "--yes"), "what waited")
    check_equal(order_of(t, "a"), list(range(10)), "the order of the key")
    check("nothing to do" in letters(path, "retry", number, "--yes"), "a second retry")
    check_equal([(x["state"], x["waiting"]) for x in listed(path, "--all")], [("retried", 0)], "what is kept")
    f.write(events("a", [10]))
    check_equal(counts(consume(path)), (1, 0, 0), "the key is free")
    check_equal(t.rows("select count(*), count(distinct event_id) from inbox"), [(18, 18)], "claims")


@case
def in_sqlite(d):
    """The same there: an edited event, and one that waits and cannot be applied either, behind which the rest waits."""
    f, t = Folder(d), Lite(d)
    path = conf(d, consumer(f.source, t.url(), apply={"into": "orders"}, poison="park_key", attempts=1))
    rows = [("k", {"id": 1, "state": None, "n": 1.10}), ("k", {"id": 1, "state": "second"}), ("other", {"id": 2, "state": "new"}),
            ("k", {"id": 1, "state": None}), ("k", {"id": 1, "state": "last"})]
    f.write(rows)
    check_equal(counts(consume(path)), (1, 0, 1), "applied, seen, buried")
    (first,) = listed(path)
    check_equal(first["waiting"], 3, "what waits")
    payload = Path(d) / "payload.json"
    payload.write_text('{"id": 1, "state": "mended"}\n')
    letters(path, "edit", str(first["id"]), "--payload-file", str(payload), "--header", "by=hand")
    (shown,) = json.loads(letters(path, "show", str(first["id"]), "--json"))["dead_letters"]
    was, now = json.loads(shown["event"]), json.loads(shown["edited"])
    check_equal((now.pop("payload"), now.pop("headers"), now), ({"id": 1, "state": "mended"}, {"by": "hand"},
                {k: v for k, v in was.items() if k not in ("payload", "headers")}), "the edited event")
    check("is a dead letter now" in letters(path, "retry", str(first["id"]), "--yes", code=EXIT_GAVE_UP), "the one that cannot be applied either")
    check_equal(t.sql("select id, state from orders order by id"), [(1, "second"), (2, "new")], "rows")
    (second,) = listed(path)
    check_equal((second["waiting"], second["id"] > first["id"]), (1, True), "the next dead letter")
    check("then applied 1" in letters(path, "drop", "--all", "--yes"), "what waited behind it")
    check_equal(t.sql("select state from orders where id = 1"), [("last",)], "the row in the end")
    check_equal([x["state"] for x in listed(path, "--all")], ["retried", "dropped"], "what is kept")
    check_equal(t.sql("select count(*) from commitrelay_consumer_waiting"), [(0,)], "events that wait")


@case
def beside_a_consumer(d):
    """While letters are retried, and the command is killed in the middle, a consumer runs and more events of the key come."""
    f, t = Folder(d, events=20), Target(TAKE + "insert into refused values (0)")
    path = conf(d, consumer(f.source, t.url(), apply={"call": "take"}, poison="park_key", workers=2, batch_size=5))
    f.write(events("a", range(150)))
    r = consuming(path)
    wait_for(lambda: t.value("select count(*) from commitrelay.consumer_waiting") == 149, 60, "all others to wait",
             ignore=(Exception,))
    t.sql("delete from refused")
    number, more = str(listed(path)[0]["id"]), 150
    for point in ("letter_before_commit", "waiting_before_commit", "waiting_before_commit@2"):
        letters(path, "retry", number, "--yes", code=-9, env={"COMMITRELAY_FAULT": f"{point}:kill"})
        f.write(events("a", range(more, more + 30)))
        more += 30
    letters(path, "retry", number, "--yes")
    wait_for(lambda: t.value("select count(*) from journal") == 240, 60, "all events")
    check_equal(order_of(t, "a"), list(range(240)), "the order of the key")
    check_equal((t.value("select count(*) from commitrelay.consumer_waiting"), listed(path)), (0, []), "what waits")
    check_equal(r.stop(), 0, "exit code")


@case
def limits(d):
    """`park` bounds keys and events: the consumer is blocked, says behind which dead letter, and goes on once there is room."""
    f, t = Folder(d), Target(TAKE + "insert into refused values (0), (50)")
    park = {"poison": "park_key", "attempts": 1, "park": {"max_keys": 1, "max_events": 3}}
    path = conf(d, consumer(f.source, t.url(), apply={"call": "take"}, **park))
    f.write(events("a", range(5)) + events("b", [100]))
    r = consume(path, code=EXIT_GAVE_UP)
    number = listed(path)[0]["id"]
    check("3 events wait behind dead letters" in r.log and f"billing {number}" in r.log, r.log)
    check_equal(listed(path)[0]["waiting"], 3, "what waits")
    letters(path, "drop", str(number), "--yes")
    check_equal(counts(consume(path))[0], 2, "the rest")
    check_equal((order_of(t, "a"), order_of(t, "b")), ([1, 2, 3, 4], [100]), "the calls")
    t.sql("insert into refused values (51)")
    f.write(events("c", [50]) + events("d", [51]))
    check("1 keys are parked" in consume(path, code=EXIT_GAVE_UP).log, "a second key")
    check_equal(len(listed(path)), 1, "dead letters")


@case
def several_keys(d):
    """An event that empties the table cannot pass events that wait: it is waited with; nor does it become a dead letter itself."""
    f, t = Folder(d), Target("create table orders (id bigint primary key, state text not null)")
    path = conf(d, consumer(f.source, t.url(), apply={"into": "orders"}, format="flat", poison="park_key", attempts=1))
    f.write([("1", {"id": 1, "state": None, "__op": "c"}), ("1", {"id": 1, "state": "late", "__op": "u"}), ("2", {"id": 2, "state": "x", "__op": "c"}),
             ("", {"__op": "t"}), ("3", {"id": 3, "state": "y", "__op": "c"})])
    check("more than one key" in consume(path, code=EXIT_GAVE_UP).log, "why it waits")
    check_equal(t.rows("select id from orders"), [(2,)], "rows before the table is emptied")
    letters(path, "drop", "--all", "--yes")
    check_equal(t.rows("select id, state from orders order by id"), [(1, "late"), (2, "x")], "what waited is there first")
    consume(path)
    check_equal(t.rows("select id from orders"), [(3,)], "rows in the end")


@case
def a_program(d):
    """`exec`: the events that wait are given to the program in order, once the one before them was taken."""
    f, t = Folder(d), Lite(d)
    log, program = Path(d) / "log", Path(d) / "program"
    program.write_text(f"""#!/bin/sh
read -r line
case $line in *'\\"i\\": 1}}'*) test -e {d}/mended || exit 1;; esac
echo "$COMMITRELAY_EVENT_ID" >> {log}
""")
    program.chmod(0o755)
    path = conf(d, consumer(f.source, t.url(), apply={"exec": [str(program)]}, poison="park_key", attempts=2))
    ids = f.write(events("a", range(4)) + events("b", [9]))
    check_equal(counts(consume(path)), (2, 0, 1), "applied, seen, buried")
    check_equal(log.read_text().split(), [ids[0], ids[4]], "what the program got")
    letters(path, "retry", "--all", "--yes", code=EXIT_GAVE_UP)
    (Path(d) / "mended").touch()
    letters(path, "retry", "--all", "--yes")
    check_equal(log.read_text().split(), [ids[0], ids[4], *ids[1:4]], "what the program got in the end")
    check_equal(t.sql("select count(*) from inbox"), [(5,)], "claims")


@case
def what_a_command_refuses(d):
    """Nothing is made, and what does not fit is said."""
    f, t = Folder(d), Target(TAKE)
    path = conf(d, consumer(f.source, t.url(), apply={"call": "take"}))
    check("run the consumer first" in run(["dead-letters", "list", "-c", path, "--consumer", "billing"], code=78).log, "without tables")
    check_equal(t.value("select count(*) from pg_tables where schemaname = 'commitrelay'"), 0, "tables")
    f.write(events("a", [1]))
    consume(path)
    check("no dead letters" in letters(path, "list"), "an empty list")
    letters(path, "show", "17", code=EXIT_USAGE)
    run(["dead-letters", "list", "-c", path, "--consumer", "biling"], code=EXIT_USAGE)
    letters(path, "list", "--type", "T", code=EXIT_USAGE)


@case
def status_of_a_daemon(d):
    """`status` says of the consumers of a daemon how they are, and that it does not know those of nobody."""
    f, t = Folder(d), Target(TAKE + "insert into refused values (2)")
    f.write(events("a", range(6)))
    path = conf(d, consumer(f.source, t.url(), apply={"call": "take"}, poison="park_key", attempts=1))

    def told(*words, code=None):
        return run(["status", "-c", path, *words], code=code, timeout=60).stdout
    check_equal(json.loads(told("--json"))["consumers"], [{"name": "billing", "state": "unknown"}], "without a daemon")
    r = daemon(path)
    (one,) = wait_for(lambda: [c for c in json.loads(told("--json"))["consumers"] if c.get("waiting") == 3], 60, "events that wait")
    check_equal((one["state"], one["applied"], one["dead_letters"]), ("running", 2, 1), "the consumer")
    out = told("--exit-code", code=0)
    check("consumer billing: running" in out and "--consumer billing" in out, out)
    letters(path, "drop", "--all", "--yes")
    t.sql("drop function take")
    f.write(events("a", [6]))
    wait_for(lambda: "blocked" in told("--exit-code"), 60, "it to be blocked")
    check("take" in told("--exit-code", code=2), "why")
    check_equal(r.stop(), 0, "exit code")


@case
def check_connect(d):
    """`check --connect` looks at the folder, the database and the table, and changes nothing."""
    f, t, lite = Folder(d), Target("create table orders (id bigint primary key, state text)"), Lite(d)

    def looked(inbox, code=0, **more):
        return run(["check", "--connect", "-c", conf(d, consumer(f.source, inbox, **more), name="check.yaml")], code=code, timeout=60).stdout
    check("NOTE  consumer billing: from (`run` waits for it" in looked(t.url(), apply={"into": "orders"}), "a folder that is missing")
    f.write([(1, {"id": 1})])
    for inbox in (t.url(), lite.url()):
        out = looked(inbox, apply={"into": "orders"})
        check("OK    consumer billing: from\n" in out and "inbox (the consumer makes its tables" in out, out)
        check("there is no table nowhere" in looked(inbox, code=78, apply={"into": "nowhere"}), "a table that is missing")
    check("there is no function" in looked(t.url(), code=78, apply={"call": "nothing"}), "a function that is missing")
    check_equal(t.value("select count(*) from pg_tables where schemaname = 'commitrelay' or tablename = 'inbox'"), 0, "tables")
    check_equal(lite.sql("select name from sqlite_master where type = 'table'"), [("orders",)], "tables, SQLite")
    consume(conf(d, consumer(f.source, t.url(), apply={"into": "orders"})))
    check("OK    consumer billing: inbox\n" in looked(t.url(), apply={"into": "orders"}), "afterwards")
    looked("postgresql://postgres@127.0.0.1:1/none", code=75, apply={"into": "orders"})


if __name__ == "__main__":
    shared_server()
    main(lambda: Path(tempdir("letters")))
