#!/usr/bin/python3
"""What --until-idle bears: half a minute of failures, of a pause, or of a receiver that asks for time; a row that is not yet due is none of them."""
import os
import time

from support.pg import Postgres
from support.proc import Relay, check, check_equal, run, tempdir
from support.relaying import LOADED, config, pipeline
from support.shop import SqliteShop
from support.webhook import Webhook

PATIENCE = 30  # seconds, relay/pipeline/side.c


def relay_config(pg, name, mode):
    pg.createdb(name)
    url = pg.url(name)
    run(["init", "--source", url, "--mode", mode])
    return config(tempdir(name), pipeline({"type": "outbox_postgres", "url": url, "mode": mode}, name=name, limits=LOADED))


def paused_one(pg):
    path = relay_config(pg, "paused", "position")
    with Relay(["run", "-c", path]) as r:
        r.wait_log("state running")
        run(["pause", "-c", path])
        r.wait_log("state paused")
        check_equal(r.stop(), 0, "exit code of the daemon")
    return Relay(["run", "-c", path, "--until-idle"])


def waiting_one(pg):
    """It waits for a row that is due only when the test says so."""
    path = relay_config(pg, "waiting", "status")
    pg.sql("insert into outbox (aggregatetype, aggregateid, type, payload, next_attempt_at) "
           "values ('order', 'k', 'T', '{}', now() + interval '1 day')", dbname="waiting")
    return Relay(["run", "-c", path, "--until-idle"])


def busy_one(hook):
    """Its receiver asks for a second, again and again."""
    hook.rules({"status": 429, "headers": {"Retry-After": "1"}})
    shop = SqliteShop(tempdir("busy"))
    shop.insert(1)
    sink = {"type": "http", "url": f"{hook.url}/hook"}
    return Relay(["run", "-c", config(tempdir("busy"), pipeline(shop.source(), sink, limits=LOADED)), "--until-idle"])


def main(pg, hook):
    paused, waiting, busy = paused_one(pg), waiting_one(pg), busy_one(hook)
    waiting.wait_log("state running")
    time.sleep(PATIENCE + 1)  # that nothing happens for longer than it bears failures is what is tested
    check(waiting.running, f"a relay that waits for a row ended with {waiting.poll()}")
    pg.sql("select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'commitrelay%' and datname = 'waiting'")
    waiting.wait_log("is back after")
    paused.wait_exit(30)
    check_equal(paused.poll(), 75, "exit code of a relay whose pipeline is paused")
    paused.wait_log("`resume` it first")
    busy.wait_exit(60)
    check_equal(busy.poll(), 75, "exit code of a relay whose receiver asks for time")
    busy.wait_log("it takes nothing, and the relay was to end when all is delivered: .* status 429")
    pg.sql("update outbox set next_attempt_at = now()", dbname="waiting")
    waiting.wait_exit(60)
    check_equal(waiting.poll(), 0, "exit code of a relay whose connection was lost once")
    check_equal(waiting.stdout.count("\n"), 1, "rows that came")


os.environ.pop("COMMITRELAY_FAULT", None)
with Postgres() as server:
    main(server, Webhook().start())
