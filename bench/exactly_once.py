#!/usr/bin/env python3
"""Measures what sink.exactly_once costs: the same relay with and without it, in turn, in one run, on this machine.

    bench/exactly_once.py [--events N] [--runs K] [--rate R] [--only PART,...] [--out FILE]

Servers, binaries and results as bench/polling.py has them. The consumer of the latency runs is read_committed.

    drain     position mode: at least once, then exactly once; `ratio` = the second rate to the first of the same round
    small     the same with transactions of 100 and of 1000 events
    latency   commit to consumer at --rate events a second, at least once and exactly once

One JSON line a run, into --out (default results/exactly_once-<date>.jsonl); then the expectations, and whether they are met.
"""
import os

import polling
import rig

AIMS = [
    ("exactly_once", "ratio", ">=", 0.6, "drain, exactly once / at least once"),
    ("exactly_once", "rss_kib", "<=", 64 * 1024, "peak RSS of a drain, KiB"),
    ("latency_exactly_once", "p50_ms", "<=", 30, "latency p50, exactly once, ms"),
    ("latency_exactly_once", "p99_ms", "<=", 100, "latency p99, exactly once, ms"),
]


class ExactlyOnce(polling.Polling):
    AIMS, FILES = AIMS, ["bench/exactly_once.py", "bench/polling.py"]
    events = 10000  # of a transaction

    def config(self, mode):
        path = super().config("position")
        if mode == "position":
            return path
        with open(path) as f:
            text = f.read()
        plain = f'brokers: "{os.environ["BROKERS"]}"'
        return self.write_config(text.replace(plain, f"{plain}, exactly_once: true, commit: {{events: {self.events}}}"))

    def pair(self, kind, run, n, bound):
        return self.drain(kind, "exactly", run, n, bound, marks=True, commit_events=self.events)

    def drains(self):
        n = self.a.events
        self.fill("outbox", n)
        for run in range(self.a.runs):
            self.pair("exactly_once", run, n, self.drain("at_least_once", "position", run, n))

    def small(self):
        n = self.a.events
        self.fill("outbox", n)
        for run in range(self.a.runs):
            bound = self.drain("at_least_once", "position", run, n)
            for self.events in (100, 1000):
                self.pair(f"exactly_once_{self.events}", run, n, bound)
            self.events = ExactlyOnce.events

    def latency(self):
        insert = ("INSERT INTO outbox(aggregatetype,aggregateid,type,payload,headers)"
                  " VALUES('order',$1,'OrderCreated',$2::jsonb,'{\"trace\":\"abc\"}')")
        for run in range(self.a.runs):
            for kind, mode in (("latency_at_least_once", "position"), ("latency_exactly_once", "exactly")):
                self.lab.sql("TRUNCATE outbox RESTART IDENTITY")
                self.delay(kind, run, lambda mode=mode: self.run_relay(mode), insert, self.a.rate)

    def left(self, mode):
        return 0

    PARTS = {"drain": drains, "small": small, "latency": latency}


if __name__ == "__main__":
    rig.run(ExactlyOnce, __doc__, "exactly_once", polling.options)
