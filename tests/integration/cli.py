#!/usr/bin/python3
"""Every command but `run` through the built binary, against a real PostgreSQL and against SQLite files.

    cli.py [NAME...]     only these checks
"""
import itertools
import json
import os
import re
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import uuid

from support import pg, proc
from support.proc import check, check_equal, run, wait_for
from support.relaying import freeze, thaw

OK, USAGE, LOST, GAVE_UP, PERMISSION, CONFIG = 0, 64, 69, 75, 77, 78
_checks = []


def case(fn):
    _checks.append(fn)
    return fn


class Engine:
    """One database under test: how it is named to the commands, and how the test looks into it by itself."""

    def __init__(self, root):
        self.dir = proc.tempdir(self.name)
        self.config_path = self.dir / "relay.yaml"

    def config(self, sink=None, source=None, route=None, delivery=None, admin=None, mode=None, mask=None):
        pipeline = {"name": "orders", "source": {**self.source, **({"mode": mode} if mode else {}), **(source or {})},
                    "sink": sink or {"type": "stdout"}, "delivery": delivery or {}}
        if route:
            pipeline["route"] = route
        if mask:
            pipeline["mask"] = mask
        top = {"pipelines": [pipeline], "store": {"lease": proc.NO_LEASE}}
        if admin:
            top["admin"] = {"listen": admin}
        self.config_path.write_text(json.dumps(top))  # YAML holds JSON
        return self.config_path

    def command(self, *args, code=OK, env=None):
        return run(args, env=env, code=code, cwd=self.dir)

    def on(self, *args, code=OK):
        """A command that takes the configuration; the words before `-c`."""
        return self.command(*args[:1], "-c", self.config_path, *args[1:], code=code)

    def init(self, *more):
        return self.command("init", "--source", self.url, *more)

    def init_refused(self, *more):
        return self.command("init", "--source", self.url, *more, code=USAGE)

    def emit(self, count, *more):
        return self.command("emit", "--source", self.url, "--count", count, *more)

    def daemon(self):
        return proc.Relay(["run", "-c", self.config_path], cwd=self.dir)

    def status(self, code=OK):
        (row,) = json.loads(self.on("status", "--json", code=code).stdout)["pipelines"]
        return row

    def position(self):
        return json.loads(self.on("position", "show", "--json").stdout)

    def unanswered(self):
        """Commands that the next daemon would obey."""
        table = "commitrelay_control WHERE acknowledged = 0" if isinstance(self, Sqlite) else \
            "commitrelay.control WHERE acknowledged_at IS NULL"
        return self.sql(f"SELECT count(*) FROM {table}")[0][0]

    def stored_state(self):
        return self.sql(f"SELECT state FROM {'commitrelay_' if isinstance(self, Sqlite) else 'commitrelay.'}positions")[0][0]

    def history(self, *more):
        return json.loads(self.on("position", "history", "--json", *more).stdout)

    def age_history(self, hours):
        """All lines become so much older; a save may add the next one at once."""
        if isinstance(self, Sqlite):
            self.sql(f"UPDATE commitrelay_history SET at_us = at_us - {hours} * 3600000000")
        else:
            self.sql(f"UPDATE commitrelay.history SET at = at - interval '{hours} hours'")

    def drain(self):
        r = proc.Relay(["run", "-c", self.config_path, "--until-idle"], cwd=self.dir)
        check_equal(r.wait_exit(30), OK, "run --until-idle")
        return [json.loads(line) for line in r.stdout.splitlines()]


class Sqlite(Engine):
    name = "sqlite"
    client = "sqlite3"

    def __init__(self, server):
        super().__init__(server)
        self.path = self.dir / "shop.db"
        self.url = f"sqlite:{self.path}"
        self.source = {"type": "outbox_sqlite", "path": str(self.path)}

    def sql(self, text, *params):
        db = sqlite3.connect(self.path, timeout=120, isolation_level=None)
        try:
            return db.execute(text, params).fetchall()
        finally:
            db.close()

    def may_write(self):
        db = sqlite3.connect(self.path, timeout=0, isolation_level=None)
        try:
            db.execute("BEGIN EXCLUSIVE")
            return True
        except sqlite3.OperationalError:
            return False
        finally:
            db.close()

    def client_runs(self, script):
        return subprocess.run(["sqlite3", "-bail", str(self.path)], input=script, capture_output=True, text=True)

    def tables(self):
        return {n for (n,) in self.sql("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")}

    RELAY = {"commitrelay_meta", "commitrelay_positions", "commitrelay_history", "commitrelay_control", "commitrelay_dead_letters",
             "commitrelay_replays", "commitrelay_pruned"}

    def insert(self, aggregatetype, key, payload="{}"):
        self.sql("INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload) VALUES (?, ?, ?, 'T', ?)", str(uuid.uuid4()),
                 aggregatetype, key, payload)


class Postgres(Engine):
    name = "postgres"
    client = "psql"
    _count = 0

    def __init__(self, server):
        super().__init__(server)
        Postgres._count += 1
        self.server = server
        self.db = server.createdb(f"cli{Postgres._count}")
        self.url = server.url(self.db)
        self.source = {"type": "outbox_postgres", "url": self.url}

    def sql(self, text, *params):
        return self.server.sql(text, *params, dbname=self.db)

    def may_write(self):
        return True  # at rest it has no transaction open

    def client_runs(self, script):
        return self.server.psql(self.url, script)

    def tables(self):
        return {n for (n,) in self.sql("SELECT CASE schemaname WHEN 'public' THEN '' ELSE schemaname || '.' END || tablename FROM pg_tables"
                                       " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')")}

    RELAY = {"commitrelay.positions", "commitrelay.history", "commitrelay.control", "commitrelay.dead_letters", "commitrelay.replays",
             "commitrelay.pruned"}

    def insert(self, aggregatetype, key, payload="{}"):
        self.sql("INSERT INTO outbox (aggregatetype, aggregateid, type, payload) VALUES (%s, %s, 'T', %s)", aggregatetype, key, payload)


