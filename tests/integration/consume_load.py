#!/usr/bin/python3
"""Consumers that are killed under load: what they do is what was committed, once each and in order, judged by SQL.

    consume_load.py [--kills N] [--deaths N] [--program]

Each of the consumers is killed so many times, and broker and database. With --program there is a third one, of exec_stream: what it runs
comes at least once.
"""
import argparse
import itertools
import random
import threading
from pathlib import Path

import psycopg2
from support.consuming import Target, conf, consume, consumer, consuming
from support.kafka import Kafka
from support.pg import Postgres
from support.proc import check, check_equal, tempdir, wait_for
from support.relaying import config, daemon, once, pipeline
from support.shop import PostgresShop

KEYS = 13
EFFECTS = """
create table journal (n bigint generated always as identity primary key, id text unique, key int, i int);
create function note(event jsonb) returns void language sql as $$
    insert into journal (id, key, i) values (event ->> 'id', (event -> 'payload' ->> 'id')::int, (event -> 'payload' ->> 'i')::int) $$;
create table last (id int primary key, i int, hits int default 1);
create function hit() returns trigger language plpgsql as $$ begin new.hits = old.hits + 1; return new; end $$;
create trigger hit before update on last for each row execute function hit();
"""

LOG = """
import json, sys
with open(sys.argv[1], 'a', buffering=1) as log:
    for line in sys.stdin:
        log.write(json.loads(line)['id'] + '\\n')
        print('ok')
"""


class Writer(threading.Thread):
    """Small transactions, of which some are rolled back; a key's events are numbered in the order of their commits."""

    def __init__(self, shop):
        super().__init__(daemon=True)
        self.shop, self.over, self.wrong = shop, threading.Event(), None
        self.committed = []  # (id, key, i)

    def run(self):
        rng, c = random.Random(1), self.shop.connect()
        try:
            with c.cursor() as cur:
                for i in itertools.count():
                    made = []
                    for _ in range(rng.randrange(1, 6)):
                        key = rng.randrange(KEYS)
                        cur.execute("insert into outbox (aggregatetype, aggregateid, type, payload) values ('order', %s, 'T',"
                                    " jsonb_build_object('id', %s::int, 'i', %s::int)) returning id::text", (str(key), key, i))
                        made.append((cur.fetchone()[0], key, i))
                    if rng.randrange(10) == 0:
                        c.rollback()
                    else:
                        c.commit()
                        self.committed += made
                    if self.over.wait(0.005):
                        return
        except Exception as e:  # pylint: disable=broad-except; looked at by who waits for the thread
            self.wrong = e

    def end(self):
        self.over.set()
        self.join()
        check(self.wrong is None, f"the writer: {self.wrong}")


class Killed:
    """A consumer that is killed when it has done something since its start."""

    def __init__(self, path, done):
        self.path, self.done, self.kills = path, done, 0
        self.start()

    def start(self):
        self.begun, self.relay = self.done(), consuming(self.path)

    def kill(self, least):
        def far_enough():
            check(self.relay.running, f"{self.path.name} ended by itself")
            return self.done() >= self.begun + least
        wait_for(far_enough, 120, f"progress of {self.path.name}", ignore=(psycopg2.OperationalError,))
        self.relay.kill9()
        check_equal(self.relay.poll(), -9, "the end of a killed consumer")
        self.kills += 1
        self.start()


def judge(shop, t, writer, programs):
    committed = writer.committed
    check_equal(shop.value("select count(*) from outbox"), len(committed), "events in the outbox")
    rows = t.rows("select id, key, i from journal order by n")
    check_equal(sorted(rows), sorted(committed), "calls and committed events")
    for key in range(KEYS):
        own = [i for _, k, i in rows if k == key]
        check_equal(own, sorted(own), f"the order of key {key}")
    want = {}
    for _, key, i in committed:
        want[key] = (i, want.get(key, (0, 0))[1] + 1)
    check_equal({k: (i, hits) for k, i, hits in t.rows("select id, i, hits from last")}, want, "rows: last value, and how often written")
    check_equal(t.claims(), (2 + programs) * len(committed), "claims")


def run(kills, deaths, program):
    d = Path(tempdir("consume-load"))
    rng = random.Random(kills)
    with Kafka(name="load-broker") as broker, Postgres(name="load-target") as pg:
        broker.create_topic("load", 3)
        shop, t = PostgresShop(), Target(EFFECTS, pg=pg)
        relay = config(d, {**pipeline(shop.source(), sink={"type": "kafka", "brokers": broker.bootstrap}, topic="load"),
                           "encode": {"format": "json"}})
        source = {"type": "kafka", "brokers": broker.bootstrap, "topics": ["load"], "properties": {"session.timeout.ms": "6000"}}
        source["properties"]["group.instance.id"] = "one"
        paths = [conf(d, consumer(source, t.url(), name=name, apply=apply, batch_size=20, workers=2), name=f"{name}.yaml")
                 for name, apply in (("call", {"call": "note"}), ("into", {"into": "last"}))]
        programs, log = int(program), d / "log"
        log.touch()
        if program:
            paths.append(conf(d, consumer(source, t.url(), name="program", apply={"exec_stream": ["/usr/bin/python3", "-uc", LOG, str(log)]}),
                              name="program.yaml"))
        writer, running = Writer(shop), daemon(relay)
        writer.start()
        both = [Killed(paths[0], lambda: t.value("select count(*) from journal")),
                Killed(paths[1], lambda: t.value("select coalesce(sum(hits), 0)::int from last")),
                *(Killed(path, lambda: log.read_text().count("\n")) for path in paths[2:])]
        # Of 2 * deaths places in a row, by turns.
        places = [kills * (k + 1) // (2 * deaths + 1) for k in range(2 * deaths)]
        broker_dies, database_dies = places[::2], places[1::2]
        for n in range(kills):
            for one in both:
                one.kill(rng.randrange(1, 60))
            if n in broker_dies:
                broker.kill9()
                broker.start()
            if n in database_dies:
                pg.crash()
                pg.start()
        writer.end()
        check_equal(running.stop(60), 0, "exit code of the relay")
        check_equal(once(relay, 120).poll(), 0, "the rest of the events")
        for one in both:
            check_equal(one.relay.stop(60), 0, f"exit code of the consumer:\n{one.relay.log}")
            consume(one.path, timeout=180)
        judge(shop, t, writer, programs)
        if program:
            check_equal(set(log.read_text().split()), {x[0] for x in writer.committed}, "events that the program got")
        print(f"consume: committed {len(writer.committed)}, kills {sum(k.kills for k in both)}, effects as committed", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=4)
    parser.add_argument("--deaths", type=int, default=1)
    parser.add_argument("--program", action="store_true")
    args = parser.parse_args()
    run(args.kills, args.deaths, args.program)
