#!/usr/bin/python3
"""`verify` of table changes: the rows of the tables against each row's last event.

    verify_changes.py [NAME...]     only these cases
"""
import json
import shutil
import signal
from collections import Counter
from pathlib import Path

from support import proc
from support.cases import case, main
from support.kafka import Kafka
from support.proc import check, check_equal, run, wait_for
from support.relaying import config, daemon, once, pipeline, start
from support.shop import PostgresShop

DIFFERS, USAGE, GAVE_UP, CONFIG = 1, 64, 75, 78
KINDS = ("missing", "extra", "duplicated", "different")
TABLES = """
create table orders (id int primary key, note text, amount numeric, doc jsonb, tags text[], secret text);
create table parts (day date, n int, note text, primary key (day, n)) partition by range (day);
create table parts_1 partition of parts for values from ('2026-01-01') to ('2026-02-01');
create table parts_2 partition of parts for values from ('2026-02-01') to ('2026-03-01');
create table gone (id int primary key, note text);
"""
ROWS = """
insert into orders select n, 'note ' || n, n / 7.0, jsonb_build_object('n', n, 'text', E'a "b"\\n'), array['x', null, 'y"z'], 'secret ' || n
  from generate_series(1, 20) n;
insert into parts select '2026-01-10'::date + (n % 2) * 31, n, 'part ' || n from generate_series(1, 6) n;
insert into gone select n, 'gone' from generate_series(1, 5) n;
"""
# Of every kind, behind the initial snapshot.
CHANGES = """
update orders set note = 'changed', amount = null where id in (3, 4);
update orders set note = 'again' where id = 4;
delete from orders where id in (5, 6);
insert into orders (id, note) values (6, 'back'), (21, 'new');
update orders set id = 107 where id = 7;
update parts set day = day + 31 where n = 2;
delete from parts where n = 3;
insert into gone values (6, 'gone');
truncate gone;
insert into gone values (2, 'back again');
"""


class TableShop(PostgresShop):
    """Tables that are published, and a relay's first run, which makes the slot and sends the rows."""

    def __init__(self, d, sql=TABLES + ROWS, root=True, sink=None, source=None, **more):
        super().__init__(sql)
        self.dir = Path(d)
        tables = self.value("select string_agg(oid::regclass::text, ', ') from pg_class where relkind in ('r', 'p') and not relispartition"
                            " and relnamespace = 'public'::regnamespace and relname <> 'outbox'")
        self.sql(f"create publication pub for table {tables} with (publish_via_partition_root = {str(root).lower()})")
        where = {"type": "cdc_postgres", "url": self.url(), "slot": self.name, "publication": "pub", "as": "changes", "connect_timeout": "30s",
                 "read_timeout": "60s", "heartbeat_interval": "200ms", **(source or {})}
        encode = {"format": "flat", "skipped_operations": [], **more.pop("encode", {})}
        self.pipeline = {**pipeline(where, sink=sink or file_sink(d)), "encode": encode, **more}
        self.path = config(d, self.pipeline)
        check_equal(once(self.path, timeout=60).poll(), 0, "the first run")

    def sent(self):
        return "".join(f.read_text() for f in sorted((self.dir / "out").glob("p-*.jsonl")))


def file_sink(d, **more):
    return {"type": "file", "dir": str(Path(d) / "out"), "rotate": {"events": 25, "interval": "100ms"}, **more}


def verify(path, *words, code=0):
    return run(["verify", "-c", path, "--pipeline", "p", *words], code=code, timeout=180)


def found(path, *words, code=DIFFERS):
    """What differs: how often each (what, row) was told, and the whole answer."""
    answer = json.loads(verify(path, "--json", *words, code=code).stdout)
    told = Counter((d["what"], d["id"]) for d in answer["differences"])
    check_equal({w: answer[w] for w in KINDS}, {w: sum(n for (what, _), n in told.items() if what == w) for w in KINDS}, "counts")
    check_equal(answer["equal"], code == 0, "equal")
    return told, answer


def rows_of(shop):
    return shop.value("select (select count(*) from orders) + (select count(*) from parts) + (select count(*) from gone)")


def order(n):
    return f'public.orders {{"id":{n}}}'


