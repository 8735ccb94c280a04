"""What a change stream makes of values, types and catalogs: every value as it was meant, or a clear refusal at the start."""
import base64
import contextlib
import functools
import itertools
import json
import os
import re
import select
import subprocess

from support import proc
from support.arrivals import all_there, ids, lines, wait_ids
from support.bad_input import Saw, alive, ended, fault, faults, looked, readable
from support.pg import VERSIONS, Postgres
from support.pgoutput import lsn
from support.piped import Piped
from support.proc import check, check_equal, wait_for
from support.proxy import Proxy
from support.relaying import config, daemon, once, pipeline, start
from support.shop import StreamShop

_number = itertools.count()


def changes(d, shop, name="p", encode=None, **source):
    """A file for all changes of the shop's publication."""
    source = {k: v for k, v in shop.source(**{"snapshot": "never", **source}).items() if k not in ("as", "table")}
    return config(d, {**pipeline(source, name=name), "encode": encode or {"format": "debezium"}})


def payloads(r):
    return [e["payload"] for e in lines(r)]


# --- what the catalogs tell of a table ---

# DDL, the next change, its op and id, and what Debezium 3.0.8 says of discount: the default for null, 0 for what a delete does not tell.
PRICES = (("", "insert into price values (1, null)", "c", 1, 10),
          ("alter table price alter discount drop default", "insert into price values (2, null)", "c", 2, None),
          ("alter table price alter discount set default 20", "update price set discount = null where id = 2", "u", 2, 20),
          ("alter table price alter discount drop default", "delete from price where id = 2", "d", 2, None),
          ("update price set discount = 1; alter table price alter discount set not null", "delete from price where id = 1", "d", 1, 0))


@fault
def cdc_default_changes(d):
    """Each Relation message is a reason to look again: none of this changes what the message itself shows."""
    shop = StreamShop("create table price (id int primary key, discount int default 10)", table="price")
    path = changes(d, shop)
    check_equal(once(path).poll(), 0, "exit code of the run that makes the slot")
    r = daemon(path)
    for ddl, change, op, key, want in PRICES:
        for text in filter(None, (ddl, change)):
            shop.sql(text)

        def got():
            rows = [p["before" if op == "d" else "after"] for p in payloads(r) if p and p["op"] == op]
            return [x["discount"] for x in rows if x["id"] == key]
        wait_for(got, 20, f"{change}\n{r.log[-1500:]}")
        check_equal(got()[0], want, f"discount of {change!r} behind {ddl!r}")
    return alive(r)


@fault
def cdc_default_changes_in_snapshot(d):
    """The rows that are left are read by a new plan, which knows the new default."""
    rows = 30000  # behind the 10,000 that may be in flight and the 4 MiB of a chunk, so that the last one is not read before it flows
    shop = StreamShop(f"create table t (id int primary key, v int default 1, pad text); "
                f"insert into t select i, null, repeat('x', 400) from generate_series(1, {rows}) i", table="t")
    check_equal(once(changes(d, shop)).poll(), 0, "exit code of the run that makes the slot")
    with Piped(d, changes(d, shop, snapshot="always")) as r:
        check(select.select([r._read], [], [], 30)[0], f"rows came\n{r.log[-1500:]}")  # the pipe holds a few of them
        shop.sql("alter table t alter v set default 2")
        r.flow()

        def last():
            got = [json.loads(x)["payload"]["after"] for x in b"".join(r.text).split(b"\n")[:-1]]
            return [x["v"] for x in got if x["id"] == rows]
        wait_for(last, 60, f"the last row\n{r.log[-1500:]}")
        check_equal(last()[-1], 2, "the default of the last row")
        return r.end()


# --- text in another encoding than UTF-8 ---

class Encoded(StreamShop):
    """In a database of this encoding."""

    def __init__(self, encoding):
        super().__init__(options=f"encoding '{encoding}' locale 'C' template template0")

    def message(self, text, codec):
        body = json.dumps({"id": "m1", "aggregatetype": "order", "aggregateid": "k", "type": "T", "payload": {"x": text}}, ensure_ascii=False)
        self.sql("select pg_logical_emit_message(true, 'outbox', %s::bytea)", body.encode(codec))


