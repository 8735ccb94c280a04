"""What happens to the process: signals, closed descriptors, clocks that jump, limits, a second relay."""
import json
import os
import signal
import socket
import subprocess
import time

from faults_support import (PRLIMIT, Saw, Shop, admin, alive, all_came_once, all_there, as_nobody, config, daemon, each_once, ended, fault,
                            faults, file_ids, ids, once, page, pipeline, proc, readable, start, wait_for, wait_ids)
from support.proc import check, check_equal


def _running(d, n=3, **more):
    shop = Shop(d)
    r = daemon(config(d, pipeline(shop.source())), **more)
    shop.insert(n)
    wait_ids(lambda: ids(r), shop.ids)
    return shop, r


# --- 57: the clock ---

CLOCK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static long shift(void)
{
    long s = 0;
    FILE *f = fopen(getenv("CLOCK_SHIFT"), "r");
    if (f) {
        if (fscanf(f, "%ld", &s) != 1) { s = 0; }
        fclose(f);
    }
    return s;
}

int clock_gettime(clockid_t id, struct timespec *t)
{
    int (*real)(clockid_t, struct timespec *) = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int rc = real(id, t);
    if (id == CLOCK_REALTIME) { t->tv_sec += shift(); }
    return rc;
}
int gettimeofday(struct timeval *t, void *z)
{
    struct timespec s;
    (void)z;
    clock_gettime(CLOCK_REALTIME, &s);
    t->tv_sec = s.tv_sec;
    t->tv_usec = s.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *out)
{
    struct timespec s;
    clock_gettime(CLOCK_REALTIME, &s);
    if (out) { *out = s.tv_sec; }
    return s.tv_sec;
}
"""


@fault
def clock_jumps(d):
    """The wall clock jumps by an hour to and fro: nothing waits longer, nothing is lost, only log times show it."""
    (d / "clock.c").write_text(CLOCK)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(d / "clock.so"), str(d / "clock.c"), "-ldl"], check=True)
    now = d / "shift"
    now.write_text("0")
    shop, r = _running(d, env={"LD_PRELOAD": d / "clock.so", "CLOCK_SHIFT": now})
    for jump in (3600, -3600, 0, 86400 * 365):
        now.write_text(str(jump))
        shop.insert(3)
        wait_ids(lambda: ids(r), shop.ids, 5)
    saw = alive(r, 5)
    each_once(ids(r), shop.ids)
    stamps = {line[3:7] for line in r.log.splitlines() if line.startswith("ts=")}
    check(len(stamps) > 1, f"the preloaded clock was used: {stamps}")
    return saw


# --- 58: signals and descriptors ---

def _blocked_reader(d, drain_timeout="1s", n=2000):
    """A relay whose standard output is a pipe that nobody reads, full, with events in flight."""
    shop = Shop(d)
    shop.insert(n, payload="x" * 200)
    read, write = os.pipe()
    path = config(d, pipeline(shop.source(), drain_timeout=drain_timeout))
    log = open(d / "log", "wb")
    p = subprocess.Popen([proc.BIN, "run", "-c", str(path)], stdin=subprocess.DEVNULL, stdout=write, stderr=log, start_new_session=True)
    os.close(write)
    log.close()
    wait_for(lambda: "state running" in (d / "log").read_text(), 10, "the relay to run")
    time.sleep(0.3)  # until the pipe is full; nothing says so
    return shop, path, p, read


def _end(p):
    try:
        return p.wait(10 * proc.PATIENCE)
    finally:
        p.kill()
        p.wait()


def _log(d):
    return readable((d / "log").read_text())


def _drained(read):
    """The ids of the whole lines that lie in a pipe whose writer has gone."""
    text = b""
    while piece := os.read(read, 1 << 16):
        text += piece
    os.close(read)
    return [json.loads(x)["id"] for x in text.split(b"\n")[:-1]]


@fault
def term_mid_batch(d):
    """Half a batch is out: it ends within drain_timeout, and the next start sends the rest."""
    shop, path, p, read = _blocked_reader(d)
    begin = time.monotonic()
    p.send_signal(signal.SIGTERM)
    code = _end(p)
    took = time.monotonic() - begin
    check(0.5 < took < 8, f"ended after {took:.1f} s, drain_timeout 1s and not the default 10s")
    first, rest = _drained(read), once(path)
    check_equal(rest.poll(), 0, "exit code of the next start")
    check(0 < len(first) < len(shop.ids), f"{len(first)} of {len(shop.ids)} events got out: not the middle of a batch")
    all_there(first + ids(rest), shop.ids)
    check(len(ids(rest)) < len(shop.ids), "what was delivered is not all sent again")
    return Saw(code, _log(d))


@fault
def term_twice(d):
    """The second signal ends it at once, consistent all the same."""
    shop, path, p, read = _blocked_reader(d, "300s")
    p.send_signal(signal.SIGTERM)
    wait_for(lambda: "stopping" in (d / "log").read_text(), 5, "the first signal")
    p.send_signal(signal.SIGTERM)
    code = _end(p)
    first, rest = _drained(read), once(path)
    check_equal(rest.poll(), 0, "exit code of the next start")
    all_there(first + ids(rest), shop.ids)
    return Saw(code, _log(d))


@fault
def int_once(d):
    shop, r = _running(d)
    r.signal(signal.SIGINT)
    r.wait_exit(5)
    return ended(r)


@fault
def kill_9(d):
    shop, r = _running(d, 500)
    shop.insert(500)
    r.kill9()
    again = once(config(d, pipeline(shop.source())))
    all_there(ids(r) + ids(again), shop.ids)
    return ended(again)


@fault
def reader_gone(d):
    """SIGPIPE does not kill it; it says what happened, and goes on where it stopped with the next reader."""
    shop, path, p, read = _blocked_reader(d)
    first = [json.loads(x)["id"] for x in os.read(read, 4096).decode().split("\n")[:-1]]
    os.close(read)
    code = _end(p)
    rest = once(path)
    check_equal(rest.poll(), 0, "exit code with a reader")
    # What lay in the pipe went down with its reader: written is delivered. Behind that nothing is missing.
    check_equal(ids(rest), shop.ids[-len(ids(rest)):], "what the second reader got")
    check(0 < len(first) < len(shop.ids) - len(ids(rest)) + 1, "and it began behind the first")
    return Saw(code, _log(d))


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
    shop = Shop(d)
    r = start(["run", "--source", f"sqlite:{shop.path}", "--sink", "stdout:"])
    shop.insert(3)
    wait_ids(lambda: ids(r), shop.ids)
    r.signal(signal.SIGHUP)
    r.wait_log("SIGHUP")
    saw = alive(r)
    return saw


@fault
def descriptors_closed(d):
    """Without descriptors 0 to 2 no database or socket of ours takes their place, where a log line would go into it."""
    shop = Shop(d)
    shop.insert(20)
    path = config(d, pipeline(shop.source(), sink={"type": "file", "dir": f"{d}/out"}))
    r = start(["-c", f"exec {proc.BIN} run -c {path} --until-idle <&- >&- 2>&-"], binary="/bin/sh")
    r.wait_exit(20)
    each_once(file_ids(d / "out"), shop.ids)
    check_equal(shop.value("pragma integrity_check"), "ok", "the database")
    return Saw(r.poll(), "batch files complete")


# --- 60: limits ---

@faults({"at_start": 6, "while_running": 20})
def few_descriptors(d, n):
    """Too few descriptors: a clean text, and no position moved."""
    shop = Shop(d)
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
    shop = Shop(d)
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
    shop = Shop(d, wal=False)
    os.chmod(shop.path, 0o666)
    words = as_nobody(d)
    path = config(d, pipeline(shop.source()))
    return ended(once(path, before=[*words[:-1], PRLIMIT, "--nproc=1", words[-1]]))


@fault
def little_memory(d):
    """Memory runs out: it ends, whatever it says; what it had said to be delivered was."""
    shop = Shop(d)
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


@fault
def admin_port_taken(d):
    shop = Shop(d)
    shop.insert(3)
    with socket.create_server(("127.0.0.1", 0)) as s:
        r = once(config(d, pipeline(shop.source()), admin={"listen": "127.0.0.1:%d" % s.getsockname()[1]}))
    check_equal(ids(r), [], "what was sent")
    return ended(r)


@fault
def admin_socket_taken(d):
    shop = Shop(d)
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(f"{d}/admin")
        s.listen()
        r = once(config(d, pipeline(shop.source()), admin={"listen": f"unix:{d}/admin"}))
    return ended(r)


@faults({"bad_port": "127.0.0.1:99999", "no_port": "localhost", "other_host": "192.0.2.1:9480"})
def admin_address(d, listen):
    return ended(once(config(d, pipeline(Shop(d).source()), admin={"listen": listen})))


@fault
def log_disk_full(d):
    """Nobody can write the log: delivery goes on, and the lines are counted."""
    shop, address = Shop(d), admin()
    path = config(d, pipeline(shop.source()), admin={"listen": address})
    r = start(["-c", f"exec {proc.BIN} run -c {path} 2>/dev/full"], binary="/bin/sh")
    shop.insert(3)
    wait_ids(lambda: ids(r), shop.ids)
    dropped = [x for x in page(address, "metrics")[1].splitlines() if x.startswith("commitrelay_log_lines_dropped_total")]
    check(float(dropped[0].split()[1]) > 0, f"dropped lines are counted: {dropped}")
    saw = alive(r)
    return Saw(saw.code, dropped[0])


@fault
def log_not_read(d):
    """A reader of the log that has stopped reading holds nothing up."""
    shop = Shop(d)
    read, write = os.pipe()
    os.set_blocking(write, False)
    try:
        while os.write(write, b"x" * 4096):
            pass
    except BlockingIOError:
        pass
    os.set_blocking(write, True)
    path = config(d, pipeline(shop.source()))
    with open(d / "out", "wb") as out:
        p = subprocess.Popen([proc.BIN, "run", "-c", str(path), "--until-idle"], stdin=subprocess.DEVNULL, stdout=out, stderr=write)
    shop.insert(3)
    try:
        code = p.wait(15)
    finally:
        p.kill()
        os.close(read)
        os.close(write)
    each_once([json.loads(x)["id"] for x in (d / "out").read_text().splitlines()], shop.ids)
    return Saw(code, "delivered all the same")
