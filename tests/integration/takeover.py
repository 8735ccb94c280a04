#!/usr/bin/python3
"""Another relay takes over from one that was killed, frozen or cut off; the former one wakes up, waits, and changes nothing.

takeover.py [--lease SECONDS] [--beats N] [MODE...]     modes: position status delete cdc; it prints how long each take-over took
"""
import argparse
import signal
import time

from support.arrivals import ids, wait_ids
from support.link import Link, in_own_namespace
from support.pg import Postgres
from support.proc import BIN, ROOT, check, check_equal, tempdir, wait_for
from support.relaying import config, daemon, pipeline

MODES = ("position", "status", "delete", "cdc")

parser = argparse.ArgumentParser()
parser.add_argument("--lease", type=int, default=2)
parser.add_argument("--beats", type=int, default=25, help="how many signs of life of an idle relay are waited for: five a lease")
parser.add_argument("modes", nargs="*", default=MODES, metavar="MODE")
args = parser.parse_args()


class Side:
    """A database with an outbox, and two ways to it: on this machine, and over a link that can be pulled."""

    def __init__(self, pg, mode):
        self.pg, self.mode, self.name, self.ids = pg, mode, f"takeover_{mode}", []
        pg.createdb(self.name)
        for schema in ["outbox"] + ([mode] if mode in ("status", "delete") else []):
            self.sql((ROOT / f"schema/postgres/{schema}.sql").read_text())
        if mode == "cdc":
            self.sql("create publication pub for table outbox")
        self.epoch_before = 0

    def sql(self, text, *params):
        return self.pg.sql(text, *params, dbname=self.name)

    def insert(self, n=20):
        fresh = [r[0] for r in self.sql("insert into outbox (aggregatetype, aggregateid, type, payload) select 'order', 'k', 'T', '{}' "
                                        f"from generate_series(1, {n}) returning id::text")]
        self.ids += fresh
        return fresh

    def relay(self, link=None):
        """link: it runs at the far end of this one."""
        url = self.pg.url(self.name)
        if link:
            url = url.replace("127.0.0.1", link.NEAR)
        source = {"type": "outbox_postgres", "url": url, "mode": self.mode, "poll_interval": "50ms"}
        if self.mode == "cdc":
            source = {"type": "cdc_postgres", "url": url, "as": "outbox", "table": "outbox", "publication": "pub", "slot": self.name}
        return daemon(config(tempdir("takeover"), pipeline(source), store={"url": url, "lease": f"{args.lease}s"}),
                      before=[*link.before, BIN] if link else None)

    def position(self):
        """(epoch, delivered)"""
        return self.sql("select epoch, delivered from commitrelay.positions")[0]

    def wait_saved(self):
        wait_for(lambda: self.position()[1] >= len(self.ids), 30, f"{len(self.ids)} events to be saved")

    def lock_session(self):
        """(pid, when it last asked something) of the session that holds the lock."""
        rows = self.sql("select l.pid, a.query_start from pg_locks l join pg_stat_activity a using (pid) "
                        "where l.locktype = 'advisory' and l.granted and a.datname = current_database()")
        return rows[0] if rows else None


def takes_over(side, what, stop, wake=lambda former: None, link=None):
    """`stop` does something to the active relay; the one that waits goes on; `wake` undoes it, and the former one waits from then on."""
    former = side.relay(link)
    side.insert()
    wait_ids(lambda: ids(former), side.ids[-20:])
    side.wait_saved()
    standby = side.relay()
    standby.wait_log("state waiting")
    epoch = side.position()[0]
    stop(former)
    began = time.monotonic()
    fresh = side.insert()
    wait_ids(lambda: ids(standby), fresh)
    took = time.monotonic() - began
    side.wait_saved()
    taken = side.position()[0]
    check(taken > epoch, f"the epoch is still {epoch}")  # CDC: one more for each try until the slot is free
    wake(former)
    if former.running:
        former.wait_log("state waiting")
        fresh = side.insert()
        wait_ids(lambda: ids(standby), fresh)
        side.wait_saved()
        check_equal(side.position()[0], taken, "the epoch after the former relay woke up")
        check(not set(fresh) & set(ids(former)), "the former relay sends nothing new")
        check_equal(former.stop(), 0, "exit code of the former relay")
    check_equal(standby.stop(), 0, "exit code")
    late = len(ids(former)) + len(ids(standby)) - len(set(ids(former) + ids(standby)))
    print(f"takeover {side.mode}: {what}: first arrival after {took:.1f} s, lease {args.lease} s, came twice {late}", flush=True)


def keeps_its_lock(side):
    """A relay with nothing to do keeps its session alive: the leases pass, and it is still the same."""
    with side.relay() as r:
        r.wait_log("state running")
        pid, last = wait_for(side.lock_session, 30, "the lock to be taken")
        for _ in range(args.beats):
            last = wait_for(lambda last=last: (s := side.lock_session()) and s[1] != last and s, 30, "the session to be used")[1]
        check_equal(side.lock_session()[0], pid, "the session that holds the lock")
        check("retrying" not in r.log, f"it lost its lock:\n{r.log[-800:]}")
        check_equal(r.stop(), 0, "exit code")


def main():
    in_own_namespace()
    pg = Postgres(settings={"fsync": "off", "listen_addresses": f"127.0.0.1,{Link.NEAR}"})
    pg.hba(f"host all all {Link.FAR}/32 trust", f"host replication all {Link.FAR}/32 trust")
    with Link() as link, pg:
        for mode in args.modes:
            side = Side(pg, mode)
            with side.relay() as first:  # makes the slot
                first.wait_log("state running")
                check_equal(first.stop(), 0, "exit code")
            takes_over(side, "kill -9", lambda former: former.kill9())
            takes_over(side, "frozen", lambda former: former.signal(signal.SIGSTOP), lambda former: former.signal(signal.SIGCONT))
            takes_over(side, "cut off", lambda former: link.pull(), lambda former: link.mend(), link)
            keeps_its_lock(side)


main()
