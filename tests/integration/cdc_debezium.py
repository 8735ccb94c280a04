#!/usr/bin/python3
"""A consumer cannot tell us from Debezium: the whole relay sends for the scripts of tests/golden/debezium what Debezium Server sent for them.

Keys, values and headers are compared byte for byte, but for the connector's version and the numbers of clock, positions and
transactions; those are compared with what the server's own decoding says. differences.jsonl holds what differs on purpose.
"""
import json
import re
import struct
import sys

from support import debezium
from support.debezium import Script, without_numbers
from support.kafka import Kafka
from support.pg import Postgres
from support.proc import check, check_equal, run, tempdir
from support.relaying import config

# Debezium's option and ours: contract.md promises its own values for them.
OPTIONS = {"decimal.handling.mode": "decimal", "time.precision.mode": "time", "binary.handling.mode": "binary", "interval.handling.mode": "interval",
           "hstore.handling.mode": "hstore", "unavailable.value.placeholder": "unavailable_placeholder", "tombstones.on.delete": "tombstones"}
MESSAGES = ["prefix", 'pré"fix', "in"]
MARKER = "zz_marker"
SCHEMAS = ("mixed", "text", "hex")  # the sets that are sent with the schemas in the messages
_decoder = json.JSONDecoder()


# --- what arrives ---

def members(line):
    """The members of a one-line JSON object as they are written: a payload's bytes are what is compared."""
    out, at = {}, 1
    while line[at - 1] != "}":
        name, at = _decoder.raw_decode(line, at)
        start, (_, at) = at + 1, _decoder.raw_decode(line, at + 1)
        out[name] = line[start:at]
        at += 1
    return out


def split(text):
    """A schema and the payload behind it."""
    m = members(text) if text else {"schema": None, "payload": None}
    check_equal(list(m), ["schema", "payload"], "members")
    return m["schema"], m["payload"]


class Message:
    """A line of the sink stdout."""

    def __init__(self, line, schemas):
        m = members(line)
        self.topic, self.key = json.loads(m["topic"]), json.loads(m["key"])
        self.headers = {} if m["headers"] in ("null", "{}") else members(m["headers"])
        self.value = None if m["payload"] == "null" else m["payload"]
        if schemas:
            self.key_schema, self.key = split(self.key)
            self.schema, self.value = split(self.value)
        self.parsed = json.loads(self.value) if self.value else None
        self.source = self.parsed["source"] if self.value else None


def read(path, name):
    r = run(["run", "-c", path, "--until-idle", "--pipeline", name], timeout=60)
    return [Message(line, name in SCHEMAS) for line in r.stdout.split("\n")[:-1]]


# --- what was expected ---

class Expected:
    """The messages of one set, in the order of the changes: (what is compared, what it is of)."""

    def __init__(self, name, chosen):
        self.messages = []
        ours = {(d["n"], d["set"]): d for d in debezium.load("differences") if d["file"] == name and "n" in d}
        tables, n = {}, -1
        for line in debezium.load(name):
            if "table" in line:
                tables[line["table"]["oid"]] = line["table"]
            if "change" not in line:
                continue
            n += 1
            expect = line["expect"]
            want = ours.get((n, chosen)) or expect.get(chosen, expect.get("default"))
            if chosen == "notomb":  # in all but the tombstones as the default
                want = ours.get((n, "default")) or want
                want = None if line["change"]["op"] == "0" else want
            if want:
                self.messages.append((want, line["change"], tables.get(line["change"]["table"])))


def check_message(got, want, change, table, where):
    topic = f"gold.{table['schema']}.{table['name']}" if table else "gold.message"
    check_equal(got.topic, re.sub(r"[^A-Za-z0-9._-]", "_", topic), f"{where}: topic")
    check_equal(got.key, want["key"] or None, f"{where}: key")
    if "row" in want:  # of the newer Debezium only the row counts: its source block has other fields
        check_equal(got.value[:len(want["row"])], want["row"], f"{where}: row")
    else:
        value = without_numbers(want["value"]) if want["value"] else None
        if change["op"] == "r":  # no transaction of ours: docs/DEBEZIUM.md
            value = value.replace('"txId":0', '"txId":null')
        check_equal(got.value and without_numbers(got.value), value, f"{where}: value")
    if "other" not in change:
        check_equal(got.headers, {}, f"{where}: headers")
    elif "headers" in want:
        check_equal(got.headers, want["headers"], f"{where}: headers")


def check_schemas(messages, wants, name, chosen, where):
    """With the schemas that Debezium sent, in the messages' order; unit.message.debezium compares what differs."""
    envelope = debezium.load(name)[0]["schemas"]["envelope"]
    ours = {(d["table"], k): v for d in debezium.load("differences") if d["file"] == name and d["set"] == chosen and "n" not in d for k, v in d.items()}
    for m, (_, _, table) in zip(messages, wants):
        want = table and table["schemas"].get(chosen, table["schemas"].get("default"))
        if not want:
            continue
        t = table["name"]
        if m.key_schema and want["key"]:  # of a name beyond ASCII Debezium makes no key
            check_equal(m.key_schema, ours.get((t, "key"), want["key"]), f"{where}: schema of a key of {t}")
        if m.schema and not re.search(r'"items":\{"type":"(string","optional":false|int64","optional":true,"name":"io.debezium.time.MicroTime)', want["row"]):
            row = ours.get((t, "row"), want["row"])
            whole = envelope.replace("ROW", row[:-1]).replace("TABLE", re.search(r'.*"name":"(.*)\.Value"', row)[1])
            check_equal(m.schema, whole, f"{where}: schema of a value of {t}")


