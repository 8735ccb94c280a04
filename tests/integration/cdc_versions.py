#!/usr/bin/python3
"""Change data capture on every PostgreSQL that is supported: no-loss in short, what changes look like, a slot that is idle.

cdc_versions.py [VERSION...]    a version that cannot be had fails
"""
import os
import sys
import time
from pathlib import Path

from support import proc, workload_cdc
from support.arrivals import lines, stdout_arrivals
from support.judge import judge
from support.pg import VERSIONS, Postgres
from support.pgoutput import lsn
from support.proc import check, check_equal, fail, run, tempdir, wait_for
from support.relaying import LOADED, Relaying, config, pipeline
from support.workload import Workload, truth_of

SEED = proc.seed()
SQL = Path(__file__).resolve().parents[2] / "schema" / "sql"
DB = "shop"
PLACEHOLDER = "__debezium_unavailable_value"


class Server:
    def __init__(self, pg):
        self.pg = pg
        self.conninfo = workload_cdc.prepare(pg, DB, "events")
        self.outputs = []
        self.relaying = Relaying(config(tempdir("versions"), pipeline(
            workload_cdc.source(self.conninfo, "events", "events", heartbeat_interval="300ms", connect_timeout="30s",
                                read_timeout="60s"), name="events", limits=LOADED)))

    def sql(self, text, *params):
        return self.pg.sql(text, *params, dbname=DB)

    def start(self):
        self.outputs.append(self.relaying.start().stdout_path)

    def drain(self):
        self.outputs.append(self.relaying.drain().stdout_path)

    def slot(self, what="confirmed_flush_lsn"):
        return self.pg.value(f"select {what} from pg_replication_slots where slot_name = 'events'")

    def arrivals(self):
        return [a for path in self.outputs for a in stdout_arrivals(path)]

    def arrived(self):
        return sum(path.read_bytes().count(b"\n") for path in self.outputs)

    def wait_flow(self, what):
        before = self.arrived()
        wait_for(lambda: self.arrived() > before, 30, f"events to arrive {what}")

    # --- nothing lost ---

    def no_loss(self):
        self.drain()
        workload = Workload(self.conninfo, seed=SEED, writers=4, rate=100, kind=workload_cdc.CdcWriter).start()
        self.start()
        self.wait_flow("at first")
        for change in ("add column note text default 'x'", "rename column note to remark", "alter entity type text", "drop column remark"):
            self.sql(f"alter table {workload_cdc.TABLE} {change}")
            self.wait_flow(f"after {change}")
            self.relaying.kill()
            self.start()
        self.two_phases()
        self.pg.restart("immediate")
        self.wait_flow("after the server's crash")
        self.pg.restart("fast")
        self.wait_flow("after the server's restart")
        workload.stop()
        self.relaying.stop()
        self.drain()
        v = judge(truth_of(self.pg, DB), self.arrivals())
        print(f"PostgreSQL {self.pg.version}: {v}", flush=True)
        if wrong := v.faults((self.relaying.starts + 2) * 1000):
            fail(f"PostgreSQL {self.pg.version} (seed {SEED}):\n  " + "\n  ".join(wrong))

    def two_phases(self):
        """A transaction that is prepared counts when, and if, it is committed."""
        writer = workload_cdc.CdcWriter(self.conninfo, 99, SEED, 1, None, None, None)
        for n, end in enumerate(("commit", "rollback"), 1):
            with self.pg.connect(DB) as conn, conn.cursor() as cur:
                writer.insert(cur, *writer.events.make(f"prepared-{end}", n, 1, 3), True)
                cur.execute(f"prepare transaction 'p{n}'")
            self.wait_flow("beside a prepared transaction")
            self.sql(f"{end} prepared 'p{n}'")

    # --- what changes look like ---

    def changes(self):
        self.sql("""
            create table item (id int primary key, name text, big text);
            alter table item alter big set storage external;
            create table whole (id int primary key, name text, big text);
            alter table whole alter big set storage external;
            alter table whole replica identity full;
            create table part (id int, name text, primary key (id)) partition by range (id);
            create table part_1 partition of part for values from (0) to (100);
            create publication changes for table item, whole, part with (publish_via_partition_root = true)""")
        path = config(tempdir("changes"), *({
            "name": name, "sink": {"type": "stdout"}, "encode": {"format": name, "skipped_operations": []},
            "source": {"type": "cdc_postgres", "url": self.conninfo, "slot": name, "publication": "changes", "snapshot": "never", **more}}
            for name, more in (("debezium", {"messages": ["note"]}), ("flat", {}))))
        run(["run", "-c", path, "--until-idle"])
        self.sql("insert into item values (1, 'a', repeat('x', 10000)); insert into whole select * from item")
        self.sql("update item set name = 'b'; update whole set name = 'b'")
        self.sql("update item set id = 2; delete from item")
        self.sql("insert into part values (1, 'p'); begin; alter table item add column more numeric(6,2); insert into item values (3, null, '', 1.5); commit")
        self.sql("select pg_logical_emit_message(true, 'note', 'hello'), pg_logical_emit_message(false, 'note', 'unseen')")
        self.sql("truncate item, whole")
        self.flat(lines(run(["run", "-c", path, "--until-idle", "--pipeline", "flat"])))
        self.debezium(lines(run(["run", "-c", path, "--until-idle", "--pipeline", "debezium"])))

    def flat(self, got):
        def row(e):
            p = dict(e["payload"])
            for name in ("__lsn", "__ts"):
                check(p.pop(name), f"{name} of {e}")
            return (e["topic"], p.pop("__op"), p.pop("__deleted"), e["key"], p)
        item, whole = {"__table": "public.item"}, {"__table": "public.whole"}
        x = "x" * 10000
        want = [
            ("flat.public.item", "c", False, '{"id":1}', {"id": 1, "name": "a", "big": x, **item}),
            ("flat.public.whole", "c", False, '{"id":1}', {"id": 1, "name": "a", "big": x, **whole}),
            ("flat.public.item", "u", False, '{"id":1}', {"id": 1, "name": "b", **item, "__unchanged": ["big"]}),
            ("flat.public.whole", "u", False, '{"id":1}', {"id": 1, "name": "b", "big": x, **whole}),
            ("flat.public.item", "u", False, '{"id":2}', {"id": 2, "name": "b", **item, "__unchanged": ["big"], "__old_key": {"id": 1}}),
            ("flat.public.item", "d", True, '{"id":2}', {"id": 2, **item}),
            ("flat.public.part", "c", False, '{"id":1}', {"id": 1, "name": "p", "__table": "public.part"}),
            ("flat.public.item", "c", False, '{"id":3}', {"id": 3, "name": None, "big": "", "more": 1.5, **item}),
        ]
        changes = [row(e) for e in got if e["payload"]["__op"] not in "tm"]
        for g, w in zip(changes, want):
            check_equal(g, w, "a flat change")
        check_equal(len(changes), len(want), "flat changes")
        check_equal([e["payload"]["__table"] for e in got if e["payload"]["__op"] == "t"], ["public.item", "public.whole"], "truncated")

    def debezium(self, got):
        def short(e):
            p = e["payload"]
            if p is None:
                return (e["topic"], "tombstone", e["key"])
            source = p["source"]
            check_equal(list(source)[:6], ["version", "connector", "name", "ts_ms", "snapshot", "db"], "the first fields of source")
            check_equal((source["connector"], source["name"], source["db"]), ("postgresql", "debezium", DB), "source")
            return (e["topic"], p["op"], e["key"], p.get("before"), p.get("after"))
        item, x = "debezium.public.item", "x" * 10000
        changes = [short(e) for e in got if not e["payload"] or e["payload"]["op"] not in "tm"]
        want = [
            (item, "c", '{"id":1}', None, {"id": 1, "name": "a", "big": x}),
            ("debezium.public.whole", "c", '{"id":1}', None, {"id": 1, "name": "a", "big": x}),
            (item, "u", '{"id":1}', None, {"id": 1, "name": "b", "big": PLACEHOLDER}),
            ("debezium.public.whole", "u", '{"id":1}', {"id": 1, "name": "a", "big": x}, {"id": 1, "name": "b", "big": x}),
            (item, "d", '{"id":1}', {"id": 1, "name": None, "big": None}, None),
            (item, "tombstone", '{"id":1}'),
            (item, "c", '{"id":2}', None, {"id": 2, "name": "b", "big": PLACEHOLDER}),
            (item, "d", '{"id":2}', {"id": 2, "name": None, "big": None}, None),
            (item, "tombstone", '{"id":2}'),
            ("debezium.public.part", "c", '{"id":1}', None, {"id": 1, "name": "p"}),
            (item, "c", '{"id":3}', None, {"id": 3, "name": None, "big": "", "more": "AJY="}),
        ]
        for g, w in zip(changes, want):
            check_equal(g, w, "a Debezium change")
        check_equal(len(changes), len(want), "Debezium changes")
        moved = [e["headers"] for e in got if any(h.startswith("__debezium.") and h.endswith("key") for h in e["headers"])]
        check_equal([sorted(h for h in m if h.endswith("key")) for m in moved], [["__debezium.newkey"], ["__debezium.newkey"], ["__debezium.oldkey"]],
                    "headers of the key change: delete, tombstone, create")
        rest = [(e["payload"]["op"], e["payload"]["source"]["table"]) for e in got if e["payload"] and e["payload"]["op"] in "tm"]
        check_equal(rest, [("m", ""), ("t", "item"), ("t", "whole")], "the message and the truncates")
        check_equal(len({e["id"] for e in got}), len(got), "ids, each once")

    # --- the idle slot ---

    def idle(self):
        """What is not published and another database write: the slot moves on and lets the server forget. A restart keeps its place."""
        # The server hears from us three times within its timeout; two such reports move the idle slot.
        self.pg.configure({"wal_sender_timeout": "6s"})
        self.pg.reload()
        wait_for(lambda: self.pg.value("show wal_sender_timeout") == "6s", 10, "the shorter timeout")
        self.start()
        self.pg.sql("create database noise")
        for db in ("noise", DB):
            self.pg.sql("create table n as select g, repeat(md5(g::text), 10) from generate_series(1, 30000) g", dbname=db)
        end = lsn(self.pg.value("select pg_current_wal_lsn()::text"))
        sent = self.arrived()

        def moved():
            self.pg.sql("checkpoint")
            return min(lsn(self.slot(f"{w}::text")) for w in ("confirmed_flush_lsn", "restart_lsn")) >= end
        wait_for(moved, 60, "confirmed_flush_lsn and restart_lsn to pass what the other database wrote")
        self.relaying.stop()
        confirmed = lsn(self.slot("confirmed_flush_lsn::text"))
        self.drain()
        check(lsn(self.slot("confirmed_flush_lsn::text")) >= confirmed, "the restart kept its place")
        check_equal(self.arrived(), sent, "events sent while nothing happened")


def statements(pg):
    """Each file of schema/sql is one statement that this server understands. Some ask tables of the relay's and of consumers."""
    for own in ("relay", "inbox", "consumer"):
        pg.sql((SQL.parent / f"postgres/{own}.sql").read_text())
    for file in sorted(SQL.glob("*.sql")):
        pg.sql(f"PREPARE tried AS {file.read_text()}")


def main(version):
    begin = time.monotonic()
    with Postgres(version=version, settings={"max_prepared_transactions": 10}) as pg:
        check_equal(pg.version, version, "the server's version")
        statements(pg)
        server = Server(pg)
        server.no_loss()
        server.changes()
        server.idle()
    print(f"PostgreSQL {version}: {time.monotonic() - begin:.1f} s", flush=True)


os.environ.pop("COMMITRELAY_FAULT", None)
print(f"seed {SEED}", flush=True)
for v in map(int, sys.argv[1:] or VERSIONS):
    main(v)
