"""What the relay keeps for itself, and cannot: dead letters, a batch file whose name is taken, a store that was spoilt."""
import shutil
import sqlite3

from support.arrivals import each_once, file_ids, ids, wait_ids
from support.bad_input import alive, ended, fault, faults
from support.proc import check_equal
from support.relaying import config, daemon, once, pipeline
from support.shop import PostgresShop, SqliteShop, StreamShop

# --- 48: a dead letter that cannot be kept ---

FULL = """create function full_disk() returns trigger language plpgsql as
          $$ begin raise exception 'no space left on device' using errcode = '53100'; end $$;
          create trigger full_disk before insert on commitrelay.dead_letters for each row execute function full_disk()"""
FULL_SQLITE = """create trigger full_disk before insert on commitrelay_dead_letters begin select raise(abort, 'no space left on device'); end"""


@faults({"sqlite": (SqliteShop, FULL_SQLITE, "drop trigger full_disk"),
         "postgres": (PostgresShop, FULL, "drop trigger full_disk on commitrelay.dead_letters")})
def letter_not_kept(d, how):
    """Nothing behind the event is sent and no position passes it, until the dead letter can be kept."""
    kind, fill, room = how
    shop = SqliteShop(d) if kind is SqliteShop else PostgresShop()
    path = config(d, pipeline(shop.source(), topic="{aggregatetype}", poison="skip", attempts=1))
    check_equal(once(path).poll(), 0, "the run that makes the tables")
    (shop.script if kind is SqliteShop else shop.sql)(fill)
    good = shop.insert(3)
    shop.insert(1, topic="bad topic")
    r = daemon(path)
    wait_ids(lambda: ids(r), good)
    r.wait_log("no space left on device")
    behind = shop.insert(2)
    before = shop.value(f"select delivered from {shop.positions}")
    r.wait_log("(?s)no space left on device.*no space left on device")
    check_equal((ids(r), shop.value(f"select delivered from {shop.positions}")), (good, before), "what was sent, and the position")
    (shop.script if kind is SqliteShop else shop.sql)(room)
    wait_ids(lambda: ids(r), good + behind)
    each_once(ids(r), good + behind)
    check_equal(shop.value(f"select count(*) from {shop.positions.replace('positions', 'dead_letters')}"), 1, "dead letters")
    return alive(r)


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
