#!/usr/bin/python3
"""What a change stream shows of its tables, in the snapshot as in the stream: tables chosen by patterns, columns that rows lack, keys of other
columns, rows without their envelope, Debezium's masks, topics with another name. What would give wrong keys is refused at the start. The same with names, identities and values at the edge, and with tables that are
altered while the relay runs."""
import contextlib
import functools
import json
import sqlite3

from support.pg import Postgres
from support.proc import check, check_equal, run, tempdir, wait_for
from support.relaying import config, daemon

TABLES = """create table customers (id int primary key, email text not null, secret text, note varchar(8));
alter table customers replica identity full;
create table part_1 (id int primary key, v text);
create table part_22 (id int primary key, v text);
create table weak (id int primary key, email text);
create publication pub for all tables;
insert into customers values (1, 'a@x', 'hidden', 'abc');
insert into part_1 values (7, 'p');
insert into part_22 values (7, 'no');
insert into weak values (9, 'w@x')"""
CHANGES = """update customers set secret = 'still hidden' where id = 1;
update customers set id = 2 where id = 1;
update customers set email = 'b@x', note = null where id = 2;
delete from customers where id = 2;
insert into part_1 values (8, null)"""
SOURCE = {"type": "cdc_postgres", "as": "changes", "publication": "pub", "tables": ["re:PUBLIC\\.cust.*", "re:public\\.part_\\d"]}
COLUMNS = {"key_columns": {"public.customers": ["email"]}, "exclude_columns": ["public\\.customers\\.(secret|id)"]}
MASK = [{"field": "customers.note", "with": "stars", "length": 3}]


def read(path, name, code=0):
    r = run(["run", "-c", path, "--until-idle", "--pipeline", name], timeout=120, code=code)
    return [json.loads(line) for line in r.stdout.splitlines()] if code == 0 else r.log


def shown(m):
    """Topic, key, headers without the id, and of the value what the columns decide."""
    p, headers = m["payload"], {k: v for k, v in (m["headers"] or {}).items() if k != "id"}
    if p and "op" in p:
        p = (p["op"], p["before"], p["after"])
    return m["topic"], m["key"], headers, p


def by_topic(messages):
    return sorted(map(shown, messages), key=lambda s: s[0])  # the tables of a snapshot come one after the other


LONG = "é" * 31 + "x"  # 63 bytes, as many as a name can have
ODD = f"""create table "Odd.Table" ("i""d" int primary key, "naïve" text not null, "a.b" text, "{LONG}" text, big text, n int);
alter table "Odd.Table" replica identity full;
alter table "Odd.Table" alter column big set storage external;
create table wide (id int primary key, big text, hid text, n int);
alter table wide alter column big set storage external;
alter table wide alter column hid set storage external;
create table indexed (id int primary key, email text not null unique, amount numeric, note varchar(70));
alter table indexed replica identity using index indexed_email_key;
create table appended (email text, note text);
alter table appended replica identity nothing;
create publication pub for all tables"""
ODD_CHANGES = f"""insert into "Odd.Table" values (1, 'ü', 'no', 'no', repeat('x', 9000), 1);
update "Odd.Table" set n = 2;
update "Odd.Table" set "naïve" = 'Ü';
delete from "Odd.Table";
insert into wide values (1, repeat('x', 9000), repeat('y', 9000), 1);
update wide set n = 2;
insert into indexed values (1, 'a@x', 1.5, '{"é😀" * 2}'), (2, 'b@x', null, null);
delete from indexed where id = 2;
insert into appended values ('c@x', 'd')"""


def odd_pipelines(pipeline):
    keys = {"public.Odd.Table": ["naïve", 'i"d'], "public.indexed": ["email"], "public.appended": ["email"]}
    hidden = {"key_columns": keys, "exclude_columns": ["public\\.odd\\.table\\.(a\\.b|é{31}X)", "public\\.wide\\.h.d", ".*\\.nothing"]}
    source = {"tables": ["re:.*", "re:no\\.such"], "snapshot": "never"}
    masks = [{"field": "indexed.id", "with": "stars", "length": 2}, {"field": "indexed.amount", "with": "hash", "key": "k"},
             {"field": "public.indexed.note", "with": "truncate", "length": 3}]
    return [pipeline("odd", {**hidden, "unwrap": {"deletes": "rewrite"}}, source, mask=masks),
            pipeline("odd_flat", {**hidden, "format": "flat"}, {**source, "unchanged_toast": "omit"}, mask=masks),
            pipeline("odd_key", {"key_columns": keys}, source, mask=[{"field": "indexed.email", "with": "hash", "key": "k"}]),
            pipeline("odd_number", {}, source, mask=[{"field": "indexed.amount", "with": "truncate", "length": 2}]),
            pipeline("odd_steps", {"exclude_columns": ["(.+.+)+[!?]"]}, source)]


