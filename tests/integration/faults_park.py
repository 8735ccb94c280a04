"""delivery.poison: park_key. Later events of a poisoned event's key wait behind its dead letter, all others flow; whatever is killed when."""
import functools
import itertools
import json

from faults_kafka import Case
from support import proc
from support.arrivals import each_once, lines, wait_ids
from support.bad_input import Saw, alive, ended, fault, faults, looked
from support.proc import check, check_equal, wait_for
from support.redis_server import Redis
from support.relaying import config, daemon, once, pipeline, start
from support.shop import PostgresShop, SqliteShop, StreamShop, schema

SOURCES = {"sqlite": (SqliteShop, {}), "sqlite_delete": (SqliteShop, {"mode": "delete"}), "position": (PostgresShop, {}),
           "status": (PostgresShop, {"mode": "status"}), "delete": (PostgresShop, {"mode": "delete"}), "stream": (StreamShop, {})}


_number = itertools.count()


class Parking:
    """A shop whose topic `shop.odd` is not allowed, and a relay that parks the key of such an event."""

    prefix = "shop"

    def __init__(self, d, how, sink=None, poison="park_key", allowed="shop.order", top=None, **delivery):
        make, self.source = how
        self.d, self.sink = d, sink
        self.shop = make(d) if make is SqliteShop else make()
        if self.source.get("mode") == "status":
            self.shop.sql(schema("postgres/status"))
        self.top = top or {}
        self.config(poison, allowed, **delivery)
        if make is StreamShop:
            check_equal(once(self.path).poll(), 0, "exit code of the run that makes the slot")

    def config(self, poison="park_key", allowed="shop.order", url=None, **delivery):
        source = self.shop.source(**self.source, **({"url": url} if url else {}))
        p = pipeline(source, self.sink, topic=self.prefix + ".{aggregatetype}", poison=poison,
                     route={"allow_topics": [allowed.replace("shop", self.prefix)]}, **delivery)
        self.path = config(self.d, p, **self.top)
        return self.path

    def put(self, *events):
        """Inserts events; each is a key, with a ! behind it if it is poison. Their ids."""
        return [self.shop.insert(1, key=e.strip("!"), topic="odd" if "!" in e else "order")[0] for e in events]

    def run(self, *args, code=0, **how):
        r = proc.run(["dead-letters", args[0], "-c", self.path, "--pipeline", "p", *args[1:]], code=None, timeout=90, **how)
        if code is not None:
            check_equal(r.poll(), code, f"{args}: {r.stdout}{r.log}")
        return r.stdout

    def letters(self, *args):
        return json.loads(self.run("show", *(args or ["--all"]), "--json"))["dead_letters"]

    def open(self):
        return json.loads(self.run("list", "--json"))["dead_letters"]

    def mend(self):
        """Every open dead letter gets a topic that is allowed."""
        for x in self.open():
            self.run("edit", str(x["id"]), "--topic", f"{self.prefix}.order")

    def status(self):
        s = json.loads(proc.run(["status", "-c", self.path, "--json"], code=None).stdout)["pipelines"][0]
        return s["parked_keys"], s["parked_events"]

    def wait_status(self, keys, events):
        wait_for(lambda: self.status() == (keys, events), 30, f"{keys} parked keys and {events} waiting events")

    def saved(self):
        """The position that is stored: a replay goes no further."""
        return json.loads(proc.run(["position", "show", "-c", self.path, "--json"]).stdout)["position"]

    def files(self):
        return [json.loads(x)["id"] for f in sorted((self.d / "out").glob("*.jsonl")) for x in f.read_text().splitlines()]

    def arrived(self, *relays):
        """A command that sends says more than that."""
        return self.files() if self.sink else [json.loads(x)["id"] for r in relays for x in r.stdout.split("\n")[:-1] if x.startswith("{")]


def file_sink(d):
    return {"type": "file", "dir": str(d / "out"), "rotate": {"interval": "100ms"}}


def in_order(got, want, what="a key's events"):
    """The first time each comes."""
    first = list(dict.fromkeys(x for x in got if x in want))
    check_equal(first, want, what)