@faults({e: e for e in ("LATIN1", "EUC_JP", "WIN1251")})
def cdc_messages_in_encoding(d, encoding):
    """Their content is not converted by the server: refused, and said beforehand, before \"Â°\" could become \"°\"."""
    shop = Encoded(encoding)
    path = config(d, pipeline(shop.source(messages=["outbox"])))
    saw = looked(path)
    check_equal(saw.code, 78, f"exit code of check\n{saw.text}")
    check(encoding in saw.text, f"check names the encoding\n{saw.text}")
    r = once(path)
    check_equal(lines(r), [], "what was sent")
    return ended(r)


@faults({"bytes": ("LATIN1", "latin1", {"format": "debezium"}), "utf8": ("UTF8", "utf8", None), "ascii": ("SQL_ASCII", "utf8", None)})
def cdc_messages_as_they_are(d, how):
    """What needs no conversion comes: Debezium's messages are bytes, and of SQL_ASCII nobody knows more than that it fits."""
    encoding, codec, encode = how
    shop = Encoded(encoding)
    path = changes(d, shop, encode=encode, messages=["outbox"]) if encode else config(d, pipeline(shop.source(messages=["outbox"])))
    check_equal(once(path).poll(), 0, "exit code of the run that makes the slot")
    text = "°C" if encode else "Â°C Ã©"
    shop.message(text, codec)
    r = once(path)
    (got,) = payloads(r)
    if encode:
        got = json.loads(base64.b64decode(got["message"]["content"]).decode(codec))["payload"]
    check_equal(got, {"x": text}, f"what came\n{r.log}")
    return ended(r)


@fault
def cdc_text_in_encoding(d):
    """The control: all other text is converted by the server, values and names alike."""
    shop = Encoded("LATIN1")
    shop.sql("create table \"tablé\" (id int primary key, \"é\" text); alter publication pub set table \"tablé\"")
    path = changes(d, shop, encode={"format": "flat"}, snapshot="initial")
    shop.sql("insert into \"tablé\" values (1, 'Â°C é')")
    first = once(path)
    shop.sql("insert into \"tablé\" values (2, 'Â°C é')")
    r = once(path)
    for p in payloads(first) + payloads(r):
        check_equal((p["é"], p["__table"]), ("Â°C é", "public.tablé"), "the row")
    check_equal(len(payloads(first) + payloads(r)), 2, "rows")
    return ended(r)


# --- a transaction that alters a table and stays open ---

@functools.lru_cache(None)
def server_of(version):
    return Postgres(version=version, settings={"fsync": "off", "max_prepared_transactions": 2, "max_wal_senders": 60, "max_replication_slots": 60},
                    name=f"values-{version}").start()


VERSIONED = {str(v): v for v in VERSIONS}
TABLES = ("create table t (id int primary key, v int default 1); create table other (id int primary key, v text default 'x');"
          "create table whole (id int primary key) partition by range (id); create table part partition of whole for values from (0) to (9);")


@contextlib.contextmanager
def altering(shop, *ddl):
    """An open transaction behind this DDL."""
    with contextlib.closing(shop.pg.connect(shop.name)) as c, c.cursor() as cur:
        for text in ddl:
            cur.execute(text)
        yield c
        c.rollback()


def starts_beside(shop, path):
    """A check and a start do not wait for the DDL, and a row of the other table is sent. Gives the relay."""
    saw = looked(path)
    check_equal(saw.code, 0, f"exit code of check\n{saw.text}")
    shop.sql("insert into other values (1)")
    r = daemon(path)
    wait_for(lambda: [p["after"]["v"] for p in payloads(r)] == ["x"], 20, f"the other table's row\n{r.log[-1500:]}")
    check(not re.search("level=(warn|error)", r.log), f"something waited\n{r.log}")
    return r


@faults(VERSIONED)
def cdc_ddl_is_open(d, version):
    """A start, a check and the tables beside it do not wait for it."""
    shop = StreamShop(TABLES, table="t, other, whole", pg=server_of(version))
    if version >= 15:
        shop.sql("alter publication pub set table t where (v > 0), other, whole")
    path = changes(d, shop, encode={"format": "debezium"})
    check_equal(once(path).poll(), 0, "exit code of the run that makes the slot")
    with altering(shop, "alter table t add x int", "alter table part add constraint c check (id > -1)", "alter table whole add x int"):
        r = starts_beside(shop, path)
    return alive(r)


