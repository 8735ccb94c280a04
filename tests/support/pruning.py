"""`prune` as the tests run it: once, pass after pass beside a load, and what it said."""
import re
import threading

from .proc import check, run, wait_for
from .relaying import config, pipeline

OK = 0


def prune(path, *more, name="p", older="0s", code=OK, **how):
    """Everything that is delivered is old enough, unless a test says otherwise."""
    return run(["prune", "-c", path, "--pipeline", name, "--older-than", older, *more], code=code, timeout=60, **how)


def removed(r):
    return int(re.search(r"removed? (\d+) rows", r.stdout)[1])


def rows(shop):
    return shop.value("select count(*) from outbox")


def files(d, source, *names):
    """A file for each of the pipelines, all of one table: the path by name."""
    out = {}
    for n in names:
        (d / n).mkdir(exist_ok=True)
        out[n] = config(d / n, pipeline(source, name=n))
    return out


class ByCommand:
    """The real one: a pass after the other, with small batches."""

    older = "0s"

    def __init__(self, path):
        self.path, self.gone, self.said = path, 0, ""

    def one(self):
        r = prune(self.path, "--batch", "40", "--pause", "0s", name="a", older=self.older)
        self.gone += removed(r)
        self.said += r.stdout


class Passes:
    """A pruner that works in a thread of its own until it is stopped."""

    def __init__(self, pruner):
        self.pruner, self.count, self.wrong, self._over = pruner, 0, [], threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self):
        try:
            while not self._over.is_set():
                self.pruner.one()
                self.count += 1
        except Exception as e:  # pylint: disable=broad-except; shown by the test
            self.wrong.append(e)

    def wait(self, n):
        """n more whole passes."""
        since = self.count
        wait_for(lambda: self.wrong or self.count > since + n, 60, f"{n} passes of the prune")

    def stop(self):
        self._over.set()
        self._thread.join()
        check(not self.wrong, f"a prune: {self.wrong}")