@faults(SOURCES)
def key_parked(d, how):
    """The others flow, what waits is told and counted, and comes behind its dead letter; then the key is free."""
    case = Parking(d, how)
    r = daemon(case.path)
    r.wait_log("state running")
    a, b = case.put("a"), case.put("b")
    bad = case.put("a!")
    waits = case.put("a", "a")
    b += case.put("b", "c")
    wait_ids(lambda: case.arrived(r), a + b)
    case.wait_status(1, 2)
    waits += case.put("a")
    b += case.put("b")
    wait_ids(lambda: case.arrived(r), a + b)
    case.wait_status(1, 3)
    (letter,) = case.open()
    check_equal((letter["event_id"], letter["waiting"]), (bad[0], 3), "the dead letter, and how many wait")
    check("3 wait behind it" in case.run("list"), "the list does not say it")
    each_once(case.arrived(r), a + b)
    case.mend()
    case.run("retry", str(letter["id"]), "--yes")
    wait_ids(lambda: case.arrived(r), waits)
    case.wait_status(0, 0)
    more = case.put("a", "a")
    wait_ids(lambda: case.arrived(r), more)
    check_equal([x for x in case.arrived(r) if x not in b], a + bad + waits + more, "the key's events")
    check("nothing to do" in case.run("retry", str(letter["id"]), "--yes"), "the second time")
    check_equal([x["state"] for x in case.letters()], ["retried"], "what is left of it")
    each_once(case.arrived(r), a + b + bad + waits + more)
    return alive(r)


@fault
def key_parked_of_changes(d):
    """Table changes: the key is the row's."""
    shop = StreamShop()
    source = shop.source(**{"as": "changes", "snapshot": "never"})

    def written(allowed):
        p = pipeline(source, poison="park_key", route={"allow_topics": [allowed]})
        p["route"].pop("topic")
        p["encode"] = {"format": "flat"}
        return config(d, p)
    check_equal(once(written("none")).poll(), 0, "exit code of the run that makes the slot")
    first, second = shop.insert(2)
    shop.sql("update outbox set payload = '{\"n\": 2}' where id = %s", first)
    shop.sql("update outbox set payload = '{\"n\": 3}' where id = %s", first)
    r = once(written("none"))
    check_equal((r.poll(), r.stdout), (0, ""), f"exit code, and what came: {r.log}")
    path = written("*")
    r = daemon(path)
    r.wait_log("state running")
    out = proc.run(["dead-letters", "list", "-c", path, "--json"]).stdout
    check_equal([x["waiting"] for x in json.loads(out)["dead_letters"]], [2, 0], "how many wait")
    proc.run(["dead-letters", "retry", "-c", path, "--all", "--yes"])
    wait_for(lambda: len(lines(r)) == 4, 20, "all to come")
    of_first = [e["payload"]["payload"] for e in lines(r) if e["payload"]["id"] == first]
    check_equal([json.loads(x)["n"] if isinstance(x, str) else x["n"] for x in of_first], [1, 2, 3], "the changes of the first row")
    check(second in [e["payload"]["id"] for e in lines(r)], "the other row")
    return alive(r)


@faults(SOURCES)
def key_dropped(d, how):
    """What waited comes, the dropped one does not."""
    case = Parking(d, how)
    bad, waits = case.put("a!"), case.put("a", "a")
    other = case.put("b")
    r = daemon(case.path)
    case.wait_status(1, 2)
    case.run("drop", "--all", "--yes")
    wait_ids(lambda: case.arrived(r), waits + other)
    case.wait_status(0, 0)
    more = case.put("a")
    wait_ids(lambda: case.arrived(r), more)
    in_order(case.arrived(r), waits + more)
    check(bad[0] not in case.arrived(r), "the dropped one came")
    return alive(r)


@faults({k: SOURCES[k] for k in ("sqlite", "delete", "stream")})
def key_retried_alone(d, how):
    """No daemon runs: the command sends the dead letter. What waited comes with it, or, where each event is to be in one file, with the
    next relay."""
    case = Parking(d, how, sink=file_sink(d))
    a, bad, waits, other = case.put("a"), case.put("a!"), case.put("a", "a"), case.put("b")
    r = once(case.path)
    check_equal((r.poll(), sorted(case.files())), (0, sorted(a + other)), f"exit code, and what came: {r.log}")
    case.mend()
    case.run("retry", "--all", "--yes")
    more = case.put("a")
    r = once(case.path)
    check_equal(r.poll(), 0, f"exit code: {r.log}")
    check_equal([x for x in case.files() if x not in other], a + bad + waits + more, "the key's events, each once")
    check_equal(case.status(), (0, 0), "parked keys")
    return ended(r)


@faults({k: SOURCES[k] for k in ("sqlite", "position")})
def key_retried_alone_to_stdout(d, how):
    """The command itself sends what waits."""
    case = Parking(d, how)
    bad, waits = case.put("a!"), case.put("a", "a")
    check_equal(once(case.path).poll(), 0, "exit code")
    case.mend()
    out = case.run("retry", "--all", "--yes")
    came = [json.loads(x)["id"] for x in out.splitlines() if x.startswith("{")]
    check_equal((came, case.status()), (bad + waits, (0, 0)), "what came, and what is parked")
    return Saw(0, out)


