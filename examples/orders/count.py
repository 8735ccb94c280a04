#!/usr/bin/python3
"""Counts what arrived, without any help of the relay: batch files, or what a server has, against the application's own orders.

    count.py DB DIR|FILE ROLLED_BACK KILLS      prints the demo's closing line; status 1 unless everything arrived in order, and in batch files once

FILE: a JSON object a line, with `id`, `key` and `payload`, in order of arrival (tools/try read).
"""
import hashlib
import json
import pathlib
import sqlite3
import sys

DB, DIR, ROLLED_BACK, KILLS = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])

truth = {e: (c, n) for e, c, n in sqlite3.connect(DB).execute("SELECT event_id, customer, n FROM orders")}
arrived, misordered, last = [], 0, {}
if DIR.is_file():
    arrived = [json.loads(line) for line in DIR.read_text().splitlines()]
for file in sorted(DIR.glob("*.jsonl")):
    manifest = json.loads((DIR / (file.name + ".manifest.json")).read_text())
    lines = file.read_bytes().splitlines()
    if manifest["sha256"] != hashlib.sha256(file.read_bytes()).hexdigest() or manifest["events"] != len(lines):
        sys.exit(f"{file.name}: its manifest does not describe it")
    arrived += [json.loads(line) for line in lines]
seen = set()
for event in arrived:
    key, n = event["key"], json.loads(event["payload"])["n"]
    if event["id"] not in seen:
        misordered += n <= last.get(key, 0)
        last[key] = n
    seen.add(event["id"])
lost, phantom, duplicates = len(truth.keys() - seen), len(seen - truth.keys()), len(arrived) - len(seen)
print(f"demo: committed {len(truth)}, rolled back {ROLLED_BACK}, kills {KILLS}, delivered {len(seen)}, "
      f"lost {lost}, phantom {phantom}, misordered {misordered}, duplicates {duplicates}")
sys.exit(bool(lost or phantom or misordered or (duplicates and DIR.is_dir()) or not truth or not KILLS))
