#!/usr/bin/python3
"""The commands on change streams, through the built binary, against a real PostgreSQL.

    cdc_cli.py [NAME...]     only these checks
"""
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys

import psycopg2
import psycopg2.extras

from support import pg, proc
from support.proc import check, check_equal, run, wait_for

OK, USAGE, LOST, GAVE_UP, PERMISSION, CONFIG = 0, 64, 69, 75, 77, 78
_checks = []


def case(fn):
    _checks.append(fn)
    return fn


class World:
    _count = 0

    def __init__(self, server):
        World._count += 1
        self.dir = proc.tempdir("cdc-cli")
        self.db = server.createdb(f"cdccli{World._count}")
        self.url = server.url(self.db)
        self.server = server
        self.sql("CREATE TABLE orders (id int PRIMARY KEY, total numeric, tags text[])")

    def sql(self, text, *params):
        return self.server.sql(text, *params, dbname=self.db)

    def command(self, *args, code=OK):
        return run(args, code=code, cwd=self.dir)

    def config(self, source=None, **more):
        pipeline = {"name": f"p{World._count}", "source": {"type": "cdc_postgres", "url": self.url, **(source or {})},
                    "encode": {"format": "flat"}, "sink": {"type": "stdout"}, **more}
        (self.dir / "relay.yaml").write_text(json.dumps({"pipelines": [pipeline]}))
        self.slot = f"commitrelay_p{World._count}"
        self.publish(self.slot)

    def publish(self, name):
        self.sql(f"CREATE PUBLICATION {name} FOR TABLE orders")

    def on(self, *args, code=OK):
        return self.command(*args[:1], "-c", "relay.yaml", *args[1:], code=code)

    def status(self):
        (row,) = json.loads(self.on("status", "--json").stdout)["pipelines"]
        return row

    def slots(self):
        return [n for (n,) in self.sql("SELECT slot_name FROM pg_replication_slots WHERE database = current_database() ORDER BY 1")]

    def drop_slots(self):
        self.sql("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots"
                 " WHERE database = current_database() AND NOT active")

    def drain(self, *args, code=OK):
        r = proc.Relay(["run", *(args or ["-c", self.dir / "relay.yaml"]), "--until-idle"], cwd=self.dir)
        check_equal(r.wait_exit(40), code, "run --until-idle")
        return [json.loads(line) for line in printed(r)], r


def printed(relay):
    """The whole lines so far."""
    return relay.stdout.split("\n")[:-1]


def rows(events):
    return [(e["payload"]["__op"], e["payload"]["id"]) for e in events]


@case
def run_from_two_urls(w):
    words = ["--source", w.url, "--sink", "stdout:", "--cdc"]
    w.sql("INSERT INTO orders VALUES (1, 1.50, '{a}')")
    _, relay = w.drain(*words, code=CONFIG)
    check('CREATE PUBLICATION \\"commitrelay_default\\" FOR' in relay.log, "the statement that is missing is not told")
    w.publish("commitrelay_default")
    events, _ = w.drain(*words)
    check_equal(rows(events), [("r", 1)], "the rows that are there")
    w.sql("UPDATE orders SET id = 2")
    w.sql("DELETE FROM orders")
    events, _ = w.drain(*words)
    check_equal(rows(events), [("u", 2), ("d", 2)], "changes")
    check_equal(events[0]["payload"]["__old_key"], {"id": 1}, "the old key")
    check_equal(events[0]["payload"]["tags"], ["a"], "an array")
    check_equal((events[0]["topic"], events[0]["key"]), ("default.public.orders", '{"id":2}'), "topic and key")
    check((w.dir / "commitrelay.db").exists(), "no store was made")
    w.drop_slots()