@faults(VERSIONED)
def cdc_ddl_is_prepared(d, version):
    """The same beside a prepared transaction, which no session holds and no restart of the server ends."""
    shop = StreamShop(TABLES, table="t, other", pg=server_of(version))
    path = changes(d, shop, encode={"format": "debezium"})
    check_equal(once(path).poll(), 0, "exit code of the run that makes the slot")
    with altering(shop, "alter table t add column x int") as c:
        c.cursor().execute(f"prepare transaction '{shop.name}'")
    r = starts_beside(shop, path)
    shop.sql(f"commit prepared '{shop.name}'")
    shop.sql("insert into t (id, x) values (2, 3)")
    wait_for(lambda: len(payloads(r)) == 2, 20, f"the altered table's row\n{r.log[-1500:]}")
    check_equal(payloads(r)[1]["after"], {"id": 2, "v": 1, "x": 3}, "the altered table's row")
    return alive(r)


@faults({"again": "alter table t add x int default 5", "partition": "alter table part add constraint c check (id > -1)",
         "prepared": "alter table t add x int"})
def cdc_snapshot_of_locked(d, ddl):
    """Rows of that table have to wait; who is waited for is said, and they come."""
    shop = StreamShop(TABLES + "insert into t values (1); insert into whole values (1)", table="t, whole", pg=server_of(15))
    shop.sql("alter publication pub set (publish_via_partition_root = true)")
    check_equal(once(changes(d, shop)).poll(), 0, "exit code of the run that makes the slot")
    with altering(shop, ddl) as c:
        holder = rf"pid {c.info.backend_pid} .*: wait, or SELECT pg_terminate_backend\({c.info.backend_pid}\)"
        if prepared := ddl.endswith("x int"):
            c.cursor().execute("prepare transaction 'left over'")
            holder = "a transaction prepared as 'left over': COMMIT PREPARED"
        r = daemon(changes(d, shop, snapshot="always", encode={"format": "flat"}))
        r.wait_log(rf"table public.{'part' if 'part' in ddl else 't'} is locked by {holder}")
    if prepared:
        shop.sql("rollback prepared 'left over'")
    wait_for(lambda: len(payloads(r)) == 2, 30, f"the rows\n{r.log[-1500:]}")
    return alive(r)


# --- columns that are called as members of a flat row are ---

OWN = ("op", "table", "lsn", "ts", "deleted", "unchanged", "old_key")


@faults({"flat": {"format": "flat"}, "json": {"format": "json"}, "prefix": {"format": "flat", "flat_prefix": "_our."},
         "none": {"format": "flat", "flat_prefix": ""}})
def cdc_column_of_our_name(d, encode):
    """Two members of one name: refused, by a check too, and while it runs; another prefix is the way out."""
    prefix = encode.get("flat_prefix", "__")
    shop = StreamShop("create table t (id int primary key)", table="t")
    path = changes(d, shop, encode=encode)
    check_equal(once(path).poll(), 0, "exit code of the run that makes the slot")
    for name in OWN:
        shop.sql(f'alter table t add "{prefix}{name}" int')
        for saw in looked(path), ended(once(path)):
            check_equal(saw.code, 78, f"exit code with {name}\n{saw.text}")
            check(f'table public.t has a column "{prefix}{name}"' in saw.text, f"{name} is named\n{saw.text}")
        shop.sql(f'alter table t drop "{prefix}{name}"')
    r = daemon(path)
    shop.wait_streaming()
    shop.sql(f'alter table t add "{prefix}op" int; insert into t values (1, 2)')
    r.wait_log("state blocked: table public.t has a column")
    r.stop()
    other = changes(d, shop, encode={**encode, "flat_prefix": "zz_"})
    again = once(other)
    (row,) = payloads(again)
    check_equal({k: row[k] for k in ("id", f"{prefix}op", "zz_op", "zz_table", "zz_deleted")},
                {"id": 1, f"{prefix}op": 2, "zz_op": "c", "zz_table": "public.t", "zz_deleted": False}, "the row")
    return ended(again)


