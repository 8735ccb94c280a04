#!/usr/bin/python3
"""`consume` from Kafka: offsets are committed only behind the effect, and a group may lose members at any moment.

    consume_kafka.py [NAME...]     only these checks
"""
import itertools
import json
from pathlib import Path

from support.cases import case, main
from support.consuming import Target, conf, consume, consumer, consuming, counts
from support.kafka import Kafka
from support.proc import check, check_equal, tempdir, wait_for
from support.relaying import config, once, pipeline
from support.shop import PostgresShop, shared_server

JOURNAL = """
create table journal (n bigint generated always as identity primary key, id text, key text, i int);
create function note(event jsonb) returns void language sql as
$$ insert into journal (id, key, i) values (event ->> 'id', event ->> 'key', (event -> 'payload' ->> 'i')::int) $$;
"""
# A member that dies is missed soon, and a member that comes back is known at once.
GROUP = {"session.timeout.ms": "6000"}

_number = itertools.count()


class Stage:
    """The broker that all cases share, and a directory, an outbox and a topic of this case's own."""

    broker = None

    def __init__(self):
        self.dir = Path(tempdir("consume-kafka"))
        self.topic = f"t{next(_number)}"
        self.shop = PostgresShop()

    def make(self, partitions=1):
        self.broker.create_topic(self.topic, partitions)
        return self

    def source(self, **properties):
        return {"type": "kafka", "brokers": self.broker.bootstrap, "topics": [self.topic], "properties": {**GROUP, **properties}}

    def send(self, n, keys=5, fmt="json", first=0, consumers=(), **sink):
        """n more events of some keys, relayed, beside these consumers; returns their ids."""
        ids = [r[0] for r in self.shop.sql(
            "insert into outbox (aggregatetype, aggregateid, type, payload) select 'order', 'k' || i %% %s, 'T', jsonb_build_object('i', i)"
            " from generate_series(%s, %s) i returning id::text", keys, first, first + n - 1)]
        path = config(self.dir, {**pipeline(self.shop.source(), sink={"type": "kafka", "brokers": self.broker.bootstrap, **sink},
                                            topic=self.topic), "encode": {"format": fmt}}, **({"consumers": list(consumers)} if consumers else {}))
        r = once(path, 120)
        check_equal(r.poll(), 0, f"the relay:\n{r.log}")
        return ids


def in_order(t):
    """Per key, the events came in their order."""
    rows = t.rows("select key, i from journal order by n")
    for key in {k for k, _ in rows}:
        own = [i for k, i in rows if k == key]
        check_equal(own, sorted(own), f"the order of {key}")


@case
def formats(stage):
    """Our formats of an outbox: the event's id comes from the line, or from the header."""
    s, t = stage.make(), Target(JOURNAL)
    for n, fmt in enumerate(("json", "payload")):
        name = f"c-{fmt}"
        ids = s.send(10, fmt=fmt, first=n * 10)
        path = conf(s.dir, consumer(s.source(), t.url(), name=name, apply={"call": "note"}, format=fmt, poison="skip"))
        consume(path)
        check_equal(t.rows("select id from journal order by n"), [(i,) for i in ids], f"calls with {fmt}")
        check_equal(t.value("select count(*) from journal where key is null or i is null"), 0, "journal entries without values")
        check_equal(counts(consume(path)), (0, 0, 0), "a second run")
        t.sql("truncate journal")
        s.topic = f"{s.topic}x"
        s.make()


@case
def killed_and_again(stage):
    """kill -9 at each point: each event's effect comes once, each key in its order."""
    s, t = stage.make(3), Target(JOURNAL)
    ids = s.send(120)
    path = conf(s.dir, consumer(s.source(**{"group.instance.id": "one"}), t.url(), apply={"call": "note"}, batch_size=7, workers=2))
    for n, point in enumerate(("consume_claimed", "consume_before_commit", "consume_committed")):
        r = consuming(path, env={"COMMITRELAY_FAULT": f"{point}@{n + 1}:kill"})
        r.wait_exit(60)
        check_equal(r.poll(), -9, f"the kill at {point}:\n{r.log}")
    consume(path)
    check_equal(sorted(r[0] for r in t.rows("select id from journal")), sorted(ids), "the calls")
    in_order(t)
    check_equal(t.claims(), 120, "claims")


