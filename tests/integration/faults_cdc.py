"""What a change stream may find when it starts: a server, a role, a publication, a slot or a position that does not fit."""
import contextlib
import functools
import json
import os
import re
import shutil
import sqlite3
import subprocess

import psycopg2
import psycopg2.extras

from support import proc
from support.arrivals import all_there, each_once, ids, lines, wait_ids
from support.bad_input import alive, all_came_once, ended, fault, faults, looked
from support.pg import Postgres
from support.pgoutput import lsn
from support.piped import Piped
from support.proc import check, check_equal, wait_for
from support.proxy import Proxy
from support.relaying import admin, config, daemon, metric, once, pipeline, start
from support.shop import StreamShop


def _stored(d, shop, source=None):
    """A file whose relay has delivered and saved three events."""
    path = shop.conf(d, source=source)
    shop.insert(3)
    r = once(path)
    check_equal(r.poll(), 0, f"exit code of the first run: {r.log}")
    return path, r


def _refused(path):
    """It ends by itself, as a daemon too, and sends nothing."""
    r = daemon(path)
    r.wait_exit(20)
    check_equal(lines(r), [], "what was sent")
    return ended(r)


def _drop_slot(shop):
    wait_for(lambda: not shop.sender, 10, "the slot to be free")
    shop.sql("select pg_drop_replication_slot(%s)", shop.name)


def _flows(shop, r):
    """What is committed now arrives; then its server's room for slots is given back."""
    shop.wait_streaming()
    shop.insert(2)
    wait_ids(lambda: ids(r), shop.ids)
    saw = alive(r)
    all_there(ids(r), shop.ids)
    _drop_slot(shop)
    return saw


# --- 13-15: the server and the role ---

@fault
def cdc_role_may_not_replicate(d):
    shop = StreamShop()
    shop.sql("drop role if exists weak; create role weak login")
    return _refused(config(d, pipeline(shop.source(url=shop.pg.url(shop.name, user="weak")))))


@functools.lru_cache(None)
def _replica_server():
    return Postgres(settings={"fsync": "off", "wal_level": "replica"}, name="replica").start()


@fault
def cdc_wal_level(d):
    shop = StreamShop(pg=_replica_server())
    return _refused(config(d, pipeline(shop.source())))


@fault
def cdc_old_server(d):
    """The server's own greeting, with another version in it."""
    shop = StreamShop()
    with Proxy("127.0.0.1", shop.pg.port) as proxy:
        def older(data):
            at = data.find(b"server_version\0")
            return None if at < 0 else data[:at + 15] + b"13" + data[at + 17:]
        proxy.edit(older, times=9)
        return _refused(config(d, pipeline(shop.source(port=proxy.port))))


# --- 16-18: the slot is not there ---

@functools.lru_cache(None)
def _preparing_server():
    return Postgres(settings={"fsync": "off", "max_prepared_transactions": 2}, name="preparing").start()



@fault
def cdc_slot_made(d):
    """At the first start, and it is said where it begins."""
    shop = StreamShop()
    before = shop.wal_end
    r = daemon(config(d, pipeline(shop.source())))
    told = r.wait_log("created replication slot .*, which begins at ([0-9A-F]+/[0-9A-F]+)")[1]
    shop.wait_streaming()
    check(before <= lsn(told) <= lsn(shop.confirmed), f"the slot begins at {told}, not between {before:X} and {shop.confirmed}")
    shop.insert(3)
    return all_came_once(r, shop.ids)


@fault
def cdc_slot_made_by_another(d):
    """Between our look and our making it: two relays that start for the first time at once."""
    shop = StreamShop()
    with Proxy("127.0.0.1", shop.pg.port) as proxy:
        def make(data):
            if b"two_phase" not in data:  # a column of the answer of the look
                return None
            shop.sql("select pg_create_logical_replication_slot(%s, 'pgoutput')", shop.name)
            return data
        proxy.edit(make)
        return _refused(config(d, pipeline(shop.source(port=proxy.port))))


@fault
def cdc_slot_not_made(d):
    shop = StreamShop()
    saw = _refused(config(d, pipeline(shop.source(create_slot=False))))
    check_equal(shop.slot("1"), None, "a slot")
    return saw


@faults({"open": (r"that of pid PID .*, open since \d+ s: SELECT pg_terminate_backend\(PID\)", "rollback"),
         "prepared": (r"prepared as 'left over' since \d+ s: .* ROLLBACK PREPARED 'left over'", "rollback prepared 'left over'")})
