#!/usr/bin/python3
"""`replay` against PostgreSQL and SQLite: ranges, refusals, interruption; its load is in replay_load.py.

    replay.py [NAME...]     only these checks
"""
import re
import shlex
import signal
import sys
from pathlib import Path

from support import proc
from support.arrivals import all_there, each_once, file_ids, lines
from support.kafka import Kafka
from support.proc import Relay, check, check_equal, run, wait_for
from support.relaying import clean_up, config, daemon, once, pipeline
from support.shop import PostgresShop, SqliteShop, StreamShop, schema

USAGE, UNAVAILABLE, GAVE_UP, CONFIG = 64, 69, 75, 78
_checks = []


def case(*engines):
    def register(fn):
        _checks.extend((f"{fn.__name__}{':' if e else ''}{e}", fn, e) for e in engines or ("",))
        return fn
    return register


def shop_of(engine, d):
    """A shop, and its source as a pipeline has it."""
    if engine == "sqlite":
        shop = SqliteShop(d)
        return shop, shop.source()
    if engine == "cdc":
        shop = StreamShop()
        return shop, shop.source()
    shop = PostgresShop(schema("postgres/status") if engine == "status" else "")
    return shop, shop.source(mode=engine)


ENGINES = ("position", "status", "sqlite", "cdc")


