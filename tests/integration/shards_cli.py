#!/usr/bin/python3
"""A pipeline that is divided into shards, for who operates it: commands go through all shards, and what does not go with shards is refused."""
import contextlib
import json

from support.arrivals import ids, wait_ids
from support.proc import NO_LEASE, check, check_equal, run, tempdir, wait_for
from support.relaying import config, daemon, pipeline
from support.shop import PostgresShop

SHARDS = 3
KEYS = [f"k{i}" for i in range(12)]  # each shard has some of them

d = tempdir("shards")
shop = PostgresShop()


def configure(name="relay.yaml", route=None, sink=None, **source):
    """A file of its own directory, since the name of the file is always the same."""
    return config(tempdir(name), pipeline(shop.source(**{"shards": SHARDS, **source}), sink, topic="{aggregatetype}",
                                          route={"allow_topics": ["order"], **(route or {})}, poison="skip", attempts=1),
                  store={"lease": NO_LEASE})


path = configure()


def on(*words, code=0, file=path):
    verbs = 2 if words[0] in ("position", "dead-letters") else 1
    return run([*words[:verbs], "-c", file, *words[verbs:]], code=code, timeout=90)


def objects(text):
    """JSON objects, one after the other."""
    out, text = [], text.strip()
    while text:
        one, end = json.JSONDecoder().raw_decode(text)
        out.append(one)
        text = text[end:].strip()
    return out


def letters(*words):
    """The part and the number of each."""
    return {e["id"]: o["part"] for o in objects(on("dead-letters", "list", "--json", *words).stdout) for e in o["dead_letters"]}


def refused(what, *texts, words=("check",), code=78, **changes):
    r = on(*words, code=code, file=configure(**changes))
    said = r.stdout + r.log
    check(all(t in said for t in texts), f"{what}: {texts} in\n{said}")


def what_does_not_go_with_shards():
    refused("a key of another column", "source.shards", "route.key", "shard_by", route={"key": "{type}"})
    refused("a sink with a place of its own", "source.shards", "sink file", sink={"type": "file", "dir": str(d / "files")})
    refused("another start", "start_from", "shards", start_from="now")
    refused("too many", "shards", "16", shards=17)
    refused("no such column", "source.shard_by", words=("check", "--connect"), shard_by="nobody", route={"key": "{nobody}"})
    for command in (("replay", "--from-time", "1h", "--dry-run"), ("verify",)):
        refused(command[0], "divided into shards", f"`{command[0]}`", words=command)


def dead_letters_of_all_shards():
    for k in KEYS:
        shop.insert(key=k)
        shop.insert(key=k, topic="nowhere")
    delivered = on("run", "--until-idle")
    check_equal(len(ids(delivered)), len(KEYS), "delivered beside the dead letters")
    found = letters()
    check_equal(len(found), len(KEYS), "dead letters")
    check_equal(set(found.values()), {f"{k}/{SHARDS}" for k in range(SHARDS)}, "parts that have some")
    one, other, last = ([n for n, part in found.items() if part == f"{k}/{SHARDS}"][0] for k in range(SHARDS))
    on("dead-letters", "show", "999999", code=64)
    on("dead-letters", "retry", str(one), "999999", "--yes", code=64)
    for n in (one, other):
        on("dead-letters", "edit", str(n), "--topic", "order")
    sent = on("dead-letters", "retry", str(one), str(other), "--yes")
    check_equal(len(ids_of_retry(sent)), 2, f"sent again\n{sent.stdout}")
    check_equal(set(letters()), set(found) - {one, other}, "open ones after two were sent again")
    on("dead-letters", "drop", str(last), "--yes")
    on("dead-letters", "retry", "--all", "--yes", code=75)
    on("dead-letters", "drop", "--all", "--yes")
    check_equal(letters(), {}, "open ones after all were dropped")


def ids_of_retry(relay):
    return [line for line in relay.stdout.splitlines() if "retried at" in line]


def positions_of_all_shards():
    shown = objects(on("position", "show", "--json").stdout)
    check_equal([o["part"] for o in shown], [f"{k}/{SHARDS}" for k in range(SHARDS)], "parts of `position show`")
    check(all(o["position"] for o in shown), f"positions of all shards: {shown}")
    on("position", "set", "beginning", "--yes")
    check_equal(len(ids(on("run", "--until-idle"))), len(KEYS), "sent again from the beginning")


def pauses_of_all_shards():
    relay = daemon(path)

    def states():
        rows = json.loads(on("status", "--json", code=None).stdout)["pipelines"]
        return {r["part"]: r["state"] for r in rows}

    def all_are(state):
        return states() == {f"{k}/{SHARDS}": state for k in range(SHARDS)}
    wait_for(lambda: all_are("running"), 30, "all shards to run")
    on("pause")
    wait_for(lambda: all_are("paused"), 30, "all shards to be paused")
    on("resume")
    wait_for(lambda: all_are("running"), 30, "all shards to run again")
    check_equal(relay.stop(), 0, "exit code")


def lock_key(part):
    """Of the advisory lock: FNV-1a."""
    h = 0xcbf29ce484222325
    for byte in f"commitrelay/p/{part}".encode():
        h = (h ^ byte) * 0x100000001b3 % 2**64
    return h - 2**64 if h >= 2**63 else h


def prune_keeps_what_a_shard_has_not_sent():
    """Somebody holds the lock of shard 1, so it runs nowhere, and its rows stay."""
    with contextlib.closing(shop.connect()) as c:
        c.autocommit = True
        c.cursor().execute("select pg_advisory_lock(%s)", [lock_key(f"1/{SHARDS}")])
        relay = daemon(path)
        fresh = [i for k in KEYS for i in shop.insert(key=k)]
        kept = {r[0] for r in shop.sql("select id::text from outbox where id::text = any(%s) and "
                                       f"(hashtextextended(aggregateid, 0) & 2147483647) %% {SHARDS} = 1", fresh)}
        check(0 < len(kept) < len(fresh), f"{len(kept)} of {len(fresh)} rows are in shard 1")
        wait_ids(lambda: ids(relay), set(fresh) - kept)

        def left():
            on("prune", "--older-than", "0s")
            return {r[0] for r in shop.sql("select id::text from outbox")}
        wait_for(lambda: left() <= kept, 60, "the rows of the other shards to be removed")
        check_equal(left(), kept, "rows that are left")
    wait_ids(lambda: ids(relay), fresh)
    check_equal(relay.stop(), 0, "exit code")


def another_number_of_shards():
    for other in (SHARDS + 1, 1):
        refused(f"{other} shards", f"divided into {SHARDS} shards", "cannot change the number", words=("run", "--until-idle"), code=69, shards=other)
    refused("another column", "divided by column aggregateid", "set it back", words=("run", "--until-idle"), code=69, shard_by="type", route={"key": "{type}"})


what_does_not_go_with_shards()
dead_letters_of_all_shards()
on("check", "--connect")
positions_of_all_shards()
pauses_of_all_shards()
prune_keeps_what_a_shard_has_not_sent()
another_number_of_shards()