def cdc_slot_waits(d, how):
    """Making a slot waits for what writes; it is said for whom, and no half slot is left behind."""
    shop = StreamShop("create table other (a int)", pg=_preparing_server())
    with contextlib.closing(shop.pg.connect(shop.name, autocommit=True)) as c, c.cursor() as cur:
        cur.execute("begin; insert into other values (1)")
        told, end = how
        if "prepared" in told:
            cur.execute("prepare transaction 'left over'")
        r = daemon(config(d, pipeline(shop.source(read_timeout="2s"))))
        r.wait_log(told.replace("PID", str(c.info.backend_pid)))
        cur.execute(end)
    return _flows(shop, r)


@fault
def cdc_slot_gone(d):
    """Twice: nothing is made, nothing is sent. The way that is shown works."""
    shop = StreamShop()
    path, _ = _stored(d, shop)
    _drop_slot(shop)
    shop.insert(1)  # lost, as it says
    lost = shop.ids.pop()
    saw = _refused(path)
    _refused(path)
    check_equal(shop.slot("1"), None, "a slot")
    shop.sql("select pg_create_logical_replication_slot(%s, 'pgoutput')", shop.name)
    fresh = shop.insert(2)
    check_equal(_refused(path).code, 69, "exit code with a slot that was made anew")
    done = start(["position", "set", "-c", path, "--pipeline", "p", "beginning", "--yes"])
    done.wait_exit(20)
    check_equal(done.poll(), 0, f"exit code of position set: {done.log}")
    r = once(path)
    check_equal(r.poll(), 0, f"exit code: {r.log}")
    each_once(ids(r), fresh)
    check(lost not in ids(r), "what was lost")
    return saw


@fault
def cdc_slot_gone_resnapshot(d):
    """With on_lost_slot: resnapshot the table is copied again, what was missed included, wherever the first start began."""
    shop = StreamShop()
    shop.sql("select pg_create_logical_replication_slot(%s, 'pgoutput')", shop.name)
    source = shop.source(snapshot="initial", on_lost_slot="resnapshot", start_from=shop.confirmed)
    path, _ = _stored(d, shop, source)
    _drop_slot(shop)
    shop.insert(1)
    r = daemon(path)
    wait_ids(lambda: ids(r), shop.ids)
    shop.insert(2)
    return all_came_once(r, shop.ids)


@contextlib.contextmanager
def _lost(d, **source):
    """A relay's slot that the server has given up."""
    with Postgres(settings={"fsync": "off", "max_slot_wal_keep_size": "1MB", "min_wal_size": "32MB", "max_wal_size": "32MB"},
                  name="lost") as pg:
        shop = StreamShop(pg=pg)
        path, _ = _stored(d, shop, shop.source(**source) if source else None)
        shop.sql("create table noise (t text)")
        for _i in range(6):
            shop.sql("insert into noise select repeat('x', 1000) from generate_series(1, 17000)")
            pg.sql("select pg_switch_wal()")
            pg.sql("checkpoint")
            if shop.slot("wal_status") == "lost":
                break
        check_equal(shop.slot("wal_status"), "lost", "the slot")
        yield shop, path


@fault
def cdc_slot_lost(d):
    with _lost(d) as (_, path):
        return _refused(path)


@fault
def cdc_slot_lost_idle(d):
    """PostgreSQL 18 gives up a slot that nobody has read for so long."""
    with Postgres(version=18, settings={"fsync": "off", "idle_replication_slot_timeout": "1s"}, name="idle") as pg:
        shop = StreamShop(pg=pg)
        path, _ = _stored(d, shop, None)

        def given_up():
            pg.sql("checkpoint")
            return shop.slot("invalidation_reason")
        check_equal(wait_for(given_up, 60, "the server to give the slot up"), "idle_timeout", "why")
        return _refused(path)


@fault
def cdc_slot_lost_resnapshot(d):
    with _lost(d, snapshot="initial", on_lost_slot="resnapshot") as (shop, path):
        shop.insert(2)
        r = daemon(path)
        wait_ids(lambda: ids(r), shop.ids)
        saw = alive(r)
        all_there(ids(r), shop.ids)
        return saw


# --- 19-21: the slot is another's ---

@faults({"plugin": "select pg_create_logical_replication_slot('%s', 'test_decoding')",
         "physical": "select pg_create_physical_replication_slot('%s')",
         "two_phase": "select pg_create_logical_replication_slot('%s', 'pgoutput', false, true)"})
def cdc_slot_of_another_kind(d, sql):
    shop = StreamShop()
    shop.sql(sql % shop.name)
    return _refused(config(d, pipeline(shop.source())))


