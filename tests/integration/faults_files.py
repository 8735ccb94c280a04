"""What a disk can do to batch files: full, read-only, failing, taken away; and a directory that must not be written to."""
import json
import os
import shutil
import sqlite3
import subprocess

from support import proc
from support.arrivals import each_once, file_ids, wait_ids
from support.bad_input import alive, ended, fault, faults, looked, needs_root
from support.disk import Disk
from support.proc import check, check_equal, wait_for
from support.relaying import (NOBODY, PRLIMIT, QUICK, STRACE, admin, as_nobody, config, daemon, give_to_nobody, need, not_ready, once,
                              pipeline, start)
from support.shop import SqliteShop


def _pipeline(d, shop, directory=None, **sink):
    return pipeline(shop.source(), sink={"type": "file", "dir": str(directory or d / "out"), "rotate": {"interval": "50ms", "events": 100}, **sink})


def _visible(directory):
    return sorted(p.name for p in directory.iterdir() if not p.name.startswith("."))


# --- 52: no room, no writing ---

@fault
def disk_full(d):
    """It waits and says so, leaves nothing half-written to be seen, and goes on when there is room."""
    shop, address = SqliteShop(d), admin()
    with Disk(d / "disk", "size=64k") as disk:
        out = disk.seen / "out"
        r = daemon(config(d, _pipeline(d, shop, disk.path / "out", reserve="0B"), admin={"listen": address}), before=disk.before)
        shop.insert(3)
        wait_ids(lambda: file_ids(out), shop.ids)
        few = list(shop.ids)
        shop.insert(300, payload="x" * 1000)
        r.wait_log("disk full")
        not_ready(address)
        check(len(file_ids(out)) < len(shop.ids), "not all can be there")
        check_equal(file_ids(out)[:3], few, "what was there")
        check(all(n.endswith((".jsonl", ".json")) for n in _visible(out)), f"only complete files are seen: {_visible(out)}")
        disk.remount("size=16m")
        wait_ids(lambda: file_ids(out), shop.ids)
        saw = alive(r)
        each_once(file_ids(out), shop.ids)
        check_equal(list(out.rglob(".tmp-*")), [], "temporary files")
    return saw


@fault
def disk_quota(d):
    """The quota of the relay's user is used up: no file can be made in the folder, which is what a full disk is."""
    need(STRACE)
    shop, out = SqliteShop(d), d / "out"
    r = daemon(config(d, _pipeline(d, shop, out, reserve="0B")))
    shop.insert(3)
    wait_ids(lambda: file_ids(out), shop.ids)
    few = list(shop.ids)
    with open(d / "strace", "w+b") as said:
        tracer = subprocess.Popen([STRACE, "-f", "-P", out, "-e", "trace=openat", "-e", "inject=openat:error=EDQUOT", "-p", str(r.pid)], stderr=said)
        wait_for(lambda: b"attached" in (d / "strace").read_bytes(), 10, "strace to have the relay")
        shop.insert(3)
        r.wait_log("disk full.*quota")
        check_equal(file_ids(out), few, "what was there")
        tracer.terminate()
        tracer.wait()
    wait_ids(lambda: file_ids(out), shop.ids)
    saw = alive(r)
    each_once(file_ids(out), shop.ids)
    return saw


@fault
def disk_full_until_idle(d):
    """With --until-idle it ends after half a minute without progress."""
    shop = SqliteShop(d)
    shop.insert(300, payload="x" * 1000)
    with Disk(d / "disk", "size=64k") as disk:
        path = config(d, _pipeline(d, shop, disk.path / "out", reserve="0B"))
        r = start(["run", "-c", path, "--until-idle"], before=disk.before)
        r.wait_log("disk full")
        r.wait_exit(45)
        disk.remount("size=16m")
        check_equal(once(path, before=disk.before).poll(), 0, "exit code with room")
        each_once(file_ids(disk.seen / "out"), shop.ids)
    return ended(r)


@fault
def disk_nearly_full(d):
    """It completes what is open, waits before the disk is full and says so, and goes on when files were taken away."""
    shop, address = SqliteShop(d), admin()
    with Disk(d / "disk", "size=8m") as disk:
        out = disk.seen / "out"
        r = daemon(config(d, _pipeline(d, shop, disk.path / "out", reserve="4MiB"), admin={"listen": address}), before=disk.before)
        for _ in range(80):
            shop.insert(100, payload="x" * 1000)
        r.wait_log("disk nearly full: 3.* MiB are free")
        not_ready(address)
        check(os.statvfs(out).f_bavail * os.statvfs(out).f_frsize > 2 << 20, "there is room left")
        check("disk full" not in r.log, "the disk was never full")
        got = []
        while len(got) < len(shop.ids):  # as a partner who takes them
            proc.wait_for(lambda: _visible(out), 60, "more files")
            for name in _visible(out):
                if not name.endswith(".json"):
                    got += file_ids(out, name)
                    (out / name).unlink()
        each_once(got, shop.ids)
        check_equal(list(out.rglob(".tmp-*")), [], "temporary files")
        return alive(r)


