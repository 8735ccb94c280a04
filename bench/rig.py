"""What the measurements share: servers of their own on free ports, the relay under test, one JSON line a run, aims met or missed.

A measurement subclasses Bench: it has PARTS (name -> method), AIMS, FILES (what its results depend on), and config(mode).
"""
import argparse, datetime, json, os, platform, shutil, signal, socket, statistics, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
LAB_HOME = os.path.join(HERE, "lab")
TOPIC = "bench.outbox"
WARM = 5000000  # messages until the compiler of the broker is done: its CPU for a million falls to a third meanwhile
SOURCES = ["core", "relay", "cdc", "config", "schema", "cmake", "CMakeLists.txt", "CMakePresets.json", "bench/rig.py", "bench/lab"]


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
    PARTS, AIMS, FILES = {}, [], []

    def __init__(self, a):
        self.a, self.base, self.rows = a, {}, []
        self.dir = tempfile.mkdtemp(prefix="commitrelay-bench-")
        os.chmod(self.dir, 0o711)  # the servers' user must get through
        port = free_ports(4)  # PostgreSQL, the broker, its controller, one more
        os.environ.update(LAB_DIR=self.dir, PGPORT=str(port), BROKERS=f"127.0.0.1:{port + 1}", TOPIC=TOPIC, PARTITIONS="4", PRIME="0",
                          DBZ_PORT=str(port + 3))
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
        self.tables()
        self.warm_up()

    def warm_up(self):
        """The broker's compiler has seen the load, requests of the usual size and all, before the first number."""
        os.environ["TOPIC"] = "bench.warm"
        sh(self.bin + "/topic", os.environ["BROKERS"], "bench.warm", 4)
        h = self.lab.hwm(self.a.warm, 600)
        sh(self.bin + "/rdprod", os.environ["BROKERS"], "bench.warm", self.a.warm, "batch.num.messages=200", stdout=subprocess.DEVNULL)
        h.communicate()
        os.environ["TOPIC"] = TOPIC

    def tables(self):
        raise NotImplementedError

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

    # --- the relay ---

    def config(self, mode):
        raise NotImplementedError

    def write_config(self, text):
        """Everything not named in it has its default."""
        path = os.path.join(self.dir, "relay.yaml")
        with open(path, "w") as f:
            f.write(text)
        return path

    def launch(self, *cmd, env=None):
        with open(os.path.join(self.dir, "relay.log"), "w") as log:
            return subprocess.Popen(list(cmd), stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True, env=env)

    def run_relay(self, mode):
        return self.launch(self.relay, "run", "-c", self.config(mode))

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
        with open("/proc/stat") as f:
            out["steal"] = int(f.readline().split()[8]) / os.sysconf("SC_CLK_TCK")  # what the host gave to others
        out["relay"], out["rss"] = self.lab.usage(relay, t) if relay else (0, 0)
        return out

    @staticmethod
    def stolen(a, b, seconds):
        """The share of both measured processors' time that the host took away meanwhile."""
        return dict(steal_pct=round((b["steal"] - a["steal"]) * 100 / seconds / os.cpu_count(), 1))

    # --- measurements ---

    def say(self, kind, run, n, **kw):
        row = dict(kind=kind, run=run, n=n, **kw, **self.base, date=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"))
        self.rows.append(row)
        with open(self.a.out, "a") as f:
            f.write(json.dumps(row) + "\n")
        print(json.dumps({k: v for k, v in row.items() if k not in self.base and k != "date"}), flush=True)

    def left(self, mode):
        """Rows that a drained table should no longer have."""
        return 0

    def timed(self, kind, n, start, topic=TOPIC, stopped=(0,), marks=False):
        """Starts something with start(), waits until n messages are in the topic, stops it; it must end with a status of `stopped`.

        marks: the marks of transactions are counted with the messages, one a partition and transaction."""
        os.environ["TOPIC"] = topic
        sh(self.bin + "/topic", os.environ["BROKERS"], topic, 4)
        a = self.cpu()
        h = self.lab.hwm(n, 600)
        time.sleep(.3)  # it knows the topic by now, so that the first event is seen at once
        t0 = time.time()
        p = start()
        while h.poll() is None:
            if p.poll() is not None:
                h.kill()
                h.wait()
                self.died(p)
            time.sleep(.02)
        r = json.loads(h.stdout.read())
        b = self.cpu(p.pid)
        status = self.stop_relay(p)
        if status not in stopped or (r["count"] < n if marks else r["count"] != n):
            raise SystemExit(f"{kind}: exit {status}, {r['count']} of {n} events arrived")
        return dict(rate=r["rate_10_90"], rate_whole=round(n / (r["t_last_us"] / 1e6 - t0)), first_event_s=round(r["t_first_us"] / 1e6 - t0, 3),
                    rss_kib=b["rss"], **{f"{k}_cpu_s_per_1M": round((b[k] - a[k]) * 1e6 / n, 2) for k in ("relay", "pg", "kafka")},
                    **self.stolen(a, b, time.time() - t0))

    def drain(self, kind, mode, run, n, bound=None, marks=False, **more):
        r = self.timed(kind, n, lambda: self.run_relay(mode), marks=marks)
        if left := self.left(mode):
            raise SystemExit(f"{kind}: {left} rows left")
        self.say(kind, run, n, ratio=round(r["rate"] / bound, 3) if bound else None, **r, **more)
        return r["rate"]

    def writer(self, insert, rate, seconds, acks, rows=1):
        cmd = [self.bin + "/latwriter", acks, str(rate), str(seconds), "8", str(rows)]
        return json.loads(sh(*cmd, env=dict(os.environ, INSERT_SQL=insert), capture_output=True, text=True).stdout)

    def delay(self, kind, run, start, insert, rate, rows=1):
        """What start() starts, some seconds at a steady rate, two more before them: a relay that was at rest may sleep before the first event."""
        acks, before, seconds = os.path.join(self.dir, "acks.bin"), 2, self.a.seconds + 2
        sh(self.bin + "/topic", os.environ["BROKERS"], TOPIC, 4)
        p = start()
        self.writer(insert, rate, 5, acks, rows)
        time.sleep(2)
        c = subprocess.Popen([self.bin + "/latcons", os.environ["BROKERS"], TOPIC, acks, "3", str(before * rate)],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        c.stderr.readline()
        a = self.cpu(p.pid)
        w = self.writer(insert, rate, seconds, acks, rows)
        b = self.cpu(p.pid)
        r = json.loads(c.communicate()[0])
        if self.stop_relay(p):
            self.died(p)
        if r["missing"] or r["duplicates"] or r["received"] != rate * seconds:
            raise SystemExit(f"{kind}: {r}")
        d = r["commit_to_consumer"]
        self.say(kind, run, rate * self.a.seconds, rate=round(w["rate"]), tx_late=w["tx_late_100ms"],
                 **{k: d[k] for k in ("p50_ms", "p90_ms", "p99_ms", "p999_ms", "max_ms")}, insert_p50_ms=r["insert_to_consumer"]["p50_ms"],
                 rss_kib=b["rss"], **{f"{k}_cpu_pct": round((b[k] - a[k]) * 100 / seconds, 1) for k in ("relay", "pg", "kafka")},
                 **self.stolen(a, b, seconds))

    def rest(self, kind, run, start, stopped=(0,)):
        """CPU and RSS of what start() starts, beside a database where nothing happens."""
        p = start()
        time.sleep(15)  # a start is over by then
        a = self.cpu(p.pid)
        time.sleep(self.a.idle)
        b = self.cpu(p.pid)
        if self.stop_relay(p) not in stopped:
            self.died(p)
        pct = {k: round((b[k] - a[k]) * 100 / self.a.idle, 2) for k in ("relay", "pg", "kafka")}
        self.say(kind, run, 0, cpu_pct=pct["relay"], pg_cpu_pct=pct["pg"], kafka_cpu_pct=pct["kafka"], rss_kib=b["rss"])

    # --- the whole ---

    def describe(self):
        model = next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), platform.machine())
        ram = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
        dirty = git("status", "--porcelain", "--", *SOURCES, *self.FILES)
        self.base = dict(commit=git("rev-parse", "--short", "HEAD"), dirty=bool(dirty),
                         command=" ".join([os.path.relpath(sys.argv[0], ROOT)] + sys.argv[1:]),
                         machine=f"{os.cpu_count()} x {model}, {ram:.0f} GiB, Linux {platform.release()}",
                         servers=f"PostgreSQL {self.lab.sql('SHOW server_version').split()[0]}, Kafka 4.1.0")

    def all(self):
        t0 = time.time()
        self.build()
        try:
            self.start()
            self.describe()
            for part in self.a.only.split(","):
                self.PARTS[part](self)
        finally:
            self.stop()
        print(f"{time.time() - t0:.0f} s; {self.a.out}", file=sys.stderr)
        summary(self.AIMS, self.rows)


