"""What happens to the process: signals, closed descriptors, clocks that jump, limits, a second relay."""
import http.client
import json
import os
import select
import shlex
import signal
import socket
import subprocess
import time

from support import proc
from support.arrivals import all_there, each_once, file_ids, ids, wait_ids
from support.bad_input import Saw, alive, all_came_once, ended, fault, faults, said
from support.clock import Clock
from support.proc import check, check_equal, wait_for
from support.relaying import PRLIMIT, admin, as_nobody, config, daemon, metric, once, page, pipeline, redirected, start
from support.shop import SqliteShop


def _running(d, n=3, **more):
    shop = SqliteShop(d)
    r = daemon(config(d, pipeline(shop.source())), **more)
    shop.insert(n)
    wait_ids(lambda: ids(r), shop.ids)
    return shop, r


# --- 57: the clock ---

@fault
def clock_jumps(d):
    """The wall clock jumps by an hour to and fro: nothing waits longer, nothing is lost, only log times show it."""
    clock = Clock(d)
    shop, r = _running(d, env=clock.env)
    for jump in (3600, -3600, 0, 86400 * 365):
        clock.ahead(jump)
        shop.insert(3)
        shop.wait_saved()
    saw = alive(r)
    each_once(ids(r), shop.ids)
    stamps = {line[3:7] for line in r.log.splitlines() if line.startswith("ts=")}
    check(len(stamps) > 1, f"the preloaded clock was used: {stamps}")
    return saw


# --- 58: signals and descriptors ---

def _writable(fd):
    return bool(select.select([], [fd], [], 0)[1])


def _delivered(shop):
    return shop.value("select delivered from commitrelay_positions") or 0


def _blocked_reader(d, drain_timeout="1s", n=2000):
    """A relay whose standard output is a pipe that nobody reads, full, with events in flight; it has saved what it got rid of."""
    shop = SqliteShop(d)
    shop.insert(n, payload="x" * 200)
    path = config(d, pipeline(shop.source(), drain_timeout=drain_timeout))
    os.mkfifo(d / "pipe")
    read, write = (os.open(d / "pipe", how | os.O_NONBLOCK) for how in (os.O_RDONLY, os.O_WRONLY))
    r = redirected(path, f">{shlex.quote(str(d / 'pipe'))}")
    wait_for(lambda: not _writable(write), 20, "the pipe to be full")
    os.close(write)
    os.set_blocking(read, True)
    wait_for(lambda: _delivered(shop), 20, "a position to be saved")
    return shop, path, r, read


def _drained(read):
    """The ids of the whole lines that lie in a pipe whose writer has gone."""
    text = b""
    while piece := os.read(read, 1 << 16):
        text += piece
    os.close(read)
    return [json.loads(x)["id"] for x in text.split(b"\n")[:-1]]


def _goes_on(shop, path, read):
    """The relay has ended in the middle of its work: the next one sends the rest; what each of them sent."""
    first, rest = _drained(read), once(path)
    check_equal(rest.poll(), 0, "exit code of the next start")
    check(0 < len(first) < len(shop.ids), f"{len(first)} of {len(shop.ids)} events got out: not the middle of a batch")
    all_there(first + ids(rest), shop.ids)
    return first, rest


@fault
def term_mid_batch(d):
    """Half a batch is out: it ends after drain_timeout, here longer than the default, and the next start sends the rest."""
    shop, path, r, read = _blocked_reader(d, "11s")
    begin = time.monotonic()
    r.term()
    r.wait_exit()
    took = time.monotonic() - begin
    check(took >= 11, f"ended after {took:.1f} s, before its drain_timeout")
    _, rest = _goes_on(shop, path, read)
    check(len(ids(rest)) < len(shop.ids), "what was delivered is not all sent again")
    return ended(r)


@fault
def term_twice(d):
    """The second signal ends it at once, consistent all the same."""
    shop, path, r, read = _blocked_reader(d, "1h")
    r.term()
    r.wait_log("stopping")
    r.term()
    r.wait_exit()
    _goes_on(shop, path, read)
    return ended(r)


@fault
def int_once(d):
    shop, r = _running(d)
    r.signal(signal.SIGINT)
    r.wait_exit()
    return ended(r)


@fault
def kill_9(d):
    shop, path, r, read = _blocked_reader(d)
    r.kill9()
    _, rest = _goes_on(shop, path, read)
    return ended(rest)


@fault
def reader_gone(d):
    """SIGPIPE does not kill it; it says what happened, and goes on where it stopped with the next reader."""
    shop, path, r, read = _blocked_reader(d)
    first = [json.loads(x)["id"] for x in os.read(read, 4096).decode().split("\n")[:-1]]
    wait_for(lambda: _delivered(shop) >= len(first), 20, "what was read to be saved")
    os.close(read)
    r.wait_exit()
    rest = once(path)
    check_equal(rest.poll(), 0, "exit code with a reader")
    # What lay in the pipe went down with its reader: written is delivered. Behind that nothing is missing.
    check_equal(ids(rest), shop.ids[-len(ids(rest)):], "what the second reader got")
    check(0 < len(first) < len(shop.ids) - len(ids(rest)) + 1, "and it began behind the first")
    return ended(r)


