"""What can be wrong with a SQLite outbox: locked, replaced, damaged, without AUTOINCREMENT; and names that must be quoted."""
import contextlib
import os
import shutil
import time

from support import proc
from support.arrivals import all_there, each_once, ids, lines, wait_ids
from support.bad_input import Saw, alive, all_came_once, ended, fault, faults, looked, readable, said
from support.busy import Busy
from support.proc import check, check_equal, wait_for
from support.relaying import admin, config, daemon, freeze, metric, not_ready, once, page, pipeline, start, thaw
from support.shop import SqliteShop, schema

SCHEMA = schema("sqlite/outbox")


def _quick(d, shop, **source):
    return config(d, pipeline(shop.source(**source)))


# --- 8: names ---

NAMES = {"injection": 'a"; drop table x;--', "unicode": "événement 表", "reserved": "order", "long": "t" * 70}


@faults(NAMES)
def sqlite_table(d, name):
    shop = SqliteShop(d)
    shop.insert(3)
    quoted = name.replace('"', '""')
    shop.script(f'alter table outbox rename to "{quoted}"; create table x (a);')
    r = once(config(d, pipeline(shop.source(table=name))))
    check_equal(shop.value("select count(*) from x"), 0, "the other table is still there")
    each_once(ids(r), shop.ids)
    return ended(r)


# --- 24-26: the table changes ---

def _while_running(d, spoil, what, mend):
    """The table is spoilt under a running relay: it waits and moves nothing, and goes on once it is mended."""
    shop, address = SqliteShop(d), admin()
    r = daemon(config(d, pipeline(shop.source()), admin={"listen": address}))
    shop.insert(3)
    shop.wait_saved()
    before = shop.cursor
    shop.script(spoil)
    r.wait_log(what)
    not_ready(address)
    check_equal(shop.cursor, before, "the position")
    shop.script(mend)
    shop.insert(3)
    return all_came_once(r, shop.ids)


@fault
def sqlite_column_missing(d):
    shop = SqliteShop(d)
    shop.script("alter table outbox rename column payload to body")
    return ended(once(_quick(d, shop)))


@fault
def sqlite_column_renamed(d):
    return _while_running(d, "alter table outbox rename column payload to body", "no column .{1,2}payload",
                          "alter table outbox rename column body to payload")


@fault
def sqlite_table_dropped(d):
    return _while_running(d, "alter table outbox rename to gone", "no table|does not exist|no such table", "alter table gone rename to outbox")


@fault
def sqlite_table_recreated(d):
    """sqlite_sequence forgets the numbers with the table; the relay says so instead of passing over the new rows."""
    shop = SqliteShop(d)
    r = daemon(_quick(d, shop))
    shop.insert(3)
    wait_ids(lambda: ids(r), shop.ids)
    shop.script(f"begin; drop table outbox; {SCHEMA} commit")
    fresh = shop.insert(2)
    r.wait_exit(20)
    check(not set(ids(r)) & set(fresh), "nothing of the new table was sent")
    return ended(r)


@fault
def sqlite_column_added(d):
    shop = SqliteShop(d)
    r = daemon(_quick(d, shop))
    shop.insert(3)
    wait_ids(lambda: ids(r), shop.ids)
    shop.script("alter table outbox add column note text default 'x'; alter table outbox add column more int")
    shop.insert(3)
    wait_ids(lambda: ids(r), shop.ids)
    shop.script("alter table outbox drop column note")
    shop.insert(3)
    return all_came_once(r, shop.ids)


# --- 49-51: poison, duplicates, sizes ---

@faults({"bad_topic": "insert into outbox (id, aggregatetype, aggregateid, type, payload) values ('bad', 'no topic!', 'k', 'T', '{}')",
         "null_id": "insert into outbox (id, aggregatetype, aggregateid, type, payload) values (null, 'order', 'k', 'T', '{}')",
         "bad_headers": "insert into outbox (id, aggregatetype, aggregateid, type, payload, headers) values ('bad', 'order', 'k', 'T', '{}', '[1')",
         "invalid_utf8": "insert into outbox (id, aggregatetype, aggregateid, type, payload) "
                         "values ('bad', cast(x'ff41' as text), 'k', 'T', '{}')"})
