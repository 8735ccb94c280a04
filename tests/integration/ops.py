#!/usr/bin/python3
"""What an operator does with a relay that runs somewhere: finds it and orders it about. Against real servers.

    ops.py [NAME...]     only these checks
"""
import os
import shutil
import signal
import socket
import threading

from support import proc
from support.cases import case
from support.place import CONFIG, GAVE_UP, GONE, PERMISSION, SOCKET, Place, main, needs_root
from support.proc import check, check_equal, run, wait_for

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
                   [{{"name": "ops{Place.count}", "state": "running", "store": "sqlite:{trap}/commitrelay.db"}}]}})
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
def a_reload_by_command_says_whether_it_was_taken(p):
    run(["init", "--source", "sqlite:shop.db"], cwd=p.home)
    source = {"type": "outbox_sqlite", "path": str(p.home / "shop.db")}
    p.config(source=source)
    check("no relay that runs" in p.on("reload", code=GONE).log, "without a relay")
    with p.running() as d, socket.create_server(("127.0.0.1", 0)) as taken:
        check("reloaded " in p.on("reload").stdout, "a file that is as before")
        d.wait_log("reloaded ")
        p.config(source=source, admin={"sokket": SOCKET})
        check("socket" in p.on("reload", code=CONFIG).log, "a mistake in the file is not named")
        check("refused" not in d.log, "the relay was asked although the file has a mistake")
        p.config(source=source, admin={"listen": f"127.0.0.1:{taken.getsockname()[1]}"})
        check("goes on as before: " in p.on("reload", code=CONFIG).log, "the relay's reason is not told")
        d.wait_log("reload refused")
        p.config(source=source, log={"level": "debug"})
        p.on("reload")
        p.on("pause")
        d.wait_log("command obeyed: paused")
        check_equal(d.stop(), 0, "exit code")


@case
def a_reload_by_command_moves_the_socket_and_is_answered(p):
    run(["init", "--source", "sqlite:shop.db"], cwd=p.home)
    source = {"type": "outbox_sqlite", "path": str(p.home / "shop.db")}
    p.config(source=source)
    with p.running():
        (p.home / "there").mkdir()
        p.config(source=source, admin={"socket": f"there/{SOCKET}"})
        check("reloaded " in p.on("reload").stdout, "the relay's answer came by the socket that it leaves")
        wait_for(lambda: not (p.home / SOCKET).exists(), 30, "the old socket to go")
        p.on("pause")


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


# --- a server that does not answer ---

class Silent:
    """Something that listens as a PostgreSQL server would. It never answers, or (`greets`) lets everybody in and then never answers."""

    def __init__(self, greets=False):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"postgresql://relay@127.0.0.1:{self.socket.getsockname()[1]}/shop?sslmode=disable"
        self.guests = []
        if greets:
            threading.Thread(target=self._greet, daemon=True).start()

    def _greet(self):
        while True:
            guest, _ = self.socket.accept()
            guest.recv(4096)
            guest.sendall(b"R\0\0\0\x08\0\0\0\0" b"Z\0\0\0\x05I")  # AuthenticationOk, ReadyForQuery
            self.guests.append(guest)  # open, and silent


OUTBOX = ("outbox_postgres",)


def _waits_as_told(p, words, url, fragment, kinds=(*OUTBOX, "cdc_postgres")):
    """The relay, each command and check wait as long as the file says, and name that time. For an outbox and for a store of its own."""
    for kind in kinds:
        source = {"type": kind, "url": url, "connect_timeout": "1s", "read_timeout": "1500ms"}
        p.config(source=source, encode={"format": "flat"} if kind == "cdc_postgres" else None, store={"url": url})
        r = p.on(*words, code=GAVE_UP)
        check(fragment in r.stdout + r.log, f"{words}, {kind}: not {fragment}: {r.stdout}{r.log}")


COMMANDS = (["status"], ["position", "show"], ["dead-letters", "list"], ["pause"], ["check", "--connect"])


@case
def commands_wait_connect_timeout(p):
    silent = Silent()
    for words in COMMANDS:
        _waits_as_told(p, words, silent.url, "within connect_timeout (1000 ms)")
    _waits_as_told(p, ["init"], silent.url, "within connect_timeout (1000 ms)", kinds=OUTBOX)


@case
def commands_wait_read_timeout(p):
    silent = Silent(greets=True)
    for words in COMMANDS:
        _waits_as_told(p, words, silent.url, "no answer for 1500 ms (read_timeout)")
    _waits_as_told(p, ["init"], silent.url, "no answer for 1500 ms (read_timeout)", kinds=OUTBOX)


main()
