#!/usr/bin/python3
"""What a change stream says beside its rows: where transactions begin and end, and heartbeats; and which rows a snapshot reads. And the envelope of
an outbox, whose columns are written alike whether the table is streamed or polled."""
import json

from support.pg import Postgres
from support.proc import check, check_equal, run, tempdir, wait_for
from support.relaying import config, daemon

TABLES = """create table orders (id int primary key, state text);
create table items (id int primary key);
create table bare (id int);
create table audit (id int primary key);
create publication pub for all tables;
insert into orders values (1, 'open'), (2, 'done'), (3, 'open');
insert into items values (7)"""
EVENTS = """create table events (id uuid primary key, aggregatetype text not null, aggregateid text not null, type text not null, payload jsonb,
  n bigint, price numeric(10,2), at timestamp, ok boolean default true);
create publication pub for all tables"""
ROWS = """insert into events values ('00000000-0000-0000-0000-000000000001', 'order', 'o', 'made', '{"a": 1}', 9007199254740993, 12.5, '2026-01-02 03:04:05.678901', false),
  ('00000000-0000-0000-0000-000000000002', 'order', 'o', 'gone', null, null, null, null, null)"""
ENVELOPE = {"type": "kind", "n": "n", "price": "price", "at": "happenedAt", "ok": "ok"}
WANT = ['{"payload":"{\\"a\\": 1}","kind":"made","n":9007199254740993,"price":"BOI=","happenedAt":1767323045678901,"ok":false}',
        '{"payload":null,"kind":"gone","n":null,"price":null,"happenedAt":null,"ok":true}']


def read(path, name, code=0):
    r = run(["run", "-c", path, "--until-idle", "--pipeline", name], timeout=120, code=code)
    return [json.loads(line) for line in r.stdout.splitlines()] if code == 0 else r.log


def transactions(sql, path):
    """Numbers and counts are those of the whole transaction, and a transaction without an event is not spoken of."""
    sql("insert into orders values (10, 'a'), (11, 'b'); insert into items values (8); delete from orders where id = 10")
    sql("insert into audit values (1)")
    sql("insert into items values (9)")
    got = read(path, "transactions")
    check_equal([m["topic"] for m in got], ["gold.transaction", *["gold.public.orders"] * 2, "gold.public.items", *["gold.public.orders"] * 2, "gold.transaction",
                                            "gold.transaction", "gold.public.items", "gold.transaction"], "topics")
    begin, end = got[0]["payload"], got[6]["payload"]
    xid = begin["id"].split(":")[0]
    check_equal((begin["status"], begin["event_count"], begin["data_collections"]), ("BEGIN", None, None), "the beginning")
    check_equal(json.loads(got[0]["key"]), {"id": begin["id"]}, "its key")
    check_equal((end["status"], end["event_count"], sorted((c["data_collection"], c["event_count"]) for c in end["data_collections"])),
                ("END", 4, [("public.items", 1), ("public.orders", 3)]), "the end")
    blocks = [m["payload"]["transaction"] for m in got[1:5]]
    check_equal([(b["id"].split(":")[0], b["total_order"], b["data_collection_order"]) for b in blocks],
                [(xid, 1, 1), (xid, 2, 2), (xid, 3, 1), (xid, 4, 3)], "places in the transaction")
    check(got[5]["payload"] is None, "the delete has its tombstone")
    check_equal(len({m["id"] for m in got}), len(got), "ids")


def heartbeats(path):
    """They come while nothing is written, and say whose they are."""
    relay = daemon(path)
    wait_for(lambda: relay.stdout.count("__debezium-heartbeat.gold") >= 2, 60, "two heartbeats")
    relay.stop()
    beats = [json.loads(line) for line in relay.stdout.splitlines()]
    check_equal({(m["topic"], m["key"], *m["payload"]) for m in beats}, {("__debezium-heartbeat.gold", '{"serverName":"gold"}', "ts_ms")}, "heartbeats")


def chosen_rows(sql, path):
    got = [(m["topic"], m["payload"]["after"]["id"]) for m in read(path, "chosen")]
    check_equal(got, [("gold.public.items", 7), ("gold.public.orders", 1), ("gold.public.orders", 3)], "rows of the snapshot")
    sql("update orders set state = 'later' where id = 2")
    check_equal([m["payload"]["after"]["state"] for m in read(path, "chosen")], ["later"], "a change of a row that the snapshot left out")
    check("which has no primary key" in read(path, "keyless", code=78), "a table without a key is refused")
    check("a table that the snapshot does not read" in read(path, "unknown", code=78), "an unknown table is refused")


def envelopes(pg):
    dbname = pg.createdb("events")

    def sql(text):
        return pg.sql(text, dbname=dbname)
    for s in EVENTS.split(";\n"):
        sql(s)
    sources = {"cdc": {"type": "cdc_postgres", "as": "outbox", "publication": "pub"}, "polling": {"type": "outbox_postgres", "mode": "delete", "order_by": ""}}
    path = config(tempdir("envelopes"), *[
        {"name": how, "sink": {"type": "stdout"}, "source": {"url": pg.url(dbname), "table": "events", **source}, "delivery": {"ordered": how == "cdc"},
         "encode": {"headers": ["id"], "envelope": ENVELOPE}} for how, source in sources.items()])
    read(path, "cdc")  # the slot begins here
    sql(ROWS)
    for how in sources:
        r = run(["run", "-c", path, "--until-idle", "--pipeline", how], timeout=120)
        for want in WANT:
            check(f'"payload":{want},' in r.stdout, f"{how}: not sent: {want}\n{r.stdout}")
    sql("alter table events add tags text[]")
    path = config(tempdir("envelopes"), {"name": "lists", "sink": {"type": "stdout"}, "delivery": {"ordered": False}, "encode": {"envelope": {"tags": "tags"}},
                                         "source": {"url": pg.url(dbname), "table": "events", **sources["polling"]}})
    check("of a type that encode.envelope cannot write" in read(path, "lists", code=78), "an array of a polled table is refused")


def main():
    with Postgres(version=15, settings={"fsync": "off"}) as pg:
        dbname = pg.createdb("apart")

        def sql(text):
            return pg.sql(text, dbname=dbname)

        def pipeline(name, encode, **source):
            return {"name": name, "sink": {"type": "stdout"}, "encode": {"format": "debezium", "name": "gold", **encode},
                    "source": {"type": "cdc_postgres", "url": pg.url(dbname), "publication": "pub", "snapshot": "never",
                               "tables": ["public.orders", "public.items"], **source}}
        for s in TABLES.split(";\n"):
            sql(s)
        path = config(tempdir("apart"), pipeline("transactions", {"transaction_metadata": True}),
                      pipeline("chosen", {}, snapshot="initial", snapshot_where={"orders": "state = 'open' -- of them"}),
                      pipeline("keyless", {}, snapshot="initial", tables=["public.bare"], snapshot_where={"public.bare": "id > 1"}),
                      pipeline("unknown", {}, snapshot="initial", snapshot_where={"public.audit": "id > 1"}))
        chosen_rows(sql, path)
        read(path, "transactions")  # the slot begins here
        transactions(sql, path)
        heartbeats(config(tempdir("heartbeats"), pipeline("heartbeats", {"heartbeat_topic": "__debezium-heartbeat.gold"}, heartbeat_interval="100ms")))
        envelopes(pg)


main()