def sqlite_poison(d, sql):
    """One bad row among good ones: with skip it becomes a dead letter, its neighbours pass."""
    shop = SqliteShop(d, tables=SCHEMA.replace("id text not null unique", "id text unique"))
    shop.insert(3)
    shop.script(sql)
    shop.insert(3)
    r = once(config(d, pipeline(shop.source(), topic="{aggregatetype}", poison="skip")))
    check_equal(r.poll(), 0, f"exit code\n{r.log}")
    each_once(ids(r), shop.ids)
    check_equal(shop.value("select count(*) from commitrelay_dead_letters"), 1, "dead letters")
    check_equal(bytes(shop.value("select cast(payload as blob) from commitrelay_dead_letters")), b"{}", "its payload")
    return Saw(0, readable(r.log) + shop.value("select reason from commitrelay_dead_letters"))


@fault
def sqlite_poison_stops(d):
    """With stop nothing behind the bad row passes, and the position stays before it."""
    shop = SqliteShop(d)
    before = shop.insert(3)
    shop.script("insert into outbox (id, aggregatetype, aggregateid, type, payload) values ('bad', 'no topic!', 'k', 'T', '{}')")
    shop.insert(3)
    path = config(d, pipeline(shop.source(), topic="{aggregatetype}"))
    r = once(path)
    each_once(ids(r), before)
    check_equal(shop.value("select delivered from commitrelay_positions"), 3, "delivered")
    shop.script("delete from outbox where id = 'bad'")
    after = once(path)
    check_equal(after.poll(), 0, "exit code after the row is gone")
    each_once(ids(r) + ids(after), shop.ids)
    return ended(r)


@fault
def sqlite_poison_blocks(d):
    """A daemon stays up, says so, and is not ready."""
    shop, address = SqliteShop(d), admin()
    shop.script("insert into outbox (id, aggregatetype, aggregateid, type, payload) values ('bad', 'no topic!', 'k', 'T', '{}')")
    r = daemon(config(d, pipeline(shop.source(), topic="{aggregatetype}"), admin={"listen": address}))
    r.wait_log("state blocked")
    code, text = page(address, "readyz")
    check_equal(code, 503, "readiness")
    saw = alive(r)
    return Saw(saw.code, text)


@fault
def sqlite_odd_values(d):
    """Bytes that are strange and still only text pass as they are."""
    shop = SqliteShop(d)
    odd = ["", "not json", '{"a": NaN}', "\\u0000", "x\ty\r\n", "é✓𝄞", "infinity"]
    for p in odd:
        shop.insert(1, payload=p)
    r = once(_quick(d, shop))
    check_equal([e["payload"] for e in lines(r)], odd, "payloads")
    return ended(r)


@fault
def sqlite_duplicate_id(d):
    """Both are sent: whether a repetition counts is for the consumer to say, who knows the id."""
    shop = SqliteShop(d, tables=SCHEMA.replace("id text not null unique", "id text not null"))
    one = "insert into outbox (id, aggregatetype, aggregateid, type, payload) values ('same', 'order', 'k', 'T', '{}');"
    shop.script(one + one)
    path = _quick(d, shop)
    r = once(path)
    check_equal((r.poll(), ids(r)), (0, ["same", "same"]), "exit code and ids")
    return looked(path)


