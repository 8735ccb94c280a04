#!/usr/bin/python3
"""An outbox that is partitioned by day: whole days go once every pipeline has delivered them, and there is always a partition to write to.

    prune_days.py [NAME...]     only these checks

No test waits for midnight: rows get a created_at of days that are long over.
"""
import contextlib
import json
import re
import threading

from support.arrivals import each_once, ids, lines, stdout_arrivals, wait_ids
from support.cases import case, main
from support.judge import judge
from support.proc import ROOT, check, check_equal, run, tempdir, wait_for
from support.pruning import ByCommand, Passes, files, prune, removed, rows
from support.relaying import LOADED, Relaying, config, daemon, once, pipeline, start
from support.shop import PostgresShop, StreamShop, schema, shared_server
from support.workload import Workload, prepare, truth_of

OK, USAGE, GAVE_UP, KILLED, CONFIG = 0, 64, 75, -9, 78
BY_DAY = schema("postgres/outbox_day") + schema("postgres/partitions")
TODAY = "date_trunc('day', now(), 'UTC')"


def ago(days):
    """The beginning of a day, as SQL."""
    return f"{TODAY} - {days} * interval '24 hours'"


# A partition of some day in the past: part(3) makes it for three days ago.
PART = f"""
create function part(ago int) returns void language plpgsql as $$
declare d timestamptz := {TODAY} - ago * interval '24 hours';
begin
    execute format('create table %I partition of outbox for values from (%L) to (%L)', 'day_' || ago, d, d + interval '24 hours');
end $$;
"""


class Days:
    """What a shop whose outbox is partitioned has beside other ones."""

    def row(self, days, n=1, conn=None):
        """n rows of that day; conn: its transaction stays open."""
        text = (f"insert into outbox (aggregatetype, aggregateid, type, payload, created_at) select 'order', 'k', 'T', '{{}}',"
                f" {ago(days)} + interval '5 hours' from generate_series(1, {n}) returning id::text")
        if conn is None:
            fresh = [x[0] for x in self.sql(text)]
        else:
            with conn.cursor() as cur:
                cur.execute(text)
                fresh = [x[0] for x in cur.fetchall()]
        self.ids += fresh
        return fresh

    def parts(self):
        """The partitions of the past that a test has made."""
        return {x[0] for x in self.sql("select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid"
                                       " where i.inhparent = 'outbox'::regclass and c.relname like 'day%'")}

    def coming(self):
        """How many days from today on have a partition."""
        return self.value("select count(*) from pg_inherits where inhparent = 'outbox'::regclass and inhrelid::regclass::text ~ '^outbox_[0-9]{8}$'")


class DayShop(Days, PostgresShop):
    """part: for which days of the past there is a partition."""

    def __init__(self, *part):
        super().__init__("drop table outbox;" + BY_DAY + PART + "".join(f"select part({days});" for days in part))


# --- init ---

@case
def init_by_day(d):
    shop = PostgresShop("drop table outbox")
    init = ["init", "--source", shop.url()]
    for _ in range(2):
        check("partitioned by day" in run([*init, "--partitioned", "day"]).stdout, "what it says")
        check_equal(shop.value("select count(*) from pg_inherits where inhparent = 'outbox'::regclass"), 9, "eight days and the default")
    check_equal(shop.value("select count(*) from pg_indexes where tablename = 'outbox'"), 4, "(created_at, seq), (seq), (xid, seq), (id)")
    shop.sql(run([*init, "--partitioned", "day", "--table", "shop.events", "--print"]).stdout.replace("begin;", "begin; create schema shop;", 1))
    check_equal(shop.value("select count(*) from pg_inherits where inhparent = 'shop.events'::regclass"), 9, "what --print has printed")
    path = config(d, pipeline(shop.source()))
    shop.insert(5)
    said = run(["check", "-c", path, "--connect"]).stdout
    check(all(line.startswith("OK ") for line in said.splitlines()), f"findings of check: {said}")
    check_equal(ids(once(path)), shop.ids, "through the relay")
    shop.sql("drop index outbox_seq_idx")
    said = " ".join(run(["check", "-c", path, "--connect"], code=CONFIG).stdout.split())
    check('leads with "seq": every read sorts' in said and 'create index on "public"."outbox" ("seq")' in said, f"the index that is missing: {said}")


