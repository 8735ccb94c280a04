"""Three relays that share the shards of one pipeline, under load, with what can happen to each of them."""
import contextlib
import itertools
import json
import os
import random
import signal
import time

from . import guard, proc
from .arrivals import kafka_arrivals
from .judge import judge
from .proc import NO_LEASE, ROOT, tempdir, wait_for
from .proxy import Proxy
from .redis_server import Redis
from .relaying import LOADED, MAX_IN_FLIGHT, Relaying, admin, config, freeze, page, pipeline, thaw
from .workload import Workload, prepare, truth_of

SHARDS, RELAYS, LEASE = 8, 3, "3s"
LATE = 100  # messages that may lie in the producers of a relay that is stopped
_number = itertools.count(1)
WRONG = ("lost", "phantom", "misordered", "altered")


def place(server, name):
    """Where the events go: the sink's configuration, a count of them, and a reader of all."""
    if isinstance(server, Redis):
        return {"type": "redis", "url": server.url, "stream": name}, lambda: server.count(name), lambda: server.arrivals(name)
    server.create_topic(name, 3)
    return {"type": "kafka", "brokers": server.bootstrap}, lambda: server.count(name), lambda: kafka_arrivals(server, name)


class ShardTrial:
    """One database, one topic or stream, a workload, and relays that each have a way of their own to the server. The first one is proc.BIN, which may
    be a mutant; the others are the program as it is. faults: names of the methods below, in order, the first of which starts the relays.
    Of `joins` alone no machine is too slow for the lease, and no event is sent twice.
    """

    def __init__(self, mode, seed, pg, server, faults, rate=250):
        self.mode, self.seed, self.pg, self.faults = mode, seed, pg, faults
        self.lease = NO_LEASE if self.nothing_fails else LEASE
        self.name = f"shards_{mode}_{seed}_{next(_number)}"
        self.rng = random.Random(f"{seed}-{mode}")
        self.before = prepare(pg, self.name, mode, ROOT)
        self.sink, self.arrived, self.arrivals = place(server, self.name)
        self.links = [Proxy("127.0.0.1", pg.port) for _ in range(RELAYS)]
        self.admins = [admin() for _ in range(RELAYS)]
        right = os.environ.get("COMMITRELAY_BIN", proc.BIN)
        self.relays = [Relaying(self.configure(i), name=f"relay{i}", before=[right if i else proc.BIN]) for i in range(RELAYS)]
        self.workload = Workload(self.before, seed=seed, rate=rate)
        self.disturbed = self.late = 0  # how often a window may have been sent again; messages that may have come late

    def configure(self, i):
        source = {"type": "outbox_postgres", "url": self.pg.url(self.name, port=self.links[i].port), "mode": self.mode, "shards": SHARDS,
                  "batch_size": 200, "poll_interval": "50ms", "connect_timeout": "30s", "read_timeout": "60s"}
        return config(tempdir("shards"), pipeline(source, self.sink, topic=self.name, name="shards", limits=LOADED),
                      store={"lease": self.lease}, admin={"listen": self.admins[i], "socket": ""})

    @property
    def nothing_fails(self):
        return self.faults == ["joins"]

    # --- who has what ---

    def parts(self, i):
        """The shards that relay i runs, as it says itself."""
        rows = json.loads(page(self.admins[i], "status")[1])["pipelines"]
        return {r["part"] for r in rows if r["state"] == "running"}

    def shared(self, among):
        """Each shard runs in one of these relays, and each of them has its fair share."""
        with contextlib.suppress(OSError):  # one that has just begun has no admin port yet
            held = [self.parts(i) for i in among]
            fair = {SHARDS // len(among), -(-SHARDS // len(among))}
            return len(set().union(*held)) == sum(map(len, held)) == SHARDS and {len(h) for h in held} <= fair
        return False

    def await_shared(self, among, what):
        began = time.monotonic()
        wait_for(lambda: self.shared(among), 60, f"relays {list(among)} to share the shards ({what})")
        print(f"    {what}: shared after {time.monotonic() - began:.1f} s", flush=True)

    def await_taken(self, lost, what):
        """The others run what relay `lost` had."""
        self.await_shared([i for i in range(RELAYS) if i != lost], what)

    def wait_flow(self, what, events=50):
        enough = self.arrived() + events
        wait_for(lambda: self.arrived() >= enough, 60 + events // 20, f"{events} events to arrive {what}")

    # --- what happens ---

    def start_all(self):
        for r in self.relays:
            if not (r.relay and r.relay.running):
                r.start()
        self.await_shared(range(RELAYS), "all run")
        self.wait_flow("of all")

    def joins(self):
        """Relays begin one after the other, and each is given its share by those before."""
        for n in range(RELAYS):
            self.relays[n].start()
            self.await_shared(range(n + 1), f"{n + 1} run")
            self.wait_flow("after that")

    def leaves(self):
        """One relay is stopped, and comes back. On a slow machine it ends before it has saved all."""
        i = self.rng.randrange(RELAYS)
        self.relays[i].stop()
        self.disturbed += 1
        self.await_taken(i, f"relay{i} was stopped")
        self.wait_flow("after that")
        self.start_all()

    def kill(self):
        i = self.rng.randrange(RELAYS)
        self.relays[i].kill()
        self.disturbed += 1
        self.await_taken(i, f"relay{i} was killed")
        self.start_all()

    def kill_at_leave(self):
        """The first relay has all shards, and is killed when it has settled the first one that it is to give."""
        for i in range(RELAYS):
            self.relays[i].stop()
        self.relays[0].start({"COMMITRELAY_FAULT": "shard_before_leave:kill"})
        wait_for(lambda: self.shared([0]), 60, "the first relay to have all shards")
        self.relays[1].start()
        self.relays[0].await_death("shard_before_leave")
        self.disturbed += 1
        self.start_all()

    def freeze(self):
        i = self.rng.randrange(RELAYS)
        freeze(self.relays[i].relay)
        self.disturbed += 1
        self.await_taken(i, f"relay{i} was frozen")
        thaw(self.relays[i].relay)
        self.await_shared(range(RELAYS), f"relay{i} woke up")

    def cut(self):
        i = self.rng.randrange(RELAYS)
        self.links[i].blackhole()
        self.disturbed += 1
        self.await_taken(i, f"relay{i} was cut off")
        self.links[i].heal()
        self.await_shared(range(RELAYS), f"relay{i} is linked again")

    def lock_lost(self):
        """The lock connections of all end at once, and nothing else."""
        self.pg.sql("select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and granted and pid <> pg_backend_pid() "
                    "and database = (select oid from pg_database where datname = current_database())", dbname=self.name)
        self.disturbed += 1
        self.wait_flow("after all locks were lost")
        self.await_shared(range(RELAYS), "all locks were lost")

    def stale_save(self):
        """The first relay has all shards and stops right before a save, its lock checked; the others go on and end; then it wakes up."""
        for i in range(RELAYS):
            self.relays[i].stop()
        first = self.relays[0].start({"COMMITRELAY_FAULT": "store_before_save@60:stop"})
        wait_for(lambda: guard.stands(first.pid), 60, "the first relay to stop before a save")
        for i in range(1, RELAYS):
            self.relays[i].start()
        self.await_taken(0, "the first relay sleeps")
        self.wait_flow("while it sleeps", 4000)
        self.workload.stop()
        for i in range(1, RELAYS):
            self.relays[i].stop()
        self.late = self.verdict().duplicates + LATE
        first.signal(signal.SIGCONT)
        self.await_shared([0], "the first relay woke up")

    def verdict(self):
        return judge(truth_of(self.pg, self.name), self.arrivals())

    # --- a whole trial ---

    def run(self):
        """The verdict, and what is wrong."""
        repeated = 0
        self.workload.start()
        for what in self.faults:
            print(f"  {what}", flush=True)
            getattr(self, what)()
        if self.workload.ended() == 0:
            self.wait_flow("after the last fault")
            repeated = self.verdict().duplicates
            self.workload.stop()
        for r in self.relays[1:]:
            if r.relay.running:
                r.stop()
        self.await_shared([0], "the others have ended")
        self.relays[0].stop()
        self.relays[0].drain(300)
        v = self.verdict()
        wrong = v.faults(self.late or (1 + self.disturbed) * SHARDS * MAX_IN_FLIGHT)
        if self.nothing_fails and repeated:
            wrong.append(f"{repeated} events were sent twice although nothing failed")
        return v, wrong

    def attempt(self):
        """As Trial.attempt of crashcheck."""
        verdict, wrong = None, []
        try:
            verdict, wrong = self.run()
        except Exception as e:  # pylint: disable=broad-except; relays that do not go on have broken a promise, too
            wrong = [f"it did not come to its end: {e}"]
            print(proc.tails(), flush=True)
        self.close()
        return {**{w: len(getattr(verdict, w)) if verdict else 0 for w in WRONG}, "duplicates": verdict.duplicates if verdict else 0,
                "stuck": int(verdict is None), "wrong": wrong}

    def close(self):
        self.workload.kill()
        for r in self.relays:
            if r.relay and r.relay.running:
                r.relay.kill9()
        for link in self.links:
            link.close()
        self.pg.sql(f"drop database if exists {self.name} with (force)")