def spoil(shop):
    """A copy of the folder with a fault of each kind, and what must be told of them. Lines are changed as texts: numbers keep their digits."""
    copy = shop.dir / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(shop.dir / "out", copy)
    lines = [[f, text, json.loads(text)] for f in sorted(copy.glob("p-*.jsonl")) for text in f.read_text().splitlines()]

    def of(n):
        return [i for i, (_, _, e) in enumerate(lines) if e["key"] == f'{{"id":{n}}}' and e["aggregatetype"] == "public.orders"]

    def replace(i, old, new):
        check(old in lines[i][1], f"no {old} in {lines[i][1]}")
        lines[i][1] = lines[i][1].replace(old, new)

    def set_note(i):
        payload = lines[i][2]["payload"]
        note = payload.get("after", payload)["note"]
        replace(i, '"note":' + json.dumps(note, ensure_ascii=False), '"note":"somebody else\'s"')
    set_note(of(3)[-1])  # the last event
    set_note(of(1)[-1])  # a row of the snapshot
    set_note(of(4)[0])  # what was before is of no interest
    cut = {of(4)[-1], *of(8)}  # the last event of one, the only one of another
    cut |= {i for i in of(5) if lines[i][2]["type"] == "d"}
    twice, phantom = lines[of(9)[-1]][1], lines[of(10)[-1]]
    phantom = phantom[1].replace(json.dumps(phantom[2]["id"]), '"phantom"')
    file = lines[-1][0]
    for f in {f for f, _, _ in lines}:
        own = [text for i, (of_file, text, _) in enumerate(lines) if of_file == f and i not in cut] + ([twice, phantom] if f == file else [])
        f.write_text("".join(text + "\n" for text in own))
    return copy, Counter([("different", order(3)), ("different", order(1)), ("different", order(4)), ("missing", order(8)), ("extra", order(5)),
                          ("duplicated", order(9)), ("extra", "phantom")])


def _files(d, **more):
    shop = TableShop(d, **more)
    relay = daemon(shop.path)
    told, answer = found(shop.path, code=0)
    check_equal((answer["rows"], answer["found"], told), (31, 31, Counter()), "the initial snapshot")
    shop.sql(CHANGES)
    told, answer = found(shop.path, code=0)
    check_equal((answer["rows"], told, answer["not_comparable"]), (rows_of(shop), Counter(), 0), "all is well")
    copy, want = spoil(shop)
    told, answer = found(shop.path, "--against", str(copy))
    check_equal(told, want, "a copy")
    check(all(" line " in x["where"] for x in answer["differences"] if x["what"] != "missing"), answer["differences"])
    shop.sql("update orders set note = 'while nobody looks' where id = 3")
    check_equal(found(shop.path, code=0)[0], Counter(), "afterwards")
    check_equal(relay.stop(), 0, "the relay")
    return shop


@case
def flat(d):
    """Every kind of change, with masked and excluded columns, which the rows do not show either."""
    shop = _files(d, mask=[{"field": "orders.note", "with": "last4"}], encode={"exclude_columns": ["public.orders.secret"]})
    check("secret" not in shop.sent(), "the excluded column")


@case
def debezium(d):
    """The envelope, with tombstones and a key change in three parts; tables by their partitions."""
    _files(d, root=False, encode={"format": "debezium"})


@case
def columns(d):
    """Files with chosen columns: key and payload have to be among them."""
    sink = file_sink(d, format="delimited", columns=["id", "key", {"column": "payload", "as": "ROW"}], compression="gzip")
    shop = TableShop(d, sink=sink)
    relay = daemon(shop.path)
    shop.sql(CHANGES)
    _, answer = found(shop.path, code=0)
    check_equal(answer["rows"], rows_of(shop), "rows")
    check_equal(relay.stop(), 0, "the relay")
    for words in (["id", "payload"], ["id", "key", "payload.note"]):
        relay = daemon(config(d, {**shop.pipeline, "sink": {**sink, "columns": words}}))
        r = verify(shop.path, code=CONFIG)
        check("needs the columns `key` and `payload`" in r.log, r.log)
        check_equal(relay.stop(), 0, "the relay")


@case
def large_values(d):
    """What an update did not send (TOAST) is taken from the event before; without one it is not compared."""
    for name, encode in (("flat", {}), ("debezium", {"format": "debezium"})):
        own = Path(d) / name
        own.mkdir()
        shop = TableShop(own, "create table big (id int primary key, n int, t text, a float8[]); alter table big alter t set storage external;"
                         " alter table big alter a set storage external; insert into big select n, 0, repeat('x', 5000),"
                         " array(select random() from generate_series(1, 500)) from generate_series(1, 3) n", encode=encode)
        relay = daemon(shop.path)
        shop.sql("update big set n = 1 where id < 3")
        told, answer = found(shop.path, code=0)
        check_equal((told, answer["not_comparable"]), (Counter(), 0), f"{name}: the value is in the row of the snapshot")
        copy = own / "copy"
        shutil.copytree(own / "out", copy)
        for f in sorted(copy.glob("p-*.jsonl")):
            f.write_text("".join(line + "\n" for line in f.read_text().splitlines() if json.loads(line)["type"] != "r"))
        told, answer = found(shop.path, "--against", str(copy))
        check_equal((told, answer["not_comparable"]), (Counter([("missing", 'public.big {"id":3}')]), 2), f"{name}: without it")
        check_equal(relay.stop(), 0, "the relay")


