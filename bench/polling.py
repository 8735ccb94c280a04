#!/usr/bin/env python3
"""Measures the polling relay against its bounds: PostgreSQL outbox to Kafka, all in one run, on this machine.

    bench/polling.py [--events N] [--million N] [--runs K] [--only PART,...] [--out FILE]

Builds the release binary and the lab's programs, starts a PostgreSQL and a Kafka of its own on free ports in a temporary directory,
and leaves nothing running. Each round alternates a bare reader of the same rows and the relay, so that their ratio holds even where the
machine's speed wanders. The relay has its default configuration (one fixed topic with four partitions).

    drain     position, delete, status: bare reader, then relay; `ratio` = the relay's rate to the bare rate of the same round
    million   position mode drains --million events: peak RSS, first event
    latency   commit to consumer at --rate events a second, by adaptive polling and with LISTEN
    idle      CPU of the relay beside an outbox where nothing happens

One JSON line a run, into --out (default results/polling-<date>.jsonl); then the aims, and whether they are met.
"""
import argparse, datetime, json, os, platform, shutil, signal, socket, statistics, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
LAB_HOME = os.path.join(HERE, "lab")
TOPIC = "bench.outbox"
SOURCES = ["relay", "config", "schema", "cmake", "CMakeLists.txt", "CMakePresets.json", "bench/polling.py", "bench/lab"]
TABLES = dict(position="outbox", delete="outbox_delete", status="outbox_status", listen="outbox_listen")
BARE = dict(position="keyset", delete="delete", status="mark")
# kind, field, median compared how, aim
AIMS = [
    ("position", "ratio", ">=", 0.7, "position mode / bare keyset read"),
    ("delete", "ratio", ">=", 0.7, "delete mode / bare read and delete"),
    ("status", "ratio", ">=", 0.7, "status mode / bare read and mark"),
    ("million", "rss_kib", "<=", 32 * 1024, "peak RSS over a million events, KiB"),
    ("million", "first_event_s", "<=", 0.1, "start to first event, s"),
    ("latency_adaptive", "p50_ms", "<=", 5, "latency p50, adaptive polling, ms"),
    ("latency_adaptive", "p99_ms", "<=", 12, "latency p99, adaptive polling, ms"),
    ("latency_listen", "p50_ms", "<=", 2, "latency p50, LISTEN, ms"),
    ("latency_listen", "p99_ms", "<=", 5, "latency p99, LISTEN, ms"),
    ("idle_adaptive", "cpu_pct", "<", 1, "CPU beside an idle outbox, %"),
    ("idle_listen", "cpu_pct", "<", 1, "the same with LISTEN, %"),
    ("position", "relay_cpu_s_per_1M", "<=", 2.5, "relay CPU-s a million events, position mode"),
]


def free_ports(n):
    """The first of n free ports in a row."""
    for first in range(21000 + os.getpid() % 5000, 32000, 7):
        try:
            for port in range(first, first + n):
                with socket.socket() as s:
                    s.bind(("127.0.0.1", port))
            return first
        except OSError:
            continue
    raise SystemExit("no free ports")


def sh(*cmd, **kw):
    return subprocess.run(list(map(str, cmd)), check=True, **kw)


def git(*cmd):
    return sh("git", "-C", ROOT, *cmd, capture_output=True, text=True).stdout.strip()


