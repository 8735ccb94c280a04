"""Dead letters that an operator works with: sent again, edited, dropped, removed when they are old; and what may go wrong meanwhile."""
import json
import re
import signal
import sqlite3

from faults_kafka import PROVOKED, Case, broker
from support import proc
from support.arrivals import lines, wait_ids
from support.bad_input import Saw, alive, ended, fault, faults
from support.proc import check, check_equal, wait_for
from support.relaying import admin, config, daemon, once, page, pipeline, start
from support.shop import PostgresShop, SqliteShop, StreamShop, schema
from support.webhook import Webhook

OTHERS = {"sqlite": (SqliteShop, {}), "sqlite_delete": (SqliteShop, {"mode": "delete"})}
POSTGRES = {"position": (PostgresShop, {}), "status": (PostgresShop, {"mode": "status"}), "delete": (PostgresShop, {"mode": "delete"})}
STREAMS = {"stream": (StreamShop, {}), "changes": (StreamShop, {"as": "changes", "snapshot": "never"})}
ALL = {**OTHERS, **POSTGRES, **STREAMS}


class Letters:
    """A shop with two dead letters among six events, for `poison: skip` and a topic that is not allowed."""

    def __init__(self, d, how, sink=None, **top):
        make, self.source = how
        self.d, self.sink, self.top = d, sink, top
        self.shop = make(d) if make is SqliteShop else make()
        if self.source.get("mode") == "status":
            self.shop.sql(schema("postgres/status"))
        self.changes = self.source.get("as") == "changes"
        self.config("shop.order" if not self.changes else "none.*")
        if make is StreamShop:
            check_equal(once(self.path).poll(), 0, "exit code of the run that makes the slot")
        good = [] if self.changes else self.shop.insert(3)
        self.bad = self.shop.insert(1, topic="odd", key="k1") + self.shop.insert(1, topic="odd", key="k2", payload='{"n": 2}')
        good += [] if self.changes else self.shop.insert(1)
        r = once(self.path)
        check_equal((r.poll(), r.log.count("dead letter: event")), (0, 2), f"exit code and dead letters: {r.log}")
        check_equal(self.arrived(r), good, "what came beside them")
        self.good = good
        self.config("*")

    def config(self, allowed, **more):
        topic = {} if self.changes else {"topic": "shop.{aggregatetype}"}
        p = pipeline(self.shop.source(**self.source), self.sink, poison="skip", route={"allow_topics": [allowed]}, **more)
        p["route"].pop("topic")
        p["route"].update(topic)
        if self.changes:
            p["encode"] = {"format": "flat"}
        self.path = config(self.d, p, **self.top)

    def arrived(self, relay):
        """Ids in the order of their coming; of a change, that of its row."""
        def of(e):
            return e["payload"]["id"] if self.changes else e["id"]
        if self.sink and self.sink["type"] == "file":
            return [of(json.loads(x)) for f in sorted((self.d / "out").glob("*.jsonl")) for x in f.read_text().splitlines()]
        return [of(e) for e in lines(relay)]

    def run(self, *args, code=0, **how):
        r = proc.run(["dead-letters", args[0], "-c", self.path, "--pipeline", "p", *args[1:]], code=None, timeout=90, **how)
        if code is not None:
            check_equal(r.poll(), code, f"{args}: {r.stdout}{r.log}")
        return r.stdout

    def show(self, *args):
        return json.loads(self.run("show", *(args or ["--all"]), "--json"))["dead_letters"]

    def states(self):
        return [x["state"] for x in self.show()]

    def cursor(self):
        out = proc.run(["position", "show", "-c", self.path, "--pipeline", "p", "--json"]).stdout
        return json.loads(out)["cursor"]


def _retry_all(case):
    """Retries twice: the second time nothing changes."""
    first = case.run("retry", "--all", "--yes")
    check_equal(case.states(), ["retried"] * 2, f"states: {first}")
    check(all(x["closed_at"] for x in case.show()), "it is not said when")
    check("nothing to do" in case.run("retry", "--all", "--yes"), "the second time")
    check("nothing to do" in case.run("retry", str(case.show()[0]["id"]), "--yes"), "the same by its number")
    return first


