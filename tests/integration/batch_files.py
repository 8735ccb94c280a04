#!/usr/bin/python3
"""Each committed event is in exactly one batch file, in all three formats, however often the relay is killed and wherever.

batch_files.py --source sqlite|postgres --mode position|status|delete [--seconds N] [--seed N]
"""
import argparse
import os
import random
import time

import workload
import workload_sqlite
from judge import judge
from relaying import EXTENSIONS, Relaying, config, file_arrivals, pipeline
from support.pg import Postgres
from support.proc import ROOT, check_equal, fail, tempdir, wait_for

POINTS = ("file_after_fsync", "file_after_intent", "file_after_manifest", "file_after_rename", "recover_before_save")

parser = argparse.ArgumentParser()
parser.add_argument("--source", required=True, choices=["sqlite", "postgres"])
parser.add_argument("--mode", required=True, choices=["position", "status", "delete"])
parser.add_argument("--seconds", type=int, default=15, help="how long it is killed at random")
parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
args = parser.parse_args()


class Sqlite:
    """position: three pipelines read one database. delete: each has its own, for each deletes what it has delivered."""

    def __init__(self, directory):
        self.paths = {f: directory / ("shop.db" if args.mode == "position" else f"{f}.db") for f in EXTENSIONS}
        for path in set(self.paths.values()):
            workload_sqlite.prepare(path, ROOT)
        self.workload = workload_sqlite.Workload(sorted(set(self.paths.values())), args.seed)

    def source(self, fmt):
        return {"type": "outbox_sqlite", "path": str(self.paths[fmt]), "mode": args.mode, "batch_size": 100}

    def truth(self, fmt):
        return workload_sqlite.truth_of(self.paths[fmt])

    def unmarked(self, fmt):
        conn = workload_sqlite.connect(self.paths[fmt])
        n = conn.execute("select count(*) from outbox").fetchone()[0] if args.mode == "delete" else 0
        conn.close()
        return n


class PostgreSQL:
    """As Sqlite; the writers of the three databases of status and delete mode share the load."""

    def __init__(self, pg):
        self.pg = pg
        self.names = {f: "shop" if args.mode == "position" else f for f in EXTENSIONS}
        self.conninfo = {n: workload.prepare(pg, n, args.mode, ROOT) for n in sorted(set(self.names.values()))}
        n = len(self.conninfo)
        self._parts = [workload.Workload(c, seed=args.seed + i, writers=6 // n, rate=150 / n)
                       for i, c in enumerate(self.conninfo.values())]
        self.workload = self

    def start(self):
        for w in self._parts:
            w.start()

    def stop(self):
        for w in self._parts:
            w.stop()

    def source(self, fmt):
        return {"type": "outbox_postgres", "url": self.conninfo[self.names[fmt]], "mode": args.mode, "batch_size": 100}

    def truth(self, fmt):
        return workload.truth_of(self.pg, self.names[fmt])

    def unmarked(self, fmt):
        where = {"position": "false", "status": "status <> 'done'", "delete": "true"}[args.mode]
        return self.pg.value(f"select count(*) from outbox where {where}", dbname=self.names[fmt])


class Killing:
    """Kills the relay at random and at the named places where a commit of a file can be cut short."""

    def __init__(self, relaying):
        self.relaying, self.rng = relaying, random.Random(f"{args.seed}-kills")
        self.by_itself = 0

    def start(self, fault=None, passage=1):
        self.relaying.start({"COMMITRELAY_FAULT": f"{fault}@{passage}:kill" if fault else None})

    def at_random(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            fault = self.rng.choice((None, *POINTS))
            self.start(fault, self.rng.randint(1, 5))
            deadline = time.monotonic() + self.rng.uniform(.3, 1.1)
            while time.monotonic() < deadline and (self.relaying.relay.running or not fault):
                time.sleep(.01)
            if fault and not self.relaying.relay.running:
                self.died()
            else:
                self.relaying.kill(fault)

    def died(self):
        check_equal(self.relaying.relay.poll(), -9, "end at a fault point")
        self.by_itself += 1
        self.relaying.killed()

    def at(self, point):
        """Waits until it gets there by itself; a recovery needs a commit cut short before it."""
        if point == "recover_before_save":
            self.at("file_after_rename")
        self.start(point)
        wait_for(lambda: not self.relaying.relay.running, 30, f"the relay to reach {point}")
        self.died()


def trial(side, directory):
    out = {f: directory / f for f in EXTENSIONS}
    names = {f: f"files-{f}".replace("_", "-") for f in EXTENSIONS}
    path = config(directory, *(pipeline(names[f], side.source(f), {
        "type": "file", "dir": str(out[f]), "format": f, "rotate": {"events": 150, "interval": "200ms"}}) for f in EXTENSIONS))
    relaying = Relaying(path)
    killing = Killing(relaying)
    side.workload.start()
    killing.at_random(args.seconds)
    for point in POINTS:
        killing.at(point)
    relaying.start()
    wait_for(lambda: relaying.relay.running and any(out["jsonl"].glob("files-*")), 10, "batch files")
    time.sleep(1)
    side.workload.stop()
    relaying.stop()
    relaying.drain()
    for f in EXTENSIONS:
        v = judge(side.truth(f), file_arrivals(out[f], names[f], f))
        if wrong := v.faults():
            fail(f"batch files {args.source} {args.mode} {f} (seed {args.seed}): {v}\n  " + "\n  ".join(wrong))
        check_equal(side.unmarked(f), 0, f"rows of {f} left in mode {args.mode}")
        files = len(list(out[f].glob("*.manifest.json")))
        print(f"batch files {args.source} {args.mode} {f}: {v}, files {files}, kills {relaying.kills}, "
              f"{killing.by_itself} of them at fault points", flush=True)


os.environ.pop("COMMITRELAY_FAULT", None)
print(f"seed {args.seed}", flush=True)
if args.source == "sqlite":
    where = tempdir("files")
    trial(Sqlite(where), where)
else:
    with Postgres() as server:
        trial(PostgreSQL(server), tempdir("files"))