@fault
def sqlite_large_payload(d):
    """A payload larger than anything in flight goes alone, within bounded memory."""
    shop = SqliteShop(d)
    shop.insert(2)
    shop.insert(1, payload="x" * (40 << 20))
    shop.insert(2)
    r = once(config(d, pipeline(shop.source(), sink={"type": "file", "dir": f"{d}/out"}, max_in_flight_bytes="1MiB")), timeout=60)
    check_equal(sum(1 for _ in (d / "out").glob("*.jsonl")) >= 1, True, "files")
    check(r.rss < 260 * 1024, f"{r.rss} KiB of memory for a payload of 40 MiB")
    return ended(r)


# --- 56: the file ---

COMMANDS = {"status": ["status"], "position": ["position", "show"], "dead_letters": ["dead-letters", "list"], "pause": ["pause"],
            "check": ["check", "--connect"]}


@faults(COMMANDS)
def sqlite_command_waits(d, words):
    """Somebody holds the file for longer than the relay's thread would wait: a command has the time."""
    shop = SqliteShop(d, wal=False)
    shop.insert(1)
    path = config(d, pipeline(shop.source()), store={})
    check_equal(once(path).poll(), 0, "exit code of the run that makes the store")
    with contextlib.closing(shop.connect()) as db:
        db.execute("begin exclusive")
        r = start([words[0], *words[1:], "-c", path])
        time.sleep(2)  # that it waits is what is tested: the relay's own wait is a second
        check(r.running, f"it did not wait: {r.stdout}{r.log}")
        db.execute("rollback")
    r.wait_exit()
    return ended(r)


@fault
def sqlite_locked(d):
    """Locked for longer than any wait: it tries again, and loses nothing."""
    shop = SqliteShop(d, wal=False)
    r = daemon(_quick(d, shop, read_timeout="3s"))
    shop.insert(3)
    shop.wait_saved()
    db = shop.connect()
    db.execute("begin exclusive")
    r.wait_log("state retrying")
    db.execute("rollback")
    db.close()
    shop.insert(3)
    return all_came_once(r, shop.ids)


@fault
def sqlite_delete_held_up(d):
    """A write lock lets a relay read and keeps it from deleting: it says so, gives up in time, and sends nothing twice."""
    shop = SqliteShop(d)
    r = daemon(_quick(d, shop, mode="delete", read_timeout="4s"))
    shop.insert(3)
    shop.wait_saved()
    db = shop.connect()
    freeze(r)
    shop.insert(3)
    db.execute("begin immediate")
    with Busy(r) as busy:
        thaw(r)
        wait_ids(lambda: ids(r), shop.ids)
        r.wait_log("held up: .*for a lock another process holds")
        r.wait_log("state retrying")
        busy.check_rests("while the file is locked")
    db.execute("rollback")
    db.close()
    wait_for(lambda: shop.value("select count(*) from outbox") == 0, 60, "the rows to be deleted")
    shop.insert(3)
    return all_came_once(r, shop.ids)


@fault
def sqlite_state_held_up(d):
    """A state that found the file locked is written once it is free, although nothing else is to be written any more."""
    shop, address = SqliteShop(d), admin()
    path = config(d, pipeline(shop.source(), topic="{aggregatetype}"), admin={"listen": address})
    r = daemon(path)
    shop.insert(3)
    shop.wait_saved()
    db = shop.connect()
    freeze(r)
    shop.script("insert into outbox (id, aggregatetype, aggregateid, type, payload) values ('bad', 'no topic!', 'k', 'T', '{}')")
    db.execute("begin immediate")
    thaw(r)
    r.wait_log("state blocked")
    _rounds(address)
    check_equal(shop.value("select state from commitrelay_positions"), "running", "the state while the file is locked")
    db.execute("rollback")
    db.close()
    wait_for(lambda: shop.value("select state from commitrelay_positions") == "blocked", 5, "the state to be written")
    status = start(["status", "-c", path])
    status.wait_exit(10)
    return Saw(alive(r).code, readable(status.stdout))


def _rounds(address, n=2):
    """Waits until a pipeline with an event in hand has come round n times: it measures anew how old the event is."""
    for _ in range(n):
        was = metric(address, "lag_seconds")
        wait_for(lambda last=was: metric(address, "lag_seconds") != last, 10, "the pipeline to come round")


