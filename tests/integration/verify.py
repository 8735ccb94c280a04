#!/usr/bin/python3
"""`verify`: finds each fault that is put between an outbox and what was sent, and nothing else.

    verify.py [NAME...]          only these cases
    verify.py --rows 1000000     20 faults in so many events in Kafka, with bounded memory
"""
import csv
import gzip
import io
import json
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path

from support import proc
from support.arrivals import EXTENSIONS, PACKED, unpacked
from support.cases import case, main
from support.kafka import Kafka
from support.proc import check, check_equal, run, wait_for
from support.relaying import config, daemon, once, pipeline, start
from support.shop import PostgresShop, SqliteShop, StreamShop, schema

DIFFERS, USAGE, IO, GAVE_UP, CONFIG = 1, 64, 74, 75, 78
COUNT = 60
# Text that needs quotes in every format.
PAYLOAD = '{"n": "MARK",\n "t": "a; \'b\' = \\"c\\", d"}'
PHANTOMS = ["phantom", "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002", "it's"]
MEMORY = 128 * 1024  # KiB


def verify(path, *words, code=0, timeout=120):
    return run(["verify", "-c", path, "--pipeline", "p", *words], code=code, timeout=timeout)


def found(path, *words, code=DIFFERS, timeout=120):
    """What differs: how often each (what, id) was told, and the whole answer."""
    answer = json.loads(verify(path, "--json", *words, code=code, timeout=timeout).stdout)
    told = Counter((d["what"], d["id"]) for d in answer["differences"])
    check_equal({w: answer[w] for w in ("missing", "extra", "duplicated", "different")},
                {w: sum(n for (what, _), n in told.items() if what == w) for w in ("missing", "extra", "duplicated", "different")}, "counts")
    check_equal(answer["equal"], code == 0, "equal")
    return told, answer


def wanted(missing=(), extra=(), duplicated=(), different=()):
    return Counter([("missing", i) for i in missing] + [("extra", i) for i in extra] + [("duplicated", i) for i in duplicated] +
                   [("different", i) for i in different])


def spoil(records, ids, edit):
    """Twenty faults in a list of copies. edit(record, id=..., payload=...) makes a changed copy. What must be told of them."""
    at = {i: n for n, i in enumerate(ids)}
    out = list(records)
    for i in ids[20:25]:  # other payloads
        out[at[i]] = edit(records[at[i]], payload=True)
    out[at[ids[25]]] = edit(records[at[ids[25]]], id="wrong-1")
    out[at[ids[26]]] = edit(records[at[ids[26]]], id=ids[26].upper() + "-wrong")
    more = [records[at[i]] for i in ids[10:14]] + [records[at[ids[14]]]] * 2  # twice; one three times
    more.append(edit(records[at[ids[15]]], payload=True))  # twice, the second one with another payload
    more += [edit(records[at[ids[0]]], id=i) for i in PHANTOMS]
    out = [r for r, i in zip(out, ids) if i not in ids[30:35]] + more  # and five that are not there
    return out, wanted(missing=ids[25:27] + ids[30:35], extra=["wrong-1", ids[26].upper() + "-wrong"] + PHANTOMS,
                       duplicated=ids[10:16], different=ids[20:25] + [ids[15]])


# --- batch files ---

def _file_sink(d, **more):
    return {"type": "file", "dir": str(Path(d) / "out"), "rotate": {"events": 25}, **more}


def _pack(data, compression):
    if compression == "gzip":
        return gzip.compress(data)
    if compression == "zstd":
        return subprocess.run(["zstd", "-cq"], input=data, stdout=subprocess.PIPE, check=True).stdout
    return data


def _records(text, fmt):
    """The header line, and each record as its text."""
    if fmt != "delimited":
        return "", text.splitlines(keepends=True)
    rows = []
    for row in csv.reader(io.StringIO(text, newline="")):
        line = io.StringIO()
        csv.writer(line).writerow(row)
        rows.append(line.getvalue())
    return rows[0], rows[1:]


def _edit(ids):
    def edit(record, id=None, payload=False):
        own = next(i for i in ids if i in record)
        record = record.replace(own, id) if id else record
        return record.replace("MARK", "KRAM") if payload else record
    return edit


