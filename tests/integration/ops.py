#!/usr/bin/python3
"""What an operator does with a relay that runs somewhere: finds it, asks it, orders it about. Against real servers.

    ops.py [NAME...]     only these checks
"""
import itertools
import json
import os
import re
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import traceback

from support import kafka, pg, proc
from support.proc import check, check_equal, run, wait_for

OK, USAGE, GAVE_UP, PERMISSION, CONFIG = 0, 64, 75, 77, 78
SOCKET = "commitrelay.sock"
_checks, _roots = [], []


def case(fn):
    _checks.append(fn)
    return fn


def needs_root(fn):
    """It acts as another user. An ordinary user's run says that it was left out."""
    _roots.append(fn)
    return fn


class Place:
    """A configuration, the directory its relay runs in, and another one where its commands are typed."""
    _count = 0

    def __init__(self, server):
        Place._count += 1
        self.server = server
        self.db = server.createdb(f"ops{Place._count}")
        self.url = server.url(self.db)
        self.dir = proc.tempdir("ops")
        self.home, self.desk = self.dir / "home", self.dir / "desk"
        self.home.mkdir()
        self.desk.mkdir()
        self.file = self.dir / "relay.yaml"
        self.env = {"STATE_DIRECTORY": None}

    def sql(self, text, *params):
        return self.server.sql(text, *params, dbname=self.db)

    def config(self, source=None, sink=None, name="orders", delivery=None, encode=None, route=None, **top):
        p = {"name": name, "source": source or {"type": "outbox_postgres", "url": self.url}, "sink": sink or {"type": "stdout"},
             "delivery": delivery or {}}
        p.update({k: v for k, v in (("encode", encode), ("route", route)) if v})
        self.file.write_text(json.dumps({**top, "pipelines": [p]}))

    def cdc(self, **top):
        """A change stream, whose store is a file of the relay's own in a place that the command does not know."""
        self.sql("CREATE TABLE IF NOT EXISTS orders (id int PRIMARY KEY)")
        self.sql(f"CREATE PUBLICATION commitrelay_ops{Place._count} FOR TABLE orders")
        self.config(source={"type": "cdc_postgres", "url": self.url}, name=f"ops{Place._count}", encode={"format": "flat"}, **top)

    def daemon(self, env=None, cwd=None, name="relay", binary=None, before=()):
        words = [*before, "run", "-c", self.file]
        return proc.Relay(words, env={**self.env, **(env or {})}, cwd=cwd or self.home, name=name, binary=binary)

    def running(self, **how):
        d = self.daemon(**how)
        d.wait_log("state running", 30)
        return d

    def on(self, *args, code=OK, cwd=None, env=None):
        """A command typed at the desk."""
        return run([*args[:1], "-c", self.file, *args[1:]], code=code, cwd=cwd or self.desk, env={**self.env, **(env or {})})

    def init(self, *more):
        return run(["init", "--source", self.url, *more], cwd=self.dir)

    def emit(self, count):
        return run(["emit", "--source", self.url, "--count", count], cwd=self.dir)

    def status(self, code=OK, **how):
        (row,) = json.loads(self.on("status", "--json", code=code, **how).stdout)["pipelines"]
        return row

    def left_nothing(self):
        check_equal(list(self.desk.iterdir()), [], "files that a command made where it was typed")


# --- finding the relay ---

@case
def commands_find_a_relay_that_runs_elsewhere(p):
    """Its state lies in $STATE_DIRECTORY, which only the service manager gave it."""
    p.cdc()
    state = p.dir / "state"
    state.mkdir()
    with p.running(env={"STATE_DIRECTORY": f"{state}:{p.dir}/second"}) as d:
        row = p.status()
        check_equal((row["state"], row["locked"], row["store"]), ("running", True, f"sqlite:{state}/commitrelay.db"), "status elsewhere")
        check(oct((state / SOCKET).stat().st_mode & 0o777) == "0o600", "the socket is for others")
        check(f"store: sqlite:{state}/commitrelay.db" in p.on("pause").stdout, "the store is not named")
        wait_for(lambda: p.status()["state"] == "paused", 15, "the relay to pause")
        check("command obeyed: paused" in d.log, "the relay was not asked")
        p.on("resume")
        wait_for(lambda: p.status()["state"] == "running", 15, "the relay to go on")
        r = p.on("position", "set", "now", "--yes")
        check("position set to now" in r.stdout and str(state) in r.stdout, f"position set: {r.stdout}")
        check(f"sqlite:{state}/commitrelay.db" in p.on("position", "show").stdout, "position show")
        check(f"store: sqlite:{state}/commitrelay.db" in p.on("dead-letters", "list").log, "dead-letters list")
        p.left_nothing()
    wait_for(lambda: not d.running, 5, "the relay to be gone")
    row = p.status()
    check_equal((row["state"], row["detail"]), ("stopped", "never started"), "without a relay nothing is known of that place")
    check("nothing there yet" in row["store"] and str(p.desk) in row["store"], f"it does not say where it looked: {row['store']}")
    check("nothing of pipeline" in p.on("pause", code=CONFIG).log, "a pause that nobody would see")
    check("nothing of pipeline" in p.on("position", "set", "now", "--yes", code=CONFIG).log, "a position that nobody would see")
    p.left_nothing()


