#!/usr/bin/python3
"""Snapshots that are asked for while the stream goes on: of two tables with predicates and of one without, by the command and by Debezium's
signal table, while writers change the tables and the relay is killed again and again; paused, resumed, stopped; and what is refused.

What arrived is what the tables hold, as far as the predicates go, and no row went back. The predicates are of the keys, so that it is known
which rows had to come although nobody changed them.
"""
import argparse
import json
import random
import sqlite3

from snapshot import KEYS, LEFT_OUT, QUIET, RATE, SCHEMA, Changer, Consumer, end, lines, progress
from support import proc
from support.pg import Postgres
from support.proc import check, check_equal, tempdir, wait_for
from support.proxy import Proxy
from support.relaying import Relaying, admin, config

SIGNALS = """
create table signal (id text primary key, type text not null, data text);
alter publication pub add table signal;
create table private (k int primary key);
"""
COMPLETE = "the requested snapshot is complete: public.quiet"
WIDE, PAIRED = "k % 2 = 0", "b > 500 -- and no more"
WANTED = {"wide": lambda k: k % 2 == 0, "paired": lambda b, a: b > 500, "quiet": lambda k: True}


class Trial:
    def __init__(self, pg, proxy, rows, rng):
        self.pg, self.rng, self.directory, self.address, self.runs = pg, rng, tempdir("asked"), admin(), []
        self.source = {"type": "cdc_postgres", "url": pg.url(port=proxy.port), "publication": "pub", "slot": "asked", "snapshot": "never"}
        self.relay = Relaying(self.configure(signal_table="public.signal"))

    def configure(self, **more):
        self.path = config(self.directory, {
            "name": "asked", "source": {**self.source, **more}, "encode": {"format": "debezium", "tombstones": False}, "sink": {"type": "stdout"},
            "delivery": {"max_in_flight": 500, "save_interval": "20ms", "retry": {"initial": "20ms", "max": "1s"}}}, admin={"listen": self.address}, audit={"path": f"{self.directory}/audit.log"})
        return self.path

    def start(self):
        self.runs.append(self.relay.start())
        self.runs[-1].wait_log("state running")
        return self.runs[-1]

    def die(self, point, act=lambda: None, passage=1):
        """A start that ends itself at a fault point, which `act` brings about."""
        self.runs.append(self.relay.start_to_die(point, passage))
        act()
        self.relay.await_death(point)

    def command(self, *words, code=0):
        r = self.relay.command("snapshot", "-c", self.path, "--pipeline", "asked", *words, code=code)
        return r.stdout + r.log

    def signal(self, name, kind, data):
        self.pg.sql("insert into signal values (%s, %s, %s)", name, kind, json.dumps(data))

    def state(self):
        """What the cursor says of snapshots; empty when none is asked for."""
        try:
            with sqlite3.connect(f"{self.directory}/store.db", timeout=10) as db:
                (cursor,) = db.execute("select cursor from commitrelay_positions").fetchone()
        except (sqlite3.OperationalError, TypeError):
            return ""
        return cursor.partition(" ;")[2] if cursor else ""

    def kill_at_work(self, much):
        """Kills a relay that has written so many bytes."""
        relay = self.start()
        wait_for(lambda: relay.stdout_path.stat().st_size >= much, 60, f"{much} bytes to arrive")
        self.relay.kill()


def ask(t):
    """Two tables with predicates and one without, each way of asking; the relay dies before it answers an order that waited in the store, when it
    has opened what that asks for, and when it obeys a signal."""
    check("no daemon runs it now, the next one obeys" in t.command("public.wide", "--where", WIDE), "an order without a daemon")
    t.die("snapshot_ordered")
    t.die("snapshot_asked_open")
    t.die("snapshot_signal", lambda: t.signal("s1", "execute-snapshot", {
        "data-collections": ["public.paired", "public.qui.t"], "type": "incremental",
        "additional-conditions": [{"data-collection": "public.paired", "filter": PAIRED}]}))
    for point in ("snapshot_chunk_read", "snapshot_watermark"):
        t.die(point, passage=t.rng.randint(1, 3))


def pause(t):
    """A pause outlives the relay, and reads nothing meanwhile."""
    relay = t.start()
    check("requested snapshots are paused" in t.command("--pause"), "the daemon's answer")
    wait_for(lambda: "paused" in progress(t.address), 30, "the pause")
    wait_for(lambda: "paused" in t.state(), 30, "the pause to be stored")
    t.relay.kill()
    check(t.state(), "the requests are kept")
    relay = t.start()
    check("paused" in progress(t.address), f"it is still paused: {progress(t.address)}")
    t.signal("s2", "resume-snapshot", {})
    relay.wait_log("requested snapshots go on")
    t.relay.kill()


def stop(t):
    """A snapshot that was stopped is not read on, and the other one is."""
    relay = t.start()
    t.signal("s3", "execute-snapshot", {"data-collections": ["public.whole"]})
    relay.wait_log("a snapshot was asked for: public.whole")
    t.command("--stop", "public.whole")
    relay.wait_log("a snapshot is stopped: public.whole")
    t.relay.kill()


REFUSED = (
    ("no table that this pipeline reads has this name", "public.private"),
    ("it has no key", "bare"),
    ("syntax error", "public.wide", "--where", "k ="),
    ("syntax error", "public.wide", "--where", "true) or (true"),
    ("the predicate of the snapshot of public.wide is refused", "public.wide", "--where", "true); drop table private; --"),
    ("cannot insert multiple commands", "public.wide", "--where", "true); select (1"),
    ('column "z" does not exist', "public.wide", "--where", "z > 1"),
    ("must be type boolean", "public.wide", "--where", "k"),
)