@fault
def cdc_slot_of_another_database(d):
    shop = StreamShop()
    shop.pg.sql(f"select pg_create_logical_replication_slot('{shop.name}', 'pgoutput')")
    return _refused(config(d, pipeline(shop.source())))


@fault
def cdc_slot_without_position(d):
    """Nobody knows what was delivered; start_from says it."""
    shop = StreamShop()
    shop.sql("select pg_create_logical_replication_slot(%s, 'pgoutput')", shop.name)
    shop.insert(2)
    saw = _refused(config(d, pipeline(shop.source())))
    r = once(config(d, pipeline(shop.source(start_from="beginning"))))
    check_equal(r.poll(), 0, f"exit code with start_from: {r.log}")
    each_once(ids(r), shop.ids)
    return saw


def _hold(shop):
    """Another reader of the slot, which the server never gives up, and which never moves it."""
    return subprocess.Popen(["pg_recvlogical", "-d", shop.pg.conninfo(shop.name) + " options='-c wal_sender_timeout=0'", "--slot", shop.name,
                             "--start", "--status-interval=0", "--fsync-interval=0", "-f", "/dev/null", "-o", "proto_version=1", "-o", "publication_names=pub"], stderr=subprocess.DEVNULL)


@fault
def cdc_slot_active(d):
    """It waits, says for whom, and goes on when the other one is gone."""
    shop = StreamShop()
    path, _ = _stored(d, shop)
    other = _hold(shop)
    try:
        shop.wait_streaming()
        r = daemon(path)
        r.wait_log(f"active for pid {shop.sender}")
    finally:
        other.terminate()
        other.wait()
    fresh = shop.insert(2)
    wait_ids(lambda: ids(r), fresh)
    return alive(r)


@fault
def cdc_slot_active_until_idle(d):
    """Not for ever: half a minute."""
    shop = StreamShop()
    path, _ = _stored(d, shop)
    other = _hold(shop)
    try:
        shop.wait_streaming()
        return ended(once(path))
    finally:
        other.terminate()
        other.wait()


@functools.lru_cache(None)
def _small_server():
    return Postgres(settings={"fsync": "off", "max_replication_slots": 1, "max_wal_senders": 1}, name="small").start()


@fault
def cdc_no_slot_left(d):
    shop = StreamShop(pg=_small_server())
    shop.pg.sql("select pg_create_physical_replication_slot('other')")
    r = daemon(config(d, pipeline(shop.source())))
    r.wait_log("all replication slots are in use")
    shop.pg.sql("select pg_drop_replication_slot('other')")
    return _flows(shop, r)


@fault
def cdc_no_sender_left(d):
    shop = StreamShop(pg=_small_server())
    busy = psycopg2.connect(shop.pg.conninfo(shop.name), connection_factory=psycopg2.extras.PhysicalReplicationConnection)
    with contextlib.closing(busy):
        r = daemon(config(d, pipeline(shop.source())))
        r.wait_log("max_wal_senders")
    return _flows(shop, r)


# --- 22: the publication ---

@fault
def cdc_publication_missing(d):
    shop = StreamShop("create table x (a int)")
    saw = _refused(config(d, pipeline(shop.source(publication="nowhere"))))
    check_equal(shop.slot("1"), None, "a slot that is older than its publication")
    return saw


@fault
def cdc_publication_made(d):
    """Only when asked: for inserts of the outbox, before the slot."""
    shop = StreamShop()
    r = daemon(config(d, pipeline(shop.source(publication="made here", create_publication=True))))
    shop.wait_streaming()
    shop.insert(2)
    wait_ids(lambda: ids(r), shop.ids)
    check_equal(shop.sql("select pubinsert, pubupdate, pubdelete, pubtruncate from pg_publication where pubname = 'made here'"),
                [(True, False, False, False)], "what is published")
    return alive(r)


@fault
def cdc_publication_not_allowed(d):
    shop = StreamShop()
    shop.sql("drop role if exists streams; create role streams login replication")
    return _refused(config(d, pipeline(shop.source(url=shop.pg.url(shop.name, user="streams"), publication="p2",
                                                   create_publication=True))))


@faults({"table": ("create table other (a int); alter publication pub set table other", {}),
         "kind": ("alter publication pub set (publish = 'update')", {}),
         "column": ("alter publication pub set table outbox (id, payload, seq)", {}),
         "no_table": ("select", {"as": "changes", "tables": ["public.nothing"], "snapshot": "never"}),
         "partitions": ("create table parts (id int primary key) partition by range (id);"
                        " create table part1 partition of parts for values from (0) to (9); alter publication pub set table parts",
                        {"as": "changes", "tables": ["public.parts"], "snapshot": "never"})})
