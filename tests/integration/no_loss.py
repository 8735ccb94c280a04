#!/usr/bin/python3
"""Nothing lost, nothing invented, each key in order: PostgreSQL to Kafka under load while processes and servers are killed.

no_loss.py --mode position|status|delete|cdc [--fault kill|broker|postgres|two|bulk]... [--seconds N] [--rate N] [--seed N]
"""
import argparse
import os
import random
import signal
import time

from relaying import MAX_IN_FLIGHT, Relaying, config, kafka_arrivals, pipeline
from support.kafka import Kafka
from support.pg import Postgres
from support.proc import ROOT, check, fail, tempdir, wait_for

import workload_cdc
from judge import judge
from workload import Events, OpenTransaction, Workload, Writer, prepare, truth_of

parser = argparse.ArgumentParser()
parser.add_argument("--mode", required=True, choices=["position", "status", "delete", "cdc"])
parser.add_argument("--fault", action="append", choices=["kill", "broker", "postgres", "two", "bulk"])
parser.add_argument("--seconds", type=int, default=60, help="how long `kill` lasts")
parser.add_argument("--rate", type=int, default=250, help="transactions a second")
parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
args = parser.parse_args()


class Trial:
    """One fault: a database, a topic, a workload that runs through, and relays of one pipeline."""

    faults = ("kill", "broker", "postgres", "two")
    writer = Writer
    # Ends whatever keeps another relay from going on.
    oust = ("select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and granted and pid <> pg_backend_pid() "
            "and database = (select oid from pg_database where datname = current_database())")

    def __init__(self, pg, kafka, fault):
        self.pg, self.kafka, self.fault = pg, kafka, fault
        self.name = f"{args.mode}_{fault}"
        self.rng = random.Random(f"{args.seed}-{self.name}")
        self.conninfo, source, top = self.prepare()
        kafka.create_topic(self.name, 3)
        path = config(tempdir("noloss"), pipeline(
            "noloss", {**source, "connect_timeout": "2s", "read_timeout": "5s"}, {"type": "kafka", "brokers": kafka.bootstrap},
            topic=self.name), **top)
        self.relaying = Relaying(path)
        self.resent = 0  # how often something happened after which a window may be sent again
        self.opened = 0
        self.open = None
        self.open_again()
        self.workload = Workload(self.conninfo, seed=args.seed, rate=args.rate, kind=self.writer)

    def prepare(self):
        """Conninfo, the source's configuration, further top-level keys."""
        conninfo = prepare(self.pg, self.name, args.mode, ROOT)
        return conninfo, {"type": "outbox_postgres", "url": conninfo, "mode": args.mode, "batch_size": 200}, {}

    def open_again(self):
        if self.open:
            self.open.gone()
        self.opened += 1
        self.open = OpenTransaction(self.conninfo, self.opened, self.writer)

    def arrived(self):
        return self.kafka.count(self.name)

    def wait_flow(self, what, timeout=60):
        """Events arrive that were not there when it began."""
        before = self.arrived()
        wait_for(lambda: self.arrived() > before, timeout, f"events to arrive {what}")

    def run(self):
        self.workload.start()
        self.relaying.start()
        self.wait_flow("at first")
        getattr(self, self.fault)()
        self.wait_flow("after the last fault, beside an open transaction")
        self.workload.stop()
        self.relaying.stop()
        self.relaying.drain()
        self.verdict("with a transaction still open")
        self.open.commit()
        self.relaying.drain()
        v = self.verdict("in the end")
        print(f"no-loss {args.mode} {self.fault}: {v}, kills {self.relaying.kills}", flush=True)

    def verdict(self, when):
        v = judge(truth_of(self.pg, self.name), kafka_arrivals(self.kafka, self.name))
        bound = (self.relaying.starts + self.resent) * MAX_IN_FLIGHT
        if wrong := v.faults(bound):
            fail(f"no-loss {args.mode} {self.fault} {when} (seed {args.seed}): {v}\n  " + "\n  ".join(wrong))
        self.check_database()
        return v

    def check_database(self):
        """What the relay did to the rows themselves: all committed ones are done, or gone, or as they were."""
        left = {"position": "select count(*) from truth where not exists (select from outbox o where o.id = truth.id)",
                "status": "select count(*) from outbox where status <> 'done' or published_at is null",
                "delete": "select count(*) from outbox"}[args.mode]
        n = self.pg.value(left, dbname=self.name)
        check(n == 0, f"{args.mode}: `{left}` answers {n} (seed {args.seed})")

    # --- the faults ---

    def kill(self):
        """kill -9 of the relay every second, started again at once."""
        end = time.monotonic() + args.seconds
        while time.monotonic() < end:
            time.sleep(self.rng.uniform(.4, 1.2))
            self.relaying.kill()
            if self.rng.random() < .1:
                # Something piles up, and the next kill hits a full window.
                time.sleep(2)
                self.relaying.start()
                time.sleep(self.rng.uniform(.05, .3))
                self.relaying.kill()
            self.relaying.start()

    def broker(self):
        """Killed twice, frozen once; the relay lives through it."""
        for _ in range(2):
            self.kafka.kill9()
            time.sleep(self.rng.uniform(0, 1))
            self.kafka.start()
            self.resent += 2
            self.wait_flow("after the broker was killed")
        self.kafka.sigstop()
        time.sleep(5)
        self.kafka.sigcont()
        self.resent += 2
        self.wait_flow("after the broker was frozen")
        self.relaying.check_running()

    def postgres(self):
        """Restarted in an orderly and in a hurried way and crashed; the relay lives through it."""
        for how in ("fast", "immediate", "crash"):
            if how == "crash":
                self.pg.crash()
                self.pg.start()
            else:
                self.stop_server(how)
                self.pg.start()
            self.resent += 1
            self.open_again()
            self.wait_flow(f"after PostgreSQL's restart ({how})")
            time.sleep(1)
        self.relaying.check_running()

    def stop_server(self, how):
        self.pg.stop(how)

    def two(self):
        """The one that waits takes over when the other is killed, and when the other is only frozen and overtaken."""
        for _ in range(3):
            active = self.relaying.relay
            waiting = self.relaying.start()
            time.sleep(1)
            check(active.running and waiting.running, "both relays run")
            active.kill9()
            self.relaying.kills += 1
            self.wait_flow("from the relay that waited")
        frozen = self.relaying.relay
        self.relaying.start()
        time.sleep(1)
        frozen.signal(signal.SIGSTOP)
        self.pg.sql(self.oust, dbname=self.name)
        self.wait_flow("while the former relay is frozen")
        frozen.signal(signal.SIGCONT)
        self.resent += 1
        time.sleep(2)
        self.wait_flow("after the former relay woke up")
        self.relaying.kills += frozen.running
        frozen.kill9()


