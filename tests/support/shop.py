"""An application's database: its outbox, and the ids of the events that it committed. The name of a class says where the outbox is."""
import contextlib
import functools
import itertools
import sqlite3
import threading
from pathlib import Path

from . import proc
from .pg import Postgres
from .pgoutput import lsn
from .proc import check, check_equal, wait_for
from .relaying import config, once, pipeline

_number = itertools.count()


def schema(name):
    """The text of a file of schema/, without its extension."""
    return (proc.ROOT / f"schema/{name}.sql").read_text()


class Shop:
    """What the shops share. A subclass gives value(), which asks the database, and add(), which commits n events and returns their ids."""

    positions = "commitrelay_positions"

    def __init__(self):
        self.ids = []

    def insert(self, n=1, key="k", payload='{"n": 1}', topic="order"):
        fresh = self.add(n, key, payload, topic)
        self.ids += fresh
        return fresh

    @contextlib.contextmanager
    def inserting(self):
        """Meanwhile another thread inserts events of eight keys. It fails with what an insert fails with."""
        over, wrong = threading.Event(), []

        def write():
            try:
                for i in itertools.count():
                    self.insert(20, key=f"k{i % 8}")
                    if over.wait(0.01):
                        return
            except Exception as e:  # pylint: disable=broad-except; shown by the thread that entered
                wrong.append(e)
        thread = threading.Thread(target=write)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            check(not wrong, f"an insert: {wrong}")

    @property
    def cursor(self):
        """What is stored, as text: the same text means that no position moved."""
        return self.value(f"select cursor || ' ' || delivered from {self.positions}")


class SqliteShop(Shop):
    """A file of its own, in a test's directory."""

    def __init__(self, d, name="shop.db", wal=True, tables=None):
        super().__init__()
        self.path = Path(d) / name
        with self.connect() as db:
            if wal:
                db.execute("pragma journal_mode = wal")
            db.executescript(tables or schema("sqlite/outbox"))
        db.close()

    def connect(self):
        """A connection without transactions of its own, which waits for as long as the relay may take."""
        return sqlite3.connect(self.path, timeout=120, isolation_level=None)

    def add(self, n, key, payload, topic):
        fresh = [f"e{len(self.ids) + i:06d}" for i in range(n)]
        db = sqlite3.connect(self.path, timeout=120)
        with db:
            db.executemany("insert into outbox (id, aggregatetype, aggregateid, type, payload) values (?, ?, ?, 'T', ?)",
                           [(i, topic, key, payload) for i in fresh])
        db.close()
        return fresh

    def script(self, sql):
        db = self.connect()
        db.executescript(sql)
        db.close()

    def value(self, sql):
        db = self.connect()
        try:
            row = db.execute(sql).fetchone()
            return row[0] if row else None
        finally:
            db.close()

    def wait_saved(self):
        """All that was inserted is delivered and saved, and the relay has nothing to write any more."""
        want = f"running {len(self.ids)}"
        wait_for(lambda: self.value(f"select state || ' ' || delivered from {self.positions}") == want, 20, f"the store to say {want}",
                 ignore=(sqlite3.OperationalError,))  # before the relay has made the table

    def source(self, **more):
        return {"type": "outbox_sqlite", "path": str(self.path), "poll_interval": "50ms", **more}


@functools.lru_cache(None)
def shared_server():
    """The role `locked` has a password, and the server rejects the role `rejected`."""
    pg = Postgres(settings={"fsync": "off", "max_connections": 60, "max_wal_senders": 60, "max_replication_slots": 60}, name="shared-pg")
    pg.hba("host all locked 127.0.0.1/32 scram-sha-256", "host all rejected 127.0.0.1/32 reject")
    pg.start()
    pg.sql("create role locked login superuser password 'right'")
    pg.sql("create role rejected login")
    return pg


def _pattern(pg):
    """The database of this server that a shop begins as a copy of."""
    if not pg.value("select count(*) from pg_database where datname = 'pattern'"):
        pg.createdb("pattern")
        pg.sql(schema("postgres/outbox"), dbname="pattern")
    return "pattern"


