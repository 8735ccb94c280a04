#!/usr/bin/python3
"""Three relays share the eight shards of a pipeline: nothing lost, nothing invented, each key in order, whatever happens to one of them.

shards.py --mode position|status|delete [--fault moves|kill|kill_at_leave|freeze|cut|lock_lost|stale_save]... [--rounds N] [--rate N] [--seed N]

Without --fault: each of them, in a random order, so many times. It prints how long each take-over took. kill_at_leave kills at the fault
point shard_before_leave, stale_save stops at store_before_save.
"""
import argparse
import os
import random

from support import proc
from support.kafka import Kafka
from support.pg import Postgres
from support.proc import check, check_equal, fail
from support.shards import SHARDS, ShardTrial

FAULTS = ("moves", "kill", "kill_at_leave", "freeze", "cut", "lock_lost")

parser = argparse.ArgumentParser()
parser.add_argument("--mode", required=True, choices=["position", "status", "delete"])
parser.add_argument("--fault", action="append", choices=[*FAULTS, "stale_save"])
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


def moves_alone_repeat_nothing(pg, kafka):
    """Shards that move while nothing fails are settled before: no event is sent twice."""
    trial = ShardTrial(args.mode, f"{args.seed}m", pg, kafka, args.rate)
    v, wrong = trial.run(["moves", "moves"])
    if wrong or v.duplicates:
        fail(f"shards {args.mode} (seed {args.seed}): {v}\n  " + "\n  ".join(wrong))
    trial.close()
    print(f"shards {args.mode} moves: {v}", flush=True)


def whatever_happens(pg, kafka):
    faults = list(args.fault or FAULTS) * args.rounds
    random.Random(args.seed).shuffle(faults)
    trial = ShardTrial(args.mode, args.seed, pg, kafka, args.rate)
    v, wrong = trial.run(faults)
    if wrong:
        fail(f"shards {args.mode} (seed {args.seed}): {v}\n  " + "\n  ".join(wrong))
    settled(trial)
    trial.close()
    print(f"shards {args.mode}: {v}", flush=True)


os.environ.pop("COMMITRELAY_FAULT", None)
print(f"seed {args.seed}", flush=True)
check(os.access(proc.BIN, os.X_OK), f"{proc.BIN} is missing")
with Postgres(settings={"fsync": "off", "max_connections": 200}) as server, Kafka() as broker:
    if not args.fault:
        moves_alone_repeat_nothing(server, broker)
    whatever_happens(server, broker)
    if args.mode == "position" and not args.fault:
        args.fault = ["stale_save"]
        args.seed += 1
        whatever_happens(server, broker)