@case
def beside_a_relay(d):
    """Rows change all the time: what is later than the rows that were read is left out."""
    shop = TableShop(d, sink=file_sink(d, rotate={"events": 5000, "interval": "100ms"}))
    relay, load = daemon(shop.path), [shop.connect(autocommit=True) for _ in range(2)]
    for n in range(4):
        for i in range(30):
            with load[i % 2].cursor() as cur:
                cur.execute("update orders set note = note || %s where id = %s", (n, 10 + i % 5))
                cur.execute("insert into orders (id, note) values (%s, 'x')", (1000 + 30 * n + i,))
                cur.execute("delete from orders where id = %s", (1000 + 30 * n + i - 10,))
        command = start(["verify", "-c", shop.path, "--pipeline", "p"])
        while command.poll() is None:
            with load[0].cursor() as cur:
                cur.execute("update orders set note = md5(note) where id between 10 and 14")
        check_equal(command.poll(), 0, command.stdout + command.log)
    for c in load:
        c.close()
    check_equal(relay.stop(), 0, "the relay")
    wait_for(lambda: shop.value("select count(*) from pg_replication_slots where database = current_database()") == 1, 30,
             "all slots but the relay's own to be gone")


_kafka = None


def kafka():
    global _kafka
    if not _kafka:
        _kafka = Kafka().__enter__()
    return _kafka


@case
def topics(d):
    """In topics, in formats that wrap the row; what others write there is extra; a topic that was deleted is named."""
    for fmt in ("json", "cloudevents_json"):
        own = Path(d) / fmt
        own.mkdir()
        name = f"{own.parent.name}-{fmt}"
        kafka().create_topics({f"{name}.{t}": 3 for t in ("orders", "parts", "gone")})
        shop = TableShop(own, sink={"type": "kafka", "brokers": kafka().bootstrap}, route={"topic": name + ".{table}"}, encode={"format": fmt})
        relay = daemon(shop.path)
        shop.sql(CHANGES)
        told, answer = found(shop.path, code=0)
        check_equal((answer["rows"], told), (rows_of(shop), Counter()), fmt)
        some = kafka().consume_all(f"{name}.orders")
        changed = max((r for r in some if r.key == b'{"id":4}'), key=lambda r: r.offset)
        headers = [(k, v.decode()) for k, v in changed.headers]
        kafka().produce(f"{name}.orders", changed.value.replace(b"again", b"agony"), key='{"id":4}', headers=headers)
        kafka().produce(f"{name}.orders", changed.value, key='{"id":4}', headers=[("id", "phantom")])
        told, _ = found(shop.path)
        check_equal({w for w, _ in told} - {"different"}, {"extra", "duplicated"}, f"{fmt}: kinds")
        check_equal((told[("extra", "phantom")], told[("duplicated", order(4))]), (1, 1), fmt)
        check_equal(relay.stop(), 0, "the relay")
    relay = daemon(shop.path)
    kafka().delete_topic(f"{name}.orders")
    r = verify(shop.path, code=CONFIG)
    check(f"there is no topic {name}.orders at" in r.log, r.log)
    relay.kill9()


@case
def refused(d):
    """What cannot be compared is refused by name; a pipeline that stands still is waited for."""
    shop = TableShop(d)
    for words, says in ((["--from-time", "1h"], "a row does not say when it was changed"), (["--to-position", "5"], "a row does not say when"),
                        (["--against", "inbox", "--consumer", "x"], "an inbox has only the ids"), (["--repair", "--yes"], "`snapshot: always`")):
        check(says in verify(shop.path, *words, code=USAGE).log, f"{words}: {says}")
    for more, says in (({"encode": {"format": "debezium", "unwrap": {}}}, "encode.unwrap leaves out"),
                       ({"encode": {"format": "flat", "skipped_operations": ["u"]}}, "encode.skipped_operations leaves out"),
                       ({"route": {"topic": "t", "key": "{table}"}}, "route.key takes the place")):
        r = verify(config(d, {**shop.pipeline, **more}), code=CONFIG)
        check(says in r.log and "pipeline p cannot be compared" in r.log, r.log)
    path = config(d, shop.pipeline)
    command = start(["verify", "-c", path, "--pipeline", "p"])
    wait_for(lambda: "has not delivered all that the rows show" in command.log, 60, "it to say what it waits for")
    command.signal(signal.SIGINT)
    check_equal(command.wait_exit(60), GAVE_UP, "interrupted")
    shop.sql("insert into orders (id, note) values (21, 'late')")
    command = start(["verify", "-c", path, "--pipeline", "p"])
    wait_for(lambda: "has not delivered all that the rows show" in command.log, 60, "it to say what it waits for")
    relay = daemon(path)
    check_equal(command.wait_exit(60), 0, command.stdout + command.log)
    check_equal(relay.stop(), 0, "the relay")
    shop.sql("create table nokey (n int); alter publication pub add table nokey; insert into nokey values (1)")
    r = verify(path, code=CONFIG)
    check("table public.nokey has no primary key" in r.log, r.log)


try:
    main(lambda: proc.tempdir("verify-changes"))
finally:
    if _kafka:
        _kafka.kill9()