@faults({"debezium": ("debezium", "t, u", None), "not_published": ("flat", "t (id), u", None), "not_wanted": ("flat", "t, u", ["public.u"])})
def cdc_column_of_our_name_apart(d, how):
    """The control: Debezium's rows have no member of ours, and what is not sent cannot clash."""
    shop = StreamShop('create table t (id int primary key, "__op" int); create table u (id int primary key)', table="u", pg=server_of(15))
    chosen, published, tables = how
    shop.sql(f"alter publication pub set table {published}")
    path = changes(d, shop, encode={"format": chosen}, **({"tables": tables} if tables else {}))
    check_equal(looked(path).code, 0, "exit code of check")
    check_equal(once(path).poll(), 0, "exit code of the run that makes the slot")
    shop.sql("insert into t values (1, 2); insert into u values (3)")
    r = once(path)
    check_equal(len(payloads(r)), 1 if tables else 2, f"rows\n{r.log}")
    return ended(r)


# --- money, which the server writes as its locale says ---

# Locales of glibc by what they do to money: a comma or a point before the cents, groups by commas, points, blanks and marks of more than
# one byte; the symbol behind; no cents at all; three digits.
LOCALES = {"C": 2, "en_US": 2, "de_DE": 2, "fr_FR": 2, "pt_BR": 2, "es_AR": 2, "ka_GE": 2, "de_CH": 2, "es_MX": 2, "hi_IN": 2, "nb_NO": 2,
           "pl_PL": 2, "ar_SA": 2, "kab_DZ": 2, "ja_JP": 0, "is_IS": 0, "fa_IR": 0, "ar_BH": 3, "sq_AL": 3}


@functools.lru_cache(None)
def _locales():
    """Made where the server, which runs as another user, finds them: LOCPATH is searched before the archive."""
    folder = proc.tempdir("locales")
    folder.chmod(0o755)
    for name in set(LOCALES) - {"C"}:
        subprocess.run(["localedef", "-i", name, "-f", "UTF-8", str(folder / f"{name}.UTF-8")], check=False, capture_output=True)
        check((folder / f"{name}.UTF-8" / "LC_MONETARY").exists(), f"locale {name} was made")
    os.environ["LOCPATH"] = str(folder)
    try:
        return Postgres(settings={"fsync": "off", "max_replication_slots": 40}, name="locales").start()
    finally:
        del os.environ["LOCPATH"]


@faults({name: name for name in LOCALES})
def cdc_money(d, name):
    """12.50 wherever money has cents, in stream and snapshot; elsewhere it is refused, for Debezium's has two digits."""
    shop = StreamShop("create domain price as money; create table t (id int primary key, m money, p price default 7)", table="t", pg=_locales())
    shop.sql(f"alter database {shop.name} set lc_monetary = '{name}{'' if name == 'C' else '.UTF-8'}'")
    shop.sql("insert into t values (1, 12.5::numeric::money, (-1234567.89)::numeric::money)")
    path = changes(d, shop, encode={"format": "debezium", "decimal": "string"}, snapshot="initial")
    saw = looked(path)
    if LOCALES[name] != 2:
        check_equal(saw.code, 78, f"exit code of check\n{saw.text}")
        check('table public.t has a column "m" of type money' in saw.text, f"the column is named\n{saw.text}")
        r = once(path)
        check_equal((r.poll(), lines(r)), (78, []), f"exit code and what was sent\n{r.log}")
        shop.sql("alter table t drop m, drop p")
        path = changes(d, shop, encode={"format": "debezium"})
        r = daemon(path)
        shop.wait_streaming()
        shop.sql("alter table t add m money; insert into t values (3, 12)")
        r.wait_log("state blocked: table public.t has a column")
        r.stop()
        check_equal(lines(r), [], "what was sent of it")
        return Saw(0, readable(r.log))
    check_equal(saw.code, 0, f"exit code of check\n{saw.text}")
    first = once(path)
    shop.sql("insert into t values (2, 12.5::numeric::money, (-1234567.89)::numeric::money)")
    second = once(path)
    check_equal([(p["after"]["m"], p["after"]["p"]) for r in (first, second) for p in payloads(r)], [("12.50", "-1234567.89")] * 2,
                f"money\n{second.log}")
    return Saw(0, readable(second.log))


