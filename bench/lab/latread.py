#!/usr/bin/python3
"""Reads what comes to the server of a sink and prints latency percentiles, as latcons does for Kafka.

    latread.py KIND WHERE ACKS IDLE SKIP

KIND and WHERE: rabbitmq PORT, amqp PORT, nats URL, redis PORT, http FILE (which httpsink writes). ACKS: the file latwriter maps. It reads from
what comes next on, says "ready" on stderr, ends when nothing came for IDLE seconds, and leaves the first SKIP events out of the percentiles.
Each message is stamped as it is taken; the clients are those of tests/support.
"""
import array
import asyncio
import json
import os
import re
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../../tests"))
from support.served import PLACE  # noqa: E402

SEQ, TS = re.compile(rb'"seq": ?(\d+)'), re.compile(rb'"ts_us": ?(\d+)')


class Seen:
    """When each event came for the first time."""

    def __init__(self, idle):
        self.at, self.ts, self.repeated, self.idle, self.last, self.began = {}, {}, 0, idle, time.monotonic(), False

    def take(self, body):
        now, self.last, self.began = time.time_ns() // 1000, time.monotonic(), True
        seq = int(SEQ.search(body)[1])
        if seq in self.at:
            self.repeated += 1
        else:
            self.at[seq], self.ts[seq] = now, int(TS.search(body)[1])

    def over(self):
        """Before the first event there is a minute."""
        return time.monotonic() - self.last > (self.idle if self.began else 60)


def ready():
    print("ready", file=sys.stderr, flush=True)


def rabbitmq(port, seen):
    import pika
    connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", int(port), credentials=pika.PlainCredentials("owner", "hunter2")))
    channel = connection.channel()
    channel.basic_qos(prefetch_count=500)
    channel.basic_consume(PLACE, lambda _channel, _method, _properties, body: seen.take(body), auto_ack=True)
    ready()
    while not seen.over():
        connection.process_data_events(time_limit=.2)


def amqp(port, seen):
    from proton.handlers import MessagingHandler
    from proton.reactor import Container

    class Reader(MessagingHandler):
        def __init__(self):
            super().__init__(prefetch=500)

        def on_start(self, event):
            self.connection = event.container.connect(f"amqp://127.0.0.1:{port}", user="owner", password="hunter2", allowed_mechs="PLAIN",
                                                      allow_insecure_mechs=True)
            event.container.create_receiver(self.connection, PLACE)
            event.container.schedule(.2, self)

        def on_link_opened(self, event):
            ready()

        def on_message(self, event):
            seen.take(bytes(event.message.body))

        def on_timer_task(self, event):
            if seen.over():
                self.connection.close()
            else:
                event.container.schedule(.2, self)
    Container(Reader()).run()


def nats(url, seen):
    from support import natsd
    client = natsd.client()

    async def read():
        nc = await client.connect(url, allow_reconnect=False)

        async def take(message):
            seen.take(message.data)
        config = client.js.api.ConsumerConfig(deliver_policy="new", ack_policy="none")
        await nc.jetstream().subscribe("of.>", stream=PLACE.upper(), cb=take, config=config, manual_ack=True)
        ready()
        while not seen.over():
            await asyncio.sleep(.2)
        await nc.close()
    asyncio.run(read())


def redis(port, seen):
    import redis as library
    client = library.Redis(host="127.0.0.1", port=int(port))
    found = client.xrevrange(PLACE, count=1)
    last = found[0][0] if found else "0"
    ready()
    while not seen.over():
        for _, entries in client.xread({PLACE: last}, count=1000, block=200) or ():
            for last, fields in entries:
                seen.take(fields[b"payload"])


def http(path, seen):
    ready()
    count = 0
    while not seen.over():
        time.sleep(.2)
        with open(path, "rb") as f:
            now = array.array("q", f.read(8))[0]
        if now != count:
            count, seen.last, seen.began = now, time.monotonic(), True
    with open(path, "rb") as f:
        file = array.array("q", f.read())
    seen.repeated = file[1]
    seen.at = {seq: at for seq, at in enumerate(file[2::2]) if at}
    seen.ts = dict(enumerate(file[3::2]))


def percentiles(values):
    v = sorted(values)
    at = {name: v[int((len(v) - 1) * q)] / 1000 for name, q in (("min_ms", 0), ("p50_ms", .5), ("p90_ms", .9), ("p99_ms", .99), ("p999_ms", .999),
                                                               ("max_ms", 1))} if v else {}
    return {"n": len(v), **at}


def main(kind, where, acks, idle, skip):
    seen, skip = Seen(float(idle)), int(skip)
    {"rabbitmq": rabbitmq, "amqp": amqp, "nats": nats, "redis": redis, "http": http}[kind](where, seen)
    with open(acks, "rb") as f:
        committed = array.array("q", f.read())
    counted = [s for s in seen.at if s >= skip]
    known = [s for s in counted if s < len(committed) and committed[s]]
    print(json.dumps({
        "received": len(seen.at), "duplicates": seen.repeated,
        "missing": sum(1 for s, c in enumerate(committed) if c and s not in seen.at),
        "insert_to_consumer": percentiles(seen.at[s] - seen.ts[s] for s in counted),
        "commit_to_consumer": percentiles(max(0, seen.at[s] - committed[s]) for s in known)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
