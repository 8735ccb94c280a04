"""One combination of source, sink and guarantee under a load, a seeded row of faults, and the verdict over what arrived."""
import contextlib
import itertools
import random
import re
import shutil
import time
import traceback

from guarantees import GUARANTEES
from points import COMMON
from sides import SOURCES
from sink_sides import PIPELINE, SINKS
from support import guard, proc
from support.clock import Clock
from support.faulting import Faulting
from support.judge import judge
from support.kafka import Kafka
from support.pg import Postgres
from support.proc import check, tempdir, wait_for
from support.relaying import LOADED, MAX_IN_FLIGHT, STRACE, Relaying, admin, config, freeze, metric, need, pipeline, thaw
from support.workload_heavy import SERVER

WRONG = ("lost", "phantom", "misordered", "altered")
_number = itertools.count(1)


def combinations(sources=SOURCES, sinks=SINKS, guarantees=GUARANTEES):
    return [(s, k, g) for s in SOURCES if s in sources for k in SINKS if k in sinks for g in GUARANTEES if g in guarantees and k in GUARANTEES[g].sinks]


def unsynced(trace, directory):
    """(from, to) of each rename in a directory that strace -f -y has seen and no fsync of the directory has made durable."""
    begun, out, here = {}, [], rf"\d+<{re.escape(str(directory))}>"
    for line in trace.splitlines():
        pid, text = line.split(None, 1)
        if text.endswith("<unfinished ...>"):
            begun[pid] = text.removesuffix("<unfinished ...>")
            continue
        if resumed := re.match(r"<\.\.\. \w+ resumed>(.*)", text):
            text = begun.pop(pid, "") + resumed[1]
        if not text.endswith("= 0"):
            continue
        if renamed := re.match(rf'renameat2?\({here}, "([^"]*)", {here}, "([^"]*)"', text):
            out.append(renamed.groups())
        elif re.match(rf"(fsync|unlinkat)\({here}", text):  # what was unlinked cannot be brought back: taken as durable
            out.clear()
    return out


# --- the faults ---

_faults = {}


def fault(where=lambda source, sink: True, slow=False):
    """where: whether source and sink can have it. slow: some timeout has to pass."""
    def register(fn):
        _faults[fn.__name__] = (where, slow)
        return fn
    return register


def by_server(source, _sink):
    return source.server_side


def to_server(_source, sink):
    return not sink.commits_files


def to_files(_source, sink):
    return sink.commits_files


def linked(source, sink):
    return source.linked or sink.linked


def whose_rows_stay(source, _sink):
    return source.rows_stay


def kinds(combination, slow=True):
    """The faults that a combination can have."""
    source, sink = SOURCES[combination[0]], SINKS[combination[1]]
    return [k for k, (where, is_slow) in _faults.items() if where(source, sink) and (slow or not is_slow)]


@contextlib.contextmanager
def servers():
    """The PostgreSQL server and the Kafka broker that all trials use."""
    # A fast shutdown of the server waits until the relay has what was written.
    settings = {"wal_sender_timeout": 0, "wal_level": "logical", "max_connections": 100, **SERVER}
    with Postgres(settings=settings) as server, Kafka(proxied=True) as broker:
        yield server, broker