def delivered(engine, d, n=10, live=True, **more):
    """n events, the first half of key a and the others of key b, all delivered; the shop and the configuration. A stream has to pass
    whatever WAL is written, by anybody, before a replay may begin: its relay stays (live)."""
    shop, source = shop_of(engine, d)
    path = config(d, pipeline(source, **more))
    if engine == "cdc":
        check_equal(once(path).poll(), 0, "the run that makes the slot")
    shop.insert(n // 2, key="a")
    shop.insert(n - n // 2, key="b")
    check_equal(once(path).poll(), 0, "the first run")
    if engine == "cdc" and live:
        daemon(path)
    return shop, path


def spoil(engine, shop, sql):
    """Changes the database behind the relay's back."""
    (shop.script if engine == "sqlite" else shop.sql)(sql)


def replay(path, *words, code=0, env=None, timeout=60):
    return run(["replay", "-c", path, "--pipeline", "p", *words], code=code, env=env, timeout=timeout)


def again(relay):
    """The ids that a replay sent to its standard output, in their order; each has its header."""
    events = lines(relay)
    check(all(e["headers"].get("replayed") for e in events), f"headers: {events[:2]}")
    check(len({e["headers"]["replayed"] for e in events}) <= 1, "one replay, one id")
    return [e["id"] for e in events]


def refused(path, *words, code, says):
    r = replay(path, *words, code=code)
    check_equal(r.stdout, "", "what a refused replay sent")
    check(says in r.log, f"{says!r} is not in: {r.log}")
    return r


# --- what is sent ---

@case(*ENGINES)
def ranges(engine, d):
    """By position, time, id and key: in order, with the same ids and payloads, and the header."""
    shop, path = delivered(engine, d)
    ids = shop.ids
    check_equal(again(replay(path, "--from-position", "1")), ids, "all of it")
    check_equal(again(replay(path, "--from-position", "3", "--to-position", "7")), ids[2:7], "both ends belong to it")
    check_equal(again(replay(path, "--key", "b")), ids[5:], "a key")
    check_equal(again(replay(path, "--key", "b", "--to-position", "8")), ids[5:8], "a key up to a position")
    check_equal(again(replay(path, "--id", ids[3])), [ids[3]], "an id")
    check_equal(again(replay(path, "--from-time", "1h")), ids, "an hour ago")
    check_equal(again(replay(path, "--from-time", "0s")), [], "from now on")
    events = lines(replay(path, "--from-position", "1"))
    check_equal([e["position"] for e in events], [str(n + 1) for n in range(10)], "positions")
    at = events[4]["created_at"]
    upto = [e["id"] for e in events if e["created_at"] <= at]
    check_equal(again(replay(path, "--from-position", "beginning", "--to-time", at)), upto, "up to the created_at of an event")
    check_equal([e["payload"] for e in events], ['{"n": 1}' if engine == "sqlite" else {"n": 1}] * 10, "payloads")


@case(*ENGINES)
def dry_run(engine, d):
    """Prints count, first and last; sends and stores nothing."""
    shop, path = delivered(engine, d)
    r = replay(path, "--from-position", "3", "--dry-run")
    check_equal(r.stdout, "p: 8 events, first 3, last 10\n", "what it prints")
    if engine != "cdc":
        table = "commitrelay_replays" if engine == "sqlite" else "commitrelay.replays"
        check_equal(shop.value(f"select count(*) from {table}"), 0, "rows that it left")


@case("position", "status", "sqlite")
def not_delivered(engine, d):
    """What the pipeline has not delivered is not overtaken: a replay ends before it, and says so."""
    shop, path = delivered(engine, d)
    late = shop.insert(3, key="a")
    check_equal(again(replay(path, "--from-position", "1")), shop.ids[:10], "what is delivered")
    r = replay(path, "--from-position", "1", "--dry-run")
    check("10 events, first 1, last 10; 3 more lie in it that the pipeline has not delivered yet" in r.stdout, r.stdout)
    refused(path, "--id", late[0], code=GAVE_UP, says="has not delivered event")
    check_equal(once(path).poll(), 0, "the next run")
    check_equal(again(replay(path, "--from-position", "1")), shop.ids, "after it")


@case("cdc")
def not_delivered_stream(_, d):
    """A stream has to pass what is committed first: a replay waits for it, and goes on when it has."""
    shop, path = delivered("cdc", d, live=False)
    shop.insert(3, key="a")
    r = Relay(["replay", "-c", path, "--from-position", "1"], name="replay")
    r.wait_log("has not delivered all that was committed when the replay was asked for")
    check_equal(r.stdout, "", "what it sent meanwhile")
    relay = daemon(path)
    check_equal(r.wait_exit(60), 0, "exit code")
    check_equal(again(r), shop.ids, "all of it")
    check_equal(relay.stop(), 0, "the relay")


@case("position")
def late_commit(_, d):
    """An event with a low seq, committed late and delivered last, is in the replay; one that is not delivered is not, whatever its seq."""
    shop, path = delivered("position", d)
    with shop.connect() as c, c.cursor() as cur:
        cur.execute("insert into outbox (aggregatetype, aggregateid, type, payload) values ('order', 'k', 'T', '{}') returning id::text")
        late = cur.fetchone()[0]
        behind = shop.insert(1, key="c")
        check_equal(once(path).poll(), 0, "a run beside the open transaction")
        c.commit()
    check_equal(again(replay(path, "--from-position", "11")), behind, "before it is delivered")
    check_equal(once(path).poll(), 0, "the run that delivers it")
    check_equal(again(replay(path, "--from-position", "11")), [late, *behind], "afterwards")


@case("position", "sqlite")
def beside_the_daemon(engine, d):
    """A running relay keeps lock and position, and sends the new events itself."""
    shop, path = delivered(engine, d)
    relay = daemon(path)
    fresh = shop.insert(1)
    wait_for(lambda: [e["id"] for e in lines(relay)] == fresh, 20, "the relay to send")
    wait_for(lambda: shop.cursor.endswith(" 11"), 20, "its position to be saved")
    before = shop.cursor
    check_equal(again(replay(path, "--from-position", "1")), shop.ids, "the replay")
    check_equal(shop.cursor, before, "the position of the relay")
    fresh += shop.insert(2)
    wait_for(lambda: [e["id"] for e in lines(relay)] == fresh, 20, "the relay to send on")
    check_equal(relay.stop(), 0, "the relay")


@case("position", "sqlite")
def paused(engine, d):
    """A pause, and an order that nobody has taken yet, are the relay's: a replay sends all the same, and leaves both alone."""
    shop, path = delivered(engine, d)
    run(["pause", "-c", path, "--pipeline", "p"])
    dot = "_" if engine == "sqlite" else "."
    add = f"insert into commitrelay{dot}control (pipeline, command) values ('p', 'resume')"
    spoil(engine, shop, add)
    check_equal(again(replay(path, "--from-position", "1")), shop.ids, "the replay")
    check_equal(shop.value(f"select count(*) from commitrelay{dot}positions where paused"), 1, "pipelines that are paused")
    open_orders = "acknowledged = 0" if engine == "sqlite" else "acknowledged_at is null"
    check_equal(shop.value(f"select count(*) from commitrelay{dot}control where {open_orders}"), 1, "orders not taken")


@case()
def other_sinks(_, d):
    """--sink and --sink-config: files with a name of their own; the pipeline's own folder is refused."""
    shop, source = shop_of("sqlite", d)
    path = config(d, pipeline(source, {"type": "file", "dir": f"{d}/own"}))
    shop.insert(4)
    check_equal(once(path).poll(), 0, "the first run")
    own = sorted(p.name for p in Path(f"{d}/own").iterdir())
    check_equal(replay(path, "--from-position", "1", "--dry-run").stdout, "p: 4 events, first 1, last 4\n", "a dry run")
    says = "holds each event in exactly one file"
    refused(path, "--from-position", "1", code=USAGE, says=says)
    refused(path, "--from-position", "1", "--sink", f"file:{d}/own/../own", code=USAGE, says=says)
    replay(path, "--from-position", "1", "--replay-id", "r1", "--sink", f"file:{d}/other")
    names = sorted(p.name for p in Path(f"{d}/other").glob("*.jsonl"))
    check_equal(names, [f"p-replay-r1-{1:020}-{4:020}.jsonl"], "its files")
    check_equal(sorted(p.name for p in Path(f"{d}/own").iterdir()), own, "the pipeline's files")
    sink = Path(d) / "sink.yaml"
    sink.write_text(f"sink:\n  type: file\n  dir: {d}/third\n")
    replay(path, "--from-position", "1", "--sink-config", sink)
    check_equal(len(list(Path(f"{d}/third").glob("*.jsonl"))), 1, "files by --sink-config")
    sink.write_text("sink:\n  type: stdout\nroute: {}\n")
    refused(path, "--from-position", "1", "--sink-config", sink, code=CONFIG, says="sink.yaml:3: unknown key `route`")
    check_equal(again(replay(path, "--from-position", "1", "--sink", "stdout:")), shop.ids, "on standard output")
    message = config(d, {**pipeline(source, {"type": "kafka", "brokers": "127.0.0.1:1"}), "encode": {"format": "cloudevents"}})
    refused(message, "--from-position", "1", "--sink", "stdout:", code=CONFIG, says="a CloudEvent is a message, and sink stdout writes lines")
    check_equal(shop.value("select count(*) from commitrelay_replays"), 0, "replays that are left")


@case()
def messages(_, d):
    """Kafka: key, headers and value as before, and one more header; formats too."""
    shop = PostgresShop()
    with Kafka() as kafka:
        for fmt, extra in (("payload", {"headers": ["id"]}), ("json", {}), ("cloudevents", {}), ("cloudevents_json", {})):
            kafka.create_topic(fmt, 1)
            path = config(d, {**pipeline(shop.source(), {"type": "kafka", "brokers": kafka.bootstrap}, topic=fmt, name=fmt),
                              "encode": {"format": fmt, **extra}})
            if not shop.ids:
                shop.insert(3)
            check_equal(once(path, timeout=60).poll(), 0, f"{fmt}: the first run")
            run(["replay", "-c", path, "--from-position", "1", "--replay-id", "r1"], timeout=60)
            got = kafka.consume_all(fmt)
            check_equal(len(got), 6, f"{fmt}: messages")
            for first, second in zip(got[:3], got[3:]):
                check_equal(second.key, first.key, f"{fmt}: key")
                more = [h for h in second.headers if h not in first.headers]
                check_equal(more, [("replayed", b"r1")], f"{fmt}: headers")
                check(fmt != "payload" or second.value == first.value, f"{fmt}: value")


@case()
def rate(_, d):
    """--rate: none is lost, and it takes its time (a lower bound: N events cannot take less than N-1 intervals, but for a tenth of a second)."""
    shop, path = delivered("sqlite", d, 6)
    started = Relay(["replay", "-c", path, "--from-position", "1", "--rate", "2"], name="replay")
    started.wait_log("sends 6 events")
    wait_for(lambda: len(lines(started)) >= 2, 20, "the second event")
    check(len(lines(started)) < 6, "at two a second the sixth does not come with the second")
    check_equal(started.wait_exit(60), 0, "exit code")
    check_equal(again(started), shop.ids, "all of it")


# --- interrupted ---

def command_of(relay):
    found = re.search(r"to go on: commitrelay (.*--resume)", relay.log)
    check(found, f"no command to go on: {relay.log}")
    return shlex.split(found[1])


@case("position", "sqlite")
def interrupted(engine, d):
    """SIGTERM: 75 and a command, which goes on behind what is saved; 2h means then what it meant before."""
    shop, path = delivered(engine, d, 40)
    r = Relay(["replay", "-c", path, "--from-time", "2h", "--rate", "10"], name="replay")
    wait_for(lambda: len(lines(r)) >= 5, 30, "five events")
    check_equal(r.stop(), GAVE_UP, "exit code")
    sent = again(r)
    check(5 <= len(sent) < 40, f"{len(sent)} events before it was interrupted")
    check_equal(sent, shop.ids[:len(sent)], "before it was interrupted")
    rest = run(command_of(r), timeout=60)
    check_equal(again(rest), shop.ids[len(sent):], "afterwards: exactly what was not saved")
    check_equal({e["headers"]["replayed"] for e in lines(r) + lines(rest)}, {lines(r)[0]["headers"]["replayed"]}, "one id for both")
    refused(path, "--resume", code=USAGE, says="has no interrupted replay")


@case("position", "status", "sqlite", "cdc")
def killed(engine, d):
    """kill -9 behind a save, behind a put and before anything: --resume sends all that was not saved, and keeps the order."""
    shop, path = delivered(engine, d, 3000)
    for n, point in enumerate(("settle_after_save@2", "feed_after_put@1", "feed_after_put@2")):
        r = replay(path, "--from-position", "1", "--replay-id", f"r{n}", env={"COMMITRELAY_FAULT": f"{point}:kill"}, code=-9)
        late = shop.insert(1)  # behind the range: it was not delivered when the replay began
        rest = replay(path, "--resume")
        got = again(r) + again(rest)
        all_there(got, shop.ids[:3000], f"{point}: the range")
        check_equal(list(dict.fromkeys(got)), shop.ids[:3000], f"{point}: order of the first arrivals")
        check(len(again(rest)) < 3000 or "save" not in point, f"{point}: it began anew")
        shop.ids.remove(late[0])
        spoil(engine, shop, f"delete from outbox where id = '{late[0]}'")


FILE_POINTS = ("file_after_fsync", "file_after_intent", "file_after_rename")


@case("position", "sqlite")
def killed_into_files(engine, d):
    """Each event is in one file, whatever is killed at which step."""
    shop, path = delivered(engine, d, 300)
    sink = Path(d) / "sink.yaml"
    for n, point in enumerate(FILE_POINTS):
        sink.write_text(f"sink: {{type: file, dir: {d}/out{n}, rotate: {{events: 100}}}}\n")
        words = ["--sink-config", sink, "--replay-id", f"r{n}"]
        replay(path, "--from-position", "1", *words, env={"COMMITRELAY_FAULT": f"{point}@2:kill"}, code=-9)
        replay(path, "--resume", *words)
        each_once(file_ids(f"{d}/out{n}"), shop.ids, f"{point}: events in files")
        names = [p.name for p in Path(f"{d}/out{n}").glob("*.jsonl")]
        check(len(names) > 1 and all(f.startswith(f"p-replay-r{n}-") for f in names), f"{point}: files: {names}")


@case("sqlite")
def several(_, d):
    """--resume takes the one that there is, or the one that is named, with the sink that it was begun with."""
    shop, path = delivered("sqlite", d, 20)
    for n in ("one", "two"):
        replay(path, "--from-position", "1", "--replay-id", n, *(["--key", "a"] if n == "two" else []),
               env={"COMMITRELAY_FAULT": "feed_after_put:kill"}, code=-9)
    refused(path, "--resume", code=USAGE, says="has several interrupted replays, choose one with --replay-id: one (--from-position 1, begun ")
    refused(path, "--resume", "--replay-id", "three", code=USAGE, says="has no interrupted replay of the id three")
    refused(path, "--from-position", "2", "--resume", code=USAGE, says="has no interrupted replay of this range")
    refused(path, "--resume", "--replay-id", "one", "--sink", "stdout:", code=USAGE, says="was begun without --sink; give the same sink")
    refused(path, "--from-position", "1", "--replay-id", "one", code=CONFIG, says="has a replay one already")
    check_equal(again(replay(path, "--from-position", "1", "--resume")), shop.ids, "by its range")
    check_equal(again(replay(path, "--resume")), shop.ids[:10], "the one that is left")


@case("position", "sqlite")
def overtaken(engine, d):
    """Two processes go on with one replay: the one that began first ends, and none is lost."""
    shop, path = delivered(engine, d, 40)
    first = Relay(["replay", "-c", path, "--from-position", "1", "--rate", "5"], name="replay")
    wait_for(lambda: len(lines(first)) >= 3, 30, "three events")
    second = replay(path, "--resume")
    check_equal(first.wait_exit(60), GAVE_UP, "the one that began first")
    check("another process goes on with replay" in first.log, first.log)
    all_there(again(first) + again(second), shop.ids)


@case("position", "sqlite")
def sink_away(engine, d):
    """A sink that is away ends it with 75 after a while, as --until-idle; the command goes on."""
    shop, source = shop_of(engine, d)
    path = config(d, pipeline(source))
    shop.insert(5)
    check_equal(once(path).poll(), 0, "the first run")
    sink = Path(d) / "sink.yaml"
    port = proc.free_port()
    sink.write_text(f"sink: {{type: kafka, brokers: '127.0.0.1:{port}', stall_timeout: 1s}}\n")
    r = Relay(["replay", "-c", path, "--from-position", "1", "--sink-config", sink], name="replay")
    r.wait_log("state retrying", 60)
    check_equal(r.stop(), GAVE_UP, "exit code")
    check("--sink-config" in " ".join(command_of(r)), "the command names the sink")


# --- what is gone, and what cannot be ---

@case("position", "status", "sqlite", "cdc")
def gone(engine, d):
    """69, and what is there."""
    shop, path = delivered(engine, d)
    spoil(engine, shop, "delete from outbox where seq < 4")
    for words in (["--from-position", "1"], ["--from-time", "1h"]):
        r = refused(path, *words, code=UNAVAILABLE, says="rows of the range are gone: the lowest position in the table of pipeline p is 4. "
                                                         "There: 7 events, first 4, last 10")
        command = shlex.split(re.search(r"To send those: commitrelay (.*)", r.log)[1])
        check_equal(again(run(command)), shop.ids[3:], "the command that it names")
    check_equal(again(replay(path, "--from-position", "beginning")), shop.ids[3:], "from what is there")
    refused(path, "--id", shop.ids[0], code=UNAVAILABLE, says="is not in the table of pipeline p")
    spoil(engine, shop, "delete from outbox")
    refused(path, "--from-position", "5", code=UNAVAILABLE, says="the table of pipeline p is empty")


@case("position", "sqlite")
def removed_meanwhile(engine, d):
    """Rows that are removed in front of a replay: it sends the others, and ends with 69."""
    shop, path = delivered(engine, d, 40)
    r = Relay(["replay", "-c", path, "--from-position", "1", "--rate", "10"], name="replay")
    wait_for(lambda: len(lines(r)) >= 2, 30, "two events")
    check_equal(r.stop(), GAVE_UP, "exit code")
    spoil(engine, shop, "delete from outbox where seq > 30")
    rest = replay(path, "--resume", code=UNAVAILABLE)
    check("rows of the range were removed while it ran: 30 of 40 events were sent" in rest.log, rest.log)
    check_equal(again(r) + again(rest), shop.ids[:30], "what was there")


@case("position", "sqlite")
def removed_behind(engine, d):
    """Rows that are removed once they were sent are no fault."""
    shop, path = delivered(engine, d, 40)
    r = Relay(["replay", "-c", path, "--from-position", "1", "--rate", "10"], name="replay")
    wait_for(lambda: len(lines(r)) >= 5, 30, "five events")
    check_equal(r.stop(), GAVE_UP, "exit code")
    spoil(engine, shop, "delete from outbox where seq < 4")
    check_equal(again(r) + again(replay(path, "--resume")), shop.ids, "all of it")


@case()
def refusals(_, d):
    """What cannot be sent again says so, and what can be done."""
    shop = PostgresShop()
    shop.insert(2)
    path = config(d, pipeline(shop.source(mode="delete")))
    refused(path, "--from-position", "1", code=CONFIG, says="mode: delete, which removes each row once it is delivered")
    sq = SqliteShop(d)
    path = config(d, pipeline(sq.source(mode="delete")))
    refused(path, "--from-position", "1", code=CONFIG, says="mode: delete, which removes each row once it is delivered")
    stream = StreamShop()
    source = {k: v for k, v in stream.source(**{"as": "changes"}).items() if k != "table"}
    path = config(d, {**pipeline(source), "encode": {"format": "flat"}})
    refused(path, "--from-position", "1", code=CONFIG, says="pipeline p sends changes, which the server forgets once they are delivered")


@case()
def untimed(_, d):
    """A time needs created_at: 78 without the column, and where a row's cannot be read."""
    plain = "create table outbox (seq integer primary key autoincrement, id text, aggregatetype text, aggregateid text, type text, payload text"
    shop = SqliteShop(d, tables=plain + ")")
    path = config(d, pipeline(shop.source()))
    shop.insert(2)
    check_equal(once(path).poll(), 0, "the first run")
    refused(path, "--from-time", "1h", code=CONFIG, says='a time means created_at, and table "outbox" has no such column')
    check_equal(again(replay(path, "--from-position", "1")), shop.ids, "by position")
    shop = SqliteShop(d, "other.db", tables=plain + ", created_at text)")
    path = config(d, pipeline(shop.source()))
    shop.insert(2)
    check_equal(once(path).poll(), 0, "the first run")
    refused(path, "--from-time", "1h", code=CONFIG, says="2 rows have a created_at that cannot be read as a time")
    pg = PostgresShop("alter table outbox drop column created_at")
    pg.insert(2)
    path = config(d, pipeline(pg.source()))
    check_equal(once(path).poll(), 0, "the first run")
    refused(path, "--to-time", "1h", "--from-position", "1", code=CONFIG, says="a time means created_at, and table ")
    pg = PostgresShop("alter table outbox alter created_at drop not null")
    pg.insert(2)
    pg.sql("update outbox set created_at = null where seq = 1")
    path = config(d, pipeline(pg.source()))
    check_equal(once(path).poll(), 0, "the first run")
    refused(path, "--from-time", "1h", code=CONFIG, says="1 rows have a created_at that cannot be read as a time")


@case()
def without_seq(_, d):
    """Order is seq: a table without it is refused, and the column that would do is named."""
    pg = PostgresShop(schema("postgres/status") + "alter table outbox drop column seq; alter table outbox add primary key (id);"
                                                  " alter table outbox add n bigint generated always as identity")
    pg.insert(2)
    path = config(d, pipeline(pg.source(mode="status", order_by="n")))
    check_equal(once(path).poll(), 0, "the first run")
    refused(path, "--id", pg.ids[0], code=CONFIG, says='replay goes by seq, and table "public"."outbox" has no unique integer column for it')
    path = config(d, pipeline(pg.source(mode="status", order_by="n", columns={"seq": "n"})))
    refused(path, "--id", pg.ids[0], code=CONFIG, says="replay goes by seq")
    pg.sql("create unique index on outbox (n)")
    check_equal(again(replay(path, "--from-position", "1")), pg.ids, "with a unique one")


@case("position", "sqlite")
def poison(engine, d):
    """An event that cannot be delivered: stop in another sink, the pipeline's policy in its own. With a dead letter it is left out."""
    shop, source = shop_of(engine, d)
    path = config(d, pipeline(source, poison="skip"))
    shop.insert(3)
    check_equal(once(path).poll(), 0, "the first run")
    spoil(engine, shop, "update outbox set headers = '[1]' where seq = 2")
    r = replay(path, "--from-position", "1", "--sink", "stdout:", code=GAVE_UP)
    check_equal(again(r), [shop.ids[0]], "another sink: up to it")
    check("can never be delivered" in r.log, r.log)
    r = replay(path, "--from-position", "1")
    check_equal(again(r), [shop.ids[0], shop.ids[2]], "the others")
    check("sent 2 events, 1 became dead letters" in r.log, r.log)
    letters = run(["dead-letters", "list", "-c", path, "--json"]).stdout
    check(shop.ids[1] in letters, letters)
    r = replay(path, "--from-position", "1", "--sink", "stdout:")
    check_equal(again(r), [shop.ids[0], shop.ids[2]], "another sink, once it has a dead letter")


@case("position", "sqlite")
def old_store(engine, d):
    """A store of an earlier version has no table of replays: it is made, and the relay goes on with it."""
    shop, path = delivered(engine, d)
    spoil(engine, shop, f"drop table {'commitrelay_' if engine == 'sqlite' else 'commitrelay.'}replays")
    relay = daemon(path)
    relay.wait_log("state running")
    check_equal(replay(path, "--resume", code=USAGE).stdout, "", "nothing to go on with")
    check_equal(again(replay(path, "--from-position", "1")), shop.ids, "the replay")
    fresh = shop.insert(2)
    wait_for(lambda: [e["id"] for e in lines(relay)] == fresh, 20, "the relay to go on")
    check_equal(relay.stop(), 0, "the relay")


@case()
def words(_, d):
    """The command line."""
    _, path = delivered("sqlite", d)
    for bad, says in ((["--to-position", "1"], "say what to send again"), ([], "say what to send again"),
                      (["--from-time", "1h", "--from-position", "1"], "not both"), (["--from-time", "yesterday"], "needs a time"),
                      (["--from-time", "-2h"], "--from-time \"-2h\" is negative"), (["--from-time", "2h", "--to-time", "-1h"], "--to-time \"-1h\" is negative"),
                      (["--from-position", "now"], "needs the position of an event"), (["--from-position", "9", "--to-position", "8"], "ends before it begins"),
                      (["--id", "x", "--key", "y"], "--id names the events"), (["--from-position", "1", "--replay-id", "A B"], "--replay-id"),
                      (["--from-position", "1", "--sink", "x", "--sink-config", "y"], "not both"), (["--from-position", "1", "--rate", "0"], "--rate"),
                      (["--from-position", "1", "--sink", "nowhere:"], "is none of"), (["--resume", "--dry-run"], "--dry-run")):
        refused(path, *bad, code=USAGE, says=says)
    pg = PostgresShop()
    path = config(d, pipeline(pg.source()))
    pg.insert(1)
    check_equal(once(path).poll(), 0, "the first run")
    refused(path, "--id", "no-uuid", code=USAGE, says="--id no-uuid does not fit the type of its column")


def main():
    wanted = sys.argv[1:]
    for name, fn, engine in _checks:
        if not wanted or any(w in name for w in wanted):
            d = proc.tempdir("replay")
            try:
                fn(engine, d)
            except Exception:
                print(f"replay {name}: FAILED", flush=True)
                raise
            finally:
                clean_up()
            print(f"replay {name}: ok", flush=True)


main()