@fault
def signal_flood(d):
    """Signals that mean nothing to it change nothing."""
    shop, r = _running(d)
    for _ in range(2000):
        for s in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE, signal.SIGXFSZ):
            r.signal(s)
    check(r.running, f"it ended with {r.poll()}")
    shop.insert(3)
    return all_came_once(r, shop.ids)


@fault
def hangup_without_file(d):
    shop = SqliteShop(d)
    r = start(["run", "--source", f"sqlite:{shop.path}", "--sink", "stdout:"])
    shop.insert(3)
    wait_ids(lambda: ids(r), shop.ids)
    r.signal(signal.SIGHUP)
    said(r)
    return alive(r)


@fault
def descriptors_closed(d):
    """Without descriptors 0 to 2 no database or socket of ours takes their place, where a log line would go into it."""
    shop = SqliteShop(d)
    shop.insert(20)
    path = config(d, pipeline(shop.source(), sink={"type": "file", "dir": f"{d}/out"}))
    r = redirected(path, "<&- >&- 2>&-", "--until-idle")
    r.wait_exit(20)
    each_once(file_ids(d / "out"), shop.ids)
    check_equal(shop.value("pragma integrity_check"), "ok", "the database")
    return Saw(r.poll(), "batch files complete")


@faults({"closed": ">&-", "all_closed": "<&- >&- 2>&-", "read_only": "1</dev/null", "full": ">/dev/full"})
def nowhere_to_print(d, redirection):
    """Events for a standard output that takes none: none counts as delivered, and the next run prints them all."""
    shop = SqliteShop(d)
    shop.insert(20)
    path = config(d, pipeline(shop.source()))
    r = redirected(path, redirection, "--until-idle")
    r.wait_exit(45)
    tables = shop.value("select count(*) from sqlite_master where name = 'commitrelay_positions'")
    check_equal(tables and shop.value("select delivered from commitrelay_positions"), 0, "delivered")
    later = once(path)
    each_once(ids(later), shop.ids)
    return Saw(r.poll(), r.log or "no words")


@fault
def result_not_printed(d):
    """A command whose result nobody can read has failed."""
    SqliteShop(d).insert(1)
    for command in ("version", "reference config", f"status -c {config(d, pipeline(SqliteShop(d, 'other.db').source()))}",
                    f"tail -n 1 --source sqlite:{d}/shop.db", "run --help"):
        for redirection in (">&-", ">/dev/full"):
            r = start(["-c", f'exec "$0" {command} {redirection}', proc.BIN], binary="/bin/sh")
            r.wait_exit(20)
            check_equal(r.poll(), 74, f"exit code of {command} {redirection}")
    return ended(r)


# --- 60: limits ---

@faults({"at_start": 6, "while_running": 20})
def few_descriptors(d, n):
    """Too few descriptors: a clean text, and no position moved."""
    shop = SqliteShop(d)
    shop.insert(3)
    path = config(d, pipeline(shop.source()), admin={"listen": admin()})
    r = once(path, before=[PRLIMIT, f"--nofile={n}", proc.BIN])
    if r.poll():
        check_equal(shop.value("select count(*) from sqlite_master where name = 'commitrelay_positions'"), 0, "tables of its own")
    check_equal(once(path).poll(), 0, "exit code with enough")
    return ended(r)


@fault
def few_descriptors_running(d):
    """Descriptors run out while it connects: it says so, and goes on when there are more."""
    shop = SqliteShop(d)
    shop.insert(3)
    path = config(d, pipeline(shop.source()))
    first = daemon(path)
    first.wait_log("state running")
    r = daemon(path)  # a standby opens the database again and again
    r.wait_log("state waiting")
    subprocess.run([PRLIMIT, f"--pid={r.pid}", "--nofile=8:"], check=True)
    r.wait_log("no descriptors are left")
    first.stop()
    subprocess.run([PRLIMIT, f"--pid={r.pid}", "--nofile=1024:"], check=True)
    r.wait_log("state running")
    return alive(r)


@fault
def no_threads(d):
    """A process that may not start a thread ends with a clean text; without root's privileges the limit counts."""
    d.chmod(0o777)
    shop = SqliteShop(d, wal=False)
    os.chmod(shop.path, 0o666)
    words = as_nobody(d)
    path = config(d, pipeline(shop.source()))
    return ended(once(path, before=[*words[:-1], PRLIMIT, "--nproc=1", words[-1]]))