@case
def outbox_from_two_urls(w):
    w.command("init", "--source", w.url)
    w.sql("CREATE PUBLICATION commitrelay_default FOR TABLE outbox WITH (publish = 'insert')")
    words = ["--source", w.url, "--sink", "stdout:", "--cdc", "--table", "outbox"]
    w.command("emit", "--source", w.url, "--count", 2)
    check_equal(len(w.drain(*words)[0]), 0, "events from before the slot")
    w.command("emit", "--source", w.url, "--count", 3)
    w.sql("DELETE FROM outbox")
    events, _ = w.drain(*words)
    check_equal([e["topic"] for e in events], ["outbox.event.order"] * 3, "topics")
    w.drop_slots()


@case
def tail_shows_and_leaves_nothing(w):
    w.publish("commitrelay_default")
    t = proc.Relay(["tail", "--source", w.url, "--cdc"], cwd=w.dir)
    n = iter(range(1, 10**6))

    def probed():  # a probe each time: it cannot be told from outside when the slot is there
        w.sql("INSERT INTO orders VALUES (%s, 1)", next(n))
        return printed(t)
    wait_for(probed, 30, "tail to print what is committed")
    check_equal(json.loads(printed(t)[0])["payload"]["__op"], "c", "what tail printed")
    t.signal(signal.SIGINT)
    check_equal(t.wait_exit(), OK, "tail after SIGINT")
    wait_for(lambda: not w.slots(), 10, "the temporary slot to go")
    check(not list(w.dir.glob("*.db*")), "tail left files")
    t = proc.Relay(["tail", "--source", w.url, "--cdc", "-n", 2], cwd=w.dir)

    def ended():
        w.sql("INSERT INTO orders VALUES (%s, 1)", next(n))
        return not t.running
    wait_for(ended, 30, "tail -n 2 to end")
    check_equal(len(printed(t)), 2, "the next two events")


@case
def tail_of_a_pipeline(w):
    """Changes as that pipeline sends them, through a slot that goes with the command; the pipeline's own stays where it is."""
    w.config(source={"snapshot": "never"}, route={"topic": "t.{table}"}, mask=[{"field": "orders.total", "with": "null"}])
    relay = proc.Relay(["run", "-c", "relay.yaml"], cwd=w.dir)
    n = iter(range(1, 10**6))

    def sent():
        w.sql("INSERT INTO orders VALUES (%s, 7)", next(n))
        return printed(relay)
    wait_for(sent, 30, "the relay to send")
    t = proc.Relay(["tail", "-c", "relay.yaml", "-n", 2], cwd=w.dir)

    def ended():
        w.sql("INSERT INTO orders VALUES (%s, 7)", next(n))
        return not t.running
    wait_for(ended, 30, "tail -n 2 to end")
    check_equal(t.wait_exit(), OK, "tail")
    shown = [json.loads(x) for x in printed(t)]
    check_equal([(x["topic"], x["payload"]["total"]) for x in shown], [("t.orders", None)] * 2, "route and mask")
    last = next(n) - 1
    wait_for(lambda: printed(relay) and json.loads(printed(relay)[-1])["payload"]["id"] == last, 30, "the relay to send the rest")
    check({x["id"] for x in shown} <= {json.loads(x)["id"] for x in printed(relay)}, "the ids are not the relay's")
    wait_for(lambda: w.slots() == [w.slot], 10, "the temporary slot to go")
    relay.signal(signal.SIGTERM)
    check_equal(relay.wait_exit(), OK, "the relay after SIGTERM")
    w.drop_slots()


