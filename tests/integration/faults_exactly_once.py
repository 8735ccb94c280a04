"""What can go wrong with sink.exactly_once: rights, the position topic, ids that are not the pipeline's own, answers that get lost."""
import itertools
import json

from faults_kafka import Case, _java, broker, secure
from support.arrivals import each_once
from support.bad_input import alive, ended, fault, faults, said
from support.kafka import Error
from support.proc import check, check_equal, wait_for
from support.relaying import admin, config, daemon, metric, once, pipeline, start
from support.shop import StreamShop


class Exactly(Case):
    """An outbox in SQLite whose events go into Kafka in transactions; read by a read_committed consumer."""

    def __init__(self, d, **how):
        super().__init__(d, **how)
        self.id, self.positions = f"id-{self.topic}", f"position-{self.topic}"

    def exactly(self, sink=None, **more):
        return {**(sink or self.sink()), "exactly_once": True, "transactional_id": self.id, "position_topic": self.positions, **more}

    def records(self):
        return self.kafka.consume_all(self.topic, "read_committed")

    def wait(self, n=None, timeout=60):
        wait_for(lambda: set(self.ids()) >= set(self.shop.ids), timeout, "all events to arrive", ignore=(OSError, Error))

    def once(self):
        self.in_order()
        each_once(self.ids(), self.shop.ids)


@fault
def position_topic_deletes(d):
    """A topic that is there and would lose the position one day."""
    case = Exactly(d)
    case.kafka.create_topic(case.positions)
    return ended(once(case.path(case.exactly())))


@fault
def position_topic_made(d):
    case = Exactly(d)
    case.shop.insert(5)
    r = daemon(case.path(case.exactly()))
    case.wait()
    said(r)
    saw = alive(r)
    case.once()
    check_equal(case.kafka.topics().get(case.positions), 1, "partitions of the position topic")
    last = case.kafka.consume_all(case.positions, "read_committed")[-1]
    check_equal(last.key, b"p/", "key of the record")
    check(b'"delivered":5' in last.value and b'"cursor":' in last.value, f"the record says where to go on: {last.value}")
    return saw


@fault
def position_topic_forbidden(d):
    case = Exactly(d, kafka=secure().kafka)
    _java("org.apache.kafka.tools.AclCommand", "--bootstrap-server", case.kafka.bootstrap, "--add", "--allow-principal", "User:relay",
          "--operation", "All", "--transactional-id", case.id)
    return ended(once(case.path(case.exactly(secure().sasl("right")))))


@fault
def transactional_id_forbidden(d):
    case = Exactly(d, kafka=secure().kafka)
    return ended(once(case.path(case.exactly(secure().sasl("right")))))


@fault
def position_of_another_database(d):
    """Two outboxes, one position topic: the second one's events are not those of which it speaks."""
    (d / "a").mkdir()
    (d / "b").mkdir()
    first, second = Exactly(d / "a"), Exactly(d / "b")
    second.id, second.positions = first.id, first.positions
    first.shop.insert(3)
    second.shop.insert(3)
    check_equal(once(first.path(first.exactly())).poll(), 0, "exit code of the first")
    saw = ended(once(second.path(second.exactly())))
    check_equal(second.ids(), [], "what was sent")
    return saw


@fault
def transactional_id_shared(d):
    """Two pipelines that know nothing of each other fence each other, until one of them gives up and says why."""
    (d / "a").mkdir()
    (d / "b").mkdir()
    cases = [Exactly(d / "a"), Exactly(d / "b")]
    cases[1].id = cases[0].id
    relays = [daemon(c.path(c.exactly())) for c in cases]

    def one_ended():
        for c in cases:
            c.shop.insert(1)
        return not all(r.running for r in relays)
    wait_for(one_ended, 120, "one of them to give up")
    over = relays[0] if not relays[0].running else relays[1]
    rest = relays[1] if over is relays[0] else relays[0]
    cases[relays.index(rest)].wait()
    alive(rest)
    cases[relays.index(rest)].once()
    return ended(over)


@fault
def position_topic_deleted(d):
    """The store's position counts then; after a good end nothing comes twice."""
    case = Exactly(d)
    case.shop.insert(5)
    check_equal(once(case.path(case.exactly())).poll(), 0, "exit code")
    case.kafka.delete_topic(case.positions)
    r = daemon(case.path(case.exactly()))
    case.shop.insert(5)
    case.wait()
    saw = alive(r)
    case.once()
    return saw


@fault
def answer_to_commit_lost(d):
    """The broker commits, and the relay does not hear of it: neither lost nor twice."""
    case = Exactly(d)
    proxy = broker().proxy
    r = daemon(case.path(case.exactly(case.sink(case.kafka.proxied_bootstrap), transaction_timeout="10s")))
    case.shop.insert(20)
    case.wait()
    proxy.blackhole("down")
    try:
        case.shop.insert(20)
        said(r)
    finally:
        proxy.rst()
        proxy.heal()
    case.wait()
    case.shop.insert(20)
    case.wait()
    saw = alive(r)
    case.once()
    return saw


