#!/usr/bin/python3
"""Nothing lost, nothing invented, each key in order: PostgreSQL to NATS JetStream under load, while the relay and the server are killed and frozen.

no_loss_nats.py [--kills N] [--deaths N] [--rate N] [--seed N]
"""
import argparse
import json
import os
import random
import urllib.error

from support import proc
from support.faulting import Faulting
from support.judge import Arrival, judge
from support.natsd import Nats
from support.pg import Postgres
from support.proc import ROOT, check, fail, tempdir, wait_for
from support.relaying import LOADED, MAX_IN_FLIGHT, Relaying, admin, config, metric, page, pipeline
from support.workload import Workload, prepare, truth_of

parser = argparse.ArgumentParser()
parser.add_argument("--kills", type=int, default=10, help="how often the relay is killed")
parser.add_argument("--deaths", type=int, default=2, help="how often the server is killed")
parser.add_argument("--rate", type=int, default=250, help="transactions a second, at most")
parser.add_argument("--seed", type=int, default=proc.seed())
args = parser.parse_args()

STREAM, NAME = "NOLOSS", "noloss"


class Trial(Faulting):
    """A database, a stream, a workload that runs through, and relays of one pipeline. The stream keeps duplicates, so that they are seen."""

    name = NAME

    def __init__(self, pg, nats):
        self.pg, self.kafka = pg, nats  # the server of Faulting
        self.rng = random.Random(f"{args.seed}-nats")
        conninfo = prepare(pg, NAME, "position", ROOT)
        nats.create_stream(STREAM, f"{NAME}.>", duplicate_window=0.1)
        self.admin, self.seen = admin(), 0
        source = {"type": "outbox_postgres", "url": conninfo, "mode": "position", "batch_size": 200, "connect_timeout": "2s", "read_timeout": "5s"}
        sink = {"type": "nats", "servers": nats.url, "subject": "{topic}.{key}", "expect_stream": STREAM, "connect_timeout": "2s", "stall_timeout": "5s"}
        self.relaying = Relaying(config(tempdir("noloss"), pipeline(source, sink, topic=NAME, name="noloss", limits=LOADED),
                                        admin={"listen": self.admin}))
        self.workload = Workload(conninfo, seed=args.seed, rate=args.rate)

    def arrived(self):
        """While the server is away: what was there before."""
        try:
            self.seen = self.kafka.count(STREAM)
        except (OSError, urllib.error.URLError):
            pass
        return self.seen

    def wait_full(self):
        """Without a connection nothing is read either."""
        def full():
            state = json.loads(page(self.admin, "status")[1])["pipelines"][0]["state"]
            return state == "retrying" or metric(self.admin, "in_flight_events") > MAX_IN_FLIGHT * .75
        wait_for(full, 60, "the window to be full, or the connection to be given up")

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
            self.wait_flow("after the server was killed", self.some())
        self.freeze_broker()
        self.wait_flow("after the server was frozen")
        self.relaying.check_running()
        self.workload.stop()
        self.relaying.stop()
        self.relaying.drain()

    def verdict(self):
        arrivals = [Arrival(STREAM, m.subject[len(NAME) + 1:], m.headers["Nats-Msg-Id"], m.data) for m in self.kafka.messages(STREAM)]
        v = judge(truth_of(self.pg, NAME), arrivals)
        if wrong := v.faults((self.relaying.starts + self.resent) * MAX_IN_FLIGHT):
            fail(f"no-loss nats (seed {args.seed}): {v}\n  " + "\n  ".join(wrong))
        left = self.pg.value("select count(*) from truth where not exists (select from outbox o where o.id = truth.id)", dbname=NAME)
        check(left == 0, f"{left} rows are gone (seed {args.seed})")
        print(f"no-loss nats: {v}, kills {self.relaying.kills}", flush=True)


os.environ.pop("COMMITRELAY_FAULT", None)
print(f"seed {args.seed}", flush=True)
with Postgres() as postgres, Nats(name="noloss-nats") as server:
    trial = Trial(postgres, server)
    trial.run()
    trial.verdict()
