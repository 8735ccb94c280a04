#!/usr/bin/python3
"""Proves the test support itself on real servers: data survives restarts and kills, the reader is exact, the proxy misbehaves."""
import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from unittest import mock

import proton

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from support import guard, proc, rdkafka  # noqa: E402
from support.artemis import Artemis, body  # noqa: E402
from support.kafka import Kafka  # noqa: E402
from support.natsd import Message, Nats  # noqa: E402
from support.pg import Postgres  # noqa: E402
from support.proc import check, check_equal, tempdir, wait_for  # noqa: E402
from support.proxy import Proxy  # noqa: E402


def postgres():
    with Postgres(settings={"work_mem": "8MB"}) as pg:
        check_equal(pg.value("show wal_level"), "logical", "wal_level")
        check_equal(pg.value("show fsync"), "on", "fsync")
        check_equal(pg.value("show work_mem"), "8MB", "work_mem")
        pg.createdb("shop")
        pg.sql("create table t(i int, s text)", dbname="shop")
        pg.sql("insert into t values (%s, %s)", 1, "a%b'c", dbname="shop")
        for how in ("fast", "immediate", "smart"):
            pg.restart(how)
        pg.crash()
        check(not pg.running, "a killed server does not run")
        pg.start()
        check_equal(pg.sql("select * from t", dbname="shop"), [(1, "a%b'c")], "the row after restarts and a crash")
        for uri in (pg.url("shop"), pg.url("shop", socket=True), pg.conninfo("shop", socket=True)):
            out = subprocess.run(["psql", "-XqAt", uri, "-c", "select count(*) from t"], capture_output=True, text=True)
            check_equal(out.stdout, "1\n", f"psql {uri}")
        with Proxy("127.0.0.1", pg.port) as proxy:
            out = subprocess.run(["psql", "-XqAt", pg.url(port=proxy.port), "-c", "select 1"], capture_output=True, text=True)
            check_equal(out.stdout, "1\n", f"psql through the proxy ({out.stderr})")


def nats():
    with Nats(proxied=True) as n:
        n.create_stream("S", "s.>", max_msgs=3, discard="new")
        check_equal(n.count("S"), 0, "messages of a new stream")
        check_equal([n.publish(f"s.{i}", b"\x00%d" % i, {"Nats-Msg-Id": f"e{i}"}) for i in range(3)], [1, 2, 3], "sequences")
        n.publish("s.0", b"again", {"Nats-Msg-Id": "e0"})  # the server drops it
        want = [Message(f"s.{i}", i + 1, {"Nats-Msg-Id": f"e{i}"}, b"\x00%d" % i) for i in range(3)]
        check_equal(n.messages("S"), want, "messages")
        n.kill9()
        n.start()
        check_equal((n.count("S"), n.messages("S")), (3, want), "messages after a kill")
        n.sigstop()
        n.sigcont()
        n.create_stream("W", "w", retention="workqueue")
        with n.taking("W") as got:
            n.publish("w", b"", {"Nats-Msg-Id": "w0"})
            wait_for(lambda: got == ["w0"], 60, "the message to be taken")
        check_equal(n.messages("W"), [], "what was taken is gone")
        with n.listening("x.y") as heard:
            n.create_stream("X", "x.>")
            n.publish("x.y", b"1")
            wait_for(lambda: heard == [b"1"], 60, "the subscriber to hear it")
        n.delete_stream("X")
        check_equal(n.count("X"), 0, "messages of a stream that is gone")


def artemis():
    with Artemis() as a:
        a.create("closed.new")
        with a.connected() as c:
            sender = c.create_sender("closed.new")
            for i in range(3):
                sender.send(proton.Message(id=f"e{i}", body=b"%d" % i, durable=True))
        check_equal(a.count("closed.new"), 3, "messages")
        a.kill9()
        a.start()
        check_equal([(m.id, body(m)) for m in a.take("closed.new", 2)], [("e0", b"0"), ("e1", b"1")], "messages after a kill")
        a.sigstop()
        a.sigcont()
        check_equal([m.id for m in a.take("closed.new")], ["e2"], "what was taken is gone")
        a.delete("closed.new")
        check_equal(a.count("closed.new"), 0, "messages of a queue that is gone")