@case
def tail_of_an_outbox_that_is_streamed(w):
    """-n reads its table, without a slot; without -n it is followed as a stream."""
    w.command("init", "--source", w.url)
    w.config(source={"as": "outbox"}, encode={"format": "payload"}, route={"topic": "t.{aggregatetype}"})
    w.sql(f"ALTER PUBLICATION {w.slot} ADD TABLE outbox")
    w.command("emit", "--source", w.url, "--count", 3)
    lines = [json.loads(x) for x in w.on("tail", "-n", 2).stdout.splitlines()]
    check_equal([(x["position"], x["topic"]) for x in lines], [("2", "t.order"), ("3", "t.order")], "the last two")
    check_equal(w.slots(), [], "slots")
    check_equal(len(w.command("tail", "--source", w.url, "--cdc", "--table", "outbox", "-n", 9).stdout.splitlines()), 3, "the same without a file")
    t = proc.Relay(["tail", "-c", "relay.yaml"], cwd=w.dir)

    def probed():
        w.command("emit", "--source", w.url, "--count", 1)
        return printed(t)
    wait_for(probed, 30, "tail to print what is committed")
    check(":" in json.loads(printed(t)[0])["position"], "not a position in the stream")
    t.signal(signal.SIGINT)
    check_equal(t.wait_exit(), OK, "tail after SIGINT")
    wait_for(lambda: not w.slots(), 10, "the temporary slot to go")
    w.sql("ALTER TABLE outbox DROP COLUMN seq")
    check("without -n the stream is shown" in w.on("tail", "-n", 1, code=CONFIG).log, "the way out is not told")


@case
def status_and_position(w):
    w.config(source={"snapshot": "never"})
    row = w.status()
    check_equal((row["state"], row["position"], row["dead_letters"]), ("stopped", None, 0), "before the first start")
    w.on("check", "--connect")
    check(not list(w.dir.glob("*.db*")), "looking made a store")
    w.drain()
    w.sql("INSERT INTO orders SELECT g, g FROM generate_series(1, 5) g")
    row = w.status()
    check(row["slot_retained_bytes"] > 0 and row["lag_bytes"] > 0, f"bytes of the slot: {row}")
    check_equal(row["pending_events"], None, "a stream counts no events")
    check("slot keeps" in w.on("status").stdout, "the slot in words")
    events, _ = w.drain()
    third = events[2]["position"]
    check("would change: from" in w.on("position", "set", "now").stdout, "without --yes")
    w.on("position", "set", third, "--yes", code=CONFIG)  # the slot has passed it
    w.on("position", "set", "here", "--yes", code=CONFIG)
    w.on("position", "set", "FFFF/0", "--yes", code=CONFIG)
    check_equal(json.loads(w.on("position", "show", "--json").stdout)["delivered"], 5, "delivered")
    w.drop_slots()
    _, relay = w.drain(code=LOST)
    check("data may be lost" in relay.log and "position set" in relay.log, "no way out is told")
    row = w.status()
    check_equal((row["lag_bytes"], row["slot_retained_bytes"], row["slot_limit_bytes"]), (None, None, None), "bytes of a slot that is not there")
    check(f"held up       replication slot {w.slot} does not exist" in w.on("status").stdout, "status does not miss the slot")
    for place in ("beginning", "now"):
        check(f"pg_create_logical_replication_slot('{w.slot}', 'pgoutput')" in w.on("position", "set", place, "--yes", code=CONFIG).log,
              f"position set {place} without a slot")
    w.sql(f"SELECT pg_create_logical_replication_slot('{w.slot}', 'pgoutput')")
    w.on("position", "set", "beginning", "--yes")
    w.sql("INSERT INTO orders VALUES (6, 6)")
    check_equal(rows(w.drain()[0]), [("c", 6)], "after the way out")
    w.drop_slots()


@case
def position_of_a_time(w):
    """The slot gives up what is confirmed, and a saved position is confirmed: only the last one can be gone back to."""
    w.config(source={"snapshot": "never", "heartbeat_interval": "1h"})
    w.drain()
    w.sql("INSERT INTO orders VALUES (1, 1)")
    w.drain()
    history = json.loads(w.on("position", "history", "--json").stdout)
    check(history and all(x["time"] and x["position"] for x in history), f"the history: {history}")
    r = w.on("position", "set", "--time", history[0]["time"], "--yes", code=LOST)
    check("what was confirmed cannot be read again" in r.log and "beginning" in r.log, f"a position that the slot has passed: {r.log}")
    w.on("position", "set", "--time", "1h", "--yes", code=LOST)
    store = w.dir / "commitrelay.db"
    with sqlite3.connect(store, timeout=60) as db:
        db.execute("UPDATE commitrelay_history SET cursor = (SELECT cursor FROM commitrelay_positions)")
    check("position set" in w.on("position", "set", "--time", history[0]["time"], "--yes").stdout, "the position that the slot has")
    w.drop_slots()