@case
def init_by_hash(d):
    shop = PostgresShop("drop table outbox")
    init = ["init", "--source", shop.url(), "--partitioned"]
    for _ in range(2):
        check("partitioned by hash" in run([*init, "hash:4"]).stdout, "what it says")
    check_equal(sorted(x[0] for x in shop.sql("select inhrelid::regclass::text from pg_inherits where inhparent = 'outbox'::regclass")),
                [f"outbox_{n}" for n in range(4)], "its partitions")
    check("with 4 partitions and not 8" in run([*init, "hash:8"], code=CONFIG).log, "another number of partitions")
    one_each = [pipeline(shop.source(table=f"outbox_{n}"), {"type": "stdout"}, name=f"p{n}", topic=f"part{n}") for n in range(4)]
    (d / "whole").mkdir()
    path, whole = config(d, *one_each), config(d / "whole", pipeline(shop.source()))
    for n in range(40):
        shop.insert(3, key=f"k{n}")
    for file in (path, whole):
        said = run(["check", "-c", file, "--connect"]).stdout
        check(all(line.startswith("OK ") for line in said.splitlines()), f"findings of check: {said}")
    relay = once(path)
    each_once(ids(relay), shop.ids)
    check_equal({line["topic"] for line in lines(relay)}, {f"part{n}" for n in range(4)}, "each pipeline has its part")
    check_equal(ids(once(whole)), shop.ids, "one pipeline for the whole table, in the order of seq")


@case
def init_refuses(d):
    shop = PostgresShop()
    init = ["init", "--source", shop.url(), "--partitioned"]
    for words, code, why in ((["day"], CONFIG, "is not partitioned by range (created_at)"), (["hash:4"], CONFIG, "is not partitioned by hash (aggregateid)"),
                             (["hash:1"], USAGE, "say hash:N with 2 to 256 partitions"), (["hash:4x"], USAGE, "say hash:N"),
                             (["days"], USAGE, "there are day and hash:N"), (["day", "--mode", "status"], USAGE, "is for mode position: in mode status"),
                             (["day", "--mode", "delete"], USAGE, "no row stays"), (["day", "--inbox"], USAGE, "--inbox makes")):
        check(why in run([*init, *words], code=code).log, f"{words}: {why}")
    check("SQLite has no partitions" in run(["init", "--source", f"sqlite:{d}/x.db", "--partitioned", "day"], code=CONFIG).log, "SQLite")
    check("SQLite has no partitions" in run(["init", "--source", f"sqlite:{d}/x.db", "--partitioned", "hash:4"], code=CONFIG).log, "SQLite, by hash")
    check("-c says it all" in run(["init", "-c", config(d, pipeline(shop.source())), "--partitioned", "day"], code=USAGE).log, "-c")


# --- whole days ---

@case
def whole_days_go(d):
    shop = DayShop(3, 2, 1)
    path = config(d, pipeline(shop.source()))
    for days in (9, 3, 2, 1, 0):  # nine days ago: the default partition
        shop.row(days, 10)
    check_equal(ids(once(path)), shop.ids, "what is relayed, in the order of seq")
    r = prune(path, "--dry-run", "--batch", "7", "--pause", "0s")
    check_equal(removed(r), 40, f"what would go: {r.stdout}")
    check_equal(re.findall(r"would drop partition day_(\d) .10 rows", r.stdout), ["3", "2", "1"], f"partitions: {r.stdout}")
    check_equal((shop.parts(), rows(shop)), ({"day_1", "day_2", "day_3"}, 50), "a dry run changes nothing")
    r = prune(path, older="2d")
    check_equal((removed(r), shop.parts()), (20, {"day_1", "day_2"}), f"the day before yesterday is not yet two days old: {r.stdout}")
    check("dropped partition day_3 (10 rows)" in r.stdout, r.stdout)
    check_equal((removed(prune(path)), shop.parts(), rows(shop)), (20, set(), 10), "all but today's")
    check_equal(removed(prune(path)), 0, "once more")
    shop.row(0, 3)
    check_equal(ids(once(path)), shop.ids[-3:], "what comes later")