# --- a time without a zone ---

@faults({"tokyo": ("Asia/Tokyo", "timestamp"), "london": ("Europe/London", "timestamp"), "domain": ("America/New_York", "hour"),
         "utc": ("Etc/UTC", "timestamp"), "zoned": ("Asia/Tokyo", "timestamptz")})
def cdc_time_without_zone(d, how):
    """The stream does not tell the writer's zone: refused, by check too, unless role and database say UTC."""
    zone, kind = how
    shop = StreamShop(f"create domain hour as timestamp; alter table outbox alter created_at type {kind}")
    shop.sql(f"alter database {shop.name} set timezone = '{zone}'")
    path = config(d, pipeline(shop.source()))
    if refused := kind != "timestamptz" and zone != "Etc/UTC":
        for saw in looked(path), ended(once(path)):
            check_equal(saw.code, 78, f"exit code\n{saw.text}")
            check(f'column "created_at" of table outbox has no time zone, and the TimeZone of role and database is {zone}' in saw.text,
                  saw.text)
        shop.sql(f"alter role postgres in database {shop.name} set timezone = 'UTC'")
    r = daemon(path)
    shop.wait_streaming()
    (mine,) = shop.insert()
    wait_ids(lambda: ids(r), [mine], what="the row")
    when = shop.value("select to_char(created_at::timestamptz at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS') from outbox")
    check_equal(lines(r)[0]["created_at"][:19], when, "the time in UTC")
    other = "timestamptz" if kind != "timestamptz" else "timestamp"
    shop.sql(f"alter table outbox alter created_at type {other}")
    shop.insert()
    r.wait_log("state blocked: .*created_at.*it was a timestamp")
    return saw if refused else alive(r)


# --- values that only some servers have ---

FORMATS = {"debezium": {"format": "debezium"}, "flat": {"format": "flat"}}


def both_ways(d, shop, encode, insert):
    """The rows of an insert as the snapshot and as the stream tell them."""
    shop.sql(insert.format(1))
    path = changes(d, shop, encode=encode, snapshot="initial")
    first = once(path)
    shop.sql(insert.format(2))
    second = once(path)
    rows = [p.get("after", p) for r in (first, second) for p in payloads(r)]
    check_equal([x["id"] for x in rows], [1, 2], f"rows\n{first.log}\n{second.log}")
    return rows, Saw(second.poll(), readable(second.log))


@faults({f"{v}:{f}": (v, f) for v in (14, 15, 18) for f in FORMATS})
def cdc_byte_of_char(d, how):
    """A \"char\" beyond ASCII is \\303 on each version, alone, in a domain and in an array."""
    version, chosen = how
    shop = StreamShop("create domain letter as \"char\"; create table t (id int primary key, c \"char\", d letter, e \"char\"[], f \"char\")",
                      table="t", pg=server_of(version))
    rows, saw = both_ways(d, shop, FORMATS[chosen], "insert into t values ({0}, 'é', 'é', array['é'::\"char\", 'a'], 'a')")
    for row in rows:
        check_equal((row["c"], row["d"], row["e"], row["f"]), ("\\303", "\\303", ["\\303", "a"], "a"), "the row")
    return saw


# What each version has that the ones before have not, and its value in flat and in Debezium.
NEW_VALUES = {
    14: ("n numeric", "'Infinity'", "Infinity", None), 17: ("i interval", "'infinity'", "infinity", 0),
    18: ("i interval", "'-infinity'", "-infinity", 0)}


@faults({f"{v}:{f}": (v, f) for v in NEW_VALUES for f in FORMATS})
def cdc_value_of_version(d, how):
    """Infinities of numeric came with 14, those of intervals with 17."""
    version, chosen = how
    column, value, flat, debezium = NEW_VALUES[version]
    shop = StreamShop(f"create table t (id int primary key, {column})", table="t", pg=server_of(version))
    rows, saw = both_ways(d, shop, FORMATS[chosen], f"insert into t values ({{0}}, {value})")
    for row in rows:
        check_equal(row[column[0]], flat if chosen == "flat" else debezium, "the value")
    return saw


