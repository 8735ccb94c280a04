"""What a change stream may find when it starts: a server, a role, a publication, a slot or a position that does not fit."""
import contextlib
import functools
import json
import os
import shutil
import subprocess
import time

import psycopg2
import psycopg2.extras

from faults_cdc_stream import Shop
from faults_support import (Saw, alive, all_there, config, daemon, each_once, ended, fault, faults, ids, lines, once, pipeline, proc,
                            readable, start, wait_for, wait_ids)
from support.pg import Postgres
from support.proc import check, check_equal
from support.proxy import Proxy


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
    each_once(ids(r), shop.ids)
    _drop_slot(shop)
    return saw


# --- 13-15: the server and the role ---

@fault
def cdc_role_may_not_replicate(d):
    shop = Shop()
    shop.sql("drop role if exists weak; create role weak login")
    return _refused(config(d, pipeline(shop.source(url=shop.pg.url(shop.name, user="weak")))))


@functools.lru_cache(None)
def _replica_server():
    return Postgres(settings={"fsync": "off", "wal_level": "replica"}, name="replica").start()


@fault
def cdc_wal_level(d):
    shop = Shop(pg=_replica_server())
    return _refused(config(d, pipeline(shop.source())))


@fault
def cdc_old_server(d):
    """The server's own greeting, with another version in it."""
    shop = Shop()
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
    shop = Shop()
    r = daemon(config(d, pipeline(shop.source())))
    shop.wait_streaming()
    check(shop.confirmed in r.log, f"the slot's position {shop.confirmed} in the log")
    shop.insert(3)
    wait_ids(lambda: ids(r), shop.ids)
    saw = alive(r)
    each_once(ids(r), shop.ids)
    return saw


@fault
def cdc_slot_made_by_another(d):
    """Between our look and our making it: two relays that start for the first time at once."""
    shop = Shop()
    with Proxy("127.0.0.1", shop.pg.port) as proxy:
        def make(data):
            if b"safe_wal_size" not in data:  # the answer of the look
                return None
            shop.sql("select pg_create_logical_replication_slot(%s, 'pgoutput')", shop.name)
            return data
        proxy.edit(make)
        return _refused(config(d, pipeline(shop.source(port=proxy.port))))


@fault
def cdc_slot_not_made(d):
    shop = Shop()
    saw = _refused(config(d, pipeline(shop.source(create_slot=False))))
    check_equal(shop.slot("1"), None, "a slot")
    return saw


@faults({"open": (r"that of pid PID .*, open since \d+ s: SELECT pg_terminate_backend\(PID\)", "rollback"),
         "prepared": (r"prepared as 'left over' since \d+ s: .* ROLLBACK PREPARED 'left over'", "rollback prepared 'left over'")})
def cdc_slot_waits(d, how):
    """Making a slot waits for what writes; it is said for whom, and no half slot is left behind."""
    shop = Shop("create table other (a int)", pg=_preparing_server())
    with contextlib.closing(shop.pg.connect(shop.name, autocommit=True)) as c, c.cursor() as cur:
        cur.execute("begin; insert into other values (1)")
        told, end = how
        if "prepared" in told:
            cur.execute("prepare transaction 'left over'")
        r = daemon(config(d, pipeline(shop.source(read_timeout="1s"))))
        r.wait_log(told.replace("PID", str(c.info.backend_pid)))
        cur.execute(end)
    return _flows(shop, r)


@fault
def cdc_slot_gone(d):
    """Twice: nothing is made, nothing is sent. The way that is shown works."""
    shop = Shop()
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
    shop = Shop()
    shop.sql("select pg_create_logical_replication_slot(%s, 'pgoutput')", shop.name)
    source = shop.source(snapshot="initial", on_lost_slot="resnapshot", start_from=shop.confirmed)
    path, _ = _stored(d, shop, source)
    _drop_slot(shop)
    shop.insert(1)
    r = daemon(path)
    wait_ids(lambda: ids(r), shop.ids)
    shop.insert(2)
    wait_ids(lambda: ids(r), shop.ids)
    saw = alive(r)
    each_once(ids(r), shop.ids)
    return saw


@contextlib.contextmanager
def _lost(d, **source):
    """A relay's slot that the server has given up."""
    with Postgres(settings={"fsync": "off", "max_slot_wal_keep_size": "1MB", "min_wal_size": "32MB", "max_wal_size": "32MB"},
                  name="lost") as pg:
        shop = Shop(pg=pg)
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
    shop = Shop()
    shop.sql(sql % shop.name)
    return _refused(config(d, pipeline(shop.source())))


@fault
def cdc_slot_of_another_database(d):
    shop = Shop()
    shop.pg.sql(f"select pg_create_logical_replication_slot('{shop.name}', 'pgoutput')")
    return _refused(config(d, pipeline(shop.source())))


@fault
def cdc_slot_without_position(d):
    """Nobody knows what was delivered; start_from says it."""
    shop = Shop()
    shop.sql("select pg_create_logical_replication_slot(%s, 'pgoutput')", shop.name)
    shop.insert(2)
    saw = _refused(config(d, pipeline(shop.source())))
    r = once(config(d, pipeline(shop.source(start_from="beginning"))))
    check_equal(r.poll(), 0, f"exit code with start_from: {r.log}")
    each_once(ids(r), shop.ids)
    return saw