@faults({k: SOURCES[k] for k in ("sqlite", "status")})
def key_parked_again(d, how):
    """An event that waits is poison too: it is the next dead letter, and the rest waits on."""
    case = Parking(d, how)
    first, waits = case.put("a!"), case.put("a", "a!", "a", "a")
    r = daemon(case.path)
    case.wait_status(1, 4)
    case.run("drop", "--all", "--yes")
    case.wait_status(1, 2)
    (letter,) = case.open()
    check_equal((letter["event_id"], letter["waiting"]), (waits[1], 2), "the next dead letter")
    check("allow_topics" in letter["reason"], f"its reason: {letter['reason']}")
    wait_ids(lambda: case.arrived(r), waits[:1])
    check_equal(case.arrived(r), waits[:1], "what came so far")
    case.mend()
    case.run("retry", "--all", "--yes")
    wait_ids(lambda: case.arrived(r), waits)
    check_equal(case.arrived(r), waits, "what came")
    check(first[0] not in case.arrived(r), "the dropped one came")
    case.wait_status(0, 0)
    return alive(r)


@faults({f"{limit}_{how}": (limit, how) for limit in ("max_events", "max_keys") for how in ("sqlite", "position")})
def park_is_full(d, what):
    """The pipeline blocks, names the dead letter that stands in the way, and goes on once there is room."""
    limit, how = what
    case = Parking(d, SOURCES[how], park={limit: 2})
    r = daemon(case.path)
    events = ["a!", "a", "a", "a", "b"] if limit == "max_events" else ["a!", "b!", "c!", "b", "d"]
    ids = case.put(*events)
    r.wait_log(f"state blocked.*delivery.park.{limit}")
    check_equal(case.open()[0]["event_id"], ids[0], "the oldest dead letter")
    check(f"drop` {case.open()[0]['id']}" in r.log, f"the letter is not named: {r.log}")
    check(ids[-1] not in case.arrived(r), "what is behind it came")
    case.run("drop", str(case.open()[0]["id"]), "--yes")
    wait_ids(lambda: case.arrived(r), ids[-1:])
    want = ids[1:] if limit == "max_events" else ids[-1:]
    wait_ids(lambda: case.arrived(r), want)
    each_once(case.arrived(r), want)
    in_order(case.arrived(r), want[:-1] if limit == "max_events" else [])
    return alive(r)


@fault
def park_without_key(d):
    """An event without a key is skipped as with `skip`."""
    case = Parking(d, SOURCES["position"])
    case.shop.sql("alter table outbox alter aggregateid drop not null")
    case.shop.sql("insert into outbox (aggregatetype, type, payload) values ('odd', 'T', '{}')")
    ids = case.put("a", "b")
    r = daemon(case.path)
    wait_ids(lambda: case.arrived(r), ids)
    check_equal((case.status(), [x["key"] for x in case.open()]), ((0, 0), [None]), "parked keys, and the dead letter")
    return alive(r)


@fault
def park_needs_a_right(d):
    """What waited and was sent has to be removed: without that right it would come for ever."""
    case = Parking(d, SOURCES["position"])
    check_equal(once(case.path).poll(), 0, "exit code of the run that makes the tables")
    shop, role = case.shop, f"{case.shop.name}_role"
    shop.sql(f"create role {role} login; grant select on outbox to {role}; grant usage on schema commitrelay to {role};"
             f" grant select, insert, update, delete on all tables in schema commitrelay to {role};"
             f" revoke delete on commitrelay.dead_letters from {role}")
    case.config(url=shop.url(user=role))
    saw = looked(case.path)
    check(f"delete on commitrelay.dead_letters to {role}" in saw.text, f"check does not tell: {saw.text}")
    check_equal(saw.code, 77, "exit code of check")
    return ended(once(case.path))


@faults({k: SOURCES[k] for k in ("sqlite", "position")})
def parked_events_are_not_replayed(d, how):
    """A replay would send them before their dead letter."""
    case = Parking(d, how)
    a, _, waits, b = case.put("a"), case.put("c!"), case.put("c", "c"), case.put("b")
    r = daemon(case.path)
    wait_ids(lambda: case.arrived(r), a + b)
    case.wait_status(1, 2)
    wait_for(lambda: case.saved() == "5", 30, "the position to be saved behind them")
    case.config(allowed="*")  # for the replay: with another sink it would stop at the dead letter itself
    again = proc.run(["replay", "-c", case.path, "--pipeline", "p", "--from-position", "1", "--sink", f"file:{d / 'again'}"], code=None,
                     timeout=90)
    got = [json.loads(x)["id"] for f in sorted((d / "again").glob("*.jsonl")) for x in f.read_text().splitlines()]
    check(not set(got) & set(waits), f"what waits was sent: {again.log}")
    alive(r)
    return Saw("runs", again.log)