@faults(ALL)
def letter_retried(d, how):
    """By a running daemon, which is asked over its socket: they come once, in order, under their ids, and the position stays."""
    case = Letters(d, how)
    r = daemon(case.path)
    r.wait_log("state running")
    before = case.cursor()
    _retry_all(case)
    check_equal(case.arrived(r), case.bad, "what came")
    if not case.source.get("as") and how[0] is not StreamShop:
        check_equal(case.cursor(), before, "the position")
    more = case.shop.insert(2)
    wait_ids(lambda: case.arrived(r), more)
    check_equal(case.arrived(r), case.bad + more, "what came in all")
    return alive(r)


@faults({"sqlite": ALL["sqlite"], "position": ALL["position"], "stream": ALL["stream"]})
def letter_retried_by_store(d, how):
    """The same without a socket: through the control row."""
    case = Letters(d, how, admin={"socket": ""})
    r = daemon(case.path)
    r.wait_log("state running")
    check("sent again: 2" in _retry_all(case), "the answer")
    check_equal(case.arrived(r), case.bad, "what came")
    return alive(r)


@faults(ALL)
def letter_retried_alone(d, how):
    """No daemon runs: the command does it, into batch files, whose numbers go on; a relay afterwards sends nothing twice."""
    case = Letters(d, how, sink={"type": "file", "dir": str(d / "out"), "rotate": {"interval": "200ms"}})
    out = case.run("retry", "--all")
    check("would retry 2" in out and case.states() == ["dead"] * 2, f"without --yes: {out}")
    answer = _retry_all(case)
    more = case.shop.insert(1)
    r = once(case.path)
    check_equal(case.arrived(r), case.good + case.bad + more, f"what came: {r.log}")
    bounds = [tuple(map(int, re.findall(r"\d{20}", f.name))) for f in sorted((d / "out").glob("*.jsonl"))]
    check_equal([a for a, _ in bounds], [1, *[b + 1 for _, b in bounds[:-1]]][:len(bounds)], f"numbers of the files: {bounds}")
    return Saw(r.poll(), answer)


@fault
def letter_alone_while_the_receiver_fails(d):
    """No daemon runs: a receiver that is down or busy for a moment is waited for, and no letter is blamed for it."""
    case, hook = Letters(d, ALL["sqlite"]), Webhook().start()
    before = [x["attempts"] for x in case.show()]
    case.sink = {"type": "http", "url": f"{hook.url}/hook"}
    case.config("*")
    hook.rules({"status": 500, "times": 2}, {"status": 429, "times": 2, "headers": {"Retry-After": "1"}})
    answer = _retry_all(case)
    check_equal(hook.ids(), case.bad, "what came")
    check_equal([x["attempts"] for x in case.show()], before, "attempts")
    return Saw(0, answer)


@faults({"sqlite": ALL["sqlite"], "position": ALL["position"]})
def letter_edited(d, how):
    """It comes as it was edited, under the same id, and the original is kept."""
    case = Letters(d, how)
    case.config("shop.order")  # its own topic is still not allowed
    first, second = (str(x["id"]) for x in case.show())
    (d / "payload").write_text('{"n": 1.50, "mended": true}')
    case.run("edit", first, "--topic", "shop.order", "--payload-file", str(d / "payload"), "--header", "trace=a=b")
    check("nothing was changed" in case.run("edit", first, "--topic", "shop.order"), "the same edit again")
    editor = {"EDITOR": "sed -i 's/shop.odd/shop.order/; s/: 2/: 20000000000000000000.10/'", "TMPDIR": str(d)}
    case.run("edit", second, env=editor)
    check("nothing was changed" in case.run("edit", second, env={"EDITOR": "true"}), "an editor that changes nothing")
    case.run("edit", second, env={"EDITOR": "false"}, code=74)
    case.run("edit", second, env={**editor, "EDITOR": "sed -i s/payload/payloads/"}, code=78)
    r = daemon(case.path)
    r.wait_log("state running")
    case.run("retry", "--all", "--yes")
    one, two = lines(r)
    check_equal([one["id"], two["id"]], case.bad, "ids")
    check_equal([one["topic"], two["topic"]], ["shop.order"] * 2, "topics")
    check_equal(one["headers"], {"trace": "a=b"}, "headers")
    sent = r.stdout.replace('\\"', '"')
    check('{"n": 1.50, "mended": true}' in sent and '{"n": 20000000000000000000.10}' in sent, f"bytes of the payloads: {sent}")
    letter = case.show(first)[0]
    check_equal((letter["topic"], letter["edited"]["topic"], letter["edits"]), ("shop.odd", "shop.order", 1), "the original")
    case.run("edit", first, "--topic", "x", code=64)
    return alive(r)


