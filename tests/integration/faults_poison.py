"""Rows that a server cannot give or a relay cannot carry: they are named and passed or waited for, and harm nobody else."""
from faults_cdc_stream import Shop
from faults_support import alive, check, check_equal, config, daemon, ended, fault, ids, once, pipeline, proc, wait_for, wait_ids

FILTER = "alter table outbox add n int not null default 1"
REFUSED = r"the server cannot send what comes .*division by zero"


def _filtered():
    """A row filter that fails at one row, which was committed in a transaction of its own."""
    shop = Shop(FILTER)
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
