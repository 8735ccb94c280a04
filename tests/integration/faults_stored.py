"""What the relay keeps for itself, and cannot: dead letters, a batch file whose name is taken, a store that was spoilt."""
import contextlib
import shutil
import sqlite3
import subprocess

from support.arrivals import each_once, file_ids, ids, wait_ids
from support.bad_input import alive, ended, fault, faults
from support.proc import check_equal, wait_for
from support.relaying import STRACE, config, daemon, need, once, pipeline
from support.shop import PostgresShop, SqliteShop, StreamShop

# --- 48: a dead letter that cannot be kept ---

FULL = """create function full_disk() returns trigger language plpgsql as
          $$ begin raise exception 'no space left on device' using errcode = '53100'; end $$;
          create trigger full_disk before insert on commitrelay.dead_letters for each row execute function full_disk()"""


def _stands(r, shop, good):
    """Nothing behind the event is sent, and no position passes it."""
    check_equal((ids(r), shop.value(f"select delivered from {shop.positions}") <= len(good)), (good, True), "what was sent, and the position")


def _goes_on(r, shop, good):
    wait_ids(lambda: ids(r), good)
    each_once(ids(r), good)
    check_equal(shop.value(f"select count(*) from {shop.positions.replace('positions', 'dead_letters')}"), 1, "dead letters")
    return alive(r)


@fault
def letter_not_kept(d):
    shop = PostgresShop()
    path = config(d, pipeline(shop.source(), topic="{aggregatetype}", poison="skip", attempts=1))
    check_equal(once(path).poll(), 0, "the run that makes the tables")
    shop.sql(FULL)
    good = shop.insert(3)
    shop.insert(1, topic="bad topic")
    behind = shop.insert(2)
    r = daemon(path)
    r.wait_log("(?s)no space left on device.*no space left on device")
    _stands(r, shop, good)
    shop.sql("drop trigger full_disk on commitrelay.dead_letters")
    return _goes_on(r, shop, good + behind)


@contextlib.contextmanager
def _no_room(d, r):
    """Meanwhile nothing that the relay writes into the database finds room."""
    need(STRACE)
    with open(d / "strace", "w+b") as said:
        tracer = subprocess.Popen([STRACE, "-f", "-e", "trace=pwrite64", "-e", "inject=pwrite64:error=ENOSPC", "-p", str(r.pid)], stderr=said)
        wait_for(lambda: b"attached" in (d / "strace").read_bytes(), 10, "strace to have the relay")
        yield
        tracer.terminate()
        tracer.wait()


@fault
def letter_not_kept_sqlite(d):
    shop = SqliteShop(d)
    r = daemon(config(d, pipeline(shop.source(), topic="{aggregatetype}", poison="skip", attempts=1)))
    good = shop.insert(3)
    shop.wait_saved()
    with _no_room(d, r):
        shop.insert(1, topic="bad topic")
        behind = shop.insert(2)
        r.wait_log("disk is full")
        _stands(r, shop, good)
    return _goes_on(r, shop, good + behind)


# --- 54: a batch file whose name is taken ---

@fault
def file_name_taken(d):
    """Somebody's file of the name that the next batch gets stays as it is, and the events are not lost."""
    shop = SqliteShop(d)
    path = config(d, pipeline(shop.source(), sink={"type": "file", "dir": str(d / "out"), "rotate": {"events": 3}}))
    r = daemon(path)
    r.wait_log("state running")
    taken = d / "out" / "p-00000000000000000001-00000000000000000003.jsonl"
    taken.write_text("somebody's\n")
    shop.insert(3)
    r.wait_exit(30)
    check_equal((taken.read_text(), shop.value("select delivered from commitrelay_positions")), ("somebody's\n", 0), "the file, and the position")
    taken.unlink()
    check_equal(once(path).poll(), 0, "exit code without it")
    each_once(file_ids(d / "out"), shop.ids)
    return ended(r)


# --- 55: a store that was spoilt ---

def _change(sql):
    def change(path):
        db = sqlite3.connect(path)
        with db:
            db.execute(sql)
        db.close()
    return change


def _cut(path):
    """Without what its write-ahead log still holds, and without its second half."""
    for beside in path.parent.glob(f"{path.name}-*"):
        beside.unlink()
    path.write_bytes(path.read_bytes()[:path.stat().st_size // 2])


@faults({"garbage": lambda path: path.write_bytes(b"no database" * 1000),
         "cut": _cut,
         "empty": lambda path: path.write_bytes(b""),
         "gone": lambda path: path.unlink(),
         "cursor": _change("update commitrelay_positions set cursor = 'c1 nonsense'"),
         "newer_cursor": _change("update commitrelay_positions set cursor = replace(cursor, 'c1', 'c9')"),
         "another_pipeline": _change("update commitrelay_positions set pipeline = 'q'")})
def store_spoilt(d, spoil):
    """A change stream with its position in a file. It sends nothing: the position of the slot alone could pass what was not delivered."""
    shop = StreamShop()
    path = shop.conf(d)
    shop.insert(3)
    each_once(ids(once(path)), shop.ids)
    (d / "kept").mkdir()
    for f in d.glob("store.db*"):
        shutil.copy(f, d / "kept" / f.name)
    spoil(d / "store.db")
    fresh = shop.insert(3)
    before = shop.confirmed
    r = once(path)
    check_equal((ids(r), shop.confirmed), ([], before), "what was sent, and what the server was told")
    for f in d.glob("store.db*"):
        f.unlink()
    for f in (d / "kept").iterdir():
        shutil.copy(f, d / f.name)
    each_once(ids(once(path)), fresh)
    return ended(r)