def refuse(t):
    """Each is told why, and nothing is asked for."""
    for text, *words in REFUSED:
        said = t.command(*words, code=78)
        check(text in said, f"snapshot {words} says {text}: {said}")
    for words in ((), ("--stop", "--pause"), ("--pause", "public.wide"), ("public.wide", "public.whole"), ("--stop", "--where", "k > 1")):
        t.command(*words, code=64)
    relay = t.start()
    relay.wait_log("state running")
    t.relay.stop()
    check("a snapshot was asked for" not in relay.log, f"nothing is asked for: {relay.log}")


def held_in(pg):
    held = {}
    for table, names in KEYS.items():
        for (row,) in pg.sql(f"select row_to_json(held) from {table} held"):
            held[(table, *(row[c] for c in names))] = row
    return held


def same(arrived, held):
    return all(x == held[c] or x == LEFT_OUT for c, x in arrived.items())


def judge(t):
    consumer, held, reads = Consumer(), held_in(t.pg), {}
    for relay in t.runs:
        newest = {}
        for event in lines(relay):
            consumer.take(event, newest)
            payload = event["payload"]
            if payload and payload["op"] == "r":
                table = payload["source"]["table"]
                key = tuple(payload["after"][c] for c in KEYS[table])
                check_equal(payload["source"]["snapshot"], "incremental", "how a row is marked")
                check(payload["source"]["lsn"] is None, "a row of a snapshot stands at no place of the WAL")
                check(table == "whole" or WANTED[table](*key), f"row {key} of {table} was read, which the predicate does not want")
                reads.setdefault(table, set()).add(event["id"])
    wanted = {k: row for k, row in held.items() if k[0] in WANTED and WANTED[k[0]](*k[1:])}
    missing = [k for k in wanted if k not in consumer.rows]
    extra = [k for k in consumer.rows if k not in held]
    other = [k for k, row in wanted.items() if k in consumer.rows and consumer.rows[k] != row]
    other += [k for k, row in consumer.rows.items() if k in held and k not in wanted and not same(row, held[k])]
    check(not missing, f"{len(missing)} rows never arrived, for example {missing[:3]}")
    check(not extra, f"{len(extra)} rows were deleted and are still there, for example {extra[:3]}")
    check(not other, f"{len(other)} rows differ, for example {other[:3]}")
    check_equal(len(reads["quiet"]), QUIET, "rows that were read of a table nobody writes to")
    check("signal" not in {k[0] for k in consumer.rows}, "a signal is no event")
    return {table: len(ids) for table, ids in reads.items()}


def without_a_table(t):
    """The command needs no signal table, neither with a daemon nor without one, and each request has ids of its own."""
    t.configure()
    t.command("public.quiet", "--where", "k > 10")
    relay = t.start()
    wait_for(lambda: relay.log.count(COMPLETE) == 1, 60, "the first one's end")
    check("a snapshot was asked for: public.quiet" in t.command("public.quiet"), "the daemon's answer")
    wait_for(lambda: relay.log.count(COMPLETE) == 2, 60, "the second one's end")
    check("no snapshot to stop" in t.command("--stop", code=78), "a refused order")
    t.relay.stop()
    ids = [e["id"] for e in lines(relay) if e["payload"] and e["payload"]["op"] == "r"]
    check_equal(len(ids), QUIET - 10 + QUIET, "rows that were read once more")
    check_equal(len(set(ids)), len(ids), "ids")
    noted = [x for x in map(json.loads, open(f"{t.directory}/audit.log", encoding="utf-8")) if x["event"] == "snapshot"]
    check("a snapshot was asked for: public.quiet" in noted[-1]["after"]["done"], f"the audit log: {noted[-1]}")
    check(noted[-1]["who"] not in ("", "daemon"), f"who asked: {noted[-1]}")


def main(pg, proxy, rows, kills, seed):
    rng = random.Random(seed)
    pg.sql(SCHEMA % {"rows": rows, "quiet": QUIET})
    pg.sql(SIGNALS)
    pg.sql("vacuum analyze")
    t = Trial(pg, proxy, rows, rng)
    writers = [Changer(pg, rows, seed + n) for n in range(4)]
    t.start()  # the slot is there before the first change
    t.relay.kill()
    for w in writers:
        w.start()
    ask(t)
    pause(t)
    for _ in range(kills):
        check(t.state(), f"the snapshots are over after {t.relay.kills} kills")
        t.kill_at_work(int(10 ** rng.uniform(4, 6)))
    stop(t)
    proxy.heal()
    t.start()
    wait_for(lambda: not t.state(), 180, "the snapshots to come to their end")
    end(writers)
    t.relay.kill()
    t.runs.append(t.relay.drain())
    reads = judge(t)
    refuse(t)
    without_a_table(t)
    print(f"{t.relay.kills} kills, {sum(w.done for w in writers)} transactions, read: {reads}")


if __name__ == "__main__":
    p = argparse.ArgumentParser()
    p.add_argument("--rows", type=int, default=5000)
    p.add_argument("--kills", type=int, default=4)
    p.add_argument("--seed", type=int, default=proc.seed())
    args = p.parse_args()
    print(f"seed {args.seed}")
    with Postgres() as server, Proxy("127.0.0.1", server.port) as slow:
        slow.throttle(RATE // 3)
        main(server, slow, args.rows, args.kills, args.seed)
