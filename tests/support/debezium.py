"""The scripts of tests/golden/debezium and what Debezium Server sent for them: shared by the tool that records and the test that compares."""
import json
import re

from .proc import ROOT

GOLDEN = ROOT / "tests/golden/debezium"


def _router(table, **options):
    """The Outbox Event Router for one table; the predicate lets the others' messages pass."""
    return {"transforms": "outbox", "transforms.outbox.type": "io.debezium.transforms.outbox.EventRouter", "transforms.outbox.predicate": "ours",
            "predicates": "ours", "predicates.ours.type": "org.apache.kafka.connect.transforms.predicates.TopicNameMatches",
            "predicates.ours.pattern": rf".*\\.{table}",
            **{f"transforms.outbox.{k}": v for k, v in options.items()}}


# Options of Debezium by set; tests/unit/core/message/debezium/test_debezium.c has the same table for the encoder.
SETS = {
    "default": {},
    "mixed": {"decimal.handling.mode": "double", "time.precision.mode": "adaptive_time_microseconds", "binary.handling.mode": "base64",
              "interval.handling.mode": "string", "hstore.handling.mode": "map", "unavailable.value.placeholder": "gone"},
    "text": {"decimal.handling.mode": "string", "time.precision.mode": "connect", "binary.handling.mode": "base64-url-safe"},
    "hex": {"binary.handling.mode": "hex", "hstore.handling.mode": "map"},
    "notomb": {"tombstones.on.delete": "false"},
    "isostring": {"time.precision.mode": "isostring"},
    "microseconds": {"time.precision.mode": "microseconds"},
    "nanoseconds": {"time.precision.mode": "nanoseconds"},
    "snapshot": {"snapshot.mode": "initial"},
    "router": _router("outbox"),
    "router_mapped": _router("outgoing", **{
        "table.field.event.id": "event_id", "table.field.event.key": "entity", "table.field.event.payload": "body", "route.by.field": "kind",
        "route.topic.replacement": "mapped.$1",
        "table.fields.additional.placement": "what:header:type,kind:header:aggregatetype,entity:header:aggregateid"}),
    "router_envelope": _router("enveloped", **{
        "route.topic.replacement": "enveloped.$1",
        "table.fields.additional.placement": "type:envelope:eventType,n:envelope,price:envelope,at:envelope:happenedAt,tags:envelope,ok:envelope,id:envelope:eventId,note:envelope"}),
}
# Where the outbox routers' messages go.
ROUTED = {"router": "outbox.event.", "router_mapped": "mapped.", "router_envelope": "enveloped."}
ENVELOPED = ("router_envelope",)  # whose values have a structure, which the JSON converter writes
NEWER = ("isostring", "microseconds", "nanoseconds")  # modes that came with Debezium 3.1


class Script:
    """NAME.sql: the sets it is for, the statements that come before anybody reads, and those that are read; WAIT between them asks
    for all readers to have caught up."""

    WAIT = "-- wait"

    def __init__(self, name):
        text = (GOLDEN / f"{name}.sql").read_text()
        setup, changes = text.split("-- changes\n")
        self.name, self.sets = name, re.search(r"^-- sets: (.*)$", text, re.M).group(1).split()
        self.setup, self.changes = self._statements(setup), self._statements(changes)

    @staticmethod
    def _statements(text):
        return [s.strip() for s in re.split(r";\s*\n", text) if s.strip()]


def names():
    return sorted(p.stem for p in GOLDEN.glob("*.sql"))


def load(name):
    with (GOLDEN / f"{name}.jsonl").open() as f:
        return [json.loads(line) for line in f]


def without_numbers(value):
    """A value without its version, clocks, positions and transactions, and nothing else taken out."""
    def source(m):
        s = re.sub(r'"version":"[^"]*"', '"version":""', m.group())
        s = re.sub(r'"(ts_ms|ts_us|ts_ns|txId|lsn)":\d+', r'"\1":0', s)
        return re.sub(r'"sequence":"(.*?)","ts_us"', lambda n: re.sub(r"\d+", "0", n.group()), s)
    value = re.sub(r'"source":\{"version":[^{}]*\}', source, value, count=1)
    value = re.sub(r'^(\{"op":"m","ts_ms":)\d+', r"\g<1>0", value)
    return re.sub(r'"ts_ms":\d+,"ts_us":\d+,"ts_ns":\d+\}$', '"ts_ms":0,"ts_us":0,"ts_ns":0}', value)


def comparable(line):
    """A line of a golden file without the numbers that differ from run to run."""
    o = json.loads(line) if line else {}
    o.get("change", {}).update(dict.fromkeys({"lsn", "commit_lsn", "last", "commit_us", "xid"} & set(o.get("change", {})), 0))
    for e in filter(None, o.get("expect", {}).values()):
        if e.get("value"):
            e["value"] = without_numbers(e["value"])
    return json.dumps(o, ensure_ascii=False)
