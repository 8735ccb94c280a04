#!/usr/bin/python3
"""Batch files by the clock: a missed time is made up once with all that was committed, an empty one says so, nothing is sent in between.

A time of day cannot be waited for, so what is kept of the last time that was served is set back while the relay is down.
"""
import json
import time
from pathlib import Path

from support.arrivals import MANIFEST, file_ids
from support.proc import check, check_equal, run, tempdir, wait_for
from support.relaying import clean_up, config, daemon, pipeline
from support.shop import SqliteShop

YEAR = 365 * 24 * 3600


def _files(out):
    return sorted(p.name for p in out.glob("p-*.jsonl"))


def _name(first, last):
    return f"p-{first:020}-{last:020}.jsonl"


def _missed(out):
    """As if the relay had been down for a year."""
    (out / ".commitrelay/p.schedule").write_text(str(int(time.time()) - YEAR))
    (out / ".commitrelay/p.done").unlink(missing_ok=True)
    (out / ".commitrelay/p.last").unlink(missing_ok=True)


def main():
    d = tempdir("schedule")
    shop, out = SqliteShop(d), Path(d) / "out"
    path = config(d, pipeline(shop.source(), sink={
        "type": "file", "dir": str(out), "schedule": "0 0 1 1 *", "timezone": "Europe/Berlin", "emit_empty": True}))
    shop.insert(300)
    r = daemon(path)
    r.wait_log("state running")
    wait_for(lambda: json.loads(run(["status", "-c", path, "--json"]).stdout)["pipelines"][0]["pending_events"] == 300, 30, "all to be taken")
    check_equal(_files(out), [], "files before the time")
    r.stop()  # completes what is open
    check_equal(_files(out), [_name(1, 300)], "files after a stop")
    check_equal(file_ids(out), shop.ids, "what they hold")

    _missed(out)
    shop.insert(700)
    r = daemon(path)
    wait_for(lambda: len(_files(out)) == 2, 30, "the missed time to be made up")
    check_equal(_files(out), [_name(1, 300), _name(301, 1000)], "one file with all that was committed")
    shop.insert(5)
    wait_for(lambda: json.loads(run(["status", "-c", path, "--json"]).stdout)["pipelines"][0]["pending_events"] == 5, 30, "the rest to be taken")
    check_equal(len(_files(out)), 2, "files: the next time is far away")
    r.stop()
    check_equal(_files(out)[2:], [_name(1001, 1005)], "the rest, at the stop")

    _missed(out)
    r = daemon(path)
    empty = out / _name(1006, 1005)
    wait_for(lambda: empty.exists(), 30, "the empty file")
    check_equal((empty.read_bytes(), json.loads(Path(f"{empty}{MANIFEST}").read_text())["events"]), (b"", 0), "what it holds")
    r.stop()
    check_equal(len(_files(out)), 4, "files")
    r = daemon(path)
    r.wait_log("state running")
    r.stop()
    check_equal(len(_files(out)), 4, "files: the time was served")
    clean_up()
    print("ok")


main()