def _spoil_files(d, ids, fmt, compression):
    """Twenty faults in a copy of the folder."""
    copy, extension = Path(d) / "copy", EXTENSIONS[fmt] + PACKED[compression]
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(Path(d) / "out", copy)
    files = sorted(copy.glob(f"p-*.{extension}"))
    check(len(files) > 1, f"only {files}")
    parts = [_records(unpacked(f.read_bytes(), compression).decode(), fmt) for f in files]
    records, want = spoil([r for _, part in parts for r in part], ids, _edit(ids))
    cut = len(records) // 2
    for f, (head, _), part in zip(files, parts, (records[:cut], records[cut:])):
        f.write_bytes(_pack((head + "".join(part)).encode(), compression))
    for f in files[2:]:
        f.unlink()
    return copy, want


def _files(d, shop, **sink):
    path = config(d, {**pipeline(shop.source(), sink=_file_sink(d, **sink)), "mask": [{"field": "payload.t", "with": "last4"}]})
    shop.insert(COUNT, payload=PAYLOAD)
    check_equal(once(path).poll(), 0, "the relay")
    r = verify(path)
    check_equal(r.stdout, f"p: {COUNT} rows, {COUNT} events in its sink (file): 0 missing, 0 extra, 0 duplicated, 0 different; equal\n", "all is well")
    return path


@case
def files(d):
    """Every format and compression; the folder of the sink, and a copy of it."""
    for fmt, compression in (("jsonl", "none"), ("delimited", "gzip"), ("key_value", "zstd")):
        own = Path(d) / fmt
        own.mkdir()
        shop = SqliteShop(own)
        path = _files(own, shop, format=fmt, compression=compression)
        copy, want = _spoil_files(own, shop.ids, fmt, compression)
        check_equal(found(path, "--against", str(copy))[0], want, f"{fmt}: a copy")
        found(path, code=0)
        shutil.rmtree(own / "out")
        copy.rename(own / "out")
        check_equal(found(path)[0], want, f"{fmt}: its own")


@case
def files_postgres(d):
    shop = PostgresShop()
    path = _files(d, shop)
    copy, want = _spoil_files(d, shop.ids, "jsonl", "none")
    check_equal(found(path, "--against", str(copy))[0], want, "a copy")


@case
def columns(d):
    """Parts of the payload identify it, too; without the id nothing can be told apart."""
    shop = SqliteShop(d)
    sink = _file_sink(d, format="delimited", columns=[{"column": "payload.n", "as": "N"}, {"column": "id", "as": "KEY"}, "created_at", "headers"])
    path = config(d, pipeline(shop.source(), sink=sink))
    shop.insert(COUNT, payload=PAYLOAD)
    check_equal(once(path).poll(), 0, "the relay")
    found(path, code=0)
    copy, want = _spoil_files(d, shop.ids, "delimited", "none")
    check_equal(found(path, "--against", str(copy))[0], want, "a copy")
    sink["columns"] = ["payload"]
    r = verify(config(d, pipeline(shop.source(), sink=sink)), code=CONFIG)
    check("has no column `id`" in r.log, r.log)


@case
def damaged(d):
    """A file that ends too early, a line that is no record, a folder that is not there."""
    shop = SqliteShop(d)
    path = _files(d, shop, compression="gzip")
    first = sorted((Path(d) / "out").glob("*.gz"))[0]
    whole = first.read_bytes()
    first.write_bytes(whole[:-20])
    check("is damaged" in verify(path, code=IO).log, "a file that was cut off")
    text = gzip.decompress(whole).decode().splitlines(keepends=True)
    first.write_bytes(gzip.compress("".join(["{nonsense\n", *text[1:]]).encode()))
    check_equal(found(path)[0], wanted(missing=shop.ids[:1], extra=[None]), "a line that is none")
    first.unlink()
    r = verify(path, code=DIFFERS)
    check("the files of the events 1 to 25 are not in" in r.log, r.log)
    check("... and " not in r.stdout and r.stdout.count("missing ") == 25, r.stdout)
    check("... and 20 more" in verify(path, "--show", "5", code=DIFFERS).stdout, "--show")
    check("neither sink, inbox nor a folder" in verify(path, "--against", f"{d}/nowhere", code=USAGE).log, "no folder")
    shutil.rmtree(Path(d) / "out")
    check("cannot read the folder" in verify(path, code=IO).log, "the folder")