def _hold(shop):
    return subprocess.Popen(["pg_recvlogical", "-d", shop.pg.conninfo(shop.name), "--slot", shop.name, "--start", "-f", "/dev/null",
                             "-o", "proto_version=1", "-o", "publication_names=pub"], stderr=subprocess.DEVNULL)


@fault
def cdc_slot_active(d):
    """It waits, says for whom, and goes on when the other one is gone."""
    shop = Shop()
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
    """Not for ever: twice the time after which the server forgets a client that is gone."""
    shop = Shop("do $$ begin execute format('alter database %I set wal_sender_timeout = 2000', current_database()); end $$")
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
    shop = Shop(pg=_small_server())
    shop.pg.sql("select pg_create_physical_replication_slot('other')")
    r = daemon(config(d, pipeline(shop.source())))
    r.wait_log("all replication slots are in use")
    shop.pg.sql("select pg_drop_replication_slot('other')")
    return _flows(shop, r)


@fault
def cdc_no_sender_left(d):
    shop = Shop(pg=_small_server())
    busy = psycopg2.connect(shop.pg.conninfo(shop.name), connection_factory=psycopg2.extras.PhysicalReplicationConnection)
    with contextlib.closing(busy):
        r = daemon(config(d, pipeline(shop.source())))
        r.wait_log("max_wal_senders")
    return _flows(shop, r)


# --- 22: the publication ---

@fault
def cdc_publication_missing(d):
    shop = Shop("create table x (a int)")
    saw = _refused(config(d, pipeline(shop.source(publication="nowhere"))))
    check_equal(shop.slot("1"), None, "a slot that is older than its publication")
    return saw


@fault
def cdc_publication_made(d):
    """Only when asked: for inserts of the outbox, before the slot."""
    shop = Shop()
    r = daemon(config(d, pipeline(shop.source(publication="made here", create_publication=True))))
    shop.wait_streaming()
    shop.insert(2)
    wait_ids(lambda: ids(r), shop.ids)
    check_equal(shop.sql("select pubinsert, pubupdate, pubdelete, pubtruncate from pg_publication where pubname = 'made here'"),
                [(True, False, False, False)], "what is published")
    return alive(r)


@fault
def cdc_publication_not_allowed(d):
    shop = Shop()
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
    shop = Shop()
    shop.sql(sql)
    plan = {**pipeline(shop.source(**source)), **({"encode": {"format": "flat"}} if source else {})}
    return _refused(config(d, plan))


@fault
def cdc_publication_dropped(d):
    """Under way: nothing moves until it is there again."""
    shop = Shop()
    path, _ = _stored(d, shop)
    r = daemon(path)
    shop.wait_streaming()
    fresh = shop.insert(2)
    wait_ids(lambda: ids(r), fresh)
    shop.sql("drop publication pub")
    r.wait_log("state blocked")
    before = shop.confirmed
    time.sleep(1)
    check_equal(shop.confirmed, before, "what is confirmed without a publication")
    shop.sql("create publication pub for table outbox")
    fresh += shop.insert(2)
    wait_ids(lambda: ids(r), fresh)
    saw = alive(r)
    each_once(ids(r), fresh)
    return saw


@faults({"15": 15, "18": 18})
def cdc_publication_after_slot(d, version):
    """What was written before the publication was there is not in the stream: the relay does not go past it."""
    with Postgres(version=version, settings={"fsync": "off"}, name="after") as pg:
        shop = Shop(pg=pg)
        shop.sql("drop publication pub")
        shop.sql("select pg_create_logical_replication_slot(%s, 'pgoutput')", shop.name)
        shop.insert(2)
        before = shop.confirmed
        shop.sql("create publication pub for table outbox")
        shop.insert(1)
        r = daemon(config(d, pipeline(shop.source(start_from="beginning"))))
        wait_for(lambda: not r.running or "state blocked" in r.log or "state retrying" in r.log, 15, "it to notice")
        time.sleep(1)
        check_equal(lines(r), [], "what was sent")
        check_equal(shop.confirmed, before, "what is confirmed")
        r.kill9()
        return Saw("runs", readable(r.log))


# --- 23: the position ---

@fault
def cdc_position_of_another_cluster(d):
    shop = Shop()
    path, _ = _stored(d, shop)
    with Postgres(settings={"fsync": "off"}, name="another") as pg:
        other = Shop(pg=pg)
        other.sql("select pg_create_logical_replication_slot(%s, 'pgoutput')", shop.name)
        other.insert(2)
        source = {**other.source(), "slot": shop.name}
        return _refused(config(d, pipeline(source)))


@fault
def cdc_position_ahead(d):
    """The server is restored from a copy that is older than the position."""
    with Postgres(settings={"fsync": "off"}, name="ahead") as pg:
        shop = Shop(pg=pg)
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
    shop = Shop()
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
    (copy / "port").write_text(str(proc.free_port()))
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
        shop = Shop(pg=pg)
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
        shop = Shop(pg=pg)
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
        shop = Shop(pg=pg)
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
            wait_ids(lambda: ids(again), fresh)
            saw = alive(again)
            each_once(ids(again), fresh)
            return saw


@fault
def cdc_promoted_while_read(d):
    """The stream of a standby goes on through its promotion, and the next start finds nothing amiss."""
    with Postgres(version=17, settings={"fsync": "off"}, name="primary") as pg:
        shop = Shop(pg=pg)
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
