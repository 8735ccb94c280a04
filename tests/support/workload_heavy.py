"""The rare and heavy transactions of an application: one writer that does them in turn, beside those that do many small ones.

A transaction of very many rows, a payload of 900 KB, and one that stays open for a while; with PostgreSQL also a COPY, and one that is
prepared and ended by another session.
"""
import contextlib
import hashlib
import json
import time
import uuid

from .workload import PADDING, Writer
from .workload_cdc import copy
from .workload_sqlite import SqliteWriter

KEYS = ("heavy0", "heavy1", "heavy2")
HUGE_BYTES = 900 * 1024
SERVER = {"max_prepared_transactions": 20}  # what the PostgreSQL server needs


def huge(rng, k, n):
    """One event of 900 KB, as Events.make gives them."""
    event_id = str(uuid.UUID(int=rng.getrandbits(128), version=4))

    def body(size):
        return json.dumps({"i": 1, "k": k, "n": n, "id": event_id, "pad": (PADDING * 5)[:size]}, ensure_ascii=False)
    characters_a_byte = 10_000 / len(body(10_000).encode())
    text = body(int(.98 * HUGE_BYTES * characters_a_byte))
    return [(event_id, "order", k, "OrderChanged", text)], [(event_id, k, n, 1, hashlib.sha256(text.encode()).hexdigest())]


class _Heavy(Writer):
    """Goes before the kind of writer that says what an event is. It has keys of its own, which nobody else locks."""

    variety = ("bulk", "huge", "long")
    rows = 50_000  # of a bulk
    turn = 0

    def transaction(self, conn):
        step, k = self.variety[self.turn % len(self.variety)], self.rng.choice(KEYS)
        with self.begun(conn) as cur:
            getattr(self, step)(conn, cur, k, self.next(cur, k))
        self.count(step)
        self.turn += 1
        return True

    def bulk(self, conn, cur, k, n):
        for first in range(1, self.rows + 1, 1000):
            self.insert(cur, *self.events.make(k, n, first, min(1000, self.rows - first + 1)), True)
        self.end(conn, True)

    def huge(self, conn, cur, k, n):
        self.insert(cur, *huge(self.rng, k, n), True)
        self.end(conn, True)

    def long(self, conn, cur, k, n):
        """Rolled back every other time."""
        self.insert(cur, *self.events.make(k, n, 1, 2), True)
        time.sleep(self.rng.uniform(.5, 2))
        self.end(conn, self.rng.random() < .5)


class _HeavyPostgres(_Heavy):
    variety = (*_Heavy.variety, "copied", "prepared")

    def begun(self, conn):
        return conn.cursor()

    def next(self, cur, k):
        cur.execute("update agg set n = n + 1 where k = %s returning n", (k,))
        return cur.fetchone()[0]

    def end(self, conn, commit):
        (conn.commit if commit else conn.rollback)()

    def transaction(self, conn):
        end_prepared(conn, self.rng)  # what a server or a link that went down has left would hold the key's lock
        return super().transaction(conn)

    def copied(self, conn, cur, k, n):
        outbox, truth = self.events.make(k, n, 1, 300)
        copy(cur, self.into, outbox)
        copy(cur, "truth", truth)
        self.end(conn, True)

    def prepared(self, conn, cur, k, n):
        self.insert(cur, *self.events.make(k, n, 1, 3), True)
        cur.execute("prepare transaction %s", (uuid.UUID(int=self.rng.getrandbits(128)).hex,))
        conn.rollback()  # it is out of this session's hands
        time.sleep(self.rng.uniform(0, 1))
        end_prepared(conn, self.rng)


class _HeavySqlite(_Heavy, SqliteWriter):
    def transaction(self, conn):
        """Then leaves as much time to the others: SQLite's one lock is not given out in turn, and who asks for it again at once gets it."""
        began = time.monotonic()
        super().transaction(conn)
        self.stop.wait(time.monotonic() - began)

    def begun(self, conn):
        conn.execute("begin immediate")
        return contextlib.nullcontext(conn)

    def next(self, cur, k):
        cur.execute("update agg set n = n + 1 where k = ?", (k,))
        return cur.execute("select n from agg where k = ?", (k,)).fetchone()[0]

    def end(self, conn, commit):
        conn.execute("commit" if commit else "rollback")


def heavy(kind, rows):
    """The heavy writer for events as `kind` makes them."""
    bases = (_HeavySqlite,) if issubclass(kind, SqliteWriter) else (_HeavyPostgres, kind)
    return type(f"Heavy{kind.__name__}", bases, {"rows": rows})


def end_prepared(conn, rng):
    """Ends each transaction that is prepared in this database, two of three by a commit."""
    conn.autocommit = True
    with conn.cursor() as cur:
        cur.execute("select gid from pg_prepared_xacts where database = current_database() order by 1")
        for (name,) in cur.fetchall():
            cur.execute(f"{'commit' if rng.random() < .67 else 'rollback'} prepared %s", (name,))
    conn.autocommit = False