@case
def check_judges_what_is_stored(w):
    """As a start would: what is refused then is told before."""
    w.config(source={"snapshot": "never"})
    relay = proc.Relay(["run", "-c", w.dir / "relay.yaml"], cwd=w.dir)
    wait_for(lambda: w.status()["state"] == "running" and w.status()["position"], 30, "the relay to run")
    w.on("check", "--connect")
    relay.signal(signal.SIGTERM)
    relay.wait_exit()
    w.on("check", "--connect")
    w.drop_slots()

    def told(text):
        r = w.on("check", "--connect", code=LOST)
        check(text in r.stdout, f"{text}: {r.stdout}")
    told("although a position is stored: data may be lost")
    w.sql("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", w.slot)
    told("beyond the stored position")
    for file in w.dir.glob("commitrelay.db*"):
        file.unlink()
    told("exists, but no position is stored")
    w.drop_slots()


@case
def position_of_a_running_relay(w):
    """As long as nothing new is confirmed, the slot can go back to where it stood."""
    w.config(source={"snapshot": "never", "heartbeat_interval": "1h"})
    w.drain()
    w.sql("INSERT INTO orders VALUES (1, 1)")
    relay = proc.Relay(["run", "-c", w.dir / "relay.yaml"], cwd=w.dir)
    wait_for(lambda: printed(relay), 20, "the first event")
    w.on("position", "set", "now", "--yes")
    w.sql("INSERT INTO orders VALUES (2, 2)")
    wait_for(lambda: len(printed(relay)) > 1, 20, "the next event")
    check_equal(rows(map(json.loads, printed(relay))), [("c", 1), ("c", 2)], "events")
    wait_for(lambda: w.status()["state"] == "running", 20, "the state to be running")
    wait_for(lambda: json.loads(w.on("position", "show", "--json").stdout)["delivered"] == 2, 20, "both to be saved")
    # What is saved is as good as confirmed: there the slot begins, and what was before it is refused.
    w.on("position", "set", "beginning", "--yes")
    passed = w.on("position", "set", "0/1000000", "--yes", code=CONFIG)
    check("cannot be read again" in passed.stdout + passed.log, f"a position that is gone: {passed.stdout}{passed.log}")
    w.sql("INSERT INTO orders VALUES (3, 3)")
    wait_for(lambda: len(printed(relay)) > 2, 20, "the event behind it")
    check_equal(rows(map(json.loads, printed(relay)))[2:], [("c", 3)], "events behind the beginning")
    w.on("pause")
    wait_for(lambda: w.status()["state"] == "paused", 20, "the state to be paused")
    w.on("resume")
    relay.stop()
    w.drop_slots()


@case
def doctor(w):
    """Each fault once, with its exit code, and mended by what is printed."""
    role = w.db + "_streams"

    def look(code):
        out = w.on("check", "--connect", code=code).stdout
        return re.findall(r"^(?:FAULT|NOTE ) pipeline p\d+: (.*)$", out, re.M), re.findall(r"^  mend: (.*)$", out, re.M)

    def finds(code, *texts):
        told, mends = look(code)
        for text in texts:
            check_equal([text in t for t in told].count(True), 1, f"findings with {text} in {told}")
        return mends
    w.sql(f"CREATE ROLE {role} LOGIN; CREATE TABLE keyless (a int)")
    w.config(source={"url": w.server.url(w.db, user=role), "publication": "nowhere"})
    mends = finds(PERMISSION, f'ALTER ROLE "{role}" REPLICATION', "publication nowhere does not exist", "max_slot_wal_keep_size is without a limit",
                  "the first `run` makes it")
    check_equal(" ".join(look(PERMISSION)[0]).count("REPLICATION"), 1, "times that the right is missed")
    check('CREATE PUBLICATION "nowhere" FOR TABLE ...' in mends[1], f"no statement: {mends}")
    w.sql(f"ALTER ROLE {role} REPLICATION; CREATE PUBLICATION nowhere FOR TABLE orders, keyless")
    mends = finds(CONFIG, "table public.orders may not be read", "table public.keyless has no primary key, so it has no replica identity",
                  "table public.keyless has no primary key: an interrupted snapshot")
    w.sql("ALTER TABLE keyless REPLICA IDENTITY FULL")
    for statement in mends:
        if statement.startswith("GRANT"):
            w.sql(statement.partition(" (")[0])
    finds(OK, "table public.keyless has no primary key: an interrupted snapshot")
    w.sql(f"SELECT pg_create_logical_replication_slot('{w.slot}', 'test_decoding')")
    w.sql(finds(CONFIG, "is of the output plugin test_decoding")[-1].partition("nobody needs it, ")[2])
    w.sql(f"SELECT pg_create_logical_replication_slot('{w.slot}', 'pgoutput')")
    finds(LOST, f"slot {w.slot} (reserved) keeps", "exists, but no position is stored")
    w.drop_slots()


