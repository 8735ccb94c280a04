#!/usr/bin/python3
"""A huge transaction with savepoints, some rolled back, beside others; the relay is killed while it is open and while it arrives.

What arrives is what was committed: whole, in order, each change with one id however often it is sent, in bounded memory.
A reader takes it so slowly that the kills find the relay at work on any machine.
With `streaming: true` it comes while it is in progress and waits in the relay's state folder, else the server keeps it.
By hand, for minutes: --rows 7200000 --work-mem 64MB --kills 1 [--kill-open no]
(2026-11-21, a release build on two shared cores: 5,040,006 changes were committed. The first arrived 1.4 s behind the commit, the last, with a
kill in between, after 139 s; the relay's peak was 20.4 MiB. Killed while it was open as well: 0.9 s, 108 s, 22.1 MiB.)
"""
import argparse
import array
import json
import os
import random
import resource
import time

from support import proc
from support.pg import Postgres
from support.proc import Relay, check, check_equal, run, tempdir, wait_for
from support.relaying import Relaying, config

RSS_MAX = 128 * 1024  # KiB
PARTS = 30
RATE = 50  # bytes a second and row, at most, that are read from a relay: a fifth of what a row takes
SCHEMA = """
create table big (k bigint primary key, v int, pad text);
create table other (k bigint primary key, pad text);
create table gone (k bigint primary key, pad text);
create table side (k bigint primary key);
create publication pub for table big, other, gone, side;
"""


class Sent:
    """What one transaction sends, as numbers: k for an insert, -k for an update; each one's place among all that counts, and how much came."""

    def __init__(self):
        self.want, self.places, self.counted, self.arrived, self.commit = array.array("q"), array.array("q"), 0, 0, None

    def add(self, numbers):
        self.want.extend(numbers)
        self.places.extend(range(self.counted + 1, self.counted + 1 + len(numbers)))
        self.counted += len(numbers)

    def take(self, at, ordinal):
        check(at <= self.arrived, f"change {at} came, and {self.arrived} did not")
        check_equal(ordinal, self.places[at], f"the ordinal of change {at}")
        self.arrived = max(self.arrived, at + 1)


class Judge:
    def __init__(self):
        self.sent, self.order = {}, []

    def committed(self, name, sent):
        self.sent[name] = sent
        self.order.append(name)

    def of(self, table, number):
        name = f"side{number}" if table == "side" else table
        check(name in self.sent, f"{table} {number} arrived and was never committed")
        return self.sent[name]

    def run(self, path):
        """One process's output: transactions one behind the other, each without a gap, none left before its end."""
        now, at = None, 0
        with open(path, "rb") as f:
            for line in f:
                if not line.endswith(b"\n"):
                    return  # the kill cut it off
                event = json.loads(line)
                row = event["payload"]
                table, number = row["__table"].split(".")[1], -row["k"] if row["__op"] == "u" else row["k"]
                commit, ordinal = event["position"].split(":")
                check(event["id"].endswith(":" + event["position"]), f"id {event['id']} at {event['position']}")
                txn = self.of(table, number)
                if txn is now:
                    at += 1
                else:
                    check(not now or at + 1 == len(now.want), f"{table} {number} came before the end of the transaction before it")
                    now, at = txn, txn.want.index(number)
                check(at < len(txn.want) and txn.want[at] == number, f"{table}: {number} at place {at}, which is another's")
                check_equal(commit, txn.commit or commit, f"the commit of {table}")
                txn.commit = commit
                txn.take(at, int(ordinal))

    def verdict(self):
        for name, sent in self.sent.items():
            check_equal(sent.arrived, len(sent.want), f"changes of {name}")
        commits = [int(high, 16) << 32 | int(low, 16) for high, low in (self.sent[n].commit.split("/") for n in self.order)]
        check_equal(commits, sorted(set(commits)), f"the commits in the order of {self.order}")


