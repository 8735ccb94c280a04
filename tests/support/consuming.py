"""A consumer: its configuration, its database, and the batch files that it reads."""
import itertools
import json

from . import proc
from .proc import check, check_equal
from .relaying import config, once, pipeline, start, write
from .shop import PostgresShop, SqliteShop

_number = itertools.count()
QUICK = {"retry": {"initial": "20ms", "max": "200ms"}, "drain_timeout": "5s"}


class Target(PostgresShop):
    """A consumer's database, empty but for what `sql` makes."""

    def __init__(self, sql="", pg=None, encoding=None):
        other = f" encoding '{encoding}' lc_collate 'C' lc_ctype 'C'" if encoding else ""
        super().__init__(sql, pg=pg, options="template template0" + other)
        self.sql("drop table outbox")

    def claims(self):
        return self.value("select count(*) from public.inbox")

    def rows(self, sql):
        return self.sql(sql)


def consumer(source, inbox, name="billing", **more):
    """An entry of `consumers`; more has `apply` and whatever else."""
    return {"name": name, "from": source, "inbox": {"url": inbox}, **QUICK, **more}


def conf(d, *consumers, name="consume.yaml"):
    return write(d, json.dumps({"consumers": list(consumers)}, indent=1), name)


def consume(path, *words, code=0, timeout=60, env=None):
    """Runs a consumer until it is idle, and checks how it ends."""
    r = start(["consume", "-c", path, *words, "--until-idle"], env=env)
    r.wait_exit(timeout)
    check_equal(r.poll(), code, f"exit code of the consumer:\n{r.log}")
    return r


def consuming(path, *words, env=None):
    return start(["consume", "-c", path, *words], env=env)


def counts(relay):
    """(applied, passed over, dead letters), as its last line says."""
    words = [line for line in relay.log.splitlines() if "applied before" in line][-1]
    numbers = [int(w.strip(',"')) for w in words.split("applied ", 1)[1].replace(",", " ").split() if w.strip(',"').isdigit()]
    return tuple(numbers[:3])


class Folder:
    """Batch files in `out` of a directory, which the relay writes from a SQLite outbox."""

    def __init__(self, d, events=10, name="p", **sink):
        self.d, self.shop, self.name, self.events = d, SqliteShop(d, f"{name}.db"), name, events
        self.path = d / "out"
        self.conf = config(d, pipeline(self.shop.source(), name=name,
                                       sink={"type": "file", "dir": str(self.path), "rotate": {"events": events}, **sink}))

    @property
    def source(self):
        return {"type": "file", "dir": str(self.path)}

    def write(self, rows):
        """rows: (key, payload) each; returns their ids when the files are there."""
        db = self.shop.connect()
        ids = [f"e{len(self.shop.ids) + i:06d}" for i in range(len(rows))]
        db.execute("begin immediate")
        db.executemany("insert into outbox (id, aggregatetype, aggregateid, type, payload) values (?, 'order', ?, 'T', ?)",
                       [(i, str(k), p if isinstance(p, str) else json.dumps(p)) for i, (k, p) in zip(ids, rows)])
        db.execute("commit")
        db.close()
        self.shop.ids += ids
        r = once(self.conf, 60)
        check_equal(r.poll(), 0, f"exit code of the relay:\n{r.log}")
        return ids

    def files(self):
        return sorted(p for p in self.path.glob(f"{self.name}-*.jsonl*") if not p.name.endswith(".manifest.json"))
