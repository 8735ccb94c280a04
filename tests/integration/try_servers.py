#!/usr/bin/python3
"""tools/try starts a server for every sink, each takes what the relay sends, and what arrived can be read; nothing runs on behind `stop`."""
import json
import shlex
import socket
import subprocess
from urllib.parse import urlsplit

from support import guard
from support.proc import ROOT, check, check_equal, run, tempdir
from support.relaying import config, once

SERVERS = ("rabbitmq", "activemq", "redis", "nats", "http")
COUNT = 20


def tool(*words):
    """What it prints."""
    r = subprocess.run([ROOT / "tools/try", *words], capture_output=True, text=True)
    check(r.returncode == 0, f"tools/try {words[0]}: {r.returncode}\n{r.stdout}{r.stderr}")
    return r.stdout


def read(d, server):
    return [json.loads(line) for line in tool("read", d, server).splitlines()]


def listens(url):
    where = urlsplit(url)
    with socket.socket() as s:
        return s.connect_ex((where.hostname, where.port)) == 0


d = tempdir("try")
try:
    said = tool("start", d, *(word for s in SERVERS for word in ("--with", s)))
    set_by_it = dict(word.split("=", 1) for line in said.splitlines() for word in shlex.split(line)[1:])
    check_equal(sorted(set_by_it), sorted(["SHOP", "RABBITMQ", "RABBITMQ_USER", "RABBITMQ_PASSWORD", "ACTIVEMQ", "ACTIVEMQ_USER", "ACTIVEMQ_PASSWORD",
                                           "REDIS", "NATS", "WEBHOOK"]), "what it sets")
    shop, urls = set_by_it["SHOP"], [v for v in set_by_it.values() if "://" in v]
    pids = [int((d / s / "pid").read_text()) for s in SERVERS]
    run(["init", "--source", shop], cwd=d)
    run(["emit", "--source", shop, "--count", COUNT], cwd=d)
    written = {str(r) for r in subprocess.run(["psql", "-XqAt", shop, "-c", "select id from outbox"], capture_output=True, text=True,
                                              check=True).stdout.split()}
    check_equal(len(written), COUNT, "events")
    for s in SERVERS:
        sink = json.loads((d / s / "sink").read_text())
        home = tempdir("try-relay")
        pipeline = {"name": s, "source": {"type": "outbox_postgres", "url": shop}, "sink": sink}
        check_equal(once(config(home, pipeline), cwd=home).poll(), 0, f"the relay's end ({s})")
        got = read(d, s)
        check_equal(sorted(e["id"] for e in got), sorted(written), f"what {s} has")
        check(all(e["key"] and "n" in json.loads(e["payload"]) for e in got), f"{s}: an event without a key or a payload")
        check_equal(read(d, s), [], f"what came to {s} since")
finally:
    tool("stop", d)
check_equal([p for p in pids if guard.started(p)] + [u for u in urls if listens(u)], [], "what runs on behind `stop`")
print(f"{len(SERVERS)} servers tried")
