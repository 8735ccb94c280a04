"""Rows so large that they could take the memory of all: each stops or passes alone, and what it took is given back."""
import re

from support import proc
from support.arrivals import each_once, file_ids, ids, wait_ids
from support.bad_input import alive, fault, faults
from support.pgoutput import lsn
from support.proc import check, check_equal, wait_for
from support.relaying import PRLIMIT, admin, config, daemon, page, pipeline
from support.shop import PostgresShop, SqliteShop, StreamShop

MB = 1_000_000
STEADY = 48 * MB  # more than a relay needs for itself, large rows apart


def _shop(kind, d):
    return SqliteShop(d) if kind == "sqlite" else PostgresShop("alter table outbox alter payload type text")


def _insert_escaped(shop, size):
    """A row whose payload is `size` times the character 1, for each of which JSON writes six."""
    if isinstance(shop, SqliteShop):
        return shop.insert(1, payload="\1" * size)[0]
    shop.ids.append(shop.value("insert into outbox (aggregatetype, aggregateid, type, payload) "
                               f"values ('order', 'k', 'T', repeat(chr(1), {size})) returning id::text"))
    return shop.ids[-1]


def _batches(d):
    return {"type": "file", "dir": str(d), "rotate": {"interval": "20ms"}}


SINKS = {"jsonl": lambda d: _batches(d), "key_value": lambda d: {**_batches(d), "format": "key_value"}, "stdout": lambda d: None}


def _named(name):
    """What a reader finds of an event in a batch file or on standard output, without parsing the whole of a large line."""
    return re.compile(rb'\bid="?([\w-]+)' if name == "key_value" else rb'"id":"([\w-]+)"')


class Beside:
    """A relay under a limit of memory with two pipelines: `shop` into the sink of this name, and a small outbox into another sink."""

    def __init__(self, d, shop, name, limit, **delivery):
        self.d, self.shop, self.name, self.other = d, shop, name, SqliteShop(d, "other.db")
        sink, own = SINKS[name](d / "out"), None if name != "stdout" else _batches(d / "beside")
        self.admin = admin()
        path = config(d, pipeline(shop.source(), sink, **delivery), pipeline(self.other.source(), own, name="other"),
                      admin={"listen": self.admin})
        self.r = daemon(path, before=[PRLIMIT, f"--as={limit}", proc.BIN])
        self._other_goes_on()

    def arrived(self, want):
        """Waits until so many are delivered. {id: bytes of its line}, each of them there once."""
        count = rf'^commitrelay_events_delivered_total{{pipeline="p"[^}}]*}} {len(want)}$'
        wait_for(lambda: re.search(count, page(self.admin, "metrics")[1], re.M), 60, f"{len(want)} events to be delivered")
        files = [self.r.stdout_path] if self.name == "stdout" else [f for f in (self.d / "out").glob("*") if f.suffix in (".jsonl", ".kv")]
        found = [(_named(self.name).search(line[:2000] + line[-2000:])[1].decode(), len(line))
                 for f in files for line in f.read_bytes().split(b"\n")[:-1]]
        each_once([i for i, _ in found], want)
        return dict(found)

    def _beside(self):
        return file_ids(self.d / "beside") if self.name == "stdout" else ids(self.r)

    def _other_goes_on(self):
        self.other.insert(2)
        wait_ids(self._beside, self.other.ids)

    def end(self):
        self._other_goes_on()
        log = self.r.log
        saw = alive(self.r)
        each_once(self._beside(), self.other.ids, "events of the other pipeline")
        told = [line for line in log.splitlines() if re.search(r"pipeline[=:]\"?other\b", line) and "state " in line]
        check(all("state running" in line or "state starting" in line for line in told), f"the other pipeline noticed: {told}")
        return saw


@faults({f"{kind}_{name}": (kind, name) for kind, name in (("postgres", "jsonl"), ("postgres", "key_value"), ("sqlite", "stdout"))})
def escapes_beyond_limit(d, how):
    """200 MB, more than an event may have, are not fetched: skipped, told once."""
    kind, name = how
    shop = _shop(kind, d)
    two = Beside(d, shop, name, 1500 * MB, poison="skip")
    shop.insert(2)
    bad = _insert_escaped(shop, 200 * MB)
    shop.insert(2)
    two.arrived([i for i in shop.ids if i != bad])
    check_equal(two.r.log.count(f"dead letter: event {bad}"), 1, f"how often it is told\n{two.r.log}")
    check(two.r.rss * 1024 < STEADY, f"{two.r.rss} KiB of memory")
    return two.end()