def printed(relay):
    """The whole lines on its standard output so far."""
    return relay.stdout.split("\n")[:-1]


def numbers_have_no_gap(events):
    """The payload's n counts 1, 2, 3 ... within each key."""
    last = {}
    for e in events:
        p = e["payload"] if isinstance(e["payload"], dict) else json.loads(e["payload"])
        check_equal(p["n"], last.get(e["key"], 0) + 1, f"n of {e['key']}")
        last[e["key"]] = p["n"]


# --- init ---

@case
def init_twice(e):
    e.init()
    e.emit(3)
    e.init()
    check_equal(e.tables(), {"outbox"} | e.RELAY, "tables after init")
    check_equal(e.sql("SELECT count(*) FROM outbox"), [(3,)], "rows after a second init")


@case
def init_chooses_the_journal_mode_of_a_new_database_only(e):
    if not isinstance(e, Sqlite):
        return
    for there in (False, True):  # no file; an empty one
        if there:
            e.path.touch()
        e.init()
        check_equal(e.sql("PRAGMA journal_mode"), [("wal",)], "the mode of a database that init made")
        e.config()
        check("NOTE" not in e.on("check", "--connect").stdout, "check has a note on what init made")
        for file in e.dir.glob("shop.db*"):
            file.unlink()
    e.sql("CREATE TABLE orders (id)")
    e.init()
    check_equal(e.sql("PRAGMA journal_mode"), [("delete",)], "the mode of the application's own database")


@case
def init_print_is_what_the_client_runs(e):
    script = e.init("--print", "--table", 'a"; drop table x;--').stdout
    check(not (isinstance(e, Sqlite) and e.path.exists()), "--print made the file")
    for _ in range(2):
        r = e.client_runs(script)
        check(r.returncode == 0 and not r.stderr, f"{e.client}: {r.returncode} {r.stderr}")
    check_equal(e.tables(), {'a"; drop table x;--'} | e.RELAY, "tables after the printed SQL")
    e.command("emit", "--source", e.url, "--table", 'a"; drop table x;--', "--count", 2)
    lines = e.command("tail", "--source", e.url, "--table", 'a"; drop table x;--', "-n", 9).stdout.splitlines()
    check_equal(len(lines), 2, "events in a table with a hostile name")


@case
def init_inbox_only(e):
    e.init("--inbox")
    e.init("--inbox")
    check_equal(e.tables(), {"inbox"}, "tables after init --inbox")
    e.command("init", "--source", e.url, "--inbox", "--table", "x", code=USAGE)


@case
def init_inbox_print_is_what_the_client_runs(e):
    script = e.init("--inbox", "--print").stdout
    check(not (isinstance(e, Sqlite) and e.path.exists()), "--print made the file")
    for _ in range(2):
        r = e.client_runs(script)
        check(r.returncode == 0 and not r.stderr, f"{e.client}: {r.returncode} {r.stderr}")
    check_equal(e.tables(), {"inbox"}, "tables after the printed SQL")
    e.sql(CLAIM[e.name])
    e.init("--inbox")
    check_equal(e.sql("SELECT consumer, event_id FROM inbox"), [("billing", "e-1")], "claims after another init")


@case
def init_inbox_names_a_table_that_is_none(e):
    """Without the key no claim would be refused; without received_at none would ever be pruned."""
    for columns in ("consumer text, event_id text, received_at timestamptz", "consumer text, event_id text, PRIMARY KEY (consumer, event_id)",
                    "id integer PRIMARY KEY"):
        e.sql(f"CREATE TABLE inbox ({columns})")
        log = e.command("init", "--source", e.url, "--inbox", code=CONFIG).log
        check("a table inbox was there already" in log and "rename it" in log, f"no word of the table with {columns}: {log}")
        check_equal(e.tables(), {"inbox"}, "tables after a refused init")
        e.sql("DROP TABLE inbox")


CLAIM = {"postgres": "SELECT inbox_claim('billing', 'e-1')", "sqlite": "INSERT INTO inbox (consumer, event_id) VALUES ('billing', 'e-1')"}
AGED = {"postgres": "INSERT INTO inbox SELECT c, 'e-' || n, now() - n * interval '1 hour' FROM unnest('{a,b}'::text[]) c, generate_series(1, 48) n",
        "sqlite": "WITH RECURSIVE h(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM h WHERE n < 48) INSERT INTO inbox SELECT c.v, 'e-' || n,"
                  " strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-' || n || ' hours') FROM h, (SELECT 'a' v UNION ALL SELECT 'b') c"}


@case
def prune_inbox(e):
    """What is older than a day goes, of one consumer or of all, in steps of a few rows."""
    def command(*more, code=OK):
        return e.command("prune", "--source", e.url, "--inbox", *more, code=code)
    e.init()
    check("commitrelay init --inbox" in command("--older-than", "1d", code=CONFIG).log, "a missing inbox is not named")
    e.init("--inbox")
    e.sql(AGED[e.name])
    check("say which rows may go" in command(code=USAGE).log, "no word of --older-than")
    check("leave -c and --pipeline out" in command("-c", "x", "--older-than", "1d", code=USAGE).log, "-c with --inbox")
    check("are for --inbox" in e.command("prune", "--source", e.url, "--older-than", "1d", code=USAGE).log, "--source without --inbox")
    # Hour 24 has just become older than a day.
    steps = ("--older-than", "1d", "--batch", 7, "--pause", "0ms")
    check_equal(command(*steps, "--dry-run").stdout, "inbox: would remove 50 claims that are older than 1d\n", "a dry run")
    check_equal(e.sql("SELECT count(*) FROM inbox"), [(96,)], "claims after a dry run")
    check_equal(command("--older-than", "1d", "--batch", 40, "--consumer", "a").stdout, "inbox: removed 25 claims of consumer a that are older than 1d\n", "one consumer")
    check_equal(command(*steps, "--consumer", "nobody").stdout, "inbox: removed 0 claims of consumer nobody that are older than 1d\n", "nobody")
    check_equal(e.command("prune", "--inbox", *steps, env={"COMMITRELAY_SOURCE": e.url}).stdout,
                "inbox: removed 25 claims that are older than 1d\n", "all of them")
    check_equal(e.sql("SELECT consumer, count(*) FROM inbox GROUP BY 1 ORDER BY 1"), [("a", 23), ("b", 23)], "claims that stayed")


