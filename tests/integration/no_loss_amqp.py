#!/usr/bin/python3
"""Nothing lost, nothing invented, each key in order: PostgreSQL to Artemis by AMQP 1.0 under load, while the relay and the broker are killed and frozen.

no_loss_amqp.py [--kills N] [--deaths N] [--rate N] [--seed N]
"""
import argparse
import json
import os
import random

from support import proc
from support.faulting import Faulting
from support.judge import judge
from support.pg import Postgres
from support.proc import ROOT, check, fail, tempdir, wait_for
from support.artemis import AWAY, Artemis, arrivals
from support.relaying import LOADED, MAX_IN_FLIGHT, Relaying, admin, config, metric, page, pipeline
from support.workload import Workload, prepare, truth_of

parser = argparse.ArgumentParser()
parser.add_argument("--kills", type=int, default=10, help="how often the relay is killed")
parser.add_argument("--deaths", type=int, default=2, help="how often the broker is killed")
parser.add_argument("--rate", type=int, default=250, help="transactions a second, at most")
parser.add_argument("--seed", type=int, default=proc.seed())
args = parser.parse_args()


class Trial(Faulting):
    """A database, a queue, a workload that runs through, and relays of one pipeline."""

    name = "amqp"

    def __init__(self, pg, broker):
        self.pg, self.kafka = pg, broker  # the broker of Faulting
        self.rng = random.Random(f"{args.seed}-amqp")
        conninfo = prepare(pg, self.name, "position", ROOT)
        self.admin, self.seen = admin(), 0
        source = {"type": "outbox_postgres", "url": conninfo, "mode": "position", "batch_size": 200, "connect_timeout": "2s", "read_timeout": "5s"}
        of_a_key = {"encode": {"headers": ["id", {"column": "aggregateid", "as": "key"}]}}
        self.relaying = Relaying(config(tempdir("noloss"), {**pipeline(
            source, broker.sink(connect_timeout="2s", stall_timeout="5s", idle_timeout="2s"), topic=self.name, name="noloss", limits=LOADED), **of_a_key},
            admin={"listen": self.admin}))
        self.workload = Workload(conninfo, seed=args.seed, rate=args.rate)

    def arrived(self):
        """While the broker is away: what was there before."""
        try:
            self.seen = self.kafka.count(self.name)
        except AWAY:
            pass
        return self.seen

    def wait_full(self):
        """Or until it has given up a connection on which nobody answers: without one it puts nothing."""
        def full():
            state = json.loads(page(self.admin, "status")[1])["pipelines"][0]["state"]
            return metric(self.admin, "in_flight_events") > MAX_IN_FLIGHT * .75 or state == "retrying"
        wait_for(full, 60, "the window to be full")

    def run(self):
        self.workload.start()
        self.relaying.start()
        self.wait_flow("at first")
        self.relaying.kill()
        for kill in range(args.kills):
            if kill % 5 == 4:
                self.kill_when_full()
            else:
                self.kill_at_work()
        self.relaying.start()
        for death in range(args.deaths):
            self.kill_broker(long=death % 2 == 1)
            self.wait_flow("after the broker was killed", self.some())
        self.freeze_broker()
        self.wait_flow("after the broker was frozen")
        self.relaying.check_running()
        self.workload.stop()
        self.relaying.stop()
        self.relaying.drain()

    def verdict(self):
        v = judge(truth_of(self.pg, self.name), arrivals(self.kafka.take(self.name), self.name))
        if wrong := v.faults((self.relaying.starts + self.resent) * MAX_IN_FLIGHT):
            fail(f"no-loss amqp (seed {args.seed}): {v}\n  " + "\n  ".join(wrong))
        left = self.pg.value("select count(*) from truth where not exists (select from outbox o where o.id = truth.id)", dbname=self.name)
        check(left == 0, f"{left} rows are gone (seed {args.seed})")
        print(f"no-loss amqp: {v}, kills {self.relaying.kills}", flush=True)


os.environ.pop("COMMITRELAY_FAULT", None)
print(f"seed {args.seed}", flush=True)
with Postgres() as postgres, Artemis(name="noloss-amqp") as artemis:
    trial = Trial(postgres, artemis)
    trial.run()
    trial.verdict()
