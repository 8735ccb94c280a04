#!/usr/bin/python3
"""Table changes with schemas of a registry: what a reader with fastavro gets, what ALTER TABLE does, a registry that is away or refuses."""
import datetime
import decimal

from support import proc
from support.cases import case, main
from support.kafka import Kafka
from support.proc import check, check_equal, wait_for
from support.relaying import QUICK, config, daemon, once
from support.schema_registry import SchemaRegistry
from support.shop import StreamShop

TABLE = """create type mood as enum ('sad', 'ok');
create table t (id serial primary key, note text, small int2 not null default 3, price numeric(10,2), any_number numeric, at timestamp(3), day date,
                zoned timestamptz, state mood default 'ok', codes int[], bytes bytea, yes bool, real_number float4, double_number float8, uuid uuid)"""


class World:
    """A directory, a table that is published, a registry, and the topic of the table's changes."""

    def __init__(self):
        self.dir = proc.tempdir("registry-case")
        self.shop = StreamShop(TABLE, table="t")
        self.registry = SchemaRegistry().start()
        self.name = self.shop.name
        self.topic = f"{self.name}.public.t"
        broker.create_topic(self.topic)

    def conf(self, encode=None, registry=None, mask=(), **delivery):
        source = {k: v for k, v in self.shop.source().items() if k not in ("as", "table")}
        return config(self.dir, {
            "name": "p", "source": {**source, "snapshot": "never"}, "sink": {"type": "kafka", "brokers": broker.bootstrap},
            "encode": {"format": "debezium", "name": self.name, "headers": ["id"], "value": "avro",
                       "registry": {"url": self.registry.url, **(registry or {})}, **(encode or {})},
            **({"mask": mask} if mask else {}), "delivery": {**QUICK, **delivery}})

    def begin(self, path):
        """Makes the slot, so that what is written from now on is sent."""
        check_equal(once(path).poll(), 0, "the run that makes the slot")

    @property
    def records(self):
        return broker.consume_all(self.topic)


@case
def a_reader_gets_debezium_s_values(w):
    path = w.conf()
    w.begin(path)
    w.shop.sql("insert into t (note, price, any_number, at, day, zoned, state, codes, bytes, yes, real_number, double_number, uuid) values"
               " ('ü', 3.50, 0.125, '1970-01-01 00:00:01.5', '1970-01-03', '2026-01-01 00:00:00+00', 'sad', '{1,null,2}', '\\x00ff', true, 1.5,"
               " 1e300, '00000000-0000-0000-0000-000000000001'); update t set note = null; delete from t")
    check_equal(once(path).poll(), 0, "relayed")
    created, updated, deleted, tombstone = w.records
    schema, key = w.registry.read(created.key)
    check_equal((schema["connect.name"], key), (f"{w.name}.public.t.Key", {"id": 1}), "key")
    schema, value = w.registry.read(created.value)
    check_equal((schema["connect.name"], schema["connect.version"]), (f"{w.name}.public.t.Envelope", 2), "names")
    row = value["after"]
    check_equal(row, {"id": 1, "note": "ü", "small": 3, "price": decimal.Decimal("3.50"), "any_number": {"scale": 3, "value": b"\x7d"}, "at": 1500,
                      "day": 2, "zoned": "2026-01-01T00:00:00.000000Z", "state": "sad", "codes": [1, None, 2], "bytes": b"\x00\xff", "yes": True,
                      "real_number": 1.5, "double_number": 1e300, "uuid": "00000000-0000-0000-0000-000000000001"}, "row")
    check_equal((value["op"], value["before"], value["source"]["table"], value["source"]["snapshot"]), ("c", None, "t", "false"), "envelope")
    check_equal(w.registry.read(updated.value)[1]["after"]["note"], None, "null")
    check_equal(w.registry.read(deleted.value)[1]["before"]["id"], 1, "the old row")
    check_equal((tombstone.value, tombstone.key), (None, created.key), "tombstone")
    check_equal(sorted(w.registry.subjects), [f"{w.topic}-key", f"{w.topic}-value"], "subjects")
    check_equal(len(w.registry.asked), 2, "requests: each schema once")


@case
def connect_times_are_avro_s_logical_types(w):
    path = w.conf({"time": "connect"})
    w.begin(path)
    w.shop.sql("insert into t (at, day) values ('1970-01-01 00:00:01.5', '1970-01-03')")
    check_equal(once(path).poll(), 0, "relayed")
    row = w.registry.read(w.records[0].value)[1]["after"]
    check_equal((row["at"].replace(tzinfo=None), row["day"]), (datetime.datetime(1970, 1, 1, 0, 0, 1, 500000), datetime.date(1970, 1, 3)), "times")


