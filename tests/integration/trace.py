#!/usr/bin/python3
"""The traceparent of a row's headers arrives in the message of every sink, as it is; in the copy of a dead letter; and in the log lines about the event.

One outbox, a pipeline for each sink but amqp, whose broker takes long to start: amqp_sink.py sees that one. trace.py [CASE...]
"""
import concurrent.futures
import json
import re
import signal

from support import proc
from support.cases import case, main
from support.kafka import Kafka
from support.natsd import Nats
from support.proc import check, check_equal, run
from support.rabbitmq import RabbitMQ
from support.redis_server import Redis
from support.relaying import config, daemon, once, pipeline
from support.shop import SqliteShop
from support.webhook import Webhook

TRACE, STATE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "congo=t61rcWkgMzE"
kafka, rabbit, nats, redis, hook = Kafka(), RabbitMQ(), Nats(), Redis(), Webhook()
with concurrent.futures.ThreadPoolExecutor() as all_at_once:
    list(all_at_once.map(lambda server: server.start(), (kafka, rabbit, nats, redis, hook)))


def shop_of(d, aggregatetype="order"):
    shop = SqliteShop(d)
    headers = json.dumps({"traceparent": TRACE, "tracestate": STATE})
    shop.script(f"insert into outbox (id, aggregatetype, aggregateid, type, payload, headers) values ('e1', '{aggregatetype}', 'k', 'T', '{{}}', '{headers}')")
    return shop


def texts(headers):
    """The two headers among those of a message, as text; their names in any case, as HTTP and NATS have it."""
    plain = {str(k).lower(): v.decode() if isinstance(v, bytes) else v for k, v in headers.items()}
    return plain.get("traceparent"), plain.get("tracestate")


@case
def every_sink_passes_it_on(d):
    shop = shop_of(d)
    kafka.create_topic("trace")
    rabbit.declare("trace")
    nats.create_stream("trace", "trace")
    sinks = {"kafka": {"type": "kafka", "brokers": kafka.bootstrap}, "rabbitmq": rabbit.sink(), "nats": {"type": "nats", "servers": nats.url},
             "redis": {"type": "redis", "url": redis.url}, "http": {"type": "http", "url": f"{hook.url}/trace"},
             "file": {"type": "file", "dir": f"{d}/out"}, "stdout": {"type": "stdout"}}
    r = once(config(d, *(pipeline(shop.source(), sink, topic="trace", name=name) for name, sink in sinks.items())))
    check_equal(r.poll(), 0, f"exit code: {r.log}")
    record, = kafka.consume_all("trace")
    (_, properties, _), = rabbit.take("trace")
    message, = nats.messages("trace")
    (_, entry), = redis.entries("trace")
    request, = hook.taken()
    line, = [json.loads(x) for f in (d / "out").glob("*.jsonl") for x in f.read_text().splitlines()]
    got = {"kafka": texts(dict(record.headers)), "rabbitmq": texts(properties.headers), "nats": texts(message.headers),
           "redis": (entry["h:traceparent"].decode(), entry["h:tracestate"].decode()), "http": texts(request.headers),
           "file": texts(line["headers"]), "stdout": texts(json.loads(r.stdout)["headers"])}
    check_equal(got, {name: (TRACE, STATE) for name in sinks}, "what arrives")


@case
def every_format_passes_it_on(d):
    shop = shop_of(d)
    formats = ["payload", "json", "cloudevents", "cloudevents_json"]
    kafka.create_topics({f"trace-{f}": 1 for f in formats})
    r = once(config(d, *({**pipeline(shop.source(), {"type": "kafka", "brokers": kafka.bootstrap}, topic=f"trace-{f}", name=f), "encode": {"format": f}} for f in formats)))
    check_equal(r.poll(), 0, f"exit code: {r.log}")
    for f in formats:
        record, = kafka.consume_all(f"trace-{f}")
        check_equal(texts(dict(record.headers)), (TRACE, STATE), f"headers of {f}")


@case
def a_dead_letter_keeps_it(d):
    """The copy for the dead letter topic has it, the retried event has it, and each line of the log about the event says it."""
    shop = shop_of(d, aggregatetype="bad")
    kafka.create_topics({"dead": 1, "mended": 1})
    path = config(d, pipeline(shop.source(), {"type": "kafka", "brokers": kafka.bootstrap}, topic="{aggregatetype}", route={"allow_topics": ["mended", "dead"]},
                              poison="skip", dead_letter_topic="dead"))
    r = daemon(path)
    r.wait_log("dead letter: event e1")
    proc.wait_for(lambda: kafka.count("dead") == 1, 20, "the copy")
    record, = kafka.consume_all("dead")
    check_equal(texts(dict(record.headers))[0], TRACE, "of the copy")
    number = json.loads(run(["dead-letters", "list", "-c", path, "--pipeline", "p", "--json"]).stdout)["dead_letters"][0]["id"]
    run(["dead-letters", "edit", "-c", path, "--pipeline", "p", str(number), "--topic", "mended"])
    run(["dead-letters", "retry", "-c", path, "--pipeline", "p", str(number), "--yes"])
    record, = kafka.consume_all("mended")
    check_equal(texts(dict(record.headers)), (TRACE, STATE), "of the retried event")
    r.signal(signal.SIGTERM)
    check_equal(r.wait_exit(), 0, "exit code")
    about = [x for x in r.log.splitlines() if re.search(r"\bevent e1\b", x)]
    check(len(about) >= 2 and all(x.endswith(f" traceparent={TRACE}") for x in about), f"lines about the event: {about}")


main(lambda: proc.tempdir("trace"))