def edges(pipeline, sql):
    """Names, identities and values at the edge."""
    path = config(tempdir("odd"), *odd_pipelines(pipeline))
    for name in ("odd", "odd_flat", "odd_steps"):
        check_equal(read(path, name), [], f"{name}: before the first change")
    notes = run(["check", "-c", path, "--connect"], code=None, timeout=60)
    for pattern, what in (("no\\.such", "table"), (".*\\.nothing", "column")):
        check(f"no published {what} fits the pattern {pattern}" in notes.stdout, f"nothing is said of {pattern}\n{notes.stdout}")
    check("fits the pattern re:" not in notes.stdout and "fits the pattern public" not in notes.stdout, f"one that fits is noted\n{notes.stdout}")
    refused = {"odd_key": "mask: indexed.email is part of the key", "odd_number": "mask: indexed.amount of public.indexed is no text"}
    for name, why in refused.items():
        check(why in read(path, name, code=78), f"{name}: it is not said why")
        check(why in notes.stdout, f"{name}: check does not say it\n{notes.stdout}")
    sql(ODD_CHANGES)
    big, key, other = "x" * 9000, '{"naïve":"ü","i\\"d":1}', '{"naïve":"Ü","i\\"d":1}'
    got = [(m["key"], m["payload"]) for m in read(path, "odd")]

    def odd(key, naive, n, deleted):
        return key, {'i"d': 1, "naïve": naive, "big": big, "n": n, "__deleted": deleted}
    check_equal(got[:5], [odd(key, "ü", 1, "false"), odd(key, "ü", 2, "false"), odd(key, "ü", 2, "true"), odd(other, "Ü", 2, "false"), odd(other, "Ü", 2, "true")], "odd names")
    check_equal([p for _, p in got[5:7]], [{"id": 1, "big": b, "n": n, "__deleted": "false"} for b, n in ((big, 1), ("__debezium_unavailable_value", 2))], "TOAST")
    check_equal([(k, p["id"], p["note"], p["__deleted"]) for k, p in got[7:10]],
                [('{"email":"a@x"}', "**", "é😀", "false"), ('{"email":"b@x"}', "**", None, "false"), ('{"email":"b@x"}', "**", None, "true")], "masks")
    check_equal([p["amount"] and len(p["amount"]) for _, p in got[7:10]], [64, None, None], "digests")
    check_equal(got[10:], [('{"email":"c@x"}', {"email": "c@x", "note": "d", "__deleted": "false"})], "no identity")
    flat = [m["payload"] for m in read(path, "odd_flat") if m["topic"].endswith("wide")]
    check_equal([{k: v for k, v in p.items() if k in ("id", "big", "hid", "n", "__unchanged")} for p in flat],
                [{"id": 1, "big": big, "n": 1}, {"id": 1, "n": 2, "__unchanged": ["big"]}], "flat TOAST")
    check("takes too many steps" in read(path, "odd_steps", code=78), "a pattern that never ends")


def position_delivered(store):
    with contextlib.closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as db:
        return db.execute("select delivered from commitrelay_positions").fetchone()[0]


def altered(pipeline, sql):
    """Tables change while the relay runs: what is hidden stays hidden, and a key that is gone stops it."""
    sql("create table users (id int primary key, email text not null, secret text);\nalter table users replica identity full")
    source, where = {"tables": ["public.users"], "snapshot": "never"}, tempdir("altered")
    encode = {"key_columns": {"public.users": ["email"]}, "exclude_columns": [".*\\.(secret|pass).*"], "unwrap": {}}
    path = config(where, pipeline("altered", encode, source))
    relay = daemon(path)
    relay.wait_log("state running")
    sql("insert into users values (1, 'a', 'hidden');\nalter table users drop column secret;\nalter table users add pass_word text default 'hidden';\n"
        "insert into users values (2, 'b', 'hidden')")
    wait_for(lambda: position_delivered(where / "store.db") == 2, 30, "the position behind the rows that have `email`: with the new key they could not be read again")
    sql("alter table users rename email to mail;\ninsert into users values (3, 'c', 'hidden')")
    relay.wait_log("state blocked")
    relay.stop()
    got = [(m["key"], m["payload"]) for m in map(json.loads, relay.stdout.splitlines())]
    check_equal(got, [('{"email":"a"}', {"id": 1, "email": "a"}), ('{"email":"b"}', {"id": 2, "email": "b"})], "before the key has another name")
    check("encode.key_columns: email: table public.users has no such published column" in relay.log, f"it is not said why\n{relay.log}")
    encode["key_columns"] = {"public.users": ["mail"]}
    config(where, pipeline("altered", encode, source))
    check_equal([(m["key"], m["payload"]) for m in read(path, "altered")], [('{"mail":"c"}', {"id": 3, "mail": "c"})], "with the new name")