@case
def commands_find_a_relay_by_its_port(p):
    """Without a socket the admin port is asked, which anybody may listen on: it is believed where the lock is held."""
    p.cdc(admin={"socket": "", "listen": f"127.0.0.1:{proc.free_port()}"})
    with p.running() as d:
        check(not (p.home / SOCKET).exists(), "a socket that was not wanted")
        row = p.status(code=CONFIG)
        check(f"sqlite:{p.home}/commitrelay.db" in row["problem"], f"the relay's own store is not named: {row}")
        for words in (["pause"], ["position", "show"], ["dead-letters", "list"]):
            check(str(p.home) in p.on(*words, code=CONFIG).log, f"{words}: it acts on another store than the relay's")
        p.left_nothing()
        check("paused" in p.on("pause", cwd=p.home).stdout, "in the relay's own directory")
        wait_for(lambda: p.status(cwd=p.home)["state"] == "paused", 15, "the relay to pause")
        check(d.running, "the relay ended")


@case
def a_relative_database_is_the_relays_own(p):
    """The path of a SQLite outbox starts in the relay's working directory."""
    run(["init", "--source", "sqlite:shop.db"], cwd=p.home)
    p.config(source={"type": "outbox_sqlite", "path": "./shop.db"})
    with p.running():
        check_equal(p.status()["store"], f"sqlite:{p.home}/shop.db", "the store")
        p.on("pause")
        wait_for(lambda: p.status()["state"] == "paused", 15, "the relay to pause")
        p.left_nothing()


@case
def two_relays_of_one_directory(p):
    """The second stands by, without the socket; when the first dies it takes lock and socket over."""
    p.init()
    p.config()
    first = p.running()
    second = p.daemon(name="second")
    second.wait_log("state waiting")
    second.wait_log("another program listens there")
    check("commands find this relay" not in second.log, "the second took the socket")
    pid = p.status()
    check_equal(pid["state"], "running", "what the first says")
    first.kill9()
    second.wait_log("state running", 30)
    second.wait_log(f"commands find this relay at unix:{p.home}/{SOCKET}", 30)  # the first left its file behind
    p.on("pause")
    second.wait_log("command obeyed: paused")
    second.stop()
    check(not (p.home / SOCKET).exists(), "the socket file was left behind")


@case
def the_active_one_of_two_relays_is_asked(p):
    """A standby of the same file elsewhere on the machine is not the one to obey."""
    p.init()
    p.config()
    for asked in (p.home, p.desk):
        other = p.desk if asked == p.home else p.home
        with p.running(cwd=other) as active, p.daemon(cwd=asked, name="standby") as standby:
            standby.wait_log("state waiting")
            check_equal(p.status(cwd=asked)["state"], "running", f"status in {asked.name}")
            p.on("pause", cwd=asked)
            active.wait_log("command obeyed: paused")
            p.on("resume", cwd=asked)
            standby.stop()
            active.stop()


@case
def another_relay_is_not_taken_for_ours(p):
    """Two files with pipelines of one name, two directories: each is asked for its own."""
    run(["init", "--source", "sqlite:a.db"], cwd=p.home)
    p.config(source={"type": "outbox_sqlite", "path": str(p.home / "a.db")})
    other = p.dir / "other.yaml"
    other.write_text(p.file.read_text().replace("a.db", "b.db"))
    run(["init", "--source", "sqlite:b.db"], cwd=p.home)
    with p.running() as d:
        r = run(["pause", "-c", other], cwd=p.home, env=p.env)
        check("no daemon runs it now" in r.stdout and "b.db" in r.stdout, f"pause of the other: {r.stdout}")
        check_equal(p.status()["state"], "running", "ours")
        check("command obeyed" not in d.log, "ours obeyed")


