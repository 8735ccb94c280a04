#!/usr/bin/python3
"""What a consumer of AMQP 1.0 gets from Artemis, and what the relay makes of what Artemis does. Read by qpid-proton's client for Python.

amqp_sink.py [CASE...]
"""
import datetime
import itertools
import json
import subprocess

from support import proc
from support.artemis import AWAY, Artemis, body
from support.cases import case, main
from support.proc import check, check_equal, wait_for
from support.proxy import Proxy
from support.relaying import config, daemon, once, pipeline, start
from support.shop import SqliteShop

_number = itertools.count()


def certificates():
    """ca.crt has signed server.crt, for localhost; strange.crt is another authority."""
    d = proc.tempdir("certificates")

    def openssl(*args):
        subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True)
    for ca in ("ca", "strange"):
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", d / f"{ca}.key", "-out", d / f"{ca}.crt", "-days", 30, "-subj", f"/CN={ca}")
    (d / "ext").write_text("subjectAltName=DNS:localhost\n")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", d / "server.key", "-out", d / "server.csr", "-subj", "/CN=server")
    openssl("x509", "-req", "-in", d / "server.csr", "-CA", d / "ca.crt", "-CAkey", d / "ca.key", "-CAcreateserial", "-days", 30,
            "-extfile", d / "ext", "-out", d / "server.crt")
    return d


CERTIFICATES = certificates()
broker = Artemis(tls=CERTIFICATES, name="sink-amqp").start()


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
    check(text in r.log, f"{text}: {r.log}")


# --- messages ---

@case
def properties_are_those_of_the_contract(d):
    shop, queue = fresh(d)
    shop.script("""insert into outbox (id, aggregatetype, aggregateid, type, payload, headers, created_at)
                   values ('e1', 'order', 'o1', 'OrderPlaced', '{"total": 1}', '{"trace": "t1", "none": null}', '2026-11-21T10:00:00.5Z')""")
    m, = relayed(d, shop, queue)
    check_equal((m.id, m.subject, m.group_id, m.durable, m.address), ("e1", "OrderPlaced", "o1", True, queue), "properties")
    check_equal(m.creation_time, datetime.datetime(2026, 11, 21, 10, 0, 0, 500000, tzinfo=datetime.timezone.utc).timestamp(), "creation-time")
    check_equal({k: m.properties[k] for k in ("id", "type", "trace", "none", "_AMQ_DUPL_ID")},
                {"id": "e1", "type": "OrderPlaced", "trace": "t1", "none": None, "_AMQ_DUPL_ID": "e1"}, "application-properties")
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
    (d / "store.db").rename(d / "old.db")  # nothing is known of what was delivered
    check_equal([m.id for m in relayed(d, shop, queue)], shop.ids, "each once")


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
    shop, _ = fresh(d)
    good = shop.insert(topic="closed.kept") + [None]
    shop.insert(topic="closed.nowhere")
    good[1:] = shop.insert(topic="closed.kept")
    r = once(path(d, shop, "{aggregatetype}", poison="skip"))
    check_equal(r.poll(), 0, f"exit code\n{r.log}")
    check_equal([m.id for m in broker.take("closed.kept")], good, "the neighbours")
    check("closed.nowhere" in shop.value("select reason from commitrelay_dead_letters"), "the reason")


# --- refused ---

@case
def who_may_only_send_sends_and_is_told(d):
    shop, _ = fresh(d)
    shop.insert(2)
    r = once(path(d, shop, "closed.kept", sink={"username": "writer", "password": "right"}))
    check_equal(r.poll(), 0, f"exit code\n{r.log}")
    check("may not look at the queue" in r.log, r.log)
    check_equal([m.id for m in broker.take("closed.kept")], shop.ids, "what is kept")


@case
def a_wrong_password_is_the_operators(d):
    shop, queue = fresh(d)
    shop.insert()
    refused(d, shop, queue, 77, "refuses the login", sink={"password": "wrong"})


