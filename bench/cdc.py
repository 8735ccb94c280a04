#!/usr/bin/env python3
"""Measures change data capture against its bounds: PostgreSQL's logical replication to Kafka, all in one run, on this machine.

    bench/cdc.py [--events N] [--runs K] [--only PART,...] [--debezium DIR --java PROGRAM] [--out FILE]

Builds the release binary and the lab's programs, starts a PostgreSQL and a Kafka of its own on free ports in a temporary directory,
and leaves nothing running. Each round takes the contenders in turn over copies of one replication slot, so that their ratios hold even
where the machine's speed wanders. Everything over TCP, everything with its default configuration.

    drain_100 an outbox backlog of --events rows, 100 a transaction: pg_recvlogical > /dev/null, the bare C reader of the lab
              (pgdrain, paced), the relay, and Debezium Server where --debezium names its unpacked folder
    drain_1   the same with one row a transaction
    latency   commit to consumer at 200, 1,000 and 5,000 events a second (the last with 10 rows a transaction): the bare reader, the relay
    snapshot  the initial snapshot of --events rows, and Debezium's
    start     one row is there: from the start of the process to the event in the topic; and Debezium's
    idle      CPU and RSS beside a database where nothing happens; and Debezium's

One JSON line a run, into --out (default results/cdc-<date>.jsonl); then the aims, and whether they are met.
"""
import contextlib
import os
import subprocess
import time

import rig
from rig import LAB_HOME, sh

# kind, field, median compared how, aim
AIMS = [
    ("relay_100", "ratio", ">=", 1.3, "drain, 100 rows a transaction / pg_recvlogical"),
    ("relay_1", "ratio", ">=", 1.3, "drain, one row a transaction / pg_recvlogical"),
    ("debezium_100", "ratio", ">=", 2.2, "drain, 100 rows a transaction / Debezium"),
    ("debezium_1", "ratio", ">=", 1.4, "drain, one row a transaction / Debezium"),
    ("relay_100", "relay_cpu_s_per_1M", "<=", 3, "relay CPU-s a million events"),
    ("relay_100", "rss_kib", "<=", 24 * 1024, "peak RSS over a million events, KiB"),
    ("relay_100", "first_event_s", "<=", 0.15, "start to first event, s"),
    ("start", "first_event_s", "<=", 0.15, "start to first event, one row, s"),
    ("snapshot_debezium", "ratio", ">=", 3, "snapshot of a million rows / Debezium"),
    *[(f"latency_{rate}", f, "<=", aim, f"latency {f[:3]} at {rate} events a second, ms")
      for rate in (200, 1000, 5000) for f, aim in (("p50_ms", 1), ("p99_ms", 5))],
    ("idle", "cpu_pct", "<", 1, "CPU at rest, %"),
]
STOPPED = (0, 143, -15)  # how Debezium ends when it is asked to
INSERT = "INSERT INTO outbox(aggregatetype,aggregateid,type,payload,headers) VALUES('order',$1,'OrderCreated',$2::jsonb,'{\"trace\":\"abc\"}')"