# --- Kafka ---

_kafka = None


def kafka():
    global _kafka
    if not _kafka:
        _kafka = Kafka().__enter__()
    return _kafka


def _topic(d, more="t"):
    name = f"{Path(d).name}-{more}"
    kafka().create_topic(name, partitions=3)
    return name


def _kafka_pipeline(shop, topic, fmt="payload", **more):
    return {**pipeline(shop, sink={"type": "kafka", "brokers": kafka().bootstrap, **more}, topic=topic), "encode": {"format": fmt}}


def _edit_record(record, id=None, payload=False):
    key, value, headers = record
    headers = [(k, id if id and k == "id" else v) for k, v in headers]
    return key, value.replace(b"MARK", b"KRAM") if payload else value, headers


def _spoil_topic(topic, ids, to):
    """Twenty faults in a copy of the topic."""
    copies = {}
    for r in kafka().consume_all(topic):
        headers = [(k, v.decode()) for k, v in r.headers]
        copies[dict(headers)["id"]] = (r.key.decode(), r.value, headers)
    records, want = spoil([copies[i] for i in ids], ids, _edit_record)
    kafka().create_topic(to, partitions=2)
    for key, value, headers in records:
        kafka().produce(to, value, key=key, headers=headers)
    return want


@case
def topics(d):
    """The faults in a topic, for PostgreSQL in both modes and SQLite, and in formats that wrap the payload."""
    for name, source, fmt in (("a", "position", "payload"), ("b", "status", "json"), ("c", "sqlite", "cloudevents_json")):
        own = Path(d) / name
        own.mkdir()
        shop = SqliteShop(own) if source == "sqlite" else PostgresShop(schema("postgres/status") if source == "status" else "")
        where = shop.source() if source == "sqlite" else shop.source(mode=source)
        topic = _topic(d, name)
        shop.insert(COUNT, payload=PAYLOAD)
        path = config(own, _kafka_pipeline(where, topic, fmt))
        check_equal(once(path, timeout=60).poll(), 0, "the relay")
        found(path, code=0)
        want = _spoil_topic(topic, shop.ids, f"{topic}-copy")
        told, answer = found(config(own, _kafka_pipeline(where, f"{topic}-copy", fmt)))
        check_equal(told, want, f"{source}, {fmt}")
        check(all(" at " in x["where"] for x in answer["differences"] if x["what"] != "missing"), answer["differences"])


@case
def routed(d):
    """Every topic that the route can give is read, also one to which no row leads; the dead letters' topic is not."""
    shop, name = SqliteShop(d), Path(d).name
    for kind in ("order", "parcel", "nobody", "letters"):
        kafka().create_topic(f"{name}.{kind}", partitions=1)
    shop.insert(5)
    shop.insert(5, topic="parcel")
    path = config(d, {**_kafka_pipeline(shop.source(), name + ".{aggregatetype}"), "delivery": {"dead_letter_topic": f"{name}.letters", "poison": "skip"}})
    check_equal(once(path, timeout=60).poll(), 0, "the relay")
    kafka().produce(f"{name}.letters", "{}", headers=[("id", "letter")])
    found(path, code=0)
    kafka().produce(f"{name}.nobody", "{}", headers=[("id", "phantom")])
    check_equal(found(path)[0], wanted(extra=["phantom"]), "a topic of the route")


@case
def ranges(d):
    """By time and by position; what lies outside is counted and not told. What a replay has sent is no duplicate."""
    shop, topic = PostgresShop(), _topic(d)
    path = config(d, _kafka_pipeline(shop.source(), topic))
    shop.insert(10, payload=PAYLOAD)
    shop.insert(10, payload=PAYLOAD)
    check_equal(once(path, timeout=60).poll(), 0, "the relay")
    for words, rows in ((["--from-position", "5", "--to-position", "8"], 4), (["--from-time", "1h"], 20), (["--to-time", "1h"], 0),
                        (["--from-time", shop.value("select max(created_at)::text from outbox where seq <= 10")], 11)):
        told, answer = found(path, *words, code=0)
        check_equal((answer["rows"], told), (rows, Counter()), f"{words}: rows")
    run(["replay", "-c", path, "--pipeline", "p", "--from-position", "3", "--to-position", "4"])
    told, answer = found(path, code=0)
    check_equal((answer["found"], answer["replayed"]), (22, 2), "after a replay")
    first = shop.value("select id::text from outbox where seq = 1")
    shop.sql("update outbox set id = gen_random_uuid() where seq = 1")
    changed = shop.value("select id::text from outbox where seq = 1")
    check_equal(found(path)[0], wanted(missing=[changed], extra=[first]), "another id")
    check_equal(found(path, "--from-position", "2")[0], wanted(extra=[first]), "it is in no row")
    shop.sql("delete from outbox where seq <= 5")
    _, answer = found(path, code=0)
    check_equal((answer["not_comparable"], answer["rows"]), (7, 15), "rows that were removed")