@case
def prune_inbox_goes_on_where_it_was_stopped(e):
    e.init("--inbox")
    e.sql(AGED[e.name])
    p = proc.Relay(["prune", "--source", e.url, "--inbox", "--older-than", "1d", "--batch", 1, "--pause", "10m"], cwd=e.dir)
    wait_for(lambda: e.sql("SELECT count(*) FROM inbox")[0][0] < 96, 10, "the first step", ignore=(sqlite3.OperationalError,))
    check_equal(p.stop(), GAVE_UP, "interrupted")
    check("interrupted, removed " in p.stdout, f"no word of it: {p.stdout}")
    words = shlex.split(p.stdout.split("To go on:")[1].replace("\\\n", " ").replace("10m", "0ms"))
    check_equal(words[:3], ["commitrelay", "prune", "--source"], "the command to go on")
    e.command(*words[1:])
    check_equal(e.sql("SELECT count(*) FROM inbox"), [(46,)], "claims that stayed")


@case
def init_modes(e):
    check("no mode" in e.command("init", "--source", e.url, "--mode", "statsu", code=USAGE).log, "an unknown mode is not named")
    if isinstance(e, Sqlite):
        check("PostgreSQL" in e.command("init", "--source", e.url, "--mode", "status", code=CONFIG).log, "no reason")
        e.command("init", "--source", e.url, "--notify", "x", code=CONFIG)
        check(not e.path.exists(), "a refused init made the file")
        return
    e.init("--mode", "status")
    e.init("--mode", "status")
    check_equal(e.sql("SELECT count(*) FROM pg_attribute WHERE attrelid = 'outbox'::regclass AND attname IN ('status', 'attempts',"
                      " 'last_error', 'next_attempt_at', 'published_at')"), [(5,)], "columns of mode status")
    e.init("--mode", "delete")
    check("autovacuum" in str(e.sql("SELECT reloptions FROM pg_class WHERE oid = 'outbox'::regclass")), "no vacuum settings")
    e.command("init", "--source", e.url, "--table", "x" * 64, code=CONFIG)
    e.command("init", "--source", e.url, "--table", "nowhere.outbox", code=CONFIG)


@case
def init_says_that_a_table_does_not_fit(e):
    e.sql("CREATE TABLE outbox (seq integer PRIMARY KEY, id text, aggregatetype text, aggregateid text, type text, payload text)")
    e.command("init", "--source", e.url, code=CONFIG)


@case
def init_notify(e):
    if isinstance(e, Sqlite):
        return
    e.init("--notify", "it's \"odd\"")
    e.init("--notify", "it's \"odd\"")
    c = e.server.connect(e.db, autocommit=True)
    c.cursor().execute('LISTEN "it\'s ""odd"""')
    e.emit(50, "--batch", 25)

    def came():
        c.poll()
        return len(c.notifies) >= 2
    wait_for(came, 10, "two notifications")
    check_equal(len(c.notifies), 2, "notifications for two statements of 25 rows")
    c.close()


@case
def init_needs_rights(e):
    if isinstance(e, Sqlite):
        ro = e.dir / "ro"
        ro.mkdir()
        if os.getuid() != 0:  # root may write everywhere
            ro.chmod(0o555)
            e.command("init", "--source", f"sqlite:{ro}/x.db", code=PERMISSION)
        e.command("init", "--source", f"sqlite:{e.dir}/none/x.db", code=CONFIG)
        return
    e.sql("CREATE ROLE cli_nobody LOGIN")
    r = e.command("init", "--source", e.server.url(e.db, user="cli_nobody"), code=PERMISSION)
    check("--print" in r.log, "77 does not say what to do")


# --- usage ---

@case
def usage(e):
    for name in ("init", "run", "check", "status", "emit", "tail", "position", "pause", "resume", "reload", "dead-letters", "replay", "prune",
                 "import-debezium"):
        text = e.command(name, "--help").stdout
        check(text.startswith(f"usage: commitrelay {name}"), f"{name} --help: {text[:60]}")
        check(name == "run" or ("Exit codes" in text and "example:" in text), f"{name} --help has no exit codes or no example")
        e.command(name, "--jsno", code=USAGE)
    e.init()
    e.config()
    for words in (["tail", "--source", "sqlite:x", "--cdc"], ["emit"], ["tail"], ["init"], ["emit", "--source", "nonsense"],
                  ["emit", "--source", e.url, "--count", "-1"], ["emit", "--source", e.url, "--rate", "0"], ["status"], ["check"]):
        e.command(*words, code=USAGE)
    for words in (["position"], ["position", "set"], ["position", "set", "1", "--time", "2h"], ["position", "set", "--time", "2"],
                  ["position", "history", "--since", "x"], ["position", "history", "--yes"], ["position", "forget", "--json"], ["position", "set", "1", "2"], ["position", "show", "x"],
                  ["position", "sho"], ["dead-letters"], ["dead-letters", "retry"], ["dead-letters", "drop"], ["dead-letters", "edit"],
                  ["dead-letters", "show"], ["dead-letters", "show", "x"], ["dead-letters", "show", "1", "--all"],
                  ["pause", "--pipeline", "ordres"], ["position", "show", "--pipeline", "ordres"]):
        e.on(*words, code=USAGE)
    for words in (["position", "history", "--since"], ["position", "set", "--time"], ["dead-letters", "list", "--since"], ["prune", "--older-than"]):
        for slip, says in (("-2h", f'{words[-1]} "-2h" is negative; leave the sign out: "2h"'), ("2", f'{words[-1]} needs a')):
            log = e.on(*words, slip, code=USAGE).log
            check(says in log, f"{words} {slip}: {log}")
    check("say hash:N with" in e.init_refused("--partitioned", "hash:x").log, "init --partitioned hash:x: how it is said")
    check('"orders"' in e.on("pause", "--pipeline", "ordres", code=USAGE).log.replace("`", '"'), "the nearest pipeline is not named")
    for words in (["check"], ["status"], ["pause"], ["position", "show"], ["dead-letters", "list"]):
        e.command(*words, "-c", e.dir / "missing.yaml", code=CONFIG)


