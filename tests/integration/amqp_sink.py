#!/usr/bin/python3
"""What a consumer of AMQP 1.0 gets from Artemis, and at which addresses. Read by qpid-proton's client for Python.

amqp_sink.py [CASE...]
"""
import datetime
import itertools
import json

from support import proc
from support.artemis import Artemis, body
from support.bad_input import readable
from support.cases import case, main
from support.proc import check, check_equal
from support.relaying import config, daemon, once, pipeline
from support.shop import SqliteShop

_number = itertools.count()


broker = Artemis(name="sink-amqp").start()


def fresh(d, prefix="q"):
    return SqliteShop(d), f"{prefix}{next(_number)}"


def path(d, shop, queue, sink=None, encode=None, **delivery):
    return config(d, {**pipeline(shop.source(), broker.sink(**{"connect_timeout": "20s", **(sink or {})}), topic=queue, **delivery), "encode": encode or {}})


def relayed(d, shop, queue, **how):
    """Relays what is there and gives the messages of the queue."""
    r = once(path(d, shop, queue, **how))
    check_equal(r.poll(), 0, f"exit code\n{r.log}")
    return broker.take(queue)


def refused(d, shop, queue, code, text, **how):
    """The relay ends at its start."""
    r = once(path(d, shop, queue, **how))
    check_equal(r.poll(), code, f"exit code\n{r.log}")
    check(text in readable(r.log), f"{text}: {r.log}")


# --- messages ---

@case
def properties_are_those_of_the_contract(d):
    shop, queue = fresh(d)
    shop.script("""insert into outbox (id, aggregatetype, aggregateid, type, payload, headers, created_at)
                   values ('e1', 'order', 'o1', 'OrderPlaced', '{"total": 1}', '{"traceparent": "t1", "none": null}', '2026-11-21T10:00:00.5Z')""")
    m, = relayed(d, shop, queue)
    check_equal((m.id, m.subject, m.group_id, m.durable, m.address), ("e1", "OrderPlaced", "o1", True, queue), "properties")
    check_equal(m.creation_time, datetime.datetime(2026, 11, 21, 10, 0, 0, 500000, tzinfo=datetime.timezone.utc).timestamp(), "creation-time")
    check_equal({k: m.properties[k] for k in ("id", "type", "traceparent", "none", "_AMQ_DUPL_ID")},
                {"id": "e1", "type": "OrderPlaced", "traceparent": "t1", "none": None, "_AMQ_DUPL_ID": "e1"}, "application-properties")
    check_equal(body(m), b'{"total": 1}', "the body")


@case
def cloud_events_have_the_names_of_amqp(d):
    shop, queue = fresh(d)
    shop.insert()
    m, = relayed(d, shop, queue, encode={"format": "cloudevents"})
    check_equal((m.properties["cloudEvents_specversion"], m.properties["cloudEvents_id"]), ("1.0", shop.ids[0]), "attributes")
    check(not [k for k in m.properties if k.startswith("ce_") or k == "content-type"], f"no names of Kafka's binding: {m.properties}")


@case
def structured_cloud_events_say_so(d):
    shop, queue = fresh(d)
    shop.insert()
    m, = relayed(d, shop, queue, encode={"format": "cloudevents_json"})
    check(m.content_type.startswith("application/cloudevents+json"), f"content-type {m.content_type}")
    check_equal(json.loads(body(m))["id"], shop.ids[0], "id")


@case
def bodies_of_any_size_come_whole(d):
    shop, queue = fresh(d)
    payloads = ["", "x", "x" * 65_536, "x" * 300_000, "yz" * 2_000_000]
    for text in payloads:
        shop.insert(payload=text)
    got = [body(m) for m in relayed(d, shop, queue, max_event_bytes="64MiB")]
    check_equal([len(b) for b in got], [len(b) for b in payloads], "sizes")
    check(all(b == p.encode() for b, p in zip(got, payloads)), "contents")


@case
def the_broker_drops_what_comes_twice(d):
    """Another relay that sends the same event: Artemis knows its id."""
    shop, queue = fresh(d)
    shop.insert(3)
    check_equal(once(path(d, shop, queue)).poll(), 0, "exit code")
    check_equal([m.id for m in relayed(d, shop, queue, name="another")], shop.ids, "each once")


@case
def many_addresses_from_a_template(d):
    shop, prefix = fresh(d)
    for i in range(300):
        shop.insert(topic=f"{prefix}.{i}")
    r = once(path(d, shop, "{aggregatetype}"), timeout=120)
    check_equal(r.poll(), 0, f"exit code\n{r.log}")
    for i in (0, 150, 299):
        check_equal([m.id for m in broker.take(f"{prefix}.{i}")], [shop.ids[i]], f"address {i}")


# --- an address that keeps nothing ---

@case
def a_queue_that_is_there_keeps_events(d):
    shop, _ = fresh(d)
    shop.insert(3)
    check_equal([m.id for m in relayed(d, shop, "closed.kept")], shop.ids, "what is kept")


@case
def an_address_without_a_queue_is_refused(d):
    """Artemis would accept the events, and drop them."""
    shop, _ = fresh(d)
    shop.insert(3)
    refused(d, shop, "closed.bare", 78, 'there is no address "closed.bare" that keeps events')


@case
def an_address_that_is_not_there_is_refused(d):
    shop, _ = fresh(d)
    shop.insert(3)
    refused(d, shop, "closed.nowhere", 78, 'there is no address "closed.nowhere" that keeps events')


@case
def a_topic_is_no_queue(d):
    shop, _ = fresh(d)
    shop.insert(3)
    refused(d, shop, "closed.many", 78, "sink.kind")


@case
def a_topic_goes_to_its_subscriptions(d):
    shop, _ = fresh(d)
    shop.insert(3)
    r = once(path(d, shop, "closed.many", sink={"kind": "topic"}))
    check_equal(r.poll(), 0, f"exit code\n{r.log}")
    check("sink.kind is topic: an event is dropped" in r.log, r.log)
    check_equal([m.id for m in broker.take("closed.many::subscription")], shop.ids, "what is kept")


@case
def an_event_for_a_missing_address_is_poison(d):
    """Its neighbours come."""
    shop, queue = fresh(d, "closed.q")
    broker.create(queue)
    for topic in (queue, "closed.nowhere", queue):
        shop.insert(topic=topic)
    r = once(path(d, shop, "{aggregatetype}", poison="skip"))
    check_equal(r.poll(), 0, f"exit code\n{r.log}")
    check_equal([m.id for m in broker.take(queue)], [shop.ids[0], shop.ids[2]], "the neighbours")
    check("closed.nowhere" in shop.value("select reason from commitrelay_dead_letters"), "the reason")


@case
def an_address_whose_queue_has_gone_is_refused(d):
    """While the relay runs. What was delivered before is what the queue had; what comes then waits for a new one."""
    shop, queue = fresh(d, "closed.q")
    broker.create(queue)
    r = daemon(path(d, shop, queue))
    shop.insert(3)
    shop.wait_saved()
    check_equal([m.id for m in broker.take(queue)], shop.ids, "what was kept")
    broker.delete(queue)
    shop.insert(3)
    r.wait_log("that keeps events", 60)
    broker.create(queue)
    shop.wait_saved()
    check_equal([m.id for m in broker.take(queue)], shop.ids[3:], "what is kept by the new queue")
    check_equal(r.stop(20), 0, "exit code")


main(lambda: proc.tempdir("amqp"))