@case
def topic_gone(d):
    """A topic that was deleted is named, instead of all its events; so is one that is not there for who asks."""
    shop, name = SqliteShop(d), Path(d).name
    kafka().create_topics({f"{name}.order": 1, f"{name}.parcel": 1})
    shop.insert(3)
    shop.insert(3, topic="parcel")
    path = config(d, _kafka_pipeline(shop.source(), name + ".{aggregatetype}"))
    check_equal(once(path, timeout=60).poll(), 0, "the relay")
    found(path, code=0)
    kafka().delete_topic(f"{name}.parcel")
    for words in ((), ("--repair", "--yes")):
        r = verify(path, *words, code=CONFIG)
        check(f"there is no topic {name}.parcel at {kafka().bootstrap}, to which events were sent: it was deleted" in r.log, r.log)
    found(path, "--to-position", "3", code=0)
    kafka().create_topic(f"{name}.parcel")
    check_equal(found(path)[0], wanted(missing=shop.ids[3:]), "a new topic of that name")


@case
def repair(d):
    """What is missing is sent again; more than one replay takes at once."""
    shop, topic, count = SqliteShop(d), _topic(d), 620
    shop.insert(count)
    first = config(d, _kafka_pipeline(shop.source(), topic))
    check_equal(once(first, timeout=60).poll(), 0, "the relay")
    path = config(d, _kafka_pipeline(shop.source(), _topic(d, "new")))
    check("add --yes" in verify(path, "--repair", code=USAGE).log, "without --yes")
    told, _ = found(path, "--show", "1000", "--repair", "--yes")
    check_equal(told, wanted(missing=shop.ids), "all are missing")
    told, answer = found(path, code=0)
    check_equal((answer["found"], answer["replayed"]), (count, 0), "afterwards")


@case
def beside_a_relay(d):
    """A relay runs, and events are committed all the time."""
    shop, topic = PostgresShop(), _topic(d)
    path = config(d, _kafka_pipeline(shop.source(), topic))
    relay = daemon(path)
    with shop.inserting():
        for _ in range(4):
            found(path, code=0)
    check_equal(relay.stop(), 0, "the relay")
    check_equal(once(path, timeout=60).poll(), 0, "the rest")
    _, answer = found(path, code=0)
    check_equal(answer["rows"], len(shop.ids), "rows")


@case
def exactly_once(d):
    """The position topic holds no events, and a transaction's marks are none."""
    shop, topic = SqliteShop(d), _topic(d)
    path = config(d, _kafka_pipeline(shop.source(), topic, exactly_once=True, commit={"events": 7}))
    shop.insert(COUNT)
    check_equal(once(path, timeout=60).poll(), 0, "the relay")
    found(path, code=0)


@case
def nobody_answers(d):
    """A broker that is away: the command gives up after stall_timeout, and at once when it is told to."""
    shop, dead = SqliteShop(d), f"127.0.0.1:{proc.free_port()}"
    shop.insert(3)
    check_equal(once(config(d, pipeline(shop.source(), sink=_file_sink(d)))).poll(), 0, "the relay")
    for stall, interrupt in (("1s", False), ("1h", True)):
        path = config(d, pipeline(shop.source(), sink={"type": "kafka", "brokers": dead, "stall_timeout": stall}))
        command = start(["verify", "-c", path, "--pipeline", "p"])
        if interrupt:
            wait_for(command.hears_sigterm, 60, "the command to wait for signals")
            command.signal(signal.SIGINT)
        check_equal(command.wait_exit(60), GAVE_UP, f"stall_timeout {stall}")
        check("it was interrupted" in command.log if interrupt else f"cannot be read at {dead}" in command.log, command.log)


