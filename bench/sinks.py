#!/usr/bin/python3
"""Measures each sink with a server behind it: PostgreSQL outbox to the server, beside a bare producer of the same library, all in one run.

    bench/sinks.py [--events N] [--runs K] [--only KIND,...] [--rate R] [--out FILE]

Builds the release binary and the lab's producers, starts PostgreSQL and the servers (those of the tests, with tests/support; tools/setup test
brings them) on free ports in a temporary directory, and leaves nothing running. KIND: kafka, rabbitmq, amqp, nats, redis, http; the receiver
of http is the lab's. For each kind and round:

    bare      lab/*prod, with the confirms that the sink waits for: acks=all, publisher confirms, dispositions, PubAcks, replies, 2xx
    drain     the relay in its default configuration: `ratio` = its rate to the bare one of the same round; CPU and peak RSS
    latency   commit to consumer at --rate events a second; the consumer is Python's client of that server (Kafka: librdkafka)

The relay's rate is that between 10 % and 90 % of the events, by its own count of what was acknowledged; what the server has is counted after it.
One JSON line a run, into --out (default results/sinks-<date>.jsonl); then the aims, whether they are met, and a table of all kinds.
"""
import json
import os
import re
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request

import rig
from rig import LAB_HOME, ROOT, TOPIC, sh

sys.path.insert(0, os.path.join(ROOT, "tests"))
from support import proc, rdkafka  # noqa: E402
from support.served import PLACE, SERVED  # noqa: E402

KINDS = ("kafka", "rabbitmq", "amqp", "nats", "redis", "http")
WINDOW = 10000  # the relay's max_in_flight
AIMS = [(f"{kind}_drain", "ratio", ">=", 0.7, f"{kind}: relay / bare producer") for kind in KINDS]
INSERT = "INSERT INTO outbox(aggregatetype,aggregateid,type,payload,headers) VALUES('order',$1,'OrderCreated',$2::jsonb,'{\"trace\":\"abc\"}')"


class Broker:
    """kafka, as the other measurements have it."""

    def __init__(self, bench):
        self.bench = bench
        sh(LAB_HOME + "/kafka.sh", "start", stdout=subprocess.DEVNULL)
        self.pid = bench.lab.server_pids()[1]
        bench.warm_up()
        self.clear()

    def sink(self):
        return {"type": "kafka", "brokers": os.environ["BROKERS"]}

    def bare(self, n):
        return ["rdprod", os.environ["BROKERS"], TOPIC, n]

    def reader(self, acks, skip):
        return [self.bench.bin + "/latcons", os.environ["BROKERS"], TOPIC, acks, "3", str(skip)]

    def count(self):
        with rdkafka.Client(os.environ["BROKERS"]) as c:
            return sum(c.watermarks(TOPIC, p)[1] for p in range(c.partitions()[TOPIC]))

    def clear(self):
        sh(self.bench.bin + "/topic", os.environ["BROKERS"], TOPIC, 4)

    def close(self):
        sh(LAB_HOME + "/kafka.sh", "stop", stdout=subprocess.DEVNULL)


class Place:
    """A server of tests/support/served.py."""

    def __init__(self, _bench, kind):
        self.kind, self.served = kind, SERVED[kind]()
        self.pid, self.port = self.served.pid, self.served.server.port

    def sink(self):
        return self.served.sink()

    def bare(self, n):
        login = [self.port, "owner", "hunter2"]
        return {"rabbitmq": ["rmqprod", *login, PLACE, "of.", n, WINDOW], "amqp": ["amqpprod", *login, PLACE, n],
                "nats": ["natsprod", self.served.server.url if self.kind == "nats" else "", "of.", n, WINDOW],
                "redis": ["redisprod", self.port, PLACE, n, 512]}[self.kind]  # 512: two of the sink's transactions

    def reader(self, acks, skip):
        where = self.served.server.url if self.kind == "nats" else str(self.port)
        return ["/usr/bin/python3", LAB_HOME + "/latread.py", self.kind, where, acks, "3", str(skip)]

    def count(self):
        return self.served.count()

    def clear(self):
        self.served.clear()

    def close(self):
        self.served.close()