@faults({"sqlite": ALL["sqlite"], "delete": ALL["delete"], "stream": ALL["stream"]})
def letter_dropped(d, how):
    """With and without a daemon; what was dropped does not come."""
    case = Letters(d, how)
    first, second = (str(x["id"]) for x in case.show())
    out = case.run("drop", first, "--yes")
    check_equal(case.states(), ["dropped", "dead"], f"states: {out}")
    r = daemon(case.path)
    r.wait_log("state running")
    check("nothing to do" in case.run("drop", first, "--yes"), "the second time")
    case.run("drop", second, "--yes")
    check("nothing to do" in case.run("retry", "--all", "--yes"), "a retry of what was dropped")
    check_equal((case.states(), case.arrived(r)), (["dropped"] * 2, []), "states, and what came")
    check_equal(json.loads(proc.run(["status", "-c", case.path, "--json"]).stdout)["pipelines"][0]["dead_letters"], 0, "in status")
    return alive(r)


@fault
def letter_filters(d):
    case = Letters(d, ALL["sqlite"])
    first, second = (x["id"] for x in case.show())

    def listed(*args):
        return [x["id"] for x in json.loads(case.run("list", *args, "--json"))["dead_letters"]]
    check_equal(listed("--key", "k2"), [second], "--key")
    check_equal(listed("--type", "T"), [first, second], "--type")
    check_equal(listed("--type", "U"), [], "another type")
    check_equal(listed("--since", "1h"), [first, second], "--since")
    check_equal(listed("--since", "2999-01-01T00:00:00Z"), [], "--since a time to come")
    check_equal(listed("--reason", "shop.odd"), [first, second], "--reason")
    check_equal(listed("--reason", "too large"), [], "another reason")
    case.run("drop", "--all", "--key", "k2", "--yes")
    check_equal((listed(), listed("--all")), ([first], [first, second]), "open ones, and all")
    for wrong in (["retry"], ["retry", str(first), "--all"], ["retry", str(first), "--key", "k"], ["list", "--yes"], ["edit"],
                  ["list", "--since", "soon"], ["list", "--topic", "t"], ["edit", str(first), "--type", "t"], ["retry", "99", "--yes"]):
        case.run(*wrong, code=64)
    return Saw(0, case.run("list"))


@faults({"sqlite": ALL["sqlite"], "position": ALL["position"], "stream": ALL["stream"]})
def letter_refused_again(d, how):
    """It stays open, with the new reason and one attempt more; the daemon goes on."""
    case = Letters(d, how)
    case.config("*", max_event_bytes="1KiB")
    before = case.show()[0]
    (d / "payload").write_text(json.dumps("x" * 2000))
    case.run("edit", str(before["id"]), "--payload-file", str(d / "payload"))
    r = daemon(case.path)
    r.wait_log("state running")
    out = case.run("retry", str(before["id"]), "--yes", code=75)
    after = case.show()[0]
    check_equal((after["state"], after["attempts"]), ("dead", before["attempts"] + 1), "state and attempts")
    check("max_event_bytes" in after["reason"] and "not delivered" in out, f"{after['reason']}: {out}")
    alive(r)
    return Saw("runs", out)


@faults({f"{how}_{point}_{sink}": (how, point, sink) for how in ("sqlite", "position", "stream")
         for point in ("redrive_after_ack", "redrive_after_note") for sink in ("file", "stdout")})
def letter_killed(d, how):
    """kill -9 around the note that it was sent: nothing is lost; batch files have it once, others may have it twice under its id."""
    name, point, sink = how
    case = Letters(d, ALL[name], sink={"type": "file", "dir": str(d / "out"), "rotate": {"interval": "200ms"}} if sink == "file" else None, admin={"socket": ""})
    first = daemon(case.path, env={"COMMITRELAY_FAULT": f"{point}:kill"})
    first.wait_log("state running")
    waiting = start(["dead-letters", "retry", "-c", case.path, "--pipeline", "p", "--all", "--yes"])
    wait_for(lambda: not first.running, 30, f"the relay to reach {point}")
    r = daemon(case.path)
    wait_for(lambda: case.states() == ["retried"] * 2, 30, "the order to be obeyed after all")
    waiting.wait_exit(60)
    said = first.log + waiting.stdout
    more = case.shop.insert(1)
    if sink == "file":
        alive(r)
        once(case.path)
        check_equal(case.arrived(r), case.good + case.bad + more, "what the files hold")
        return Saw("runs", said + r.log)
    wait_ids(lambda: case.arrived(r), more)
    by_command = [json.loads(x)["id"] for x in waiting.stdout.splitlines() if x.startswith("{")]  # it found the lock free first
    got = case.arrived(first) + by_command + case.arrived(r)
    check_equal(list(dict.fromkeys(got)), case.bad + more, "what came, the repeated ones left out")
    check(len(got) <= 4, f"more than one came twice: {got}")
    alive(r)
    return Saw("runs", said + r.log)