def cdc_publication_lacks(d, how):
    sql, source = how
    shop = StreamShop()
    shop.sql(sql)
    plan = {**pipeline(shop.source(**source)), **({"encode": {"format": "flat"}} if source else {})}
    return _refused(config(d, plan))


@fault
def cdc_publication_dropped(d):
    """Under way: nothing moves until it is there again."""
    shop = StreamShop()
    path, _ = _stored(d, shop)
    r = daemon(path)
    shop.wait_streaming()
    fresh = shop.insert(2)
    wait_ids(lambda: ids(r), fresh)
    shop.wait_confirmed()
    shop.sql("drop publication pub")
    r.wait_log("state blocked")
    shop.wait_look()  # what was under way has come to the server
    before = shop.confirmed
    shop.wait_look()
    check_equal(shop.confirmed, before, "what is confirmed without a publication")
    shop.sql("create publication pub for table outbox")
    fresh += shop.insert(2)
    return all_came_once(r, fresh)


REPLACE = "begin; alter table outbox rename to outbox_old; create table outbox (like outbox_old including all); commit"


@faults({"replaced": (REPLACE, "alter publication pub add table outbox"),
         "renamed": ("alter table outbox rename to outbox_old", "alter table outbox_old rename to outbox"),
         "kind": ("alter publication pub set (publish = 'update')", "alter publication pub set (publish = 'insert')")})
def cdc_publication_loses(d, how):
    """Under way: it is said, and it goes on when that is mended."""
    loses, mends = how
    shop = StreamShop()
    path, _ = _stored(d, shop)
    r = daemon(path)
    shop.wait_streaming()
    fresh = shop.insert(2)
    wait_ids(lambda: ids(r), fresh)
    shop.sql(loses)
    r.wait_log("state blocked", 10)
    shop.sql(mends)
    fresh += shop.insert(2)
    return all_came_once(r, fresh)


def _table_t(shop, **source):
    """A pipeline of every change of a table t."""
    return {**pipeline(shop.source(**{"as": "changes", "table": "outbox", "tables": ["t"], **source})), "encode": {"format": "json"}}


def _payloads(relay):
    return [e["payload"] for e in lines(relay)]


@fault
def cdc_publication_loses_one(d):
    """Of two tables; one that is altered in an open transaction is no reason to wait, nor a publication of all tables to complain."""
    shop = StreamShop("create table t (id int primary key); create table u (id int primary key); create publication every for all tables;"
                " create publication two for table t, u")
    with contextlib.closing(shop.pg.connect(shop.name)) as c, c.cursor() as cur:
        every, two = (daemon(config(proc.tempdir(p), _table_t(shop, snapshot="never", tables=["t", "u"], publication=p, slot=f"{shop.name}_{p}")))
                      for p in ("every", "two"))
        every.wait_log("state running")
        two.wait_log("state running")
        cur.execute("alter table u add column more text")
        shop.sql("alter publication two drop table t")
        two.wait_log("state blocked", 10)
        shop.sql("insert into t values (1)")
        wait_ids(lambda: [p["id"] for p in _payloads(every)], [1])
        saw = alive(two)
        shop.wait_asked("pub.puballtables")
        c.rollback()
    check("blocked" not in every.log and "retrying" not in every.log, f"no complaint: {every.log}")
    alive(every)
    return saw


# --- what the slot keeps, while the relay cannot go on ---

def _piles_up(shop, address, when):
    def told(name):
        return metric(address, name) or 0
    for _ in range(2):
        kept = told("slot_retained_bytes")
        shop.sql("create table if not exists noise (t text); insert into noise select repeat('x', 1000) from generate_series(1, 3000)")
        wait_for(lambda: told("slot_retained_bytes") >= kept + 3000000, 10, f"the WAL that is kept to be told, {when}")
        wait_for(lambda: told("lag_bytes") > 3000000 and told("lag_seconds") > 0, 10, f"the lag to be told, {when}")


@fault
def cdc_blocked_tells_slot(d):
    """The WAL that piles up is told while it does, by a relay that was blocked under way and by one that never got to a first read."""
    shop = StreamShop()
    address = admin()
    _stored(d, shop)
    path = config(d, pipeline(shop.source()), admin={"listen": address})
    r = daemon(path)
    shop.wait_streaming()
    shop.sql("alter table outbox rename payload to body")
    shop.sql("insert into outbox (aggregatetype, aggregateid, type, body) values ('order', 'k', 'T', '{}')")
    r.wait_log("state blocked")
    _piles_up(shop, address, "blocked under way")
    alive(r)
    shop.sql("alter table outbox rename body to payload")  # nothing is wrong at a start, but at the row
    r = daemon(path)
    r.wait_log("state blocked")
    _piles_up(shop, address, "blocked at the first read")
    return alive(r)