@fault
def cdc_endless_interval_as_string(d):
    """interval: string says of it what Debezium makes of an empty one."""
    shop = StreamShop("create table t (id int primary key, i interval)", table="t", pg=server_of(17))
    rows, saw = both_ways(d, shop, {"format": "debezium", "interval": "string"}, "insert into t values ({0}, 'infinity')")
    check_equal([r["i"] for r in rows], ["P0Y0M0DT0H0M0S"] * 2, "the intervals")
    return saw


# --- keys of every kind, in chunks ---

OPERATORS = "".join(
    f"create function num_{n}(num, num) returns boolean language sql immutable as 'select $1.n {op} $2.n';"
    f"create operator #{op}# (leftarg = num, rightarg = num, function = num_{n});"
    for n, op in (("lt", "<"), ("le", "<="), ("eq", "="), ("ge", ">="), ("gt", ">")))
# DDL before the table, the key's columns, and the key of row i.
KEYS = {
    "composite": ("create type pair as (a int, b text)", "k pair primary key", "row(i % 50, i)::pair"),
    "composite_in_two": ("create type pair as (a int, b text)", "k pair, l int, primary key (k, l)", "row(i % 50, 'x')::pair, i"),
    "domain_of_composite": ("create type pair as (a int, b text); create domain dpair as pair", "k dpair primary key", "row(i % 50, i)::pair"),
    "array": ("", "k int[] primary key", "array[i % 50, i]"),
    "range": ("", "k int4range primary key", "int4range(i, i + 10)"),
    "enum": ("create type mood as enum ('sad', 'ok')", "k mood, l int, primary key (k, l)", "case when i % 2 = 0 then 'sad'::mood else 'ok' end, i"),
    "char": ("", "k char(9) primary key", "'k' || i"),
    "letter": ("", 'k "char", l int, primary key (k, l)', "chr(97 + i % 26)::\"char\", i"),
    "domain": ("create domain d1 as varchar(9); create domain d2 as d1", "k d2 primary key", "'k' || i"),
    "numeric": ("", "k numeric primary key", "i / 7.0"),
    "bytea": ("", "k bytea primary key", "sha256(i::text::bytea)"),
    "interval": ("", "k interval primary key", "i * interval '1 second'"),
    "citext": ("create extension citext schema public", "k citext primary key", "case when i % 2 = 0 then 'K' else 'k' end || i"),
    "collation": ("", 'k text collate "de-x-icu" primary key', "'k' || i"),
    "operators": ("create type num as (n int); " + OPERATORS +
                  "create function num_cmp(num, num) returns int language sql immutable as 'select btint4cmp($1.n, $2.n)';"
                  "create operator class num_ops default for type num using btree as operator 1 #<#, operator 2 #<=#, operator 3 #=#,"
                  " operator 4 #>=#, operator 5 #>#, function 1 num_cmp(num, num)", "k num primary key", "row(i)::num"),
    "pattern": ("", "k text not null", "'k' || i"),
    "backwards": ("create function back(int, int) returns int language sql immutable as 'select btint4cmp($2, $1)';"
                  "create operator class back_ops for type int using btree as operator 1 >, operator 2 >=, operator 3 =, operator 4 <=,"
                  " operator 5 <, function 1 back(int, int)", "k int not null, l int not null", "i % 50, i"),
}
INDEXES = {"pattern": "k text_pattern_ops", "backwards": "k back_ops, l"}
ROWS = 2500  # more than the first chunk has


@faults({k: k for k in KEYS})
def cdc_snapshot_by_key(d, kind):
    """All rows of a first snapshot and of a later one, once each: a chunk ends and the next begins at any key."""
    before, columns, values = KEYS[kind]
    shop = StreamShop(f"{before}; create table t ({columns}, n int)", table="t", pg=server_of(15))
    shop.sql(f"insert into t select {values}, i from generate_series(1, {ROWS}) i")
    if kind in INDEXES:
        shop.sql(f"create unique index t_key on t ({INDEXES[kind]})")
    first = once(changes(d, shop, encode={"format": "flat"}, snapshot="initial"))
    check_equal(first.poll(), 0, f"exit code\n{first.log[-1500:]}")
    r = daemon(changes(d, shop, encode={"format": "flat"}, snapshot="always"))
    for relay in first, r:
        wait_for(lambda x=relay: len(payloads(x)) >= ROWS, 60, f"the rows\n{relay.log[-1500:]}")
        check_equal(sorted(p["n"] for p in payloads(relay)), list(range(1, ROWS + 1)), "rows")
    return alive(r)


