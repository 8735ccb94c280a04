#!/usr/bin/python3
"""Nothing lost, nothing invented, each key in order: PostgreSQL to Kafka under load while processes and servers are killed.

no_loss.py --mode position|status|delete|cdc [--fault kill|broker|postgres|two|freeze|bulk]... [--kills N] [--rate N] [--seed N]
           [--exactly-once [--deaths N] [--mutant]]

With --exactly-once events and position go in one Kafka transaction, and a read_committed consumer must find nothing twice, whatever is killed
or frozen. With --mutant the position goes in a transaction of its own, and the judge must see what that breaks.
"""
import argparse
import json
import os
import random
import signal

from support import proc, workload_cdc
from support.arrivals import kafka_arrivals
from support.faulting import OUST_CDC, Faulting
from support.judge import judge
from support.kafka import Kafka
from support.pg import Postgres
from support.proc import ROOT, check, fail, tempdir, wait_for
from support.relaying import LOADED, MAX_IN_FLIGHT, Relaying, admin, config, metric, page, pipeline
from support.workload import Events, OpenTransaction, Workload, Writer, prepare, truth_of

parser = argparse.ArgumentParser()
parser.add_argument("--mode", required=True, choices=["position", "status", "delete", "cdc"])
parser.add_argument("--fault", action="append", choices=["kill", "broker", "postgres", "two", "freeze", "bulk"])
parser.add_argument("--kills", type=int, default=40, help="how often `kill` kills")
parser.add_argument("--rate", type=int, default=250, help="transactions a second, at most")
parser.add_argument("--exactly-once", action="store_true")
parser.add_argument("--deaths", type=int, default=2, help="how often `broker` kills the broker")
parser.add_argument("--mutant", action="store_true")
parser.add_argument("--seed", type=int, default=proc.seed())
args = parser.parse_args()

COPY_ROWS = 6000
CUTS = 8  # kills in the middle of a COPY
ISOLATION = "read_committed" if args.exactly_once else "read_uncommitted"
BETWEEN = "txn_between"  # of the mutant: the events are committed, their position is not
TXN_POINTS = ("txn_before_position", "txn_before_commit", "txn_after_commit") if args.exactly_once else ()


class Trial(Faulting):
    """One fault: a database, a topic, a workload that runs through, and relays of one pipeline."""

    faults = ("kill", "broker", "postgres", "two", "freeze")
    lease = "2s"  # under `freeze`
    points = ("feed_after_put", "settle_after_save") if args.mode in ("position", "cdc") else ("feed_after_put", "settle_after_mark", "settle_after_save")
    points = (BETWEEN,) if args.mutant else points + TXN_POINTS
    writer = Writer

    def __init__(self, pg, kafka, fault):
        self.pg, self.kafka, self.fault = pg, kafka, fault
        self.name = f"{args.mode}_{fault}"
        self.rng = random.Random(f"{args.seed}-{self.name}")
        self.conninfo, source, top = self.prepare()
        self.admin = admin()
        if fault not in ("two", "freeze"):  # of two relays with one configuration only one gets the port
            top["admin"] = {"listen": self.admin}
        kafka.create_topic(self.name, 3)
        path = config(tempdir("noloss"), pipeline(
            {**source, "connect_timeout": "2s", "read_timeout": "5s"}, self.sink(),
            topic=self.name, name="noloss", limits=LOADED), **top)
        self.relaying = Relaying(path)
        self.opened = 0
        self.open = None
        self.open_again()
        self.workload = Workload(self.conninfo, seed=args.seed, rate=args.rate, kind=self.writer)

    def sink(self):
        more = {"exactly_once": True, "transactional_id": f"id-{self.name}", "position_topic": f"position-{self.name}"} if args.exactly_once else {}
        return {"type": "kafka", "brokers": self.kafka.bootstrap, **more}

    def prepare(self):
        """Conninfo, the source's configuration, further top-level keys."""
        conninfo = prepare(self.pg, self.name, args.mode, ROOT)
        return conninfo, {"type": "outbox_postgres", "url": conninfo, "mode": args.mode, "batch_size": 200}, (
            {"store": {"lease": self.lease}} if self.fault == "freeze" else {})

    def server_came_back(self):
        self.open_again()

    def open_again(self):
        if self.open:
            self.open.gone()
        self.opened += 1
        self.open = OpenTransaction(self.conninfo, self.opened, self.writer)

    def arrived(self):
        return self.kafka.count(self.name)

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
        print(f"no-loss {args.mode} {self.fault}{' exactly once' * args.exactly_once}: {v}, kills {self.relaying.kills}", flush=True)

    def verdict(self, when):
        v = judge(truth_of(self.pg, self.name), kafka_arrivals(self.kafka, self.name, ISOLATION))
        bound = 0 if args.exactly_once and not args.mutant else (self.relaying.starts + self.resent) * MAX_IN_FLIGHT
        if args.mutant:
            check(v.duplicates, f"the judge stayed green although the position is outside the transaction (seed {args.seed})")
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
        """kill -9 of the relay, started again at once: at work, in its start, behind a certain step, with a full window."""
        at_point = [lambda: self.kill_at(self.rng.choice(self.points))]
        kinds = at_point if args.mutant else 11 * [self.kill_at_work] + 4 * [self.kill_in_start] + 3 * at_point + 2 * [self.kill_when_full]
        plan = [kinds[i % len(kinds)] for i in range(args.kills)]
        self.rng.shuffle(plan)
        self.relaying.kill()
        for kill in plan:
            kill()
        self.relaying.start()

    def wait_full(self):
        """With exactly_once nothing is read either while there is no producer: a new one waits for its broker."""
        def full():
            state = json.loads(page(self.admin, "status")[1])["pipelines"][0]["state"]
            return metric(self.admin, "in_flight_events") > MAX_IN_FLIGHT * .75 or (args.exactly_once and state == "retrying")
        wait_for(full, 60, "the window to be full")

    def broker(self):
        """Killed, every second time for so long that the window fills, and frozen once; the relay lives through it."""
        for death in range(args.deaths):
            self.kill_broker(long=death % 2 == 1)
            self.wait_flow("after the broker was killed", self.some())
        self.freeze_broker()
        self.wait_flow("after the broker was frozen")
        self.relaying.check_running()

    def postgres(self):
        """Restarted in an orderly and in a hurried way and crashed; the relay lives through it."""
        for how in ("fast", "immediate", "crash"):
            self.restart_postgres(how)
            self.wait_flow(f"after PostgreSQL's restart ({how})", self.some())
        self.relaying.check_running()

    def two(self):
        """The one that waits takes over when the other is killed, and when the other is only frozen and overtaken."""
        for _ in range(3):
            self.relieve_killed()
        self.relieve_frozen()

    def freeze(self):
        """Each is frozen in turn for longer than its lease: the other one takes over; the one that wakes up waits for its turn."""
        active, waiting = self.relaying.relay, self.relaying.start()
        waiting.wait_log("state waiting")
        for _ in range(4):
            told, took = len(active.log), len(waiting.log)
            active.signal(signal.SIGSTOP)
            wait_for(lambda: "state running" in waiting.log[took:], 60, "the relay that waits to take over")
            self.wait_flow("while the former relay is frozen")
            active.signal(signal.SIGCONT)
            self.resent += 1
            wait_for(lambda: "state waiting" in active.log[told:], 60, "the former relay to wait for its turn")
            active, waiting = waiting, active
        self.wait_flow("after the former relay woke up")
        self.relaying.relay = active
        check(waiting.stop() == 0, "exit code of the relay that waits")


