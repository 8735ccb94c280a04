"""Where batch files are uploaded to: an HTTPS server, an sshd, each a process of its own that can be killed in the middle."""
import atexit
import getpass
import json
import os
import signal
import socket
import subprocess
from pathlib import Path

from . import guard, proc
from .proc import free_port, wait_for

SSHD, KEYGEN, OPENSSL = "/usr/sbin/sshd", "/usr/bin/ssh-keygen", "/usr/bin/openssl"


def certificate(d, name="server"):
    """A certificate for 127.0.0.1 that is its own authority; one file with its key."""
    path, key = Path(d) / f"{name}.pem", Path(d) / f"{name}.key"
    if path.exists():
        return path
    subprocess.run([OPENSSL, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                    f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", path], check=True, capture_output=True)
    with open(path, "a") as f:
        f.write(key.read_text())
    return path


def _listens(port):
    with socket.create_connection(("127.0.0.1", port), timeout=5):
        return True


def _tree(pid):
    """The process and all below it, the lowest first."""
    return [p for child in guard.children(pid) for p in _tree(child)] + [pid]


class _Server:
    """start() again after kill()."""

    def __init__(self, d):
        self.dir, self.port, self.p = Path(d), free_port(), None
        self.log = self.dir / f"server-{self.port}.log"
        proc.register_log(self.log)

    def _start(self, words):
        with open(self.log, "ab") as log:
            self.p = subprocess.Popen([str(w) for w in words], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        guard.watch_pid(self.p.pid)
        atexit.register(self.kill)
        wait_for(lambda: self.p.poll() is not None or _listens(self.port), 30, "the server to listen")
        proc.check(self.p.poll() is None, f"the server ended\n{self.log.read_text()}")
        return self

    def kill(self):
        """kill -9, its sessions too."""
        if self.p and self.p.poll() is None:
            for pid in _tree(self.p.pid):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            self.p.wait()
            guard.forget_pid(self.p.pid)


class Https(_Server):
    """What it has is in self.inbox; options as https_receiver.py has them."""

    def __init__(self, d, cert=None, **options):
        super().__init__(d)
        self.cert, self.options = cert or certificate(d), options
        self.inbox = self.dir / f"inbox-{self.port}"
        self.inbox.mkdir()

    def start(self, **more):
        script = Path(__file__).with_name("https_receiver.py")
        return self._start(["/usr/bin/python3", script, self.inbox, self.port, self.cert, json.dumps({**self.options, **more})])

    def target(self, name="partner", **more):
        return {"name": name, "url": f"https://127.0.0.1:{self.port}/in/", "ca_file": str(self.cert), "retry": QUICK_RETRY, **more}

    @property
    def requests(self):
        path = self.inbox / ".requests"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


    @property
    def looks(self):
        """The paths that were asked for by HEAD."""
        path = self.inbox / ".looks"
        return path.read_text().splitlines() if path.exists() else []


# A server that is away is tried again soon.
QUICK_RETRY = {"initial": "20ms", "max": "200ms"}


class Sftp(_Server):
    """An sshd of this user. What it has is in self.inbox. before: words in front of it, as of Disk."""

    def __init__(self, d, before=(), inbox=None):
        super().__init__(d)
        self.before = list(before)
        self.inbox = Path(inbox or self.dir / f"inbox-{self.port}")
        if not inbox:
            self.inbox.mkdir()
        self.host_key, self.user_key = self.key("host"), self.key("user")
        (self.dir / "authorized_keys").write_text(self.user_key.with_suffix(".pub").read_text())
        self.known_hosts = self.dir / "known_hosts"
        self.knows(self.host_key)
        if os.getuid() == 0:
            os.makedirs("/run/sshd", mode=0o755, exist_ok=True)

    def key(self, name):
        path = self.dir / f"{name}_key"
        if not path.exists():
            subprocess.run([KEYGEN, "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
        return path

    def knows(self, host_key, port=None):
        """From now on the relay takes this one for the server's."""
        public = host_key.with_suffix(".pub").read_text().split()
        with open(self.known_hosts, "a" if port else "w") as f:
            f.write(f"[127.0.0.1]:{port or self.port} {public[0]} {public[1]}\n")

    def start(self, denied=None):
        """denied: a request of SFTP that it refuses, as sftp-server has it."""
        config = self.dir / "sshd_config"
        config.write_text("\n".join([f"Port {self.port}", "ListenAddress 127.0.0.1", f"HostKey {self.host_key}", "PidFile none",
                                     f"AuthorizedKeysFile {self.dir}/authorized_keys", "UsePAM no", "PasswordAuthentication no",
                                     "StrictModes no", "PermitRootLogin yes",
                                     f"Subsystem sftp internal-sftp{f' -P {denied}' if denied else ''}", ""]))
        return self._start([*self.before, SSHD, "-D", "-e", "-f", config])

    def target(self, name="partner", port=None, **more):
        return {"name": name, "url": f"sftp://{getpass.getuser()}@127.0.0.1:{port or self.port}{self.inbox}", "known_hosts": str(self.known_hosts),
                "key_file": str(self.user_key), "retry": QUICK_RETRY, **more}
