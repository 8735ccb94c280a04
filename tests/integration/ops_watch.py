#!/usr/bin/python3
"""What an operator sees of a relay: its status, and that it answers when it has no descriptors left. Against real servers.

    ops_watch.py [NAME...]     only these checks
"""
import itertools
import json
import os
import re
import resource
import socket
import time

from support import proc
from support.cases import case
from support.place import USAGE, main
from support.proc import check, check_equal, run, wait_for

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
        whole = re.sub(r" \\\n +", " ", text)  # a long one goes on in the next line, as a shell takes it
        resume = [line.strip() for line in whole.splitlines() if line.strip().startswith("commitrelay resume")]
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


main()