# --- a partition that lies on another server ---

@faults({f"{v}:{how}": (v, how) for v in (14, 15, 18) for how in ("root", "parts")})
def cdc_foreign_partition(d, case):
    """Its rows are not in the stream, nor are they in a snapshot; nobody asks the other server, which is not there."""
    version, how = case
    shop = StreamShop("create extension file_fdw; create server away foreign data wrapper file_fdw;"
                      "create table t (id int primary key, v text) partition by range (id); create table t1 (v text, id int not null);"
                      "alter table t attach partition t1 for values from (0) to (5000);"
                      "create table t2 partition of t for values from (5000) to (9000);", table="t", pg=server_of(version))
    shop.sql("alter publication pub set table t; insert into t select i, 'x' || i from generate_series(1, 6000) i")
    shop.sql(f"alter publication pub set (publish = 'insert', publish_via_partition_root = {str(how == 'root').lower()})")
    # A partition that is foreign takes no index of its table's key: it comes in without one.
    shop.sql("alter table t drop constraint t_pkey; create foreign table t3 partition of t for values from (9000) to (9999) "
             "server away options (filename '/nowhere')")
    for table in ("t1", "t2"):
        shop.sql(f"alter table {table} add primary key (id)")
    path = changes(d, shop, encode={"format": "flat"}, snapshot="initial")
    saw = looked(path)
    check_equal(saw.code, 0, f"exit code of check\n{saw.text}")
    first = once(path)
    shop.sql("insert into t values (0, 'x0')")
    second = once(changes(d, shop, encode={"format": "flat"}, snapshot="initial"))
    for relay, ids in (first, range(1, 6001)), (second, [0]):
        check_equal(sorted((p["id"], p["v"]) for p in payloads(relay)), [(i, f"x{i}") for i in ids], f"rows\n{relay.log[-1500:]}")
    return ended(second)


# --- a position that the server cannot have ---

def _flip(end_of):
    """Sets a high bit of a keepalive's position, or of the end in a commit: the byte is found from the message's own bytes."""
    pattern, byte = {"keepalive": (rb"d\x00\x00\x00\x16k", 8), "commit": (rb"d\x00\x00\x00\x37w.{24}C", 6 + 25 + 9)}[end_of]

    def edit(data):
        m = re.search(pattern, data, re.S)
        if not m or len(data) < m.start() + byte + 8:
            return None
        at = m.start() + byte
        return data[:at] + bytes([data[at] | 0x10]) + data[at + 1:]
    return edit


@faults({"keepalive": "keepalive", "commit": "commit"})
def cdc_flipped_bit(d, what):
    """It is neither stored nor confirmed, and the relay goes on; a later start finds what it left."""
    shop = StreamShop()
    shop.conf(d)
    with Proxy("127.0.0.1", shop.pg.port) as proxy:
        path = config(d, pipeline(shop.source(port=proxy.port)))
        r = daemon(path)
        shop.wait_streaming()
        done = proxy.edit(_flip(what))
        shop.insert(3)
        shop.sql("create table noise (i int); insert into noise values (1)")
        check(done.wait(30), "the bit was flipped")
        r.wait_log("the connection is opened anew|cdc_postgres is back")
        shop.insert(3)
        wait_ids(lambda: ids(r), shop.ids)
        saw = alive(r)
        check(lsn(shop.confirmed) <= shop.wal_end, f"the slot is at {shop.confirmed}")
        again = once(path)
    check_equal(again.poll(), 0, f"exit code of the next start\n{again.log}")
    all_there(ids(r) + ids(again), shop.ids)
    return saw


# --- what a check knows before a start ---

