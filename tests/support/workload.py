"""Writers that make life hard for a relay of an outbox table in PostgreSQL, and keep the truth about it in the same transactions.

Each of several processes locks a key's row in `agg`, counts it up and writes events of that key to the outbox and their hashes
to `truth`. Some transactions roll back, wholly or to a savepoint; some take their sequence numbers or their transaction id
early and commit seconds later; servers may vanish under them. What was committed, `truth` says, never the writer.
"""
import ctypes
import hashlib
import json
import multiprocessing
import os
import random
import signal
import string
import sys
import time
import uuid

import psycopg2
from psycopg2.extras import execute_values

from . import proc
from .judge import Truth
from .proc import check, check_equal, wait_for

KEYS = 120
OPEN_KEY = "open"
ROLLBACK, SAVEPOINT, EARLY_XID, EARLY_SEQ, TWO_KEYS, LARGE, WAIT = .15, .10, .20, .05, .10, .01, .25
HOT = 5          # the first keys: writers that have their transaction id already queue for them
PARKED_MOST = 3  # transactions a writer holds open at a time, beside the one it works on
LARGE_BYTES = 200_000

TABLES = """
create table agg (k text primary key, n bigint not null default 0) with (fillfactor = 50);
create table truth (id uuid primary key, k text not null, n bigint not null, i int not null, sha text not null);
"""

PADDING = "".join(random.Random(1).choices(string.ascii_letters + " \"\\/\n\té✓𝄞{}[]:,", k=LARGE_BYTES + 5000))


def payload(rng, event_id, k, n, i, size):
    """A JSON object in the form in which PostgreSQL prints a jsonb, so that its bytes are known beforehand."""
    start = rng.randrange(5000)
    pad = PADDING[start:start + size]
    return json.dumps({"i": i, "k": k, "n": n, "id": event_id, "pad": pad}, ensure_ascii=False)


def canonical(obj):
    """The same text from what a reader parsed."""
    return json.dumps({m: obj[m] for m in ("i", "k", "n", "id", "pad")}, ensure_ascii=False).encode()


class Events:
    """Makes the events of a transaction: rows for the outbox and for truth."""

    def __init__(self, rng):
        self.rng = rng

    def make(self, k, n, first, count):
        outbox, truth = [], []
        for i in range(first, first + count):
            event_id = str(uuid.UUID(int=self.rng.getrandbits(128), version=4))
            size = LARGE_BYTES if self.rng.random() < LARGE / 3 else int(self.rng.random() ** 3 * 2048)
            body = payload(self.rng, event_id, k, n, i, size)
            outbox.append((event_id, "order", k, "OrderChanged", body))
            truth.append((event_id, k, n, i, hashlib.sha256(body.encode()).hexdigest()))
        return outbox, truth


