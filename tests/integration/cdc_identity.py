#!/usr/bin/python3
"""A consumer cannot tell who relays: the same outbox read by polling and by change data capture gives the same messages, byte for byte."""
import json
import os

from support.kafka import Kafka
from support.pg import Postgres
from support.proc import ROOT, check, check_equal, run, tempdir
from support.relaying import config

FORMATS = {"payload": {"headers": ["id", "type", "created_at", "aggregatetype", "aggregateid"]}, "bare": {"format": "payload", "headers": ["id"]},
           "cloudevents": {}, "cloudevents_json": {}, "json": {}}
ANY_TIME = {"message.timestamp.after.max.ms": 2**63 - 1, "message.timestamp.before.max.ms": 2**63 - 1, "retention.ms": -1}
TOPIC = (3, ANY_TIME)
NO_TIME = "whenever"  # no RFC 3339: messages of this key are stamped when they are sent

# What is odd about each row: (aggregatetype, aggregateid, type, payload, headers, created_at, region, shard), NULL where None.
ROWS = [
    ("order", "k1", "Made", '{"a": 1, "b": [true, null, "é✓𝄞\\u0001\\"\\\\/"]}', '{"h": "x", "n": 1, "t": true, "z": null}', "2026-11-21 10:00:00.123456+02", "eu", 1),
    ("order", "k2", "Made", '[1e300, 0.10, -0, 12345678901234567890.000]', "{}", "2026-11-21 10:00:00+00", "us", 2),
    ("order", "", "Odd", '""', None, "1969-12-31 23:59:59.999999+00", "eu", 0),
    ("order", "k 3/ü", "Changé", '"text"', '{"nested": {"a": [1, 2]}, "empty": "", "quote": "\\"", "é": "ü"}', "2000-02-29 00:00:00.5+00", "us", None),
    ("Order-Line_1", "x" * 2000, "T", "null", '{"dup": "b"}', "1000-03-15 12:00:00+00", "eu", 2),
    ("order", NO_TIME, "Ancient", "[]", '{"dup": "b"}', "0044-03-15 12:00:00+00 BC", "eu", 2),
    ("order", "k1", "Done", '{"large": "%s"}' % ("wide " * 20000), None, "9999-12-31 23:59:59.999999+00", "eu", 1),
    ("order", NO_TIME, "Late", '{}', '{"id": "not ours", "type": "nor this"}', "infinity", "eu", 1),
    ("order", NO_TIME, "Early", '0', None, "-infinity", "us", 0),
]


def pipelines(who, source):
    return [{"name": name, "source": source(name), "sink": {"type": "kafka", "brokers": broker.bootstrap},
             "route": {"topic": f"{who}.{name}.{{region}}", "key": "{aggregateid}", "partition": "shard", "timestamp": "created_at"},
             "encode": {"format": name, **encode}} for name, encode in FORMATS.items()]


def records(who, name, region):
    return kafka_sorted(broker.consume_all(f"{who}.{name}.{region}"))


def kafka_sorted(found):
    return [(r.partition, r.key, r.headers, r.value, r.timestamp) for r in found]


def normal(name, record):
    """The event position is each source's own; json shows it, and the topic."""
    partition, key, headers, value, timestamp = record
    if name == "json":
        body = json.loads(value)
        check(body.pop("position") and body.pop("topic"), "position and topic")
        value = json.dumps(body)
    return partition, key, headers, value, timestamp


def compare(name, region):
    polled, captured = (records(who, name, region) for who in ("poll", "cdc"))
    check(polled, f"{name} {region}: nothing was polled")
    for p, c in zip(polled, captured):
        for what, a, b in zip(("partition", "key", "headers", "value", "timestamp"), normal(name, p), normal(name, c)):
            if what == "timestamp" and p[1] == NO_TIME.encode():
                continue
            check_equal(b, a, f"{name}, the {what} of {p[1][:20]} {p[2]}")
    check_equal(len(captured), len(polled), f"{name} {region}: messages")
    return len(polled)


def main(pg):
    pg.createdb("shop")
    pg.sql((ROOT / "schema/postgres/outbox.sql").read_text(), dbname="shop")
    pg.sql("alter table outbox add column region text, add column shard int; alter table outbox alter payload type json;"
           "create publication pub for table outbox", dbname="shop")
    broker.create_topics({f"{who}.{name}.{region}": TOPIC for who in ("poll", "cdc") for name in FORMATS for region in ("eu", "us")})
    url = pg.url("shop")
    cdc = config(tempdir("cdc"), *pipelines("cdc", lambda name: {
        "type": "cdc_postgres", "url": url, "as": "outbox", "publication": "pub", "slot": name}))
    run(["run", "-c", cdc, "--until-idle"])  # the slots begin here
    for row in ROWS:
        pg.sql("insert into outbox (aggregatetype, aggregateid, type, payload, headers, created_at, region, shard) "
               "values (%s, %s, %s, %s, %s, %s, %s, %s)", *row, dbname="shop")
    pg.sql("insert into outbox (aggregatetype, aggregateid, type, payload, region, shard) select 'order', 'k' || g % 20, 'Many', "
           "json_build_object('g', g, 'r', random()), 'eu', g % 3 from generate_series(1, 2000) g", dbname="shop")
    run(["run", "-c", cdc, "--until-idle"])
    run(["run", "-c", config(tempdir("poll"), *pipelines("poll", lambda name: {"type": "outbox_postgres", "url": url, "start_from": "beginning"})),
         "--until-idle"])
    pg.sql("delete from outbox where shard = 1", dbname="shop")
    pg.sql("update outbox set region = 'us'; truncate outbox", dbname="shop")
    run(["run", "-c", cdc, "--until-idle"])  # which is silent about it
    for name in FORMATS:
        n = sum(compare(name, region) for region in ("eu", "us"))
        check_equal(n, 2000 + len(ROWS), f"messages as {name}")
        print(f"identity: {n} messages as {name}", flush=True)


os.environ.pop("COMMITRELAY_FAULT", None)
with Postgres() as server, Kafka() as broker:
    main(server)
