"""What a change stream makes of values, types and catalogs: every value as it was meant, or a clear refusal at the start."""
import json
import select

from faults_cdc_stream import Piped, Shop
from faults_support import alive, check, check_equal, config, daemon, fault, lines, once, pipeline, wait_for


def changes(d, shop, name="p", encode=None, **source):
    """A file for all changes of the shop's publication."""
    source = {k: v for k, v in shop.source(**{"snapshot": "never", **source}).items() if k not in ("as", "table")}
    return config(d, {**pipeline(source, name=name), "encode": encode or {"format": "debezium"}})


def payloads(r):
    return [e["payload"] for e in lines(r)]


# --- what the catalogs tell of a table ---

# DDL, the next change, its op and id, and what Debezium 3.0.8 says of discount: the default for null, 0 for what a delete does not tell.
PRICES = (("", "insert into price values (1, null)", "c", 1, 10),
          ("alter table price alter discount drop default", "insert into price values (2, null)", "c", 2, None),
          ("alter table price alter discount set default 20", "update price set discount = null where id = 2", "u", 2, 20),
          ("alter table price alter discount drop default", "delete from price where id = 2", "d", 2, None),
          ("update price set discount = 1; alter table price alter discount set not null", "delete from price where id = 1", "d", 1, 0))


@fault
def cdc_default_changes(d):
    """Each Relation message is a reason to look again: none of this changes what the message itself shows."""
    shop = Shop("create table price (id int primary key, discount int default 10)", table="price")
    path = changes(d, shop)
    check_equal(once(path).poll(), 0, "exit code of the run that makes the slot")
    r = daemon(path)
    for ddl, change, op, key, want in PRICES:
        for text in filter(None, (ddl, change)):
            shop.sql(text)

        def got():
            rows = [p["before" if op == "d" else "after"] for p in payloads(r) if p and p["op"] == op]
            return [x["discount"] for x in rows if x["id"] == key]
        wait_for(got, 20, f"{change}\n{r.log[-1500:]}")
        check_equal(got()[0], want, f"discount of {change!r} behind {ddl!r}")
    return alive(r)


@fault
def cdc_default_changes_in_snapshot(d):
    """The rows that are left are read by a new plan, which knows the new default."""
    rows = 20000
    shop = Shop(f"create table t (id int primary key, v int default 1, pad text); "
                f"insert into t select i, null, repeat('x', 60) from generate_series(1, {rows}) i", table="t")
    check_equal(once(changes(d, shop)).poll(), 0, "exit code of the run that makes the slot")
    with Piped(d, changes(d, shop, snapshot="always")) as r:
        check(select.select([r._read], [], [], 30)[0], f"rows came\n{r.log[-1500:]}")  # the pipe holds a few of them
        shop.sql("alter table t alter v set default 2")
        r.flow()

        def last():
            got = [json.loads(x)["payload"]["after"] for x in b"".join(r.text).split(b"\n")[:-1]]
            return [x["v"] for x in got if x["id"] == rows]
        wait_for(last, 60, f"the last row\n{r.log[-1500:]}")
        check_equal(last()[-1], 2, "the default of the last row")
        return r.end()
