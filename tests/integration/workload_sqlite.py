"""Writer processes on SQLite outboxes: transactions that roll back, wholly or to a savepoint, and the truth about the rest."""
import multiprocessing
import os
import random
import sqlite3
import time

from support.proc import check_equal, wait_for

from judge import Truth
from workload import ROLLBACK, SAVEPOINT, Events, die_with_parent

KEYS = 40

TABLES = """
create table agg (k text primary key, n integer not null default 0);
create table truth (id text primary key, k text not null, n integer not null, i integer not null, sha text not null);
"""


def connect(path):
    conn = sqlite3.connect(path, timeout=20, isolation_level=None)
    conn.execute("pragma journal_mode = wal")
    conn.execute("pragma synchronous = normal")
    return conn


def prepare(path, root):
    conn = connect(path)
    conn.executescript((root / "schema/sqlite/outbox.sql").read_text() + TABLES)
    conn.executemany("insert into agg (k) values (?)", [(f"k{k:02d}",) for k in range(KEYS)])
    conn.close()


def truth_of(path):
    conn = connect(path)
    try:
        return [Truth(*row) for row in conn.execute("select id, k, n, i, sha from truth order by k, n, i")]
    finally:
        conn.close()


class Writer:
    def __init__(self, paths, number, seed, rate, stop):
        self.rng = random.Random(f"{seed}-{number}")
        self.events, self.rate, self.stop = Events(self.rng), rate, stop
        self.conns = [connect(p) for p in paths]

    def run(self):
        while not self.stop.is_set():
            conn = self.rng.choice(self.conns)
            try:
                self.transaction(conn)
            except sqlite3.OperationalError:  # busy, or its snapshot is old: the application begins again
                if conn.in_transaction:
                    conn.execute("rollback")
            time.sleep(self.rng.expovariate(self.rate))

    def transaction(self, conn):
        rng = self.rng
        conn.execute(rng.choice(("begin immediate", "begin")))
        k = f"k{rng.randrange(KEYS):02d}"
        conn.execute("update agg set n = n + 1 where k = ?", (k,))
        n = conn.execute("select n from agg where k = ?", (k,)).fetchone()[0]
        i, count = 1, rng.randint(1, 5)
        if rng.random() < SAVEPOINT:
            self.insert(conn, k, n, i, 1)
            conn.execute("savepoint s")
            self.insert(conn, k, n, i + 1, count)
            conn.execute("rollback to s")
            i += 1
        self.insert(conn, k, n, i, count)
        if rng.random() < .1:
            time.sleep(rng.uniform(0, .05))
        conn.execute("rollback" if rng.random() < ROLLBACK else "commit")

    def insert(self, conn, *which):
        outbox, truth = self.events.make(*which)
        conn.executemany("insert into outbox (id, aggregatetype, aggregateid, type, payload) values (?, ?, ?, ?, ?)", outbox)
        conn.executemany("insert into truth values (?, ?, ?, ?, ?)", truth)


def _write(parent, *args):
    die_with_parent(parent)
    Writer(*args).run()


class Workload:
    """4 writers over the databases until stop(); rate: transactions a second of them all, at most."""

    def __init__(self, paths, seed, writers=4, rate=150):
        mp = multiprocessing.get_context("fork")
        self._stop = mp.Event()
        self._processes = [mp.Process(target=_write, daemon=True, args=(os.getpid(), paths, w, seed, rate / writers, self._stop))
                           for w in range(writers)]

    def start(self):
        for p in self._processes:
            p.start()
        return self

    def stop(self):
        self._stop.set()
        wait_for(lambda: all(p.exitcode is not None for p in self._processes), 60, "the writers to end")
        check_equal({p.exitcode for p in self._processes}, {0}, "exit codes of the writers")
