#!/usr/bin/python3
"""Runs the bad inputs that faults.tsv lists, and fails on an item without a line, a line without a test, a test without a line.

usage: faults.py [--list] [-k TEXT] MODULE...    (config sqlite process files postgres kafka exactly_once cdc_stream cdc cdc_values poison memory letters park mask outbox stored rabbitmq amqp nats redis http; none: only the list is checked)
"""
import argparse
import collections
import faulthandler
import importlib
import os
import re
import sys
import time
import traceback
from pathlib import Path

from support import bad_input, proc, relaying

MODULES = ("config", "sqlite", "process", "files", "postgres", "kafka", "exactly_once", "cdc_stream", "cdc", "cdc_values", "poison", "memory", "letters", "park", "mask", "outbox", "stored", "rabbitmq", "amqp", "nats", "redis", "http")

LONGEST = 900  # seconds for one test: only one that hangs takes so long

# The items of the acceptance list.
ITEMS = set(range(1, 61))

Row = collections.namedtuple("Row", "item test code fragment about")


def read_rows(path):
    rows = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        fields = line.split("\t")
        if len(fields) != 5 or not all(fields) or not fields[0].isdigit() or not re.fullmatch(r"\d+|runs", fields[2]):
            sys.exit(f"{path.name}:{number}: want item, test, exit code or runs, fragment and description, separated by tabs")
        rows.append(Row(int(fields[0]), *fields[1:]))
    return rows


def load():
    """{test: module}"""
    out = {}
    for m in MODULES:
        importlib.import_module(f"faults_{m}")
        out.update({t: m for t in bad_input.registered() if t not in out})
    return out


def complaints(rows, modules):
    listed = [r.test for r in rows]
    for item in sorted(ITEMS - {r.item for r in rows}):
        yield f"item {item} has no line"
    for item in sorted({r.item for r in rows} - ITEMS):
        yield f"item {item} is not one of the list"
    for test in sorted(set(listed) - set(modules)):
        yield f"no test {test}"
    for test in sorted(set(modules) - set(listed)):
        yield f"test {test} has no line"
    for test in sorted(t for t in set(listed) if listed.count(t) > 1):
        yield f"test {test} has two lines"


def judge(row, saw):
    """What is wrong, or None."""
    if str(saw.code) != row.code:
        return f"exit code {saw.code}, want {row.code}\n{saw.text[-1500:]}"
    if row.fragment not in saw.text:
        return f"nowhere said: {row.fragment}\n{saw.text[-1500:]}"
    return None


def run_one(row):
    faulthandler.dump_traceback_later(LONGEST, exit=True)  # a test that hangs says where
    bad_input.expect(row.fragment)
    try:
        return judge(row, bad_input.registered()[row.test](proc.tempdir("fault")))
    except proc.Failed as e:
        return f"{proc.tails()}\n{e}"
    except Exception:  # pylint: disable=broad-except; the others shall still run
        return f"{proc.tails()}\n{traceback.format_exc()}"
    finally:
        faulthandler.cancel_dump_traceback_later()
        relaying.clean_up()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--list", action="store_true", help="show the lines, run nothing")
    p.add_argument("-k", metavar="TEXT", default="", help="only tests whose name holds TEXT")
    p.add_argument("modules", nargs="*", choices=[*MODULES, []], metavar="MODULE")
    args = p.parse_args()
    os.umask(0o022)
    rows = read_rows(Path(__file__).with_name("faults.tsv"))
    modules = load()
    wrong = list(complaints(rows, modules))
    for w in wrong:
        print(f"faults.tsv: {w}")
    passed = failed = left_out = 0
    for row in rows:
        if row.test not in modules or modules[row.test] not in args.modules or args.k not in row.test:
            continue
        if args.list:
            print(*row, sep="\t")
            continue
        if os.getuid() != 0 and row.test in bad_input.NEEDS_ROOT:
            left_out += 1
            print(f"root   {row.item:2} {row.test} ({row.about}): needs root, left out", flush=True)
            continue
        start = time.monotonic()
        bad = run_one(row)
        verdict = "FAILED" if bad else "ok"
        print(f"{verdict:6} {row.item:2} {row.test} ({row.about}), {time.monotonic() - start:.1f} s", flush=True)
        if bad:
            print("       " + bad.rstrip().replace("\n", "\n       "), flush=True)
        passed, failed = passed + (not bad), failed + bool(bad)
    print(f"faults: {passed} passed, {failed} failed, " + (f"{left_out} left out for want of root, " if left_out else "")
          + f"{len(rows)} lines for {len(ITEMS)} items"
          + (f", {len(wrong)} faults of the list" if wrong else ""))
    return 1 if failed or wrong else 0


if __name__ == "__main__":
    sys.exit(main())