class PostgresShop(Shop):
    """A database of its own. pg: instead of the server that the tests share; options: what CREATE DATABASE says of it, else it is a copy."""

    positions = "commitrelay.positions"

    def __init__(self, sql="", table="outbox", pg=None, options=None):
        super().__init__()
        self.pg, self.table, self.name = pg or shared_server(), table, f"shop{next(_number)}"
        self.pg.sql(f"create database {self.name} {options or 'template ' + _pattern(self.pg)}")
        if options:
            self.sql(schema("postgres/outbox"))
        if sql:
            self.sql(sql)

    def sql(self, text, *params):
        return self.pg.sql(text, *params, dbname=self.name)

    def value(self, text, *params):
        return self.pg.value(text, *params, dbname=self.name)

    def connect(self, **how):
        return self.pg.connect(self.name, **how)

    def add(self, n, key, payload, topic):
        return [r[0] for r in self.sql(f"insert into {self.table} (aggregatetype, aggregateid, type, payload) "
                                       f"select %s, %s, 'T', %s from generate_series(1, {n}) returning id::text", topic, key, payload)]

    def spoil(self, sql):
        """Changes the table in the same transaction that inserts a row, so that there is one to read when it is spoilt."""
        with contextlib.closing(self.connect()) as c, c.cursor() as cur:
            cur.execute("insert into outbox (aggregatetype, aggregateid, type, payload) values ('order', 'k', 'T', '{}') returning id::text")
            fresh = cur.fetchone()[0]
            cur.execute(sql)
            c.commit()
        self.ids.append(fresh)

    def url(self, **how):
        return self.pg.url(self.name, **how)

    def source(self, url=None, **more):
        """Its time limits are for a server that is gone: one that is only slow stays below them."""
        return {"type": "outbox_postgres", "url": url or self.url(), "poll_interval": "50ms", "connect_timeout": "30s", "read_timeout": "60s",
                **more}

    def wait_saved(self, n):
        wait_for(lambda: self.value(f"select delivered from {self.positions}") == n, 10, f"{n} events to be saved as delivered")

    def wait_polls(self, n):
        """Until the relay has asked for rows n times from now on. The first question that is seen may be older, the last not answered yet."""
        begun = set()

        def asked():
            begun.update(self.sql("select pid, query_start from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
                                  " and application_name like 'commitrelay%%' and query like '%%outbox%%'"))
            return len(begun) > n + 1
        wait_for(asked, 20, f"{n} polls")

    def terminate(self, like="commitrelay%"):
        """Ends the relay's sessions."""
        return self.sql("select pg_terminate_backend(pid) from pg_stat_activity where application_name like %s and datname = current_database()",
                        like)


class StreamShop(PostgresShop):
    """Its outbox is published; the slot, which a relay's first run makes, begins before the first row."""

    def __init__(self, sql="", table="outbox", publish="insert, update, delete, truncate", **how):
        super().__init__(sql, table, **how)
        self.sql(f"create publication pub for table {table} with (publish = '{publish}')")

    def source(self, port=None, **more):
        """snapshot and as can be given; what the slot and the publication are called is ours. Its time limits are for a server that is
        gone: one that is only slow stays below them."""
        return {"type": "cdc_postgres", "url": self.url(port=port), "slot": self.name, "publication": "pub", "as": "outbox",
                "table": self.table, "connect_timeout": "30s", "read_timeout": "60s", "heartbeat_interval": "500ms", **more}

    def conf(self, d, sink=None, source=None, **top):
        """A configuration file whose relay has run once, so that the slot is there."""
        path = config(d, pipeline(source or self.source(), sink), **top)
        check_equal(once(path).poll(), 0, "exit code of the run that makes the slot")
        return path

    @property
    def confirmed(self):
        return self.slot("confirmed_flush_lsn::text")

    @property
    def wal_end(self):
        return lsn(self.value("select pg_current_wal_insert_lsn()::text"))

    def insert_large(self, n):
        """One transaction of many rows, more than may be in flight; where its commit record is at the earliest."""
        with contextlib.closing(self.connect()) as c, c.cursor() as cur:
            cur.execute("insert into outbox (aggregatetype, aggregateid, type, payload) select 'order', 'k', 'T', to_jsonb(repeat('x', 300)) "
                        f"from generate_series(1, {n}) returning id::text")
            self.ids += [r[0] for r in cur.fetchall()]
            cur.execute("select pg_current_wal_insert_lsn()::text")
            end = lsn(cur.fetchone()[0])
            c.commit()
        return end

    @property
    def sender(self):
        """The pid of the walsender that streams to the relay, None without one."""
        return self.slot("active_pid")

    def slot(self, what):
        return self.value(f"select {what} from pg_replication_slots where slot_name = %s", self.name)

    def wait_streaming(self):
        wait_for(lambda: self.sender, 10, "the relay to stream")

    def wait_confirmed(self):
        """Until the server is told all that is committed now."""
        end = self.wal_end
        wait_for(lambda: lsn(self.confirmed) >= end, 10, "what is committed to be confirmed")

    def wait_asked(self, what):
        """Until the relay has asked, beside its stream, for what this part of an SQL text names, and has the answer: then it asks the next."""
        since = self.value("select clock_timestamp()")
        for text in (what, ""):
            since = wait_for(lambda t=text, s=since: self.value(
                "select max(query_start) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
                " and application_name like 'commitrelay%%' and query like %s and query_start > %s", f"%{t}%", s),
                20, f"the relay to ask for {what}, and then for something else")

    def wait_look(self):
        """Until the relay has looked at the state of its slot, which it does every second; two heartbeats would have been sent by then."""
        self.wait_asked("max_slot_wal_keep_size")

    @property
    def heard(self):
        """When the server heard from the relay's stream last."""
        return self.value("select reply_time from pg_stat_replication where pid = %s", self.sender)
