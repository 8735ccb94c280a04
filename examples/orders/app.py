#!/usr/bin/python3
"""A small shop: every order and the event that tells of it are written in one transaction, and some transactions roll back.

    app.py DB COUNT SECONDS      writes about COUNT transactions over about SECONDS; prints how many rolled back

The table `orders` is the application's own truth; `outbox` is what the relay reads. Nothing here knows of the relay.
"""
import json
import random
import sqlite3
import sys
import time
import uuid

DB, COUNT, SECONDS = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
CUSTOMERS = 25


class ChangedMind(Exception):
    """The customer cancels while the order is being written: the transaction rolls back, the event with it."""


def place_order(db, rng):
    customer = rng.randrange(CUSTOMERS)
    with db:  # one transaction: BEGIN ... COMMIT, or ROLLBACK on an exception
        db.execute("BEGIN IMMEDIATE")
        (n,) = db.execute("SELECT coalesce(max(n), 0) + 1 FROM orders WHERE customer = ?", (customer,)).fetchone()
        event = str(uuid.UUID(int=rng.getrandbits(128), version=4))
        db.execute("INSERT INTO orders(customer, n, event_id) VALUES (?, ?, ?)", (customer, n, event))
        db.execute("INSERT INTO outbox(id, aggregatetype, aggregateid, type, payload) VALUES (?, 'order', ?, 'OrderPlaced', ?)",
                   (event, f"customer-{customer}", json.dumps({"customer": customer, "n": n, "total": round(rng.uniform(5, 500), 2)})))
        if rng.random() < 0.2:
            raise ChangedMind


db = sqlite3.connect(DB, timeout=30, isolation_level=None)
db.execute("PRAGMA journal_mode = WAL")
db.execute("CREATE TABLE IF NOT EXISTS orders(customer INT, n INT, event_id TEXT PRIMARY KEY, UNIQUE (customer, n))")
rng, rolled_back, start = random.Random(1), 0, time.monotonic()
for i in range(COUNT):
    try:
        place_order(db, rng)
    except ChangedMind:
        rolled_back += 1
    time.sleep(max(0.0, start + (i + 1) * SECONDS / COUNT - time.monotonic()))
print(rolled_back)
