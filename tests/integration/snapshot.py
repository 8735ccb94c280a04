#!/usr/bin/python3
"""The initial snapshot, killed again and again while writers change its tables: what arrived is what the tables hold, and none went back.
Then one more by `snapshot: always`, killed once. A proxy passes the rows on so slowly that the kills find the snapshot at work on any machine.

Every change takes the next number of a sequence under the row's lock, so for each key later means higher.
"""
import argparse
import json
import random
import re
import sqlite3
import threading
import time

import psycopg2

from support import proc
from support.pg import Postgres
from support.proc import check, check_equal, tempdir, wait_for
from support.proxy import Proxy
from support.relaying import STEPS, Relaying, admin, config, page

SCHEMA = """
create sequence version;
create table wide (k bigint primary key, v bigint not null, note text, big text not null);
alter table wide alter big set storage external;
create table paired (a text, b int, v bigint not null, note text, primary key (b, a));
create table whole (k uuid primary key, v bigint not null, big text);
alter table whole replica identity full;
alter table whole alter big set storage external;
create table bare (n bigint, t text);
create table quiet (k int primary key, t text);
create publication pub for table wide, paired, whole, quiet, bare with (publish = 'insert, update, delete, truncate');
insert into wide select i, 0, 'first', repeat(md5(i::text), 80 + i %% 5) from generate_series(1, %(rows)s) i;
insert into paired select 'k,=%%"' || i %% 7, i, 0, null from generate_series(1, 4 * %(rows)s) i;
insert into whole select md5(i::text)::uuid, 0, repeat(md5(i::text), 90) from generate_series(1, %(rows)s) i;
insert into quiet select i, 'quiet ' || i from generate_series(1, %(quiet)s) i;
insert into bare select i, 'bare' from generate_series(1, 200) i;
alter table bare replica identity nothing;
"""
QUIET = 5000
RATE = 6_000_000  # bytes a second, at most, from the server to the relay
KEYS = {"wide": ("k",), "paired": ("b", "a"), "whole": ("k",), "quiet": ("k",)}


class Changer(threading.Thread):
    """Random changes of random rows, in small transactions, some of which stay open for a while or are rolled back."""

    def __init__(self, pg, rows, seed):
        super().__init__(daemon=True)
        self.pg, self.rows, self.rng, self.stop, self.done, self.error = pg, rows, random.Random(seed), threading.Event(), 0, None

    def change(self, cur):
        rng = self.rng
        key, other = rng.randint(1, int(1.1 * self.rows)), rng.randint(1, int(1.1 * self.rows))
        text = f"{rng.random()}"
        how = rng.random()
        if how < .35:
            cur.execute("update wide set v = nextval('version'), note = %s where k = %s", (text, key))
        elif how < .45:
            cur.execute("update wide set v = nextval('version'), big = repeat(md5(%s), 80) where k = %s", (text, key))
        elif how < .55:
            cur.execute("delete from wide where k = %s", (key,))
        elif how < .65:
            cur.execute("insert into wide values (%s, nextval('version'), 'new', repeat(md5(%s), 81)) on conflict (k) do update "
                        "set v = nextval('version'), note = 'again'", (key, text))
        elif how < .72:
            cur.execute("update wide set k = %s, v = nextval('version'), big = repeat(md5(%s), 82) where k = %s "
                        "and not exists (select from wide where k = %s)", (other, text, key, other))
        elif how < .82:
            cur.execute("update paired set v = nextval('version'), note = %s where b = %s", (text, 4 * key))
        elif how < .87:
            cur.execute("update paired set a = %s, v = nextval('version') where b = %s", ("moved" + text[:4], 4 * key))
        elif how < .95:
            cur.execute("update whole set v = nextval('version') where k = md5(%s)::uuid", (str(key),))
        elif how < .97:
            cur.execute("delete from paired where b = %s", (4 * key - 1,))
        else:
            cur.execute("insert into bare values (nextval('version') + 1000000, 'later')")

    def run(self):
        db = self.pg.connect()
        try:
            while not self.stop.is_set():
                try:
                    with db.cursor() as cur:
                        for _ in range(self.rng.choice((1, 1, 1, 3, 10))):
                            self.change(cur)
                            if self.rng.random() < .02:
                                time.sleep(self.rng.random() * .3)
                    if self.rng.random() < .1:
                        db.rollback()
                    else:
                        db.commit()
                        self.done += 1
                except (psycopg2.errors.DeadlockDetected, psycopg2.errors.UniqueViolation):
                    db.rollback()
                time.sleep(self.rng.random() * .01)
        except Exception as e:  # shown by the main thread
            self.error = e
        finally:
            db.close()


