"""Runs the relay under test, waits for conditions, and owns a test's temporary directories and ports."""
import atexit
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from . import guard

# A limit only ends a test that hangs. A wait gets so many times what its test says, and never less than LEAST seconds: half a processor
# that is shared with other tests needs minutes for what takes a second elsewhere.
PATIENCE, LEAST = 4, 180

# A lease so long that no slow machine loses it; where take-over is not what is tested.
NO_LEASE = "10m"

ROOT = Path(__file__).resolve().parents[2]
BIN = os.environ.get("COMMITRELAY_BIN") or str(ROOT / "build/dev/commitrelay")

_logs = []
_failed = False


def downloads():
    """Where tools/setup puts what it fetches."""
    return Path(subprocess.run([ROOT / "tools/cache"], capture_output=True, text=True, check=True).stdout.strip())


def downloaded(name):
    """One of them. What the long tests alone need comes by `tools/setup long`."""
    path = downloads() / name
    check(path.exists(), f"{path} is missing; run tools/setup, or tools/setup long")
    return path


def seed():
    """The number that decides what a test does at random. tests/run gives it, and names it when the test fails."""
    return int(os.environ.get("COMMITRELAY_SEED") or random.SystemRandom().randrange(10**6))


class Failed(AssertionError):
    """A check that did not hold."""


def fail(msg):
    raise Failed(msg)


def check(cond, msg):
    if not cond:
        raise Failed(msg)


def check_equal(got, want, what):
    if got != want:
        raise Failed(f"{what}: got {got!r}, want {want!r}")


def register_log(path):
    """Shows the end of this file whenever the test fails."""
    if str(path) not in _logs:
        _logs.append(str(path))


def forget_log(path):
    """A relay killed on purpose a hundred times has a hundred logs that nobody wants to see."""
    if str(path) in _logs:
        _logs.remove(str(path))


def tails(lines=10, logs=8):
    """The last words of what was started last; more would push the failure itself out of a shortened report."""
    out = []
    for path in _logs[-logs:]:
        try:
            with open(path, "rb") as f:
                f.seek(max(0, os.fstat(f.fileno()).st_size - 8192))
                text = f.read().decode(errors="replace").rstrip().splitlines()[-lines:]
        except OSError:
            continue
        if text:
            out.append(f"--- {path}\n" + "\n".join(text))
    return "\n".join(out)


def _excepthook(kind, value, tb):
    global _failed
    _failed = True
    print(tails(), file=sys.stderr)
    sys.__excepthook__(kind, value, tb)


sys.excepthook = _excepthook


def _terminated(signum, _frame):
    sys.exit(128 + signum)  # through atexit, so that servers are stopped and directories removed


signal.signal(signal.SIGTERM, _terminated)


def wait_for(cond, timeout, what, ignore=(OSError,)):
    """Polls cond until it returns something true and returns that; what says what is waited for, the error repeats it.

    timeout is in seconds of a machine with room, see PATIENCE. Exceptions in ignore count as "not yet".
    """
    timeout = max(timeout * PATIENCE, LEAST)
    deadline = time.monotonic() + timeout
    pause, last = 0.01, None
    while True:
        try:
            got, last = cond(), None
            if got:
                return got
        except ignore as e:
            last = e
        if time.monotonic() >= deadline:
            raise Failed(f"not within {timeout} s: {what}" + (f" ({last!r})" if last else ""))
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)


_ports = []


def free_port():
    """A TCP port for this test alone, also while nobody listens on it.

    It lies below the ephemeral range, so that no outgoing connection takes it. A socket with the port in its name, which the kernel
    removes with this process, keeps other tests on this machine from choosing it while its server is away.
    """
    for _ in range(500):
        port = random.SystemRandom().randrange(12000, 32000)
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0commitrelay-test-port-{port}")
        except OSError:
            claim.close()
            continue
        _ports.append(claim)
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    fail("no free port")


def tempdir(name):
    """A new directory under $TMPDIR, removed when the test ends; a failed test keeps it with COMMITRELAY_KEEP=1."""
    path = Path(tempfile.mkdtemp(prefix=f"commitrelay-{name}-"))
    path.chmod(0o711)  # servers under another user must be able to pass through
    guard.watch_dir(path)
    atexit.register(_remove, path)
    return path


def _remove(path):
    if _failed and os.environ.get("COMMITRELAY_KEEP") == "1":
        print(f"kept {path}", file=sys.stderr)
    else:
        shutil.rmtree(path, ignore_errors=True)


def status_number(pid, key, base=10):
    """A number from /proc/PID/status: sizes are in KiB, signal masks in base 16; 0 when the process is gone."""
    try:
        with open(f"/proc/{pid}/status") as f:
            for line in f:
                if line.startswith(key + ":"):
                    return int(line.split()[1], base)
    except OSError:
        pass
    return 0