def main():
    with Postgres(version=15, settings={"fsync": "off"}) as pg:
        pg.createdb("shop")

        def sql(text, dbname="shop"):
            for s in text.split(";\n"):
                pg.sql(s, dbname=dbname)
        sql(TABLES)

        def pipeline(name, encode, source=(), dbname="shop", **more):
            return {"name": name, "sink": {"type": "stdout"}, "source": {**SOURCE, "url": pg.url(dbname), **dict(source)},
                    "encode": {"format": "debezium", "name": "gold", **encode}, **more}
        path = config(
            tempdir("columns"),
            pipeline("rows", COLUMNS, mask=MASK, route={"topic_rewrite": {"match": "gold\\.public\\.part_(\\d)", "to": "parts.$1", "key_field": "from"}}),
            pipeline("bare", {"unwrap": {"add_fields": ["op", "table:kind"], "deletes": "rewrite"}}, {"tables": ["public.customers"]}),
            pipeline("flat", {"format": "flat", **COLUMNS}, {"tables": ["public.customers"]}),
            pipeline("weak", {"key_columns": {"public.weak": ["email"]}}, {"tables": ["public.weak"]}),
            pipeline("insert_only", {"key_columns": {"public.weak": ["email"]}, "skipped_operations": ["d", "t"]}, {"tables": ["public.weak"]}),
            pipeline("mistyped", {"key_columns": {"public.weka": ["email"]}}, {"tables": ["public.weak"]}),
            pipeline("no_column", {"key_columns": {"public.weak": ["mail"]}}, {"tables": ["public.weak"]}))

        customers, a, b = "gold.public.customers", '{"email":"a@x"}', '{"email":"b@x"}'
        row = {"email": "a@x", "note": "***"}
        check_equal(by_topic(read(path, "rows")), [(customers, a, {}, ("r", None, row)),
                                                   ("parts.1", '{"id":7,"from":"gold.public.part_1"}', {}, ("r", None, {"id": 7, "v": "p"}))], "the snapshot")
        check_equal([m["payload"] for m in read(path, "bare")],
                    [{"id": 1, "email": "a@x", "secret": "hidden", "note": "abc", "__deleted": "false", "__op": "r", "__kind": "customers"}], "bare rows")
        check_equal([(m["key"], set(m["payload"]) & {"id", "secret", "email", "note"}) for m in read(path, "flat")], [(a, {"email", "note"})], "flat rows")
        sql(CHANGES)
        got = [shown(m) for m in read(path, "rows")]
        new = {"email": "b@x", "note": "***"}  # a null is masked, too
        check_equal(got[:2], [(customers, a, {}, ("u", row, row))] * 2, "updates of columns that are not shown")
        check_equal([g[:2] + (g[3],) for g in got[2:5]], [(customers, a, ("d", row, None)), (customers, a, None), (customers, b, ("c", None, new))], "a changed key")
        check_equal([list(g[2]) for g in (got[2], got[4])], [["__debezium.newkey"], ["__debezium.oldkey"]], "its headers")
        check_equal(got[5:], [(customers, b, {}, ("d", new, None)), (customers, b, {}, None),
                              ("parts.1", '{"id":8,"from":"gold.public.part_1"}', {}, ("c", None, {"id": 8, "v": None}))], "the rest")
        bare = [m["payload"] for m in read(path, "bare")]
        check_equal([(p["id"], p["__op"], p["__deleted"]) for p in bare],
                    [(1, "u", "false"), (1, "d", "true"), (2, "c", "false"), (2, "u", "false"), (2, "d", "true")], "bare changes")
        check_equal([m["key"] for m in read(path, "flat")], [a, a, b, b], "flat keys")

        check_equal([m["key"] for m in read(path, "insert_only")], ['{"email":"w@x"}'], "a key that no delete has to tell")
        refused = {"weak": "email of public.weak is not part of the replica identity", "mistyped": "gives no changes of a table public.weka",
                   "no_column": "mail: table public.weak has no such published column"}
        checked = run(["check", "-c", path, "--connect"], code=None, timeout=60)
        for name, why in refused.items():
            check(why in read(path, name, code=78), f"{name}: it is not said why")
            check(why in checked.stdout + checked.log, f"{name}: check does not say it\n{checked.stdout}")

        pg.createdb("odd")
        sql(ODD, "odd")
        for look in (edges, altered):
            look(functools.partial(pipeline, dbname="odd"), functools.partial(sql, dbname="odd"))


main()
