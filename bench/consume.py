#!/usr/bin/env python3
"""Measures replication from database to database: a table's rows by CDC through Kafka into a copy, beside psql's \\copy of the same rows.

    bench/consume.py [--events N] [--runs K] [--workers W,...] [--only PART,...] [--out FILE]

Servers, binaries and results as bench/polling.py has them. Both tables are in one server, in a database each. A topic of one partition keeps
the order of all rows; the format is flat.

    copy      each round: `psql -c "\\copy t to stdout" | psql -c "\\copy t from stdin"` into an empty table; then the relay (its initial
              snapshot) and a consumer at once, from their start until all rows are there; then the consumer alone, over the topic that is
              full by now. `ratio` = its rate to psql's of the same round

One JSON line a run, into --out (default results/consume-<date>.jsonl); then the aims, and whether they are met.
"""
import os
import subprocess
import time

import rig
from rig import sh

# No aim was set for these: what they are is told.
AIMS = [
    ("whole", "ratio", ">=", 0, "database to database / psql \\copy"),
    ("consume", "ratio", ">=", 0, "consume alone / psql \\copy"),
    ("consume", "rss_kib", "<=", 64 * 1024, "peak RSS of the consumer, KiB"),
]
TABLE = """create table things (id bigint primary key, name text not null, amount numeric(12,2) not null, state text, created timestamptz not null,
doc jsonb not null)"""
ROWS = """insert into things select i, 'thing ' || i, i * 1.25, case i %% 3 when 0 then null when 1 then 'new' else 'paid' end,
timestamptz '2026-01-01' + i * interval '1 second', jsonb_build_object('n', i, 'text', repeat('x', 150)) from generate_series(1, %d) i"""


class Consume(rig.Bench):
    AIMS, FILES = AIMS, ["bench/consume.py"]

    def tables(self):
        self.sql_relaxed(TABLE, ROWS % self.a.events, "create publication bench for table things", "vacuum analyze things", "checkpoint")

    def psql(self, database, sql):
        return sh("psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", sql, capture_output=True, text=True).stdout.strip()

    def copy(self):
        """An empty copy in a database of its own: its name and URL."""
        self.n += 1
        name = f"copy{self.n}"
        self.psql("postgres", f"create database {name}")
        self.psql(name, TABLE)
        return name, self.url.rsplit("/", 1)[0] + "/" + name

    def count(self, name):
        return int(self.psql(name, "select count(*) from things"))

    def gone(self, name):
        self.psql("postgres", f"drop database {name} with (force)")

    def by_psql(self, run, n):
        name, _ = self.copy()
        source, t0 = os.environ["PGDATABASE"], time.time()
        out = subprocess.Popen(["psql", "-Xq", "-d", source, "-c", "\\copy things to stdout"], stdout=subprocess.PIPE)
        sh("psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-d", name, "-c", "\\copy things from stdin", stdin=out.stdout)
        if out.wait():
            raise SystemExit("psql could not copy the rows")
        seconds = time.time() - t0
        if self.count(name) != n:
            raise SystemExit(f"psql copied {self.count(name)} of {n} rows")
        self.gone(name)
        self.say("psql_copy", run, n, rate=round(n / seconds))
        return n / seconds

    def relay_config(self, topic):
        return self.write_config(f"""store: {{url: "sqlite:{self.dir}/{topic}.db"}}
pipelines:
  - name: {topic}
    source: {{type: cdc_postgres, url: "{self.url}", slot: {topic}, publication: bench, as: changes}}
    route: {{topic: {topic}}}
    encode: {{format: flat, skipped_operations: []}}
    sink: {{type: kafka, brokers: "{os.environ['BROKERS']}"}}
""")

    def consumer(self, topic, consumer, url, workers):
        path = os.path.join(self.dir, f"{consumer}.yaml")
        with open(path, "w") as f:
            f.write(f"""consumers:
  - name: {consumer}
    from: {{type: kafka, brokers: "{os.environ['BROKERS']}", topics: [{topic}]}}
    inbox: {{url: "{url}"}}
    apply: {{into: things}}
    format: flat
    workers: {workers}
""")
        with open(os.path.join(self.dir, f"{consumer}.log"), "w") as log:
            return subprocess.Popen([self.relay, "consume", "-c", path], stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)

    def wait(self, name, n, *processes):
        while self.count(name) < n:
            for p in processes:
                if p.poll() is not None:
                    raise SystemExit(f"a process ended with {p.returncode}; see {self.dir} (--keep)")
            time.sleep(.05)

    def measured(self, kind, run, n, bound, topic, workers, relayed):
        name, url = self.copy()
        a, t0 = self.cpu(), time.time()
        relay = self.launch(self.relay, "run", "-c", self.relay_config(topic)) if relayed else None
        p = self.consumer(topic, name, url, workers)
        self.wait(name, n, p, *([relay] if relay else []))
        seconds = time.time() - t0
        b = self.cpu(p.pid)
        for q in filter(None, (p, relay)):
            if status := self.stop_relay(q):
                raise SystemExit(f"{kind}: exit {status}")
        if self.count(name) != n:
            raise SystemExit(f"{kind}: {self.count(name)} of {n} rows")
        self.gone(name)
        self.say(kind, run, n, workers=workers, rate=round(n / seconds), ratio=round(n / seconds / bound, 3), rss_kib=b["rss"],
                 consumer_cpu_s_per_1M=round(b["relay"] * 1e6 / n, 2), pg_cpu_s_per_1M=round((b["pg"] - a["pg"]) * 1e6 / n, 2),
                 **self.stolen(a, b, seconds))

    def copies(self):
        n = self.a.events
        for run in range(self.a.runs):
            bound = self.by_psql(run, n)
            for workers in map(int, self.a.workers.split(",")):
                topic = f"things_{run}_{workers}"
                sh(self.bin + "/topic", os.environ["BROKERS"], topic, 1)
                self.measured("whole", run, n, bound, topic, workers, True)
                self.measured("consume", run, n, bound, topic, workers, False)
                self.psql(os.environ["PGDATABASE"], f"select pg_drop_replication_slot('{topic}')")

    PARTS = {"copy": copies}


def options(ap):
    ap.add_argument("--workers", default="1", help="numbers of workers, separated by commas")


if __name__ == "__main__":
    rig.run(Consume, __doc__, "consume", options)