@fault
def file_size_limit(d):
    """A quota per file (EFBIG, and a signal that would kill): the batch cannot be written, the process lives."""
    shop = SqliteShop(d, wal=False)
    rests = {"retry": {"initial": "1h", "max": "1h"}}  # it gives up at the third failure: only this test says when it tries again
    path = config(d, {**_pipeline(d, shop), "delivery": {**QUICK, **rests}})
    r = daemon(path, before=[PRLIMIT, "--fsize=1000000:unlimited", proc.BIN])
    shop.insert(3)
    wait_ids(lambda: file_ids(d / "out"), shop.ids)
    shop.insert(1, payload="x" * 2_000_000)
    r.wait_log("File too large")
    check(r.running, "it lives")
    subprocess.run([PRLIMIT, f"--pid={r.pid}", "--fsize=unlimited"], check=True)
    proc.run(["resume", "-c", path, "--pipeline", "p"])
    wait_ids(lambda: file_ids(d / "out"), shop.ids)
    saw = alive(r)
    each_once(file_ids(d / "out"), shop.ids)
    return saw


@fault
def disk_read_only_at_start(d):
    shop = SqliteShop(d)
    shop.insert(3)
    with Disk(d / "disk", "size=4m") as disk:
        (disk.seen / "out").mkdir()
        disk.remount("ro")
        return ended(once(config(d, _pipeline(d, shop, disk.path / "out")), before=disk.before))


# --- 53: errors of the disk and the directory ---

def _traced(path, inject):
    need(STRACE)
    return start(["run", "-c", path, "--until-idle"], before=[STRACE, "-f", "-qq", "-o", "/dev/null", "-e", inject, proc.BIN])


def _make_folder(d):
    """Another pipeline makes the directory and what is private in it, so that the next fsync is a batch's."""
    once(config(d, {**_pipeline(d, SqliteShop(d, "other.db")), "name": "q"}))


@fault
def fsync_fails_once(d):
    """What an fsync failed on is not trusted: the batch is written again, into a new file."""
    shop = SqliteShop(d)
    shop.insert(5)
    _make_folder(d)
    path = config(d, _pipeline(d, shop))
    r = _traced(path, "inject=fsync:error=EIO:when=3")
    r.wait_exit(30)
    each_once(file_ids(d / "out"), shop.ids)
    return ended(r)


@fault
def fsync_fails(d):
    """A disk that fails for good: nothing is taken for delivered."""
    shop = SqliteShop(d)
    shop.insert(5)
    _make_folder(d)
    path = config(d, _pipeline(d, shop))
    r = _traced(path, "inject=fsync:error=EIO:when=3+")
    r.wait_exit(45)
    check_equal(file_ids(d / "out"), [], "what was given out")
    check_equal(shop.value("select delivered from commitrelay_positions"), 0, "delivered")
    check_equal(once(path).poll(), 0, "exit code on a good disk")
    each_once(file_ids(d / "out"), shop.ids)
    return ended(r)


@fault
def rename_fails(d):
    """A rename refused by the file system (a directory tree across devices)."""
    shop = SqliteShop(d)
    shop.insert(5)
    path = config(d, _pipeline(d, shop))
    r = _traced(path, "inject=renameat2:error=EXDEV:when=1")
    r.wait_exit(30)
    if r.poll() != 0:
        check_equal(once(path).poll(), 0, "exit code on the next start")
    each_once(file_ids(d / "out"), shop.ids)
    return ended(r)


@fault
def directory_removed(d):
    shop = SqliteShop(d)
    path = config(d, _pipeline(d, shop))
    r = daemon(path)
    shop.insert(3)
    shop.wait_saved()
    before = shop.cursor
    shutil.move(d / "out", d / "away")
    shop.insert(3)
    r.wait_exit(20)
    check_equal(shop.cursor, before, "the position")
    shutil.move(d / "away", d / "out")
    check_equal(once(path).poll(), 0, "exit code with the directory back")
    each_once(file_ids(d / "out"), shop.ids)
    return ended(r)


@faults({"no_parent": lambda out: None,
         "a_file": lambda out: (out.parent.mkdir(), out.write_text("")),
         "a_link": lambda out: (out.parent.mkdir(), out.symlink_to("/tmp")),
         "open_to_all": lambda out: (out.mkdir(parents=True), out.chmod(0o777))})
def directory(d, make):
    out = d / "a" / "out"
    make(out)
    shop = SqliteShop(d)
    shop.insert(1)
    r = once(config(d, _pipeline(d, shop, out)))
    check_equal(shop.value("select coalesce(max(delivered), 0) from commitrelay_positions"), 0, "delivered")
    return ended(r)


