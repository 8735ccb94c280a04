"""Where events arrive under crashcheck: a place of its own for each trial, what can happen to it, and a reader that is somebody else's."""
import shutil
from urllib.parse import unquote

import redis

from support import artemis, rabbitmq
from support.arrivals import EXTENSIONS, file_arrivals, kafka_arrivals
from support.disk import Disk
from support.judge import Arrival
from support.natsd import Nats
from support.proxy import Proxy
from support.rabbitmq import RabbitMQ
from support.redis_server import Redis
from support.webhook import Webhook

PIPELINE = "crash"
# Long enough for a fault to find events under way, short enough to see within a trial that nobody answers.
PATIENT = {"connect_timeout": "2s", "stall_timeout": "10s"}


class Topic:
    """kafka: read by librdkafka through ctypes."""

    commits_files, linked, gives_up = False, True, False
    before, points, away = None, (), ()
    bulk = rate = None
    can_be_full = False

    def __init__(self, name, broker, rng, directory):
        self.name, self.server, self.link = name, broker, broker.proxy
        broker.create_topic(name, 3)

    def conf(self):
        return {"type": "kafka", "brokers": self.server.proxied_bootstrap}

    def count(self):
        return self.server.count(self.name)

    def arrivals(self, source, guarantee):
        return kafka_arrivals(self.server, self.name, guarantee.isolation)

    def close(self):
        self.server.delete_topic(self.name)


class Folder:
    """file: on a small disk of its own, read by Python's csv and json. The format is chosen by the seed."""

    commits_files, linked, gives_up = True, False, False
    link = server = None
    points = ("file_after_fsync", "file_after_intent", "file_after_manifest", "file_after_rename", "recover_before_save")
    away = ()
    bulk = rate = None
    can_be_full = False

    def __init__(self, name, broker, rng, directory):
        self.name, self.format = name, rng.choice(sorted(EXTENSIONS))
        self.disk = Disk(directory / "disk", "size=1g")
        self.before, self.out = self.disk.before, self.disk.seen / "out"

    def conf(self):
        return {"type": "file", "dir": str(self.disk.path / "out"), "format": self.format, "rotate": {"events": 150, "interval": "200ms"}}

    def count(self):
        return max((int(p.name.split("-")[-1].split(".")[0]) for p in self.out.glob(f"{PIPELINE}-*.manifest.json")), default=0)

    def arrivals(self, source, guarantee):
        return file_arrivals(self.out, PIPELINE, self.format, text_of=source.text)

    def close(self):
        self.disk.__exit__()


class OwnServer:
    """A server that a trial has for itself, over a link that can be cut. A side gives made() (the server, started), conf(), count() and
    messages(): (key, id, payload, whether a replay sent it) of each message in order of arrival."""

    commits_files, linked = False, True
    gives_up = True     # a connection on which nobody answers; without one the relay holds nothing
    before, points, away = None, (), ()
    bulk = rate = None  # the largest transaction and the highest rate that it can take
    can_be_full = False  # full(on): it takes no more until it is told otherwise

    def __init__(self, name, _broker, _rng, _directory):
        self.name, self.server = name, self.made()
        self.link = Proxy("127.0.0.1", self.server.port)

    def arrivals(self, source, guarantee):
        return [Arrival(self.name, key, event_id, payload) for key, event_id, payload, replayed in self.messages() if not replayed]

    def close(self):
        self.link.close()
        self.server.__exit__(None, None, None)
        shutil.rmtree(self.server.dir, ignore_errors=True)


class Rabbit(OwnServer):
    """rabbitmq: an exchange and a durable queue that gets all of it, read by pika. The key is a part of the routing key."""

    away, can_be_full = rabbitmq.AWAY, True

    def made(self):
        server = RabbitMQ(name="crash-rabbitmq").start()
        server.declare(self.name)
        with server.connected() as channel:
            channel.exchange_declare(self.name, "topic", durable=True)
            channel.queue_bind(self.name, self.name, "#")
        return server

    def conf(self):
        return self.server.sink(url=f"amqp://127.0.0.1:{self.link.port}", exchange=self.name, routing_key="of.{key}", heartbeat="5s", **PATIENT)

    def count(self):
        return self.server.count(self.name)

    def full(self, on):
        self.server.alarm(on)

    def messages(self):
        for method, p, body in self.server.take(self.name):
            yield method.routing_key.removeprefix("of."), p.message_id, body, "replayed" in (p.headers or {})


class Amqp(OwnServer):
    """amqp: a queue of Artemis, read by qpid-proton's client for Python. Of a key there is one message at a time on its way."""

    away, bulk, rate = artemis.AWAY, 3000, 150

    def made(self):
        return artemis.Artemis(name="crash-artemis").start()

    def conf(self):
        return self.server.sink(url=f"amqp://127.0.0.1:{self.link.port}", idle_timeout="5s", **PATIENT)

    def count(self):
        return self.server.count(self.name)

    def messages(self):
        for m in self.server.take(self.name):
            yield m.group_id, m.id, artemis.body(m), "replayed" in (m.properties or {})


class JetStream(OwnServer):
    """nats: a stream that keeps duplicates, so that they are seen, read by nats-py. Of a key there is one message at a time on its way; the
    key is a part of the subject."""

    away, bulk, can_be_full = (OSError,), 10_000, True
    stream = "CRASH"

    def made(self):
        server = Nats(name="crash-nats").start()
        server.create_stream(self.stream, "of.>", duplicate_window=0.1, discard="new")
        return server

    def conf(self):
        return {"type": "nats", "servers": f"nats://127.0.0.1:{self.link.port}", "subject": "of.{key}", "expect_stream": self.stream, **PATIENT}

    def count(self):
        return self.server.count(self.stream)

    def full(self, on):
        """It drops nothing that it has: there is room for some more."""
        self.server.update_stream(self.stream, "of.>", duplicate_window=0.1, discard="new", max_msgs=self.count() + 100 if on else -1)

    def messages(self):
        for m in self.server.messages(self.stream):
            yield m.subject.removeprefix("of."), m.headers["Nats-Msg-Id"], m.data, "replayed" in m.headers


class RedisStream(OwnServer):
    """redis: a stream, read by redis-py."""

    away, can_be_full = (OSError, redis.exceptions.RedisError), True

    def made(self):
        return Redis(name="crash-redis").start()

    def conf(self):
        return {"type": "redis", "url": f"redis://127.0.0.1:{self.link.port}", **PATIENT}

    def count(self):
        return self.server.count(self.name)

    def full(self, on):
        self.server.set(maxmemory="1" if on else "0")

    def messages(self):
        for _, f in self.server.each(self.name):
            yield f["key"].decode(), f["id"].decode(), f["payload"], "h:replayed" in f


class Webhooks(OwnServer):
    """http: a receiver in Python, which writes each request down before it answers. Of a key there is one request at a time."""

    bulk, rate, can_be_full = 2000, 100, True

    def made(self):
        return Webhook(jitter=.002).start()

    def conf(self):
        return {"type": "http", "url": f"http://127.0.0.1:{self.link.port}/{{key}}", "allow_private": True, "concurrency": 16, "timeout": "10s", **PATIENT}

    def count(self):
        return self.server.count_taken()

    def full(self, on):
        self.server.rules(*[{"status": 429, "headers": {"Retry-After": "1"}}] * on)

    def messages(self):
        for r in self.server.taken():
            yield unquote(r.path[1:]), r.id, r.body, "replayed" in r.headers


SINKS = {"kafka": Topic, "file": Folder, "rabbitmq": Rabbit, "amqp": Amqp, "nats": JetStream, "redis": RedisStream, "http": Webhooks}