@case
def flat_rows_have_a_schema_too(w):
    path = w.conf({"format": "flat"}, {"subject": "record"})
    w.begin(path)
    w.shop.sql("insert into t (note) values ('a')")
    check_equal(once(path).poll(), 0, "relayed")
    row = w.registry.read(w.records[0].value)[1]
    check_equal({n: row[n] for n in ("note", "__op", "__table", "__deleted", "__old_key")},
                {"note": "a", "__op": "c", "__table": "public.t", "__deleted": False, "__old_key": None}, "row")
    check_equal(sorted(w.registry.subjects), [f"{w.topic}.Key", f"{w.topic}.Value"], "subjects")


@case
def schemas_follow_columns_and_masks(w):
    path = w.conf({"key_columns": {"public.t": ["uuid"]}, "exclude_columns": [r"public\.t\.(bytes|codes|state)"]},
                  mask=[{"field": "t.small", "with": "redact"}, {"field": "t.day", "with": "drop"}])
    w.shop.sql("alter table t replica identity full")
    w.begin(path)
    w.shop.sql("insert into t (uuid, small, day, codes) values ('00000000-0000-0000-0000-000000000001', 4, '1970-01-03', '{1}'); delete from t")
    check_equal(once(path).poll(), 0, "relayed")
    created, deleted, _ = w.records
    schema, key = w.registry.read(created.key)
    check_equal(([f["name"] for f in schema["fields"]], key), (["uuid"], {"uuid": "00000000-0000-0000-0000-000000000001"}), "key")
    check_equal(deleted.key, created.key, "the key of the delete")
    row = w.registry.read(created.value)[1]["after"]
    check_equal({"id", "note", "small", "price", "any_number", "at", "zoned", "yes", "real_number", "double_number", "uuid"}, set(row), "columns")
    check_equal((row["small"], w.registry.read(deleted.value)[1]["before"]["small"]), ("***", "***"), "a masked number is a text")


@case
def json_schema_keeps_debezium_s_text(w):
    path = w.conf({"value": "json_schema"})
    w.begin(path)
    w.shop.sql("insert into t (note) values ('a')")
    check_equal(once(path).poll(), 0, "relayed")
    record = w.records[0]
    check_equal(w.registry.read_json(record.key), {"id": 1}, "key")
    check_equal(w.registry.read_json(record.value)["after"]["note"], "a", "value")


@case
def a_column_more_is_a_version_more(w):
    path = w.conf()
    w.begin(path)
    w.shop.sql("insert into t (note) values ('a')")
    w.shop.sql("alter table t add more text")
    w.shop.sql("insert into t (note, more) values ('b', 'c')")
    check_equal(once(path).poll(), 0, "relayed")
    values = [w.registry.read(r.value)[1]["after"] for r in w.records]
    check_equal([v.get("more") for v in values], [None, "c"], "the new column")
    check("more" not in values[0], "the first row has the schema of its time")
    check_equal([len(w.registry.subjects[f"{w.topic}{half}"]) for half in ("-key", "-value")], [1, 2], "versions")


@case
def an_incompatible_change_blocks_with_the_registry_s_text(w):
    path = w.conf(retry={"initial": "20ms", "max": "200ms"})
    w.begin(path)
    w.shop.sql("insert into t (note) values ('a')")
    relay = daemon(path)
    wait_for(lambda: len(w.records) == 1, 30, "the first row")
    w.shop.sql("alter table t add needed text not null default 'x'; alter table t alter needed drop default")
    w.shop.sql("insert into t (note, needed) values ('b', 'c')")
    relay.wait_log("needed has no default and is missing in the schema before", timeout=30)
    check_equal(len(w.records), 1, "nothing passes it")
    w.registry.compatible[f"{w.topic}-value"] = False  # an operator lowers the compatibility
    wait_for(lambda: len(w.records) == 2, 30, "what was blocked")
    relay.stop()


@case
def a_registry_that_is_away_is_waited_for(w):
    path = w.conf()
    w.begin(path)
    w.registry.stop()
    w.shop.sql("insert into t (note) values ('a')")
    relay = daemon(path)
    relay.wait_log("cannot be reached", timeout=30)
    check_equal(len(w.records), 0, "nothing goes without a schema")
    w.registry.start()
    wait_for(lambda: len(w.records) == 1, 30, "the row")
    w.registry.stop()  # what is known needs no registry
    w.shop.sql("insert into t (note) values ('b')")
    wait_for(lambda: len(w.records) == 2, 30, "the second row")
    relay.stop()


if __name__ == "__main__":
    with Kafka() as broker:
        main(World)