class Bench:
    def __init__(self, a):
        self.a, self.base = a, {}
        self.dir = tempfile.mkdtemp(prefix="commitrelay-bench-")
        os.chmod(self.dir, 0o711)  # the servers' user must get through
        port = free_ports(3)  # PostgreSQL, the broker, its controller
        os.environ.update(LAB_DIR=self.dir, PGPORT=str(port), BROKERS=f"127.0.0.1:{port + 1}", TOPIC=TOPIC, PARTITIONS="4", PRIME="0")
        sys.path.insert(0, LAB_HOME)
        import relay
        self.lab, self.bin = relay, os.path.join(self.dir, "bin")
        self.url = "postgresql://%(PGUSER)s@%(PGHOST)s:%(PGPORT)s/%(PGDATABASE)s" % os.environ
        self.n = 0  # pipelines so far: each starts from nothing

    # --- servers and binaries ---

    def build(self):
        os.makedirs(self.a.build, exist_ok=True)
        sh("cmake", "--preset", "release", "-B", self.a.build, cwd=ROOT, stdout=subprocess.DEVNULL)
        sh("ninja", "-C", self.a.build, "-j2", "commitrelay", stdout=subprocess.DEVNULL)
        sh("make", "-s", "-C", LAB_HOME, f"LAB_DIR={self.dir}")
        self.relay = os.path.join(os.path.abspath(self.a.build), "commitrelay")

    def start(self):
        sh(LAB_HOME + "/pg.sh", "init")
        sh(LAB_HOME + "/pg.sh", "start", stdout=subprocess.DEVNULL)
        sh(LAB_HOME + "/kafka.sh", "start", stdout=subprocess.DEVNULL)
        self.pg, self.kafka = self.lab.server_pids()
        sh("psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-f", LAB_HOME + "/sql/polling.sql")
        for mode, table in TABLES.items():
            extra = ["--notify", "bench"] if mode == "listen" else ["--mode", mode]
            sh(self.relay, "init", "--source", self.url, "--table", table, *extra, stdout=subprocess.DEVNULL)
        most = max(self.a.events, self.a.million)
        self.sql_relaxed(f"CALL backlog_make({most})", "ANALYZE backlog")
        sh(self.bin + "/topic", os.environ["BROKERS"], "bench.warm", 4)  # the broker's JIT has seen a load before the first number
        sh(self.bin + "/rdprod", os.environ["BROKERS"], "bench.warm", most, stdout=subprocess.DEVNULL)

    def stop(self):
        for script, made in (("pg.sh", "pg/data/postmaster.pid"), ("kafka.sh", "kafka/pid")):
            if os.path.exists(os.path.join(self.dir, made)):
                subprocess.run([f"{LAB_HOME}/{script}", "stop"], stdout=subprocess.DEVNULL)
        if self.a.keep:
            print("kept", self.dir, file=sys.stderr)
        else:
            shutil.rmtree(self.dir, ignore_errors=True)

    def sql_relaxed(self, *statements):
        for s in statements:
            sh("psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-c", s, env=dict(os.environ, PGOPTIONS="-c synchronous_commit=off"))

    def fill(self, table, rows):
        self.sql_relaxed(f"CALL backlog_fill('{table}', {rows}, {self.a.per_tx})", f"VACUUM ANALYZE {table}", "CHECKPOINT")
        time.sleep(.5)

    # --- the relay ---

    def config(self, mode):
        """Everything not named here has its default."""
        self.n += 1
        path = os.path.join(self.dir, "relay.yaml")
        source = {"listen": "mode: position\n      notify_channel: bench"}.get(mode, f"mode: {mode}")
        with open(path, "w") as f:
            f.write(f"""pipelines:
  - name: bench-{self.n}
    source:
      type: outbox_postgres
      url: {self.url}
      table: {TABLES[mode]}
      {source}
    route: {{topic: {TOPIC}}}
    sink: {{type: kafka, brokers: "{os.environ['BROKERS']}"}}
""")
        return path

    def run_relay(self, mode):
        cmd = [self.relay, "run", "-c", self.config(mode)]
        log = open(os.path.join(self.dir, "relay.log"), "w")
        return subprocess.Popen(cmd, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)

    def stop_relay(self, p):
        p.send_signal(signal.SIGTERM)
        try:
            return p.wait(30)
        except subprocess.TimeoutExpired:
            p.kill()
            return p.wait()

    def died(self, p):
        with open(os.path.join(self.dir, "relay.log")) as f:
            raise SystemExit(f"the relay ended with {p.returncode}:\n{f.read()}")

    def cpu(self, relay=None):
        t = self.lab.tree()
        out = {k: self.lab.usage(pid, t)[0] for k, pid in (("pg", self.pg), ("kafka", self.kafka))}
        out["relay"], out["rss"] = self.lab.usage(relay, t) if relay else (0, 0)
        return out

    # --- measurements ---

    def say(self, kind, run, n, **kw):
        row = dict(kind=kind, run=run, n=n, **kw, **self.base, date=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"))
        self.rows.append(row)
        with open(self.a.out, "a") as f:
            f.write(json.dumps(row) + "\n")
        print(json.dumps({k: v for k, v in row.items() if k not in self.base and k != "date"}), flush=True)

    def bare(self, mode, run, n):
        a = self.cpu()
        r = json.loads(sh(self.bin + "/outpoll", BARE[mode], TABLES[mode], 1000, capture_output=True, text=True).stdout)
        b = self.cpu()
        if r["rows"] != n:
            raise SystemExit(f"the bare reader saw {r['rows']} of {n} rows")
        self.say("bare_" + BARE[mode], run, n, rate=round(r["rate"]), client_cpu_s_per_1M=round(r["cpu_s"] * 1e6 / n, 2),
                 pg_cpu_s_per_1M=round((b["pg"] - a["pg"]) * 1e6 / n, 2))
        return r["rate"]

    def drain(self, kind, mode, run, n, bound=None):
        sh(self.bin + "/topic", os.environ["BROKERS"], TOPIC, 4)
        a = self.cpu()
        h = self.lab.hwm(n, 300)
        time.sleep(.3)  # it knows the topic by now, so that the first event is seen at once
        t0 = time.time()
        p = self.run_relay(mode)
        while h.poll() is None:
            if p.poll() is not None:
                h.kill()
                h.wait()
                self.died(p)
            time.sleep(.02)
        r = json.loads(h.stdout.read())
        b = self.cpu(p.pid)
        status = self.stop_relay(p)
        left = int(self.lab.sql(f"SELECT count(*) FROM {TABLES[mode]}" + (" WHERE status = 'pending'" if mode == "status" else ""))) if mode != "position" else 0
        if status or r["count"] != n or left:
            raise SystemExit(f"{kind}: exit {status}, {r['count']} of {n} events arrived, {left} rows left")
        rate = r["rate_10_90"]
        self.say(kind, run, n, rate=rate, ratio=round(rate / bound, 3) if bound else None, rate_whole=round(n / (r["t_last_us"] / 1e6 - t0)),
                 first_event_s=round(r["t_first_us"] / 1e6 - t0, 3), rss_kib=b["rss"],
                 **{f"{k}_cpu_s_per_1M": round((b[k] - a[k]) * 1e6 / n, 2) for k in ("relay", "pg", "kafka")})

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

    def million(self):
        n = self.a.million
        self.fill(TABLES["position"], n)
        for run in range(self.a.runs):
            self.drain("million", "position", run, n)

    def writer(self, table, seconds, acks):
        env = dict(os.environ, INSERT_SQL=f"INSERT INTO {table}(aggregatetype,aggregateid,type,payload,headers)"
                   " VALUES('order',$1,'OrderCreated',$2::jsonb,'{\"trace\":\"abc\"}')")
        cmd = [self.bin + "/latwriter", acks, str(self.a.rate), str(seconds), "8", "1"]
        return json.loads(sh(*cmd, env=env, capture_output=True, text=True).stdout)

    def latency_run(self, kind, mode, run):
        """So many seconds at a steady rate, one row a transaction, two more before them: a relay that was at rest may sleep for poll_interval
        before the first event."""
        table, acks, before = TABLES[mode], os.path.join(self.dir, "acks.bin"), 2
        self.lab.sql(f"TRUNCATE {table} RESTART IDENTITY")
        sh(self.bin + "/topic", os.environ["BROKERS"], TOPIC, 4)
        p = self.run_relay(mode)
        self.writer(table, 5, acks)
        time.sleep(2)
        c = subprocess.Popen([self.bin + "/latcons", os.environ["BROKERS"], TOPIC, acks, "3", str(before * self.a.rate)],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        c.stderr.readline()
        a = self.cpu(p.pid)
        w = self.writer(table, before + self.a.seconds, acks)
        b = self.cpu(p.pid)
        r = json.loads(c.communicate()[0])
        seconds, n = before + self.a.seconds, self.a.rate * self.a.seconds
        if self.stop_relay(p):
            self.died(p)
        if r["missing"] or r["duplicates"] or r["received"] != self.a.rate * seconds:
            raise SystemExit(f"{kind}: {r}")
        d = r["commit_to_consumer"]
        self.say(kind, run, n, rate=round(w["rate"]), tx_late=w["tx_late_100ms"], **{k: d[k] for k in ("p50_ms", "p90_ms", "p99_ms", "p999_ms", "max_ms")},
                 insert_p50_ms=r["insert_to_consumer"]["p50_ms"], rss_kib=b["rss"],
                 **{f"{k}_cpu_pct": round((b[k] - a[k]) * 100 / seconds, 1) for k in ("relay", "pg", "kafka")})

    def latency(self):
        for run in range(self.a.runs):
            self.latency_run("latency_adaptive", "position", run)
            self.latency_run("latency_listen", "listen", run)

    def idle(self):
        for kind, mode in (("idle_adaptive", "position"), ("idle_listen", "listen")):
            self.lab.sql(f"TRUNCATE {TABLES[mode]} RESTART IDENTITY")
            for run in range(self.a.runs):
                p = self.run_relay(mode)
                time.sleep(4)
                a = self.cpu(p.pid)
                time.sleep(self.a.idle)
                b = self.cpu(p.pid)
                if self.stop_relay(p):
                    self.died(p)
                pct = {k: round((b[k] - a[k]) * 100 / self.a.idle, 2) for k in ("relay", "pg", "kafka")}
                self.say(kind, run, 0, cpu_pct=pct["relay"], pg_cpu_pct=pct["pg"], kafka_cpu_pct=pct["kafka"], rss_kib=b["rss"])

    def describe(self):
        model = next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), platform.machine())
        ram = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
        dirty = git("status", "--porcelain", "--", *SOURCES)
        self.base = dict(commit=git("rev-parse", "--short", "HEAD"), dirty=bool(dirty),
                         command=" ".join(["bench/polling.py"] + sys.argv[1:]),
                         machine=f"{os.cpu_count()} x {model}, {ram:.0f} GiB, Linux {platform.release()}",
                         servers=f"PostgreSQL {self.lab.sql('SHOW server_version').split()[0]}, Kafka 4.1.0")

    def all(self):
        self.rows = []
        t0 = time.time()
        self.build()
        try:
            self.start()
            self.describe()
            for part in self.a.only.split(","):
                {"drain": self.drains, "million": self.million, "latency": self.latency, "idle": self.idle}[part]()
        finally:
            self.stop()
        print(f"{time.time() - t0:.0f} s; {self.a.out}", file=sys.stderr)
        summary(self.rows)


