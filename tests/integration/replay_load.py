#!/usr/bin/python3
"""A replay of many events beside a running relay under load, PostgreSQL to Kafka; the replay is killed in its middle, and goes on.

replay_load.py [--rows N] [--kills N] [--seed N]

The judge reads the topic: what has no header `replayed` is the live flow, and must be whole and in order as without a replay. What has
it is the replay: every event of its range at least once, in order of seq for each key, and none before the live flow had sent it.
"""
import argparse
import collections
import random
import re

from support import proc
from support.judge import Arrival, judge
from support.kafka import Kafka
from support.pg import Postgres
from support.proc import ROOT, Relay, check, check_equal, fail, tempdir, wait_for
from support.relaying import LOADED, MAX_IN_FLIGHT, Relaying, config, pipeline
from support.workload import Workload, prepare, truth_of

parser = argparse.ArgumentParser()
parser.add_argument("--rows", type=int, default=200_000, help="events that were delivered before the load begins")
parser.add_argument("--kills", type=int, default=5)
parser.add_argument("--seed", type=int, default=proc.seed())
args = parser.parse_args()

DB = TOPIC = "again"
BULK = """insert into outbox (aggregatetype, aggregateid, type, payload)
select 'order', 'bulk-' || g %% 500, 'T', jsonb_build_object('n', g) from generate_series(1, %s) g"""

Sent = collections.namedtuple("Sent", "where offset key id payload replay")


class Trial:
    def __init__(self, pg, kafka):
        self.pg, self.kafka, self.rng = pg, kafka, random.Random(args.seed)
        conninfo = prepare(pg, DB, "position", ROOT)
        kafka.create_topic(TOPIC, 3)
        self.path = config(tempdir("replay"), pipeline({"type": "outbox_postgres", "url": conninfo},
                                                       {"type": "kafka", "brokers": kafka.bootstrap}, topic=TOPIC, name="p", limits=LOADED))
        self.relaying = Relaying(self.path)
        self.workload = Workload(conninfo, seed=args.seed, rate=100)

    def value(self, sql):
        return self.pg.value(sql, dbname=DB)

    def run(self):
        self.pg.sql(BULK, args.rows, dbname=DB)
        self.relaying.drain(600)
        self.relaying.start()
        self.workload.start()
        before = self.kafka.count(TOPIC)
        wait_for(lambda: self.kafka.count(TOPIC) > before + 100, 60, "the load to arrive")
        total, in_the_middle = self.replay_killed()
        flow = self.kafka.count(TOPIC)
        wait_for(lambda: self.kafka.count(TOPIC) > flow, 60, "the live flow to go on")
        self.workload.stop()
        self.relaying.stop()
        self.relaying.drain()
        self.judge(total)
        check(in_the_middle >= 1, f"{in_the_middle} kills fell into the middle of the replay")

    def replay_killed(self):
        """How many events it says that it sends, and how many kills found it in its middle."""
        words, total, middle = ["--from-position", "beginning", "--replay-id", "again"], None, 0
        for kill in range(args.kills + 1):
            # Before its n-th put at most n reads were sent, of many more; a save may be the last one, and then the replay is through.
            passage = self.rng.randint(5, 30)
            fault = f"feed_after_put@{passage}" if kill % 2 == 0 else "settle_after_save@2"
            relay = Relay(["replay", "-c", self.path, "--pipeline", "p", *words], name="replay",
                          env={"COMMITRELAY_FAULT": f"{fault}:kill"} if kill < args.kills else {})
            code = relay.wait_exit(1800)
            told = re.search(r"replay again: sends (\d+) events", relay.log)
            check(told and total in (None, int(told[1])), f"the range stays what it was when it began: {relay.log}")
            total = int(told[1])
            check(code == 0 or (code == -9 and kill < args.kills), f"the end of the replay, {fault}: {code}\n{relay.log}")
            if code == 0:
                break
            middle += fault.startswith("feed")
            proc.forget_log(relay.stderr_path)
            words = ["--resume"]
        check_equal(self.value("select count(*) from commitrelay.replays"), 0, "rows of replays that ended")
        return total, middle

    def sent(self):
        out = []
        for r in self.kafka.consume_all(TOPIC, timeout=3600):
            headers = {k: v.decode() for k, v in r.headers}
            out.append(Sent(r.partition, r.offset, r.key.decode(), headers["id"], r.value, headers.get("replayed")))
        return out

    def judge(self, total):
        sent = self.sent()
        live = [s for s in sent if s.replay is None]
        again = [s for s in sent if s.replay is not None]
        check_equal({s.replay for s in again}, {"again"}, "the header `replayed`")
        verdict = judge(truth_of(self.pg, DB), [Arrival(s.where, s.key, s.id, s.payload) for s in live if not s.key.startswith("bulk-")])
        if wrong := verdict.faults(self.relaying.starts * MAX_IN_FLIGHT):
            fail(f"the live flow (seed {args.seed}): {verdict}\n  " + "\n  ".join(wrong))
        rows = {i: (key, seq) for i, key, seq in self.pg.sql("select id::text, aggregateid, seq from outbox", dbname=DB)}
        check_equal(len({s.id for s in live}), len(rows), "events that the live flow sent")
        self.judge_replay(again, {(s.where, s.id): s.offset for s in reversed(live)}, rows)
        check_equal(len({s.id for s in again}), total, "events of the range that were sent again")
        missing = {i for i, (key, _) in rows.items() if key.startswith("bulk-")} - {s.id for s in again}
        check(not missing, f"{len(missing)} events of the range are missing")
        print(f"replay: live {verdict}; again {total}, with {len(again) - total} duplicates (seed {args.seed})", flush=True)

    @staticmethod
    def judge_replay(again, first_live, rows):
        seen, newest = set(), {}
        for s in again:
            key, seq = rows[s.id]
            check_equal(s.key, key, f"the key of {s.id}")
            check(first_live.get((s.where, s.id), s.offset) < s.offset, f"{s.id} was sent again before the live flow had sent it")
            if s.id not in seen:
                seen.add(s.id)
                check(newest.get(key, -1) < seq, f"{key}: {seq} came after {newest.get(key)}")
                newest[key] = seq


print(f"seed {args.seed}", flush=True)
with Postgres(settings={"fsync": "off"}) as pg, Kafka() as kafka:
    Trial(pg, kafka).run()