@faults({"sqlite": ALL["sqlite"], "position": ALL["position"]})
def letters_removed(d, how):
    """After `keep`; never an open one."""
    case = Letters(d, how, dead_letters={"keep": "1s"})
    case.run("drop", str(case.show()[0]["id"]), "--yes")
    r = daemon(case.path)
    wait_for(lambda: case.states() == ["dead"], 20, "the dropped one to be removed")
    r.wait_log("removed 1 dead letter")
    return alive(r)


@faults({"sqlite": ALL["sqlite"], "postgres": ALL["position"]})
def letters_of_before(d, how):
    """An earlier version's tables: the commands change none; this version's relay does, and goes on with their letters."""
    case = Letters(d, how)
    letters = "commitrelay_dead_letters" if how[0] is SqliteShop else "commitrelay.dead_letters"
    statements = [f"alter table {letters} drop column {c}" for c in (
        "partition", "closed_at", "edited", "edited_topic", "edited_key", "edited_headers", "edited_payload", "edits", "parks")]
    if how[0] is SqliteShop:
        db = sqlite3.connect(case.shop.path)
        db.execute("drop index commitrelay_dead_letters_closed")
        db.execute("drop index commitrelay_dead_letters_parked")
        for s in statements:
            db.execute(s)
        db.commit()
        db.close()
    else:
        case.shop.sql("; ".join(statements))
        case.shop.sql("alter table commitrelay.control add constraint control_command_check check (command in ('set_position', 'pause', 'resume'))")
    case.run("list", code=78)
    r = daemon(case.path)
    r.wait_log("state running")
    _retry_all(case)
    check_equal(case.arrived(r), case.bad, "what came")
    return alive(r)


@faults({"sqlite": ALL["sqlite"], "position": ALL["position"]})
def letters_in_numbers(d, how):
    """More than one order takes, while the pipeline is paused."""
    case = Letters(d, how)
    case.config("shop.order", attempts=1)
    many = case.shop.insert(45, topic="odd")
    check_equal(once(case.path).poll(), 0, "exit code")
    case.config("*")
    r = daemon(case.path)
    r.wait_log("state running")
    proc.run(["pause", "-c", case.path, "--pipeline", "p"])
    out = case.run("retry", "--all", "--yes")
    check_equal(set(case.states()), {"retried"}, f"states: {out[-2000:]}")
    check_equal(case.arrived(r), case.bad + many, "what came, in order")
    proc.run(["resume", "-c", case.path, "--pipeline", "p"])
    fresh = case.shop.insert(1)
    wait_ids(lambda: case.arrived(r), fresh)
    return alive(r)


@faults({"sqlite_delete": ALL["sqlite_delete"], "delete": ALL["delete"]})
def letter_without_its_event(d, how):
    """Its row was too large to be read: it is not sent empty, but with the payload that it is given; the row is not read again."""
    case = Letters(d, how)
    case.config("*", max_event_bytes="10KiB")
    big = case.shop.insert(1, payload=json.dumps("x" * 100_000))
    check_equal(once(case.path).poll(), 0, "exit code")
    letter = str(case.show()[-1]["id"])
    r = daemon(case.path)
    r.wait_log("state running")
    before = case.show(letter)[0]
    out = case.run("retry", letter, "--yes", code=75)
    check("does not hold its event" in out, f"the answer: {out}")
    check_equal(case.show(letter)[0], before, "the letter")
    (d / "payload").write_text('"short"')
    case.run("edit", letter, "--payload-file", str(d / "payload"))
    case.run("retry", letter, "--yes")
    check_equal(case.arrived(r), big, "what came")
    alive(r)
    again = once(case.path)
    check_equal((again.poll(), case.arrived(again)), (0, []), f"another run: {again.log}")
    check_equal(case.shop.value(f"select count(*) from outbox where id = '{big[0]}'"), 1, "the row")
    return Saw("runs", r.log)