def kafka():
    with Kafka(proxied=True) as k:
        k.create_topics({"a": 2, "b": (1, {"max.message.bytes": 2000000})})
        k.create_topics({"a": 2})  # what is there already is left
        k.produce("a", b"\x00v|1\n,2", key="k", partition=1, headers=[("id", "x,y=z"), ("id", ""), ("t", "ü")])
        k.produce("a", b"-", partition=0)
        k.produce_lines("b", [f"k{i % 3}|{i}" for i in range(1000)])

        def compare(when):
            a, b = k.consume_all("a"), k.consume_all(["b"])
            one = [r for r in a if r.partition == 1]
            check_equal([(r.key, r.value, r.headers) for r in one],
                        [(b"k", b"\x00v|1\n,2", [("id", b"x,y=z"), ("id", b""), ("t", "ü".encode())])], f"the record {when}")
            check(abs(one[0].timestamp - time.time() * 1000) < 600000, "its timestamp")
            check_equal(len(a), 2, f"records in a {when}")
            check_equal([r.value for r in b], [str(i).encode() for i in range(1000)], f"values in b {when}")
            check_equal(k.end_offsets("b"), {0: 1000}, f"end of b {when}")
        compare("at first")
        check_equal(k.count("a", "b"), 1002, "count")
        # A second reader that shares nothing with ours but librdkafka.
        out = subprocess.run(["kcat", "-C", "-e", "-q", "-b", k.bootstrap, "-t", "b", "-f", "%o %k=%s\n"], capture_output=True, text=True)
        check_equal(out.stdout.split("\n")[:-1], [f"{i} k{i % 3}={i}" for i in range(1000)], "kcat's reading")

        k.restart()
        compare("after a restart")
        k.kill9()
        k.start()
        compare("after a kill")
        k.sigstop()
        try:
            with rdkafka.Client(k.bootstrap) as c:
                c.partitions(timeout=1, patience=0)
            proc.fail("a stopped broker answered")
        except rdkafka.Error:
            pass
        k.sigcont()
        k.alter_partitions("b", 3)
        check_equal(k.topics()["b"], 3, "partitions")
        k.set_config("b", {"max.message.bytes": 1000})

        def refused():
            return b"too large" in subprocess.run(["kcat", "-P", "-b", k.bootstrap, "-t", "b"], input=b"x" * 5000, capture_output=True).stderr
        wait_for(refused, 20, "the broker to have the new limit, and to refuse a large message")
        k.delete_topic("b")

        def answers():
            with rdkafka.Client(k.proxied_bootstrap) as c:
                try:
                    return c.partitions(timeout=2, patience=0).get("a") == 2 and c.watermarks("a", 1) == (0, 1)
                except rdkafka.Error:
                    return False
        wait_for(answers, 20, "an answer through the proxy")
        check(k.proxy.accepted > 0, "and went through it")
        k.proxy.blackhole()
        check(not answers(), "a blackhole answers nothing")
        k.proxy.refuse()
        check(not answers(), "nor does a closed port")
        k.proxy.heal()
        wait_for(answers, 20, "an answer once the proxy is healed")