@case
@needs_root
def a_stranger_is_not_believed(p):
    """A process of another user that listens on a socket of that name leads no command astray."""
    p.cdc()
    p.file.chmod(0o600)
    trap = p.dir / "trap"
    trap.mkdir()
    os.chown(trap, 65534, 65534)
    words = f"""
import json, os, socket
os.setgid(65534); os.setuid(65534)
s = socket.socket(socket.AF_UNIX); s.bind({str(trap / SOCKET)!r}); os.chmod({str(trap / SOCKET)!r}, 0o777); s.listen()
print("ready", flush=True)
text = json.dumps({{"config": {str(p.file)!r}, "directory": {str(trap)!r}, "state_directory": {str(trap)!r}, "pipelines":
                   [{{"name": "ops{Place._count}", "state": "running", "store": "sqlite:{trap}/commitrelay.db"}}]}})
while True:
    c, _ = s.accept(); c.recv(4096); c.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\n" + text.encode()); c.close()
"""
    with proc.Relay(["-c", words], binary="/usr/bin/python3", name="stranger") as stranger:
        wait_for(lambda: "ready" in stranger.stdout, 10, "the stranger to listen")
        row = p.status()
        check_equal(row["state"], "stopped", "the state")
        check(str(trap) not in row["store"], f"the stranger's store: {row['store']}")
        check_equal([f.name for f in trap.iterdir()], [SOCKET], "files in the stranger's directory")