class Cdc(rig.Bench):
    AIMS, FILES = AIMS, ["bench/cdc.py"]

    def tables(self):
        sh("psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-f", LAB_HOME + "/sql/outbox.sql", stderr=subprocess.DEVNULL)

    def drop_slots(self):
        for _ in range(50):
            self.lab.sql("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active")
            left = self.lab.sql("SELECT count(*) FROM pg_replication_slots")
            if left == "0":
                return
            time.sleep(.1)
        raise SystemExit("a slot stays active")

    def backlog(self, rows, per_tx):
        """An empty table, a publication, a slot, and then the rows: `copy` gives each contender a slot that stands before them."""
        self.drop_slots()
        self.tables()
        self.lab.sql("DROP PUBLICATION IF EXISTS bench_pub")
        self.lab.sql("CREATE PUBLICATION bench_pub FOR TABLE outbox WITH (publish = 'insert')")
        self.lab.sql("SELECT pg_create_logical_replication_slot('bench_src', 'pgoutput')")
        if rows:
            self.sql_relaxed(f"CALL outbox_fill({rows}, {per_tx})", "VACUUM ANALYZE outbox", "CHECKPOINT")
            time.sleep(.5)

    def copy(self, slot="bench_run"):
        for _ in range(50):
            if self.lab.sql(f"SELECT count(*) FROM pg_replication_slots WHERE slot_name = '{slot}' AND active") == "0":
                break
            time.sleep(.1)
        self.lab.sql(f"SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '{slot}'")
        self.lab.sql(f"SELECT pg_copy_logical_replication_slot('bench_src', '{slot}')")

    def config(self, mode):
        self.n += 1
        outbox = "as: outbox\n      table: outbox\n      columns: {id: event_id}\n      start_from: beginning"
        source = {"outbox": outbox, "snapshot": "as: changes\n      tables: [public.outbox]\n      snapshot: initial"}[mode]
        return self.write_config(f"""store: {{url: "sqlite:{self.dir}/state-{self.n}.db"}}
pipelines:
  - name: bench-{self.n}
    source:
      type: cdc_postgres
      url: {self.url}
      slot: bench_run
      publication: bench_pub
      {source}
    route: {{topic: {rig.TOPIC}}}
    encode: {{format: {'debezium' if mode == 'snapshot' else 'payload'}}}
    sink: {{type: kafka, brokers: "{os.environ['BROKERS']}"}}
""")

    # --- the contenders ---

    def recvlogical(self, per_tx, run, n):
        """Reads the whole backlog and drops it; its rate counts its start, which is a few hundredths of a second."""
        self.copy()
        end = self.lab.sql("SELECT pg_current_wal_lsn()")
        bindir = os.environ.get("PGBIN") or sh("pg_config", "--bindir", capture_output=True, text=True).stdout.strip()
        a, t0 = self.cpu(), time.time()
        p = self.launch(bindir + "/pg_recvlogical", "-d", os.environ["PGDATABASE"], "-S", "bench_run", "--start", "-f", "/dev/null",
                        "-o", "proto_version=1", "-o", "publication_names=bench_pub", "--endpos", end)
        _, status, ru = os.wait4(p.pid, 0)
        wall = time.time() - t0
        p.returncode = status
        if status:
            self.died(p)
        b = self.cpu()
        self.say(f"recvlogical_{per_tx}", run, n, rate=round(n / wall), client_cpu_s_per_1M=round((ru.ru_utime + ru.ru_stime) * 1e6 / n, 2),
                 pg_cpu_s_per_1M=round((b["pg"] - a["pg"]) * 1e6 / n, 2))
        return n / wall

    def run_spike(self, *more, **env):
        """The lab's bare reader and producer: what C can do at best."""
        return self.launch(self.bin + "/pgdrain", "kafka", "bench_run", "bench_pub", "0", os.environ["BROKERS"], rig.TOPIC, *more,
                           env=dict(os.environ, **env))

    def spike(self, per_tx, run, n, bound):
        self.copy()
        r = self.timed("spike", n, lambda: self.run_spike(GULP_US="100" if per_tx > 1 else "200", GULP_BELOW=str(1 << 30)))
        self.say(f"spike_{per_tx}", run, n, ratio=round(r["rate"] / bound, 3), **r)

    def prime(self, script, env):
        """It makes its slot and its offsets file while the table is empty, and is stopped again."""
        p = self.launch(script, "run", env=env)
        for _ in range(600):
            if self.lab.sql("SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'dbz' AND active") == "1":
                break
            time.sleep(.1)
        time.sleep(3)
        self.lab.sql("INSERT INTO outbox(aggregatetype,aggregateid,type,payload) VALUES('order','order-0','OrderCreated','{}')")
        time.sleep(5)
        self.stop_relay(p)
        sh(self.bin + "/topic", env["BROKERS"], env["TOPIC"], 4)

    # --- parts ---

    def drain_100(self):
        self.drains(100)

    def drain_1(self):
        self.drains(1)

    def drains(self, per_tx):
        for run in range(self.a.runs):
            n = self.a.events
            self.backlog(n, per_tx)
            bound = self.recvlogical(per_tx, run, n)
            self.spike(per_tx, run, n, bound)
            self.copy()
            ours = self.drain(f"relay_{per_tx}", "outbox", run, n, bound)
            if self.a.debezium:
                self.debezium_drain(per_tx, run, n, ours)

    @contextlib.contextmanager
    def debezium(self, n, per_tx):
        """Starts it. It stands before n rows, with its slot and its offsets."""
        env = dict(os.environ, DEBEZIUM_HOME=self.a.debezium, DEBEZIUM_JAVA=self.a.java, TOPIC=rig.TOPIC)
        script = LAB_HOME + "/conf/debezium.sh"
        self.drop_slots()
        self.tables()
        sh(script, "reset", env=env, stderr=subprocess.DEVNULL)
        self.prime(script, env)
        if n:
            self.sql_relaxed(f"CALL outbox_fill({n}, {per_tx})", "VACUUM ANALYZE outbox", "CHECKPOINT")
        yield lambda: self.launch(script, "run", env=env)
        sh(script, "reset", env=env, stderr=subprocess.DEVNULL)

    def debezium_drain(self, per_tx, run, n, ours):
        with self.debezium(n, per_tx) as start:
            r = self.timed("debezium", n, start, stopped=STOPPED)
        self.say(f"debezium_{per_tx}", run, n, ratio=round(ours / r["rate"], 3), **r)

    def latency(self):
        for run in range(self.a.runs):
            for rate, rows in ((200, 1), (1000, 1), (5000, 10)):
                for kind, start in (("spike_latency", lambda: self.run_spike("linger.ms=0", GULP_US="200")),
                                    ("latency", lambda: self.run_relay("outbox"))):
                    self.backlog(0, 1)
                    self.copy()
                    self.delay(f"{kind}_{rate}", run, start, INSERT, rate, rows)

    def snapshot(self):
        n = self.a.events
        for run in range(self.a.runs):
            self.backlog(n, 1000)
            self.drop_slots()
            ours = self.drain("snapshot", "snapshot", run, n)
            if self.a.debezium:
                self.drop_slots()
                env = dict(os.environ, DEBEZIUM_HOME=self.a.debezium, DEBEZIUM_JAVA=self.a.java, DBZ_MODE="cdc", DBZ_SNAPSHOT="initial")
                script, topic = LAB_HOME + "/conf/debezium.sh", "lab.public.outbox"
                sh(script, "reset", env=env, stderr=subprocess.DEVNULL)
                r = self.timed("snapshot_debezium", n, lambda: self.launch(script, "run", env=env), topic, STOPPED)
                sh(script, "reset", env=env, stderr=subprocess.DEVNULL)
                self.say("snapshot_debezium", run, n, ratio=round(ours / r["rate"], 3), **r)

    def first_event(self):
        for run in range(self.a.runs):
            self.backlog(1, 1)
            self.copy()
            self.say("start", run, 1, **self.timed("start", 1, lambda: self.run_relay("outbox")))
            if self.a.debezium:
                with self.debezium(1, 1) as start:
                    self.say("start_debezium", run, 1, **self.timed("debezium", 1, start, stopped=STOPPED))

    def idle(self):
        for run in range(self.a.runs):
            self.backlog(0, 1)
            self.copy()
            self.rest("idle", run, lambda: self.run_relay("outbox"))
            if self.a.debezium:
                with self.debezium(0, 1) as start:
                    self.rest("idle_debezium", run, start, STOPPED)

    PARTS = {"drain_100": drain_100, "drain_1": drain_1, "latency": latency, "snapshot": snapshot, "start": first_event, "idle": idle}


def options(ap):
    ap.add_argument("--debezium", help="the unpacked debezium-server folder; without it Debezium is left out")
    ap.add_argument("--java", default="java", help="a Java 21 for it")


if __name__ == "__main__":
    rig.run(Cdc, __doc__, "cdc", options)