@fault
def parked_letters_are_not_forgotten(d):
    """`position forget` asks before it removes what waits."""
    case = Parking(d, SOURCES["sqlite"], sink=file_sink(d))
    case.put("a!", "a", "a")
    check_equal(once(case.path).poll(), 0, "exit code")
    case.run("drop", "--all", "--yes")  # what waits is sent by the next relay
    check_equal(case.status(), (1, 2), "parked")
    forget = ["position", "forget", "-c", case.path, "--pipeline", "p", "--yes"]
    r = proc.run(forget, code=69)
    proc.run([*forget, "--dead-letters"])
    check_equal(case.shop.value("select count(*) from commitrelay_dead_letters"), 0, "rows that are left")
    return Saw(69, r.log)


# --- kills ---

POINTS = {"poison_after_store": False, "park_before_store": False, "park_after_store": False, "redrive_after_ack": True,
          "redrive_after_note": True, "park_after_ack": True, "park_after_removal": True}


@faults({f"{how}_{point}_{sink}": (how, point, sink) for how in ("sqlite", "position", "stream") for point in POINTS
         for sink in ("file", "stdout")})
def park_killed(d, what):
    """kill -9 at each step: nothing is lost or comes before an earlier event of its key; batch files have each once."""
    how, point, sink = what
    case = Parking(d, SOURCES[how], sink=file_sink(d) if sink == "file" else None, top={"admin": {"socket": ""}})
    later = POINTS[point]
    fault_env = {"COMMITRELAY_FAULT": f"{point}:kill"}
    a = case.put("a")
    bad, waits, other = case.put("a!"), case.put("a", "a", "a"), case.put("b", "b")
    relays = []
    if later:
        relays.append(once(case.path))
        check_equal(relays[0].poll(), 0, f"exit code: {relays[0].log}")
        case.mend()
    relays.append(daemon(case.path, env=fault_env))
    if later:
        relays[-1].wait_log("state running")
        waiting = start(["dead-letters", "retry", "-c", case.path, "--pipeline", "p", "--all", "--yes"])
    wait_for(lambda: not relays[-1].running, 30, f"the relay to reach {point}")
    relays.append(daemon(case.path))
    waits += case.put("a")
    if later:
        waiting.wait_exit(60)
        relays.insert(2, waiting)  # it may have found the lock free
    else:
        case.wait_status(1, 4)
        case.mend()
        case.run("retry", "--all", "--yes")
    case.wait_status(0, 0)
    waits += case.put("a")
    want = a + bad + waits
    wait_ids(lambda: case.arrived(*relays), want + other)
    alive(relays[-1])
    said = "".join(x.log + x.stdout for x in relays)
    if sink == "file":
        each_once(case.files(), want + other, "what the files hold")
        check_equal([x for x in case.files() if x not in other], want, "the key's events")
    else:
        in_order(case.arrived(*relays), want)
    return Saw("runs", said)


# --- copies of dead letters ---

@functools.lru_cache(None)
def redis_server():
    return Redis(name="parking-redis").start()


class ParkingWithCopies(Parking):
    """The same into streams of Redis; a copy of each dead letter goes to one of its own."""

    def __init__(self, d, how, **delivery):
        self.redis, self.prefix = redis_server(), f"parking{next(_number)}"
        super().__init__(d, how, sink={"type": "redis", "url": self.redis.url}, top={"admin": {"socket": ""}},
                         dead_letter_topic=f"{self.prefix}.copies", **delivery)

    def arrived(self, *relays, topic="order"):
        return self.redis.ids(f"{self.prefix}.{topic}")