@case
def certificates_are_verified(d):
    shop, queue = fresh(d)
    ids = shop.insert(2)
    url, ca = f"amqps://localhost:{broker.tls_port}", str(CERTIFICATES / "ca.crt")
    wrong = (({"ca_file": str(CERTIFICATES / "strange.crt")}, url, "sink.tls.ca_file must hold the authority"),
             ({"ca_file": ca}, url.replace("localhost", "127.0.0.1"), "connect by a name that is in it"))
    for tls, there, text in wrong:
        refused(d, shop, queue, 78, text, sink={"url": there, "tls": tls})
    check_equal([m.id for m in relayed(d, shop, queue, sink={"url": url, "tls": {"ca_file": ca}})], ids, "by TLS")


@case
def check_says_what_is_wrong(d):
    shop, queue = fresh(d)
    cases = ((queue, {}, 0, "OK    pipeline p: sink"), (queue, {"password": "wrong"}, 77, "refuses the login"),
             ("closed.bare", {}, 78, "that keeps events"), ("closed.kept", {"username": "writer", "password": "right"}, 0, "may not look at the queue"),
             (queue, {"url": f"amqp://127.0.0.1:{proc.free_port()}"}, 75, "cannot be reached"))
    for address, sink, code, text in cases:
        r = start(["check", "-c", path(d, shop, address, sink=sink), "--connect"])
        r.wait_exit(60)
        check_equal(r.poll(), code, f"exit code\n{r.stdout}{r.log}")
        check(text in r.stdout + r.log, f"{text}: {r.stdout}{r.log}")


# --- full, cut, killed, frozen ---

def in_order(got, shop):
    """Of each key, by the first time each id is seen."""
    first = list(dict.fromkeys(m.id for m in got))
    check_equal(sorted(first), sorted(shop.ids), "all events")
    keys = {m.id: m.group_id for m in got}
    for key in set(keys.values()):
        check_equal([i for i in first if keys[i] == key], [i for i in shop.ids if keys[i] == key], f"the order of {key}")


def full(d, prefix, text):
    shop, queue = fresh(d, prefix)
    for i in range(60):
        shop.insert(key=f"k{i % 3}", payload=json.dumps("x" * 1000))
    r = daemon(path(d, shop, queue))
    r.wait_log(text, 60)
    got = []
    wait_for(lambda: got.extend(broker.take(queue, 10)) or len({m.id for m in got}) == 60, 60, "all events to arrive")
    check_equal(shop.value("select count(*) from commitrelay_dead_letters"), 0, "dead letters")
    check_equal(r.stop(20), 0, "exit code")
    in_order(got + broker.take(queue), shop)


@case
def an_address_that_is_full_gives_no_credit(d):
    full(d, "block.", "gives no credit for the address")


@case
def an_address_that_is_full_refuses(d):
    full(d, "fail.", "takes no events for now")


@case
def a_link_that_is_cut_is_made_again(d):
    shop, queue = fresh(d)
    proxy, got = Proxy("127.0.0.1", broker.port), []
    r = daemon(path(d, shop, queue, sink={"url": f"amqp://127.0.0.1:{proxy.port}"}))
    with shop.inserting():
        for _ in range(3):
            enough = len(got) + 50
            wait_for(lambda n=enough: got.extend(broker.take(queue)) or len(got) > n, 60, "events to arrive")
            proxy.rst()
    wait_for(lambda: got.extend(broker.take(queue)) or {m.id for m in got} == set(shop.ids), 60, "all events to arrive")
    check_equal(r.stop(20), 0, "exit code")
    in_order(got, shop)


@case
def a_broker_that_is_killed_or_frozen_loses_nothing(d):
    shop, queue = fresh(d)
    got = []

    def more(n):
        wait_for(lambda: got.extend(broker.take(queue)) or len(got) > n, 60, "events to arrive", ignore=AWAY)
    r = daemon(path(d, shop, queue, sink={"idle_timeout": "1s", "stall_timeout": "5s"}))
    with shop.inserting():
        more(50)
        broker.kill9()
        r.wait_log("cannot be reached", 60)
        broker.start()
        more(len(got) + 50)
        broker.sigstop()
        try:
            r.wait_log("was silent for longer than sink.idle_timeout", 60)
        finally:
            broker.sigcont()
        more(len(got) + 50)
    wait_for(lambda: got.extend(broker.take(queue)) or {m.id for m in got} == set(shop.ids), 120, "all events to arrive", ignore=AWAY)
    check_equal(r.stop(20), 0, "exit code")
    in_order(got, shop)


main(lambda: proc.tempdir("amqp"))
