#!/usr/bin/python3
"""Webhooks under load: nothing lost, nothing invented, each key in order, while the relay and the receiver are killed and the receiver is frozen.

http_no_loss.py [--kills N] [--deaths N] [--batch] [--seed N]
"""
import argparse
import json
import random

from support import proc, workload_sqlite
from support.faulting import Faulting
from support.judge import Arrival, judge
from support.proc import ROOT, check, fail, tempdir, wait_for
from support.relaying import LOADED, MAX_IN_FLIGHT, Relaying, admin, config, metric, pipeline
from support.webhook import Webhook
from support.workload import Workload

parser = argparse.ArgumentParser()
parser.add_argument("--kills", type=int, default=5, help="how often the relay is killed")
parser.add_argument("--deaths", type=int, default=3, help="how often the receiver is killed")
parser.add_argument("--batch", action="store_true", help="send up to 20 events in one request")
parser.add_argument("--seed", type=int, default=proc.seed())
args = parser.parse_args()


class Trial(Faulting):
    def __init__(self, d):
        self.rng = random.Random(f"{args.seed}-http")
        self.path = d / "shop.db"
        workload_sqlite.prepare(self.path, ROOT)
        self.workload = Workload([self.path], args.seed, writers=8, rate=150, kind=workload_sqlite.SqliteWriter)
        self.receiver = Webhook(jitter=.01).start()
        sink = {"type": "http", "timeout": "3s", "url": f"{self.receiver.url}/{{key}}", "allow_private": True, "concurrency": 16}
        encode = {}
        if args.batch:
            sink |= {"url": f"{self.receiver.url}/all", "batch": {"events": 20}}
            encode = {"format": "json"}
        self.admin = admin()
        shop = {"type": "outbox_sqlite", "path": str(self.path), "batch_size": 100}
        self.relaying = Relaying(config(d, {**pipeline(shop, sink, limits=LOADED), "encode": encode}, admin={"listen": self.admin}))

    def arrived(self):
        return self.receiver.count()

    def arrivals(self):
        if not args.batch:
            return self.receiver.arrivals()
        events = (e for r in self.receiver.taken() for e in json.loads(r.body))
        return [Arrival("http", e["key"], e["id"], e["payload"].encode()) for e in events]

    def kill_receiver(self):
        """While requests are open; away until the relay has tried again."""
        self.wait_flow("before the receiver is killed")
        before = metric(self.admin, "retries_total")
        self.receiver.kill9()
        wait_for(lambda: metric(self.admin, "retries_total") > before + 2, 60, "the relay to notice")
        self.receiver.start()
        self.resent += 1

    def freeze_receiver(self):
        """For longer than the timeout of a request."""
        self.wait_flow("before the receiver is frozen")
        before = metric(self.admin, "retries_total")
        self.receiver.sigstop()
        wait_for(lambda: metric(self.admin, "retries_total") > before, 60, "requests to be given up")
        self.receiver.sigcont()
        self.resent += 2

    def run(self):
        self.workload.start()
        for _ in range(args.kills):
            self.kill_at_work()
        self.relaying.start()
        for _ in range(args.deaths):
            self.kill_receiver()
        self.freeze_receiver()
        self.wait_flow("after the last fault")
        self.workload.stop()
        self.relaying.stop()
        self.relaying.drain()
        v = judge(workload_sqlite.truth_of(self.path), self.arrivals())
        # Each start and each retry sends at most a window again.
        if wrong := v.faults((self.relaying.starts + 40 * (self.resent + 1)) * MAX_IN_FLIGHT):
            fail(f"http (seed {args.seed}): {v}\n  " + "\n  ".join(wrong))
        most = max(r.most for r in self.receiver.all())
        if not args.batch:
            check(most > 1, "no two requests were open at a time")
        print(f"no-loss http{' batch' * args.batch}: {v}, kills {self.relaying.kills}, receiver killed {args.deaths}, requests {self.arrived()}, "
              f"most at a time {most}", flush=True)


Trial(tempdir("http")).run()
