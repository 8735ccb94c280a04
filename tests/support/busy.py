"""A measure for idleness that holds on any machine: what a process takes, compared with one that never sleeps."""
import os
import subprocess
import sys

from . import guard
from .proc import check, wait_for

_TICK = os.sysconf("SC_CLK_TCK")


def _taken(pid):
    """Seconds of processor time, all threads together."""
    user, system = guard.stat(pid)[11:13]
    return (int(user) + int(system)) / _TICK


class Busy:
    """A process that takes all of a processor that it can get, for as long as it is entered.

    A relay that does not sleep takes as much, be the machine fast, slow or crowded. One that waits takes a small part of it.
    """

    RESTS = .4  # of what the busy one gets: more is not resting
    ENOUGH = 1  # seconds that the busy one must have got: less says nothing, on a crowded machine above all

    def __init__(self, relay):
        self.relay = relay

    def __enter__(self):
        self._p = subprocess.Popen([sys.executable, "-c", "while True: pass"], stdin=subprocess.DEVNULL)
        guard.watch_pid(self._p.pid)
        self._relay_began, self._began = self.relay.cpu, _taken(self._p.pid)
        return self

    def __exit__(self, *exc):
        self._p.kill()
        self._p.wait()
        guard.forget_pid(self._p.pid)

    def check_rests(self, when):
        """The relay, which runs on, has taken a small part since this was entered. Waits until that can be told."""
        wait_for(lambda: self._busy >= self.ENOUGH, 120, "a busy process to get its time")
        check(self.relay.running, f"the relay ended {when}")
        share = (self.relay.cpu - self._relay_began) / self._busy
        check(share < self.RESTS, f"{when} the relay takes {share:.0%} of what a process gets that never waits")
        print(f"{when}: {share:.1%} of what a process gets that never waits", flush=True)

    @property
    def _busy(self):
        """Seconds of a processor that the busy one has got since it was entered."""
        return _taken(self._p.pid) - self._began