def _for_nobody(d):
    """An outbox that the relay may use as a user without rights, and an output directory that this user may not write to."""
    d.chmod(0o777)
    shop = SqliteShop(d, wal=False)
    shop.insert(1)
    os.chmod(shop.path, 0o666)
    (d / "out").mkdir(mode=0o555)
    return shop


@fault
def directory_not_writable(d):
    return ended(once(config(d, _pipeline(d, _for_nobody(d))), before=as_nobody(d)))


@fault
def directory_loses_rights(d):
    """Its rights are taken away while it runs: it waits for the operator."""
    shop, address = _for_nobody(d), admin()
    give_to_nobody(d / "out")
    (d / "out").chmod(0o755)
    r = daemon(config(d, _pipeline(d, shop), admin={"listen": address}), before=as_nobody(d))
    wait_ids(lambda: file_ids(d / "out"), shop.ids)
    (d / "out").chmod(0o555)
    shop.insert(3)
    r.wait_log("state blocked")
    not_ready(address)
    (d / "out").chmod(0o755)
    wait_ids(lambda: file_ids(d / "out"), shop.ids)
    saw = alive(r)
    each_once(file_ids(d / "out"), shop.ids)
    return saw


# --- 6: what others could write to ---

def _private(out, **how):
    out.mkdir()
    (out / ".commitrelay").mkdir(**how)


def _plant(place, d):
    """Makes a hard link in this place; returns its other name."""
    victim = d / "victim"
    victim.write_text("precious")
    os.link(victim, place)
    return victim


def _of_nobody(path):
    os.chown(path, NOBODY, NOBODY)


needs_root("folder_refused:other_owner", "folder_refused:private_not_ours", "folder_of:group", "folder_of:own")


def _other_owner(out):
    out.mkdir()
    _of_nobody(out)


@faults({"other_owner": _other_owner,
         "private_is_link": lambda out: (out.mkdir(), (out.parent / "else").mkdir(), (out / ".commitrelay").symlink_to("../else")),
         "private_is_file": lambda out: (out.mkdir(), (out / ".commitrelay").write_text("")),
         "private_not_ours": lambda out: (_private(out), _of_nobody(out / ".commitrelay")),
         "private_open": lambda out: (_private(out), (out / ".commitrelay").chmod(0o770))})
def folder_refused(d, make):
    """`run` and `check --connect` refuse it with the same words, and nothing is written."""
    make(d / "out")
    shop = SqliteShop(d)
    shop.insert(1)
    path = config(d, _pipeline(d, shop))
    r = once(path)
    check_equal(looked(path).code, r.poll(), "exit code of check")
    check_equal(list(d.rglob("p-*")), [], "batch files")
    return ended(r)


@faults({"group": (0, 0o2770), "own": (NOBODY, 0o750)})
def folder_of(d, how):
    """A folder of another owner whose group the relay is in (a fsGroup volume, a setgid folder), and one of its own."""
    owner, mode = how
    shop = _for_nobody(d)
    os.chown(d / "out", owner, NOBODY)
    (d / "out").chmod(mode)
    r = once(config(d, _pipeline(d, shop)), before=as_nobody(d))
    each_once(file_ids(d / "out"), shop.ids)
    return ended(r)


@fault
def lock_file_planted(d):
    """A hard link in the place of the lock file beside the database: its other name keeps its content."""
    shop = SqliteShop(d)
    shop.insert(1)
    victim = _plant(f"{shop.path}-commitrelay-p.lock", d)
    r = once(config(d, _pipeline(d, shop)))
    check_equal(victim.read_text(), "precious", "the other name's content")
    return ended(r)


FIRST, LAST = f"{1:020}", f"{5:020}"
PLACES = {"temporary": f".tmp-p-{FIRST}-0123456789abcdef", "temporary_manifest": f".tmp-p-{FIRST}-0123456789abcdef.manifest",
          "manifest": f"p-{FIRST}-{LAST}.jsonl.manifest.json", "batch": f"p-{FIRST}-{LAST}.jsonl", "owner": ".commitrelay/p.owner",
          "new_owner": ".commitrelay/p.owner.new", "intent": ".commitrelay/p.intent", "new_intent": ".commitrelay/p.intent.new",
          "done": ".commitrelay/p.done"}


@faults(PLACES)
def planted_in_folder(d, place):
    """A hard link in the place of a file of ours: its other name keeps its content, whether the relay goes on or refuses."""
    shop = SqliteShop(d)
    shop.insert(5)
    path = config(d, _pipeline(d, shop))
    _private(d / "out", mode=0o700)
    victim = _plant(d / "out" / place, d)
    r = once(path)
    check_equal(victim.read_text(), "precious", "the other name's content")
    if r.poll() == 0:
        each_once(file_ids(d / "out"), shop.ids)
    else:
        check_equal(shop.value("select coalesce(max(delivered), 0) from commitrelay_positions"), 0, "delivered")
    return ended(r)