@faults({"topic": {"topic": "shop.{topik}"}, "key": {"topic": "shop", "key": "{kee}"}, "partition": {"topic": "shop", "partition": "part"}})
def cdc_route_names_no_column(d, route):
    """A check says what the start says."""
    shop = StreamShop()
    path = config(d, pipeline(shop.source(), topic=route["topic"], route=route))
    saw = looked(path)
    check_equal(saw.code, 78, f"exit code of check\n{saw.text}")
    check("correct route.topic, route.key or route.partition" in saw.text, f"check names the way out\n{saw.text}")
    r = daemon(path)
    r.wait_exit(30)
    return ended(r)


# --- the short form ---

@faults({"until_idle": True, "stopped": False})
def cdc_short_form_tells_slot(d, until_idle):
    """Who tried it is told last how to drop the slot; the statement works."""
    shop = StreamShop(pg=server_of(17))
    shop.sql("alter publication pub rename to commitrelay_default")
    r = start(["run", "--cdc", "--source", shop.pg.url(shop.name), "--sink", "stdout:", *(["--until-idle"] if until_idle else [])], cwd=d)
    if until_idle:
        r.wait_exit(30)
    else:
        r.wait_log("state running")
        r.stop()
    last = readable(r.log).strip().splitlines()[-1]
    drop = re.search(r"SELECT pg_drop_replication_slot\('[^']*'\)", last)
    check(drop and (d / "commitrelay.db").exists() and "commitrelay.db" in last, f"the last line: {last}")
    shop.sql(drop[0])
    return ended(r)


# --- from polling to CDC and back ---

STATUS = (proc.ROOT / "schema/postgres/status.sql").read_text()


@faults({"position": "position", "status": "status", "delete": "delete"})
def cdc_after_polling(d, mode):
    """A new slot would begin behind what polling left: refused, by a check too; the way that is shown loses nothing, nor does the way back."""
    shop = StreamShop(STATUS if mode == "status" else "", pg=server_of(16))
    polling = {"type": "outbox_postgres", "url": shop.pg.url(shop.name), "mode": mode, "table": "outbox"}
    if mode == "position":
        shop.ids = []
    got = []

    def run(source, want=0, **top):
        r = once(config(d, pipeline(source), **top))
        check_equal(r.poll(), want, f"exit code\n{r.log}")
        got.extend(ids(r))
        return r
    shop.insert(3)
    run(polling)
    shop.insert(2)
    refused = run(shop.source(), 69)
    saw = looked(config(d, pipeline(shop.source())))
    check_equal(saw.code, 69, f"exit code of check\n{saw.text}")
    check_equal((shop.slot("1"), sorted(got)), (None, sorted(shop.ids[:3])), "slot and what was sent")
    drop = re.search(r"SELECT pg_create_logical_replication_slot\('[^']*', 'pgoutput'\)", readable(refused.log))
    check(drop and drop[0] in saw.text, f"the way is shown\n{saw.text}")
    shop.sql(drop[0])
    shop.insert(2)
    run(polling)
    shop.insert(2)
    cdc = shop.source(start_from="beginning")
    run(cdc)
    all_there(got, shop.ids, "events behind the change to CDC")
    shop.insert(2)
    run(cdc)
    wait_for(lambda: not shop.sender, 20, "the slot to be free")
    shop.sql("select pg_drop_replication_slot(%s)", shop.name)
    shop.insert(2)
    run(polling)
    all_there(got, shop.ids, "events behind the way back")
    return ended(refused)


@faults({"now": {"start_from": "now"}, "snapshot": {"snapshot": "initial"}})
def cdc_after_polling_by_choice(d, how):
    """Who says what is to become of the rest is obeyed."""
    shop = StreamShop(pg=server_of(16))
    polling = {"type": "outbox_postgres", "url": shop.pg.url(shop.name), "table": "outbox"}
    shop.insert(2)
    check_equal(once(config(d, pipeline(polling))).poll(), 0, "exit code of polling")
    left = shop.insert(1)
    path = config(d, pipeline(shop.source(**how)))
    check_equal(looked(path).code, 0, "exit code of check")
    first = once(path)
    shop.insert(1)
    r = once(path)
    all_there(ids(first) + ids(r), shop.ids if "snapshot" in how else [i for i in shop.ids[2:] if i not in left])
    return ended(r)