def summary(rows):
    """Medians against the aims, as the table in README.md."""
    print("| aim | wanted | median (min - max) | |\n|---|---|---|---|")
    for kind, field, how, aim, text in AIMS:
        v = sorted(r[field] for r in rows if r["kind"] == kind)
        if v:
            m = statistics.median(v)
            ok = m >= aim if how == ">=" else m < aim if how == "<" else m <= aim
            print(f"| {text} | {how} {aim} | {m:g} ({v[0]:g} - {v[-1]:g}) | {'met' if ok else '**missed**'} |")


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--events", type=int, default=300000, help="rows of each drain")
    ap.add_argument("--million", type=int, default=1000000, help="rows of the long drain")
    ap.add_argument("--per-tx", type=int, default=100)
    ap.add_argument("--runs", type=int, default=3)
    ap.add_argument("--rate", type=int, default=1000)
    ap.add_argument("--seconds", type=int, default=20)
    ap.add_argument("--idle", type=int, default=20, help="seconds")
    ap.add_argument("--only", default="drain,million,latency,idle")
    ap.add_argument("--build", default=os.path.join(ROOT, "build/release"))
    ap.add_argument("--out", default=os.path.join(HERE, "results", f"polling-{datetime.date.today()}.jsonl"))
    ap.add_argument("--keep", action="store_true", help="keep the temporary directory")
    a = ap.parse_args()
    os.makedirs(os.path.dirname(os.path.abspath(a.out)), exist_ok=True)
    Bench(a).all()


if __name__ == "__main__":
    main()