class Receiver:
    """http: lab/httpsink, which is not the bound as one in Python would be."""

    def __init__(self, bench):
        self.file, self.port = os.path.join(bench.dir, "received"), proc.free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self.process = subprocess.Popen([bench.bin + "/httpsink", str(self.port), self.file], stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            raise SystemExit("httpsink did not start")
        self.pid = self.process.pid

    def sink(self):
        return {"type": "http", "url": self.url + "{key}", "allow_private": True}

    def bare(self, n):
        return ["httpprod", self.url, n, 8]  # 8: the sink's `concurrency`

    def reader(self, acks, skip):
        return ["/usr/bin/python3", LAB_HOME + "/latread.py", "http", self.file, acks, "3", str(skip)]

    def count(self):
        with open(self.file, "rb") as f:
            return int.from_bytes(f.read(8), sys.byteorder)

    def clear(self):
        urllib.request.urlopen(urllib.request.Request(self.url, b"", method="PUT"), timeout=60).close()

    def close(self):
        self.process.kill()
        self.process.wait()


def between(samples, n, part):
    """When so great a part of n events was there: samples of (time, events), a straight line between two of them."""
    want = n * part
    for (t0, n0), (t1, n1) in zip(samples, samples[1:]):
        if n0 < want <= n1:
            return t0 + (t1 - t0) * (want - n0) / (n1 - n0)
    raise SystemExit(f"no sample reached {want:.0f} events")


class Sinks(rig.Bench):
    AIMS, FILES = AIMS, ["bench/sinks.py", "tests/support"]
    place = None

    # --- servers and binaries ---

    def build(self):
        super().build()
        sh("make", "-s", "-C", LAB_HOME, f"LAB_DIR={self.dir}", "sinks")

    def start(self):
        sh(LAB_HOME + "/pg.sh", "init")
        sh(LAB_HOME + "/pg.sh", "start", stdout=subprocess.DEVNULL)
        self.pg, self.admin = self.lab.server_pids()[0], f"127.0.0.1:{proc.free_port()}"
        sh("psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-f", LAB_HOME + "/sql/polling.sql")
        sh(self.relay, "init", "--source", self.url, stdout=subprocess.DEVNULL)
        self.sql_relaxed(f"CALL backlog_make({self.a.events})", "ANALYZE backlog")

    def stop(self):
        if self.place:
            self.place.close()
        super().stop()

    def describe(self):
        super().describe()
        self.base["servers"] = f"PostgreSQL {self.lab.sql('SHOW server_version').split()[0]}, servers of tools/setup"

    def cpu(self, relay=None):
        t = self.lab.tree()
        out = {k: self.lab.usage(pid, t)[0] for k, pid in (("pg", self.pg), ("server", self.place.pid))}
        with open("/proc/stat") as f:
            out["steal"] = int(f.readline().split()[8]) / os.sysconf("SC_CLK_TCK")
        out["relay"], out["rss"] = self.lab.usage(relay, t) if relay else (0, 0)
        return out

    # --- the relay ---

    def config(self, mode):
        self.n += 1
        return self.write_config(json.dumps({"admin": {"listen": self.admin}, "pipelines": [{
            "name": f"bench-{self.n}", "source": {"type": "outbox_postgres", "url": self.url}, "route": {"topic": TOPIC}, "sink": self.place.sink()}]}))

    def delivered(self):
        """By the relay's count; 0 before it listens."""
        try:
            with urllib.request.urlopen(f"http://{self.admin}/metrics", timeout=60) as r:
                found = re.search(r"^commitrelay_events_delivered_total\S* (\d+)", r.read().decode(), re.M)
                return int(found[1]) if found else 0
        except (urllib.error.URLError, ConnectionError):
            return 0

    def check_count(self, kind, want):
        got = self.place.count()
        if got != want:
            raise SystemExit(f"{kind}: {got} of {want} events arrived")

    # --- measurements ---

    def bare(self, kind, run, n):
        self.place.clear()
        program, *words = self.place.bare(n)
        a, t0 = self.cpu(), time.time()
        r = json.loads(sh(f"{self.bin}/{program}", *words, capture_output=True, text=True).stdout)
        b = self.cpu()
        self.check_count(f"bare {kind}", n)
        self.say(f"{kind}_bare", run, n, rate=r["rate"], cpu_s_per_1M=r["cpu_s_per_1M"], rss_kib=r["rss_kib"],
                 server_cpu_s_per_1M=round((b["server"] - a["server"]) * 1e6 / n, 2), **self.stolen(a, b, time.time() - t0))
        return r["rate"]

    def drained(self, kind, run, n, bound):
        self.place.clear()
        a, t0, samples = self.cpu(), time.time(), []
        p = self.run_relay(kind)
        while not samples or samples[-1][1] < n:
            if p.poll() is not None:
                self.died(p)
            if time.time() - t0 > 900:
                raise SystemExit(f"{kind}: {samples[-1][1]} of {n} events within 15 minutes")
            samples.append((time.time(), self.delivered()))
            time.sleep(.05)
        b = self.cpu(p.pid)
        if self.stop_relay(p):
            self.died(p)
        self.check_count(kind, n)
        rate = n * .8 / (between(samples, n, .9) - between(samples, n, .1))
        self.say(f"{kind}_drain", run, n, ratio=round(rate / bound, 3), rate=round(rate), rate_whole=round(n / (samples[-1][0] - t0)), rss_kib=b["rss"],
                 **{f"{k}_cpu_s_per_1M": round((b[k] - a[k]) * 1e6 / n, 2) for k in ("relay", "pg", "server")},
                 **self.stolen(a, b, time.time() - t0))

    def latency(self, kind, run):
        """Some seconds at a steady rate, five more before them."""
        acks, before, seconds, rate = os.path.join(self.dir, "acks.bin"), 5, self.a.seconds + 5, self.a.rate
        self.lab.sql("TRUNCATE outbox RESTART IDENTITY")
        self.place.clear()
        p = self.run_relay(kind)
        c = subprocess.Popen(self.place.reader(acks, before * rate), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if not c.stderr.readline():
            raise SystemExit(f"{kind}: the reader did not start")
        a = self.cpu(p.pid)
        w = self.writer(INSERT, rate, seconds, acks)
        b = self.cpu(p.pid)
        out, err = c.communicate()
        if self.stop_relay(p):
            self.died(p)
        if c.returncode:
            raise SystemExit(f"{kind}: the reader failed\n{err}")
        r = json.loads(out)
        if r["missing"] or r["duplicates"] or r["received"] != rate * seconds:
            raise SystemExit(f"{kind}: {r}")
        d = r["commit_to_consumer"]
        self.say(f"{kind}_latency", run, rate * self.a.seconds, rate=round(w["rate"]), tx_late=w["tx_late_100ms"],
                 **{k: d[k] for k in ("p50_ms", "p90_ms", "p99_ms", "p999_ms", "max_ms")}, rss_kib=b["rss"],
                 **{f"{k}_cpu_pct": round((b[k] - a[k]) * 100 / seconds, 1) for k in ("relay", "pg", "server")}, **self.stolen(a, b, seconds))

    def one(self, kind):
        n = self.a.events
        self.place = Broker(self) if kind == "kafka" else Receiver(self) if kind == "http" else Place(self, kind)
        self.sql_relaxed(f"CALL backlog_fill('outbox', {n}, 100)", "VACUUM ANALYZE outbox", "CHECKPOINT")
        for run in range(self.a.runs):
            self.drained(kind, run, n, self.bare(kind, run, n))
        for run in range(self.a.runs):
            self.latency(kind, run)
        self.place.close()
        self.place = None

    PARTS = {kind: lambda self, kind=kind: self.one(kind) for kind in KINDS}

    def all(self):
        super().all()
        table(self.rows)


def table(rows):
    """Medians, as in README.md."""
    def median(kind, field):
        values = [r[field] for r in rows if r["kind"] == kind and field in r]
        return f"{statistics.median(values):g}" if values else "–"
    columns = [("bare", "rate"), ("drain", "rate"), ("drain", "ratio"), ("bare", "cpu_s_per_1M"), ("drain", "relay_cpu_s_per_1M"),
               ("drain", "server_cpu_s_per_1M"), ("bare", "rss_kib"), ("drain", "rss_kib"), ("latency", "p50_ms"), ("latency", "p99_ms")]
    print("\n| | bare, events a second | relay | ratio | bare, CPU-s a million | relay | server | bare, peak RSS KiB | relay | latency p50, ms | p99 |")
    print("|---|" + "---:|" * len(columns))
    for kind in KINDS:
        if any(r["kind"].startswith(kind) for r in rows):
            print(f"| {kind} | " + " | ".join(median(f"{kind}_{part}", field) for part, field in columns) + " |")


def options(ap):
    ap.add_argument("--rate", type=int, default=1000, help="events a second of the latency runs")
    ap.set_defaults(events=200000)


if __name__ == "__main__":
    rig.run(Sinks, __doc__, "sinks", options)