@case
def a_day_goes_when_all_have_delivered_it(d):
    shop = DayShop(2, 1)
    paths = files(d, shop.source(), "a", "b")
    shop.row(2, 5)
    once(paths["a"])
    once(paths["b"])
    shop.row(2, 5)
    shop.row(1, 5)
    once(paths["a"])
    r = prune(paths["a"], name="a")
    check_equal((removed(r), shop.parts()), (5, {"day_1", "day_2"}), f"of a day that is held back, row by row: {r.stdout}")
    check("pipeline b (10 rows or more)" in r.stdout, r.stdout)
    each_once(ids(once(paths["b"])), shop.ids[5:])
    r = prune(paths["b"], name="b")
    check_equal((removed(r), shop.parts()), (10, set()), f"delivered by both: {r.stdout}")
    check("dropped partition day_2 (5 rows)" in r.stdout, r.stdout)


@case
def an_empty_day_goes_and_a_kept_row_keeps_its_day(d):
    shop = DayShop(3, 2)
    path = config(d, pipeline(shop.source(), topic="{aggregatetype}", poison="skip", max_event_bytes="1KiB", attempts=1))
    shop.row(2, 4)
    shop.sql(f"update outbox set payload = jsonb_build_object('n', repeat('x', 5000)) where id = '{shop.ids[1]}'")
    once(path)
    r = prune(path)
    check_equal((removed(r), shop.parts(), rows(shop)), (3, {"day_2"}, 1), f"the row that is the only copy: {r.stdout}")


@case
def rows_wait_for_their_day(d):
    """A row that is old enough stays as long as its partition is not: else it would be removed by itself just before."""
    shop = DayShop(1)
    path = config(d, pipeline(shop.source()))
    shop.row(1, 5)
    once(path)
    check_equal(removed(prune(path, older="1s")), 5, "the whole day")
    shop = DayShop(1)
    path = config(d, pipeline(shop.source()))
    shop.row(1, 5)
    once(path)
    hours = shop.value(f"select ceil(extract(epoch from now() - {TODAY}) / 3600)::int")
    check_equal((removed(prune(path, older=f"{hours}h")), shop.parts()), (0, {"day_1"}), "rows of 19 hours before, in a day that ended less ago")


# --- looking again ---

def waiting(shop):
    return shop.value("select count(*) from pg_locks where not granted and locktype = 'relation' and database = (select oid from pg_database"
                      " where datname = current_database())")


class DropsBlindly:
    """A prune that takes its first look for granted once it has the lock."""

    def __init__(self, shop):
        self.shop, self.thread = shop, threading.Thread(target=self._drop)
        self.thread.start()

    def _drop(self):
        undelivered = ("select count(*) from day_2 where not exists (select from commitrelay.positions"
                       " where pg_visible_in_snapshot(xid, split_part(cursor, ' ', 2)::pg_snapshot) or split_part(cursor, ' ', 3) <> '-' and"
                       " pg_visible_in_snapshot(xid, nullif(split_part(cursor, ' ', 3), '-')::pg_snapshot) and"
                       " seq <= split_part(cursor, ' ', 6)::bigint)")
        if self.shop.value(undelivered) == 0:
            self.shop.sql("drop table day_2")

    def wait(self):
        self.thread.join()


class Looks:
    """The real one."""

    def __init__(self, shop, path):
        self.shop, self.relay = shop, start(["prune", "-c", path, "--older-than", "0s", "--pause", "0s"])

    def wait(self):
        check_equal(self.relay.wait_exit(60), OK, "its end")


def late_commit(d, prune_of):
    """A transaction that began before midnight wrote to a day that is over; it commits while the prune waits. What is then delivered."""
    shop = DayShop(2)
    path = config(d, pipeline(shop.source()))
    shop.row(2, 5)
    once(path)
    with contextlib.closing(shop.connect()) as c:
        late = shop.row(2, conn=c)
        pruner = prune_of(shop, path)
        wait_for(lambda: waiting(shop), 30, "the prune to wait for the lock")
        c.commit()
    pruner.wait()
    return shop, path, late, ids(once(path))


