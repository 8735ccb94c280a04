"""Where events arrive under crashcheck: a place of its own for each trial, what can happen to it, and a reader that is somebody else's."""
from support.arrivals import EXTENSIONS, file_arrivals, kafka_arrivals
from support.disk import Disk
from support.judge import Arrival
from support.proc import wait_for
from support.proxy import Proxy
from support.served import SERVED

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
        """All trials use this broker: a fault that did not come to its end has left it frozen, killed or behind a dead link."""
        if self.server.running:
            self.server.sigcont()
        else:
            self.server.start()
        self.link.heal()
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
    """A server that a trial has for itself (support/served.py), over a link that can be cut."""

    commits_files, linked = False, True
    gives_up = True  # a connection on which nobody answers; without one the relay holds nothing
    before, points = None, ()

    def __init__(self, _name, _broker, _rng, _directory):
        self.served = self.kind()
        self.server = self.served.server
        self.link = Proxy("127.0.0.1", self.server.port)

    def full(self, on):
        """Nothing arrives while the server is told: NATS drops its oldest messages when its limit is lowered below what it has."""
        seen = []

        def still():
            seen.append(self.served.count())
            return len(seen) > 5 and seen[-5] == seen[-1]
        self.link.blackhole("up")
        wait_for(still, 20, "nothing to arrive over a dead link")
        self.served.full(on)
        self.link.heal()

    def conf(self):
        return self.served.sink(self.link.port, **PATIENT, **self.settings)

    def count(self):
        return self.served.count()

    def arrivals(self, source, guarantee):
        return [Arrival("server", m.key, m.id, m.payload) for m in self.served.messages() if not m.replayed]

    def close(self):
        self.link.close()
        self.served.close()


def own(name, bulk=None, rate=None, **settings):
    """bulk, rate: the largest transaction and the highest rate that it can take, where of a key one message at a time is on its way."""
    kind = SERVED[name]
    return type(f"Own{kind.__name__}", (OwnServer,), {"kind": kind, "away": kind.away, "can_be_full": kind.can_be_full, "bulk": bulk, "rate": rate,
                                                      "settings": settings})


SINKS = {"kafka": Topic, "file": Folder, "rabbitmq": own("rabbitmq", heartbeat="5s"), "amqp": own("amqp", 3000, 150, idle_timeout="5s"),
         "nats": own("nats", 10_000), "redis": own("redis"), "http": own("http", 2000, 100, timeout="10s", concurrency=16)}
