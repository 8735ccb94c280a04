#!/usr/bin/python3
"""An event that can never be delivered, under poison: stop: nothing behind it is sent; mended and resumed it comes, with all others."""
from support.arrivals import ids
from support.proc import Relay, check_equal, run, tempdir, wait_for
from support.relaying import config, pipeline
from support.shop import SqliteShop


def blocked(mode, mend, comes):
    """mend: the SQL for the event that blocks, which comes afterwards or does not."""
    d = tempdir("poison")
    shop = SqliteShop(d)
    (first,), (bad,), (last,) = shop.insert(), shop.insert(topic="no topic"), shop.insert()
    path = config(d, pipeline(shop.source(mode=mode), topic="{aggregatetype}"))
    relay = Relay(["run", "-c", path])
    relay.wait_log(f"state blocked: event {bad}")
    wait_for(lambda: ids(relay), 10, "what came before the event that blocks")
    check_equal(ids(relay), [first], "what came before the event that blocks")
    run(["resume", "-c", path])
    relay.wait_log("(?s)resumed.*can never be delivered")
    check_equal(ids(relay), [first], "what came after a resume that mended nothing")
    shop.script(f"{mend} where id = '{bad}'")
    run(["resume", "-c", path])
    want = [first, bad, last] if comes else [first, last]
    wait_for(lambda: ids(relay) == want, 10, f"{want} to come; {ids(relay)} came")
    check_equal(relay.stop(), 0, "exit code")


for how in ("position", "delete"):
    blocked(how, "update outbox set aggregatetype = 'order'", True)
    blocked(how, "delete from outbox", False)