class Relay:
    """A running commitrelay: Relay(["run", "-c", path]). It has its own process group and is killed when the test ends."""

    def __init__(self, args, env=None, cwd=None, name="relay", binary=None, stdout_rate=None):
        """env adds to the environment; a value of None takes a variable out. stdout_rate: what its output is read at, bytes a second."""
        self.dir = tempdir(name)
        self.name = name
        self.args = [binary or BIN, *map(str, args)]
        self.stdout_path, self.stderr_path = self.dir / "stdout", self.dir / "stderr"
        register_log(self.stderr_path)
        full = dict(os.environ)
        for k, v in (env or {}).items():
            if v is None:
                full.pop(k, None)
            else:
                full[k] = str(v)
        pipe, into = os.pipe() if stdout_rate else (None, None)
        with open(self.stdout_path, "wb") as out, open(self.stderr_path, "wb") as err:
            self._p = subprocess.Popen(self.args, stdin=subprocess.DEVNULL, stdout=into or out, stderr=err, env=full,
                                       cwd=str(cwd or self.dir), start_new_session=True)
        self._reader = None
        if stdout_rate:
            os.close(into)
            self._reader = threading.Thread(target=self._read_slowly, args=(pipe, stdout_rate), daemon=True)
            self._reader.start()
        self.pid = self._p.pid
        self._maxrss = 0
        guard.watch_pid(self.pid)
        atexit.register(self.kill9)

    def _read_slowly(self, pipe, rate):
        """What is in the pipe when the relay ends was delivered as well; to read that takes no time."""
        with open(pipe, "rb", buffering=0) as source, open(self.stdout_path, "ab", buffering=0) as out:
            while data := source.read(1 << 16):
                out.write(data)
                if self._p.returncode is None:
                    time.sleep(len(data) / rate)

    def poll(self):
        """The exit code (minus the signal's number when killed by one), None while it runs."""
        if self._p.returncode is None:
            pid, status, usage = os.wait4(self.pid, os.WNOHANG)
            if pid:
                self._p.returncode = os.waitstatus_to_exitcode(status)
                self._maxrss = usage.ru_maxrss
                guard.forget_pid(self.pid)
                if self._reader:
                    self._reader.join()
        return self._p.returncode

    @property
    def running(self):
        return self.poll() is None

    def wait_exit(self, timeout=15):
        wait_for(lambda: self.poll() is not None, timeout, f"{self.name} (pid {self.pid}) to end")
        return self._p.returncode

    def signal(self, sig):
        if self.poll() is None:
            os.killpg(self.pid, sig)

    def term(self):
        self.signal(signal.SIGTERM)

    def hears_sigterm(self):
        """Has it come so far that SIGTERM is a message? Before, it just ends any process."""
        return bool(status_number(self.pid, "SigBlk", 16) >> (signal.SIGTERM - 1) & 1)

    def stop(self, timeout=15):
        """SIGTERM, and the exit code."""
        wait_for(lambda: not self.running or self.hears_sigterm(), timeout, f"{self.name} to listen to SIGTERM")
        self.term()
        return self.wait_exit(timeout)

    def kill9(self):
        if self.poll() is None:
            self.signal(signal.SIGKILL)
            self.wait_exit()

    @property
    def rss(self):
        """Peak resident memory so far in KiB; after the end at least the test's own at the start, which the kernel hands on."""
        return self._maxrss if self.poll() is not None else status_number(self.pid, "VmHWM")

    @property
    def rss_now(self):
        return status_number(self.pid, "VmRSS")

    @property
    def cpu(self):
        """Seconds of processor time taken so far, all threads together."""
        user, system = guard.stat(self.pid)[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    @property
    def fds(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    @property
    def threads(self):
        return status_number(self.pid, "Threads")

    @property
    def stdout(self):
        return self.stdout_path.read_text(encoding="utf-8", errors="replace")

    @property
    def log(self):
        """What it wrote to stderr."""
        return self.stderr_path.read_text(encoding="utf-8", errors="replace")

    def wait_log(self, pattern, timeout=15):
        """Waits for a regular expression in the log; fails at once when the relay ends without writing it."""
        def found():
            ended = not self.running
            m = re.search(pattern, self.log)
            if not m and ended:
                fail(f"{self.name} ended with {self.poll()} before it logged {pattern!r}")
            return m
        return wait_for(found, timeout, f"{pattern!r} in the log of {self.name}")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.kill9()


def run(args, env=None, timeout=30, code=0, cwd=None, binary=None):
    """Runs a command of the relay to its end and returns it (.stdout, .log, .rss); code is the expected exit code, None for any."""
    r = Relay(args, env=env, cwd=cwd, name="command", binary=binary)
    got = r.wait_exit(timeout)
    if code is not None and got != code:
        fail(f"{' '.join(map(str, args))}: exit code {got}, want {code}\n{r.stdout}")
    return r
