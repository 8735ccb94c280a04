#!/usr/bin/python3
"""A rolling restart, as the Deployment of deploy/kubernetes does it, with processes: two relays, then one more that is ready before an old one is stopped.

Under load nothing is lost, each key keeps its order, and at each moment but those of a change of hands one relay works. It prints how long those are.
"""
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from deploy.kustomize import build  # noqa: E402
from support import proc  # noqa: E402
from support.proc import check, check_equal, wait_for  # noqa: E402
from support.relaying import admin, config, daemon, page, pipeline  # noqa: E402
from support.shop import PostgresShop  # noqa: E402
from support.webhook import Webhook  # noqa: E402

GRACE = build(proc.ROOT / "deploy/kubernetes/base")[("Deployment", "commitrelay")]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
shop, hook = PostgresShop(), Webhook().start()


class Pod:
    def __init__(self):
        self.dir, self.address = proc.tempdir("pod"), admin()
        self.relay = daemon(config(self.dir, pipeline(shop.source(), {"type": "http", "url": f"{hook.url}/"}, drain_timeout="10s"),
                                   store={"url": shop.url()}, admin={"listen": self.address}))

    def state(self):
        return page(self.address, "readyz")[1].split()[1].rstrip(":")

    def ready(self):
        return page(self.address, "readyz")[0] == 200


def new():
    """The Deployment waits for the readiness probe before it stops an old pod."""
    pod = Pod()
    wait_for(pod.ready, 20, "the new relay to be ready")
    return pod


def replaced(old, others):
    """Stops a pod; gives the time from SIGTERM to its end, and to another one's work."""
    worked, begun = old.state() == "running", time.monotonic()
    check_equal(old.relay.stop(GRACE), 0, f"exit code of the old relay: {old.relay.log}")
    ended = time.monotonic()
    wait_for(lambda: any(p.state() == "running" for p in others), 20, "another relay to work")
    return worked, ended - begun, time.monotonic() - begun


pods = [new()]
wait_for(lambda: pods[0].state() == "running", 20, "the first relay to work")
pods.append(new())
check_equal(pods[1].state(), "waiting", "the second relay")
took = []
with shop.inserting():
    wait_for(lambda: hook.count() > 50, 20, "events to flow")
    for old in list(pods):
        pods.append(new())
        pods.remove(old)
        took.append(replaced(old, pods))
        n = hook.count()
        wait_for(lambda n=n: hook.count() > n + 20, 20, "events to flow again")
wait_for(lambda: set(hook.ids()) == set(shop.ids), 30, "all events to arrive")

keys = dict(shop.sql("select id::text, aggregateid from outbox"))
number = dict(shop.sql("select id::text, seq from outbox"))
last, seen = {}, set()
for i in hook.ids():
    if i not in seen:
        check(last.get(keys[i], 0) < number[i], f"{i} came before an earlier event of its key")
        last[keys[i]] = number[i]
    seen.add(i)
check(any(worked for worked, _, _ in took), "no relay that worked was replaced")
for worked, end, other in took:
    print(f"{'working' if worked else 'standby'} relay: ended {end:.2f} s after SIGTERM, another one at work after {other:.2f} s")
print(f"{len(shop.ids)} events, {len(hook.ids()) - len(seen)} of them twice")
for pod in pods:
    check_equal(pod.relay.stop(), 0, "exit code")
