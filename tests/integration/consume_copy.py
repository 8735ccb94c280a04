#!/usr/bin/python3
"""From database to database: a table's changes, relayed by CDC through Kafka and consumed into a copy, leave both tables equal.

    consume_copy.py [NAME...]     only these checks
"""
import itertools
import random
from pathlib import Path

from support.cases import case, main
from support.consuming import Target, conf, consume, consumer, consuming
from support.kafka import Kafka
from support.proc import check_equal, tempdir
from support.relaying import config, once, pipeline
from support.shop import PostgresShop, shared_server

# Types whose texts differ between the formats, a key of two columns, a generated column, and large values that are kept out of line.
TABLE = """
create table things (a int, b text, small smallint, big bigint, price numeric(12,2), free numeric, ratio double precision, flag boolean,
    day date, at timestamp, at_ms timestamp(3), atz timestamptz, clock time, raw bytea, doc jsonb, list int[], prices numeric(8,2)[],
    words text[], bits bit(10), id uuid, large text, twice bigint generated always as (big * 2) stored,
    never uuid not null, primary key (a, b)); -- no default: of a deleted row Debezium invents a value that is no uuid
create function fill() returns trigger language plpgsql as
    $$ begin new.never := coalesce(new.never, gen_random_uuid()); return new; end $$;
create trigger fill before insert on things for each row execute function fill();
alter table things alter large set storage external;
"""
VALUES = """
insert into things (a, b, small, big, price, free, ratio, flag, day, at, at_ms, atz, clock, raw, doc, list, prices, words, bits, id, large)
select i, 'k' || i % 3, i, 9007199254740993 + i, i * 1.25 - 20, i + 0.125, i / 3.0, i % 2 = 0, date '1969-12-25' + i,
       timestamp '1999-12-31 23:59:59.123456' + i * interval '1 day', timestamp '2026-01-01 00:00:00.123' + i * interval '1 hour',
       timestamptz '2026-01-01 00:00:00+02' + i * interval '1 minute', time '00:00:01.5' + i * interval '1 minute',
       decode(lpad(to_hex(i), 4, '0'), 'hex'), jsonb_build_object('i', i, 's', 'x"y'), array[i, null, 2], array[1.5, null]::numeric(8,2)[],
       array['a,b', 'c"d', null], i::bit(10), md5(i::text)::uuid, repeat('large', 2000) || i
  from generate_series({0}, {1}) i
"""
CHANGES = [
    "update things set price = price + 1, doc = doc || '{\"n\": 1}' where a % 3 = 0",       # the large value is not sent again
    "update things set large = 'other ' || large where a % 4 = 0",
    "update things set free = null, list = '{}', at = null where a % 5 = 0",
    "delete from things where a % 7 = 0",
    "update things set a = a + 1000 where a % 11 = 0 and a < 1000",                         # the key changes, without the large value
    "insert into things (a, b) values (5000, 'new')",
    "update things set b = 'moved' where a = 5000",
]

# What Debezium's own values cannot say.
FLAT_ONLY = ["update things set ratio = 'NaN', free = 'NaN', atz = 'infinity', day = '-infinity' where a = 2"]

_number = itertools.count()


def values(first, last):
    return VALUES.replace("{0}, {1}", f"{first}, {last}")


class Copying:
    """Source, topic of one partition, and a copy of the table."""

    broker = None

    def __init__(self):
        self.dir = Path(tempdir("consume-copy"))
        self.name = f"copy{next(_number)}"
        self.shop = PostgresShop(TABLE + "create publication pub for table things;")
        self.copy = Target(TABLE)

    def start(self, fmt):
        """The relay runs once, so that the slot is there; the rows that are there come as a snapshot."""
        self.broker.create_topic(self.name, 1)
        source = {"type": "cdc_postgres", "url": self.shop.url(), "slot": self.name, "publication": "pub", "as": "changes",
                  "connect_timeout": "30s", "read_timeout": "60s"}
        self.relay = config(self.dir, {**pipeline(source, sink={"type": "kafka", "brokers": self.broker.bootstrap}, topic=self.name),
                                       "encode": {"format": fmt, "skipped_operations": []}})
        self.consumer = conf(self.dir, consumer({"type": "kafka", "brokers": self.broker.bootstrap, "topics": [self.name],
                                                 "properties": {"session.timeout.ms": "6000", "group.instance.id": "one"}},
                                                self.copy.url(), name=self.name, apply={"into": "things"}, format=fmt, batch_size=50))

    def send(self):
        r = once(self.relay, 120)
        check_equal(r.poll(), 0, f"the relay:\n{r.log}")

    def equal(self, what):
        query = "select t::text from things t order by a, b"
        want, got = self.shop.sql(query), self.copy.sql(query)
        check_equal(len(got), len(want), f"rows {what}")
        for w, g in zip(want, got):
            check_equal(g, w, what)


def copied(c, fmt, changes):
    c.shop.sql(values(1, 30))
    c.start(fmt)
    c.send()
    consume(c.consumer)
    c.equal("after the snapshot")
    c.shop.sql(values(31, 90))
    for change in changes:
        c.shop.sql(change)
    c.send()
    r = consuming(c.consumer, env={"COMMITRELAY_FAULT": "consume_before_commit@2:kill"})
    r.wait_exit(60)
    check_equal(r.poll(), -9, f"the kill:\n{r.log}")
    consume(c.consumer)
    c.equal("after the changes")
    c.shop.sql("truncate things; " + values(200, 210))
    c.send()
    consume(c.consumer)
    c.equal("after the truncate")


@case
def flat(c):
    copied(c, "flat", CHANGES + FLAT_ONLY)


@case
def debezium(c):
    # Its delete and insert of a changed key need the large value, which the server sends only so.
    at = next(n for n, change in enumerate(CHANGES) if "a + 1000" in change)
    copied(c, "debezium", [*CHANGES[:at], "alter table things replica identity full", CHANGES[at],
                           "alter table things replica identity default", *CHANGES[at + 1:]])


@case
def a_mixed_load(c):
    """Single rows of few keys in many small transactions, one key often in one batch."""
    c.start("flat")
    c.send()
    rng = random.Random(7)
    statements = []
    for i in range(400):
        a = rng.randrange(12)
        statements.append(rng.choice([
            f"insert into things (a, b, big, large) values ({a}, 'x', {i}, repeat('l', 9000)) on conflict (a, b) do update set big = excluded.big",
            f"update things set big = {i} where a = {a}", f"delete from things where a = {a}",
            f"update things set a = {a + 20} where a = {a} and not exists (select from things where a = {a + 20})",
            f"update things set a = {a} where a = {a + 20} and not exists (select from things where a = {a})"]))
    connection = c.shop.connect(autocommit=True)
    with connection.cursor() as cur:
        for s in statements:
            cur.execute(s)
    connection.close()
    c.send()
    consume(c.consumer)
    c.equal("after the load")


if __name__ == "__main__":
    shared_server()
    with Kafka(name="copy-broker") as Copying.broker:
        main(Copying)
