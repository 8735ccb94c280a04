"""A throw-away RabbitMQ broker for one test (Debian's), and a reader that shares no code with the relay: pika."""
import atexit
import base64
import contextlib
import glob
import hashlib
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pika

from . import guard, proc
from .judge import Arrival
from .proc import check, wait_for
from .relaying import NOBODY, SETPRIV

SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server"
# Where a broker is being restarted pika raises any of these.
AWAY = (OSError, pika.exceptions.AMQPError)


def _hashed(password):
    salt = os.urandom(4)
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


class RabbitMQ:
    """RabbitMQ() prepares, start() starts, again with its data after the first time; as a context manager it is started and stopped.

    tls: a directory with ca.crt, and server.crt and server.key, for a second port; a client's certificate is looked at if it has one. users: {name: (password, configure, write, read)}, the
    last three patterns of the vhost "/", None without any right; `owner` has all rights. settings: lines of rabbitmq.conf.
    The broker runs as nobody where the test runs as root. epmd is its own, and ends with it.
    """

    def __init__(self, tls=None, users=None, settings=None, name="rabbitmq"):
        self.dir = proc.tempdir(name)
        self.port, self.tls_port, self.epmd_port, dist = (proc.free_port() for _ in range(4))
        self.log_path = self.dir / "log"
        self.pid, self._epmd, self._parent, self._log = None, None, None, None
        for sub in ("mnesia", "home"):
            (self.dir / sub).mkdir()
        cookie = self.dir / "home/.erlang.cookie"
        cookie.write_text("of-a-test")
        cookie.chmod(0o400)
        (self.dir / "plugins").write_text("[].")
        self._definitions(users or {})
        self._conf(tls, settings or {})
        self._own()
        self.env = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": str(self.dir / "home"), "RABBITMQ_BASE": str(self.dir),
            "RABBITMQ_NODENAME": f"t{self.port}@localhost", "RABBITMQ_MNESIA_BASE": str(self.dir / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.dir), "RABBITMQ_LOGS": "-", "RABBITMQ_CONFIG_FILE": str(self.dir / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.dir / "plugins"), "RABBITMQ_PID_FILE": str(self.dir / "mnesia/pid"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null", "RABBITMQ_DIST_PORT": str(dist), "ERL_EPMD_PORT": str(self.epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none -kernel inet_dist_use_interface {127,0,0,1}",
        }
        proc.register_log(self.log_path)
        atexit.register(self._end)

    def _definitions(self, users):
        users = {**users, "owner": ("hunter2", ".*", ".*", ".*")}
        (self.dir / "definitions.json").write_text(json.dumps({
            "vhosts": [{"name": "/"}],
            "users": [{"name": n, "password_hash": _hashed(u[0]), "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": ""}
                      for n, u in users.items()],
            "permissions": [{"user": n, "vhost": "/", "configure": u[1], "write": u[2], "read": u[3]}
                            for n, u in users.items() if u[1] is not None],
        }))

    def _conf(self, tls, settings):
        lines = {"listeners.tcp.1": f"127.0.0.1:{self.port}", "log.console": "true", "log.console.level": "warning",
                 "vm_memory_high_watermark.absolute": "1GiB", "disk_free_limit.absolute": "1MB",
                 "load_definitions": self.dir / "definitions.json", **settings}
        if tls:
            for f in ("ca.crt", "server.crt", "server.key"):
                shutil.copy(Path(tls) / f, self.dir)
            lines |= {"listeners.ssl.1": f"127.0.0.1:{self.tls_port}", "ssl_options.cacertfile": self.dir / "ca.crt",
                      "ssl_options.certfile": self.dir / "server.crt", "ssl_options.keyfile": self.dir / "server.key",
                      "ssl_options.verify": "verify_peer", "ssl_options.fail_if_no_peer_cert": "false"}
        (self.dir / "rabbitmq.conf").write_text("".join(f"{k} = {v}\n" for k, v in lines.items()))

    def _own(self):
        if os.getuid() == 0:
            for top, dirs, files in os.walk(self.dir):
                for path in (top, *(os.path.join(top, f) for f in dirs + files)):
                    os.chown(path, NOBODY, NOBODY)

    def _as_user(self, *command):
        drop = [SETPRIV, "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"] if os.getuid() == 0 else []
        return [*drop, *command]

    # --- its life ---

    def start(self):
        if not self._epmd:
            self._epmd = subprocess.Popen(self._as_user("/usr/bin/epmd", "-port", str(self.epmd_port), "-address", "127.0.0.1"), env=self.env,
                                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/",
                                          start_new_session=True)
            guard.watch_pid(self._epmd.pid)
        (self.dir / "mnesia/pid").unlink(missing_ok=True)
        with open(self.log_path, "ab") as log:
            self._parent = subprocess.Popen(self._as_user(SERVER), env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
                                            start_new_session=True)
        wait_for(self._started, 60, "RabbitMQ to start", ignore=(*AWAY, ValueError))
        return self

    def _started(self):
        check(self._parent.poll() is None, f"RabbitMQ ended with {self._parent.poll()}")
        pid = int((self.dir / "mnesia/pid").read_text())
        if pid != self.pid:
            self.pid = pid
            guard.watch_pid(pid)
        with self.connected():
            return True

    @property
    def running(self):
        return self.pid is not None and guard.started(self.pid) is not None

    def stop(self):
        os.kill(self.pid, signal.SIGTERM)
        self._gone()

    def kill9(self):
        if self.running:
            os.kill(self.pid, signal.SIGKILL)
        self._gone()

    def _gone(self):
        if self._parent:
            wait_for(lambda: not self.running, 60, "RabbitMQ to end")
            self._parent.wait()
        if self.pid:
            guard.forget_pid(self.pid)
        self.pid = self._parent = None

    def _end(self):
        if self._parent and not self.pid:  # it was still starting
            os.killpg(self._parent.pid, signal.SIGKILL)
        self.kill9()
        if self._epmd:
            self._epmd.kill()
            self._epmd.wait()
            guard.forget_pid(self._epmd.pid)
            self._epmd = None

    def sigstop(self):
        """The broker keeps its connections and answers nothing."""
        os.kill(self.pid, signal.SIGSTOP)
        wait_for(lambda: guard.stands(self.pid), 10, "the broker to stand still")

    def sigcont(self):
        os.kill(self.pid, signal.SIGCONT)

    def ctl(self, *args):
        """rabbitmqctl"""
        tool = glob.glob("/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmqctl")[0]
        r = subprocess.run(self._as_user(tool, "-q", *args), env=self.env, capture_output=True, text=True, cwd="/")
        check(r.returncode == 0, f"rabbitmqctl {' '.join(args)}: {r.stdout}{r.stderr}")
        return r.stdout

    def alarm(self, on):
        """The memory alarm: the broker takes no more messages."""
        self.ctl("set_vm_memory_high_watermark", "absolute", "1MB" if on else "1GB")

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        self._end()

    # --- clients ---

    def url(self, user="owner", password="hunter2", port=None, scheme="amqp", host="127.0.0.1"):
        return f"{scheme}://{user}:{password}@{host}:{port or self.port}"

    def sink(self, **more):
        return {"type": "rabbitmq", "url": f"amqp://127.0.0.1:{self.port}", "username": "owner", "password": "hunter2", **more}

    @contextlib.contextmanager
    def connected(self):
        """A channel."""
        c = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", self.port, credentials=pika.PlainCredentials("owner", "hunter2"),
                                                              socket_timeout=20, blocked_connection_timeout=120))
        try:
            yield c.channel()
        finally:
            if c.is_open:
                c.close()

    def declare(self, *queues, **arguments):
        with self.connected() as ch:
            for q in queues:
                ch.queue_declare(q, durable=True, arguments={k.replace("_", "-"): v for k, v in arguments.items()})

    def delete(self, queue):
        with self.connected() as ch:
            ch.queue_delete(queue)

    def count(self, queue):
        with self.connected() as ch:
            return ch.queue_declare(queue, passive=True).method.message_count

    def take(self, queue):
        """The messages that are in the queue now, as (method, properties, body), in order; they are removed."""
        out = []
        with self.connected() as ch:
            ch.basic_qos(prefetch_count=500)
            n = ch.queue_declare(queue, passive=True).method.message_count
            for message in ch.consume(queue) if n else ():
                out.append(message)
                if len(out) % 250 == 0 or len(out) == n:
                    ch.basic_ack(message[0].delivery_tag, multiple=True)
                if len(out) == n:
                    break
            ch.cancel()  # what came beyond them goes back to its place
        return out


def arrivals(messages, where):
    """For judge(): the key is what the header `key` says."""
    return [Arrival(where, p.headers["key"], p.message_id, body) for _, p, body in messages]