def check_key_changes(messages, where):
    """Each half of a key change names the other's key."""
    moved = [m for m in messages if m.headers]
    for m in moved:
        check_equal(len(m.headers), 1, f"{where}: headers of a key change")
    news = [(m.key, m.headers["__debezium.newkey"]) for m in moved if m.value and "__debezium.newkey" in m.headers]
    olds = [(m.headers["__debezium.oldkey"], m.key) for m in moved if "__debezium.oldkey" in m.headers]
    check_equal(news, olds, f"{where}: old and new keys")


# --- what the server says of positions, transactions and clocks ---

def transactions(pg, dbname):
    """By transaction number: (end of the transaction before it, commit in Unix microseconds, the positions of its changes)."""
    out, last = {}, None
    for lsn, xid, data in pg.sql("select lsn - '0/0'::pg_lsn, xid::text::bigint, data from pg_logical_slot_peek_binary_changes('s_server', null, null, "
                                 "'proto_version', '1', 'publication_names', 'pub', 'messages', 'true')", dbname=dbname):
        data = bytes(data)
        if data[:1] == b"B":
            out[xid] = (last, struct.unpack_from(">q", data, 9)[0] + 946684800000000, set())
        elif data[:1] == b"C":
            last = struct.unpack_from(">Q", data, 10)[0]
        elif xid in out:
            out[xid][2].add(int(lsn))
    return out