@case
def passwords_stay_off_the_command_line(e):
    if isinstance(e, Sqlite):
        return
    secret = e.url.replace("postgres@", "postgres:hunter2@")
    e.init()
    for name in ("init", "emit", "tail"):
        r = e.command(name, "--source", secret, code=USAGE)
        check("PGPASSFILE" in r.log and "COMMITRELAY_SOURCE" in r.log, f"{name}: no way out is named")
        check("hunter2" not in r.log, f"{name}: shows the password")
        more = ["-n", "1"] if name == "tail" else []
        e.command(name, *more, env={"COMMITRELAY_SOURCE": secret})


# --- emit, tail ---

@case
def emit_and_tail(e):
    e.init()
    check_equal(e.emit(1).stdout, "emitted 1 event in 1 transaction\n", "emit's last line")
    check_equal(e.emit(2500, "--batch", 1200, "--key-space", 5).stdout, "emitted 2500 events in 3 transactions\n", "emit's last line")
    before = e.sql("SELECT count(*) FROM outbox")
    lines = [json.loads(x) for x in e.command("tail", "--source", e.url, "-n", 2500).stdout.splitlines()]
    check_equal(len(lines), 2500, "tail -n 2500")
    numbers_have_no_gap(lines)
    check_equal([x["position"] for x in lines], [str(n) for n in range(2, 2502)], "positions")
    check_equal(len(e.command("tail", "--source", e.url, "-n", 9999).stdout.splitlines()), 2501, "tail of more than there are")
    check_equal(e.command("tail", "--source", e.url, "-n", 0).stdout, "", "tail -n 0")
    check_equal(e.sql("SELECT count(*) FROM outbox"), before, "rows after tail")
    e.command("emit", "--source", e.url, "--table", "nowhere", code=CONFIG)
    e.command("tail", "--source", e.url, "--table", "nowhere", "-n", 1, code=CONFIG)


@case
def emit_keeps_the_wal_small(e):
    """It stands for the application, and so it checkpoints as one: SQLite does it at 4 MB. Without that there would be 17 MB."""
    if isinstance(e, Sqlite):
        e.init()
        e.emit(8000, "--batch", 100)
        check((e.dir / "shop.db-wal").stat().st_size < 8 << 20, "the WAL grows with each event")


@case
def tail_follows(e):
    e.init()
    e.emit(3)
    t = proc.Relay(["tail", "--source", e.url], cwd=e.dir)

    def came():  # a probe each time: it cannot be told from outside when the tail has taken its place
        e.insert("probe", "k")
        return printed(t)
    wait_for(came, 15, "tail to print what is committed")
    check_equal({json.loads(x)["aggregatetype"] for x in printed(t)}, {"probe"}, "what tail printed")
    t.signal(signal.SIGINT)
    check_equal(t.wait_exit(), OK, "tail after SIGINT")


@case
def tail_shows_what_a_pipeline_sends(e):
    """Route and mask of the file, delivered rows too; the relay beside it goes on as if nobody looked."""
    marks = isinstance(e, Postgres)
    e.init(*(["--mode", "status"] if marks else []))
    e.config(route={"topic": "shop.{aggregatetype}", "key": "{id}"}, mask=[{"field": "payload.email", "with": "redact"}], mode="status" if marks else None)
    relay = e.daemon()
    for n in range(3):
        e.insert("order", f"k{n}", f'{{"email": "ann{n}@example.org"}}')
    wait_for(lambda: len(printed(relay)) == 3, 15, "the relay to send them")
    sent = [json.loads(x) for x in printed(relay)]
    check_equal([json.loads(x) for x in e.on("tail", "-n", 2).stdout.splitlines()], sent[1:], "the last two")
    check_equal((sent[2]["topic"], sent[2]["key"], "example.org" in str(sent)), ("shop.order", sent[2]["id"], False), "as they are sent")
    check_equal(e.command("tail", "-n", 1, env={"COMMITRELAY_CONFIG": str(e.config_path)}).stdout.splitlines(), printed(relay)[2:], "the default file")
    t = proc.Relay(["tail", "-c", e.config_path, "--pipeline", "orders"], cwd=e.dir)

    def came():  # a probe each time: it cannot be told from outside when the tail has taken its place
        e.insert("probe", "k")
        return len(printed(t)) >= 3
    wait_for(came, 15, "tail to print what is committed")
    t.signal(signal.SIGINT)
    check_equal(t.wait_exit(), OK, "tail after SIGINT")
    shown, (total,) = printed(t), e.sql("SELECT count(*) FROM outbox")[0]
    wait_for(lambda: len(printed(relay)) == total, 15, "the relay to send the rest")
    check(set(shown) <= set(printed(relay)), f"the relay sent other events than tail shows: {shown}")
    relay.signal(signal.SIGTERM)
    check_equal(relay.wait_exit(), OK, "the relay after SIGTERM")
    check_equal(e.drain(), [], "what was not sent yet")
    for words in (["--table", "outbox"], ["--source", e.url], ["--cdc"]):
        check("leave --source" in e.on("tail", *words, code=USAGE).log, f"-c and {words}")