# --- inbox ---

@case
def inboxes(d):
    """Missing and extra are found; payloads are not there to be compared."""
    for engine in ("sqlite", "postgres"):
        own = Path(d) / engine
        own.mkdir()
        shop = SqliteShop(own) if engine == "sqlite" else PostgresShop(schema("postgres/inbox"))
        if engine == "sqlite":
            shop.script(schema("sqlite/inbox"))
        path = config(own, pipeline(shop.source(), sink=_file_sink(own)))
        shop.insert(COUNT)
        check_equal(once(path).poll(), 0, "the relay")
        rows = [("billing", i) for i in shop.ids[3:] + ["phantom"]] + [("other", i) for i in shop.ids]
        if engine == "sqlite":
            with sqlite3.connect(shop.path) as db:
                db.executemany("insert into inbox (consumer, event_id) values (?, ?)", rows)
            db.close()
            url = f"sqlite:{shop.path}"
        else:
            for row in rows:
                shop.sql("insert into inbox (consumer, event_id) values (%s, %s)", *row)
            url = shop.url()
        told, answer = found(path, "--against", "inbox", "--consumer", "billing", "--inbox", url)
        check_equal(told, wanted(missing=shop.ids[:3], extra=["phantom"]), f"{engine}: billing")
        check_equal(answer["payloads_compared"], False, "payloads")
        found(path, "--against", "inbox", "--consumer", "other", code=0)
        # Rows that were pruned: when they were created an inbox does not say, only when it received them: an hour later.
        run(["prune", "-c", path, "--pipeline", "p", "--older-than", "0s"])
        shop.insert(2)
        check_equal(once(path).poll(), 0, "the relay")
        if engine == "sqlite":
            shop.script("update inbox set received_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '1 hour')")
        else:
            shop.sql("update inbox set received_at = received_at + interval '1 hour'")
        told, answer = found(path, "--against", "inbox", "--consumer", "other", "--inbox", url)
        check_equal(told, wanted(missing=shop.ids[-2:]), f"{engine}: after a prune")
        check_equal(answer["not_comparable"], COUNT, f"{engine}: after a prune")
    check("needs --consumer" in verify(path, "--against", "inbox", code=USAGE).log, "no consumer")
    check("holds a password" in verify(path, "--against", "inbox", "--consumer", "x", "--inbox", "postgresql://a:b@localhost/x", code=USAGE).log, "a password")


# --- what is told apart ---

@case
def dead_letters(d):
    """A dead letter, and what waits behind it, is not missing."""
    shop = SqliteShop(d)
    path = config(d, pipeline(shop.source(), sink=_file_sink(d, columns=["id", "payload.n"]), poison="park_key"))
    shop.insert(3, key="a")
    bad = shop.insert(1, key="a", payload="no JSON")
    shop.insert(2, key="a")
    shop.insert(2, key="b")
    check_equal(once(path).poll(), 0, "the relay")
    told, answer = found(path, code=0)
    check_equal((answer["dead_letters"], answer["rows"], answer["found"], told), (3, 8, 5, Counter()), "dead letters")
    run(["dead-letters", "drop", "-c", path, "--pipeline", "p", "--all", "--yes"])
    check_equal(once(path).poll(), 0, "the relay")
    told, answer = found(path, code=0)
    check_equal((answer["dead_letters"], answer["found"]), (1, 7), f"one was given up: {bad}")


def _letters(path):
    return json.loads(run(["dead-letters", "show", "-c", path, "--pipeline", "p", "--all", "--json"]).stdout)["dead_letters"]


