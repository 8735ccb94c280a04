#!/usr/bin/python3
"""The judge and the load can tell: wrong ways to go on in a change stream are caught, while one right way beside them is not.

Each reader takes the same changes from a slot of its own and is stopped again and again in the middle of its work.
"""
import itertools
import os
import random
import sys

import psycopg2

from support import pgoutput, proc, workload_cdc
from support.arrivals import stdout_arrivals
from support.judge import Arrival, judge
from support.pg import Postgres
from support.proc import check, fail, tempdir, wait_for
from support.relaying import LOADED, Relaying, config, pipeline
from support.workload import Events, Workload, truth_of

SEED = int(sys.argv[1]) if len(sys.argv) > 1 else proc.seed()
DB, PUBLICATION, ROUNDS, COPIES = "mutations", "pub", 8, 20
TRANSACTIONAL, PREFIX, BODY = range(3)


class Reader:
    """A relay of thirty lines: run() reads on from its cursor and stops somewhere; what it has delivered stays delivered."""

    shows = ()  # one of these must be seen of it

    def __init__(self, conninfo, rng):
        self.conn = psycopg2.connect(conninfo)
        self.conn.autocommit = True
        self.cur, self.rng = self.conn.cursor(), rng
        self.slot = type(self).__name__.lower()
        self.cur.execute("select pg_create_logical_replication_slot(%s, 'pgoutput')", (self.slot,))
        self.arrived, self.done = [], None

    def run(self, to_the_end=False):
        changes = [c for c in pgoutput.peek(self.cur, self.slot, PUBLICATION, None if to_the_end else 600) if not self.delivered(c)]
        stop = len(changes) if to_the_end else self.somewhere(changes)
        for c in changes[:stop]:
            event = self.event(c)
            if event:
                self.arrived.append(event)
            self.done = self.place(c)
        self.confirm(changes, stop)

    def somewhere(self, changes):
        """Anywhere, and as often where a transaction ends."""
        stop, anywhere = self.rng.randint(0, len(changes)), self.rng.random() < .5
        while not anywhere and 0 < stop < len(changes) and changes[stop - 1].commit == changes[stop].commit:
            stop += 1
        return stop

    def confirm(self, changes, stop):
        """Only what is wholly delivered: the server may forget it."""
        if 0 < stop < len(changes) and changes[stop - 1].commit != changes[stop].commit:
            self.forget(changes[stop - 1])

    def forget(self, change):
        """Up to the end of this one's transaction."""
        lsn = change.commit + 1
        if lsn == 1:
            return  # a message before any transaction
        self.cur.execute("select pg_replication_slot_advance(%s, least(%s::pg_lsn, pg_current_wal_flush_lsn()))",
                         (self.slot, f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"))

    def place(self, c):
        return c.commit, c.ordinal

    def delivered(self, c):
        return self.done is not None and self.place(c) <= self.done

    def wanted(self, c):
        return c.row[TRANSACTIONAL] and c.row[PREFIX] == workload_cdc.PREFIX

    def event(self, c):
        if c.table == workload_cdc.TABLE:
            r = c.row
            return Arrival("reader", r["entity"].decode(), r["event_id"].decode(), r["body"])
        if c.table is None and self.wanted(c):
            text = c.row[BODY]
            body = text[text.index(b'"payload": ') + 11:-1]
            quoted = text.split(b'"')
            return Arrival("reader", quoted[11].decode(), quoted[3].decode(), body)
        return None


class Right(Reader):
    """(commit LSN, ordinal)"""


class LsnAlone(Reader):
    """The rows of a COPY share their LSN: all but the first of them are taken for delivered."""

    shows = ("lost",)

    def place(self, c):
        return c.lsn


class ConfirmedTooFar(Reader):
    """Confirms what it has received: the end of a transaction whose tail it has not delivered."""

    shows = ("lost",)

    def confirm(self, changes, stop):
        if stop:
            self.forget(changes[stop - 1])


class SavedTooFar(Reader):
    """Saves the place of what it has read, as a relay that is stopped with events in its hands must not."""

    shows = ("lost",)

    def confirm(self, changes, stop):
        super().confirm(changes, stop)
        if changes:
            self.done = self.place(changes[-1])


class CommitAlone(Reader):
    """Knows the transaction, but not how much of it is delivered: all of it comes again."""

    shows = ("duplicates",)

    def delivered(self, c):
        return self.done is not None and c.commit < self.done[0]


class OrdinalAlone(Reader):
    """Counts within the transaction, but forgets which: the next one begins where the last one was left."""

    shows = ("lost", "misordered")

    def delivered(self, c):
        if self.done is None or c.ordinal > self.done[1]:
            self.done = None
            return False
        return True


class EveryMessage(Reader):
    """A message outside a transaction arrives even from one that was rolled back."""

    shows = ("phantom",)

    def delivered(self, c):
        return super().delivered(c) and not (c.table is None and not c.row[TRANSACTIONAL])

    def wanted(self, c):
        return c.row[PREFIX] == workload_cdc.PREFIX


def shown(reader, verdict):
    """Is it seen what is wrong with this one? Where it stops is chance, so that may take some tries."""
    return not reader.shows or any(getattr(verdict, f) for f in reader.shows)


def main(pg):
    conninfo = workload_cdc.prepare(pg, DB, PUBLICATION)
    rng = random.Random(SEED)
    readers = [kind(conninfo, rng) for kind in (Right, LsnAlone, ConfirmedTooFar, SavedTooFar, CommitAlone, OrdinalAlone, EveryMessage)]
    path = config(tempdir("mutations"), pipeline(workload_cdc.source(conninfo, "relay", PUBLICATION), name="right", limits=LOADED))
    relaying = Relaying(path)
    relaying.drain()  # makes the slot
    workload = Workload(conninfo, seed=SEED, rate=60, kind=workload_cdc.CdcWriter).start()
    relay = relaying.start()
    rounds = itertools.count(1)

    def read():
        for r in readers:
            r.run()
        return next(rounds) >= ROUNDS and not workload.missing()
    wait_for(read, 60, f"{ROUNDS} rounds beside a load that has done everything")
    workload.stop()
    pg.sql("insert into agg values ('copied')", dbname=DB)
    for n in range(1, COPIES + 1):
        with pg.connect(DB) as conn, conn.cursor() as cur:
            workload_cdc.bulk(cur, Events(rng), "copied", n, 2000)
        for r in readers:
            for last in [False] * 11 + [True]:
                r.run(last)
        truth = truth_of(pg, DB)
        if all(shown(r, judge(truth, r.arrived)) for r in readers):
            break
    relaying.stop()
    rest = relaying.drain()

    right = judge(truth, stdout_arrivals(relay.stdout_path) + stdout_arrivals(rest.stdout_path))
    print(f"the relay: {right}", flush=True)
    if wrong := right.faults():
        fail(f"the relay (seed {SEED}): " + "; ".join(wrong))
    for r in readers:
        v, name = judge(truth, r.arrived), type(r).__name__
        print(f"{name}: {v}", flush=True)
        check(shown(r, v), f"the judge stayed green on {name}: nothing {' or '.join(r.shows)} (seed {SEED})")
        if not r.shows:
            check(not v.faults(), f"the judge turned red on {name}: {v.faults()} (seed {SEED})")


os.environ.pop("COMMITRELAY_FAULT", None)
print(f"seed {SEED}", flush=True)
with Postgres() as server:
    main(server)