def check_numbers(messages, server, where):
    place = (0, 0)
    for m in filter(lambda m: m.value and m.parsed["op"] != "r", messages):
        s, v = m.source, m.parsed
        last, commit_us, positions = server[s["txId"]]
        check(s["lsn"] in positions, f"{where}: lsn of {m.value[-300:]}")
        check_equal(s["sequence"], json.dumps([str(last), str(s["lsn"])], separators=(",", ":")), f"{where}: sequence")
        check_equal((s["ts_us"], s["ts_ms"], s["ts_ns"]), (commit_us, commit_us // 1000, commit_us * 1000), f"{where}: the commit's time")
        check_equal([v[k] for k in ("ts_ms", "ts_us", "ts_ns") if k in v], [s[k] for k in ("ts_ms", "ts_us", "ts_ns") if k in v], f"{where}: time")
        check((last, s["lsn"]) >= place, f"{where}: order at {place}")
        place = (last, s["lsn"])


# --- the run ---

class Run:
    def __init__(self, pg, name):
        self.pg, self.script, self.dbname, self.marks = pg, Script(name), f"g_{name}", 0
        self.got = {s: [] for s in self.script.sets}
        pg.createdb(self.dbname)
        for s in self.script.setup:
            self.sql(s)
        self.sql(f"create table {MARKER} (id int primary key)")
        self.sql("create publication pub for all tables")
        self.sql("select pg_create_logical_replication_slot('s_server', 'pgoutput')")
        self.config = config(tempdir("debezium"), *map(self.pipeline, self.script.sets))

    def pipeline(self, name):
        options = debezium.SETS[name]
        encode = {OPTIONS[k]: v if k != "tombstones.on.delete" else v == "true" for k, v in options.items() if k in OPTIONS}
        return {"name": name, "sink": {"type": "stdout"},
                "source": {"type": "cdc_postgres", "as": "changes", "url": self.pg.url(self.dbname), "slot": f"s_{name}", "publication": "pub",
                           "messages": MESSAGES, "snapshot": options.get("snapshot.mode", "never")},
                "encode": {"format": "debezium", "name": "gold", "skipped_operations": [],
                           "schemas": name in SCHEMAS, **encode}}

    def sql(self, text):
        return self.pg.sql(text, dbname=self.dbname)

    def read(self):
        for name, got in self.got.items():
            got += read(self.config, name)

    def mark(self):
        self.marks += 1
        self.sql(f"insert into {MARKER} values ({self.marks})")
        self.read()

    def changes(self):
        self.read()
        self.mark()
        for s in self.script.changes:
            if s == Script.WAIT:
                self.mark()
            else:
                self.sql(s)
        self.mark()

    def compare(self):
        server = transactions(self.pg, self.dbname)
        for chosen, got in self.got.items():
            where = f"{self.script.name} ({chosen})"
            got = [m for m in got if not m.topic.endswith(MARKER)]
            want = Expected(self.script.name, chosen).messages
            for n, (g, w) in enumerate(zip(got, want)):
                check_message(g, *w, f"{where}, message {n}, op {w[1]['op']}")
            check_equal(len(got), len(want), f"{where}: messages")
            if chosen in SCHEMAS:
                check_schemas(got, want, self.script.name, chosen, where)
            check_key_changes(got, where)
            check_numbers(got, server, where)
            print(f"{where}: {len(got)} messages", flush=True)

    def all(self):
        self.changes()
        self.compare()
        self.sql("select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = current_database()")


# --- the outbox router ---

# What stands for each option of the router, see docs/DEBEZIUM.md.
OUTBOXES = {
    "router": {"source": {"table": "outbox"}, "encode": {"headers": ["id"]}},
    "router_mapped": {
        "source": {"table": "outgoing", "columns": {"id": "event_id", "aggregatetype": "kind", "aggregateid": "entity", "type": "what", "payload": "body"}},
        "route": {"topic": "mapped.{aggregatetype}"}, "encode": {"headers": ["id", "type", "aggregatetype", "aggregateid"]}},
    "router_envelope": {
        "source": {"table": "enveloped"}, "route": {"topic": "enveloped.{aggregatetype}"},
        "encode": {"headers": ["id"], "envelope": {"type": "eventType", "n": "n", "price": "price", "at": "happenedAt", "tags": "tags", "ok": "ok",
                                                   "id": "eventId", "note": "note"}}},
}
OUTBOX_SCRIPTS = ("outbox", "envelope")
SOURCES = {"cdc": {"type": "cdc_postgres", "as": "outbox", "publication": "pub"},
           "polling": {"type": "outbox_postgres", "mode": "delete", "order_by": ""}}


def text(data):
    return None if data is None else data.decode()


def outbox(pg, broker, file, how):
    """The same rows by either source: topic, key, headers in their order and value of every message."""
    script, dbname = Script(file), pg.createdb(f"{file}_{how}")
    pipelines = [{"name": name, "sink": {"type": "kafka", "brokers": broker.bootstrap}, **more, "delivery": {"ordered": how == "cdc"},
                  "source": {"url": pg.url(dbname), **({"slot": name} if how == "cdc" else {}), **SOURCES[how], **more["source"]}}
                 for name, more in OUTBOXES.items() if name in script.sets]
    path = config(tempdir("outbox"), *pipelines)
    for s in script.setup + ["create publication pub for all tables"]:
        pg.sql(s, dbname=dbname)
    if how == "cdc":
        run(["run", "-c", path, "--until-idle"])  # the slots begin here
    for s in script.changes:
        if how == "cdc" or s.startswith("INSERT"):  # who polls sees the rows that are there
            pg.sql(s, dbname=dbname)
    run(["run", "-c", path, "--until-idle"])
    changes = [line for line in debezium.load(file) if line.get("change", {}).get("op") == "c"]
    for name in script.sets:
        prefix = debezium.ROUTED[name]
        topics = sorted({e["topic"] for e in (c["expect"][name] for c in changes) if e})
        check(topics and all(t.startswith(prefix) for t in topics), f"topics of {name}: {topics}")
        got = {dict(r.headers)["id"].decode(): (r.topic, text(r.key), text(r.value), [(k, text(v)) for k, v in r.headers])
               for r in broker.consume_all(topics)}
        want = {c["change"]["after"][0]: (e["topic"], e["key"], e["value"], list(e["headers"].items()))
                for c in changes for e in [c["expect"][name]] if e}
        check_equal(sorted(got), sorted(want), f"{name} ({how}): ids")
        for i in want:
            check_equal(got[i], want[i], f"{name} ({how}): the message of {i}")
        broker.delete_topic(*topics)
        print(f"{name} ({how}): {len(want)} messages", flush=True)


def switch_over(pg):
    """docs/DEBEZIUM.md: with a copy of Debezium's slot the relay goes on where Debezium had confirmed."""
    dbname = pg.createdb("switched")

    def sql(text):
        return pg.sql(text, dbname=dbname)
    sql("create table t (id int primary key)")
    sql("create publication dbz_publication for table t")
    sql("select pg_create_logical_replication_slot('debezium', 'pgoutput')")
    sql("insert into t values (1)")
    sql("select pg_replication_slot_advance('debezium', pg_current_wal_lsn())")
    sql("insert into t values (2)")
    sql("select pg_copy_logical_replication_slot('debezium', 'commitrelay_shop')")
    sql("insert into t values (3)")
    path = config(tempdir("switch"), {
        "name": "shop", "sink": {"type": "stdout"}, "encode": {"format": "debezium"},
        "source": {"type": "cdc_postgres", "url": pg.url(dbname), "publication": "dbz_publication", "snapshot": "never", "start_from": "beginning"}})
    check_equal([m.key for m in read(path, "shop")], ['{"id":2}', '{"id":3}'], "what Debezium had not confirmed")
    print("switch over: 2 messages", flush=True)


def main():
    names = sys.argv[1:] or debezium.names()
    with Postgres(version=15, settings={"fsync": "off"}) as pg:
        for name in names:
            if name not in OUTBOX_SCRIPTS:
                Run(pg, name).all()
        outboxes = [name for name in names if name in OUTBOX_SCRIPTS]
        if outboxes:
            with Kafka(auto_create=True) as broker:
                for name in outboxes:
                    for how in SOURCES:
                        outbox(pg, broker, name, how)
        switch_over(pg)


main()