class CdcTrial(Trial):
    """The slot is made by the first start, so the events before it would not count: the load begins behind it."""

    faults = ("kill", "broker", "postgres", "two", "bulk")
    writer = workload_cdc.CdcWriter
    oust = Trial.oust + ("; select pg_terminate_backend(active_pid) from pg_replication_slots "
                         "where active_pid is not null and database = current_database()")

    def prepare(self):
        publication = f"pub_{self.fault}"
        conninfo = workload_cdc.prepare(self.pg, self.name, publication)
        # A lock file would stay with a relay that is frozen, a lock in the database can be taken over.
        top = {"store": {"url": self.pg.url(self.name)}} if self.fault == "two" else {}
        return conninfo, workload_cdc.source(conninfo, self.slot, publication), top

    @property
    def slot(self):
        return f"slot_{self.fault}"

    def open_again(self):
        if not self.opened:
            self.relaying.drain()
            check(self.pg.value("select count(*) from pg_replication_slots where slot_name = %s", self.slot) == 1, "the slot is made")
        super().open_again()

    def stop_server(self, how):
        """A fast shutdown waits until the relay has what was written; it must not wait for more, up to wal_sender_timeout (60 s)."""
        begin = time.monotonic()
        self.pg.stop(how)
        check(time.monotonic() - begin < 30, f"the server's shutdown ({how}) took {time.monotonic() - begin:.1f} s (seed {args.seed})")

    def check_database(self):
        confirmed, restart = self.pg.sql("select confirmed_flush_lsn, restart_lsn from pg_replication_slots where slot_name = %s", self.slot)[0]
        check(confirmed and restart, f"the slot has lost its places: {confirmed}, {restart}")

    def bulk(self):
        """One COPY of more rows than may be in flight, all with few LSNs: the relay is killed in its middle until it is through."""
        rng, cut = random.Random(f"{args.seed}-copy"), 0
        with self.pg.connect(self.name) as conn, conn.cursor() as cur:
            cur.execute("insert into agg values ('copied')")
            for n in range(1, 4):
                self.relaying.stop()
                self.relaying.drain()
                before = self.arrived()
                workload_cdc.bulk(cur, Events(rng), "copied", n, 6000)
                conn.commit()
                for _ in range(4):
                    self.relaying.start()
                    at = self.arrived()
                    wait_for(lambda at=at: self.arrived() > at, 30, "events of the COPY to arrive")
                    self.relaying.kill()
                    cut += before < self.arrived() < before + 6000
                self.relaying.start()
                wait_for(lambda end=before + 6000: self.arrived() >= end, 60, "the whole COPY to arrive")
        check(cut, f"no kill fell into the middle of a COPY (seed {args.seed})")


os.environ.pop("COMMITRELAY_FAULT", None)
print(f"seed {args.seed}", flush=True)
kind = CdcTrial if args.mode == "cdc" else Trial
with Postgres() as pg, Kafka() as kafka:
    for fault in args.fault or kind.faults:
        kind(pg, kafka, fault).run()
