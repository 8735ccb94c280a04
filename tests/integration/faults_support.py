"""What the tests of bad input share: how one is registered, what it reports, and the relay's surroundings it spoils."""
import collections
import json
import os
import re
import shutil
import signal
import sqlite3
import sys
import urllib.error
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support import guard, proc  # noqa: E402
from support.proc import check, check_equal, wait_for  # noqa: E402

RUNS = "runs"
NOBODY = 65534
PRLIMIT, SETPRIV, STRACE = "/usr/bin/prlimit", "/usr/bin/setpriv", "/usr/bin/strace"
# A sink that is away is tried again soon. None of these limits ends anything that goes well.
QUICK = {"retry": {"initial": "20ms", "max": "200ms"}, "breaker": {"open_for": "200ms"}, "drain_timeout": "3s"}

# What a test saw: an exit code, or RUNS for a daemon that stayed up and recovered, and all it said.
Saw = collections.namedtuple("Saw", "code text")

_tests = {}
_expected = ""  # what the running test's line of faults.tsv wants to be said


def fault(fn):
    """Registers a test under its name; it gets a new Path and returns a Saw."""
    check(fn.__name__ not in _tests, f"two tests are called {fn.__name__}")
    _tests[fn.__name__] = fn
    return fn


def faults(variants):
    """Registers name:variant for each of a table's entries; the test gets the entry too."""
    def register(fn):
        for name, value in variants.items():
            _tests[f"{fn.__name__}:{name}"] = lambda d, v=value: fn(d, v)
        return fn
    return register


def registered():
    return _tests


NEEDS_ROOT = set()


def needs_root(*names):
    """Names tests that give files to other users. An ordinary user's run says that they were left out."""
    NEEDS_ROOT.update(names)


def expect(fragment):
    global _expected
    _expected = fragment


def readable(text):
    """Logfmt and JSON put a backslash before a quote; the list of expectations does not."""
    return text.replace('\\"', '"')


def ended(relay):
    return Saw(relay.poll(), readable(relay.log + relay.stdout))


def said(relay):
    """The relay says what the list expects of it. A test that ends it before has shown nothing."""
    wait_for(lambda: _expected in readable(relay.log) or not relay.running, 20, f"{relay.name} to say: {_expected}")


def alive(relay, timeout=20):
    """It still runs, and it ends in good order."""
    check(relay.running, f"it ended with {relay.poll()}")
    check_equal(relay.stop(timeout), 0, "exit code after SIGTERM")
    return Saw(RUNS, readable(relay.log))


# --- configuration ---

def write(d, text, name="relay.yaml"):
    path = Path(d) / name
    if isinstance(text, bytes):
        path.write_bytes(text)
    else:
        path.write_text(text)
    return path


def config(d, *pipelines, **top):
    """Writes a file (JSON is YAML too) and returns its path."""
    return write(d, json.dumps({"store": {"url": f"sqlite:{d}/store.db", "lease": proc.NO_LEASE}, **top, "pipelines": list(pipelines)}, indent=1))


def pipeline(source, sink=None, topic="events", name="p", route=None, **delivery):
    return {"name": name, "source": source, "sink": sink or {"type": "stdout"}, "route": {"topic": topic, **(route or {})},
            "delivery": {**QUICK, **delivery}}


_started = []


def freeze(relay):
    """Stops it and returns when none of its threads runs any more."""
    def stands():
        return all(guard.stat(int(t))[0] == "T" for t in os.listdir(f"/proc/{relay.pid}/task"))
    relay.signal(signal.SIGSTOP)
    wait_for(stands, 10, f"{relay.name} to stand still")


def thaw(relay):
    relay.signal(signal.SIGCONT)


def start(args, **how):
    """A relay that is killed at the latest when its test ends; before: words in front of the program, as of as_nobody()."""
    before = how.pop("before", None)
    if before:
        how["binary"], args = before[0], [*before[1:], *args]
    relay = proc.Relay(args, **how)
    _started.append(relay)
    return relay


def daemon(path, **how):
    return start(["run", "-c", path], **how)


def redirected(path, redirections, *more):
    """A daemon started by a shell that gives it other descriptors."""
    return start(["-c", f'exec "$0" "$@" {redirections}', proc.BIN, "run", "-c", path, *more], binary="/bin/sh")


def once(path, timeout=30, **how):
    """Relays until idle and ends, with whatever exit code."""
    relay = start(["run", "-c", path, "--until-idle"], **how)
    relay.wait_exit(timeout)
    return relay


def looked(path):
    """What `check --connect` finds."""
    relay = start(["check", "-c", path, "--connect"])
    relay.wait_exit(30)
    return ended(relay)


