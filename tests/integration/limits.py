#!/usr/bin/python3
"""Memory is bounded: a large backlog of small events and one of large events are drained to Kafka within a fixed peak RSS.

A transaction stays open all the while; neither may wait for it.
"""
import os
import sys

from support.kafka import Kafka
from support.pg import Postgres
from support.proc import ROOT, Relay, check, check_equal, run, status_number, tempdir, wait_for
from support.relaying import LOADED, config, pipeline
from support.workload import OpenTransaction, prepare

MAX_RSS_KIB = 64 * 1024
# name, events, bytes of payload, events a transaction of the backlog
BACKLOGS = (("small", 200_000, 300, 1000), ("large", 300, 900_000, 10))
MODES = sys.argv[1:] or ["position", "status", "delete"]


def fill(pg, dbname, count, size, per_transaction):
    for first in range(0, count, per_transaction):
        pg.sql("with pad as materialized (select string_agg(md5(x || '-' || %s), '') as text from generate_series(0, %s / 32) x) "
               "insert into outbox (aggregatetype, aggregateid, type, payload) "
               "select 'order', 'k' || g %% 40, 'OrderChanged', jsonb_build_object('pad', left(pad.text, %s)) "
               "from pad, generate_series(%s, %s) g", first, size, size - 11, first, first + per_transaction - 1, dbname=dbname)


def peak_rss(path):
    """In KiB, sampled while it runs: after the end the kernel tells the peak of the test's own process, if that was larger."""
    peak = 0

    def over():
        nonlocal peak
        peak = max(peak, status_number(r.pid, "VmHWM"))
        return not r.running
    with Relay(["run", "-c", path, "--until-idle"]) as r:
        wait_for(over, 240, "the backlog to be drained")
        check_equal(r.poll(), 0, "exit code")
    return peak


def drain(pg, kafka, mode, name, count, size, per_transaction):
    dbname = f"{mode}_{name}"
    conninfo = prepare(pg, dbname, mode, ROOT)
    kafka.create_topic(dbname, 3)
    pg.sql("alter table outbox alter payload set storage external", dbname=dbname)  # to compress it takes the server longest
    still_open = OpenTransaction(conninfo, 1)
    fill(pg, dbname, count, size, per_transaction)
    path = config(tempdir("limits"), pipeline(
        {"type": "outbox_postgres", "url": conninfo, "mode": mode}, {"type": "kafka", "brokers": kafka.bootstrap},
        topic=dbname, name="limits", limits=LOADED, max_in_flight=10000, max_in_flight_bytes="16MiB"))
    rss = peak_rss(path)
    check(kafka.count(dbname) >= count, f"{kafka.count(dbname)} of {count} events are in {dbname}")
    print(f"limits {mode} {name}: {count} events of {size} bytes, peak RSS {rss / 1024:.1f} MiB", flush=True)
    still_open.commit()
    before = kafka.count(dbname)
    run(["run", "-c", path, "--until-idle"])
    check(kafka.count(dbname) > before, f"the event that was committed last is not in {dbname}")
    kafka.delete_topic(dbname)
    pg.sql(f"drop database {dbname} with (force)")
    return rss


os.environ.pop("COMMITRELAY_FAULT", None)
with Postgres() as server, Kafka() as broker:
    peaks = {f"{mode} {name}": drain(server, broker, mode, name, count if mode == "position" else count // 2, *rest)
             for mode in MODES for name, count, *rest in BACKLOGS}
    too_much = {k: v for k, v in peaks.items() if v > MAX_RSS_KIB}
    check(not too_much, f"peak RSS in KiB above {MAX_RSS_KIB}: {too_much}")