@faults({f"{kind}_{name}": (kind, name) for kind, name in (("postgres", "stdout"), ("sqlite", "jsonl"), ("sqlite", "key_value"))})
def escapes_within_limit(d, how):
    """20 MB, which an event may have, become 120: delivered, the whole line not held twice, and the memory is given back."""
    kind, name = how
    size = 20 * MB
    shop = _shop(kind, d)
    two = Beside(d, shop, name, 1500 * MB)
    shop.insert(2)
    large = _insert_escaped(shop, size)
    shop.insert(2)
    line = two.arrived(shop.ids)[large]
    wait_for(lambda: two.r.rss_now * 1024 < STEADY + size, 10, "the memory to be given back")
    check(line > size, f"a line of {line} bytes")
    check(two.r.rss * 1024 < STEADY + 3 * size + 1.2 * line, f"{two.r.rss} KiB of memory for a line of {line} bytes")
    return two.end()


@faults({"small": 200_000, "huge": 200 * MB})
def large_columns(d, size):
    """A column that becomes a header is measured like the payload: a page of many is cut, and one beyond the limit is not fetched; the topic
    of its dead letter is known, although it comes from a column, too."""
    shop = PostgresShop("alter table outbox add note text, add region text default 'eu', alter note set storage external")
    fits = size < MB
    shop.insert(300 if fits else 2)
    shop.sql(f"update outbox set note = repeat('x', {size})" + ("" if fits else " where seq = 1"))
    shop.insert(2)
    path = config(d, {**pipeline(shop.source(), topic="{region}", route={"allow_topics": ["eu"]}, poison="skip",
                                 max_in_flight_bytes="4MiB"),
                      "encode": {"headers": ["id", {"column": "note", "as": "note"}]}})
    want = shop.ids if fits else shop.ids[1:]
    r = daemon(path)
    wait_for(lambda: r.stdout_path.read_bytes().count(b"\n") >= len(want), 60, "all to arrive")
    check(r.rss * 1024 < STEADY, f"{r.rss} KiB of memory")
    saw = alive(r)
    check_equal(ids(r), want, "what came")
    if not fits:
        check_equal(shop.sql("select topic from commitrelay.dead_letters"), [("eu",)], "the topic of the dead letter")
    return saw


@fault
def large_row_in_the_stream(d):
    """libpq gives a message of the stream only whole and as a copy. Beyond the limit it is not held once more: it blocks, says where and
    what to do, and gives the memory back. `position set` passes it."""
    size, shop = 40 * MB, StreamShop()
    path = config(d, pipeline(shop.source(), max_event_bytes="1MiB"))
    r = daemon(path)
    shop.wait_streaming()
    shop.insert(3)
    wait_ids(lambda: ids(r), shop.ids)
    before = r.rss_now * 1024
    begin = shop.wal_end
    shop.sql(f"insert into outbox (aggregatetype, aggregateid, type, payload) values ('order', 'k', 'T', to_jsonb(repeat('x', {size})))")
    end = shop.value("select pg_current_wal_insert_lsn()::text")
    shop.insert(2)
    place = r.wait_log(r"state blocked.* at position (\S+) can never be delivered: .*raise delivery\.max_event_bytes.*`position set`")[1]
    at = [lsn(x) for x in re.findall(r"[0-9A-F]+/[0-9A-F]+", place)]
    check(any(begin <= x <= lsn(end) for x in at), f"the LSN of its transaction: {place}")
    check_equal(ids(r), shop.ids[:3], "what came")
    peak = r.rss * 1024
    check(peak < before + 2.6 * size, f"{peak} bytes of memory, {before} before, for a row of {size}")
    wait_for(lambda: r.rss_now * 1024 < before + 2 * size, 10, "its message to be given back")
    proc.run(["position", "set", "-c", path, "--pipeline", "p", end, "--yes"], timeout=60)
    wait_ids(lambda: ids(r), shop.ids)
    wait_for(lambda: r.rss_now * 1024 < before + STEADY, 10, "the memory to be given back")
    return alive(r)