def clean_up():
    """After each test: nothing of it runs on, and its logs are not shown with the next one's failure."""
    while _started:
        relay = _started.pop()
        relay.kill9()
        if str(relay.stderr_path) in proc._logs:
            proc._logs.remove(str(relay.stderr_path))


def give_to_nobody(path):
    """To whom as_nobody() starts the relay as."""
    if os.getuid() == 0:
        os.chown(path, NOBODY, NOBODY)


def as_nobody(d):
    """Words to start the relay with as a user without root's rights: as nobody, or as who runs the tests."""
    if os.getuid() != 0:
        return [proc.BIN]
    need(SETPRIV)
    program = Path(d) / "commitrelay"
    if not program.exists():
        shutil.copy(proc.BIN, program)
        program.chmod(0o755)
    return [SETPRIV, "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups", str(program)]


# --- what arrived ---

def lines(relay):
    """The events on a relay's standard output; a line without its end was cut off."""
    return [json.loads(x) for x in relay.stdout.split("\n")[:-1]]


def ids(relay):
    return [e["id"] for e in lines(relay)]


def file_ids(directory, pattern="*.jsonl"):
    return [json.loads(x)["id"] for f in sorted(Path(directory).glob(pattern)) for x in f.read_text().splitlines()]


def each_once(got, want, what="events"):
    check_equal(len(got), len(set(got)), f"{what}: some came twice")
    check_equal(sorted(got), sorted(want), what)


def all_there(got, want, what="events"):
    """At least once, and nothing that was not committed."""
    check_equal(sorted(set(got)), sorted(want), what)


def wait_ids(get, want, timeout=20, what="all events to arrive"):
    wait_for(lambda: set(get()) >= set(want), timeout, what)


def all_came_once(relay, want):
    """All events arrive, the relay is well, and nothing has come twice; what it said."""
    wait_ids(lambda: ids(relay), want)
    saw = alive(relay)
    each_once(ids(relay), want)
    return saw


# --- the admin port ---

def admin():
    return f"127.0.0.1:{proc.free_port()}"


def page(address, name):
    """(status, text) of a page of the admin port."""
    try:
        with urllib.request.urlopen(f"http://{address}/{name}", timeout=180) as r:
            return r.status, r.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode()


def not_ready(address):
    wait_for(lambda: page(address, "readyz")[0] == 503, 10, "readiness to go")


def metric(address, name):
    m = re.search(rf"^commitrelay_{name}(?:{{[^}}]*}})? ([0-9.e+-]+)$", page(address, "metrics")[1], re.M)
    return float(m[1]) if m else None


# --- an outbox in SQLite ---

class Shop:
    """A SQLite file with an outbox, written to as an application would."""

    def __init__(self, d, name="shop.db", wal=True, schema=None):
        self.path = Path(d) / name
        self.ids = []
        with self.connect() as db:
            if wal:
                db.execute("pragma journal_mode = wal")
            db.executescript(schema or (proc.ROOT / "schema/sqlite/outbox.sql").read_text())
        db.close()

    def connect(self):
        """A connection without transactions of its own, which waits for as long as the relay may take."""
        return sqlite3.connect(self.path, timeout=120, isolation_level=None)

    def insert(self, n=1, payload='{"n": 1}', key="k"):
        fresh = [f"e{len(self.ids) + i:06d}" for i in range(n)]
        db = sqlite3.connect(self.path, timeout=120)
        with db:
            db.executemany("insert into outbox (id, aggregatetype, aggregateid, type, payload) values (?, 'order', ?, 'T', ?)",
                           [(i, key, payload) for i in fresh])
        db.close()
        self.ids += fresh
        return fresh

    def script(self, sql):
        db = self.connect()
        db.executescript(sql)
        db.close()

    def value(self, sql):
        db = self.connect()
        try:
            row = db.execute(sql).fetchone()
            return row[0] if row else None
        finally:
            db.close()

    @property
    def cursor(self):
        """What is stored, as text: the same text means that no position moved."""
        return self.value("select cursor || ' ' || delivered from commitrelay_positions")

    def wait_saved(self):
        """All that was inserted is delivered and saved, and the relay has nothing to write any more."""
        want = f"running {len(self.ids)}"
        wait_for(lambda: self.value("select state || ' ' || delivered from commitrelay_positions") == want, 20, f"the store to say {want}",
                 ignore=(sqlite3.OperationalError,))  # before the relay has made the table

    def source(self, **more):
        return {"type": "outbox_sqlite", "path": str(self.path), "poll_interval": "50ms", **more}


def need(program):
    check(os.access(program, os.X_OK), f"{program} is missing; run tools/setup")
