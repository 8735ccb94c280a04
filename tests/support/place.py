"""A relay that runs in one place and the desk at which its commands are typed; and the runner of tests that are given both."""
import json
import os

from . import cases, pg, proc
from .proc import check_equal, run

OK, USAGE, GONE, GAVE_UP, PERMISSION, CONFIG = 0, 64, 69, 75, 77, 78
SOCKET = "commitrelay.sock"
_roots = []


def needs_root(fn):
    """It acts as another user. An ordinary user's run says that it was left out."""
    _roots.append(fn)
    return fn


class Place:
    """A configuration, the directory its relay runs in, and another one where its commands are typed."""
    count = 0

    def __init__(self, server):
        Place.count += 1
        self.server = server
        self.db = server.createdb(f"ops{Place.count}")
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
        self.sql(f"CREATE PUBLICATION commitrelay_ops{Place.count} FOR TABLE orders")
        self.config(source={"type": "cdc_postgres", "url": self.url}, name=f"ops{Place.count}", encode={"format": "flat"}, **top)

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


def main():
    """Runs the cases, or those that the command line names, each in a database of its own."""
    with pg.Postgres(settings={"wal_level": "logical", "max_replication_slots": 30, "max_wal_senders": 30}) as server:
        cases.main(lambda: Place(server), rooted=_roots if os.getuid() != 0 else ())