@case
def a_late_commit_is_seen_behind_the_lock(d):
    shop, path, late, got = late_commit(d, Looks)
    check_equal((got, shop.parts()), (late, {"day_2"}), "the late row, and its day")
    check_equal((removed(prune(path)), shop.parts()), (1, set()), "after its delivery")


@case
def an_old_transaction_keeps_its_day(d):
    """It was open when the relay read, and has committed since: its seq and its xid are below what was delivered."""
    shop = DayShop(2)
    path = config(d, pipeline(shop.source()))
    with contextlib.closing(shop.connect()) as c:
        late = shop.row(2, conn=c)
        shop.row(2, 5)
        each_once(ids(once(path)), shop.ids[1:])
        shop.row(0)
        once(path)  # the lower stored snapshot is then one in which the transaction ran
        check_equal(shop.value("select split_part(cursor, ' ', 2) ~ ':[0-9]+$' from commitrelay.positions"), True, "it is in its list")
        c.commit()
    check_equal((removed(prune(path)), shop.parts()), (5, {"day_2"}), "all but the late row")
    check_equal(ids(once(path)), late, "the late row")
    check_equal((removed(prune(path)), shop.parts()), (1, set()), "after its delivery")


@case
def the_test_sees_a_drop_without_another_look(d):
    _, _, late, got = late_commit(d, lambda shop, path: DropsBlindly(shop))
    check_equal(got, [], f"the late row {late} is not lost")


@case
def a_lock_that_is_not_had(d):
    """A writer anywhere in the table keeps every partition; others are not held up by that for long, and the rows stay for the next time."""
    shop = DayShop(2, 1)
    path = config(d, pipeline(shop.source()))
    shop.row(2, 5)
    shop.row(1, 5)
    shop.row(9, 2)
    once(path)
    with contextlib.closing(shop.connect()) as c:
        today = shop.row(0, conn=c)
        first = start(["prune", "-c", path, "--older-than", "0s", "--pause", "0s"])
        wait_for(lambda: waiting(shop), 30, "the prune to wait for the lock")
        shop.row(0)
        check_equal(first.wait_exit(60), OK, "its end")
        pid = c.info.backend_pid
        check(re.search(rf"dropping partition day_2 waits for a lock, held by [^\n]*pid {pid}\b[^\n]*: trying again", first.stdout), first.stdout)
        check("left for the next prune" in first.stdout and "day_1" not in first.stdout, first.stdout)
        check_equal((removed(first), shop.parts()), (2, {"day_1", "day_2"}), f"only what lies in the default partition: {first.stdout}")
        c.commit()
    check_equal((removed(prune(path)), shop.parts()), (10, set()), "without the writer")
    check(set(today) <= set(ids(once(path))), "what was open meanwhile")


@case
def killed_between_two_partitions(d):
    shop = DayShop(3, 2, 1)
    path = config(d, pipeline(shop.source()))
    for days in (3, 2, 1):
        shop.row(days, 5)
    once(path)
    prune(path, code=KILLED, env={"COMMITRELAY_FAULT": "prune_after_step@2:kill"})
    check_equal(shop.parts(), {"day_1", "day_2"}, "after a step for the days to come and one for a partition")
    wait_for(lambda: prune(path, code=None).poll() == OK, 30, "the dead one's session to end")
    check_equal((shop.parts(), rows(shop)), (set(), 0), "after the rest")


# --- the days to come ---

def forget_days(shop, keep=1):
    """Only so many of the days from today on have a partition then."""
    for (name,) in shop.sql(f"select inhrelid::regclass::text from pg_inherits where inhparent = 'outbox'::regclass and"
                            f" inhrelid::regclass::text ~ '^outbox_[0-9]{{8}}$' order by 1 offset {keep}"):
        shop.sql(f"drop table {name}")


def warned(path, **how):
    """What status and check say, and the log."""
    status = run(["status", "-c", path, "--json"], **how).stdout
    return json.loads(status)["pipelines"][0]["warning"] or "", run(["check", "-c", path, "--connect"]).stdout