@fault
def broker_frozen_exactly_once(d):
    """For longer than transaction_timeout: the transaction is given up on both sides, and its events go again."""
    case = Exactly(d)
    r = daemon(case.path(case.exactly(transaction_timeout="10s")))
    case.shop.insert(20)
    case.wait()
    case.kafka.sigstop()
    try:
        case.shop.insert(20)
        said(r)
    finally:
        case.kafka.sigcont()
    case.wait()
    saw = alive(r)
    case.once()
    return saw


@faults({"skip": {"poison": "skip"}, "topic": {"poison": "skip", "dead_letter_topic": "dead"}})
def poison_exactly_once(d, delivery):
    """One event that the topic refuses among others: they are there once."""
    case = Exactly(d, config_={"max.message.bytes": 20000})
    if "dead_letter_topic" in delivery:
        delivery = {**delivery, "dead_letter_topic": f"dead-{case.topic}"}
        case.kafka.create_topic(delivery["dead_letter_topic"])
    case.shop.insert(3)
    bad = case.shop.insert(1, payload='"' + "x" * 50000 + '"')
    case.shop.insert(3)
    case.shop.ids.remove(bad[0])
    r = daemon(case.path(case.exactly(), attempts=2, **delivery))
    case.wait()
    said(r)
    wait_for(lambda: case.shop.value("select count(*) from commitrelay_dead_letters") == 1, 60, "the dead letter")
    saw = alive(r)
    case.once()
    if "dead_letter_topic" in delivery:
        check_equal(len(case.kafka.consume_all(delivery["dead_letter_topic"], "read_committed")), 1, "copies of the dead letter")
    return saw


@fault
def position_set_behind_a_kill(d):
    """Killed between the commit and the save: what `position set` says counts all the same, not the record in the topic."""
    case = Exactly(d)
    case.shop.insert(5)
    path = case.path(case.exactly())
    r = daemon(path, env={"COMMITRELAY_FAULT": "txn_after_commit:kill"})
    wait_for(lambda: not r.running, 60, "the relay to be killed")
    set_ = start(["position", "set", "-c", path, "--pipeline", "p", "beginning", "--yes"])
    set_.wait_exit(60)
    check_equal(set_.poll(), 0, f"exit code of position set: {set_.log}")
    check_equal(case.ids(), case.shop.ids, "what the killed relay has committed")
    check_equal(once(path).poll(), 0, "exit code")
    check_equal(case.ids(), 2 * case.shop.ids, "all events, and all again")
    return ended(set_)


@fault
def whole_transactions_kept(d):
    """The marks between committed records tell where a Kafka transaction ends: never within one of the database, but in one larger than the window."""
    shop, topic, address = StreamShop(), "whole", admin()
    kafka = broker()
    kafka.create_topic(topic)
    sink = {"type": "kafka", "brokers": kafka.bootstrap, "exactly_once": True, "whole_transactions": True, "commit": {"events": 10}}
    path = config(d, pipeline(shop.source(), sink, topic=topic, max_in_flight=200), admin={"listen": address})
    check_equal(once(path).poll(), 0, "exit code of the run that makes the slot")

    def commit(number, rows):
        shop.ids += [i for i, in shop.sql("insert into outbox (aggregatetype, aggregateid, type, payload) select 'order', 'k', 'T', to_jsonb(%s::int) "
                                          "from generate_series(1, %s) returning id::text", number, rows)]

    def records():
        return kafka.consume_all(topic, "read_committed")

    def arrived():
        return len(records()) == len(shop.ids)
    for i in range(60):
        commit(i, 7 + i % 40)
    r = daemon(path)
    wait_for(arrived, 60, "what was committed to arrive")
    for i in range(60, 80):
        commit(i, 25)
    wait_for(arrived, 60, "what is committed beside it to arrive")
    ends = [(a, b) for a, b in itertools.pairwise(records()) if b.offset != a.offset + 1]
    check(len(ends) > 10, f"{len(ends)} Kafka transactions, too few to show anything")
    cut = [json.loads(a.value) for a, b in ends if a.value == b.value]
    check_equal(cut, [], "transactions that were split")
    check_equal(metric(address, "split_transactions_total"), 0, "how many the relay has counted")
    commit(80, 700)
    wait_for(arrived, 60, "the large transaction to arrive")
    check(metric(address, "split_transactions_total") > 0, "the large one is counted as split")
    saw = alive(r)
    each_once([v.decode() for x in records() for k, v in x.headers if k == "id"], shop.ids)
    return saw
