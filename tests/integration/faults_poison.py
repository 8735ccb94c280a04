"""Rows that a server cannot give or a relay cannot carry: they are named and passed or waited for, and harm nobody else."""
import contextlib
import sqlite3

import faults_cdc_stream
import faults_postgres
import faults_support
from faults_support import alive, check, check_equal, config, daemon, ended, fault, faults, ids, once, pipeline, proc, wait_ids

FILTER = "alter table outbox add n int not null default 1"
REFUSED = r"the server cannot send what comes .*division by zero"


def _filtered():
    """A row filter that fails at one row, which was committed in a transaction of its own."""
    shop = faults_cdc_stream.Shop(FILTER)
    shop.sql("drop publication pub; create publication pub for table outbox where (10 / n > 0) with (publish = 'insert')")
    return shop


@fault
def cdc_refused(d):
    """What the server cannot send blocks, with the place; only what is beyond it shows that it is over; `position set` passes it."""
    shop = _filtered()
    path = shop.conf(d)
    r = daemon(path)
    shop.wait_streaming()
    shop.insert(3)
    wait_ids(lambda: ids(r), shop.ids)
    shop.sql("insert into outbox (aggregatetype, aggregateid, type, payload, n) values ('order', 'k', 'T', '{}', 0)")
    end = shop.value("select pg_current_wal_insert_lsn()::text")
    shop.insert(2)
    r.wait_log(f"state blocked: {REFUSED}")
    check(" is back " not in r.log, "it said that it is back")
    proc.run(["position", "set", "-c", path, "--pipeline", "p", end, "--yes"], timeout=60)
    wait_ids(lambda: ids(r), shop.ids)
    r.wait_log("is back after")
    return alive(r)


@fault
def cdc_refused_until_idle(d):
    shop = _filtered()
    path = shop.conf(d)
    r = daemon(path)
    shop.wait_streaming()
    shop.insert(3)
    wait_ids(lambda: ids(r), shop.ids)
    alive(r)
    shop.sql("insert into outbox (aggregatetype, aggregateid, type, payload, n) values ('order', 'k', 'T', '{}', 0)")
    return ended(once(path, timeout=60))


# --- an id that is the empty text ---

TEXT_ID = "alter table outbox alter id drop default, alter id type text"
INSERT = "insert into outbox (id, aggregatetype, aggregateid, type, payload) values ('{}', 'order', 'k', 'T', '{{}}')"


def _sqlite(d, mode):
    shop = faults_support.Shop(d)

    def sql(text):
        with contextlib.closing(sqlite3.connect(shop.path, timeout=30)) as db, db:
            db.execute(text)
    return sql, config(d, pipeline(shop.source(mode=mode), poison="skip"))


def _postgres(d, mode):
    outbox = faults_postgres.Outbox(TEXT_ID)
    return outbox.sql, config(d, pipeline(outbox.source(mode=mode), poison="skip"))


def _cdc(d, _):
    shop = faults_cdc_stream.Shop(TEXT_ID)
    path = config(d, pipeline(shop.source(), poison="skip"))
    check_equal(once(path).poll(), 0, "exit code of the run that makes the slot")
    return shop.sql, path


@faults({"sqlite": (_sqlite, "position"), "sqlite_delete": (_sqlite, "delete"), "position": (_postgres, "position"),
         "delete": (_postgres, "delete"), "cdc": (_cdc, None)})
def empty_id(d, how):
    """Consumers could not drop its repetitions, so it is poison; the others come."""
    make, mode = how
    sql, path = make(d, mode)
    for text in ("a", "", "b"):
        sql(INSERT.format(text))
    r = once(path)
    check_equal(ids(r), ["a", "b"], "what came")
    check("dead letter: event" in r.log, "there is no dead letter")
    return ended(r)