def summary(aims, rows):
    """Medians against the aims, as the tables in README.md."""
    print("| aim | wanted | median (min - max) | |\n|---|---|---|---|")
    for kind, field, how, aim, text in aims:
        v = sorted(r[field] for r in rows if r["kind"] == kind and r.get(field) is not None)
        if v:
            m = statistics.median(v)
            ok = m >= aim if how == ">=" else m < aim if how == "<" else m <= aim
            print(f"| {text} | {how} {aim} | {m:g} ({v[0]:g} - {v[-1]:g}) | {'met' if ok else '**missed**'} |")


def run(bench, doc, name, extra=lambda ap: None):
    ap = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--events", type=int, default=1000000, help="rows of each drain")
    ap.add_argument("--runs", type=int, default=3)
    ap.add_argument("--seconds", type=int, default=20, help="of each latency run")
    ap.add_argument("--idle", type=int, default=20, help="seconds at rest")
    ap.add_argument("--only", default=",".join(bench.PARTS), help="parts, separated by commas (default: all)")
    ap.add_argument("--build", default=os.path.join(ROOT, "build/release"))
    ap.add_argument("--out", default=os.path.join(HERE, "results", f"{name}-{datetime.date.today()}.jsonl"))
    ap.add_argument("--warm", type=int, default=WARM, help="messages for the broker before the first number; fewer only to try a script")
    ap.add_argument("--keep", action="store_true", help="keep the temporary directory")
    extra(ap)
    a = ap.parse_args()
    os.makedirs(os.path.dirname(os.path.abspath(a.out)), exist_ok=True)
    bench(a).all()
