#!/usr/bin/python3
"""What a change stream shows of its tables, in the snapshot as in the stream: tables chosen by patterns, columns that rows lack, keys of other
columns, rows without their envelope, Debezium's masks, topics with another name. What would give wrong keys is refused at the start."""
import json

from support.pg import Postgres
from support.proc import check, check_equal, run, tempdir
from support.relaying import config

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


def main():
    with Postgres(version=15, settings={"fsync": "off"}) as pg:
        pg.createdb("shop")

        def sql(text):
            for s in text.split(";\n"):
                pg.sql(s, dbname="shop")
        sql(TABLES)

        def pipeline(name, encode, source=(), **more):
            return {"name": name, "sink": {"type": "stdout"}, "source": {**SOURCE, "url": pg.url("shop"), **dict(source)},
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


main()
