"""A wall clock that jumps under a relay."""
import functools
import subprocess
from pathlib import Path

from . import proc


@functools.lru_cache(None)
def _library():
    path = proc.tempdir("clock") / "clock.so"
    subprocess.run(["cc", "-D_GNU_SOURCE", "-shared", "-fPIC", "-o", path, Path(__file__).with_name("clock.c")], check=True)
    return path


class Clock:
    """env: what a relay is started with."""

    def __init__(self, directory):
        self._ahead = Path(directory) / "clock"
        self._ahead.write_bytes(bytes(8))
        self.env = {"LD_PRELOAD": _library(), "COMMITRELAY_TEST_CLOCK": self._ahead}

    def ahead(self, seconds):
        """From now on it is so far before the real one."""
        with open(self._ahead, "r+b") as f:  # in place: the relay has it mapped
            f.write(seconds.to_bytes(8, "little", signed=True))
