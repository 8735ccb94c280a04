#!/usr/bin/python3
"""What a consumer of RabbitMQ gets: properties, headers, bodies, exchanges. Read by pika.

rabbitmq_sink.py [CASE...]
"""
import datetime
import hashlib
import itertools
import json

from support import proc
from support.cases import case, main
from support.proc import check, check_equal
from support.rabbitmq import RabbitMQ
from support.relaying import config, once, pipeline
from support.shop import SqliteShop

_number = itertools.count()
broker = RabbitMQ(settings={"max_message_size": 64_000_000}, name="sink-rabbitmq").start()


def relayed(d, shop, queue, sink=None, encode=None, **how):
    """Relays what is there and gives the messages of the queue: (method, properties, body)."""
    r = once(config(d, {**pipeline(shop.source(), broker.sink(**(sink or {})), **{"topic": queue, **how}), "encode": encode or {}}))
    check_equal(r.poll(), 0, f"exit code\n{r.log}")
    return broker.take(queue)


def fresh(d):
    queue = f"q{next(_number)}"
    broker.declare(queue)
    return SqliteShop(d), queue


@case
def properties_are_those_of_the_contract(d):
    shop, queue = fresh(d)
    shop.script("""insert into outbox (id, aggregatetype, aggregateid, type, payload, headers, created_at)
                   values ('e1', 'order', 'o1', 'OrderPlaced', '{"total": 1}', '{"trace": "t1", "none": null}', '2026-11-21T10:00:00.5Z')""")
    (method, p, body), = relayed(d, shop, queue)
    check_equal((p.message_id, p.type, p.app_id, p.delivery_mode), ("e1", "OrderPlaced", "commitrelay", 2), "properties")
    check_equal(p.timestamp, int(datetime.datetime(2026, 11, 21, 10, tzinfo=datetime.timezone.utc).timestamp()), "timestamp")
    check_equal({k: p.headers[k] for k in ("id", "type", "trace", "none")}, {"id": "e1", "type": "OrderPlaced", "trace": "t1", "none": None}, "headers")
    check_equal((method.exchange, method.routing_key, body), ("", queue, b'{"total": 1}'), "where and what")
    check(not method.redelivered, "redelivered")


@case
def content_type_says_what_the_body_is(d):
    shop, queue = fresh(d)
    shop.insert()
    (_, p, body), = relayed(d, shop, queue, encode={"format": "json"})
    check_equal((p.content_type, json.loads(body)["id"]), ("application/json", shop.ids[0]), "format json")


@case
def transient_messages_if_asked_for(d):
    shop, queue = fresh(d)
    shop.insert()
    (_, p, _), = relayed(d, shop, queue, sink={"persistent": False})
    check_equal(p.delivery_mode, 1, "delivery_mode")


@case
def cloud_events_have_the_names_of_amqp(d):
    shop, queue = fresh(d)
    shop.insert()
    (_, p, _), = relayed(d, shop, queue, encode={"format": "cloudevents"})
    check_equal(p.headers["cloudEvents_specversion"], "1.0", "specversion")
    check_equal(p.headers["cloudEvents_id"], shop.ids[0], "id")
    check(p.content_type.startswith(("application/json", "text/plain")), f"content_type {p.content_type}")
    check(not [k for k in p.headers if k.startswith("ce_") or k == "content-type"], f"no names of Kafka's binding: {p.headers}")


@case
def structured_cloud_events_say_so(d):
    shop, queue = fresh(d)
    shop.insert()
    (_, p, body), = relayed(d, shop, queue, encode={"format": "cloudevents_json"})
    check(p.content_type.startswith("application/cloudevents+json"), f"content_type {p.content_type}")
    check_equal(json.loads(body)["id"], shop.ids[0], "id")


@case
def exchange_and_routing_key_come_from_templates(d):
    shop, queue = fresh(d)
    with broker.connected() as ch:
        ch.exchange_declare("x-order", "topic", durable=True)
        ch.queue_bind(queue, "x-order", "T.*.done")
    shop.insert(key="o1")
    (method, _, _), = relayed(d, shop, queue, sink={"exchange": "x-{aggregatetype}", "routing_key": "{type}.{key}.done"})
    check_equal((method.exchange, method.routing_key), ("x-order", "T.o1.done"), "where")


@case
def bodies_of_any_size_come_whole(d):
    shop, queue = fresh(d)
    payloads = ["", "x", "x" * 16_384, "x" * 16_385, "x" * 131_064, "x" * 131_065, "yz" * 4_000_000]
    for body in payloads:
        shop.insert(payload=body)
    got = [body for _, _, body in relayed(d, shop, queue, max_event_bytes="64MiB")]
    check_equal([len(b) for b in got], [len(b) for b in payloads], "sizes")
    check_equal([hashlib.sha256(b).hexdigest() for b in got], [hashlib.sha256(b.encode()).hexdigest() for b in payloads], "contents")


@case
def what_amqp_cannot_carry_is_poison(d):
    """Its neighbours come."""
    shop, queue = fresh(d)
    shop.insert()
    shop.script(f"insert into outbox (id, aggregatetype, aggregateid, type, payload) values ('{'i' * 256}', 'o', 'k', 'T', '')")
    shop.script(f"insert into outbox (id, aggregatetype, aggregateid, type, payload) values ('long-type', 'o', 'k', '{'t' * 256}', '')")
    headers = json.dumps({"h": "x" * 131_072})
    shop.script(f"insert into outbox (id, aggregatetype, aggregateid, type, payload, headers) values ('headers', 'o', 'k', 'T', '', '{headers}')")
    shop.insert()
    got = [p.message_id for _, p, _ in relayed(d, shop, queue, poison="skip")]
    check_equal(got, shop.ids, "the neighbours")
    said = [shop.value(f"select reason from commitrelay_dead_letters where id = {n}") for n in (1, 2, 3)]
    for text, part in zip(said, ("the event's id has 256 bytes", "the event's type has 256 bytes", "the headers of the event take")):
        check(part in text, f"{part}: {text}")


main(lambda: proc.tempdir("rabbitmq"))