@fault
def letter_with_its_headers(d):
    """What a column gave is kept, also where the event never came to the encoding."""
    case = Letters(d, ALL["position"])
    case.shop.sql("alter table outbox add kind text default 'retail'")
    p = pipeline(case.shop.source(), poison="skip", topic="shop.{aggregatetype}", route={"allow_topics": ["none"]})
    p["encode"] = {"headers": ["id", {"column": "kind", "as": "k"}, {"value": "v", "as": "c"}]}
    fresh = case.shop.insert(1)
    check_equal(once(config(case.d, p)).poll(), 0, "exit code")
    p["route"]["allow_topics"] = ["*"]
    r = daemon(config(case.d, p))
    r.wait_log("state running")
    case.run("retry", str(case.show()[-1]["id"]), "--yes")
    check_equal([(e["id"], e["headers"]) for e in lines(r)], [(fresh[0], {"k": "retail", "c": "v"})], "what came")
    return alive(r)


@fault
def letters_kept_as_a_reload_says(d):
    """A changed `keep` counts from the reload on."""
    case = Letters(d, ALL["sqlite"])
    case.run("drop", "--all", "--yes")
    r = daemon(case.path)
    r.wait_log("state running")
    case.top = {"dead_letters": {"keep": "1s"}}
    case.config("*")
    r.signal(signal.SIGHUP)
    wait_for(lambda: case.states() == [], 20, "the dropped ones to be removed")
    return alive(r)


# --- texts that would steer a terminal ---

ESCAPES = "\x1b]0;x\x07\x1b[2J\nts=2026 level=error msg=\"forged\"\r\u009b2J\u202eabc\u2028\u2066"


def _looks_harmless(text, what):
    odd = [c for c in text if c != "\n" and (ord(c) < 32 or 127 <= ord(c) < 160 or c in "\u202e\u2028\u2066")]
    check_equal(odd, [], f"what a terminal would obey in {what}")
    check(not any(x.startswith("ts=2026 ") for x in text.split("\n")), f"a forged line in {what}:\n{text}")


def _name(text):
    return '"' + text.replace('"', '""') + '"'


def _shop_of_escapes(d, how):
    make, source = how
    if make is SqliteShop:
        return make(d)
    if source.get("as") == "changes":
        return make(f"create table {_name('t' + ESCAPES)} ({_name('id' + ESCAPES)} text primary key, topic text)", table=_name("t" + ESCAPES))
    return make((schema("postgres/status") if source.get("mode") == "status" else "") + "alter table outbox alter id drop default, alter id type text")


def _insert_escapes(shop, changes):
    """Into every column that an event's text can come from."""
    values = ["bad" + ESCAPES, "no" + ESCAPES, "k" + ESCAPES, "T" + ESCAPES, "{}", json.dumps({"h" + ESCAPES: "v" + ESCAPES})]
    columns = "(id, aggregatetype, aggregateid, type, payload, headers)"
    if isinstance(shop, SqliteShop):
        db = shop.connect()
        db.execute(f"insert into outbox {columns} values (?, ?, ?, ?, ?, ?)", values)
        db.close()
    elif changes:
        shop.sql(f"insert into {_name('t' + ESCAPES)} values (%s, %s)", *values[:2])
    else:
        shop.sql(f"insert into outbox {columns} values (%s, %s, %s, %s, %s, %s)", *values)


def _url(shop):
    return f"sqlite:{shop.path}" if isinstance(shop, SqliteShop) else shop.url()


def _look_everywhere(path, address):
    """What a person reads while the pipeline is blocked."""
    for name in ("readyz", "status"):
        _looks_harmless(page(address, name)[1], name)
    for words in (["status"], ["status", "--json"], ["check", "--connect"], ["position", "show"]):
        r = proc.run([*words, "-c", path], code=None)
        _looks_harmless(r.stdout + r.log, " ".join(words))