class Trial(Faulting):
    """points: fault points to try besides those that source and sink are known to have; reached: the set that takes those reached."""

    def __init__(self, combination, seed, server, broker, bulk=50_000, rate=250, points=(), reached=None):
        self.combination, self.seed, self.reached = combination, seed, set() if reached is None else reached
        source, sink, guarantee = combination
        self.rng, self.chooser = (random.Random(f"{seed}-{what}-{'-'.join(combination)}") for what in ("how", "which"))
        self.pg, self.guarantee = server, GUARANTEES[guarantee]
        self.name = f"{source}_{sink}_{next(_number)}"
        self.dir = tempdir("crash")
        self.source = SOURCES[source](self.name, server, self.dir)
        self.sink = SINKS[sink](self.name, broker, self.rng, self.dir)
        self.kafka, self.gives_up, self.seen = self.sink.server, self.sink.gives_up or self.guarantee.gives_up, 0
        self.points = sorted(COMMON.union(self.source.points, self.sink.points, self.guarantee.points, points))
        self.oust = self.source.oust
        self.admin = admin()
        self.relaying = Relaying(self.config("first", listen=self.admin), before=self.sink.before)
        self.second = self.config("second")
        self.loads = self.source.load(seed, min(rate, self.sink.rate or rate), min(bulk, self.sink.bulk or bulk))
        self.did, self.added = [], False

    def config(self, name, **listen):
        d = self.dir / name
        d.mkdir()
        p = pipeline(self.source.conf(), {**self.sink.conf(), **self.guarantee.sink(self.name)}, topic=self.name, name=PIPELINE,
                     limits=LOADED, route=self.source.route)
        return config(d, {**p, **({"encode": self.source.encode} if self.source.encode else {})}, store=self.source.store,
                      admin={"socket": str(d / "socket"), **listen})

    def arrived(self):
        """While the sink's server is away: what was there before."""
        with contextlib.suppress(*self.sink.away):
            self.seen = self.sink.count()
        return self.seen

    def standby(self):
        return self.relaying.start(config_path=self.second)

    # --- the run ---

    def kinds(self, only=None, slow=True):
        """The names of its faults, one for each fault point."""
        found = [k for k in kinds(self.combination, slow) if not only or k in only]
        return [k for kind in found for k in ([f"{kind}:{p}" for p in self.points] if kind == "kill_at_point" else [kind])]

    def plan(self, faults, only=None, slow=True):
        """So many faults, each as often as the others, beginning with the fault points that were not reached yet."""
        names, out = self.kinds(only, slow), []
        while names and len(out) < faults:
            self.chooser.shuffle(names)
            out += sorted(names, key=lambda n: not n.startswith("kill_at_point:") or n.split(":")[1] in self.reached)
        return out[:faults]

    def attempt(self, faults):
        """Runs and closes it: what came of it, as crashcheck --json writes it; `wrong` in words."""
        began, verdict, wrong, stuck = time.monotonic(), None, [], 0
        try:
            verdict, wrong = self.run(faults)
        except Exception as e:  # pylint: disable=broad-except; a relay that does not go on has broken a promise, too
            wrong, stuck = [f"it did not come to its end: {e}"], int(isinstance(e, proc.Failed))
            print(f"{proc.tails()}\n{traceback.format_exc()}", flush=True)
        self.close()
        return {**dict(zip(("source", "sink", "guarantee"), self.combination)), "seed": self.seed, "faults": self.did,
                "kills": self.relaying.kills, "committed": verdict.committed if verdict else 0,
                **{w: len(getattr(verdict, w)) if verdict else 0 for w in WRONG}, "duplicates": verdict.duplicates if verdict else 0,
                "stuck": stuck, "wrong": wrong, "seconds": round(time.monotonic() - began)}

    def run(self, faults):
        """faults: an iterator of names. The verdict, and what is wrong."""
        self.relaying.drain()  # makes what a first start makes
        for load in self.loads:
            load.start()
        self.relaying.start()
        self.wait_flow("at first")
        for what in faults:
            kind, _, which = what.partition(":")
            self.did.append(what)
            print(f"  {what}", flush=True)
            getattr(self, kind)(*[which] if which else [])
            self.relaying.check_running()
            self.wait_flow(f"after {what}")
        for load in self.loads:
            load.stop()
        self.source.settle(self.rng)
        self.relaying.stop()
        self.relaying.drain(300)
        verdict = judge(self.source.truth(), [self.source.arrival(a) for a in self.sink.arrivals(self.source, self.guarantee)])
        wrong = verdict.faults(self.guarantee.duplicates(self))
        if not wrong:
            self.source.check()
        return verdict, wrong

    def wait_flow(self, what, events=1):
        """As always; a relay that ends is not waited for."""
        enough = self.arrived() + events

        def flows():
            self.relaying.check_running()
            return self.arrived() >= enough
        wait_for(flows, 60 + events // 10, f"{events} events to arrive {what}")

    def close(self):
        for load in self.loads:
            load.kill()
        if self.relaying.relay:
            self.relaying.relay.kill9()
        if not self.pg.running:
            self.pg.start()  # all trials use it, and a fault that did not come to its end has left it down
        self.sink.close()
        self.source.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    def killed(self, kill, *args):
        """A kill of faulting.py, from one running relay to the next."""
        self.relaying.kill()
        kill(*args)
        self.relaying.start()

    def start_again(self):
        self.relaying.kill()
        self.relaying.start()

    # --- the process ---

    @fault()
    def kill(self):
        self.killed(self.kill_at_work)

    @fault()
    def kill_start(self):
        self.killed(self.kill_in_start)

    @fault()
    def kill_at_point(self, point):
        """Where nothing leads there, the relay is killed all the same."""
        self.relaying.kill()
        if point == "recover_before_save":
            self.kill_at("file_after_rename")  # a commit that was cut short
        relay = self.relaying.start_to_die(point, 1 if point not in self.reached or point.startswith("recover") else self.rng.randint(1, 9))
        enough = self.arrived() + 3000
        wait_for(lambda: not relay.running or self.arrived() > enough, 120, f"the relay to reach {point}, or many events to arrive")
        if relay.running:
            self.relaying.kill()
        else:
            self.relaying.await_death(point)
            self.reached.add(point)
        self.relaying.start()

    @fault(to_server)
    def kill_full(self):
        self.killed(self.kill_when_full)

    @fault(to_server)
    def kill_in_flight(self):
        """Killed with some events in its hands, while the server says that there is nothing more."""
        self.kafka.sigstop()
        self.wait_committed(self.rng.randint(1, 60))
        self.hold()
        wait_for(lambda: metric(self.admin, "in_flight_events") > 0 or self.gave_up(), 60, "events to be in flight")
        wait_for(lambda: self.source.told_all() or metric(self.admin, "in_flight_events") > MAX_IN_FLIGHT * .75 or self.gave_up(), 60,
                 "the server to have told all that there is, or the window to be full")
        time.sleep(.5)  # several times save_interval: nothing may be saved now
        self.relaying.kill()
        self.kafka.sigcont()
        self.go_on()
        self.relaying.start()
        self.resent += 1

    @fault()
    def stop_and_go(self):
        """SIGSTOP, for so long that much is committed meanwhile, and SIGCONT."""
        freeze(self.relaying.relay, self.source.may_write)
        self.wait_committed(self.some())
        thaw(self.relaying.relay)

    def hold(self):
        for load in self.loads:
            load.hold()

    def go_on(self):
        for load in self.loads:
            load.go_on()

    def wait_committed(self, transactions):
        enough = self.committed() + transactions
        wait_for(lambda: self.committed() >= enough, 60, f"{transactions} transactions to be committed")

    def committed(self):
        return self.loads[0].counts()["committed"]

    @fault()
    def relieve(self):
        """A second relay waits, and takes over from the first, which is killed."""
        self.relieve_killed()
        self.start_again()

    @fault(by_server)
    def overtake(self):
        """The same, but the first one is frozen, and wakes up."""
        self.relieve_frozen()
        self.start_again()

    # --- PostgreSQL and the sink's server ---

    @fault(by_server)
    def postgres_immediate(self):
        self.restart_postgres("immediate")

    @fault(by_server)
    def postgres_crash(self):
        self.restart_postgres("crash")

    @fault(to_server, slow=True)
    def broker_killed(self):
        self.kill_broker(long=self.rng.random() < .5)

    @fault(to_server)
    def broker_frozen(self):
        self.freeze_broker()

    @fault(lambda source, sink: sink.can_be_full)
    def broker_full(self):
        """It takes no more, and says so or is silent, while much is committed."""
        self.sink.full(True)
        self.wait_committed(self.some())
        self.sink.full(False)
        self.resent += 1

    # --- links ---

    def link(self):
        return self.rng.choice([side.link for side in (self.source, self.sink) if side.link])

    @fault(linked)
    def link_cut(self):
        """In good order, by a reset, or behind a certain byte of a message."""
        link = self.link()
        for _ in range(3):
            how = self.rng.choice(("cut", "rst", "after"))
            if how == "after":
                link.cut_after(self.rng.randint(1, 50_000), self.rng.choice(("up", "down")), rst=self.rng.random() < .5)
            else:
                getattr(link, how)()
            self.resent += 1
            self.wait_flow(f"after the link was cut ({how})")
        link.heal()  # a byte that has not come yet would cut it under a later fault

    @fault(linked)
    def link_slow(self):
        link = self.link()
        link.delay(self.rng.uniform(.02, .2))
        self.wait_flow("over a slow link", 50)
        link.heal()

    @fault(linked, slow=True)
    def link_half_open(self):
        """One direction or both are dead, and nobody is told; then the connection is reset, or what was held back is delivered."""
        link = self.link()
        link.blackhole(self.rng.choice(("up", "down", "both")))
        self.wait_committed(500)
        if self.rng.random() < .5:
            link.rst()
        link.heal()
        self.resent += 2

    # --- disk and clock ---

    @fault(to_files)
    def disk_full(self):
        told = len(self.relaying.relay.log)
        self.sink.disk.fill()
        wait_for(lambda: "disk full" in self.relaying.relay.log[told:], 60, "the relay to say that the disk is full")
        self.wait_committed(100)
        self.sink.disk.remount("size=1g")

    @fault(to_files)
    def disk_error(self):
        """An fsync answers EIO once: what it was to save is written again, or the relay ends."""
        need(STRACE)
        self.relaying.kill()
        call, log = self.rng.choice(("fsync", "fdatasync")), self.dir / "strace"
        log.write_text("")
        relay = self.relaying.start(before=[*self.sink.before[:-1], STRACE, "-f", "-qq", "-o", log, "-e", f"trace={call}",
                                            "-e", f"inject={call}:error=EIO:when={self.rng.randint(2, 6)}", proc.BIN])
        enough = self.arrived() + 3000
        wait_for(lambda: "INJECTED" in log.read_text() or not relay.running or self.arrived() > enough, 120, f"{call} to fail")
        traced = guard.children(relay.pid)
        relay.kill9()
        wait_for(lambda: not any(guard.lives(p) for p in traced), 10, "the relay below strace to be gone")
        self.relaying.killed()
        self.relaying.start()

    @fault(lambda source, sink: sink.commits_files and source.server_side)
    def power_cut(self, point=None):
        """The machine that writes the files loses its power. Of what was renamed in the folder and not yet synced any last part is undone,
        as a disk may do it; the database is elsewhere. point: where, any without it; then all of the renames are undone."""
        need(STRACE)
        self.relaying.kill()
        all_of_it, log = point is not None or self.rng.random() < .5, self.dir / "strace"
        point = point or self.rng.choice((*self.sink.points[:-1], "settle_after_save"))
        self.relaying.start({"COMMITRELAY_FAULT": f"{point}@{self.rng.randint(1, 5)}:kill"}, before=[
            *self.sink.before[:-1], STRACE, "-f", "--seccomp-bpf", "-qq", "-y", "-o", log, "-e", "trace=fsync,renameat,renameat2,unlinkat", proc.BIN])
        self.relaying.await_death(point)
        renames = unsynced(log.read_text(), self.sink.disk.path / "out")
        for before, after in reversed(renames[0 if all_of_it else self.rng.randint(0, len(renames)):]):
            (self.sink.out / after).rename(self.sink.out / before)
        self.relaying.start()

    @fault()
    def clock_jumps(self):
        """An hour forth and back, and back once more."""
        clock = Clock(self.dir)
        self.relaying.kill()
        self.relaying.start(clock.env)
        self.wait_flow("before the clock jumps")
        for seconds in (3600, -3600, 0):
            clock.ahead(seconds)
            self.wait_flow(f"with a clock that is {seconds} s ahead", self.rng.randint(1, 300))
        self.start_again()

    # --- what an application and its operators do meanwhile ---

    @fault()
    def column(self):
        """ALTER TABLE: a column comes, the next time it goes."""
        self.hold()
        self.source.columns("drop column extra" if self.added else "add column extra integer default 7")
        self.added = not self.added
        self.go_on()

    @fault(whose_rows_stay)
    def prune(self):
        """What is delivered is removed, in small steps, beside the relay, or while it is frozen; now and then the prune is killed in its middle."""
        killed, frozen = self.rng.random() < .3, self.rng.random() < .7
        if frozen:
            freeze(self.relaying.relay, self.source.may_write)
            self.wait_committed(300)
        self.relaying.command("prune", "-c", self.second, "--pipeline", PIPELINE, "--older-than", "0s", "--batch", "500", "--pause", "0s",
                              timeout=120, code=None if killed else 0, env={"COMMITRELAY_FAULT": "prune_after_step@2:kill"} if killed else {})
        if frozen:
            thaw(self.relaying.relay)

    @fault(lambda source, sink: source.rows_stay and not sink.commits_files)
    def replay(self):
        """All that is there is sent again beside the relay, killed in its middle and resumed."""
        words, fault_at = ["--from-position", "beginning"], f"feed_after_put@{self.rng.randint(1, 5)}:kill"
        for env in ({"COMMITRELAY_FAULT": fault_at}, {}):
            r = self.relaying.command("replay", "-c", self.second, "--pipeline", PIPELINE, *words, timeout=600, code=None, env=env)
            check(r.poll() in ((0, -9) if env else (0,)), f"the end of a replay: {r.poll()}\n{r.log}")
            if r.poll() == 0:
                break
            proc.forget_log(r.stderr_path)
            words = ["--resume"]
