"""PostgreSQL to the server of a sink under load, while the relay and that server are killed and frozen: nothing lost, each key in order."""
import argparse
import os
import random

from . import proc
from .faulting import Faulting
from .judge import judge
from .pg import Postgres
from .proc import ROOT, check, fail, tempdir
from .relaying import LOADED, MAX_IN_FLIGHT, Relaying, admin, config, pipeline
from .workload import Workload, prepare, truth_of


def options():
    """What each of these tests can be told; a test adds its own."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=10, help="how often the relay is killed")
    parser.add_argument("--deaths", type=int, default=2, help="how often the server is killed")
    parser.add_argument("--rate", type=int, default=250, help="transactions a second, at most")
    parser.add_argument("--seed", type=int, default=proc.seed())
    return parser


class SinkTrial(Faulting):
    """A database, a place at the server, a workload that runs through, and relays of one pipeline. A test gives:

    name, of the database and the topic; sink, its configuration; count(), how many events the server has, which may raise one of `away`
    while it is down; arrivals(), all of them for the judge. server can do what Faulting does to a broker.
    """

    away, gives_up = (), True

    def __init__(self, args, label, pg, server, sink, **further):
        """label: how the result calls it. further: other keys of the pipeline."""
        self.args, self.label = args, label
        self.pg, self.kafka = pg, server  # the broker of Faulting
        self.rng = random.Random(f"{args.seed}-{sink['type']}")
        conninfo = prepare(pg, self.name, "position", ROOT)
        self.admin, self.seen = admin(), 0
        source = {"type": "outbox_postgres", "url": conninfo, "mode": "position", "batch_size": 200, "connect_timeout": "2s", "read_timeout": "5s"}
        self.relaying = Relaying(config(tempdir("noloss"), {**pipeline(source, sink, topic=self.name, name="noloss", limits=LOADED), **further},
                                        admin={"listen": self.admin}))
        self.workload = Workload(conninfo, seed=args.seed, rate=args.rate)

    def arrived(self):
        """While the server is away: what was there before."""
        try:
            self.seen = self.count()
        except self.away:
            pass
        return self.seen

    def run(self):
        self.workload.start()
        self.relaying.start()
        self.wait_flow("at first")
        self.relaying.kill()
        for kill in range(self.args.kills):
            if kill % 5 == 4:
                self.kill_when_full()
            else:
                self.kill_at_work()
        self.relaying.start()
        for death in range(self.args.deaths):
            self.kill_broker(long=death % 2 == 1)
            self.wait_flow("after the server was killed", self.some())
        self.freeze_broker()
        self.wait_flow("after the server was frozen")
        self.relaying.check_running()
        self.workload.stop()
        self.relaying.stop()
        self.relaying.drain()

    def verdict(self):
        v = judge(truth_of(self.pg, self.name), self.arrivals())
        if wrong := v.faults((self.relaying.starts + self.resent) * MAX_IN_FLIGHT):
            fail(f"no-loss {self.label} (seed {self.args.seed}): {v}\n  " + "\n  ".join(wrong))
        left = self.pg.value("select count(*) from truth where not exists (select from outbox o where o.id = truth.id)", dbname=self.name)
        check(left == 0, f"{left} rows are gone (seed {self.args.seed})")
        print(f"no-loss {self.label}: {v}, kills {self.relaying.kills}", flush=True)


def main(args, server, make):
    """Starts both servers; make: the trial of a PostgreSQL and a server."""
    os.environ.pop("COMMITRELAY_FAULT", None)
    print(f"seed {args.seed}", flush=True)
    with Postgres() as pg, server:
        trial = make(pg, server)
        trial.run()
        trial.verdict()