class Transaction:
    """An open transaction that fills a table."""

    def __init__(self, pg, table, counts_messages):
        self.table, self.sent, self.next, self.counts_messages = table, Sent(), 1, counts_messages
        self.db = pg.connect()
        self.cur = self.db.cursor()

    def do(self, sql):
        self.cur.execute(sql)

    def insert(self, n, kept=True):
        first, self.next = self.next, self.next + n
        self.do(f"insert into {self.table} (k, pad) select i, repeat('x', 40 + i % 50) from generate_series({first}, {self.next - 1}) i")
        if kept:
            self.sent.add(range(first, self.next))

    def message(self, kept):
        """Of no interest; while transactions come in progress it has no number (and never is an event), for the server hides its savepoint."""
        self.do("select pg_logical_emit_message(true, 'elsewhere', 'text')")
        self.sent.counted += kept and self.counts_messages

    def part(self, i, n):
        """Rows with and without savepoints, kept and rolled back; messages and changes of the table in both."""
        kind = i % 5
        if kind == 0:
            self.insert(n)
            return
        self.do("savepoint one")
        self.message(kind != 3)
        if kind == 1:
            self.do(f"alter table {self.table} add column kept{i} int default {i}")
        if kind == 3:
            self.do(f"alter table {self.table} add column lost{i} int default {i}")
        self.insert(n // 2, kind != 3)
        if kind == 4:
            self.do("savepoint two")
            self.message(False)
        self.insert(n - n // 2, kind < 3)
        if kind == 4:
            self.do("rollback to two")
        self.do("rollback to one" if kind == 3 else "release one")
        if kind == 2:
            self.do(f"update {self.table} set v = {i} where k = {self.next - 1}")
            self.sent.add([1 - self.next])


class Scenario:
    def __init__(self, pg, rows, streaming, kills, kill_open, seed):
        self.pg, self.rows, self.streaming, self.kills, self.kill_open = pg, rows, streaming, kills, kill_open
        self.rng = random.Random(seed)
        self.patience = 300 + rows // 4000  # seconds; after each start the server reads the whole transaction again
        self.directory, self.state = tempdir("streaming"), tempdir("streaming-state")
        self.judge, self.runs, self.rss = Judge(), [], 0
        pg.sql(SCHEMA)
        self.path = self.configured()
        run(["run", "-c", self.path, "--until-idle"])  # makes the slot
        self.relaying = Relaying(self.path)

    def configured(self, **more):
        return config(self.directory, {
            "name": "huge", "sink": {"type": "stdout"}, "encode": {"format": "flat"}, "delivery": {"retry": {"initial": "20ms", "max": "500ms"}},
            "source": {"type": "cdc_postgres", "url": self.pg.url(), "publication": "pub", "snapshot": "never", "streaming": self.streaming,
                       **more}})

    def start(self):
        self.runs.append(self.relaying.start({"STATE_DIRECTORY": self.state}, self.rows * RATE if self.kills else None))

    def measure(self):
        self.rss = max(self.rss, self.runs[-1].rss)

    def kill(self):
        self.measure()
        self.relaying.kill()

    def spooled(self):
        """Bytes of the files without a name in the state folder."""
        fds = f"/proc/{self.runs[-1].pid}/fd"
        return sum(os.stat(f"{fds}/{fd}").st_size for fd in os.listdir(fds) if os.readlink(f"{fds}/{fd}").startswith(f"{self.state}/"))

    def stat(self, column):
        return self.pg.value(f"select {column} from pg_stat_replication_slots where slot_name = 'commitrelay_huge'") or 0

    def side(self, i):
        sent = Sent()
        sent.add([i])
        self.pg.sql(f"insert into side values ({i})")
        self.judge.committed(f"side{i}", sent)
        return b'"__table":"public.side"', b'"k":%d,' % i

    def arrives(self, words):
        def there():
            check(self.runs[-1].running, "the relay ended by itself")
            with open(self.runs[-1].stdout_path, "rb") as f:
                f.seek(max(0, os.fstat(f.fileno()).st_size - 4096))
                return any(all(w in line for w in words) for line in f)
        wait_for(there, self.patience, f"{words} to arrive last")

    def begin(self, table):
        return Transaction(self.pg, table, not self.streaming)

    def kill_while_open(self):
        """What was rolled back before the new stream's beginning the server may not tell: it is asked for the whole."""
        begun = self.pg.value("select pg_current_wal_insert_lsn()")
        self.arrives(self.side(PARTS // 3))
        wait_for(lambda: self.pg.value("select confirmed_flush_lsn > %s from pg_replication_slots", begun), self.patience,
                 "the new stream's beginning to lie behind that of the transaction")
        self.kill()
        self.start()
        if self.streaming:
            self.runs[-1].wait_log("has savepoints, was in progress where the stream begins.*asked for again, whole", self.patience)

    def fill(self, big, other, gone):
        n = self.rows // PARTS
        for i in range(PARTS):
            big.part(i, n)
            other.insert(n // 10)
            gone.insert(n // 10)
            if i % 10 == 5:
                self.arrives(self.side(i))  # others flow meanwhile
            if i == PARTS // 3:
                if self.streaming:
                    wait_for(lambda: self.spooled() > self.rows, self.patience, "a good part to be spooled")
                if self.kill_open:
                    self.kill_while_open()
            if i == PARTS // 2:
                gone.db.rollback()
                other.db.commit()
                self.judge.committed("other", other.sent)
                other, gone = self.begin("other"), self.begin("gone")
                other.next = gone.next = self.rows
                other.insert(n // 10)
        other.db.rollback()

    def flood(self):
        """From the commit on: it arrives, killed again and again before it is through: what comes takes at least 200 bytes a change."""
        for _ in range(self.kills):
            enough = int(self.rng.uniform(0, 150 * len(self.judge.sent["big"].want) / self.kills))
            wait_for(lambda e=enough: self.runs[-1].stdout_path.stat().st_size > e, self.patience, f"{enough} bytes to arrive")
            check(not self.last_of_big(), "the transaction arrived whole before it was killed often enough")
            self.kill()
            self.start()
        self.arrives(self.side(PARTS))

    def first_of_big(self):
        with open(self.runs[-1].stdout_path, "rb") as f:
            return any(b'"__table":"public.big"' in line for line in f)

    def last_of_big(self):
        """Has the end of the transaction arrived?"""
        with open(self.runs[-1].stdout_path, "rb") as f:
            return b'"k":%d,' % abs(self.judge.sent["big"].want[-1]) in f.read()

    def main(self):
        self.start()
        big, other, gone = (self.begin(t) for t in ("big", "other", "gone"))
        self.fill(big, other, gone)
        if self.streaming and not self.kill_open:
            wait_for(lambda: self.spooled() > 50 * len(big.sent.want), self.patience, "most of the transaction to be spooled before its commit")
        check(not self.first_of_big(), "something of the transaction arrived before its commit")
        began = time.monotonic()
        big.db.commit()
        self.judge.committed("big", big.sent)
        wait_for(self.first_of_big, self.patience, "the transaction to arrive")
        soon = time.monotonic() - began
        self.flood()
        whole = time.monotonic() - began
        self.measure()
        check_equal(self.spooled(), 0, "bytes spooled at the end")
        self.relaying.stop()
        self.runs.append(self.relaying.drain())
        for r in self.runs:
            self.judge.run(r.stdout_path)
        self.judge.verdict()
        check_equal(os.listdir(self.state), [], "files left in the state folder")
        check(self.rss < RSS_MAX, f"the relay needed {self.rss} KiB")
        check_equal(self.stat("stream_txns > 0"), self.streaming, "whether the server streamed")
        print(f"streaming {self.streaming}: {big.sent.arrived} of {big.next - 1} changes were committed and arrived; first {soon:.2f} s, last "
              f"{whole:.1f} s behind the commit; {self.relaying.kills} kills; {self.rss} KiB; streamed {self.stat('stream_bytes')} bytes "
              f"in {self.stat('stream_count')} parts, spilled {self.stat('spill_bytes')}")

    def full_disk(self):
        """What cannot be spooled is told, and comes again once there is room."""
        self.pg.sql("alter role current_user set logical_decoding_work_mem = '64kB'")
        relay = Relay(["run", "-c", self.path], env={"STATE_DIRECTORY": self.state})
        self.runs.append(relay)
        unlimited = resource.RLIM_INFINITY
        resource.prlimit(relay.pid, resource.RLIMIT_FSIZE, (1 << 20, unlimited))
        full = self.begin("gone")
        full.next = 2 * self.rows
        full.insert(30000)
        relay.wait_log("cannot write the file of a transaction in progress.*make room")
        resource.prlimit(relay.pid, resource.RLIMIT_FSIZE, (unlimited, unlimited))
        full.db.commit()
        self.judge.committed("gone", full.sent)
        self.arrives(self.side(PARTS + 1))
        check_equal(relay.stop(30), 0, "exit code after SIGTERM")
        self.judge.run(relay.stdout_path)
        self.judge.verdict()

    def refused(self):
        nowhere = {"STATE_DIRECTORY": self.state / "missing"}
        why = "cannot make a file for a transaction in progress"
        r = run(["check", "--connect", "-c", self.path], env=nowhere, code=74)
        check(why in r.stdout, r.stdout)
        with Relay(["run", "-c", self.path], env=nowhere) as relay:
            relay.wait_log(why)
        r = run(["check", "-c", self.configured(messages=["outbox"])], code=78)
        check("source.messages cannot be had with streaming: true" in r.log + r.stdout, r.log + r.stdout)


if __name__ == "__main__":
    p = argparse.ArgumentParser()
    p.add_argument("--rows", type=int, default=300000)
    p.add_argument("--streaming", choices=["true", "false"], default="true")
    p.add_argument("--kills", type=int, default=3, help="while the transaction arrives")
    p.add_argument("--kill-open", choices=["yes", "no"], default="yes", help="once while it is open: then it comes at its commit all the same")
    p.add_argument("--work-mem", default="64kB", help="what the server keeps of transactions in progress in memory")
    p.add_argument("--seed", type=int, default=proc.seed())
    args = p.parse_args()
    print(f"seed {args.seed}")
    with Postgres(settings={"logical_decoding_work_mem": args.work_mem, "fsync": "off", "max_wal_size": "8GB"}) as server:
        scenario = Scenario(server, args.rows, args.streaming == "true", args.kills, args.kill_open == "yes", args.seed)
        scenario.main()
        if scenario.streaming:
            scenario.full_disk()
            scenario.refused()
