"""A throw-away Kafka broker for one test, its topics, and a reader that shares no code with the relay."""
import atexit
import os
import signal
import subprocess
from pathlib import Path

from . import guard, proc, rdkafka
from .proxy import Proxy
from .rdkafka import Error, Record  # noqa: F401  for the tests

TOOL = str(proc.ROOT / "tools/kafka")


class Kafka:
    """Kafka() prepares, start() starts; as a context manager it is started and stopped.

    proxied=True adds a listener that clients reach through self.proxy at self.proxied_bootstrap; cut that one, not the broker's own.
    """

    def __init__(self, dir=None, properties=None, auto_create=False, proxied=False, name="kafka"):
        self.dir = Path(dir or proc.tempdir(name)) / "broker"
        self.dir.mkdir(parents=True, exist_ok=True)
        self.log_path = self.dir / "log"
        self.port = proc.free_port()
        self.bootstrap, self.controller_port = f"127.0.0.1:{self.port}", proc.free_port()
        self._set = dict(properties or {})
        self._env = dict(os.environ, KAFKA_AUTO_CREATE="true" if auto_create else "false")
        self.pid = None
        self.proxy = None
        if (self.dir / "bootstrap").exists():
            self.bootstrap = (self.dir / "bootstrap").read_text().strip()
            self.port = int(self.bootstrap.split(":")[1])
        if proxied:
            behind = proc.free_port()
            self.proxy = Proxy("127.0.0.1", behind)
            self.proxied_bootstrap = f"127.0.0.1:{self.proxy.port}"
            self._set = {
                "controller.quorum.voters": f"1@127.0.0.1:{self.controller_port}",
                "listeners": f"PLAINTEXT://{self.bootstrap},CONTROLLER://127.0.0.1:{self.controller_port},PROXIED://127.0.0.1:{behind}",
                "advertised.listeners": f"PLAINTEXT://{self.bootstrap},PROXIED://{self.proxied_bootstrap}",
                "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT",
                **self._set,
            }
        proc.register_log(self.log_path)
        atexit.register(self.kill9)

    def start(self, properties=None):
        """Starts it, again with its data after the first time; properties are added for good."""
        self._set.update(properties or {})
        args = [TOOL, "start", str(self.dir), "--port", str(self.port), "--controller-port", str(self.controller_port)]
        for k, v in self._set.items():
            args += ["--set", f"{k}={v}"]
        r = subprocess.run(args, env=self._env, capture_output=True, text=True)
        self._set = {}
        proc.check(r.returncode == 0, f"tools/kafka start: {r.stdout}{r.stderr}")
        self.pid = int((self.dir / "pid").read_text())
        guard.watch_pid(self.pid)
        return self

    @property
    def running(self):
        return self.pid is not None and guard.started(self.pid) is not None

    def stop(self):
        r = subprocess.run([TOOL, "stop", str(self.dir)], capture_output=True, text=True)
        proc.check(r.returncode == 0, f"tools/kafka stop: {r.stderr}")
        if r.stderr:
            print(r.stderr, end="", flush=True)
        self._gone()

    def restart(self):
        self.stop()
        self.start()

    def kill9(self):
        if self.running:
            os.kill(self.pid, signal.SIGKILL)
            proc.wait_for(lambda: not self.running, 10, "a killed broker to be gone")
        self._gone()

    def _gone(self):
        if self.pid:
            guard.forget_pid(self.pid)
        self.pid = None

    def sigstop(self):
        """The broker keeps its connections and answers nothing, as in a very long garbage collection."""
        os.kill(self.pid, signal.SIGSTOP)
        proc.wait_for(lambda: guard.stands(self.pid), 10, "the broker to stand still")

    def sigcont(self):
        os.kill(self.pid, signal.SIGCONT)

    def _client(self):
        return rdkafka.Client(self.bootstrap)

    def create_topic(self, name, partitions=1, config=None):
        self.create_topics({name: (partitions, config or {})})

    def create_topics(self, topics):
        """{name: partitions} or {name: (partitions, config)}; returns when clients can see them."""
        full = {n: v if isinstance(v, tuple) else (v, {}) for n, v in topics.items()}
        with self._client() as c:
            proc.wait_for(lambda: self._created(c, full), 60, f"the controller to make {list(full)}", ignore=(OSError, rdkafka.NoAnswer))
            proc.wait_for(lambda: all(c.partitions().get(n) == v[0] for n, v in full.items()), 20, f"topics {list(full)} to be known")

    @staticmethod
    def _created(client, topics):
        """A controller that has just lost a broker may not answer: it is asked again for what it did not make all the same. So it is
        when its only broker is fenced, as a slow one is until its next sign of life."""
        missing = {n: v for n, v in topics.items() if n not in client.partitions()}
        try:
            if missing:
                client.create_topics(missing)
        except rdkafka.Error as e:
            if "already exists" not in str(e) and "currently fenced" not in str(e):
                raise
            return "currently fenced" not in str(e)
        return True

    def delete_topic(self, *names):
        with self._client() as c:
            c.delete_topics(names)
            proc.wait_for(lambda: not set(names) & set(c.partitions()), 20, f"topics {names} to be gone")

    def alter_partitions(self, name, total):
        """Adds partitions until there are total."""
        with self._client() as c:
            c.create_partitions(name, total)
            proc.wait_for(lambda: c.partitions().get(name) == total, 20, f"{name} to have {total} partitions")

    def set_config(self, topic, config):
        """Replaces the topic's whole configuration, max.message.bytes for example."""
        with self._client() as c:
            c.set_config(topic, config)

    def committed(self, group, topic):
        """{partition: offset} that the group has committed."""
        partitions = self.topics()[topic]
        with rdkafka.Client(self.bootstrap, consumer=True, **{"group.id": group}) as c:
            return c.committed(topic, partitions)

    def delete_records(self, topic, partition, before):
        """Deletes what lies below this offset, and returns when it is gone."""
        with self._client() as c:
            c.delete_records(topic, partition, before)
            proc.wait_for(lambda: c.watermarks(topic, partition)[0] >= before, 20, f"records of {topic} to be gone")

    def topics(self):
        """{name: partitions}"""
        with self._client() as c:
            return c.partitions()

    def end_offsets(self, topic):
        """{partition: offset after the last record}"""
        with self._client() as c:
            return {p: c.watermarks(topic, p)[1] for p in range(c.partitions().get(topic, 0))}

    def count(self, *topics):
        """The number of offsets used in the topics: a cheap way to wait for records; transactions use some for their marks."""
        with self._client() as c:
            have = c.partitions()
            return sum(hi - lo for t in topics for p in range(have.get(t, 0)) for lo, hi in [c.watermarks(t, p)])

    def consume_all(self, topics, isolation="read_uncommitted", timeout=180):
        """Every record there is, sorted by topic, partition and offset; see rdkafka.Record."""
        return rdkafka.consume_all(self.bootstrap, [topics] if isinstance(topics, str) else list(topics), isolation, timeout)

    def produce(self, topic, value, key=None, partition=None, headers=()):
        """Sends one record by kcat, which sends nothing for an empty value. headers: (name, value) pairs of text."""
        proc.check(value, "kcat sends no record without a value")
        args = ["kcat", "-q", "-P", "-b", self.bootstrap, "-t", topic]
        args += [] if key is None else ["-k", key]
        args += [] if partition is None else ["-p", str(partition)]
        for k, v in headers:
            args += ["-H", f"{k}={v}"]
        path = self.dir / "record"
        path.write_bytes(value.encode() if isinstance(value, str) else value)
        subprocess.run([*args, str(path)], check=True, timeout=180)

    def produce_lines(self, topic, lines, separator="|"):
        """Sends many records by kcat, each line key|value."""
        subprocess.run(["kcat", "-q", "-P", "-b", self.bootstrap, "-t", topic, "-K", separator], check=True, timeout=180,
                       input="".join(line + "\n" for line in lines).encode())

    def __enter__(self):
        if not self.running:
            self.start()
        return self

    def __exit__(self, *exc):
        self.kill9()
        if self.proxy:
            self.proxy.close()