@case
def tail_of_a_mapped_table(e):
    """Its own column names, and `start_from`, which is for the relay."""
    columns = {"id": "eid", "aggregatetype": "kind", "aggregateid": "about", "type": "what", "payload": "body", "seq": "num"}
    if isinstance(e, Postgres):
        columns["xid"] = "tx"
        e.sql("CREATE TABLE messages (num bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tx xid8 NOT NULL DEFAULT pg_current_xact_id(), eid text UNIQUE,"
              " kind text, about text, what text, body jsonb); CREATE INDEX ON messages (tx)")
    else:
        e.sql("CREATE TABLE messages (num integer PRIMARY KEY AUTOINCREMENT, eid text, kind text, about text, what text, body text)")
    e.config(source={"table": "messages", "columns": columns, "start_from": "now"})
    check_equal(e.on("tail", "-n", 5).stdout, "", "an empty table")
    e.sql("INSERT INTO messages (eid, kind, about, what, body) VALUES ('a', 'order', 'k', 'T', '{}'), ('b', 'order', 'k', 'T', '{}'), ('c', 'order', 'k', 'T', '{}')")
    lines = [json.loads(x) for x in e.on("tail", "-n", 2).stdout.splitlines()]
    check_equal([(x["id"], x["position"], x["topic"]) for x in lines], [("b", "2", "outbox.event.order"), ("c", "3", "outbox.event.order")], "the last two")


@case
def tail_follows_a_table_that_is_emptied(e):
    """In mode delete; SQLite gives the numbers of removed rows again where a table has no AUTOINCREMENT."""
    if isinstance(e, Sqlite):
        e.sql("CREATE TABLE outbox (seq integer PRIMARY KEY, id text, aggregatetype text, aggregateid text, type text, payload text)")
    else:
        e.init("--mode", "delete")
    e.config(mode="delete")
    t = proc.Relay(["tail", "-c", e.config_path], cwd=e.dir)
    steps = itertools.cycle([lambda: e.insert("order", "k"), lambda: e.sql("DELETE FROM outbox")])

    def came():
        next(steps)()
        return len(printed(t)) >= 3
    wait_for(came, 20, "three rows that came one after the other")
    t.signal(signal.SIGINT)
    check_equal(t.wait_exit(), OK, "tail after SIGINT")
    check_equal(len({json.loads(x)["id"] for x in printed(t)}), len(printed(t)), "each once")


@case
def tail_shows_what_cannot_be_delivered(e):
    e.init()
    e.insert("bad topic!", "k")
    r = e.command("tail", "--source", e.url, "-n", 1)
    check_equal(json.loads(r.stdout)["topic"], None, "topic of an undeliverable event")
    check("could not be delivered" in r.log, "no warning")


@case
def emit_interrupted(e):
    e.init()
    r = proc.Relay(["emit", "--source", e.url, "--count", 100000, "--rate", 50], cwd=e.dir)
    wait_for(lambda: e.sql("SELECT count(*) FROM outbox")[0][0] >= 5, 15, "a few events")
    r.signal(signal.SIGINT)
    check_equal(r.wait_exit(), OK, "emit after SIGINT")
    check_equal(int(r.stdout.split()[1]), e.sql("SELECT count(*) FROM outbox")[0][0], "what emit says and what is committed")


# --- check ---

@case
def check_finds_faults(e):
    e.init()
    e.config(sink={"type": "file", "dir": str(e.dir / "out")})
    (e.dir / "out").write_text("in the way")
    e.on("check")
    r = e.on("check", "--connect", code=CONFIG)
    check("FAULT pipeline orders" in r.stdout and "  mend: " in r.stdout, f"no fault or no statement: {r.stdout}")
    (e.dir / "out").unlink()
    check("FAULT" not in e.on("check", "--connect").stdout, "a fault where all is well")
    e.sql("ALTER TABLE outbox RENAME COLUMN payload TO body")
    r = e.on("check", "--connect", code=CONFIG)
    check("payload" in r.stdout, f"the missing column is not named: {r.stdout}")
    if isinstance(e, Postgres):
        e.sql("ALTER TABLE outbox RENAME COLUMN body TO payload")
        e.sql("DROP INDEX outbox_xid_seq_idx")
        mend = re.search(r"mend: (create index .*)", e.on("check", "--connect", code=CONFIG).stdout)
        e.sql(mend.group(1))
        e.on("check", "--connect")
        e.config(source={"url": f"postgresql://postgres@127.0.0.1:{proc.free_port()}/x"})
        e.on("check")
        e.on("check", "--connect", code=GAVE_UP)
        e.config(source={"url": e.server.url("no_such_database")})
        e.on("check", "--connect", code=PERMISSION)
    e.config(route={"topic": "{unfinished"})
    check("FAULT" in e.on("check", code=CONFIG).stdout, "a bad template passes")


@case
def a_strict_check_takes_a_note_for_a_fault(e):
    e.init()
    e.config()
    well, noted = ((f"ALTER DATABASE {e.db} SET synchronous_commit = on", f"ALTER DATABASE {e.db} SET synchronous_commit = off") if isinstance(e, Postgres)
                   else ("PRAGMA journal_mode = WAL", "PRAGMA journal_mode = DELETE"))
    e.sql(well)
    e.on("check", "--connect", "--strict")
    e.sql(noted)
    said = [e.on("check", "--connect").stdout, e.on("check", "--connect", "--strict", code=CONFIG).stdout]
    notes, faults = (re.findall(rf"^{word} (pipeline orders: .*)$", text, re.M) for word, text in zip(("NOTE ", "FAULT"), said))
    check(notes and "FAULT" not in said[0], f"no note, or a fault: {said[0]}")
    check_equal(faults, notes, "what is said strictly")