# --- a snapshot that is asked for and not read ---

@fault
def cdc_always_after_now(d):
    """start_from: now is for the first start alone; the next one reads the rows."""
    shop = StreamShop("create table t (id int primary key); insert into t values (1)", table="t")
    path = config(d, _table_t(shop, snapshot="always", start_from="now"))
    r = once(path)
    check_equal(_payloads(r), [], "rows at the start that begins now")
    r = once(path)
    check_equal([(p["__op"], p["id"]) for p in _payloads(r)], [("r", 1)], "rows at the next start")
    r = daemon(path)
    wait_for(lambda: lines(r), 10, "the rows")
    return alive(r)


@fault
def cdc_slot_without_snapshot(d):
    """A slot that was there before: no rows, and it is said, beforehand too."""
    shop = StreamShop("create table t (id int primary key); insert into t values (1)", table="t")
    shop.sql("select pg_create_logical_replication_slot(%s, 'pgoutput')", shop.name)
    path = config(d, _table_t(shop, snapshot="initial", start_from="beginning", create_slot=False))
    check("no snapshot is read" in looked(path).text, "what check --connect says")
    r = daemon(path)
    shop.wait_streaming()
    shop.sql("insert into t values (2)")
    wait_for(lambda: lines(r), 10, "the change")
    check_equal([p["id"] for p in _payloads(r)], [2], "what was sent")
    return alive(r)


# --- a key that comes late ---

@fault
def cdc_key_added_under_full(d):
    """The stream does not show it; the events have it from then on, and lose it with the key."""
    shop = StreamShop("create table t (id int not null, n int); alter table t replica identity full", table="t")
    r = daemon(config(d, _table_t(shop, snapshot="never")))
    shop.wait_streaming()
    for n, sql in enumerate(("select", "alter table t add primary key (id)", "alter table t drop constraint t_pkey")):
        shop.sql(sql)
        shop.sql("insert into t values (%s, 1)", n)
        wait_for(lambda: len(lines(r)) == n + 1, 10, "the change")
    keys = [e.get("key") for e in lines(r)]
    check(not keys[0] and keys[1] and not keys[2], f"the keys: {keys}")
    return alive(r)


@faults({"15": 15, "18": 18})
def cdc_publication_after_slot(d, version):
    """What was written before the publication was there is not in the stream: the relay does not go past it."""
    with Postgres(version=version, settings={"fsync": "off"}, name="after") as pg:
        shop = StreamShop(pg=pg)
        shop.sql("drop publication pub")
        shop.sql("select pg_create_logical_replication_slot(%s, 'pgoutput')", shop.name)
        shop.insert(2)
        before = shop.confirmed
        shop.sql("create publication pub for table outbox")
        shop.insert(1)
        r = daemon(config(d, pipeline(shop.source(start_from="beginning"))))
        wait_for(lambda: not r.running or "state blocked" in r.log or "state retrying" in r.log, 15, "it to notice")
        saw = alive(r)
        check_equal(lines(r), [], "what was sent")
        check_equal(shop.confirmed, before, "what is confirmed")
        return saw


# --- 23: the position ---

@fault
def cdc_position_of_another_cluster(d):
    shop = StreamShop()
    path, _ = _stored(d, shop)
    with Postgres(settings={"fsync": "off"}, name="another") as pg:
        other = StreamShop(pg=pg)
        other.sql("select pg_create_logical_replication_slot(%s, 'pgoutput')", shop.name)
        other.insert(2)
        source = {**other.source(), "slot": shop.name}
        return _refused(config(d, pipeline(source)))


@fault
def cdc_position_ahead(d):
    """The server is restored from a copy that is older than the position."""
    with Postgres(settings={"fsync": "off"}, name="ahead") as pg:
        shop = StreamShop(pg=pg)
        path = shop.conf(d)
        pg.stop()
        kept = pg.dir / "kept"
        shutil.copytree(pg.data, kept, symlinks=True)
        pg.start()
        shop.insert(3)
        shop.sql("create table noise as select generate_series(1, 100000)")
        check_equal(once(path).poll(), 0, "exit code before")
        pg.stop()
        shutil.rmtree(pg.data)
        kept.rename(pg.data)
        _give(pg, pg.data)
        pg.start()
        before = shop.confirmed
        saw = _refused(path)
        check_equal(shop.confirmed, before, "what is confirmed")
        return saw