@case
def a_missing_tomorrow_is_told(d):
    shop = DayShop()
    path = config(d, pipeline(shop.source()))
    check_equal(once(path).poll(), OK, "its end")
    status, said = warned(path)
    check("tomorrow" not in status + said, f"there is one: {status} {said}")
    forget_days(shop)
    r = daemon(path)
    r.wait_log("has no partition for tomorrow .UTC.: its rows will go to the default partition")
    status, said = warned(path, cwd=r.dir)
    check("no partition for tomorrow" in status and "no partition for tomorrow" in said, f"status: {status}, check: {said}")
    (sql,) = re.findall(r"create table public.outbox_\d{8} partition of public.outbox for values from \('[^']+'\) to \('[^']+'\)",
                        " ".join(said.split()))
    shop.sql(sql)
    shop.sql("drop table outbox_default")
    check("tomorrow" not in "".join(warned(path, cwd=r.dir)), "it is mended")
    forget_days(shop)
    r.wait_log("inserts will fail then", 40)
    check_equal(r.stop(), OK, "its end")


@case
def a_prune_makes_the_days_to_come(d):
    shop = DayShop()
    path = config(d, pipeline(shop.source()))
    once(path)
    forget_days(shop)
    check("made 7 partitions for the days to come" in prune(path).stdout, "by command")
    check_equal(shop.coming(), 8, "by command")
    check("made" not in prune(path).stdout, "once more")
    forget_days(shop)
    pruned = config(d, pipeline(shop.source(prune={"older_than": "1s", "every": "1s", "pause": "0s"})))
    check("tomorrow" not in warned(pruned)[1], "the daemon will make it")
    r = daemon(pruned)
    wait_for(lambda: shop.coming() == 8, 30, "by the daemon")
    shop.row(0, 5)
    wait_ids(lambda: ids(r), shop.ids)
    shop.sql("select part(3)")
    shop.row(3, 5)
    wait_ids(lambda: ids(r), shop.ids)
    wait_for(lambda: not shop.parts(), 30, "the old day to go")
    r.wait_log("dropped partition public.day_3 .5 rows|dropped partition day_3 .5 rows")
    check("tomorrow" not in r.log and "was attached" not in r.log, f"nothing to complain of\n{r.log}")


@case
def a_day_whose_rows_came_first_stays_in_the_default_partition(d):
    shop = DayShop()
    path = config(d, pipeline(shop.source()))
    forget_days(shop, keep=0)
    shop.sql("select part(5)")  # by its partitions of a day each the table is known
    shop.row(0, 3)
    shop.row(-2, 3)
    each_once(ids(once(path)), shop.ids)
    check("made 6 partitions" in prune(path).stdout, "all but these two days")
    shop.row(0, 3)
    shop.row(-2, 3)
    each_once(ids(once(path)), shop.ids[6:])
    check_equal(shop.value("select count(*) from outbox_default"), 12, "what lies in the default partition")
    page = (ROOT / "docs/OPERATIONS.md").read_text()
    today, tomorrow, name = shop.sql(f"select {TODAY}::text, ({TODAY} + interval '24 hours')::text, to_char({TODAY} at time zone 'UTC', 'YYYYMMDD')")[0]
    shop.row(0)  # not delivered when it is moved
    shop.sql(re.search(r"```sql\n(begin;.*?commit;)", page, re.S)[1].replace("2026-03-01 00:00Z", today).replace("2026-03-02 00:00Z", tomorrow)
             .replace("20260301", name))
    check_equal(shop.value("select count(*) from outbox_default"), 6, "what is left after the SQL of the page")
    check_equal(ids(once(path)), shop.ids[12:], "of the moved rows only the one that was not delivered")


@case
def days_to_come_wait_for_a_reader_and_do_not_keep_the_rest(d):
    shop = DayShop(2)
    path = config(d, pipeline(shop.source()))
    shop.row(2, 5)
    once(path)
    forget_days(shop)
    with contextlib.closing(shop.connect()) as c, c.cursor() as cur:
        cur.execute("select count(*) from outbox_default")
        shop.row(0)
        r = prune(path, "--pause", "0s")
        check(re.search(rf"making partitions for the days to come waits for a lock, held by [^\n]*pid {c.info.backend_pid}\b", r.stdout), r.stdout)
        check("days to come" in r.stdout and "left for the next prune" in r.stdout, r.stdout)
        check_equal(shop.coming(), 1, "none is made")
    prune(path)
    check_equal((shop.coming(), shop.parts()), (8, set()), "without the reader")


