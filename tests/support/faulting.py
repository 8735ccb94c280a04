"""What can happen to a relay under load, one at a time; each ends when what was broken is whole again and the relay runs."""
import json
import math
import re
import signal

from .proc import check, wait_for
from .relaying import MAX_IN_FLIGHT, STEPS, metric, page

# Ends whatever keeps another relay from going on: its lock in the database, its slot.
OUST = ("select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and granted and pid <> pg_backend_pid() "
        "and database = (select oid from pg_database where datname = current_database())")
OUST_CDC = OUST + ("; select pg_terminate_backend(active_pid) from pg_replication_slots "
                   "where active_pid is not null and database = current_database()")


class Faulting:
    """Mixed into a trial, which gives arrived() and these: rng; relaying, a Relaying; admin, the address of its admin port; pg, kafka and
    name, the database. self.resent counts how often something happened after which a window may be sent again, beside the starts.
    """

    oust = OUST
    resent = 0
    gives_up = False  # whether the sink ends a connection on which nobody answers; without one the relay reads nothing

    def standby(self):
        """Another relay of the same pipeline."""
        return self.relaying.start()

    def server_came_back(self):
        """PostgreSQL has lost all sessions."""

    # --- waiting ---

    def wait_flow(self, what, events=1):
        """So many events arrive that were not there when it began."""
        enough = self.arrived() + events
        wait_for(lambda: self.arrived() >= enough, 60 + events // 10, f"{events} events to arrive {what}")

    def some(self):
        """A number of events: of each size from one to more than a window as often."""
        return int(math.exp(self.rng.uniform(0, math.log(1.5 * MAX_IN_FLIGHT))))

    def gave_up(self):
        return self.gives_up and json.loads(page(self.admin, "status")[1])["pipelines"][0]["state"] == "retrying"

    def wait_full(self):
        """The relay holds so much that it reads no more, or has given up its connection."""
        def full():
            self.relaying.check_running()
            return metric(self.admin, "in_flight_events") > MAX_IN_FLIGHT * .75 or self.gave_up()
        wait_for(full, 60, "the window to be full, or the connection to be given up")

    # --- kill -9, with the relay down before and after ---

    def kill_at_work(self):
        before = self.arrived()
        self.relaying.start()
        enough = before + self.some()
        wait_for(lambda: self.arrived() >= enough, 120, "events to arrive before the next kill")
        self.relaying.kill()

    def kill_in_start(self):
        self.relaying.start()
        self.relaying.kill_in_start(self.rng.choice(list(STEPS)))

    def kill_at(self, point):
        self.relaying.start_to_die(point, self.rng.randint(1, 9))
        self.relaying.await_death(point)

    def kill_when_full(self):
        """What fills the window is a broker that does not answer."""
        self.relaying.start()
        self.wait_flow("before the broker is frozen")
        self.kafka.sigstop()
        self.wait_full()
        self.relaying.kill()
        self.kafka.sigcont()
        self.resent += 1

    # --- the broker, with a relay that lives through it ---

    def kill_broker(self, long):
        """long: until the window is full."""
        self.kafka.kill9()
        if long:
            self.wait_full()
        self.kafka.start()
        self.resent += 2

    def freeze_broker(self):
        self.kafka.sigstop()
        self.wait_full()
        self.kafka.sigcont()
        self.resent += 2

    # --- PostgreSQL, with a relay that lives through it ---

    def restart_postgres(self, how):
        """how: fast, immediate or crash."""
        if how == "crash":
            self.pg.crash()
        else:
            self.pg.stop(how)
        self.pg.start()
        self.resent += 1
        self.server_came_back()

    # --- two relays ---

    def relieve_killed(self):
        """The one that waits takes over from one that is killed."""
        active, waiting = self.relaying.relay, self.standby()
        waiting.wait_log("state waiting")
        check(active.running and waiting.running, "both relays run")
        active.kill9()
        self.relaying.kills += 1
        self.wait_flow("from the relay that waited")

    def relieve_frozen(self):
        """The one that waits takes over from one that is frozen and overtaken; the former one wakes up."""
        frozen, waiting = self.relaying.relay, self.standby()
        waiting.wait_log("state waiting")
        frozen.signal(signal.SIGSTOP)
        told = len(frozen.log)
        self.pg.sql(self.oust, dbname=self.name)
        self.wait_flow("while the former relay is frozen")
        frozen.signal(signal.SIGCONT)
        self.resent += 1
        wait_for(lambda: not frozen.running or re.search("state (retrying|waiting)", frozen.log[told:]), 60,
                 "the former relay to see that it is not the one any more")
        self.wait_flow("after the former relay woke up")
        self.relaying.kills += frozen.running
        frozen.kill9()