@fault
def cdc_slot_moved(d):
    """Somebody else reads the slot or moves it."""
    shop = StreamShop()
    path, _ = _stored(d, shop)
    shop.insert(2)
    wait_for(lambda: not shop.sender, 10, "the slot to be free")
    shop.sql("select pg_replication_slot_advance(%s, pg_current_wal_lsn())", shop.name)
    return _refused(path)


# --- 23, 30: fail-over ---

def _give(pg, tree):
    """To the user the server runs as."""
    for root, dirs, files in os.walk(tree) if pg._as else ():
        for name in [*dirs, *files, "."]:
            os.chown(os.path.join(root, name), pg._as["user"], pg._as["group"], follow_symlinks=False)


def _standby(pg, version=None, **settings):
    """A standby of pg, started; pg is stopped for the copy."""
    copy = proc.tempdir("standby")
    pg.stop()
    shutil.copytree(pg.data, copy / "data", symlinks=True)
    pg.start()
    for slot in (copy / "data/pg_replslot").iterdir():  # as in a base backup
        shutil.rmtree(slot)
    (copy / "data/standby.signal").touch()
    _give(pg, copy)
    return Postgres(dir=copy, version=version, name="standby",
                    settings={"fsync": "off", "primary_conninfo": pg.conninfo("postgres"), **settings}).start()


def _caught_up(pg, standby):
    end = pg.value("select pg_current_wal_lsn()")
    wait_for(lambda: standby.value("select pg_last_wal_replay_lsn() >= %s::pg_lsn", end), 20, "the standby to catch up")


def _promote(standby):
    standby.sql("select pg_promote()")
    wait_for(lambda: not standby.value("select pg_is_in_recovery()"), 20, "the promotion")


def _moved(d, shop, standby):
    source = {**shop.source(), "url": standby.url(shop.name)}
    return config(d, pipeline(source))


def _timeline(path):
    """Of the stored cursor."""
    r = start(["position", "show", "-c", path, "--pipeline", "p", "--json"])
    check_equal(r.wait_exit(), 0, "exit code of position show")
    return int(json.loads(r.stdout)["cursor"].split()[2])


def _insert_on(standby, shop):
    fresh = [x[0] for x in standby.sql("insert into outbox (aggregatetype, aggregateid, type, payload)"
                                       " values ('order', 'k', 'T', '{}') returning id::text", dbname=shop.name)]
    shop.ids += fresh
    return fresh


@fault
def cdc_failover_without_slot(d):
    with Postgres(settings={"fsync": "off"}, name="primary") as pg:
        shop = StreamShop(pg=pg)
        _stored(d, shop)
        with _standby(pg) as standby:
            _caught_up(pg, standby)
            pg.stop("immediate")
            _promote(standby)
            return _refused(_moved(d, shop, standby))


@fault
def cdc_failover_behind(d):
    """Events were sent that the new primary never had."""
    with Postgres(settings={"fsync": "off"}, name="primary") as pg:
        shop = StreamShop(pg=pg)
        path, _ = _stored(d, shop)
        with _standby(pg) as standby:
            _caught_up(pg, standby)
            _promote(standby)  # the old one does not know of it
            shop.insert(3)
            check_equal(once(path).poll(), 0, "exit code on the old primary")
            pg.stop("immediate")
            standby.sql("select pg_create_logical_replication_slot(%s, 'pgoutput')", shop.name, dbname=shop.name)
            return _refused(_moved(d, shop, standby))


@fault
def cdc_failover_synced(d):
    """A slot that the standby keeps up with goes on there, without a gap and without a double."""
    with Postgres(version=17, settings={"fsync": "off", "synchronized_standby_slots": ""}, name="primary") as pg:
        shop = StreamShop(pg=pg)
        pg.sql("select pg_create_physical_replication_slot('standby')")
        shop.sql("select pg_create_logical_replication_slot(%s, 'pgoutput', false, false, true)", shop.name)
        with _standby(pg, 17, primary_slot_name="standby", hot_standby_feedback="on", sync_replication_slots="on",
                      primary_conninfo=pg.conninfo(shop.name)) as standby:
            r = daemon(config(d, pipeline(shop.source(start_from="beginning"))))
            shop.insert(3)
            wait_ids(lambda: ids(r), shop.ids)
            wait_for(lambda: standby.value("select synced and not temporary from pg_replication_slots where slot_name = %s", shop.name),
                     60, "the slot to be kept up with")
            alive(r)
            fresh = shop.insert(2)
            _caught_up(pg, standby)
            pg.stop("immediate")
            _promote(standby)
            fresh += _insert_on(standby, shop)
            again = daemon(_moved(d, shop, standby))
            return all_came_once(again, fresh)