@case
def a_role_that_does_not_own_the_table(d):
    """It removes row by row, says what it lacks, and is not told that partitions which others make brought rows along."""
    shop = DayShop(2)
    role = f"weak_{shop.name}"
    once(config(d, pipeline(shop.source())))
    shop.sql(f"create role {role} login; grant select, delete on outbox to {role}; grant usage on schema commitrelay to {role};"
             f" grant select, insert, update, delete on all tables in schema commitrelay to {role}")
    forget_days(shop)
    shop.sql("create table brought (like outbox including all excluding identity); insert into brought (seq, aggregatetype, aggregateid, type,"
             f" payload, created_at) values (9000, 'order', 'k', 'T', '{{}}', {ago(40)} + interval '1 hour')")
    source = shop.source(url=shop.url(user=role))
    path = config(d, pipeline({**source, "prune": {"older_than": "1s", "every": "1s", "pause": "0s"}}))
    r = daemon(path)
    shop.row(2, 5)
    wait_ids(lambda: ids(r), shop.ids)
    r.wait_log("has no partition for tomorrow")
    r.wait_log(f"may neither make nor drop partitions of .+public.+outbox.+ grant postgres to {role}")
    wait_for(lambda: rows(shop) == 0, 30, "the rows to go one by one")
    check_equal(r.stop(), OK, "its end")
    done, r = ids(r), daemon(config(d, pipeline(source)))
    r.wait_log("state running")
    shop.sql(schema("postgres/partitions"))
    shop.row(0, 2)
    shop.row(-1, 2)
    shop.sql("do $$ declare d timestamptz := " + ago(40) + "; begin execute format('alter table outbox attach partition brought for values from"
             " (%L) to (%L)', d, d + interval '24 hours'); end $$")
    wait_ids(lambda: done + ids(r), shop.ids)
    r.wait_log("partition public.brought was attached", 40)
    check_equal(r.log.count("was attached"), 1, f"what others made empty is no news\n{r.log}")
    check_equal(r.stop(), OK, "its end")
    path = config(d, pipeline({**source, "prune": {}}))
    r = prune(path, older="1s")
    check(f"grant postgres to {role}" in r.stdout and shop.parts() == {"day_2"}, f"the command: {r.stdout}")
    said = run(["check", "-c", path, "--connect"]).stdout
    check("removes row by row" in " ".join(said.split()) and f"grant postgres to {role}" in said, f"check: {said}")


# --- midnight, and a load ---

@case
def from_day_to_day(d):
    """Rows of one day after the other, while relays run, days go and come: in order, and each once."""
    shop = DayShop()
    paths = files(d, shop.source(batch_size=7), "a", "b")
    relays = {n: daemon(paths[n]) for n in "ab"}
    for days in range(12, 0, -1):
        shop.sql(f"select part({days})")
        shop.row(days, 10)
        if days < 12:
            shop.row(days + 1, 2)  # a writer whose clock is behind
        wait_ids(lambda: ids(relays["a"]), shop.ids)
        prune(paths["a"], "--pause", "0s", name="a")
    wait_ids(lambda: ids(relays["b"]), shop.ids)
    for n in "ab":
        check_equal(ids(relays[n]), shop.ids, f"{n}: the order of seq")
        check("was attached" not in relays[n].log, f"{n}: {relays[n].log}")
        check_equal(relays[n].stop(), OK, f"{n}: its end")
    prune(paths["b"], name="b")
    check_equal((shop.parts(), rows(shop)), (set(), 0), "what is left")


# Each four hundredth row begins a new day: two months in the past go by.
ROLL = f"""
create sequence tick;
alter table outbox alter created_at set default {ago(60)} + nextval('tick') / 400 * interval '24 hours';
{PART}
select part(g) from generate_series(1, 60) g;
"""


class DayByDay(ByCommand):
    """Prunes what is older than the day that is being written."""

    def __init__(self, path, today):
        super().__init__(path)
        self.today = today

    def one(self):
        self.older = f"{max(60 - self.today(), 0)}d"
        super().one()