@faults(SOURCES)
def park_letter_killed(d, how):
    """kill -9 between the dead letter and what follows it: its row says that its event was not delivered, and its copy is sent."""
    case = ParkingWithCopies(d, how)
    a, bad, waits, other = case.put("a"), case.put("a!"), case.put("a"), case.put("b")
    r = daemon(case.path, env={"COMMITRELAY_FAULT": "poison_after_store:kill"})
    wait_for(lambda: not r.running, 30, "the relay to reach its end")
    r = daemon(case.path)
    wait_ids(case.arrived, a + other)
    case.wait_status(1, 1)
    check_equal(case.arrived(topic="copies"), bad, "copies of the dead letter")
    (_, copy), = case.redis.entries(f"{case.prefix}.copies")
    said = {k.removeprefix("h:x-dead-letter-"): v.decode() for k, v in copy.items() if k.startswith("h:x-dead-letter-")}
    check("allow_topics" in said.pop("reason") and said.pop("failed-at").endswith("Z"), f"why, and when: {copy}")
    check_equal(said, {"topic": f"{case.prefix}.odd", "code": "poison", "attempts": "1", "position": case.open()[0]["position"]}, "what its headers say")
    (letter,) = case.open()
    check_equal((letter["event_id"], letter["waiting"]), (bad[0], 1), "the dead letter, and how many wait")
    check("allow_topics" in letter["reason"], f"its reason: {letter['reason']}")
    if case.source.get("mode") == "status":
        check_equal(case.shop.sql("select status, published_at is null, last_error like '%%allow_topics%%' from outbox where id::text = %s", bad[0]),
                    [("failed", True, True)], "the row of the dead letter")
    case.mend()
    case.run("retry", "--all", "--yes")
    wait_ids(case.arrived, bad + waits)
    case.wait_status(0, 0)
    in_order(case.arrived(), a + bad + waits)
    return alive(r)


@faults({k: SOURCES[k] for k in ("sqlite", "position")})
def copy_without_payload(d, how):
    """What was too large to be read is no tombstone in the copy."""
    case = ParkingWithCopies(d, how, max_event_bytes="1KiB")
    bad = case.shop.insert(1, payload=json.dumps("x" * 3000))
    r = once(case.path)
    check_equal(r.poll(), 0, f"exit code: {r.log}")
    (_, copy), = case.redis.entries(f"{case.prefix}.copies")
    check_equal((copy["id"].decode(), copy.get("payload"), copy.get("h:x-dead-letter-payload")), (bad[0], b"", b"omitted"), "the copy")
    return ended(r)


# --- Kafka ---

@faults({"retried": None, "killed": "park_after_ack", "killed_with_letter": "poison_after_store"})
def key_parked_with_kafka(d, point):
    """Too large for the topic, which only the broker knows; a copy of each dead letter; what waits comes in order, with its key."""
    case = Case(d, config_={"max.message.bytes": 5000})
    copies = f"{case.topic}-copies"
    case.kafka.create_topic(copies)
    shop = case.shop
    first = shop.insert(2, key="a")
    bad = shop.insert(1, key="a", payload=json.dumps("x" * 20000))
    waits = shop.insert(3, key="a")
    other = shop.insert(2, key="b")
    path = config(d, pipeline(shop.source(), case.sink(), topic=case.topic, poison="park_key", attempts=1, dead_letter_topic=copies),
                  admin={"socket": ""})
    r = daemon(path, env={"COMMITRELAY_FAULT": f"{point}:kill"} if point else None)
    if point == "poison_after_store":
        wait_for(lambda: not r.running, 60, f"the relay to reach {point}")
        r, point = daemon(path), None
    wait_for(lambda: set(case.ids()) >= set(first + other), 60, "the others to come")

    def listed():
        return json.loads(proc.run(["dead-letters", "list", "-c", path, "--json"]).stdout)["dead_letters"]
    wait_for(lambda: [x["waiting"] for x in listed()] == [3], 30, "three events to wait")
    check_equal([dict(x.headers)["id"].decode() for x in case.kafka.consume_all(copies)], bad, "the copy of the dead letter")
    check("too large" in listed()[0]["reason"].lower(), f"its reason: {listed()}")
    case.kafka.set_config(case.topic, {"max.message.bytes": 1000000})
    waiting = start(["dead-letters", "retry", "-c", path, "--all", "--yes"])
    if point:
        wait_for(lambda: not r.running, 60, f"the relay to reach {point}")
        said, r = r.log, daemon(path)
    else:
        said = ""
    waiting.wait_exit(60)
    waits += shop.insert(1, key="a")
    wait_for(lambda: set(case.ids()) >= set(bad + waits), 60, "what waited to come")
    got = [(dict(x.headers)["id"].decode(), x.key) for x in case.records()]
    in_order([i for i, _ in got], first + bad + waits)
    check(all(k == b"a" for i, k in got if i in first + bad + waits), f"keys: {got}")
    if not point:
        check_equal(len(got), len(set(got)), "records")
    return Saw(alive(r).code, said + waiting.stdout + r.log)