@case
def offsets_behind_the_effect(stage):
    """While the events of one partition are held up in the database, its offset is not committed; that of the other one is."""
    s, t = stage.make(2), Target(JOURNAL)
    for p in (0, 1):
        for i in range(5):
            line = json.dumps({"id": f"{p}-{i}", "topic": s.topic, "key": f"p{p}", "payload": {"i": i}})
            s.broker.produce(s.topic, line.encode(), key=f"p{p}".encode(), partition=p)
    t.sql("create function held(event jsonb) returns void language sql as $$ select note(event);"
          " select pg_advisory_xact_lock(1) where event ->> 'key' = 'p0' $$")
    c = t.connect(autocommit=True)
    with c.cursor() as cur:
        cur.execute("select pg_advisory_lock(1)")
        r = consuming(conf(s.dir, consumer(s.source(), t.url(), apply={"call": "held"}, workers=8)))
        wait_for(lambda: s.broker.committed("billing", s.topic).get(1) == 5, 60, "the other partition's offset")
        check_equal(s.broker.committed("billing", s.topic), {1: 5}, "committed offsets")
        cur.execute("select pg_advisory_unlock(1)")
    wait_for(lambda: s.broker.committed("billing", s.topic) == {0: 5, 1: 5}, 60, "both offsets")
    check_equal(r.stop(60), 0, "exit code")
    c.close()


@case
def a_group_of_two(stage):
    """Partitions move to a second consumer and, when it is killed, back: nothing is lost, done twice or out of order."""
    s, t = stage.make(4), Target(JOURNAL)
    ids = s.send(100, keys=9)
    path = conf(s.dir, consumer(s.source(), t.url(), apply={"call": "note"}, batch_size=5, workers=2))
    a = consuming(path)
    a.wait_log(r"partition .*/3 is ours", 60)
    b = consuming(path)
    b.wait_log(r"partition .* is ours", 60)
    a.wait_log("goes to another consumer", 60)
    ids += s.send(200, keys=9, first=100)
    wait_for(lambda: t.value("select count(*) from journal") >= 150, 60, "some more events")
    b.kill9()
    ids += s.send(100, keys=9, first=300)
    wait_for(lambda: t.value("select count(*) from journal") == 400, 120, "all events")
    check_equal(a.stop(60), 0, "exit code")
    check_equal(sorted(r[0] for r in t.rows("select id from journal")), sorted(ids), "the calls")
    in_order(t)


@case
def a_broker_that_dies(stage):
    s, t = stage.make(2), Target(JOURNAL)
    ids = s.send(50)
    r = consuming(conf(s.dir, consumer(s.source(), t.url(), apply={"call": "note"})))
    wait_for(lambda: t.value("select count(*) from journal") == 50, 60, "the first events")
    s.broker.kill9()
    r.wait_log("Kafka: ", 60)
    s.broker.start()
    ids += s.send(50, first=50)
    wait_for(lambda: t.value("select count(*) from journal") == 100, 120, "all events")
    check_equal(r.stop(60), 0, "exit code")
    check_equal(sorted(r[0] for r in t.rows("select id from journal")), sorted(ids), "the calls")
    in_order(t)


@case
def what_fails(stage):
    """What does not fit is named, with its exit code."""
    s, t = stage.make(), Target(JOURNAL)
    for more, text in (({"topics": ["nosuch"]}, "create the topic"), ({"brokers": "no port:x"}, "is not host:port"),
                       ({"properties": {"enable.auto.commit": "true"}}, "enable.auto.commit is refused"),
                       ({"properties": {"nosuch": "1"}}, "nosuch"), ({"properties": {"group.id": "x"}}, "the key `group`")):
        r = consume(conf(s.dir, consumer({**s.source(), **more}, t.url(), apply={"call": "note"})), code=78)
        check(text in r.log, f"{more}: {r.log}")


@case
def until_idle_beside_pipelines(stage):
    """`run --until-idle`: a consumer ends when it has applied all that the pipelines beside it have sent."""
    s, t = stage.make(2), Target(JOURNAL)
    for n in (0, 50, 100):
        s.send(50, first=n, consumers=[consumer(s.source(), t.url(), apply={"call": "note"})])
        check_equal(t.value("select count(*) from journal"), n + 50, "calls")


@case
def deleted_before_read(stage):
    """Messages that the broker deleted before they were read are missed: 69."""
    s, t = stage.make(), Target(JOURNAL)
    s.send(10)
    path = conf(s.dir, consumer(s.source(), t.url(), apply={"call": "note"}))
    consume(path)
    s.send(10, first=10)
    s.broker.delete_records(s.topic, 0, 15)
    r = consume(path, code=69)
    check("were deleted before they were read" in r.log, r.log)


if __name__ == "__main__":
    shared_server()
    with Kafka(name="consume-broker") as Stage.broker:
        main(Stage)