@faults({"temporary_manifest": "{}.manifest", "manifest": PLACES["manifest"], "batch": PLACES["batch"], "new_intent": PLACES["new_intent"]})
def planted_beside_a_batch(d, place):
    """The same while a batch is open, whose temporary name is known to who may list the folder."""
    shop = SqliteShop(d)
    r = daemon(config(d, _pipeline(d, shop, rotate={"interval": "1h", "events": 5})))
    shop.insert(4)
    (temporary,) = wait_for(lambda: list((d / "out").glob(".tmp-*")), 20, "a batch to be open")
    victim = _plant(d / "out" / place.format(temporary.name), d)
    shop.insert(1)
    if place == PLACES["batch"]:
        r.wait_exit(20)
        check_equal(shop.value("select coalesce(max(delivered), 0) from commitrelay_positions"), 0, "delivered")
    else:
        wait_ids(lambda: file_ids(d / "out"), shop.ids)
        alive(r)
    check_equal(victim.read_text(), "precious", "the other name's content")
    return ended(r)


# --- 59: what contradicts itself, and a folder of two databases ---

def _set(shop, what):
    db = sqlite3.connect(shop.path, timeout=30)
    with db:
        db.execute(f"update commitrelay_positions set {what}")
    db.close()


def _odd_intent(shop, out, make):
    make(out / ".commitrelay/p.intent")


@faults({"cursor_lost": lambda shop, out: _set(shop, "cursor = ''"),
         "number_below_zero": lambda shop, out: _set(shop, "delivered = -1"),
         "numbers_went_back": lambda shop, out: _set(shop, "delivered = 3"),
         "store_emptied": lambda shop, out: _set(shop, "cursor = '', delivered = 0"),
         "intent_is_directory": lambda shop, out: _odd_intent(shop, out, lambda p: p.mkdir()),
         "intent_is_fifo": lambda shop, out: _odd_intent(shop, out, os.mkfifo)})
def contradiction(d, spoil):
    """Stored cursor, delivery number, intent and files cannot all be true: nothing is sent, nothing is stored."""
    shop = SqliteShop(d)
    shop.insert(5)
    path = config(d, _pipeline(d, shop))
    check_equal(once(path).poll(), 0, "exit code before")
    once(path)  # settles the intent of the first run
    spoil(shop, d / "out")
    before = shop.cursor
    r = once(path)
    check_equal(shop.cursor, before, "what is stored")
    each_once(file_ids(d / "out"), shop.ids)
    return ended(r)


@fault
def contradiction_mended(d):
    """The way out of a lost cursor that the text names."""
    shop = SqliteShop(d)
    shop.insert(5)
    path = config(d, _pipeline(d, shop))
    once(path)
    _set(shop, "cursor = ''")
    proc.run(["position", "set", "5", "-c", path, "--pipeline", "p", "--yes"])
    shop.insert(2)
    r = once(path)
    each_once(file_ids(d / "out"), shop.ids)
    return ended(r)


@fault
def folder_of_another_database(d):
    """Two databases with a pipeline of one name: the second keeps away from the files of the first, which goes on undisturbed."""
    shop, other, both = SqliteShop(d), SqliteShop(d, "other.db"), d / "both"
    r = daemon(config(d, _pipeline(d, shop, both)))
    shop.insert(3)
    wait_ids(lambda: file_ids(both), shop.ids)
    other.insert(3)
    (d / "2").mkdir()
    second = once(config(d / "2", _pipeline(d, other, both)))
    shop.insert(3)
    wait_ids(lambda: file_ids(both), shop.ids)
    alive(r)
    each_once(file_ids(both), shop.ids)
    return ended(second)


# --- 51: sizes ---

@fault
def many_headers(d):
    """A thousand members of the headers column, a key of 64 KB: carried as they are."""
    shop = SqliteShop(d)
    shop.insert(1)
    headers = {f"h{i}": f"v{i}" for i in range(1200)}
    db = sqlite3.connect(shop.path)
    with db:
        db.execute("insert into outbox (id, aggregatetype, aggregateid, type, payload, headers) values ('many', 'order', ?, 'T', '{}', ?)",
                   ("k" * 65536, json.dumps(headers)))
    db.close()
    r = once(config(d, _pipeline(d, shop)))
    rows = [json.loads(x) for f in sorted((d / "out").glob("*.jsonl")) for x in f.read_text().splitlines()]
    check_equal([(e["id"], e["headers"], len(e["key"])) for e in rows[1:]], [("many", headers, 65536)], "the event")
    return ended(r)
