#!/usr/bin/python3
"""The judge and the load can tell: three wrong ways to read an outbox are caught, while the relay beside them is right.

Each wrong reader polls the same table under the same writers. Interleavings that fool it for certain are played between its polls.
"""
import itertools
import random
import sys

import psycopg2

from support import proc
from support.arrivals import stdout_arrivals
from support.judge import Arrival, judge
from support.pg import Postgres
from support.proc import ROOT, check, fail, tempdir, wait_for
from support.relaying import LOADED, Relaying, config, pipeline
from support.workload import Events, Workload, Writer, prepare, truth_of

SEED = int(sys.argv[1]) if len(sys.argv) > 1 else proc.seed()
DB, ROUNDS = "mutations", 30
KEYS = ("trap1", "trap2", "trap3")
COLUMNS = "select aggregateid, id::text, payload::text, seq, xid::text as tx from outbox "


class Reader:
    """A relay of twenty lines with a wrong cursor; poll() reads a page, as many as there are."""

    page = 500

    def __init__(self, conninfo):
        self.conn = psycopg2.connect(conninfo)
        self.conn.autocommit = True
        self.cur = self.conn.cursor()
        self.arrived = []

    def take(self, rows):
        self.arrived += [Arrival("reader", k, event_id, body.encode()) for k, event_id, body, _, _ in rows]
        return len(rows) == self.page

    def poll(self):
        while self.read():
            pass


class SeqPaging(Reader):
    """where seq > last: a row that is committed after a later one was read is never seen."""

    fault = "lost"
    last = 0

    def read(self):
        self.cur.execute(COLUMNS + "where seq > %s order by seq limit %s", (self.last, self.page))
        rows = self.cur.fetchall()
        self.last = rows[-1][3] if rows else self.last
        return self.take(rows)


class XidHorizon(Reader):
    """order by xid, seq below the oldest running transaction: a transaction has its xid before it waits for the key's lock."""

    fault = "misordered"
    last = ("0", 0)

    def read(self):
        self.cur.execute(COLUMNS + "where (xid, seq) > (%s::xid8, %s) and xid < pg_snapshot_xmin(pg_current_snapshot()) "
                         "order by xid, seq limit %s", (*self.last, self.page))
        rows = self.cur.fetchall()
        self.last = (rows[-1][4], rows[-1][3]) if rows else self.last
        return self.take(rows)


class SnapshotByXid(Reader):
    """What became visible between two snapshots, but in the order of xid instead of seq."""

    fault = "misordered"
    seen = None

    def read(self):
        self.cur.execute("select pg_current_snapshot()::text")
        now = self.cur.fetchone()[0]
        since = "" if self.seen is None else " and not pg_visible_in_snapshot(xid, %(seen)s::pg_snapshot)"
        self.cur.execute(COLUMNS + "where pg_visible_in_snapshot(xid, %(now)s::pg_snapshot)" + since + " order by xid, seq",
                         {"now": now, "seen": self.seen})
        self.take(self.cur.fetchall())
        self.seen = now
        return False


class Interleaving:
    """Two transactions whose steps the test decides."""

    def __init__(self, conninfo):
        self.conns = [psycopg2.connect(conninfo) for _ in range(2)]
        self.events = Events(random.Random(f"{SEED}-traps"))

    def write(self, conn, key):
        with conn.cursor() as cur:
            cur.execute("update agg set n = n + 1 where k = %s returning n", (key,))
            Writer.insert(cur, *self.events.make(key, cur.fetchone()[0], 1, 2), True)

    def late_commit(self, poll):
        """The first takes the lower seq and commits after the second one of another key was read."""
        a, b = self.conns
        self.write(a, KEYS[0])
        self.write(b, KEYS[1])
        b.commit()
        poll()
        a.commit()

    def early_xid(self):
        """The first has the lower xid and comes to the key second."""
        a, b = self.conns
        with a.cursor() as cur:
            cur.execute("select pg_current_xact_id()")
        self.write(b, KEYS[2])
        b.commit()
        self.write(a, KEYS[2])
        a.commit()


def main(pg):
    conninfo = prepare(pg, DB, "position", ROOT)
    for k in KEYS:
        pg.sql("insert into agg values (%s)", k, dbname=DB)
    path = config(tempdir("mutations"), pipeline(
        {"type": "outbox_postgres", "url": conninfo, "mode": "position"}, name="right", limits=LOADED))
    relaying = Relaying(path)
    readers = [SeqPaging(conninfo), XidHorizon(conninfo), SnapshotByXid(conninfo)]
    traps = Interleaving(conninfo)
    workload = Workload(conninfo, seed=SEED, rate=200)

    def poll():
        for r in readers:
            r.poll()

    workload.start()
    relay = relaying.start()
    rounds = itertools.count(1)

    def played():
        poll()
        traps.late_commit(poll)
        traps.early_xid()
        return next(rounds) >= ROUNDS and not workload.missing()
    wait_for(played, 60, f"{ROUNDS} rounds beside a load that has done everything")
    workload.stop()
    poll()
    relaying.stop()
    rest = relaying.drain()

    truth = truth_of(pg, DB)
    right = judge(truth, stdout_arrivals(relay.stdout_path) + stdout_arrivals(rest.stdout_path))
    print(f"the relay: {right}", flush=True)
    if wrong := right.faults():
        fail(f"the relay (seed {SEED}): " + "; ".join(wrong))
    for r in readers:
        v = judge(truth, r.arrived)
        name = type(r).__name__
        print(f"{name}: {v}", flush=True)
        check(getattr(v, r.fault), f"the judge stayed green on {name}: nothing {r.fault} (seed {SEED})")
        by_chance = [t for t in (x if r.fault == "lost" else x[0] for x in getattr(v, r.fault)) if t.k not in KEYS]
        print(f"  of them {len(by_chance)} by the random writers alone", flush=True)
        check(not v.phantom and not v.altered, f"{name} reads only what is there: {v.faults()}")


print(f"seed {SEED}", flush=True)
with Postgres() as server:
    main(server)
