"""A relay whose output goes nowhere until a test reads it."""
import json
import os
import re
import select
import subprocess
import threading

from . import proc
from .bad_input import RUNS, Saw, readable
from .proc import check_equal, wait_for


class Piped:
    """A relay whose standard output is a pipe: full, nothing goes on, until it is read."""

    def __init__(self, d, path):
        self.log_path = d / "log"
        self._read, self._write = os.pipe()
        with open(self.log_path, "wb") as log:
            self.p = subprocess.Popen([proc.BIN, "run", "-c", str(path)], stdin=subprocess.DEVNULL, stdout=self._write, stderr=log,
                                      start_new_session=True)
        self.text, self._thread = [], None

    @property
    def log(self):
        return readable(self.log_path.read_text())

    def wait_full(self):
        """Until nothing more can be written, by the same question that a writer asks."""
        wait_for(lambda: not select.select([], [self._write], [], 0)[1], 10, f"the pipe to be full\n{self.log[-800:]}")

    def wait_log(self, pattern):
        """Until the log holds a regular expression."""
        wait_for(lambda: re.search(pattern, self.log), 20, f"{pattern!r} in the log\n{self.log[-800:]}")

    def sip(self):
        """Reads a piece of what is in the pipe."""
        self.text.append(os.read(self._read, 1 << 16))

    def flow(self):
        """From now on the pipe is read to its end."""
        self._leave_writing()
        self._thread = threading.Thread(target=self._drain, daemon=True)
        self._thread.start()

    def _leave_writing(self):
        """The end comes once nobody can write."""
        if self._write is not None:
            os.close(self._write)
            self._write = None

    def _drain(self):
        while piece := os.read(self._read, 1 << 16):
            self.text.append(piece)

    @property
    def ids(self):
        return [json.loads(x)["id"] for x in b"".join(self.text).split(b"\n")[:-1]]

    def end(self):
        self.p.terminate()
        wait_for(lambda: self.p.poll() is not None, 20, f"the relay to end\n{self.log[-1500:]}")
        self._thread.join()
        check_equal(self.p.returncode, 0, f"exit code after SIGTERM\n{self.log[-1500:]}")
        return Saw(RUNS, self.log)

    def kill(self):
        """kill -9; what it had written before is read."""
        self.p.kill()
        self.p.wait()
        self._leave_writing()
        self._drain()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.p.poll() is None:
            self.p.kill()
            self.p.wait()
        self._leave_writing()