@fault
def cdc_promoted_while_read(d):
    """The stream of a standby goes on through its promotion, and the next start finds nothing amiss."""
    with Postgres(version=17, settings={"fsync": "off"}, name="primary") as pg:
        shop = StreamShop(pg=pg)
        pg.sql("select pg_create_physical_replication_slot('standby')")
        with _standby(pg, 17, primary_slot_name="standby", hot_standby_feedback="on") as standby:
            path = _moved(d, shop, standby)
            r = daemon(path)

            def streaming():  # the slot is made once the primary tells of the transactions that are open
                pg.sql("select pg_log_standby_snapshot()")
                return standby.value("select active and confirmed_flush_lsn is not null from pg_replication_slots")
            wait_for(streaming, 30, "the slot on the standby")
            shop.insert(3)
            wait_ids(lambda: ids(r), shop.ids)
            _caught_up(pg, standby)
            pg.stop("immediate")
            _promote(standby)
            _insert_on(standby, shop)
            wait_ids(lambda: ids(r), shop.ids)
            wait_for(lambda: _timeline(path) == 2, 10, "the new timeline to be saved")
            alive(r)
            _insert_on(standby, shop)
            again = daemon(path)
            wait_ids(lambda: ids(r) + ids(again), shop.ids)
            saw = alive(again)
            each_once(ids(r) + ids(again), shop.ids)
            return saw


# --- 24-26, 30: the tables change under a snapshot that goes on ---

ROWS = 20000
PAGES = ("create table t (id int primary key, v int, pad text);"
         f"insert into t select i, 0, repeat('x', 60) from generate_series(1, {ROWS}) i;")


def _changes(d, shop, snapshot, **source):
    """A file for all changes of the shop's publication, in small gulps."""
    source = {k: v for k, v in shop.source(snapshot=snapshot, **source).items() if k not in ("as", "table")}
    return config(d, {**pipeline(source, max_in_flight=100), "encode": {"format": "flat"}})


@contextlib.contextmanager
def _in_snapshot(d, path):
    """A relay that stands still in the first tenth of the rows, because nobody reads what it writes."""
    with Piped(d, path) as r:
        r.wait_full()
        yield r


def _stored_cursor(d):
    with contextlib.closing(sqlite3.connect(d / "store.db", timeout=30)) as db:
        (cursor,) = db.execute("select cursor from commitrelay_positions").fetchone()
        return cursor


def _killed_in_snapshot(d, path):
    """kill -9 once more than 500 rows have come and more are waiting, and a place among them is stored."""
    with _in_snapshot(d, path) as r:
        while len(_rows(r)) <= 500:
            r.sip()
        r.wait_full()
        wait_for(lambda: ",@" in _stored_cursor(d), 20, "a place in a table to be stored")
        r.kill()
    return r


def _rows(r, table=None):
    """The newest row of each key, of the pipe's whole lines."""
    rows = [json.loads(x)["payload"] for x in b"".join(r.text).split(b"\n")[:-1]]
    return {x["id"]: x for x in rows if table in (None, x["__table"].split(".")[-1])}


@faults({"type": ("alter table t alter v type text using 'v' || v",
                  lambda rows: len(rows) == ROWS and isinstance(rows[ROWS]["v"], str)),
         "key_type": ("alter table t alter id type text", lambda rows: len([k for k in rows if isinstance(k, str)]) == ROWS),
         "column_dropped": ("alter table t drop column v", lambda rows: len(rows) == ROWS and "v" not in rows[ROWS]),
         "column_added": ("alter table t add n int default 5", lambda rows: len(rows) == ROWS and rows[ROWS].get("n") == 5),
         "swap": ("alter table t rename to t_old; alter table t_new rename to t",
                  lambda rows: len(rows) == ROWS and all(x["v"] == 1 for x in rows.values())),
         "table_dropped": ("drop table t; insert into u values (-7)", lambda rows: -7 in rows)})