class Writer:
    """One process of the load; subclasses write events in other ways."""

    into = "outbox (id, aggregatetype, aggregateid, type, payload)"
    variety = ("committed", "rolled back", "savepoints", "late commits", "early seqs")  # without them it would show nothing

    @classmethod
    def counter_names(cls):
        return (*cls.variety, "lost connections")

    def __init__(self, conninfo, number, seed, rate, stop, hold, counters):
        self.conninfo, self.rate, self.stop, self.hold, self.counters = conninfo, rate, stop, hold, counters
        self.rng = random.Random(f"{seed}-{number}")
        self.events = Events(self.rng)
        self.idle = []    # connections
        self.parked = []  # (when to end, connection, keys, whether to commit)

    def count(self, what):
        with self.counters.get_lock():
            self.counters[self.counter_names().index(what)] += 1

    def run(self):
        due = time.monotonic()
        while not self.stop.is_set():
            self.end_parked()
            due = max(due + self.rng.expovariate(self.rate), time.monotonic() - 1)
            while (self.hold.is_set() or due > time.monotonic()) and not self.stop.is_set():
                time.sleep(min(max(due - time.monotonic(), .01), .05))
                self.end_parked()
            self.one()
        self.end_parked(at_once=True)

    def one(self):
        conn = None
        try:
            conn = self.idle.pop() if self.idle else self.connect()
            keep = self.transaction(conn)
            if keep:
                self.idle.append(conn)
        except (psycopg2.errors.LockNotAvailable, psycopg2.errors.DeadlockDetected):
            self.roll_back(conn)
        except (psycopg2.OperationalError, psycopg2.InterfaceError):
            # Whether a commit in flight took place, truth says.
            self.drop(conn)
            time.sleep(.1)

    def connect(self):
        return psycopg2.connect(self.conninfo, connect_timeout=5, application_name="writer",
                                options="-c lock_timeout=500ms -c synchronous_commit=on")

    def roll_back(self, conn):
        try:
            conn.rollback()
            self.idle.append(conn)
        except (psycopg2.OperationalError, psycopg2.InterfaceError):
            self.drop(conn)  # the server went in this very moment

    def drop(self, conn):
        if conn is not None:
            self.count("lost connections")
            try:
                conn.close()
            except psycopg2.Error:
                pass

    def keys(self, hot):
        """In order, so that two writers never wait for each other; never those of our own parked transactions."""
        mine = {k for p in self.parked for k in p[2]}
        free = range(HOT) if hot else [k for k in range(HOT, KEYS) if k not in mine]
        return sorted(self.rng.sample(free, 2 if self.rng.random() < TWO_KEYS else 1))

    def transaction(self, conn):
        """Answers False when it has parked the connection with the transaction open."""
        rng = self.rng
        early = rng.random() < EARLY_XID
        keys = self.keys(hot=early)
        with conn.cursor() as cur:
            if early:
                cur.execute("select pg_current_xact_id()")
                time.sleep(rng.uniform(0, .03))  # another one may come to the key first
            for k in keys:
                key = f"k{k:03d}"
                if not early and rng.random() >= WAIT:
                    cur.execute("select from agg where k = %s for update skip locked", (key,))
                    if cur.rowcount == 0:
                        conn.rollback()
                        return True
                cur.execute("update agg set n = n + 1 where k = %s returning n", (key,))
                self.write(cur, key, cur.fetchone()[0])
        commit = rng.random() >= ROLLBACK
        if not early and len(self.parked) < PARKED_MOST and rng.random() < .08:
            self.parked.append((time.monotonic() + rng.uniform(1, 3), conn, keys, commit))
            return False
        self.end(conn, commit)
        return True

    def write(self, cur, k, n):
        i = self.write_first(cur, k, n)
        self.write_some(cur, k, n, i)

    def write_first(self, cur, k, n):
        """What only this kind of writer does; the number of the event that comes next."""
        if self.rng.random() >= EARLY_SEQ:
            return 1
        self.count("early seqs")
        cur.execute("select nextval(pg_get_serial_sequence('outbox', 'seq'))")
        seq = cur.fetchone()[0]
        time.sleep(self.rng.uniform(0, .03))
        outbox, truth = self.events.make(k, n, 1, 1)
        cur.execute("insert into outbox (seq, id, aggregatetype, aggregateid, type, payload) overriding system value "
                    "values (%s, %s, %s, %s, %s, %s)", (seq, *outbox[0]))
        self.insert(cur, [], truth, True)
        return 2

    def write_some(self, cur, k, n, i):
        rng = self.rng
        count = rng.randint(1, 5)
        if rng.random() < SAVEPOINT:
            self.count("savepoints")
            self.insert(cur, *self.events.make(k, n, i, 1), False)
            cur.execute("savepoint s")
            self.insert(cur, *self.events.make(k, n, i + 1, count), True)
            cur.execute("rollback to savepoint s")
            i += 1
        self.insert(cur, *self.events.make(k, n, i, count), rng.random() < .5)

    @classmethod
    def insert(cls, cur, outbox, truth, together):
        for rows in [outbox] if together else [[row] for row in outbox]:
            if rows:
                execute_values(cur, f"insert into {cls.into} values %s", rows)
        execute_values(cur, "insert into truth values %s", truth)

    def end(self, conn, commit):
        if commit:
            conn.commit()
        else:
            conn.rollback()
        self.count("committed" if commit else "rolled back")

    def end_parked(self, at_once=False):
        now, still = time.monotonic(), []
        for p in self.parked:
            when, conn, _, commit = p
            if now < when and not at_once:
                still.append(p)
                continue
            try:
                self.end(conn, commit)
                self.count("late commits")
                self.idle.append(conn)
            except (psycopg2.OperationalError, psycopg2.InterfaceError):
                self.drop(conn)
        self.parked = still