def lines(relay):
    """What one relay wrote; the kill may have cut the last line."""
    text = relay.stdout_path.read_bytes()
    return [json.loads(x) for x in text[:text.rfind(b"\n") + 1].splitlines()]


LEFT_OUT = "__debezium_unavailable_value"


class Consumer:
    """Replays the changes: the first event of each id counts. A value that was left out stays as it was."""

    def __init__(self):
        self.ids, self.rows, self.newest, self.bare, self.reads = set(), {}, {}, {}, {}

    def take(self, event, newest_of_run):
        if event["payload"] is None:
            return
        op, table = event["payload"]["op"], event["payload"]["source"]["table"]
        row = event["payload"]["before" if op == "d" else "after"]
        key = (table, *(row[c] for c in KEYS[table])) if table in KEYS else None
        fresh = event["id"] not in self.ids
        if key and op != "d" and "v" in row:
            for newest in (newest_of_run, self.newest if fresh else {}):
                check(row["v"] >= newest.get(key, -1), f"{key} went back from version {newest.get(key)} to {row['v']} with op {op}")
                newest[key] = row["v"]
        if fresh:
            self.ids.add(event["id"])
            self.apply(op, table, key, row)

    def apply(self, op, table, key, row):
        if op == "r":
            self.reads[table] = self.reads.get(table, 0) + 1
        if not key:
            self.bare[row["n"]] = self.bare.get(row["n"], 0) + 1
        elif op == "d":
            self.rows.pop(key, None)
        else:
            known = self.rows.get(key, {})
            self.rows[key] = {c: known.get(c, x) if x == LEFT_OUT else x for c, x in row.items()}


def judge(pg, runs):
    consumer = Consumer()
    for relay in runs:
        newest = {}
        for event in lines(relay):
            consumer.take(event, newest)
    held = {}
    for table, names in KEYS.items():
        for (row,) in pg.sql(f"select row_to_json(held) from {table} held"):
            held[(table, *(row[c] for c in names))] = row
    missing = [k for k in held if k not in consumer.rows]
    extra = [k for k in consumer.rows if k not in held]
    other = [(k, consumer.rows[k], held[k]) for k in held if k in consumer.rows and consumer.rows[k] != held[k]]
    check(not missing, f"{len(missing)} rows never arrived, for example {missing[:3]}")
    check(not extra, f"{len(extra)} rows were deleted and are still there, for example {extra[:3]}")
    check(not other, f"{len(other)} rows differ, for example {[str(x)[:200] for x in other[0]] if other else ''}")
    bare = {n for (n,) in pg.sql("select n from bare")}
    check_equal(set(consumer.bare), bare, "the rows of the table without a key")
    return consumer


PROGRESS = r"snapshot: \w+ \(table \d of 5\): \d+ rows in all of about \d+ \(\d+ %\)"
LEFT = r", about \d+ s left"  # not before the first second of a run is over


def progress(address):
    """What the relay tells of a snapshot that is under way; empty when it is over."""
    return json.loads(page(address, "status")[1])["pipelines"][0]["progress"] or ""


def percent(told):
    m = re.search(r"rows in all of about \d+ \((\d+) %\)", told)
    return int(m[1]) if m else 0


def kill_at_work(relay, runs, address, much, size):
    """Kills the relay once so many per cent of all rows have been read and so many bytes have arrived from it; what it told."""
    current = relay.start()
    runs.append(current)

    def enough():
        told = progress(address)
        return percent(told) >= much and current.stdout_path.stat().st_size >= size and told
    told = wait_for(enough, 60, f"{much:.0f} % of the rows to be read and {size} bytes to arrive")
    relay.kill()
    return told