@case
def check_finds_missing_rights(e):
    if isinstance(e, Sqlite):
        return
    role = "cli_" + e.db
    e.sql(f"CREATE ROLE {role} LOGIN")
    e.init()
    e.sql(f"GRANT SELECT ON outbox TO {role}; GRANT USAGE ON SCHEMA commitrelay TO {role};"
          f" GRANT SELECT ON ALL TABLES IN SCHEMA commitrelay TO {role}")
    e.config(source={"url": e.server.url(e.db, user=role)})
    mends = re.findall(r"mend: (grant .*)", e.on("check", "--connect", code=PERMISSION).stdout)
    check_equal(len(mends), 4, "tables without rights")
    for statement in mends:
        e.sql(statement)
    check("FAULT" not in e.on("check", "--connect").stdout, "the grants do not mend it")
    e.drain()
    e.sql("DROP SCHEMA commitrelay CASCADE")
    check("commitrelay init" in e.on("check", "--connect", code=PERMISSION).stdout, "no way to make the tables is named")


@case
def check_finds_rights_to_mark_missing(e):
    if isinstance(e, Sqlite):
        return
    role = "marks_" + e.db
    e.sql(f"CREATE ROLE {role} LOGIN")
    e.init("--mode", "status")
    e.sql(f"GRANT SELECT ON outbox TO {role}; GRANT USAGE ON SCHEMA commitrelay TO {role};"
          f" GRANT ALL ON ALL TABLES IN SCHEMA commitrelay TO {role}")
    e.config(source={"url": e.server.url(e.db, user=role), "mode": "status"})
    grant = re.search(r"(grant select, update .*)", e.on("check", "--connect", code=PERMISSION).stdout)
    e.sql(grant.group(1))
    check("FAULT" not in e.on("check", "--connect").stdout, "the grant does not mend it")


# --- status ---

@case
def status_without_a_daemon(e):
    e.init()
    e.config()
    s = e.status()
    check_equal((s["state"], s["detail"], s["position"], s["pending_events"]), ("stopped", "never started", None, 0), "before the first run")
    e.emit(2300, "--batch", 500)
    check_equal(e.status()["pending_events"], 2300, "pending before the first run")
    check_equal(len(e.drain()), 2300, "delivered")
    e.emit(7)
    s = e.status()
    check_equal((s["state"], s["delivered"], s["pending_events"], s["locked"], s["dead_letters"]), ("stopped", 2300, 7, False, 0), "after a run")
    check(s["lag_seconds"] > 0, "no lag with events pending")
    check("pending       7\n" in e.on("status").stdout, "the text says something else")
    check_equal(len(e.drain()), 7, "status took events")


@case
def status_of_a_dead_daemon(e):
    e.init()
    e.config(admin=f"unix:{e.dir}/admin")
    d = e.daemon()
    wait_for(lambda: e.status()["state"] == "running", 15, "the state running")
    s = e.status()
    check(s["locked"] and s["since"], f"locked and since from the daemon: {s}")
    wait_for(lambda: e.stored_state() == "running", 15, "the state running to be stored")
    d.kill9()
    wait_for(lambda: not e.status()["locked"], 15, "the lock to be free")
    s = e.status()
    check_equal(s["state"], "stopped", "the state of a killed daemon")
    check("running" in s["detail"], f"detail: {s['detail']}")


@case
def status_modes(e):
    """Pending rows are counted in every mode, and counting marks nothing."""
    modes = ["delete"] if isinstance(e, Sqlite) else ["status", "delete"]
    for mode in modes:
        e.init("--mode", mode)
        e.config(mode=mode)
        e.emit(12)
        check_equal(e.status()["pending_events"], 12, f"pending in mode {mode}")
        check_equal(len(e.drain()), 12, f"delivered in mode {mode}")
        check_equal(e.status()["pending_events"], 0, f"pending after a run in mode {mode}")
        if mode == "status":
            e.sql("DELETE FROM outbox")
            e.sql("DELETE FROM commitrelay.positions")


@case
def status_of_what_cannot_be_reached(e):
    if isinstance(e, Sqlite):
        e.config()
        s = e.status(code=CONFIG)
    else:
        e.config(source={"url": f"postgresql://postgres@127.0.0.1:{proc.free_port()}/x"})
        s = e.status(code=GAVE_UP)
    check_equal((s["state"], s["pending_events"]), ("unknown", None), "what is not known")
    check(s["problem"], "no problem named")


# --- position ---

@case
def position_without_a_daemon(e):
    e.init()
    e.config()
    check_equal(e.position()["position"], None, "before the first run")
    e.emit(10)
    e.drain()
    was = e.position()
    r = e.on("position", "set", "beginning")
    check("would change: from 10 to beginning" in r.stdout, f"without --yes it does not say what would change: {r.stdout}")
    check("922337" not in r.stdout + e.on("position", "show").stdout, "a number that is none")
    check("would change nothing" in e.on("position", "set", "10").stdout or isinstance(e, Postgres), "the position there is")
    check_equal(e.position(), was, "without --yes nothing changes")
    e.on("position", "set", "nonsense", "--yes", code=CONFIG)
    check_equal(e.position(), was, "a position that is none changes nothing")
    r = e.on("position", "set", "7", "--yes")
    check("before" in r.stdout and "after" in r.stdout, "before and after are not said")
    check_equal(e.position()["position"], "7", "position")
    check(e.position()["epoch"] > was["epoch"], "the lock was not taken: same epoch")
    check_equal(e.unanswered(), 0, "commands left for the next daemon")
    check_equal([x["position"] for x in e.drain()], ["8", "9", "10"], "sent after position set 7")
    e.on("position", "set", "beginning", "--yes")
    check_equal(len(e.drain()), 10, "sent after position set beginning")
    e.emit(5)
    e.on("position", "set", "now", "--yes")
    check_equal(e.drain(), [], "sent after position set now")