def die_with_parent(parent):
    """Called in a new process: a killed test leaves no writers, and the logs of the relays are not for these to show."""
    sys.excepthook = sys.__excepthook__
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _write(parent, kind, *args):
    die_with_parent(parent)
    kind(*args).run()


class Workload:
    """Writers on a database until stop(). rate: transactions a second of them all."""

    def __init__(self, conninfo, seed=None, writers=8, rate=250, kind=Writer):
        self.kind = kind
        self.seed = proc.seed() if seed is None else seed
        mp = multiprocessing.get_context("fork")
        self._stop, self._hold, self.counters = mp.Event(), mp.Event(), mp.Array("q", len(kind.counter_names()))
        self._processes = [mp.Process(target=_write, daemon=True,
                                      args=(os.getpid(), kind, conninfo, w, self.seed, rate / writers, self._stop, self._hold, self.counters))
                           for w in range(writers)]

    def start(self):
        for p in self._processes:
            p.start()
        return self

    def hold(self):
        """The writers begin nothing new until go_on()."""
        self._hold.set()

    def go_on(self):
        self._hold.clear()

    def stop(self):
        """Goes on until it has done some of everything, ends what is open, waits for the writers, and says what they did, by name."""
        wait_for(lambda: self.ended() or not self.missing(), 60, f"the workload to have done everything at least once (seed {self.seed})")
        self._stop.set()
        wait_for(lambda: self.ended() == len(self._processes), 60, f"all writers to end (seed {self.seed})")
        codes = {p.exitcode for p in self._processes}
        check_equal(codes, {0}, f"exit codes of the writers (seed {self.seed})")
        check(not self.missing(), f"the workload had no {self.missing()} (seed {self.seed}): {self.counts()}")
        return self.counts()

    def kill(self):
        """Ends it at once, if it is still there."""
        for p in self._processes:
            if p.is_alive():
                p.kill()
                p.join()

    def ended(self):
        """How many writers have ended."""
        return sum(p.exitcode is not None for p in self._processes)

    def counts(self):
        return dict(zip(self.kind.counter_names(), self.counters[:]))

    def missing(self):
        """What it has not done yet: a load without late commits or rollbacks would show nothing."""
        did = self.counts()
        return [c for c in self.kind.variety if not did[c]]


class OpenTransaction:
    """One transaction that has written an event for a key of its own and stays open for the whole test."""

    def __init__(self, conninfo, n, kind=Writer):
        self.conn = psycopg2.connect(conninfo, application_name="open transaction")
        rng = random.Random(n)
        outbox, truth = Events(rng).make(OPEN_KEY, n, 1, 1)
        with self.conn.cursor() as cur:
            kind.insert(cur, outbox, truth, True)
        self.id = outbox[0][0]

    def commit(self):
        self.conn.commit()
        self.conn.close()

    def gone(self):
        """The server it was on has ended."""
        self.conn.close()


def prepare(pg, dbname, mode, root):
    """A new database with the outbox for this mode (day: position, partitioned by day), the keys and an empty truth; its conninfo."""
    pg.createdb(dbname)
    schema = root / "schema/postgres"
    for name in {"position": ["outbox.sql"], "day": ["outbox_day.sql", "partitions.sql"]}.get(mode) or ["outbox.sql", f"{mode}.sql"]:
        pg.sql((schema / name).read_text(), dbname=dbname)
    pg.sql(TABLES, dbname=dbname)
    pg.sql("insert into agg select 'k' || lpad(g::text, 3, '0') from generate_series(0, %s) g", KEYS - 1, dbname=dbname)
    return pg.conninfo(dbname)


def truth_of(pg, dbname):
    return [Truth(*row) for row in pg.sql("select id::text, k, n, i, sha from truth order by k, n, i", dbname=dbname)]