class CdcTrial(Trial):
    """The slot is made by the first start, so the events before it would not count: the load begins behind it."""

    faults = ("kill", "broker", "postgres", "two", "freeze", "bulk")
    writer = workload_cdc.CdcWriter
    oust = OUST_CDC

    def prepare(self):
        publication = f"pub_{self.fault}"
        conninfo = workload_cdc.prepare(self.pg, self.name, publication)
        # A lock file would stay with a relay that is frozen, a lock in the database can be taken over.
        store = {"url": self.pg.url(self.name), "lease": self.lease if self.fault == "freeze" else proc.NO_LEASE}
        top = {"store": store} if self.fault in ("two", "freeze") else {}
        return conninfo, workload_cdc.source(conninfo, self.slot, publication), top

    @property
    def slot(self):
        return f"slot_{self.fault}"

    def open_again(self):
        if not self.opened:
            self.relaying.drain()
            check(self.pg.value("select count(*) from pg_replication_slots where slot_name = %s", self.slot) == 1, "the slot is made")
        super().open_again()

    def check_database(self):
        confirmed, restart = self.pg.sql("select confirmed_flush_lsn, restart_lsn from pg_replication_slots where slot_name = %s", self.slot)[0]
        check(confirmed and restart, f"the slot has lost its places: {confirmed}, {restart}")

    def bulk(self):
        """One COPY of more rows than may be in flight, all with few LSNs: the relay is killed in its middle until it is through."""
        rng, cuts, n = random.Random(f"{args.seed}-copy"), 0, 0
        with self.pg.connect(self.name) as conn, conn.cursor() as cur:
            cur.execute("insert into agg values ('copied')")
            self.relaying.stop()
            while cuts < CUTS:
                self.relaying.drain()
                n += 1
                workload_cdc.bulk(cur, Events(rng), "copied", n, COPY_ROWS)
                conn.commit()
                self.workload.hold()  # else the relay, killed so soon, would fall behind more and more
                cuts += self.cut_to_pieces(n)
                self.workload.go_on()
        self.relaying.start()

    def cut_to_pieces(self, n):
        """How many kills fell into the middle of the n-th COPY before it was through."""
        counts = [-1]

        def came():
            return len({a.id for a in kafka_arrivals(self.kafka, self.name, ISOLATION) if a.key == "copied"}) - (n - 1) * COPY_ROWS

        def through():
            """The topic is read, which takes long, only once nothing has arrived for a moment."""
            counts.append(self.arrived())
            return counts[-1] == counts[-2] and came() >= COPY_ROWS

        cuts = tries = 0
        while came() < COPY_ROWS and cuts < CUTS:
            tries += 1
            relay = self.relaying.start_to_die("feed_after_put", self.rng.randint(1, 3 + tries))
            wait_for(lambda r=relay: not r.running or through(), 60, "the relay to be killed by what it puts, or to be through")
            relay.kill9()
            self.relaying.await_death("events of the COPY")
            cuts += 0 < came() < COPY_ROWS
        return cuts


os.environ.pop("COMMITRELAY_FAULT", None)
if args.mutant:
    os.environ["COMMITRELAY_MUTANT"] = "txn_position_outside"
print(f"seed {args.seed}", flush=True)
kind = CdcTrial if args.mode == "cdc" else Trial
# A fast shutdown of the server waits until the relay has what was written. A relay that lets it wait for more would let it wait for ever.
with Postgres(settings={"wal_sender_timeout": 0}) as pg, Kafka() as kafka:
    for fault in args.fault or kind.faults:
        kind(pg, kafka, fault).run()
