#!/usr/bin/python3
"""Each committed event is in exactly one batch file, in all three formats and compressions, however often the relay is killed and wherever.

batch_files.py --source sqlite|postgres --mode position|status|delete [--kills N] [--seed N]
"""
import argparse
import os
import random

from support import proc, workload, workload_sqlite
from support.arrivals import EXTENSIONS, file_arrivals
from support.faulting import Faulting
from support.judge import judge
from support.pg import Postgres
from support.proc import ROOT, check_equal, fail, run, tempdir, wait_for
from support.relaying import LOADED, Relaying, config, pipeline

COMPRESSION = {"jsonl": "zstd", "delimited": "gzip", "key_value": "none"}
POINTS = ("file_after_fsync", "file_after_intent", "file_after_manifest", "file_after_rename", "recover_before_save")

parser = argparse.ArgumentParser()
parser.add_argument("--source", required=True, choices=["sqlite", "postgres"])
parser.add_argument("--mode", required=True, choices=["position", "status", "delete"])
parser.add_argument("--kills", type=int, default=16, help="how often it is killed anywhere, beside the named places")
parser.add_argument("--seed", type=int, default=proc.seed())
args = parser.parse_args()


class Sqlite:
    """position: three pipelines read one database. delete: each has its own, for each deletes what it has delivered."""

    def __init__(self, directory):
        self.paths = {f: directory / ("shop.db" if args.mode == "position" else f"{f}.db") for f in EXTENSIONS}
        for path in set(self.paths.values()):
            workload_sqlite.prepare(path, ROOT)
        self.workload = workload.Workload(sorted(set(self.paths.values())), args.seed, writers=4, rate=150, kind=workload_sqlite.SqliteWriter)

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


class Killing(Faulting):
    """Kills the relay anywhere and at the named places where a commit of a file can be cut short. out: the directories of the files."""

    def __init__(self, relaying, out):
        self.relaying, self.out, self.rng = relaying, out, random.Random(f"{args.seed}-kills")
        self.at_points = 0

    def complete(self):
        """How many batch files there are."""
        return sum(1 for d in self.out for _ in d.glob("files-*.manifest.json"))

    def begun(self):
        """Bytes of the temporary files."""
        return sum(p.stat().st_size for d in self.out for p in d.glob(".tmp-files*"))

    def wait_files(self, more):
        enough = self.complete() + more
        wait_for(lambda: self.complete() >= enough, 60, f"{more} more batch files")

    def anywhere(self):
        kinds = 3 * [self.while_writing] + 3 * [self.behind_files] + [self.kill_in_start] + 3 * [self.at]
        plan = [kinds[i % len(kinds)] for i in range(args.kills)]
        self.rng.shuffle(plan)
        for kill in plan:
            kill()

    def while_writing(self):
        """Once the temporary files hold some bytes, few as often as many."""
        self.relaying.start()
        size = int(10 ** self.rng.uniform(0, 4.5))
        wait_for(lambda: self.begun() > size, 60, f"{size} bytes in temporary files")
        self.relaying.kill()

    def behind_files(self):
        self.relaying.start()
        self.wait_files(self.rng.randint(1, 5))
        self.relaying.kill()

    def at(self, point=None):
        """Waits until it gets there by itself; a recovery needs a commit cut short before it."""
        point = point or self.rng.choice(POINTS)
        if point == POINTS[-1]:
            self.at("file_after_rename")
        self.relaying.start_to_die(point, 1 if point == POINTS[-1] else self.rng.randint(1, 5))
        self.relaying.await_death(point)
        self.at_points += 1


def trial(side, directory):
    out = {f: directory / f for f in EXTENSIONS}
    names = {f: f"files-{f}".replace("_", "-") for f in EXTENSIONS}
    key = directory / "key"
    key.write_text("a secret of both\n")
    key.chmod(0o600)
    path = config(directory, *(pipeline(side.source(f), {
        "type": "file", "dir": str(out[f]), "format": f, "compression": COMPRESSION[f], "hmac_key_file": str(key), "rotate": {"events": 150, "interval": "200ms"}}, name=names[f], limits=LOADED) for f in EXTENSIONS))
    relaying = Relaying(path)
    killing = Killing(relaying, list(out.values()))
    side.workload.start()
    killing.anywhere()
    for point in POINTS:
        killing.at(point)
    relaying.start()
    killing.wait_files(5)
    side.workload.stop()
    relaying.stop()
    relaying.drain()
    for f in EXTENSIONS:
        v = judge(side.truth(f), file_arrivals(out[f], names[f], f, COMPRESSION[f]))
        if wrong := v.faults():
            fail(f"batch files {args.source} {args.mode} {f} (seed {args.seed}): {v}\n  " + "\n  ".join(wrong))
        run(["verify-batch", str(out[f]), "--hmac-key-file", key], timeout=300)  # one chain over all the deaths
        check_equal(side.unmarked(f), 0, f"rows of {f} left in mode {args.mode}")
        files = len(list(out[f].glob("*.manifest.json")))
        print(f"batch files {args.source} {args.mode} {f}: {v}, files {files}, kills {relaying.kills}, "
              f"{killing.at_points} of them at fault points", flush=True)


os.environ.pop("COMMITRELAY_FAULT", None)
print(f"seed {args.seed}", flush=True)
if args.source == "sqlite":
    where = tempdir("files")
    trial(Sqlite(where), where)
else:
    with Postgres() as server:
        trial(PostgreSQL(server), tempdir("files"))
