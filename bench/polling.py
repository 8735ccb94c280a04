#!/usr/bin/env python3
"""Measures the polling relay against its bounds: PostgreSQL outbox to Kafka, all in one run, on this machine.

    bench/polling.py [--events N] [--runs K] [--only PART,...] [--out FILE]

Builds the release binary and the lab's programs, starts a PostgreSQL and a Kafka of its own on free ports in a temporary directory,
and leaves nothing running. Each round alternates a bare reader of the same rows and the relay, so that their ratio holds even where the
machine's speed wanders. The relay has its default configuration (one fixed topic with four partitions).

    drain     position, delete, status: bare reader, then relay; `ratio` = the relay's rate to the bare rate of the same round
    latency   commit to consumer at --rate events a second, by adaptive polling and with LISTEN
    idle      CPU of the relay beside an outbox where nothing happens

One JSON line a run, into --out (default results/polling-<date>.jsonl); then the aims, and whether they are met.
"""
import json
import os

import rig
from rig import LAB_HOME, sh

TABLES = dict(position="outbox", delete="outbox_delete", status="outbox_status", listen="outbox_listen")
BARE = dict(position="keyset", delete="delete", status="mark")
# kind, field, median compared how, aim
AIMS = [
    ("position", "ratio", ">=", 0.7, "position mode / bare keyset read"),
    ("delete", "ratio", ">=", 0.7, "delete mode / bare read and delete"),
    ("status", "ratio", ">=", 0.7, "status mode / bare read and mark"),
    ("position", "rss_kib", "<=", 32 * 1024, "peak RSS of a drain, KiB"),
    ("position", "first_event_s", "<=", 0.1, "start to first event, s"),
    ("latency_adaptive", "p50_ms", "<=", 5, "latency p50, adaptive polling, ms"),
    ("latency_adaptive", "p99_ms", "<=", 12, "latency p99, adaptive polling, ms"),
    ("latency_listen", "p50_ms", "<=", 2, "latency p50, LISTEN, ms"),
    ("latency_listen", "p99_ms", "<=", 5, "latency p99, LISTEN, ms"),
    ("idle_adaptive", "cpu_pct", "<", 1, "CPU beside an idle outbox, %"),
    ("idle_listen", "cpu_pct", "<", 1, "the same with LISTEN, %"),
    ("position", "relay_cpu_s_per_1M", "<=", 2.5, "relay CPU-s a million events, position mode"),
]


class Polling(rig.Bench):
    AIMS, FILES = AIMS, ["bench/polling.py"]

    def tables(self):
        sh("psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-f", LAB_HOME + "/sql/polling.sql")
        for mode, table in TABLES.items():
            extra = ["--notify", "bench"] if mode == "listen" else ["--mode", mode]
            sh(self.relay, "init", "--source", self.url, "--table", table, *extra, stdout=rig.subprocess.DEVNULL)
        self.sql_relaxed(f"CALL backlog_make({self.a.events})", "ANALYZE backlog")

    def fill(self, table, rows):
        self.sql_relaxed(f"CALL backlog_fill('{table}', {rows}, {self.a.per_tx})", f"VACUUM ANALYZE {table}", "CHECKPOINT")
        rig.time.sleep(.5)

    def config(self, mode):
        self.n += 1
        source = {"listen": "mode: position\n      notify_channel: bench"}.get(mode, f"mode: {mode}")
        return self.write_config(f"""pipelines:
  - name: bench-{self.n}
    source:
      type: outbox_postgres
      url: {self.url}
      table: {TABLES[mode]}
      {source}
    route: {{topic: {rig.TOPIC}}}
    sink: {{type: kafka, brokers: "{os.environ['BROKERS']}"}}
""")

    def left(self, mode):
        if mode == "position":
            return 0
        return int(self.lab.sql(f"SELECT count(*) FROM {TABLES[mode]}" + (" WHERE status = 'pending'" if mode == "status" else "")))

    def bare(self, mode, run, n):
        a = self.cpu()
        r = json.loads(sh(self.bin + "/outpoll", BARE[mode], TABLES[mode], 1000, capture_output=True, text=True).stdout)
        b = self.cpu()
        if r["rows"] != n:
            raise SystemExit(f"the bare reader saw {r['rows']} of {n} rows")
        self.say("bare_" + BARE[mode], run, n, rate=round(r["rate"]), client_cpu_s_per_1M=round(r["cpu_s"] * 1e6 / n, 2),
                 pg_cpu_s_per_1M=round((b["pg"] - a["pg"]) * 1e6 / n, 2))
        return r["rate"]

    def drains(self):
        n = self.a.events
        self.fill(TABLES["position"], n)
        for run in range(self.a.runs):
            for mode in ("position", "delete", "status"):
                if mode != "position":
                    self.fill(TABLES[mode], n)
                bound = self.bare(mode, run, n)
                if mode != "position":
                    self.fill(TABLES[mode], n)
                self.drain(mode, mode, run, n, bound)

    def latency(self):
        for run in range(self.a.runs):
            for kind, mode in (("latency_adaptive", "position"), ("latency_listen", "listen")):
                self.lab.sql(f"TRUNCATE {TABLES[mode]} RESTART IDENTITY")
                insert = (f"INSERT INTO {TABLES[mode]}(aggregatetype,aggregateid,type,payload,headers)"
                          " VALUES('order',$1,'OrderCreated',$2::jsonb,'{\"trace\":\"abc\"}')")
                self.delay(kind, run, lambda mode=mode: self.run_relay(mode), insert, self.a.rate)

    def idle(self):
        for kind, mode in (("idle_adaptive", "position"), ("idle_listen", "listen")):
            self.lab.sql(f"TRUNCATE {TABLES[mode]} RESTART IDENTITY")
            for run in range(self.a.runs):
                self.rest(kind, run, lambda mode=mode: self.run_relay(mode))

    PARTS = {"drain": drains, "latency": latency, "idle": idle}


def options(ap):
    ap.add_argument("--per-tx", type=int, default=100)
    ap.add_argument("--rate", type=int, default=1000, help="events a second of the latency runs")


if __name__ == "__main__":
    rig.run(Polling, __doc__, "polling", options)