@case
def position_with_a_daemon(e):
    e.init()
    e.emit(10)
    e.config()
    with e.daemon() as d:
        wait_for(lambda: len(printed(d)) == 10, 15, "ten events")
        wait_for(lambda: e.position()["delivered"] == 10, 15, "ten events saved")
        epoch = e.position()["epoch"]
        check(e.position()["locked"], "the daemon's lock is not seen")
        holder = f"pid {d.pid}" if isinstance(e, Sqlite) else "commitrelay orders"
        check(holder in e.position()["lock_holder"] and holder in e.on("position", "show").stdout, f"the holder: {e.position()}")
        r = e.on("position", "set", "4", "--yes")
        check("position set to 4" in r.stdout, f"answer: {r.stdout}")
        wait_for(lambda: len(printed(d)) == 16, 15, "six events again")
        lines = [json.loads(x) for x in printed(d)]
        check_equal([x["id"] for x in lines[10:]], [x["id"] for x in lines[4:10]], "ids sent again")
        check_equal(e.position()["epoch"], epoch, "the command wrote beside the daemon")


@case
def position_of_a_time(e):
    """The history is written by saves; set --time goes back to what was saved then, with a daemon and without."""
    e.init()
    e.config()
    check_equal(e.history(), [], "the history before the first run")
    e.on("position", "set", "--time", "1h", "--yes", code=LOST)
    e.emit(4)
    e.drain()
    (line,) = e.history()
    check_equal(line["cursor"], e.position()["cursor"] if line["position"] == "4" else line["cursor"], "the cursor of the line")
    e.age_history(3)
    e.emit(3)
    e.drain()
    check_equal(len(e.history()), 2, "lines, one a minute")
    check_equal(len(e.history("--since", "1h")), 1, "lines of the last hour")
    check_equal(e.history("--since", e.history()[0]["time"]), e.history(), "lines since the first")
    check("  " + e.history()[0]["position"] in e.on("position", "history").stdout, "the history in words")
    then = e.history()[0]["position"]
    n = 7 - (0 if then == "beginning" else int(then))
    r = e.on("position", "set", "--time", "2h")
    check(f"to {then}\n" in r.stdout and "--time 20" in r.stdout, f"without --yes it does not say what would change: {r.stdout}")
    r = e.on("position", "set", "--time", "4h", "--yes", code=LOST)
    check(e.history()[0]["time"] in r.log, f"before the first line: {r.log}")
    e.on("position", "set", "--time", "2h", "--yes")
    check_equal(len(e.drain()), n, "sent again without a daemon")
    with e.daemon() as d:
        wait_for(lambda: e.position()["locked"], 15, "the daemon to run")
        r = e.on("position", "set", "--time", "2h", "--yes")
        check("position set to time 20" in r.stdout, f"the daemon's answer: {r.stdout}")
        wait_for(lambda: len(printed(d)) == n, 15, "the same events again")
    if isinstance(e, Postgres):
        e.config(mode="delete")
        check("no position" in e.on("position", "set", "--time", "2h", "--yes", code=CONFIG).log, "a mode without positions")


@case
def position_of_a_time_keeps_what_committed_late(e):
    """A position names a seq; a saved cursor also knows which lower ones were not there yet."""
    if isinstance(e, Sqlite):
        return
    e.init()
    e.config()
    c = e.server.connect(e.db)
    c.cursor().execute("INSERT INTO outbox (aggregatetype, aggregateid, type, payload) VALUES ('order', 'late', 'T', '{}')")
    e.emit(5)
    e.drain()
    e.sql("DELETE FROM commitrelay.history")
    e.emit(1)
    e.drain()  # its line has all six
    e.age_history(2)
    c.commit()
    c.close()
    e.emit(1)
    check_equal(sorted(int(x["position"]) for x in e.drain()), [1, 8], "the late one and the next")
    check_equal(e.history()[0]["position"], "7", "where it stood")
    e.on("position", "set", "--time", "1h", "--yes")
    check_equal(sorted(int(x["position"]) for x in e.drain()), [1, 8], "what was not delivered at that time")


@case
def position_forget(e):
    """Of a pipeline in the file, and of one that it has no more; not while a relay runs it, not with dead letters unless said."""
    e.init()
    e.emit(2)
    e.config()
    check("nothing is stored" in e.on("position", "forget", "--yes").stdout, "before the first run")
    with e.daemon():
        wait_for(lambda: e.position()["delivered"] == 2, 15, "two events saved")
        check("a relay runs pipeline orders" in e.on("position", "forget", "--yes", code=GAVE_UP).log, "while it runs")
    s = "_" if isinstance(e, Sqlite) else "."
    e.sql(f"INSERT INTO commitrelay{s}dead_letters (pipeline, event_id, reason) VALUES ('orders', 'e', 'r')")
    check("1 dead letters" in e.on("position", "forget", "--yes", code=LOST).log, "with a dead letter")
    check("Nothing was changed" in e.on("position", "forget", "--dead-letters").stdout, "without --yes")
    check_equal(e.position()["delivered"], 2, "nothing was to change")
    e.config_path.write_text(e.config_path.read_text().replace('"orders"', '"other"'))
    check("orders: forgotten" in e.on("position", "forget", "--pipeline", "orders", "--dead-letters", "--yes").stdout, "a pipeline that the file has no more")
    for table in ("positions", "history", "control", "dead_letters"):
        check_equal(e.sql(f"SELECT count(*) FROM commitrelay{s}{table}"), [(0,)], f"rows left in {table}")
    check("nothing is stored" in e.on("position", "forget", "--pipeline", "orders", "--yes").stdout, "the second time")