@case
def doctor_of_a_server_that_is_full(w):
    # No checkpoint but ours: one that comes by itself takes the slot in danger at once.
    with pg.Postgres(settings={"fsync": "off", "max_replication_slots": 2, "max_wal_senders": 2, "max_slot_wal_keep_size": "2MB",
                               "max_wal_size": "2GB", "checkpoint_timeout": "1h"}) as server:
        full = World(server)
        full.config(source={"snapshot": "never"})

        def look(code):
            return full.on("check", "--connect", code=code).stdout

        def free_a_sender():
            """A sender that was left goes a moment later."""
            busy.pop().close()
            gone = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'walsender'"
            wait_for(lambda: full.sql(gone) == [(len(busy),)], 10, "the sender to be gone")
        check("FAULT" not in look(OK), "a fault where all is well")
        busy = [psycopg2.connect(server.conninfo(full.db), connection_factory=psycopg2.extras.PhysicalReplicationConnection)
                for _ in range(2)]
        check_equal(look(GAVE_UP).count("max_wal_senders = "), 1, "no sender is left, and the setting")
        free_a_sender()
        check("one of 2 WAL senders is left" in look(OK), "one sender is left")
        free_a_sender()
        full.sql("SELECT pg_create_physical_replication_slot(x) FROM unnest(array['a', 'b']) x")
        check("all 2 replication slots are in use" in look(CONFIG), "no slot is left")
        full.sql("SELECT pg_drop_replication_slot(x) FROM unnest(array['a', 'b']) x")
        full.sql(f"SELECT pg_create_logical_replication_slot('{full.slot}', 'pgoutput')")
        full.sql("CREATE TABLE noise (t text)")

        def noise():
            full.sql("INSERT INTO noise SELECT repeat('x', 1000) FROM generate_series(1, 5000)")
            full.sql("SELECT pg_switch_wal()")
            return full.sql("SELECT wal_status FROM pg_replication_slots")[0][0] != "reserved"
        wait_for(noise, 20, "the slot to be in danger")
        out = look(CONFIG)
        check("is lost beyond" in out and "max_slot_wal_keep_size" in out, f"a slot in danger: {out}")
        row = full.status()
        check(row["slot_retained_bytes"] > row["slot_limit_bytes"] == 2 << 20, f"bytes of the slot: {row}")
        check("is about to be lost" in row["held_up"], f"held up: {row}")
        server.sql("CHECKPOINT")
        out = look(LOST)
        check("was invalidated" in out and f"pg_drop_replication_slot('{full.slot}')" in out and "position set" in out, f"a lost slot: {out}")
        check("is lost" in full.status()["held_up"], "status does not tell")
        shutil.rmtree(full.dir)