@case
@needs_root
def who_may_not_ask_is_told(p):
    """Another user finds the socket and is told whose it is, instead of something about another store."""
    p.cdc(admin={"socket": "whose.sock"})  # other tests have relays of other names
    p.dir.chmod(0o755)
    p.file.chmod(0o644)
    nobody = ["/usr/bin/setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    program = p.dir / "commitrelay"
    shutil.copy(proc.BIN, program)
    program.chmod(0o755)
    os.chown(p.desk, 65534, 65534)
    with p.running():
        r = run([*nobody[1:], program, "pause", "-c", p.file], cwd=p.desk, env=p.env, code=PERMISSION, binary=nobody[0])
        check(f"{p.home}/whose.sock" in r.log and "may not ask" in r.log, f"77 without a reason: {r.log}")
    p.left_nothing()


# --- the socket's own troubles ---

@case
def a_socket_that_cannot_be_made(p):
    """The default place is no reason not to start; a place that the file names is."""
    run(["init", "--source", "sqlite:shop.db"], cwd=p.home)
    source = {"type": "outbox_sqlite", "path": str(p.home / "shop.db")}
    deep = p.dir / ("x" * 100)
    deep.mkdir()
    p.config(source=source)
    with p.running(cwd=deep) as d:
        check("a socket's path has at most 107 bytes" in d.log, "no word of it")
        check_equal(p.status()["state"], "running", "through the store")
        check("paused" in p.on("pause").stdout, "pause through the store")
        d.wait_log("command obeyed: paused")
    for place, why in ((str(deep / "s"), "at most 107 bytes"), ("none/s", "No such file"), ("unix:s", "a path alone")):
        p.config(source=source, admin={"socket": place})
        d = p.daemon()
        check_equal(d.wait_exit(), CONFIG, f"exit code with admin.socket {place[-10:]}")
        check(why in d.log and "admin.socket" in d.log, f"why: {d.log}")
    (p.home / "file").write_text("in the way")
    p.config(source=source, admin={"socket": "file"})
    check_equal(p.daemon().wait_exit(), CONFIG, "exit code with a file in the way")
    check_equal((p.home / "file").read_text(), "in the way", "the file in the way")


@case
def a_socket_file_that_was_removed_comes_back(p):
    run(["init", "--source", "sqlite:shop.db"], cwd=p.home)
    p.config(source={"type": "outbox_sqlite", "path": str(p.home / "shop.db")})
    with p.running() as d:
        (p.home / SOCKET).unlink()
        wait_for((p.home / SOCKET).exists, 30, "the socket to come back")
        p.on("pause")
        d.wait_log("command obeyed: paused")


@case
def a_reload_moves_the_socket(p):
    run(["init", "--source", "sqlite:shop.db"], cwd=p.home)
    source = {"type": "outbox_sqlite", "path": str(p.home / "shop.db")}
    p.config(source=source)
    with p.running() as d:
        p.config(source=source, admin={"socket": "no/where"})
        d.signal(signal.SIGHUP)
        d.wait_log("reload refused")
        check((p.home / SOCKET).exists(), "a refused reload took the socket away")
        p.config(source=source, admin={"socket": str(p.dir / "moved")})
        d.signal(signal.SIGHUP)
        d.wait_log("reloaded")
        wait_for(lambda: not (p.home / SOCKET).exists(), 10, "the old socket to go")
        p.on("pause")
        d.wait_log("command obeyed: paused")


@case
def the_port_takes_no_orders(p):
    p.init()
    port = proc.free_port()
    p.config(admin={"listen": f"127.0.0.1:{port}"})
    with p.running() as d:
        with socket.create_connection(("127.0.0.1", port)) as c:
            c.sendall(b"POST /orders?pipeline=orders&command=pause HTTP/1.0\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
            check_equal(c.recv(100).split()[1], b"405", "an order over TCP")
        check("command obeyed" not in d.log, "it obeyed")


# --- a relay that cannot log in ---

@case
def a_relay_that_cannot_log_in(p):
    """Its password was changed: it is asked and ordered all the same, and what it cannot store yet it stores later."""
    role = f"relay_{p.db}"
    p.sql(f"CREATE ROLE {role} LOGIN PASSWORD 'one' SUPERUSER")
    p.server.hba(f"host {p.db} {role} all scram-sha-256")
    p.server.reload()
    passfile = p.dir / "pgpass"
    passfile.write_text("*:*:*:*:one\n")
    passfile.chmod(0o600)
    env = {"PGPASSFILE": passfile}
    p.init()
    p.config(source={"type": "outbox_postgres", "url": p.server.url(p.db, user=role)},
             delivery={"retry": {"initial": "50ms", "max": "1h"}})
    with p.running(env=env) as d:
        p.sql(f"ALTER ROLE {role} PASSWORD 'two'")
        p.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", role)
        wait_for(lambda: p.status(code=PERMISSION, env=env)["state"] == "blocked", 20, "the relay to be blocked")
        row = p.status(code=PERMISSION, env=env)
        check("password authentication failed" in row["detail"], f"no reason: {row}")
        check("is stored later" in p.on("pause", env=env).stdout, "pause")
        check_equal(p.status(code=PERMISSION, env=env)["paused"], True, "paused")
        check("tried again now" in p.on("resume", env=env).stdout, "resume")
        p.on("pause", env=env)
        p.sql(f"ALTER ROLE {role} PASSWORD 'one'")
        p.emit(2)
        check("resumed" in p.on("resume", env=env).stdout, "resume")
        d.wait_log("is back after")
        wait_for(lambda: len(d.stdout.splitlines()) == 2, 15, "the events")  # the next try by itself is an hour away
        wait_for(lambda: p.status(env=env)["state"] == "running", 15, "the relay to run")
        check_equal(p.sql("SELECT paused FROM commitrelay.positions"), [(False,)], "what is stored of the pause")


@case
def a_pause_without_a_database_is_stored_later(p):
    p.init()
    role = f"away_{p.db}"
    p.sql(f"CREATE ROLE {role} LOGIN SUPERUSER")
    p.config(source={"type": "outbox_postgres", "url": p.server.url(p.db, user=role)},
             delivery={"retry": {"initial": "50ms", "max": "200ms"}})
    with p.running() as d:
        p.sql(f"ALTER ROLE {role} NOLOGIN")
        p.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", role)
        wait_for(lambda: "cannot be reached now" in p.on("pause").stdout, 20, "a pause while it is away")
        p.sql(f"ALTER ROLE {role} LOGIN")
        wait_for(lambda: p.status()["state"] == "paused", 20, "the pause to hold when it is back")
        check_equal(p.sql("SELECT paused FROM commitrelay.positions"), [(True,)], "what is stored of it")
        check(d.running, "the relay ended")


# --- secrets from files ---

@case
def the_url_of_a_source_comes_from_a_file(p):
    """With its password; neither it nor the file's text is shown."""
    role = f"file_{p.db}"
    p.sql(f"CREATE ROLE {role} LOGIN PASSWORD 'hunter2' SUPERUSER")
    p.server.hba(f"host {p.db} {role} all scram-sha-256")
    p.server.reload()
    p.init()
    p.emit(2)
    secret = p.dir / "url"
    secret.write_text(p.server.url(p.db, user=f"{role}:hunter2") + "\n")
    secret.chmod(0o600)
    for source in ({"type": "outbox_postgres"}, {"type": "cdc_postgres", "as": "outbox"}):
        p.config(source={**source, "url_file": str(secret)}, store={"url_file": str(secret)})
        r = p.on("check")
        check("hunter2" not in r.stdout + r.log and "warning" not in r.log, f"check: {r.stdout}{r.log}")
    p.config(source={"type": "outbox_postgres", "url_file": str(secret)})
    d = p.daemon(name="drain")
    wait_for(lambda: len(d.stdout.splitlines()) == 2, 15, "the events")
    text = p.on("status").stdout
    check(f"postgresql://{role}@" in text and "hunter2" not in text, f"status: {text}")
    d.stop()
    secret.chmod(0o644)
    check("is world-readable" in p.on("check").log, "no warning")
    secret.chmod(0o622)
    check("is world-writable" in p.on("check", code=CONFIG).log, "not refused")


# --- an existing table ---

MAPPED = {"id": "message_id", "aggregatetype": "topic", "aggregateid": "entity", "type": "event name", "payload": "body"}


def _psql(p, script):
    r = subprocess.run(["psql", "-qX", "-v", "ON_ERROR_STOP=1", p.url], input=script, capture_output=True, text=True)
    check(r.returncode == 0 and not r.stderr, f"psql: {r.stderr}\n{script}")


@case
def init_fits_an_existing_table(p):
    """What a mode needs is added under the names that the pipeline maps; the printed SQL runs as it stands, twice too."""
    p.sql("CREATE SCHEMA app")
    cases = {"status": {}, "status_by": {"order_by": "created_no"}, "delete": {}, "delete_unordered": {"order_by": ""},
             "position": {"columns": {**MAPPED, "seq": "no", "xid": "tx"}}}
    for name, more in cases.items():
        table = f"app.{name} Messages"
        p.sql(f'CREATE TABLE app."{name} Messages" (message_id uuid NOT NULL, topic text NOT NULL, entity text NOT NULL,'
              ' "event name" text NOT NULL, body jsonb, created_no bigint GENERATED ALWAYS AS IDENTITY)')
        insert = (f"INSERT INTO app.\"{name} Messages\" (message_id, topic, entity, \"event name\", body)"
                  " VALUES (gen_random_uuid(), 'order', 'k', 'T', '{}')")
        p.sql(insert)
        mode = name.split("_")[0]
        p.config(source={"type": "outbox_postgres", "url": p.url, "table": table, "mode": mode, "columns": MAPPED, **more},
                 name=name.replace("_", "-"), delivery={"ordered": more.get("order_by") != ""})
        check("FAULT" in p.on("check", "--connect", code=None).stdout, f"{name}: nothing was missing")
        script = p.on("init", "--print").stdout
        check_equal(p.on("init", "--print").stdout, script, "the SQL a second time")
        if name == "status":
            check("fits pipeline status now" in p.on("init").stdout, "init itself")
        for _ in range(2):
            _psql(p, script)
        check("FAULT" not in p.on("check", "--connect").stdout, f"{name}: it does not fit")
        p.sql(insert)
        relay = run(["run", "-c", p.file, "--until-idle"], env=p.env, cwd=p.home)
        check_equal(len(relay.stdout.splitlines()), 2, f"events of {name}")
        indexes = p.sql("SELECT count(*) FROM pg_index WHERE indrelid = %s::regclass", f'app."{name} Messages"')
        _psql(p, script)
        check_equal(p.sql("SELECT count(*) FROM pg_index WHERE indrelid = %s::regclass", f'app."{name} Messages"'), indexes, "indexes")


@case
def check_tells_all_faults_at_once(p):
    """Of a file and of a table, each with SQL that runs as it is printed."""
    p.sql('CREATE SCHEMA app; CREATE TABLE app."my box" (message_id uuid, kind text, body jsonb)')
    role = f"checks_{p.db}"
    p.sql(f"CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA app TO {role}; GRANT CREATE ON DATABASE {p.db} TO {role}")
    p.config(source={"type": "outbox_postgres", "url": p.server.url(p.db, user=role), "table": "app.my box", "mode": "status",
                     "columns": {"id": "message_id", "payload": "body", "type": "kind", "seq": "no"}}, route={"topic": "{topik}"})
    out = p.on("check", "--connect", code=CONFIG).stdout
    for word in ('"aggregatetype"', '"aggregateid"', '"no"', '"status"', '"attempts"', '"last_error"', '"next_attempt_at"', '"published_at"',
                 '"topik"'):
        check(f"has no column {word}" in out, f"{word} is not named: {out}")
    p.sql('ALTER TABLE app."my box" ADD aggregatetype text, ADD aggregateid text, ADD topik text')
    for _ in range(5):  # what is mended lets more be seen
        out = p.on("check", "--connect", code=None).stdout
        for statement in re.findall(r"  mend: ((?:alter|create|grant|update) .*)", out):
            _psql(p, statement.replace(" concurrently", "") + ";")
        for statement in re.findall(r": (grant .*|create unique index .*)", out):
            _psql(p, statement + ";")
    out = p.on("check", "--connect", code=None).stdout
    check("FAULT" not in out, f"what the SQL does not mend: {out}")


@case
def init_for_a_pipeline_makes_the_table_too(p):
    """Where no name is mapped, and none is there."""
    for mode in ("position", "status", "delete"):
        p.config(source={"type": "outbox_postgres", "url": p.url, "table": f"box_{mode}", "mode": mode}, name=mode)
        p.on("init")
        check("FAULT" not in p.on("check", "--connect").stdout, f"mode {mode}")
    p.on("init", "--table", "x", code=USAGE)
    p.config(source={"type": "cdc_postgres", "url": p.url}, encode={"format": "flat"})
    check("outbox_postgres" in p.on("init", code=USAGE).log, "a change stream has no such table")
    p.sql("CREATE TABLE messages (message_id uuid, topic text)")
    for mode in ("status", "delete"):
        r = run(["init", "--source", p.url, "--mode", mode, "--table", "messages"], cwd=p.desk, code=None)
        check(r.poll() != 0 or mode == "delete", "it fits, whatever it is")
    check("init -c FILE" in run(["init", "--source", p.url, "--mode", "status", "--table", "messages"], cwd=p.desk, code=CONFIG).log,
          "no way on for an existing table")


# --- descriptors ---

def _readyz(port):
    with socket.create_connection(("127.0.0.1", port), timeout=60) as c:
        c.sendall(b"GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n")
        text = b""
        while piece := c.recv(4096):
            text += piece
        return text.decode()


@case
def no_descriptor_is_left(p):
    """The admin port and the commands are answered all the same, and the main thread does not spin."""
    p.init()
    port = proc.free_port()
    p.config(admin={"listen": f"127.0.0.1:{port}"})
    with p.running() as d:
        hard = resource.prlimit(d.pid, resource.RLIMIT_NOFILE)[1]  # stays: not everybody may raise it again

        def limit(n):
            resource.prlimit(d.pid, resource.RLIMIT_NOFILE, (n, hard))
        wait_for(lambda: "running" in _readyz(port), 10, "the page")
        used = {int(fd) for fd in os.listdir(f"/proc/{d.pid}/fd")}
        limit(next(n for n in itertools.count() if n not in used))  # the next one would be this; there may be higher ones
        for _ in range(3):
            check("orders: running" in _readyz(port), "/readyz is mute")
        check_equal(p.status()["state"], "running", "status")
        p.on("pause")
        d.wait_log("command obeyed: paused")
        # Somebody waits, and the spare one is gone as well: looked at now and then, not all the time.
        limit(5)  # the number of the spare one is of no use either
        with socket.create_connection(("127.0.0.1", port)):
            before = d.cpu
            time.sleep(3)  # silence is what is tested
            check(d.cpu - before < 0.3, f"{d.cpu - before} s of processor time in three")
        limit(1000)
        check("orders: paused" in _readyz(port), "/readyz with descriptors again")


@case
def the_limit_of_descriptors(p):
    """The soft one is raised to the hard one; one that is too low is said at the start, with the number that is needed."""
    p.init()
    p.config()
    with p.running(binary="/usr/bin/prlimit", before=["--nofile=40:2000", proc.BIN]) as d:
        check_equal(resource.prlimit(d.pid, resource.RLIMIT_NOFILE), (2000, 2000), "the limit")
        check("limit of open files" not in d.log, "a warning where there are enough")
    kafkas = [{"name": f"p{i}", "source": {"type": "outbox_postgres", "url": p.url}, "route": {"topic": "t"},
               "sink": {"type": "kafka", "brokers": "127.0.0.1:1,127.0.0.1:2"}} for i in range(20)]
    p.file.write_text(json.dumps({"pipelines": kafkas}))
    with p.daemon(binary="/usr/bin/prlimit", before=["--nofile=200", proc.BIN]) as d:
        d.wait_log("the limit of open files is 200, and 20 pipelines need about [34][0-9][0-9]")
    d = p.daemon(binary="/usr/bin/prlimit", before=["--nofile=50", proc.BIN])
    check_equal(d.wait_exit(), 70, "exit code with a limit that cannot do")
    check("LimitNOFILE" in d.log and "need about" in d.log, f"no remedy: {d.log}")


# --- headers ---

HEADERS = ["id", {"column": "kind", "as": "eventType"}, {"value": "shop", "as": "origin"}, {"column": "aggregateid", "as": "of"}]
GIVEN = {"eventType": "Paid", "origin": "shop", "of": "k1"}


def _row_headers(p, **how):
    """The headers of the one event as stdout and batch files show them."""
    p.config(encode={"headers": HEADERS, **how.pop("encode", {})}, **how)
    r = run(["run", "-c", p.file, "--until-idle"], cwd=p.home, env=p.env, timeout=60)
    return [json.loads(line)["headers"] for line in r.stdout.splitlines()]


@case
def headers_from_columns_and_constants(p):
    """In every mode, with polling and CDC; the row's own headers go with them, and ours win."""
    for mode in ("position", "status", "delete"):
        p.init("--mode", mode, "--table", mode)
        p.sql(f"ALTER TABLE {mode} ADD COLUMN kind text")
        p.sql(f"INSERT INTO {mode} (aggregatetype, aggregateid, type, payload, headers, kind)"
              """ VALUES ('order', 'k1', 'T', '{}', '{"trace": "t1", "origin": "row"}', 'Paid')""")
        source = {"type": "outbox_postgres", "url": p.url, "mode": mode, "table": mode}
        check_equal(_row_headers(p, source=source, name=mode), [{**GIVEN, "trace": "t1"}], f"mode {mode}")
    run(["init", "--source", "sqlite:shop.db"], cwd=p.home)
    db = sqlite3.connect(p.home / "shop.db")
    db.executescript("ALTER TABLE outbox ADD COLUMN kind text; INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload, kind)"
                     " VALUES ('1', 'order', 'k1', 'T', '{}', 'Paid'), ('2', 'order', 'k1', 'T', '{}', NULL)")
    db.close()
    source = {"type": "outbox_sqlite", "path": "shop.db"}
    check_equal(_row_headers(p, source=source), [GIVEN, {**GIVEN, "eventType": None}], "SQLite")
    p.config(source=source, encode={"headers": [{"column": "knid", "as": "k"}]})
    r = run(["run", "-c", p.file, "--until-idle"], cwd=p.home, env=p.env, code=CONFIG)
    check("knid" in r.log and "encode.headers" in r.log, f"a column that is not there: {r.log}")


@case
def headers_of_a_change_stream(p):
    """An outbox and table changes; of a change the columns are those of its row."""
    p.init("--table", "box")
    p.sql("ALTER TABLE box ADD COLUMN kind text; CREATE TABLE orders (id int PRIMARY KEY, kind text, aggregateid text)")
    p.sql("CREATE PUBLICATION commitrelay_box FOR TABLE box; CREATE PUBLICATION commitrelay_rows FOR TABLE orders")
    insert = "INSERT INTO box (aggregatetype, aggregateid, type, payload, headers, kind) VALUES ('order', 'k1', 'T', '{}', %s, 'Paid')"
    outbox = {"source": {"type": "cdc_postgres", "url": p.url, "as": "outbox", "table": "box"}, "name": "box"}
    check_equal(_row_headers(p, **outbox), [], "before the first row")
    p.sql(insert, '{"trace": "t1", "origin": "row"}')
    check_equal(_row_headers(p, **outbox), [{**GIVEN, "trace": "t1"}], "CDC outbox")
    for form in ("flat", "debezium", "json"):
        p.sql("DELETE FROM orders; INSERT INTO orders VALUES (1, 'Paid', 'k1')")
        changes = {"source": {"type": "cdc_postgres", "url": p.url}, "name": "rows", "encode": {"format": form}}
        got = _row_headers(p, **changes)
        check(got and got[-1] == GIVEN, f"format {form}: {got}")
    p.sql("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = current_database()")


@case
def headers_reach_kafka(p):
    """As message headers, in every format of an outbox; batch files have them in their column."""
    p.init()
    p.sql("ALTER TABLE outbox ADD COLUMN kind text")
    p.sql("INSERT INTO outbox (aggregatetype, aggregateid, type, payload, kind) VALUES ('order', 'k1', 'T', '{}', 'Paid')")
    with kafka.Kafka() as broker:
        for form in ("payload", "json", "cloudevents", "cloudevents_json"):
            broker.create_topic(form)
            p.config(encode={"format": form, "headers": HEADERS}, route={"topic": form}, name=form,
                     sink={"type": "kafka", "brokers": broker.bootstrap})
            run(["run", "-c", p.file, "--until-idle"], cwd=p.home, env=p.env, timeout=60)
            (message,) = broker.consume_all([form])
            got = {name: value.decode() for name, value in message.headers}
            check({**got, **GIVEN} == got and got["id"], f"format {form}: {got}")
            if form == "json":
                check_equal(json.loads(message.value)["headers"], GIVEN, "headers inside the value")
    for form, want in (("delimited", '""origin"":""shop""'), ("key_value", r'\"origin\":\"shop\"')):
        out = p.dir / form
        p.config(encode={"headers": HEADERS}, name=form.replace("_", "-"), sink={"type": "file", "dir": str(out), "format": form})
        run(["run", "-c", p.file, "--until-idle"], cwd=p.home, env=p.env, timeout=60)
        (batch,) = [f for f in out.iterdir() if f.suffix in (".csv", ".kv")]
        check(want in batch.read_text(), f"{form}: {batch.read_text()}")


# --- where the configuration is ---

@case
def the_configuration_has_a_default_place(p):
    """-c, then $COMMITRELAY_CONFIG, then /etc/commitrelay/relay.yaml."""
    p.init()
    p.emit(2)
    p.config()
    env = {**p.env, "COMMITRELAY_CONFIG": p.file}
    relay = run(["run", "--until-idle"], env=env, cwd=p.home)
    check_equal(len(relay.stdout.splitlines()), 2, "events of a run without -c")
    for words in (["check"], ["status"], ["position", "show"], ["dead-letters", "list"], ["pause"], ["resume"]):
        run(words, env=env, cwd=p.desk)
    run(["status", "-c", p.file], env={**env, "COMMITRELAY_CONFIG": p.dir / "missing"}, cwd=p.desk)
    run(["status"], env={**env, "COMMITRELAY_CONFIG": p.dir / "missing"}, cwd=p.desk, code=CONFIG)
    if not os.path.exists("/etc/commitrelay/relay.yaml"):
        r = run(["status"], env={**p.env, "COMMITRELAY_CONFIG": None}, cwd=p.desk, code=USAGE)
        check("$COMMITRELAY_CONFIG" in r.log and "/etc/commitrelay/relay.yaml" in r.log, f"the places are not named: {r.log}")
        run(["run"], env={**p.env, "COMMITRELAY_CONFIG": None}, cwd=p.desk, code=USAGE)
    # Two URLs need no file, wherever one is named.
    run(["run", "--source", p.url, "--sink", "stdout:", "--until-idle"], env={**env, "COMMITRELAY_CONFIG": p.dir / "missing"}, cwd=p.desk)


# --- status ---

@case
def status_for_people_and_monitors(p):
    """The reason and the commands stand on lines of their own and can be pasted; the exit code is for cron and Nagios."""
    p.init()
    role = f"status_{p.db}"
    p.sql(f"CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA commitrelay TO {role};"
          f" GRANT ALL ON ALL TABLES IN SCHEMA commitrelay TO {role}; GRANT SELECT ON outbox TO {role}")
    p.config(source={"type": "outbox_postgres", "url": p.server.url(p.db, user=role)},
             delivery={"retry": {"initial": "50ms", "max": "1h"}})

    def level(code, *more):
        text = p.on("status", "--exit-code", *more, code=code).stdout
        check(all(len(line) <= 100 for line in text.splitlines()), f"more than 100 columns: {text}")
        return text
    level(2)  # no relay
    p.on("status", "--max-lag", "5s", code=USAGE)
    p.on("status", "--exit-code", "--max-lag", "5", code=USAGE)
    with p.running() as d:
        text = level(0)
        for line in (f"source        outbox_postgres outbox of postgresql://{role}@127.0.0.1:{p.server.port}/{p.db}", "sink          stdout",
                     "a second"):
            check(line in text, f"{line}: not in {text}")
        p.on("pause")
        p.emit(1)
        wait_for(lambda: p.status()["lag_seconds"] > 0.01, 15, "a lag")
        level(0)
        level(1, "--max-lag", "10ms")
        level(0, "--max-lag", "1d")
        p.on("resume")
        p.sql("ALTER TABLE outbox RENAME TO elsewhere")
        p.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", role)
        wait_for(lambda: p.status(code=None)["state"] == "blocked", 20, "the relay to be blocked")
        text = level(2)
        resume = [line.strip() for line in text.splitlines() if line.strip().startswith("commitrelay resume")]
        check_equal(resume, [f"commitrelay resume -c {p.file} --pipeline orders"], f"the command that helps in {text}")
        p.sql("ALTER TABLE elsewhere RENAME TO outbox")
        run(resume[0].split()[1:], env=p.env, cwd=p.desk)
        wait_for(lambda: p.status()["state"] == "running", 15, "the relay to run again")
        level(0)
        d.kill9()
    wait_for(lambda: not p.status()["locked"], 15, "the lock to be free")
    level(2)


@case
def status_of_a_lost_slot(p):
    """Lost is said as lost, and is down."""
    p.cdc()
    with p.running() as d:
        wait_for(lambda: p.status()["position"], 15, "a position")
        d.stop()
    p.sql("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = current_database()")
    r = p.on("status", "--exit-code", code=2, cwd=p.home)
    check("slot          is lost" in r.stdout and "slot keeps" not in r.stdout, f"not said: {r.stdout}")
    check_equal(p.status(cwd=p.home)["slot_lost"], True, "slot_lost")


def main():
    only, failed = sys.argv[1:], []
    with pg.Postgres(settings={"wal_level": "logical", "max_replication_slots": 30, "max_wal_senders": 30}) as server:
        for fn in _checks:
            if only and fn.__name__ not in only:
                continue
            if os.getuid() != 0 and fn in _roots:
                print(f"root {fn.__name__}: needs root, left out", flush=True)
                continue
            p = Place(server)
            try:
                fn(p)
                print(f"ok   {fn.__name__}", flush=True)
            except Exception:  # pylint: disable=broad-except; the others shall still run
                failed.append(fn.__name__)
                print(f"FAIL {fn.__name__}: {traceback.format_exc()}\n{proc.tails(6, 4)}", flush=True)
            shutil.rmtree(p.dir, ignore_errors=True)
    sys.exit(f"{len(failed)} failed" if failed else 0)


main()