@case
def letters_that_were_removed(d):
    """A dead letter that was dropped, or edited and sent, is known for what it was after `dead_letters.keep`, too."""
    for name in ("sqlite", "postgres"):
        own = Path(d) / name
        own.mkdir()
        shop = SqliteShop(own) if name == "sqlite" else PostgresShop()
        p = pipeline(shop.source(), sink=_file_sink(own), poison="skip")
        p["route"] = {"topic": "{aggregatetype}", "allow_topics": ["order"]}
        path = config(own, p)
        shop.insert(3)
        dropped, edited = shop.insert(2, topic="elsewhere")  # poison: no such topic is allowed
        check_equal(once(path).poll(), 0, "the relay")
        numbers = {x["event_id"]: str(x["id"]) for x in _letters(path)}
        run(["dead-letters", "drop", "-c", path, "--pipeline", "p", numbers[dropped], "--yes"])
        (own / "mended").write_text('{"n": 2}')
        run(["dead-letters", "edit", "-c", path, "--pipeline", "p", numbers[edited], "--topic", "order", "--payload-file", str(own / "mended")])
        run(["dead-letters", "retry", "-c", path, "--pipeline", "p", numbers[edited], "--yes"])
        check_equal(once(path).poll(), 0, "the relay")
        before = found(path, code=0)[1]
        check_equal((before["rows"], before["found"], before["dead_letters"]), (5, 4, 1), f"{name}: before")
        relay = daemon(config(own, p, dead_letters={"keep": "1s"}))
        wait_for(lambda: not _letters(path), 60, "the letters to be removed")
        check_equal(relay.stop(), 0, "the relay")
        check_equal(found(path, code=0)[1], before, f"{name}: afterwards")


@case
def pruned(d):
    """Of what was pruned nothing can be said: of all of it, and of rows between others that stayed. What is younger is extra."""
    for name in ("position", "status", "sqlite"):
        own = Path(d) / name
        own.mkdir()
        shop = SqliteShop(own) if name == "sqlite" else PostgresShop(schema("postgres/status") if name == "status" else "")
        where = shop.source() if name == "sqlite" else shop.source(mode=name)
        path = config(own, pipeline(where, sink=_file_sink(own)))
        shop.insert(10)
        check_equal(once(path).poll(), 0, "the relay")
        if name == "status":  # it stays, and is the oldest
            shop.sql("update outbox set status = 'failed' where seq = 1")
        run(["prune", "-c", path, "--pipeline", "p", "--older-than", "0s"])
        answer = found(path, code=0)[1]
        check_equal(answer["not_comparable"], 10 - answer["outside"], f"{name}: after the prune")
        check_equal((answer["rows"], answer["outside"]), (0, int(name == "status")), f"{name}: what is left")
        shop.insert(2)
        check_equal(once(path).poll(), 0, "the relay")
        answer = found(path, code=0)[1]
        check_equal((answer["rows"], answer["not_comparable"]), (2, 10 - int(name == "status")), f"{name}: with new rows")
        # An event of tomorrow, which no prune can have removed.
        last = sorted((own / "out").glob("p-*.jsonl"))[-1]
        line = json.loads(last.read_text().splitlines()[0])
        last.write_text(last.read_text() + json.dumps({**line, "id": PHANTOMS[1], "created_at": "2099-01-01T00:00:00.000000Z"}) + "\n")
        check_equal(found(path)[0], wanted(extra=[PHANTOMS[1]]), f"{name}: a phantom")


@case
def ids_that_are_not_unique(d):
    """Rows with one id count each; what an id looks like decides, and not which value the database takes it for."""
    shop = PostgresShop("alter table outbox drop constraint outbox_id_key")
    path = config(d, pipeline(shop.source(), sink=_file_sink(d)))
    ids = [f"00000000-0000-4000-8000-00000000000{i}" for i in ("a", "b")]
    for i in (ids[0], ids[0], ids[1]):
        shop.sql("insert into outbox (id, aggregatetype, aggregateid, type, payload) values (%s, 'order', 'k', 'T', '{}')", i)
    check_equal(once(path).poll(), 0, "the relay")
    found(path, code=0)
    (file,) = sorted((Path(d) / "out").glob("p-*.jsonl"))
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[1:]))
    check_equal(found(path)[0], wanted(missing=ids[:1]), "one of two")
    file.write_text("".join([*lines, lines[2].replace(ids[1], ids[1].upper()), lines[2].replace(ids[1], PHANTOMS[1])]))
    check_equal(found(path)[0], wanted(extra=[ids[1].upper(), PHANTOMS[1]]), "the same value, another id")
    # Outside the range one id is there twice, and the other one is in no row: two rows for two copies.
    check_equal(found(path, "--from-position", "4")[0], wanted(extra=[ids[1].upper(), PHANTOMS[1]]), "asked for together")


