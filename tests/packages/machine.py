"""A fresh Debian with a running systemd, in namespaces of its own (boot); for root."""
import contextlib
import os
import subprocess
from pathlib import Path

from support import guard, proc

HERE = Path(__file__).resolve().parent
ENV = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "HOME": "/root", "LC_ALL": "C.UTF-8"}


def out(*command, code=0, **more):
    r = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False, **more)
    proc.check(r.returncode == code, f"{command}: {r.returncode}\n{r.stdout}{r.stderr}")
    return r.stdout + r.stderr


def debootstrap(root):
    mirror = out("apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Codename: bookworm").split()[0]
    out("debootstrap", "--variant=minbase", "--include=systemd,dbus", "bookworm", root, mirror)


@contextlib.contextmanager
def cgroup():
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    top = next((m[1] for m in mounts if m[2] == "cgroup2"), None)
    proc.check(top, "cgroup2 is not mounted: systemd cannot be started")
    path = Path(top, f"commitrelay-test-{os.getpid()}")
    path.mkdir()
    try:
        yield path
    finally:
        for below, _, _ in os.walk(path, topdown=False):
            proc.wait_for(lambda below=below: os.rmdir(below) is None, 20, f"{below} is empty")


class Machine:
    def __init__(self, root, cg):
        self.root = root
        log = proc.tempdir("boot") / "log"
        proc.register_log(log)
        with open(log, "wb") as f:
            self.unshare = subprocess.Popen([HERE / "boot", root, cg], stdin=subprocess.DEVNULL, stdout=f, stderr=f)
        guard.watch_pid(self.unshare.pid)
        proc.wait_for(self.up, 60, "systemd is up")

    def up(self):
        """Also if some unit of Debian's failed, which have nothing to do in namespaces."""
        proc.check(self.unshare.poll() is None, "systemd has ended")
        self.init = (guard.children(self.unshare.pid) or [0])[0]
        if not self.init or Path(f"/proc/{self.init}/comm").read_text() != "systemd\n":
            return False
        said = subprocess.run(self.words("systemctl", "is-system-running"), env=ENV, capture_output=True, text=True, check=False).stdout
        return said.strip() in ("running", "degraded")

    def words(self, *command):
        return ["nsenter", "--target", str(self.init), "--all", *map(str, command)]

    def run(self, *command, code=0):
        return out(*self.words(*command), code=code, env=ENV)

    def shell(self, script, code=0):
        return self.run("bash", "-euo", "pipefail", "-c", script, code=code)

    def stop(self):
        """unshare takes its child with it, which is the first process there, and that takes all others."""
        self.unshare.kill()
        self.unshare.wait()
        guard.forget_pid(self.unshare.pid)


@contextlib.contextmanager
def fresh_debian():
    root = proc.tempdir("debian")
    debootstrap(root)
    with cgroup() as cg:
        machine = Machine(root, cg)
        try:
            yield machine
        finally:
            machine.stop()
