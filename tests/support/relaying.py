"""A relay's configuration, its processes, and its surroundings that a test may spoil."""
import json
import os
import re
import shutil
import signal
import urllib.error
import urllib.request
from pathlib import Path

from . import guard, proc
from .proc import Relay, check, check_equal, run, wait_for

NOBODY = 65534
PRLIMIT, SETPRIV, STRACE = "/usr/bin/prlimit", "/usr/bin/setpriv", "/usr/bin/strace"
# A sink that is away is tried again soon. None of these limits ends anything that goes well.
QUICK = {"retry": {"initial": "20ms", "max": "200ms"}, "breaker": {"open_for": "200ms"}, "drain_timeout": "3s"}
MAX_IN_FLIGHT = 1000
# What a relay gets that is to be killed under a load: few events can come twice.
LOADED = {"max_in_flight": MAX_IN_FLIGHT, "retry": {"initial": "20ms", "max": "1s"}}


def write(d, text, name="relay.yaml"):
    path = Path(d) / name
    if isinstance(text, bytes):
        path.write_bytes(text)
    else:
        path.write_text(text)
    return path


def config(d, *pipelines, **top):
    """Writes a file (JSON is YAML too) and returns its path."""
    return write(d, json.dumps({"store": {"url": f"sqlite:{d}/store.db", "lease": proc.NO_LEASE}, **top, "pipelines": list(pipelines)}, indent=1))


def pipeline(source, sink=None, topic="events", name="p", route=None, limits=QUICK, **delivery):
    return {"name": name, "source": source, "sink": sink or {"type": "stdout"}, "route": {"topic": topic, **(route or {})},
            "delivery": {**limits, **delivery}}


_started = []


def start(args, **how):
    """A relay that is killed at the latest when its test ends; before: words in front of the program, as of as_nobody()."""
    before = how.pop("before", None)
    if before:
        how["binary"], args = before[0], [*before[1:], *args]
    relay = proc.Relay(args, **how)
    _started.append(relay)
    return relay


def daemon(path, **how):
    return start(["run", "-c", path], **how)


def redirected(path, redirections, *more):
    """A daemon started by a shell that gives it other descriptors."""
    return start(["-c", f'exec "$0" "$@" {redirections}', proc.BIN, "run", "-c", path, *more], binary="/bin/sh")


def once(path, timeout=30, **how):
    """Relays until idle and ends, with whatever exit code."""
    relay = start(["run", "-c", path, "--until-idle"], **how)
    relay.wait_exit(timeout)
    return relay


def clean_up():
    """After each test: nothing of it runs on, and its logs are not shown with the next one's failure."""
    while _started:
        relay = _started.pop()
        relay.kill9()
        if str(relay.stderr_path) in proc._logs:
            proc._logs.remove(str(relay.stderr_path))


def freeze(relay, may_write=lambda: True):
    """Stops it and returns when none of its threads runs any more, at a moment when it keeps nobody from writing to the database."""
    def still():
        relay.signal(signal.SIGSTOP)
        wait_for(lambda: guard.stands(relay.pid), 10, f"{relay.name} to stand still")
        if may_write():
            return True
        thaw(relay)
        return False
    wait_for(still, 60, f"a moment at which {relay.name} holds no lock")


def thaw(relay):
    relay.signal(signal.SIGCONT)


def need(program):
    check(os.access(program, os.X_OK), f"{program} is missing; run tools/setup")


def give_to_nobody(path):
    """To whom as_nobody() starts the relay as."""
    if os.getuid() == 0:
        os.chown(path, NOBODY, NOBODY)


def as_nobody(d):
    """Words to start the relay with as a user without root's rights: as nobody, or as who runs the tests."""
    if os.getuid() != 0:
        return [proc.BIN]
    need(SETPRIV)
    program = Path(d) / "commitrelay"
    if not program.exists():
        shutil.copy(proc.BIN, program)
        program.chmod(0o755)
    return [SETPRIV, "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups", str(program)]


# --- a relay that is killed and started again ---

# How far a start has come: what a kill that falls into it waits for.
STEPS = {
    "at once": lambda relay: True,
    "when it listens to signals": Relay.hears_sigterm,
    "when it has read its configuration": lambda relay: " -> " in relay.log,
    "when it runs": lambda relay: "state running" in relay.log,
}


class Relaying:
    """A relay process that is kept running: start() again after each kill. It counts how often it began.

    before: words in front of the program's name, ending with it, as of Disk.
    """

    def __init__(self, config_path, name="relay", before=None):
        self.config, self.name, self.before = config_path, name, before or [proc.BIN]
        self.relay, self.starts, self.kills = None, 0, 0

    def start(self, env=None, stdout_rate=None, before=None, config_path=None):
        """before and config_path: others, for this time."""
        words = before or self.before
        self.relay = Relay([*words[1:], "run", "-c", config_path or self.config], env=env, name=self.name, stdout_rate=stdout_rate, binary=words[0])
        self.starts += 1
        return self.relay

    def command(self, *args, **how):
        """A command of the relay, run to its end."""
        return run([*self.before[1:], *args], binary=self.before[0], **how)

    def start_to_die(self, point, passage=1):
        """A start that ends itself, as a kill would, when it comes to a fault point for the passage-th time."""
        return self.start({"COMMITRELAY_FAULT": f"{point}@{passage}:kill"})

    def await_death(self, what):
        """Waits for a relay that ends itself."""
        wait_for(lambda: not self.relay.running, 60, f"the relay to reach {what}")
        check_equal(self.relay.poll(), -9, f"its end at {what}")
        self.killed()

    def check_running(self):
        check(self.relay.running, f"the relay ended by itself with {self.relay.poll()}")

    def kill(self):
        """kill -9; that it still ran is part of the test."""
        self.check_running()
        self.relay.kill9()
        check_equal(self.relay.poll(), -9, "the end of a killed relay")
        self.killed()

    def kill_in_start(self, step):
        """step: one of STEPS."""
        wait_for(lambda: STEPS[step](self.relay), 60, f"the relay to be there ({step})")
        self.kill()

    def killed(self):
        self.kills += 1
        proc.forget_log(self.relay.stderr_path)

    def stop(self):
        self.check_running()
        check_equal(self.relay.stop(30), 0, "exit code after SIGTERM")

    def drain(self, timeout=90):
        """Relays what is left and ends."""
        self.starts += 1
        return self.command("run", "-c", self.config, "--until-idle", timeout=timeout)


# --- the admin port ---

def admin():
    return f"127.0.0.1:{proc.free_port()}"


def page(address, name):
    """(status, text) of a page of the admin port."""
    try:
        with urllib.request.urlopen(f"http://{address}/{name}", timeout=180) as r:
            return r.status, r.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode()


def not_ready(address):
    wait_for(lambda: page(address, "readyz")[0] == 503, 10, "readiness to go")


def metric(address, name):
    m = re.search(rf"^commitrelay_{name}(?:{{[^}}]*}})? ([0-9.e+-]+)$", page(address, "metrics")[1], re.M)
    return float(m[1]) if m else None