@faults({name: ALL[name] for name in ("sqlite", "position", "status", "delete", "stream", "changes")})
def terminal_escapes(d, how):
    """An event's own texts steer no terminal and forge no line, wherever a person reads them."""
    shop, address, source, changes = _shop_of_escapes(d, how), admin(), how[1], how[1].get("as") == "changes"

    def path(**more):
        p = pipeline(shop.source(**source), topic="{topic}" if changes else "{aggregatetype}", **more)
        if changes:
            p["encode"] = {"format": "flat"}
            p["source"].pop("table")
        return config(d, p, admin={"listen": address})
    stops = path()
    if how[0] is StreamShop:
        check_equal(once(stops).poll(), 0, "exit code of the run that makes the slot")
    _insert_escapes(shop, changes)
    r = daemon(stops)
    r.wait_log("can never be delivered")
    _look_everywhere(stops, address)
    _looks_harmless(alive(r).text, "the log of one that stops")
    if not how[0] is StreamShop and source.get("mode", "position") == "position":
        _looks_harmless(proc.run(["tail", "-n", "1", "--source", _url(shop)], code=None).log, "tail's warnings")
    r = once(path(poison="skip"))
    _looks_harmless(r.log, "the log")
    (letter,) = json.loads(proc.run(["dead-letters", "list", "--json", "-c", d / "relay.yaml", "--pipeline", "p"]).stdout)["dead_letters"]
    if changes:
        check_equal(json.loads(letter["key"]), {"id" + ESCAPES: "bad" + ESCAPES}, "the key for a program")
    else:
        check_equal((letter["event_id"], letter["key"]), ("bad" + ESCAPES, "k" + ESCAPES), "id and key for a program")
    for words, code in ((["list"], 0), (["list", "--json"], 0), (["show", "--all"], 0), (["retry", "--all"], 0), (["retry", "--all", "--yes"], 75),
                        (["drop", "--all", "--key", "k" + ESCAPES], 0), (["drop", "--all", "--yes"], 0)):
        got = proc.run(["dead-letters", *words, "-c", d / "relay.yaml", "--pipeline", "p"], code=code)
        _looks_harmless(got.stdout + got.log, f"dead-letters {words}")
    return ended(r)


@fault
def terminal_escapes_of_a_tail(d):
    """The next event of a stream, which has no sink that could refuse it."""
    shop = _shop_of_escapes(d, ALL["stream"])
    shop.sql("alter table outbox drop constraint outbox_id_key; create publication commitrelay_default for table outbox")
    r = start(["tail", "--cdc", "--table", "outbox", "--source", shop.url()])

    def printed():
        _insert_escapes(shop, False)  # until it has come so far that it sees one
        return r.stdout.endswith("\n")
    wait_for(printed, 30, "tail to print what is committed")
    r.signal(signal.SIGINT)
    check_equal(r.wait_exit(), 0, "exit code after SIGINT")
    _looks_harmless(r.log, "tail's warnings")
    check_equal(lines(r)[0]["id"], "bad" + ESCAPES, "the id for a program")
    return ended(r)


@fault
def terminal_escapes_of_a_server(d):
    """An error's text, which a trigger of the table chose."""
    shop, address = _shop_of_escapes(d, ALL["status"]), admin()
    shop.sql("create function no() returns trigger language plpgsql as $$ begin raise exception '%', tg_argv[0]; end $$")
    shop.sql("create trigger no before update on outbox for each row execute function no(%s)", "not today " + ESCAPES)
    path = config(d, pipeline(shop.source(mode="status")), admin={"listen": address})
    shop.sql("insert into outbox (id, aggregatetype, aggregateid, type, payload) values ('e', 'order', 'k', 'T', '{}')")
    r = daemon(path)
    r.wait_log("not today")
    _look_everywhere(path, address)
    saw = alive(r)
    _looks_harmless(saw.text, "the log")
    return saw


# --- Kafka ---