def kill_often(relay, runs, kills, rng, address):
    """Kills the relay all through the snapshot, in its starts, and behind chunks of the rest that it has just read; what it told."""
    told = []
    # The small tables come first and fast: there the bytes alone say when. Then the kills go up to nearly the end.
    for much in (kills // 3) * [0] + sorted(rng.uniform(0, 95) for _ in range(kills - kills // 3)):
        how = rng.random()
        if how < .1:
            runs.append(relay.start())
            relay.kill_in_start(rng.choice(list(STEPS)))
        elif how < .2 and relay.kills:
            point = rng.choice(("snapshot_chunk_read", "snapshot_watermark"))
            runs.append(relay.start_to_die(point, rng.randint(1, 2)))
            relay.await_death(point)
        told.append(kill_at_work(relay, runs, address, much, int(10 ** rng.uniform(0, 6 if much else 7))))
    return told


def end(writers):
    for w in writers:
        w.stop.set()
    for w in writers:
        w.join(30)
        check(not w.error, f"a writer failed: {w.error!r}")


def always(pg, proxy, relay, runs, going_on, address, rows, seed):
    """A relay that has all takes the rows again, beside the stream; killed in the middle it goes on, and ends with one whole snapshot more.

    But not of a table without a key: no row could give way to a change, and no change may be left out for the rows.
    """
    bare = judge(pg, runs).reads["bare"]
    writers = [Changer(pg, rows, seed + n) for n in range(2)]
    for w in writers:
        w.start()
    runs.append(relay.start())
    wait_for(lambda: re.fullmatch(PROGRESS + LEFT, progress(address)), 10, "an estimate of the time that is left")
    check(going_on(), "the snapshot is over, and an estimate of the time that is left was told")
    relay.kill()
    end(writers)
    proxy.heal()
    runs.append(relay.drain())
    reads = judge(pg, runs).reads
    check_equal(reads["quiet"], 2 * QUIET, "rows that were read of a table nobody writes to")
    check_equal(reads["bare"], bare, "rows that were read of a table without a key")
    with relay.start() as idle:
        idle.wait_log("state running")
        wait_for(going_on, 30, "a snapshot at the next start")


def main(pg, proxy, rows, kills, seed):
    rng = random.Random(seed)
    pg.sql(SCHEMA % {"rows": rows, "quiet": QUIET})
    pg.sql("vacuum analyze")
    directory, address = tempdir("snapshot"), admin()

    def configure(mode):
        source = {"type": "cdc_postgres", "url": pg.url(port=proxy.port), "publication": "pub", "slot": "snap", "snapshot": mode}
        return config(directory, {
            "name": "snap", "source": source, "encode": {"format": "debezium", "tombstones": False}, "sink": {"type": "stdout"},
            "delivery": {"max_in_flight": 500, "save_interval": "20ms", "retry": {"initial": "20ms", "max": "1s"}}}, admin={"listen": address})

    relay, runs = Relaying(configure("initial")), []

    def going_on():
        """Is the snapshot unfinished by what is stored?"""
        try:
            with sqlite3.connect(f"{directory}/store.db", timeout=10) as db:
                (cursor,) = db.execute("select cursor from commitrelay_positions").fetchone()
        except (sqlite3.OperationalError, TypeError):
            return True
        return not cursor or " s1," in cursor

    writers = [Changer(pg, rows, seed + n) for n in range(4)]
    for w in writers:
        w.start()
    told = kill_often(relay, runs, kills, rng, address)
    check(all(re.fullmatch(f"{PROGRESS}({LEFT})?", t) for t in told), f"no progress was told: {told}")
    check(going_on(), f"the snapshot was over after {relay.kills} kills")
    proxy.heal()
    runs.append(relay.start())
    wait_for(lambda: not going_on(), 120, "the snapshot to come to its end")
    end(writers)
    relay.kill()
    runs.append(relay.drain())
    consumer = judge(pg, runs)
    print(f"{relay.kills} kills, {sum(w.done for w in writers)} transactions, {len(consumer.ids)} events, read: "
          + ", ".join(f"{t} {n}" for t, n in sorted(consumer.reads.items())))
    configure("always")
    proxy.throttle(RATE)
    always(pg, proxy, relay, runs, going_on, address, rows, seed + 10)


if __name__ == "__main__":
    p = argparse.ArgumentParser()
    p.add_argument("--rows", type=int, default=12000)
    p.add_argument("--kills", type=int, default=12)
    p.add_argument("--seed", type=int, default=proc.seed())
    args = p.parse_args()
    print(f"seed {args.seed}")
    with Postgres() as server, Proxy("127.0.0.1", server.port) as slow:
        slow.throttle(RATE)
        main(server, slow, args.rows, args.kills, args.seed)
