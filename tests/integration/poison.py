#!/usr/bin/python3
"""An event that can never be delivered, under poison: stop: nothing behind it is sent; mended and resumed it comes, with all others."""
import json
import sqlite3
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support import proc  # noqa: E402
from support.proc import Relay, check_equal, run, wait_for  # noqa: E402


class Shop:
    def __init__(self, mode):
        self.dir = proc.tempdir("poison")
        self.path = self.dir / "shop.db"
        self.config = self.dir / "relay.yaml"
        run(["init", "--source", f"sqlite:{self.path}"])
        self.config.write_text(json.dumps({"pipelines": [{
            "name": "p", "source": {"type": "outbox_sqlite", "path": str(self.path), "mode": mode},
            "route": {"topic": "{aggregatetype}"}, "sink": {"type": "stdout"}}]}))

    def sql(self, text, *values):
        db = sqlite3.connect(self.path, timeout=120)
        with db:
            rows = db.execute(text, values).fetchall()
        db.close()
        return rows

    def insert(self, number, topic="order"):
        self.sql("insert into outbox (id, aggregatetype, aggregateid, type, payload) values (?, ?, 'k', 'made', '{}')", f"e{number}", topic)

    def start(self):
        return Relay(["run", "-c", self.config])


def came(relay):
    return [json.loads(line)["id"] for line in relay.stdout.split("\n")[:-1]]


def blocked(shop, mend, want):
    shop.insert(1)
    shop.insert(2, topic="no topic")
    shop.insert(3)
    relay = shop.start()
    relay.wait_log("state blocked: event e2")
    wait_for(lambda: came(relay), 10, "what came before the event that blocks")
    check_equal(came(relay), ["e1"], "what came before the event that blocks")
    run(["resume", "-c", shop.config])
    relay.wait_log("(?s)resumed.*can never be delivered")
    check_equal(came(relay), ["e1"], "what came after a resume that mended nothing")
    mend()
    run(["resume", "-c", shop.config])
    wait_for(lambda: came(relay) == want, 10, f"{want} to come; {came(relay)} came")
    check_equal(relay.stop(), 0, "exit code")


for mode in ("position", "delete"):
    s = Shop(mode)
    blocked(s, lambda: s.sql("update outbox set aggregatetype = 'order' where id = 'e2'"), ["e1", "e2", "e3"])
    s = Shop(mode)
    blocked(s, lambda: s.sql("delete from outbox where id = 'e2'"), ["e1", "e3"])