def cdc_snapshot_of_altered(d, how):
    """The rows that are left come by a new plan; nothing is blocked, and nothing is left out."""
    ddl, done = how
    shop = StreamShop(PAGES + "create table u (id int primary key); create table t_new (like t including all); "
                "insert into t_new select id, 1, pad from t;", table="t")
    shop.sql("alter publication pub add table u, t_new")
    tables = {} if ddl.startswith("drop") else {"tables": ["public.t"]}
    check_equal(once(_changes(d, shop, "never", **tables)).poll(), 0, "exit code of the run that makes the slot")
    with _in_snapshot(d, _changes(d, shop, "always", **tables)) as r:
        shop.sql(ddl)
        r.flow()
        wait_for(lambda: done(_rows(r)), 30, f"what is left\n{r.log[-2500:]}")
        check("state blocked" not in r.log, f"it was blocked:\n{r.log[-1500:]}")
        return r.end()


def _forget_oids(d):
    """The stored place as versions before wrote it."""
    old = _stored_cursor(d)
    with contextlib.closing(sqlite3.connect(d / "store.db")) as db, db:
        text = re.sub(r",@[0-9.-]+", "", old)
        check(text != old, f"no OID in {old}")
        db.execute("update commitrelay_positions set cursor = ?", (text,))


@faults({"before": ("alter table zeta rename to aardvark", "aardvark"), "old_state": ("", "zeta")})
def cdc_snapshot_goes_on_with(d, how):
    """What was not read yet is not taken for read, by whatever name; nor after an update of the relay."""
    ddl, name = how
    shop = StreamShop(PAGES + "create table zeta (id int primary key); insert into zeta select generate_series(1, 50);", table="t, zeta")
    path = _changes(d, shop, "initial")
    first = _rows(_killed_in_snapshot(d, path))
    check(len(first) < ROWS, "all rows came before the end")
    if ddl:
        shop.sql(ddl)
    else:
        _forget_oids(d)
    again = daemon(path)

    def came(table):
        return {x["payload"]["id"] for x in lines(again) if x["payload"]["__table"].split(".")[-1] == table}
    wait_for(lambda: came(name) == {*range(1, 51)}, 20, f"the rows of {name}\n{again.log[-1500:]}")
    wait_for(lambda: len({*first, *came("t")}) == ROWS, 20, "the rows of t")
    return alive(again)


@fault
def cdc_position_set_in_snapshot(d):
    """It gives up the rest of the snapshot, and says so."""
    shop = StreamShop(PAGES + "create table zeta (id int primary key); insert into zeta select generate_series(1, 50);", table="t, zeta")
    path = _changes(d, shop, "initial", read_timeout="60s")
    _killed_in_snapshot(d, path)
    with _in_snapshot(d, path) as r, contextlib.closing(shop.pg.connect(shop.name)) as c, c.cursor() as cur:
        cur.execute("lock table zeta in access exclusive mode")  # it comes to an end of t, and waits
        r.flow()
        wait_for(lambda: ROWS in _rows(r), 10, "the last row of t")
        done = start(["position", "set", "-c", path, "--pipeline", "p", "beginning", "--yes"])
        wait_for(lambda: "the rest of the initial snapshot will not be read" in r.log, 10, "the warning")
        c.rollback()
        done.wait_exit(20)
        check_equal(done.poll(), 0, f"exit code of position set: {done.log}")
        shop.sql("insert into t values (-1, 0, '')")
        wait_for(lambda: -1 in _rows(r), 10, "what is committed now")
        check_equal(_rows(r, "zeta"), {}, "rows of the rest")
        return r.end()


@fault
def cdc_snapshot_on_standby(d):
    """Nobody can write a watermark there; the way that is shown works."""
    with Postgres(version=17, settings={"fsync": "off"}, name="primary") as pg:
        shop = StreamShop("create table few (id int primary key); insert into few select generate_series(1, 3);", table="few", pg=pg)
        pg.sql("select pg_create_physical_replication_slot('standby')")
        with _standby(pg, 17, primary_slot_name="standby", hot_standby_feedback="on") as standby:
            url = {"url": standby.url(shop.name)}

            def copied(path):
                r = daemon(path)

                def there():  # the slot is made once the primary tells of the transactions that are open
                    pg.sql("select pg_log_standby_snapshot()")
                    return {x["payload"]["id"] for x in lines(r)} == {1, 2, 3}
                wait_for(there, 10, f"the rows\n{r.log[-1500:]}")
                return alive(r)
            copied(_changes(d, shop, "always", **url))
            saw = _refused(_changes(d, shop, "always", **url))
            standby.sql("select pg_drop_replication_slot(%s)", shop.name)
            copied(_changes(d, shop, "initial", on_lost_slot="resnapshot", **url))
            return saw
