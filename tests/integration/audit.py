#!/usr/bin/python3
"""The audit log: each act gives exactly one line that says who did what, before and after, and no line shows what a message holds.

    audit.py [NAME...]     only these checks
"""
import hashlib
import json
import os
import pwd
import re
import signal

from support.arrivals import ids, wait_ids
from support.cases import case, main
from support.proc import check, check_equal, run, tempdir, wait_for
from support.relaying import config, daemon, once, pipeline
from support.shop import PostgresShop, SqliteShop, StreamShop

OK, IO, CONFIG = 0, 74, 78
SECRET, VALUE, KEY = "s3cretpassword", "a value of a message", "anna@example.org"  # what no line may hold


def me():
    """What a line says of who this test runs as."""
    uid = os.getuid()
    try:
        return {"uid": uid, "user": pwd.getpwuid(uid).pw_name}
    except KeyError:
        return {"uid": uid}


class Log:
    """The lines of an audit log that were not looked at yet."""

    def __init__(self, d, name="audit.log"):
        self.path, self._seen = d / name, 0
        self.conf = {"path": str(self.path)}

    def all(self):
        if not self.path.exists():
            return []
        text = self.path.read_text()
        check(text == "" or text.endswith("\n"), "the last line is not whole")
        rows = [json.loads(x) for x in text.splitlines()]
        for r in rows:
            check_equal(sorted(r), ["after", "before", "event", "pipeline", "time", "who"], "what a line has")
            check(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", r["time"]), f"the time of {r}")
        for hidden in (SECRET, VALUE, KEY):
            check(hidden not in text, f"the log shows {hidden}: {text}")
        return rows

    def new(self):
        rows = self.all()[self._seen:]
        self._seen += len(rows)
        return rows

    def one(self, event, pipeline="p", who=None, **facts):
        """Exactly one line has come, and it is this one; before and after hold at least these."""
        rows = self.new()
        check_equal([(r["event"], r["pipeline"], r["who"]) for r in rows], [(event, pipeline, who or me())], f"the line of {event}")
        for side, wanted in facts.items():
            have = rows[0][side]
            check_equal({k: v for k, v in (have or {}).items() if k in (wanted or {})} if wanted else have, wanted, f"{event}: {side}")
        return rows[0]

    def none(self, what):
        check_equal(self.new(), [], what)


def shop_of(d):
    shop = SqliteShop(d)
    shop.insert(3, key=KEY, payload=json.dumps({"v": VALUE}))
    return shop


def on(path, *words, code=OK, **how):
    return run([*words[:2 if words[0] in ("position", "dead-letters") else 1], "-c", path, "--pipeline", "p",
                *words[2 if words[0] in ("position", "dead-letters") else 1:]], code=code, timeout=90, **how)


def running(path, **how):
    r = daemon(path, **how)
    r.wait_log("state running")
    return r


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


# --- the daemon ---

@case
def start_reload_and_stop(d):
    shop, log = shop_of(d), Log(d)
    first = pipeline(shop.source())
    path = config(d, first, audit=log.conf)
    r = running(path)
    began = log.new()
    check_equal([(x["event"], x["pipeline"], x["who"]) for x in began], [("start", None, me()), ("config", None, me())], "the start")
    check_equal((began[0]["after"]["pid"], began[1]["after"]), (r.pid, {"path": str(path), "sha256": sha256(path)}), "what it says")
    check_equal(oct(log.path.stat().st_mode & 0o7777), "0o640", "its mode")
    old = sha256(path)
    config(d, {**first, "route": {"topic": "others"}}, audit=log.conf)
    r.signal(signal.SIGHUP)
    r.wait_log("reloaded ")
    log.one("config", None, before={"sha256": old}, after={"sha256": sha256(path)})
    path.write_text("nonsense")
    r.signal(signal.SIGHUP)
    r.wait_log("reload refused")
    check_equal(r.stop(), OK, "its end")
    log.one("stop", None, before={"pid": r.pid}, after={"exit_code": 0})


@case
def an_end_of_its_own_names_the_daemon(d):
    shop, log = shop_of(d), Log(d)
    path = config(d, pipeline(shop.source()), audit=log.conf)
    check_equal(once(path).poll(), OK, "its end")
    check_equal([x["who"] for x in log.new()], [me(), me(), "daemon"], "who")
    path = config(d, pipeline({**shop.source(), "path": str(d / "missing.db")}), audit=log.conf)
    r = once(path)
    check_equal(log.new()[-1]["after"], {"exit_code": r.poll()}, "an end in failure")


@case
def a_reload_moves_the_log(d):
    shop, one, two = shop_of(d), Log(d, "one.log"), Log(d, "two.log")
    p = pipeline(shop.source())
    path = config(d, p, audit=one.conf)
    r = running(path)
    one.new()
    config(d, p, audit=two.conf)
    r.signal(signal.SIGHUP)
    r.wait_log("reloaded ")
    two.one("config", None)
    config(d, p, audit={"path": str(d / "no" / "such" / "audit.log")})
    r.signal(signal.SIGHUP)
    r.wait_log("reload refused.*audit.path .*/no/such/audit.log cannot be opened")
    on(config(d, p, audit=two.conf), "pause")
    two.one("pause")
    one.none("in the log of before")


@case
def made_and_dropped_on_the_server(d):
    shop, log = PostgresShop(), Log(d)
    source = {"type": "cdc_postgres", "url": shop.url(), "slot": f"{shop.name}_audit", "publication": f"{shop.name}_pub", "as": "outbox",
              "create_publication": True}
    r = running(config(d, pipeline(source), audit=log.conf))
    rows = log.new()[2:]
    check_equal([(x["event"], x["pipeline"], x["who"]) for x in rows],
                [("publication_made", "p", "daemon"), ("slot_made", "p", "daemon")], "what was made")
    check_equal((rows[0]["after"], rows[1]["after"]["slot"]), ({"publication": f"{shop.name}_pub"}, f"{shop.name}_audit"), "their names")
    check(re.fullmatch(r"[0-9A-F]+/[0-9A-F]+", rows[1]["after"]["position"]), f"where the slot begins: {rows[1]}")
    r.stop()
    r = running(config(d, pipeline(source), audit=log.conf))
    check_equal([x["event"] for x in log.new()], ["stop", "start", "config"], "a start that makes nothing")


@case
def a_lost_slot_is_made_again(d):
    """Somebody else dropped it, so the relay only says that it made one."""
    shop, log = StreamShop(), Log(d)
    source = shop.source(**{"as": "changes", "snapshot": "initial", "on_lost_slot": "resnapshot"})
    path = config(d, {**pipeline(source), "encode": {"format": "flat"}}, audit=log.conf)
    check_equal(once(path).poll(), OK, "the run that makes the slot")
    check_equal([x["event"] for x in log.new()], ["start", "config", "slot_made", "stop"], "the first run")
    shop.sql("select pg_drop_replication_slot(%s)", shop.name)
    check_equal(once(path).poll(), OK, "the run that makes it again")
    check_equal([x["event"] for x in log.new()], ["start", "config", "slot_made", "stop"], "the second run")


# --- orders ---

def _orders(d, shop, log, path, relay):
    """Pause, resume and set position, by whatever way the configuration leaves open."""
    on(path, "pause")
    log.one("pause", before={"paused": "no"}, after={"paused": "yes"})
    on(path, "pause")
    log.one("pause", before={"paused": "yes"}, after={"paused": "yes"})
    on(path, "resume")
    log.one("resume", before={"paused": "yes"}, after={"paused": "no"})
    was = json.loads(on(path, "position", "show", "--json").stdout)["position"]
    on(path, "position", "set", "beginning")
    log.none("without --yes")
    on(path, "position", "set", "beginning", "--yes")
    log.one("position_set", before={"position": was})
    on(path, "position", "set", "nonsense", "--yes", code=CONFIG)
    log.none("a position that is refused")
    if relay:
        wait_ids(lambda: ids(relay)[3:], shop.ids)  # and all comes again


@case
def orders_over_the_socket(d):
    shop, log = shop_of(d), Log(d)
    path = config(d, pipeline(shop.source()), audit=log.conf)
    r = running(path)
    shop.wait_saved()
    log.new()
    _orders(d, shop, log, path, r)


@case
def orders_through_the_store(d):
    for make in (shop_of, lambda _: PostgresShop()):
        here = d / make.__name__.strip("<>")
        here.mkdir()
        shop, log = make(here), Log(here)
        path = config(here, pipeline(shop.source()), audit=log.conf, admin={"socket": ""})
        if not shop.ids:
            shop.insert(3, key=KEY, payload=json.dumps({"v": VALUE}))
        r = running(path)
        wait_for(lambda s=shop: s.value(f"select delivered from {s.positions}") == 3, 30, "all to be saved")
        log.new()
        _orders(here, shop, log, path, r)
        r.stop()
        check_equal(log.new()[-1]["event"], "stop", "the end")


@case
def orders_without_a_daemon(d):
    shop, log = shop_of(d), Log(d)
    path = config(d, pipeline(shop.source()), audit=log.conf)
    once(path)
    log.new()
    _orders(d, shop, log, path, None)


@case
def a_row_of_an_earlier_version_names_nobody(d):
    """It has no word of who gave the order; nor can a row claim to be the daemon."""
    shop, log = shop_of(d), Log(d)
    path = config(d, pipeline(shop.source()), audit=log.conf)
    running(path)
    log.new()
    for who in ("", "daemon", "0"):
        shop.script(f"insert into commitrelay_control (pipeline, command, who) values ('p', 'pause', '{who}')")
        wait_for(lambda: shop.value("select count(*) from commitrelay_control where acknowledged = 0") == 0, 30, "it to be obeyed")
        log.one("pause", who={"uid": 0} if who == "0" else "unknown")


# --- dead letters ---

def letters_of(d, log, **top):
    """Four open dead letters of p, among which two differ in nothing that is looked at here."""
    shop = SqliteShop(d)
    shop.insert(4, key=KEY, payload=json.dumps({"v": VALUE}), topic="odd")
    p = pipeline(shop.source(), poison="skip", route={"allow_topics": ["shop.order"]})
    p["route"]["topic"] = "shop.{aggregatetype}"
    check_equal(once(config(d, p, **top)).poll(), OK, "the run that makes them")
    p["route"]["allow_topics"] = ["shop.order", "shop.well"]
    path = config(d, p, audit=log.conf, **top)
    out = on(path, "dead-letters", "show", "--all", "--json").stdout
    return path, [x["id"] for x in json.loads(out)["dead_letters"]]


def _work_with_letters(path, log, letters):
    def letter(n, state):
        return {"dead_letter": letters[n], "state": state}
    on(path, "dead-letters", "edit", str(letters[0]), "--topic", "shop.well", "--header", f"h={SECRET}")
    log.one("dead_letter_edit", before={"edited": "", "edits": 0}, after={"dead_letter": letters[0], "edited": "topic headers", "edits": 1})
    on(path, "dead-letters", "edit", str(letters[0]), "--topic", "shop.well")
    log.none("an edit that changes nothing")
    on(path, "dead-letters", "retry", str(letters[0]))
    log.none("without --yes")
    on(path, "dead-letters", "retry", str(letters[0]), "--yes")
    log.one("dead_letter_retry", before=letter(0, "dead"), after=letter(0, "retried"))
    on(path, "dead-letters", "retry", str(letters[0]), "--yes")
    log.none("the same once more")
    on(path, "dead-letters", "retry", str(letters[1]), "--yes", code=75)
    log.one("dead_letter_retry", before=letter(1, "dead"), after=letter(1, "dead"))
    on(path, "dead-letters", "drop", str(letters[1]), str(letters[2]), "--yes")
    rows = log.new()
    check_equal([(x["event"], x["who"], x["before"], x["after"]) for x in rows],
                [("dead_letter_drop", me(), letter(n, "dead"), letter(n, "dropped")) for n in (1, 2)], "a line for each")


@case
def dead_letters_over_the_socket(d):
    log = Log(d)
    path, letters = letters_of(d, log)
    running(path)
    log.new()
    _work_with_letters(path, log, letters)


@case
def dead_letters_through_the_store(d):
    log = Log(d)
    path, letters = letters_of(d, log, admin={"socket": ""})
    running(path)
    log.new()
    _work_with_letters(path, log, letters)


@case
def dead_letters_without_a_daemon(d):
    log = Log(d)
    path, letters = letters_of(d, log)
    _work_with_letters(path, log, letters)


# --- what commands do by themselves ---

@case
def prune_replay_and_forget(d):
    shop, log = shop_of(d), Log(d)
    path = config(d, pipeline(shop.source()), audit=log.conf)
    once(path)
    log.new()
    on(path, "replay", "--key", KEY, "--dry-run")
    log.none("a dry run")
    on(path, "replay", "--key", KEY)
    rows = log.new()
    check_equal([(x["event"], x["pipeline"], x["who"]) for x in rows], [("replay_start", "p", me()), ("replay_end", "p", me())], "a replay")
    name = rows[0]["after"]["replay"]
    check_equal(rows[0]["after"], {"replay": name, "by": "key", "events": 3, "resumed": "no"}, "its start")
    check_equal((rows[1]["before"], rows[1]["after"]), ({"replay": name},
                {"replay": name, "ended": "whole", "delivered": 3, "dead_letters": 0}), "its end")
    on(path, "prune", "--older-than", "0s", "--dry-run")
    log.none("a dry run")
    on(path, "prune", "--older-than", "0s")
    log.one("prune", after={"table": "outbox", "older_than_s": 0, "removed": 3})
    on(path, "position", "forget")
    log.none("without --yes")
    on(path, "position", "forget", "--yes")
    log.one("position_forget", before={"delivered": 3, "dead_letters": 0}, after=None)


@case
def the_daemon_prunes(d):
    shop, log = shop_of(d), Log(d)
    source = shop.source(prune={"older_than": "1s", "every": "1s"})
    running(config(d, pipeline(source), audit=log.conf))
    wait_for(lambda: shop.value("select count(*) from outbox") == 0, 60, "the rows to be gone")
    rows = wait_for(lambda: log.all()[2:], 10, "the line")
    check_equal({(x["event"], x["who"]) for x in rows}, {("prune", "daemon")}, "who prunes")
    check_equal(sum(x["after"]["removed"] for x in rows), 3, "rows in all")


# --- the file ---

@case
def a_rotation(d):
    """The file is renamed, then the relay is told: what comes between the two goes into the renamed one."""
    shop, log = shop_of(d), Log(d)
    path = config(d, pipeline(shop.source()), audit=log.conf)
    r = running(path)
    log.new()
    old = d / "audit.log.1"
    log.path.rename(old)
    on(path, "pause")
    check_equal(json.loads(old.read_text().splitlines()[-1])["event"], "pause", "the line in the renamed file")
    r.signal(signal.SIGUSR1)
    wait_for(log.path.exists, 30, "a new file")
    check_equal(oct(log.path.stat().st_mode & 0o7777), "0o640", "its mode")
    fresh = Log(d)
    on(path, "resume")
    fresh.one("resume")
    check_equal(len(old.read_text().splitlines()), 3, "lines of the renamed file")
    check(r.running, "the relay ended")


@case
def a_signal_without_a_log(d):
    shop = shop_of(d)
    r = running(config(d, pipeline(shop.source())))
    r.signal(signal.SIGUSR1)
    wait_ids(lambda: ids(r), shop.ids)
    shop.insert(1)
    wait_ids(lambda: ids(r), shop.ids)
    check_equal(r.stop(), OK, "its end")


@case
def an_act_that_cannot_be_noted_is_not_done(d):
    shop = shop_of(d)
    good = config(d, pipeline(shop.source()))
    once(good)
    before = (shop.cursor, shop.value("select paused from commitrelay_positions"))
    planted, open_to_all, victim = d / "planted", d / "open", d / "victim"
    planted.symlink_to(victim)
    open_to_all.touch()
    open_to_all.chmod(0o666)
    cases = {planted: (CONFIG, "is a symbolic link, which is not followed"), open_to_all: (CONFIG, "world-writable"),
             d / "no" / "such": (IO, "No such file or directory"), d: (IO, "Is a directory")}
    words = (["pause"], ["position", "set", "beginning", "--yes"], ["prune", "--older-than", "0s"], ["position", "forget", "--yes"],
             ["replay", "--from-position", "beginning"])
    for where, (code, cause) in cases.items():
        path = config(d, pipeline(shop.source()), audit={"path": str(where)})
        for w in words:
            r = on(path, *w, code=code)
            check(str(where) in r.log and cause in r.log and r.stdout == "" or w[:2] == ["position", "set"], f"{w}: {r.stdout}{r.log}")
        r = once(path)
        check_equal((r.poll(), r.stdout), (code, ""), f"a daemon with {where}")
        check(str(where) in r.log and cause in r.log, f"what it says: {r.log}")
    check(not victim.exists(), "something was made through the link")
    check_equal((shop.cursor, shop.value("select paused from commitrelay_positions")), before, "what is stored")
    check_equal(shop.value("select count(*) from outbox"), 3, "the rows")
    check_equal(once(good).stdout, "", "what a refused command left for the next relay to obey")


@case
def a_relative_path_starts_where_the_store_does(d):
    shop = shop_of(d)
    state = d / "state"
    state.mkdir()
    path = config(d, pipeline(shop.source()), audit={"path": "audit.log"})
    r = running(path, env={"STATE_DIRECTORY": str(state)}, cwd=d)
    log = Log(state)
    check_equal([x["event"] for x in log.new()], ["start", "config"], "in $STATE_DIRECTORY")
    r.kill9()
    on(path, "pause", env={"STATE_DIRECTORY": str(state)}, cwd="/")
    log.one("pause")


@case
def secrets_stay_out(d):
    """The log is searched for them with each look (Log.all); here they are where they could come from."""
    shop, log = PostgresShop(), Log(d)
    shop.sql(f"create role r_{shop.name} login superuser password '{SECRET}'")
    url = shop.url(user=f"r_{shop.name}:{SECRET}")
    path = config(d, pipeline({**shop.source(), "url": url}), audit=log.conf)
    shop.insert(3, key=KEY, payload=json.dumps({"v": VALUE}))
    r = running(path)
    wait_ids(lambda: ids(r), shop.ids)
    on(path, "pause")
    on(path, "resume")
    on(path, "position", "set", "beginning", "--yes")
    r.stop()
    on(path, "replay", "--id", shop.ids[0])
    events = [x["event"] for x in log.new()]
    check_equal(events, ["start", "config", "pause", "resume", "position_set", "stop", "replay_start", "replay_end"], "its lines")
    check(shop.ids[0] not in log.path.read_text(), "the id of an event")


main(lambda: tempdir("audit"))