def proxy():
    echo = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            c, _ = echo.accept()
            threading.Thread(target=lambda c=c: pump(c), daemon=True).start()

    def pump(c):
        try:
            while data := c.recv(65536):
                c.sendall(data)
        except OSError:
            pass
        c.close()
    threading.Thread(target=serve, daemon=True).start()

    def dial():
        s = socket.create_connection(("127.0.0.1", p.port))
        s.settimeout(180)
        return s

    def read(s, n):
        got = b""
        while len(got) < n and (data := s.recv(n - len(got))):
            got += data
        return got

    with Proxy(*echo.getsockname()) as p:
        s, big = dial(), os.urandom(5_000_000)
        t = threading.Thread(target=s.sendall, args=(big,))
        t.start()
        check(read(s, len(big)) == big, "5 MB come through unchanged")
        t.join()
        p.delay(0.3)
        t0 = time.monotonic()
        s.sendall(b"x")
        check_equal(read(s, 1), b"x", "a late byte")
        check(time.monotonic() - t0 >= 0.6, "twice the delay")
        p.heal()
        p.throttle(1_000_000)
        t = threading.Thread(target=s.sendall, args=(big[:500_000],))
        t.start()
        t0 = time.monotonic()
        check(read(s, 500_000) == big[:500_000], "half a megabyte comes through unchanged")
        check(time.monotonic() - t0 > 0.4, "at no more than a megabyte a second")
        t.join()
        p.heal()
        p.blackhole("down")
        s.sendall(b"held")
        s.settimeout(0.3)  # silence is what is tested
        try:
            proc.fail(f"a blackhole gave {s.recv(9)}")
        except TimeoutError:
            pass
        p.heal()
        s.settimeout(180)
        check_equal(read(s, 4), b"held", "what a blackhole held back")
        p.cut()
        check_equal(s.recv(1), b"", "an orderly end")
        s = dial()
        s.sendall(b"1")
        read(s, 1)
        p.rst()
        try:
            proc.fail(f"a reset gave {s.recv(1)}")
        except ConnectionResetError:
            pass
        s = dial()
        done = p.edit(lambda data: data.replace(b"7", b"8") if b"7" in data else None)
        s.sendall(b"6")
        check_equal(read(s, 1), b"6", "a byte that is left alone")
        check(not done.is_set(), "nothing was changed yet")
        s.sendall(b"677")
        check_equal(read(s, 3), b"688", "bytes that are changed")
        s.sendall(b"7")
        check_equal(read(s, 1), b"7", "a byte after that")
        check(done.is_set(), "it says so")
        s = dial()
        p.cut_after(10, "down")
        s.sendall(b"0123456789abcdef")
        check_equal(read(s, 16), b"0123456789", "ten bytes before the cut")
        s = dial()
        s.sendall(b"again")
        check_equal(read(s, 5), b"again", "the next connection")
        s.shutdown(socket.SHUT_WR)
        check_equal(s.recv(1), b"", "a half-close passes through")
        wait_for(lambda: p.connections == 0, 5, "the proxy to forget closed connections")
        p.refuse()
        try:
            dial()
            proc.fail("connected to a closed port")
        except ConnectionRefusedError:
            pass
    echo.close()


def process():
    script = tempdir("script") / "relay"
    script.write_text("#!/bin/sh\necho out; echo \"log $X ${Y-unset}\" >&2; trap 'exit 3' TERM; while :; do sleep .05; done\n")
    script.chmod(0o755)
    os.environ["Y"] = "set"
    with proc.Relay(["run"], env={"X": 7, "Y": None}, binary=str(script)) as r:
        r.wait_log(r"log 7 unset")
        check(r.rss > 0 and r.fds > 0 and r.threads == 1, "what /proc says")
        check_equal(r.stop(), 3, "exit code")
        check_equal(r.stdout, "out\n", "stdout")
        check(r.rss > 0, "peak memory after the end")
    with proc.Relay([], binary=str(script)) as r:
        r.kill9()
        check_equal(r.poll(), -9, "a kill")
    proc.run(["-c", "exit 5"], code=5, binary="/bin/sh")
    least, proc.LEAST = proc.LEAST, 0
    try:
        with mock.patch.object(proc, "LEAST", 0):
            wait_for(lambda: False, 0.1, "godot")
        proc.fail("waited for nothing")
    except proc.Failed as e:
        check("godot" in str(e), str(e))
    finally:
        proc.LEAST = least


def killed_test():
    """A test that is killed leaves neither servers nor directories."""
    code = ("import sys, json, time; sys.path.insert(0, sys.argv[1])\n"
            "from support.pg import Postgres\n"
            "pg = Postgres().start()\n"
            "print(json.dumps([pg.pid, str(pg.dir), str(pg.socket_dir)]), flush=True)\n"
            "time.sleep(10**6)\n")
    p = subprocess.Popen([sys.executable, "-c", code, str(Path(__file__).resolve().parents[1])], stdout=subprocess.PIPE, text=True,
                         env={k: v for k, v in os.environ.items() if k != "COMMITRELAY_KEEP"})
    pid, *dirs = json.loads(p.stdout.readline())
    p.kill()
    p.wait()
    wait_for(lambda: guard.started(pid) is None, 10, "the killed test's server to end")
    wait_for(lambda: not any(os.path.exists(d) for d in dirs), 10, "the killed test's directories to go")


for part in (process, proxy, postgres, killed_test, nats, artemis, kafka):
    if len(sys.argv) < 2 or part.__name__ in sys.argv[1:]:
        t0 = time.monotonic()
        part()
        print(f"{part.__name__}: ok, {time.monotonic() - t0:.1f} s", flush=True)