@case
def position_after_a_batch_that_was_not_saved(e):
    """What a killed relay left in place does not undo the command: the numbers go on, the files stay."""
    e.init()
    out = e.dir / "out"
    out.mkdir(mode=0o750)
    e.config(sink={"type": "file", "dir": str(out)})
    e.emit(6)
    if proc.Relay(["run", "-c", e.config_path, "--until-idle"], cwd=e.dir, env={"COMMITRELAY_FAULT": "file_after_rename:kill"}).wait_exit(30) == OK:
        return  # a build without fault points
    check_equal(e.position()["delivered"], 0, "saved before the kill")
    e.on("position", "set", "now", "--yes")
    e.drain()
    names = sorted(p.name for p in out.glob("*.jsonl"))
    check_equal(len(names), 1, f"files after position set now: {names}")
    e.on("position", "set", "3", "--yes")
    e.drain()
    names = sorted(p.name for p in out.glob("*.jsonl"))
    check_equal(len(names), 2, f"files after position set 3: {names}")
    check(names[1].startswith("orders-00000000000000000007-00000000000000000009"), f"numbers: {names[1]}")


@case
def position_refused_is_withdrawn(e):
    """Rows of a batch that is in place must be marked by the relay first; the next one must not find the refused command."""
    e.init("--mode", "delete")
    out = e.dir / "out"
    e.config(sink={"type": "file", "dir": str(out)}, mode="delete")
    e.emit(6)
    if proc.Relay(["run", "-c", e.config_path, "--until-idle"], cwd=e.dir, env={"COMMITRELAY_FAULT": "file_after_rename:kill"}).wait_exit(30) == OK:
        return  # a build without fault points
    r = e.on("position", "set", "beginning", "--yes", code=CONFIG)
    check("--until-idle" in r.log, f"no way out is named: {r.log}")
    check_equal(e.unanswered(), 0, "commands left for the next daemon")
    e.drain()
    check_equal(e.sql("SELECT count(*) FROM outbox"), [(0,)], "rows left")
    check_equal(len(list(out.glob("*.jsonl"))), 1, "files")
    e.on("position", "set", "beginning", "--yes")


# --- pause, resume ---

@case
def pause_and_resume(e):
    e.init()
    e.config(admin=f"unix:{e.dir}/admin")
    check("no daemon" in e.on("pause").stdout, "pause without a daemon")
    check_equal(e.status()["paused"], True, "paused")
    e.emit(3)
    with e.daemon() as d:
        wait_for(lambda: e.status()["state"] == "paused", 15, "the pause to hold at start")
        check_equal(d.stdout, "", "sent while paused")
        check_equal(e.status()["pending_events"], 3, "pending while paused")
        check("resumed" in e.on("resume", "--pipeline", "orders").stdout, "resume")
        wait_for(lambda: len(printed(d)) == 3, 15, "three events")
        e.on("pause")
        wait_for(lambda: e.status()["state"] == "paused", 15, "paused")
        e.emit(2)
        e.on("resume")
        wait_for(lambda: len(printed(d)) == 5, 15, "five events")


@case
def a_daemon_that_does_not_answer(e):
    e.init()
    e.config()
    with e.daemon() as d:
        wait_for(lambda: e.status()["state"] == "running", 15, "running")
        freeze(d, e.may_write)
        try:
            r = e.on("pause", code=GAVE_UP)
            check("will obey" in r.log, f"75 does not say what will be: {r.log}")
            check_equal(e.status()["paused"], False, "written beside the daemon")
        finally:
            thaw(d)
        wait_for(lambda: e.status()["paused"], 15, "the daemon to obey after all")


# --- dead letters ---

@case
def dead_letters(e):
    e.init()
    e.config(route={"allow_topics": ["outbox.event.order"]}, delivery={"poison": "skip", "attempts": 1})
    check("no dead letters" in e.on("dead-letters", "list").stdout, "before the first")
    check_equal(json.loads(e.on("dead-letters", "list", "--json").stdout)["dead_letters"], [], "before the first")
    e.emit(2)
    e.insert("forbidden", "k1", '{"secret": "Grüße"}')
    e.insert("forbidden", "k2")
    e.emit(1)
    check_equal(len(e.drain()), 3, "delivered beside two poison events")
    letters = json.loads(e.on("dead-letters", "list", "--json").stdout)["dead_letters"]
    check_equal([x["position"] for x in letters], ["3", "4"], "positions of the dead letters")
    check("payload" not in letters[0] and "forbidden" in letters[0]["reason"], f"list: {letters[0]}")
    check_equal(e.status()["dead_letters"], 2, "dead letters in status")
    lines = e.on("dead-letters", "list").stdout.splitlines()
    check_equal(len(lines), 2, "a line each")
    check(letters[0]["event_id"] in lines[0], "the event id is not listed")
    text = e.on("dead-letters", "show", str(letters[0]["id"])).stdout
    check("Grüße" in text and "dead letter" in text, f"show: {text}")
    (one,) = json.loads(e.on("dead-letters", "show", "--json", str(letters[0]["id"])).stdout)["dead_letters"]
    check_equal(json.loads(one["payload"]), {"secret": "Grüße"}, "payload")
    check_equal(len(json.loads(e.on("dead-letters", "show", "--all", "--json").stdout)["dead_letters"]), 2, "show --all")
    e.on("dead-letters", "show", "999", code=USAGE)


def main():
    only, failed = sys.argv[1:], []
    with pg.Postgres() as server:
        for make in (Sqlite, Postgres):
            for fn in _checks:
                if only and fn.__name__ not in only:
                    continue
                e = make(server)
                try:
                    fn(e)
                    print(f"ok   {make.name}: {fn.__name__}", flush=True)
                except proc.Failed as why:
                    failed.append(fn.__name__)
                    print(f"FAIL {make.name}: {fn.__name__}: {why}", flush=True)
                shutil.rmtree(e.dir, ignore_errors=True)
    sys.exit(f"{len(failed)} failed" if failed else 0)


main()
