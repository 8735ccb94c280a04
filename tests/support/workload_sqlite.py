"""Writer processes on SQLite outboxes: transactions that roll back, wholly or to a savepoint, and the truth about the rest."""
import sqlite3
import time

from .judge import Truth
from .workload import ROLLBACK, Writer

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


class SqliteWriter(Writer):
    """conninfo: the paths of the databases, of which each transaction takes one."""

    variety = ("committed", "rolled back", "savepoints")

    def __init__(self, conninfo, *args):
        super().__init__(conninfo, *args)
        self.conns = [connect(p) for p in conninfo]

    def one(self):
        conn = self.rng.choice(self.conns)
        try:
            self.transaction(conn)
        except sqlite3.OperationalError:  # busy, or its snapshot is old: the application begins again
            if conn.in_transaction:
                conn.execute("rollback")

    def transaction(self, conn):
        rng = self.rng
        conn.execute(rng.choice(("begin immediate", "begin")))
        k = f"k{rng.randrange(KEYS):02d}"
        conn.execute("update agg set n = n + 1 where k = ?", (k,))
        n = conn.execute("select n from agg where k = ?", (k,)).fetchone()[0]
        self.write_some(conn, k, n, 1)
        if rng.random() < .1:
            time.sleep(rng.uniform(0, .05))
        self.end(conn, rng.random() >= ROLLBACK)

    def end(self, conn, commit):
        conn.execute("commit" if commit else "rollback")
        self.count("committed" if commit else "rolled back")

    @classmethod
    def insert(cls, cur, outbox, truth, together):
        cur.executemany("insert into outbox (id, aggregatetype, aggregateid, type, payload) values (?, ?, ?, ?, ?)", outbox)
        cur.executemany("insert into truth values (?, ?, ?, ?, ?)", truth)
