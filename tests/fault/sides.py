"""Where events are committed under crashcheck, and the truth about them is kept. Where they arrive: sink_sides.py."""
import contextlib
import json
import random
import sqlite3

import psycopg2

from support import proc, workload, workload_cdc, workload_sqlite
from support.faulting import OUST, OUST_CDC
from support.judge import Arrival
from support.proc import ROOT, check_equal, wait_for
from support.proxy import Proxy
from support.workload import Workload, canonical
from support.workload_heavy import KEYS, end_prepared, heavy

QUICK = {"connect_timeout": "2s", "read_timeout": "5s"}


class Source:
    """A database of its own. server: the PostgreSQL server, None for SQLite."""

    writer = workload.Writer
    oust = OUST
    points = ()  # fault points that only this source has
    altered = "outbox"
    server_side = linked = True  # on a server, over a link that can be cut
    rows_stay = False  # what is delivered can be pruned, and sent again
    store = {"lease": proc.NO_LEASE}
    text = staticmethod(canonical)  # see arrivals.json_arrival
    encode, route = {}, {}

    def __init__(self, name, server, directory):
        self.name, self.server, self.directory = name, server, directory
        self.prepare()

    def load(self, seed, rate, bulk):
        """Many small transactions, and the heavy ones."""
        return [Workload(self.where, seed=seed, rate=rate, writers=6, kind=self.writer),
                Workload(self.where, seed=f"{seed}-heavy", rate=4, writers=1, kind=heavy(self.writer, bulk))]

    def arrival(self, a):
        """What a reader found, as the truth has it."""
        return a

    def may_write(self):
        """Does a relay that stands still keep nobody from writing?"""
        return True

    def told_all(self):
        """Has the relay been told of all that is committed, if somebody tells it?"""
        return True

    def columns(self, how):
        """how: the statement's part behind the table."""
        def altered():
            self.server.sql(f"set lock_timeout = '2s'; alter table {self.altered} {how}", dbname=self.name)
            return True
        wait_for(altered, 60, f"{self.altered} to be altered", ignore=(psycopg2.errors.LockNotAvailable, psycopg2.errors.DeadlockDetected))


class Outbox(Source):
    """outbox_postgres"""

    mode, rows_stay = "position", True
    left = "select count(*) from outbox where false"  # how many rows the relay has not dealt with

    def prepare(self):
        self.where = workload.prepare(self.server, self.name, self.mode, ROOT)
        self.add_keys()
        self.link = Proxy("127.0.0.1", self.server.port)

    def add_keys(self):
        self.server.sql("insert into agg select unnest(%s)", list(KEYS), dbname=self.name)

    def connect(self):
        return self.server.connect(self.name)

    def conf(self):
        return {"type": "outbox_postgres", "url": self.server.url(self.name, port=self.link.port), "mode": self.mode, "batch_size": 200, **QUICK}

    def settle(self, rng):
        with contextlib.closing(self.connect()) as conn:
            end_prepared(conn, rng)

    def truth(self):
        return workload.truth_of(self.server, self.name)

    def check(self):
        check_equal(self.server.value(self.left, dbname=self.name), 0, f"`{self.left}`")

    def close(self):
        self.link.close()
        self.settle(random.Random(0))  # it would keep the database
        self.server.sql(f"drop database if exists {self.name} with (force)")


class Status(Outbox):
    mode = "status"
    left = "select count(*) from outbox where status <> 'done' or published_at is null"
    points = ("settle_after_mark",)


class Delete(Outbox):
    mode, rows_stay = "delete", False
    left = "select count(*) from outbox"
    points = ("settle_after_mark",)


class StreamOutbox(Outbox):
    """cdc_postgres, as: outbox; the slot is made by the first run, so the load begins behind it."""

    writer, rows_stay = workload_cdc.CdcWriter, False
    oust = OUST_CDC
    altered = workload_cdc.TABLE
    changes = False

    def prepare(self):
        self.where = workload_cdc.prepare(self.server, self.name, f"pub_{self.name}", self.changes)
        self.add_keys()
        self.link = Proxy("127.0.0.1", self.server.port)
        self.store = {**Source.store, "url": self.server.url(self.name)}

    def conf(self):
        return workload_cdc.source(self.server.url(self.name, port=self.link.port), self.name, f"pub_{self.name}")

    def told_all(self):
        return self.server.value("select bool_and(sent_lsn >= pg_current_wal_flush_lsn()) from pg_stat_replication")

    def check(self):
        rows = self.server.sql("select confirmed_flush_lsn, restart_lsn from pg_replication_slots where slot_name = %s", self.name)
        check_equal(len(rows) == 1 and None not in rows[0], True, f"a slot with both its places: {rows}")

    def close(self):
        self.link.close()
        self.server.sql("select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = %s and active", self.name)
        wait_for(lambda: not self.server.value("select active from pg_replication_slots where slot_name = %s", self.name), 30, "the slot to be free")
        self.server.sql("select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = %s", self.name)
        super().close()


class StreamChanges(StreamOutbox):
    """cdc_postgres, as: changes; each insert and each update is an event, whose id is that of the row as it is then."""

    writer = workload_cdc.ChangesWriter
    changes = True
    text = staticmethod(lambda row: json.dumps(row).encode())
    encode, route = {"format": "flat"}, {"key": "{entity}"}

    def conf(self):
        return {**{k: v for k, v in super().conf().items() if k not in ("as", "table", "columns", "messages")}, "snapshot": "never"}

    def arrival(self, a):
        row = json.loads(a.payload)
        return Arrival(a.where, row["entity"], row["event_id"], canonical(row["body"]))


class Sqlite(Source):
    """outbox_sqlite"""

    writer = workload_sqlite.SqliteWriter
    mode, rows_stay = "position", True
    server_side = linked = False
    link = None

    def prepare(self):
        self.path = self.directory / "shop.db"
        self.where = [str(self.path)]
        workload_sqlite.prepare(self.path, ROOT)
        conn = workload_sqlite.connect(self.path)
        conn.executemany("insert into agg (k) values (?)", [(k,) for k in KEYS])
        conn.close()

    def conf(self):
        return {"type": "outbox_sqlite", "path": str(self.path), "mode": self.mode, "batch_size": 200}

    def settle(self, rng):
        pass

    def may_write(self):
        """The relay may have been stopped with the database's one lock in its hand."""
        conn = workload_sqlite.connect(self.path)  # it waits for the writers
        try:
            conn.execute("begin immediate")
            return True
        except sqlite3.OperationalError:
            return False
        finally:
            conn.close()

    def columns(self, how):
        conn = workload_sqlite.connect(self.path)
        conn.execute(f"alter table outbox {how}")
        conn.close()

    def truth(self):
        return workload_sqlite.truth_of(self.path)

    def check(self):
        if self.mode == "delete":
            conn = workload_sqlite.connect(self.path)
            check_equal(conn.execute("select count(*) from outbox").fetchone()[0], 0, "rows left in delete mode")
            conn.close()

    def close(self):
        pass


class SqliteDelete(Sqlite):
    mode, rows_stay = "delete", False
    points = ("settle_after_mark",)


SOURCES = {"position": Outbox, "status": Status, "delete": Delete, "sqlite_position": Sqlite, "sqlite_delete": SqliteDelete,
           "cdc_outbox": StreamOutbox, "cdc_changes": StreamChanges}