@case
def nothing_undelivered_goes_with_its_day(d):
    """Two pipelines, one of which stands still for a while; days go whenever no writer is in between."""
    server, dbname = shared_server(), "prune_days"
    conninfo = prepare(server, dbname, "day", ROOT)
    server.sql(ROLL, dbname=dbname)
    shop = Days()
    shop.sql = lambda text, *params: server.sql(text, *params, dbname=dbname)
    source = {"type": "outbox_postgres", "url": conninfo, "poll_interval": "50ms", "connect_timeout": "30s", "read_timeout": "60s"}
    paths = {n: (d / n).mkdir() or config(d / n, pipeline(source, name=n, limits=LOADED)) for n in "ab"}
    relays = {n: Relaying(paths[n], name=n) for n in "ab"}
    workload = Workload(conninfo, rate=150, writers=6).start()
    outputs = {n: [r.start().stdout_path] for n, r in relays.items()}
    for n in "ab":
        wait_for(lambda n=n: outputs[n][0].read_bytes().count(b"\n") > 300, 60, f"{n} to have sent 300 events")
    pruner = DayByDay(paths["a"], lambda: server.value("select last_value / 400 from tick", dbname=dbname))
    passes = Passes(pruner)
    wait_for(lambda: outputs["a"][0].read_bytes().count(b"\n") > 1500, 90, "a few days to be over")

    def days_go(n):
        """n days go while the writers rest for a moment."""
        left = len(shop.parts()) - n
        workload.hold()
        wait_for(lambda: passes.wrong or len(shop.parts()) <= left, 60, f"{n} days to go")
        workload.go_on()
    days_go(1)
    relays["b"].stop()
    wait_for(lambda: not workload.missing() and outputs["a"][0].read_bytes().count(b"\n") > 4000, 120, "the workload to have done everything")
    workload.hold()
    wait_for(lambda: passes.wrong or "pipeline b" in pruner.said, 60, "a prune that got the lock to name who holds the days back")
    workload.go_on()
    outputs["b"].append(relays["b"].start().stdout_path)
    wait_for(lambda: outputs["b"][1].read_bytes().count(b"\n") > 1000, 60, "b to have sent 1000 more")
    days_go(3)
    workload.stop()
    for n in "ab":
        relays[n].stop()
        outputs[n].append(relays[n].drain().stdout_path)
    passes.wait(2)
    passes.stop()
    truth = truth_of(server, dbname)
    for n in "ab":
        v = judge(truth, [x for path in outputs[n] for x in stdout_arrivals(path)])
        print(f"  {n}: {v}, partitions left {len(shop.parts())}", flush=True)
        check(not v.faults(), f"{n}: {v.faults()}")


@case
def days_are_sent_again(d):
    """By id and by time, of what has not gone."""
    shop = DayShop(3, 2)
    path = config(d, pipeline(shop.source()))
    for days in (3, 2, 0):
        shop.row(days, 3)
    once(path)
    prune(path, older="2d")
    replay = ["replay", "-c", path, "--pipeline", "p"]
    check_equal([json.loads(line)["id"] for line in run([*replay, "--id", shop.ids[4]]).stdout.splitlines() if line.startswith("{")], shop.ids[4:5], "by id")
    since = shop.value(f"select to_char(({ago(2)} + interval '5 hours') at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')")
    check_equal([json.loads(line)["id"] for line in run([*replay, "--from-time", since]).stdout.splitlines() if line.startswith("{")], shop.ids[3:], "by time")


# --- change streams ---

class DayStream(Days, StreamShop):
    """Its changes come under the name of the table, not of the partitions."""

    def __init__(self):
        super().__init__("drop table outbox;" + BY_DAY + PART + "select part(1);")
        self.sql("alter publication pub set (publish_via_partition_root = true)")


@case
def a_stream_of_days(d):
    """Partitions come and go beneath a change stream; a row need not be there any more when it is sent."""
    shop = DayStream()
    path = shop.conf(d)
    shop.row(1, 5)
    shop.sql("drop table day_1; select part(2)")
    shop.row(2, 5)
    each_once(ids(once(path)), shop.ids)
    shop.sql("alter publication pub set (publish_via_partition_root = false)")
    check("publish_via_partition_root = true" in run(["check", "-c", path, "--connect"], code=CONFIG).stdout, "as its partitions: refused")


main(lambda: tempdir("prune_days"))