@fault
def little_memory(d):
    """Memory runs out: it ends, whatever it says; what it had said to be delivered was."""
    shop = SqliteShop(d)
    shop.insert(1, payload="x" * (60 << 20))
    shop.insert(3)
    path = config(d, pipeline(shop.source()))
    r = once(path, before=[PRLIMIT, "--as=120000000", proc.BIN], timeout=60)
    first = r.poll()
    check(first != 0, "it had enough")
    again = once(path, timeout=60)
    check_equal(again.poll(), 0, "exit code with enough")
    check(set(ids(again)) >= set(shop.ids[1:]), "nothing was passed over")
    return ended(r)


def _status_of(address, host):
    port = int(address.rpartition(":")[2])
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    c.request("GET", "/status", headers={"Host": host})
    return c.getresponse().status


@fault
def admin_other_host(d):
    """A page in a browser whose own name points here (DNS rebinding) may not read the status; a name that is listed may."""
    shop, address = SqliteShop(d), admin()
    path = config(d, pipeline(shop.source()), admin={"listen": address})
    r = daemon(path)
    r.wait_log("state running")
    port = address.rpartition(":")[2]
    hosts = {"evil.example.com": 403, f"relay.svc:{port}": 403, address: 200, f"localhost:{port}": 200}
    check_equal({h: _status_of(address, h) for h in hosts}, hosts, "answers by Host")
    check("running" in proc.run(["status", "-c", path, "--json"]).stdout, "status asks the daemon")
    config(d, pipeline(shop.source()), admin={"listen": address, "hosts": ["relay.svc"]})
    r.signal(signal.SIGHUP)
    wait_for(lambda: _status_of(address, f"relay.svc:{port}") == 200, 15, "the listed name to be taken")
    return alive(r)


@fault
def admin_crowded(d):
    """A thousand connections that say nothing keep nobody out."""
    shop, address = SqliteShop(d), admin()
    r = daemon(config(d, pipeline(shop.source()), admin={"listen": address}))
    r.wait_log("state running")
    crowd = []
    for _ in range(1000):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex(("127.0.0.1", int(address.rpartition(":")[2])))
        crowd.append(s)
    # Each that comes in ends the oldest one, so who has connected and not asked yet could be that: all have to be in first.
    outside = select.poll()
    for s in crowd:
        outside.register(s, select.POLLOUT)
    inside = 0
    while inside < len(crowd):
        for fd, _ in wait_for(lambda: outside.poll(0), 60, "one more of the crowd to be connected"):
            outside.unregister(fd)
            inside += 1
    for _ in range(3):
        check_equal(page(address, "status")[0], 200, "the answer among a thousand idle ones")
    for s in crowd:
        s.close()
    return alive(r)


@fault
def admin_port_taken(d):
    shop = SqliteShop(d)
    shop.insert(3)
    with socket.create_server(("127.0.0.1", 0)) as s:
        r = once(config(d, pipeline(shop.source()), admin={"listen": "127.0.0.1:%d" % s.getsockname()[1]}))
    check_equal(ids(r), [], "what was sent")
    return ended(r)


@fault
def admin_socket_taken(d):
    shop = SqliteShop(d)
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(f"{d}/admin")
        s.listen()
        r = once(config(d, pipeline(shop.source()), admin={"listen": f"unix:{d}/admin"}))
    return ended(r)


@faults({"bad_port": "127.0.0.1:99999", "no_port": "localhost", "other_host": "192.0.2.1:9480"})
def admin_address(d, listen):
    return ended(once(config(d, pipeline(SqliteShop(d).source()), admin={"listen": listen})))


@fault
def log_disk_full(d):
    """Nobody can write the log: delivery goes on, and the lines are counted."""
    shop, address = SqliteShop(d), admin()
    path = config(d, pipeline(shop.source()), admin={"listen": address})
    r = redirected(path, "2>/dev/full")
    shop.insert(3)
    wait_ids(lambda: ids(r), shop.ids)
    wait_for(lambda: metric(address, "log_lines_dropped_total"), 10, "dropped lines to be counted")
    return Saw(alive(r).code, "commitrelay_log_lines_dropped_total")


@fault
def log_not_read(d):
    """A reader of the log that has stopped reading holds nothing up."""
    shop = SqliteShop(d)
    shop.insert(3)
    os.mkfifo(d / "log")
    both = os.open(d / "log", os.O_RDWR | os.O_NONBLOCK)
    while _writable(both):
        os.write(both, b"x" * 4096)
    r = redirected(config(d, pipeline(shop.source())), f"2>{shlex.quote(str(d / 'log'))}", "--until-idle")
    try:
        r.wait_exit()
    finally:
        os.close(both)
    each_once(ids(r), shop.ids)
    return Saw(r.poll(), "delivered all the same")
