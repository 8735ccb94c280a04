#!/usr/bin/python3
"""What can do nothing does nothing: a relay that waits for a broker, a database or an operator leaves the processor to others."""
import os

from support.arrivals import kafka_arrivals
from support.busy import Busy
from support.kafka import Kafka
from support.pg import Postgres
from support.proc import ROOT, Relay, run, tempdir, wait_for
from support.relaying import LOADED, config, pipeline
from support.workload import prepare


def check_rests(relay, when):
    with Busy(relay) as busy:
        busy.check_rests(when)


def main(pg, kafka):
    conninfo = prepare(pg, "rest", "position", ROOT)
    kafka.create_topic("rest")
    path = config(tempdir("rest"), pipeline(
        {"type": "outbox_postgres", "url": conninfo}, {"type": "kafka", "brokers": kafka.bootstrap, "stall_timeout": "2s"},
        topic="rest", name="rest", limits=LOADED, breaker={"window": 1, "open_for": "500ms"}))

    def emit(count):
        for n in range(count):
            pg.sql("insert into outbox (aggregatetype, aggregateid, type, payload) values ('order', %s, 'X', '{}')", str(n), dbname="rest")

    def arrived():
        """How many different events: one whose acknowledgement a dying producer did not live to see comes again."""
        return len({a.id for a in kafka_arrivals(kafka, "rest")})

    with Relay(["run", "-c", path]) as relay:
        emit(3)
        wait_for(lambda: arrived() == 3, 30, "the first events")
        check_rests(relay, "beside an idle outbox")
        kafka.kill9()
        emit(3)
        relay.wait_log(f"held up: {kafka.bootstrap}: ")
        relay.wait_log("no acknowledgement from")
        check_rests(relay, "while the broker is away")
        pg.stop("fast")
        check_rests(relay, "while broker and database are away")
        pg.start()
        relay.wait_log("outbox_postgres is back")
        run(["pause", "-c", path, "--pipeline", "rest"])
        relay.wait_log("state paused")
        check_rests(relay, "paused behind an open breaker")
        run(["resume", "-c", path, "--pipeline", "rest"])
        kafka.start()
        wait_for(lambda: arrived() == 6, 60, "the rest of the events")


os.environ.pop("COMMITRELAY_FAULT", None)
with Postgres() as server, Kafka() as broker:
    main(server, broker)
