"""The server of a sink, started for one use: what the sink has to be told, and what has arrived, read by somebody else's client.

Here stands what the servers have in common for who does not care which one it is: crashcheck, tools/try, tools/demo and bench/sinks.py.
"""
import shutil
from collections import namedtuple
from urllib.parse import unquote

import redis

from . import artemis, rabbitmq
from .artemis import Artemis
from .natsd import Nats
from .rabbitmq import RabbitMQ
from .redis_server import Redis
from .webhook import Webhook

Message = namedtuple("Message", "key id payload replayed")
Message.__doc__ = "key and id are text, payload is bytes; replayed: a replay has sent it, not the stream."
PLACE = "events"  # the queue, the stream, the address


class Served:
    """A subclass gives made() (the server, started), conf(port) and messages(), in order of arrival."""

    away = ()            # what its clients raise while it is away
    takes = False        # what messages() has given is not there any more
    can_be_full = False  # full(on): it takes no more until it is told otherwise

    def __init__(self):
        self.server = self.made()

    @property
    def pid(self):
        return self.server.pid

    def sink(self, port=None, **more):
        """The configuration of its sink; port: of a proxy before it."""
        return {**self.conf(port or self.server.port), **more}

    def count(self):
        """How many events it has."""
        return self.server.count(PLACE)

    def close(self):
        self.server.__exit__(None, None, None)
        shutil.rmtree(self.server.dir, ignore_errors=True)


class ServedRabbitMQ(Served):
    """An exchange, and a durable queue that gets all of it. The key is a part of the routing key."""

    away, takes, can_be_full = rabbitmq.AWAY, True, True

    def made(self):
        server = RabbitMQ(name="rabbitmq").start()
        server.declare(PLACE)
        with server.connected() as channel:
            channel.exchange_declare(PLACE, "topic", durable=True)
            channel.queue_bind(PLACE, PLACE, "#")
        return server

    def conf(self, port):
        return self.server.sink(url=f"amqp://127.0.0.1:{port}", exchange=PLACE, routing_key="of.{key}")

    def full(self, on):
        self.server.alarm(on)

    def messages(self):
        for method, p, body in self.server.take(PLACE):
            yield Message(method.routing_key.removeprefix("of."), p.message_id, body, "replayed" in (p.headers or {}))

    def clear(self):
        with self.server.connected() as channel:
            channel.queue_purge(PLACE)


class ServedArtemis(Served):
    """A queue. Of a key there is one message at a time on its way; the broker drops what comes again while it remembers its id."""

    away, takes = artemis.AWAY, True

    def made(self):
        server = Artemis(name="artemis").start()
        server.create(PLACE)
        return server

    def conf(self, port):
        return self.server.sink(url=f"amqp://127.0.0.1:{port}", address=PLACE)

    def messages(self):
        for m in self.server.take(PLACE):
            yield Message(m.group_id, m.id, artemis.body(m), "replayed" in (m.properties or {}))

    def clear(self):
        self.server.delete(PLACE)
        self.server.create(PLACE)


class ServedNats(Served):
    """A stream that keeps duplicates, so that they are seen. Of a key there is one message at a time on its way; the key is a part of the subject."""

    away, can_be_full = (OSError,), True
    stream, settings = PLACE.upper(), {"duplicate_window": 0.1, "discard": "new"}

    def made(self):
        server = Nats(name="nats").start()
        server.create_stream(self.stream, "of.>", **self.settings)
        return server

    def conf(self, port):
        return {"type": "nats", "servers": f"nats://127.0.0.1:{port}", "subject": "of.{key}", "expect_stream": self.stream}

    def count(self):
        return self.server.count(self.stream)

    def full(self, on):
        """It drops nothing that it has: there is room for some more."""
        self.server.update_stream(self.stream, "of.>", **self.settings, max_msgs=self.count() + 100 if on else -1)

    def messages(self):
        for m in self.server.messages(self.stream):
            yield Message(m.subject.removeprefix("of."), m.headers["Nats-Msg-Id"], m.data, "replayed" in m.headers)

    def clear(self):
        self.server.delete_stream(self.stream)
        self.server.create_stream(self.stream, "of.>", **self.settings)


class ServedRedis(Served):
    """A stream."""

    away, can_be_full = (OSError, redis.exceptions.RedisError), True

    def made(self):
        return Redis(name="redis").start()

    def conf(self, port):
        return {"type": "redis", "url": f"redis://127.0.0.1:{port}", "stream": PLACE}

    def full(self, on):
        self.server.set(maxmemory="1" if on else "0")

    def messages(self):
        for _, f in self.server.each(PLACE):
            yield Message(f["key"].decode(), f["id"].decode(), f["payload"], "h:replayed" in f)

    def clear(self):
        self.server.client().unlink(PLACE)


class ServedWebhook(Served):
    """A receiver in Python, which writes each request down before it answers. Of a key there is one request at a time."""

    can_be_full = True

    def made(self):
        return Webhook(jitter=.002).start()

    def conf(self, port):
        return {"type": "http", "url": f"http://127.0.0.1:{port}/{{key}}", "allow_private": True}

    def count(self):
        return self.server.count_taken()

    def full(self, on):
        self.server.rules(*[{"status": 429, "headers": {"Retry-After": "1"}}] * on)

    def messages(self):
        for r in self.server.taken():
            yield Message(unquote(r.path[1:]), r.id, r.body, "replayed" in r.headers)


SERVED = {"rabbitmq": ServedRabbitMQ, "amqp": ServedArtemis, "nats": ServedNats, "redis": ServedRedis, "http": ServedWebhook}