@fault
def sqlite_missing(d):
    r = once(config(d, pipeline({"type": "outbox_sqlite", "path": f"{d}/none.db"})))
    check(not (d / "none.db").exists(), "it was not made")
    return ended(r)


@fault
def sqlite_not_a_database(d):
    (d / "shop.db").write_bytes(b"this is no database, whatever it is called" * 100)
    return ended(once(config(d, pipeline({"type": "outbox_sqlite", "path": f"{d}/shop.db"}))))


@fault
def sqlite_directory(d):
    return ended(once(config(d, pipeline({"type": "outbox_sqlite", "path": str(d)}))))


@fault
def sqlite_corrupt_page(d):
    """Never a guess: what cannot be read is not passed over."""
    shop = SqliteShop(d, wal=False)
    shop.insert(2000, payload="x" * 500)
    with open(shop.path, "r+b") as f:
        pages = os.fstat(f.fileno()).st_size // 4096
        for n in range(pages // 2, pages - 2):
            f.seek(n * 4096)
            f.write(os.urandom(4096))
    r = once(_quick(d, shop))
    got = ids(r)
    check(len(got) < 2000, f"{len(got)} of 2000 were read from a damaged file")
    check_equal(got, shop.ids[:len(got)], "events before the damage")
    return ended(r)


@fault
def sqlite_no_autoincrement(d):
    shop = SqliteShop(d, tables=SCHEMA.replace(" autoincrement", ""))
    shop.insert(1)
    return ended(once(_quick(d, shop)))


@fault
def sqlite_no_table(d):
    shop = SqliteShop(d, tables="create table other (a);")
    return ended(once(_quick(d, shop)))


@fault
def sqlite_replaced(d):
    """Another file in its place is another outbox: the old position means nothing there."""
    shop = SqliteShop(d)
    r = daemon(_quick(d, shop))
    shop.insert(3)
    wait_ids(lambda: ids(r), shop.ids)
    other = SqliteShop(d, name="other.db")
    other.insert(5)
    for suffix in ("-wal", "-shm"):
        (d / f"shop.db{suffix}").unlink(missing_ok=True)
    os.replace(other.path, shop.path)
    r.wait_exit()
    return ended(r)


@fault
def sqlite_moved_back(d):
    """Gone and back: the same file, the same position."""
    shop = SqliteShop(d, wal=False)
    r = daemon(_quick(d, shop))
    shop.insert(3)
    shop.wait_saved()
    shutil.move(shop.path, d / "away.db")
    said(r)
    shutil.move(d / "away.db", shop.path)
    shop.insert(3)
    return all_came_once(r, shop.ids)


@fault
def sqlite_journal_delete(d):
    shop = SqliteShop(d, wal=False)
    r = daemon(_quick(d, shop))
    for _ in range(5):
        shop.insert(3)
        wait_ids(lambda: ids(r), shop.ids)
    check_equal(shop.value("pragma journal_mode"), "delete", "the journal mode is left as it was")
    saw = alive(r)
    each_once(ids(r), shop.ids)
    return saw


# --- 59 ---

@fault
def sqlite_two_relays(d):
    """The second waits, and takes over when the first is gone."""
    shop = SqliteShop(d)
    path = _quick(d, shop)
    first = daemon(path)
    shop.insert(3)
    wait_ids(lambda: ids(first), shop.ids)
    second = daemon(path)
    second.wait_log("state waiting")
    shop.insert(3)
    wait_ids(lambda: ids(first), shop.ids)
    check_equal(ids(second), [], "what the second sent meanwhile")
    first.kill9()
    shop.insert(3)
    wait_ids(lambda: ids(first) + ids(second), shop.ids)
    saw = alive(second)
    all_there(ids(first) + ids(second), shop.ids)
    return saw