class KafkaLetters(Letters):
    """Two events that are too large for their topic, until its limit is raised; a topic of copies."""

    def __init__(self, d, brokers=None, exactly_once=False, **top):  # pylint: disable=super-init-not-called
        self.case = Case(d, config_={"max.message.bytes": 5000})
        self.copies = f"{self.case.topic}-copies"
        self.case.kafka.create_topic(self.copies)
        self.good = self.case.shop.insert(2)
        self.bad = self.case.shop.insert(1, key="k1", payload=json.dumps("x" * 20000)) + self.case.shop.insert(1, key="k2", payload=json.dumps("y" * 20000))
        p = pipeline(self.case.shop.source(), self.sink(brokers, exactly_once), topic=self.case.topic, poison="skip", attempts=1,
                     dead_letter_topic=self.copies)
        self.path = config(d, p, **top)
        r = once(self.path)
        check_equal((r.poll(), self.states()), (0, ["dead"] * 2), f"exit code and dead letters: {r.log}")
        self.case.kafka.set_config(self.case.topic, {"max.message.bytes": 1000000})

    def sink(self, brokers, exactly_once):
        sink = self.case.sink(brokers, PROVOKED if brokers else "60s")
        t = self.case.topic
        return {**sink, "exactly_once": True, "transactional_id": f"id-{t}", "position_topic": f"position-{t}"} if exactly_once else sink

    def headers(self, topic):
        return [{k: v.decode() for k, v in r.headers} for r in self.case.kafka.consume_all(topic)]


@faults({"daemon": (True, False), "alone": (False, False), "alone_exactly_once": (False, True)})
def letter_to_kafka(d, how):
    """They come with key and headers, once; each copy says why it is one."""
    running, exactly_once = how
    letters = KafkaLetters(d, exactly_once=exactly_once)
    r = daemon(letters.path) if running else None
    if r:
        r.wait_log("state running")
    out = _retry_all(letters)
    got = [x for x in letters.case.records() if dict(x.headers)["id"].decode() in letters.bad]
    check_equal([(dict(x.headers)["id"].decode(), x.key, dict(x.headers)["type"], len(x.value)) for x in got],
                [(letters.bad[0], b"k1", b"T", 20002), (letters.bad[1], b"k2", b"T", 20002)], "what came")
    copies = letters.headers(letters.copies)
    check_equal([c["id"] for c in copies], letters.bad, "ids of the copies")
    check(all(c["x-dead-letter-reason"] and c["x-dead-letter-topic"] == letters.case.topic for c in copies), f"headers of the copies: {copies}")
    if r:
        alive(r)
    return Saw(0, out)


@faults({"at_least_once": False, "exactly_once": True})
def letter_killed_with_kafka(d, exactly_once):
    letters = KafkaLetters(d, exactly_once=exactly_once, admin={"socket": ""})
    first = daemon(letters.path, env={"COMMITRELAY_FAULT": "redrive_after_ack:kill"})
    first.wait_log("state running")
    waiting = start(["dead-letters", "retry", "-c", letters.path, "--pipeline", "p", "--all", "--yes"])
    wait_for(lambda: not first.running, 30, "the relay to reach the fault point")
    r = daemon(letters.path)
    wait_for(lambda: letters.states() == ["retried"] * 2, 60, "the order to be obeyed after all")
    waiting.wait_exit(60)
    records = letters.case.kafka.consume_all(letters.case.topic, "read_committed")
    got = [i for i in (dict(r.headers)["id"].decode() for r in records) if i in letters.bad]
    check_equal(list(dict.fromkeys(got)), letters.bad, "what came, the repeated one left out")
    check_equal(got.count(letters.bad[0]), 1 if exactly_once else 2, "times that came what was not noted")
    alive(r)
    return Saw("runs", first.log + waiting.stdout + r.log)


@fault
def letter_while_kafka_is_away(d):
    """It is not delivered, which is said; it stays open, and can be sent when the broker is back."""
    case = broker()
    letters = KafkaLetters(d, broker().proxied_bootstrap)
    r = daemon(letters.path)
    r.wait_log("state running")
    before = letters.show()[0]
    case.proxy.refuse()
    try:
        out = letters.run("retry", "--all", "--yes", code=75)
        first, second = letters.show()
        check_equal((first["state"], first["attempts"]), ("dead", before["attempts"] + 1), "state and attempts of the one that was tried")
        check_equal((second["state"], second["attempts"]), ("dead", before["attempts"]), "those of the other")
        out += letters.run("retry", "--all", "--yes", code=75)
        check_equal(letters.show()[1]["attempts"], before["attempts"], "attempts of one that was not tried")
    finally:
        case.proxy.heal()
    wait_for(lambda: "back after" in r.log or "state running" in r.log.split("state retrying")[-1], 60, "the sink to be back")
    wait_for(lambda: "sent again: 2" in letters.run("retry", "--all", "--yes", code=None), 60, "the letters to be sent")
    alive(r)
    return Saw("runs", out)