@case
def a_stream(d):
    """An outbox that is read as a stream is compared by its table."""
    shop = StreamShop()
    path = config(d, pipeline(shop.source(), sink=_file_sink(d, rotate={"events": 25, "interval": "200ms"})))
    check_equal(once(path).poll(), 0, "the run that makes the slot")
    shop.insert(COUNT, payload=PAYLOAD)
    relay = daemon(path)
    told, answer = found(path, code=0)
    check_equal((answer["rows"], told), (COUNT, Counter()), "all is well")
    copy, want = _spoil_files(d, shop.ids, "jsonl", "none")
    check_equal(found(path, "--against", str(copy))[0], want, "a copy")
    check_equal(relay.stop(), 0, "the relay")


@case
def refused(d):
    """What cannot be compared, and wrong calls."""
    shop = SqliteShop(d)
    shop.insert(3)
    for source, sink, says in ((shop.source(mode="delete"), _file_sink(d), "the rows cannot be compared: pipeline \"p\" has mode: delete"),
                               (shop.source(), None, "the sink stdout has no way to do that")):
        path = config(d, pipeline(source, sink=sink))
        check(says in verify(path, code=CONFIG).log, says)
    path = config(d, pipeline(shop.source(), sink=_file_sink(d)))
    for words, says in ((["--repair", "--yes"], "each event in exactly one file"), (["--yes"], "--yes is for --repair"),
                        (["--repair", "--yes", "--against", str(d)], "own sink"), (["--consumer", "x"], "need --against inbox"),
                        (["--repair", "--yes", "--against", "inbox", "--consumer", "x"], "needs a beginning"),
                        (["--from-time", "1h", "--from-position", "1"], "not both"), (["--to-position", "x"], "needs the position")):
        check(says in verify(path, *words, code=USAGE).log, f"{words}: {says}")


# --- many ---

def million(d, rows):
    """20 faults in so many events: found, and nothing else, and memory is bounded."""
    shop, topic = PostgresShop(), "many"
    kafka().create_topic(topic, partitions=4)
    path = config(d, _kafka_pipeline(shop.source(), topic))
    shop.sql("insert into outbox (aggregatetype, aggregateid, type, payload) select 'order', 'k' || (n % 1000), 'T', "
             f"jsonb_build_object('n', n, 'text', repeat('x', 200)) from generate_series(1, {rows}) n")
    check_equal(once(path, timeout=3600).poll(), 0, "the relay")
    r = verify(path, timeout=3600)
    print(f"{rows} rows, equal: {r.rss} KiB", flush=True)
    check(r.rss < MEMORY, f"{r.rss} KiB of memory")

    def of(numbers, what="id::text"):
        return [x[0] for x in shop.sql(f"select {what} from outbox where seq = any(%s) order by seq", numbers)]
    numbers = [rows * n // 20 + 1 for n in range(20)]
    renamed, gone, changed, twice, once_more = (numbers[n::5] for n in range(5))
    old = of(renamed)
    shop.sql("update outbox set id = gen_random_uuid() where seq = any(%s)", renamed)  # in the topic under another id
    deleted = of(gone)
    shop.sql("delete from outbox where seq = any(%s)", gone)  # in the topic only
    shop.sql("update outbox set payload = payload || '{\"n\": 0}' where seq = any(%s)", changed)
    for i, payload in zip(of(twice), of(twice, "payload::text")):
        kafka().produce(topic, payload, key="k", headers=[("id", i), ("created_at", "2026-01-01T00:00:00Z")])
    for i in of(once_more):
        kafka().produce(topic, "{}", key="k", headers=[("id", i)])
    want = wanted(missing=of(renamed), extra=old + deleted, different=of(changed) + of(once_more), duplicated=of(twice) + of(once_more))
    r = verify(path, "--json", code=DIFFERS, timeout=3600)
    told = Counter((x["what"], x["id"]) for x in json.loads(r.stdout)["differences"])
    check_equal(told, want, "20 faults")
    print(f"{rows} rows, 20 faults: {r.rss} KiB", flush=True)
    check(r.rss < MEMORY, f"{r.rss} KiB of memory")


try:
    if sys.argv[1:2] == ["--rows"]:
        million(proc.tempdir("verify"), int(sys.argv[2]))
    else:
        main(lambda: proc.tempdir("verify"))
finally:
    if _kafka:
        _kafka.kill9()
