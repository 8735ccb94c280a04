#!/usr/bin/python3
"""Three relays share the eight shards of a pipeline: nothing lost, nothing invented, each key in order, whatever happens to one of them.

shards.py --mode position|status|delete [--sink redis|kafka] [--fault joins|leaves|kill|kill_at_leave|freeze|cut|lock_lost|stale_save]... [--rounds N] [--rate N] [--seed N]

Without --fault: each of them, in a random order, so many times; joins and stale_save (position) are trials of their own. It prints how
long each take-over took. kill_at_leave kills at the fault
point shard_before_leave, stale_save stops at store_before_save.
"""
import argparse
import os
import random

from support import proc
from support.kafka import Kafka
from support.pg import Postgres
from support.proc import check, check_equal, fail
from support.redis_server import Redis
from support.shards import SHARDS, ShardTrial

FAULTS = ("leaves", "kill", "kill_at_leave", "freeze", "cut", "lock_lost")

parser = argparse.ArgumentParser()
parser.add_argument("--mode", required=True, choices=["position", "status", "delete"])
parser.add_argument("--sink", default="redis", choices=["redis", "kafka"])
parser.add_argument("--fault", action="append", choices=["joins", *FAULTS, "stale_save"])
parser.add_argument("--rounds", type=int, default=1)
parser.add_argument("--rate", type=int, default=250, help="transactions a second, at most")
parser.add_argument("--seed", type=int, default=proc.seed())
args = parser.parse_args()


def settled(trial):
    """What is left in the database when all is over."""
    left = {"position": "select count(*) from truth where not exists (select from outbox o where o.id = truth.id)",
            "status": "select count(*) from outbox where status <> 'done'", "delete": "select count(*) from outbox"}[args.mode]
    check_equal(trial.pg.value(left, dbname=trial.name), 0, f"`{left}`")
    parts = {r[0] for r in trial.pg.sql("select part from commitrelay.positions where pipeline = 'shards'", dbname=trial.name)}
    check_equal(parts, {"", *(f"{k}/{SHARDS}" for k in range(SHARDS))}, "parts")


def attempt(name, faults, pg, sink):
    trial = ShardTrial(args.mode, args.seed, pg, sink, faults, args.rate)
    v, wrong = trial.run()
    if wrong:
        fail(f"shards {args.mode} {name} (seed {args.seed}): {v}\n  " + "\n  ".join(wrong))
    settled(trial)
    trial.close()
    print(f"shards {args.mode} {name}: {v}", flush=True)


os.environ.pop("COMMITRELAY_FAULT", None)
print(f"seed {args.seed}", flush=True)
check(os.access(proc.BIN, os.X_OK), f"{proc.BIN} is missing")
with Postgres(settings={"fsync": "off", "max_connections": 200}) as server, (Kafka() if args.sink == "kafka" else Redis()) as place:
    wanted = args.fault or ["joins", *FAULTS, *(["stale_save"] if args.mode == "position" else [])]
    mixed = [f for f in wanted if f in FAULTS] * args.rounds
    random.Random(args.seed).shuffle(mixed)
    if "joins" in wanted:
        attempt("joins", ["joins"], server, place)
    if "stale_save" in wanted:
        attempt("stale_save", ["start_all", "stale_save"], server, place)
    if mixed:
        attempt("faults", ["start_all", *mixed], server, place)