def certificate(directory, name, owner):
    """A key and a certificate that is its own authority, for ::1 alone."""
    crt, key = directory / f"{name}.crt", directory / f"{name}.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", crt, "-days", "2", "-subj",
                    f"/CN={name}", "-addext", "subjectAltName=IP:::1"], check=True, capture_output=True)
    for f in (crt, key):
        f.chmod(0o600)
        os.chown(f, owner.st_uid, owner.st_gid)
    return crt, key


@case
def replication_through_tls_over_ipv6(w):
    with pg.Postgres(settings={"fsync": "off", "listen_addresses": "127.0.0.1,::1"}) as server:
        crt, key = certificate(server.dir, "server", server.data.stat())
        server.configure({"ssl": "on", "ssl_cert_file": crt, "ssl_key_file": key})
        server.hba("hostnossl all postgres ::1/128 reject", "hostssl all postgres ::1/128 trust")
        server.restart()
        safe = World(server)
        ca = safe.dir / "ca.crt"
        ca.write_text(crt.read_text())

        def at(host, words):
            return {"url": f"postgresql://postgres@{host}:{server.port}/{safe.db}?{words}", "snapshot": "never"}
        safe.config(source=at("[::1]", f"sslmode=verify-full&sslrootcert={ca}"))
        safe.drain()
        safe.sql("INSERT INTO orders SELECT g, g, array[repeat('x', g % 40000)] FROM generate_series(1, 2000) g")
        events, _ = safe.drain()
        check_equal([e["payload"]["id"] for e in events], list(range(1, 2001)), "what came through TLS")
        check_equal([len(e["payload"]["tags"][0]) for e in events], list(range(1, 2001)), "its values")
        other, _ = certificate(safe.dir, "other", safe.dir.stat())
        for source, why in ((at("[::1]", f"sslmode=verify-full&sslrootcert={other}"), "certificate verify failed"),
                            (at("127.0.0.1", f"sslmode=verify-full&sslrootcert={ca}"), "does not match host name"),
                            (at("[::1]", "sslmode=disable"), "no encryption")):
            safe.sql(f"DROP PUBLICATION {safe.slot}")
            safe.config(source=source)
            relay = proc.Relay(["run", "-c", safe.dir / "relay.yaml"], cwd=safe.dir)
            relay.wait_log(why)
            relay.kill9()
            check_equal(relay.stdout, "", "what came without trust")
        shutil.rmtree(safe.dir)


@case
def pairs_that_mean_nothing(w):
    w.config(encode={"format": "payload"})
    check("payload needs events" in w.on("check", code=CONFIG).stdout, "payload of changes")
    for encode, text in (({"format": "cloudevents"}, "a CloudEvent is a message"),
                         ({"format": "flat", "decimal": "string"}, "encode.decimal is for debezium"),
                         ({"format": "debezium", "source": "/x"}, "encode.source is for cloudevents")):
        w.sql(f"DROP PUBLICATION {w.slot}")
        w.config(encode=encode)
        r = w.on("check", code=CONFIG)
        check(text in r.stdout + r.log, f"{encode}: {r.stdout}{r.log}")
    w.sql(f"DROP PUBLICATION {w.slot}")
    w.config(source={"slot": "No-Such"})
    check("a slot's name has" in w.on("check", code=CONFIG).stdout, "the name of a slot is looked at without a server")
    for words in (["tail", "--source", "sqlite:x.db", "--cdc"], ["run", "--source", "sqlite:x.db", "--sink", "stdout:", "--cdc"],
                  ["run", "-c", "relay.yaml", "--cdc"]):
        w.command(*words, code=USAGE)


def main():
    only, failed = sys.argv[1:], []
    with pg.Postgres() as server:
        for fn in _checks:
            if only and fn.__name__ not in only:
                continue
            w = World(server)
            try:
                fn(w)
                print(f"ok   {fn.__name__}", flush=True)
            except proc.Failed as why:
                failed.append(fn.__name__)
                print(f"FAIL {fn.__name__}: {why}", flush=True)
            shutil.rmtree(w.dir, ignore_errors=True)
    sys.exit(f"{len(failed)} failed" if failed else 0)


main()
