"""A measure for idleness that holds on any machine: what a process takes, compared with one that never sleeps."""
import os
import subprocess
import sys

from . import guard

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

    @property
    def taken(self):
        """Seconds of a processor that it has got since it was entered."""
        return _taken(self._p.pid) - self._began

    @property
    def share(self):
        """What the relay has taken since then, as a share of that."""
        return (self.relay.cpu - self._relay_began) / max(self.taken, 1 / _TICK)
