#!/usr/bin/python3
"""One poisoned key among a thousand, and a load: the memory does not grow with what waits behind it, and a retry sends it in order.

Prints how long the same events took without and with the parked key: others keep their throughput (docs/OPERATIONS.md).
"""
import argparse
import json
import time

from support.pg import Postgres
from support.proc import Relay, check, check_equal, run, status_number, tempdir, wait_for
from support.relaying import config, pipeline
from support.shop import schema

MORE_RSS_KIB = 8 * 1024
KEYS = 1000

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--rows", type=int, default=60_000)
parser.add_argument("--waiting", type=int, default=10_000, help="how many of them belong to the poisoned key")
args = parser.parse_args()


def fill(pg, name):
    """The first event of key k0 has a topic that is not allowed in the second run."""
    pg.createdb(name)
    pg.sql(schema("postgres/outbox"), dbname=name)
    pg.sql("insert into outbox (aggregatetype, aggregateid, type, payload) select case g when 0 then 'odd' else 'order' end, "
           "'k' || case when g %% %s = 0 then 0 else 1 + g %% %s end, 'T', jsonb_build_object('n', g, 'pad', repeat('x', 200)) "
           "from generate_series(0, %s) g", args.rows // args.waiting, KEYS, args.rows - 1, dbname=name)


def written(d, pg, name, allowed):
    return config(d, pipeline({"type": "outbox_postgres", "url": pg.url(name), "mode": "position"}, topic="{aggregatetype}", limits={},
                              route={"allow_topics": [allowed]}, poison="park_key"))


def relayed(path):
    """Until idle: the seconds it took, its peak RSS in KiB, and the relay."""
    begun, peak = time.monotonic(), 0

    def over():  # after the end the kernel tells the peak of the test's own process, if that was larger
        nonlocal peak
        peak = max(peak, status_number(r.pid, "VmHWM"))
        return not r.running
    with Relay(["run", "-c", path, "--until-idle"]) as r:
        wait_for(over, 600, "all to be relayed")
        check_equal(r.poll(), 0, "exit code")
    return time.monotonic() - begun, peak, r


def keys(relay):
    """What came of key k0, and how many of others."""
    mine, others = [], 0
    with open(relay.stdout_path, encoding="utf-8") as f:
        for line in f:
            e = json.loads(line)
            if e["key"] == "k0":
                mine.append(e["payload"]["n"])
            else:
                others += 1
    return mine, others


def main(pg):
    d = tempdir("park")
    want = list(range(0, args.rows, args.rows // args.waiting))
    fill(pg, "free")
    free_s, free_rss, r = relayed(written(d, pg, "free", "*"))
    check_equal(keys(r), (want, args.rows - len(want)), "what came without a parked key")
    fill(pg, "parked")
    path = written(d, pg, "parked", "order")
    parked_s, parked_rss, r = relayed(path)
    check_equal(keys(r), ([], args.rows - len(want)), "what came beside the parked key")
    row = json.loads(run(["status", "-c", path, "--json"], code=None).stdout)["pipelines"][0]
    check_equal((row["parked_keys"], row["parked_events"]), (1, len(want) - 1), "parked keys, and events that wait")
    share = (args.rows - len(want)) / parked_s / ((args.rows - len(want)) / free_s)
    print(f"{args.rows} events, {len(want) - 1} of them wait: {free_s:.2f} s and {free_rss / 1024:.1f} MiB without the parked key, "
          f"{parked_s:.2f} s and {parked_rss / 1024:.1f} MiB with it; throughput of the others {share:.2f}", flush=True)
    check(parked_rss < free_rss + MORE_RSS_KIB, "the memory grows with what waits")

    path = written(d, pg, "parked", "*")
    with Relay(["run", "-c", path]) as r:
        r.wait_log("state running")
        before = r.rss_now
        begun = time.monotonic()
        run(["dead-letters", "retry", "-c", path, "--all", "--yes"])
        r.wait_log("a parked key is free", timeout=300)
        took, after = time.monotonic() - begun, r.rss
        wait_for(lambda: keys(r)[0] == want, 60, "what waited to come in order")
        print(f"retried: {len(want)} events in {took:.2f} s, RSS {before / 1024:.1f} to {after / 1024:.1f} MiB", flush=True)
        check(after < before + MORE_RSS_KIB, "the memory grows with what is sent again")
        check_equal(r.stop(), 0, "exit code")


with Postgres() as server:
    main(server)
