"""How a test of bad input is registered, what it reports, and what it expects of a relay that was spoilt."""
import collections

from .arrivals import each_once, ids, wait_ids
from .proc import check, check_equal, wait_for
from .proxy import Proxy
from .relaying import metric, start

RUNS = "runs"

# What a test saw: an exit code, or RUNS for a daemon that stayed up and recovered, and all it said.
Saw = collections.namedtuple("Saw", "code text")

_tests = {}
_expected = ""  # what the running test's line of faults.tsv wants to be said


def fault(fn):
    """Registers a test under its name; it gets a new Path and returns a Saw."""
    check(fn.__name__ not in _tests, f"two tests are called {fn.__name__}")
    _tests[fn.__name__] = fn
    return fn


def faults(variants):
    """Registers name:variant for each of a table's entries; the test gets the entry too."""
    def register(fn):
        for name, value in variants.items():
            _tests[f"{fn.__name__}:{name}"] = lambda d, v=value: fn(d, v)
        return fn
    return register


def registered():
    return _tests


NEEDS_ROOT = set()


def needs_root(*names):
    """Names tests that give files to other users. An ordinary user's run says that they were left out."""
    NEEDS_ROOT.update(names)


def expect(fragment):
    global _expected
    _expected = fragment


def readable(text):
    """Logfmt and JSON put a backslash before a quote; the list of expectations does not."""
    return text.replace('\\"', '"')


def ended(relay):
    return Saw(relay.poll(), readable(relay.log + relay.stdout))


def said(relay):
    """The relay says what the list expects of it. A test that ends it before has shown nothing."""
    wait_for(lambda: _expected in readable(relay.log) or not relay.running, 20, f"{relay.name} to say: {_expected}")


def alive(relay, timeout=20):
    """It still runs, and it ends in good order."""
    check(relay.running, f"it ended with {relay.poll()}")
    check_equal(relay.stop(timeout), 0, "exit code after SIGTERM")
    return Saw(RUNS, readable(relay.log))


def cut_in_flight(link, cut, address, insert=lambda: None):
    """The connections of a proxy end (cut) while events are on their way that have not come to the server. address: of the admin port;
    insert: where there is no load. The proxy is to be healed."""
    link.blackhole("up")
    insert()
    wait_for(lambda: metric(address, "in_flight_events") > 0, 20, "events to be on their way")
    cut(link)


def outage(case, relay, link):
    """The server behind a proxy is away for longer than every timeout: the breaker opens, the position stays, and in the end all has come in
    order. case: of the module's faults, with an outbox and nothing sent yet."""
    case.shop.insert(20)
    case.shop.wait_saved()
    before = case.shop.cursor
    try:
        cut_in_flight(link, Proxy.refuse, case.admin, lambda: case.shop.insert(20))
        wait_for(lambda: metric(case.admin, "breaker_state") > 0 and metric(case.admin, "retries_total") > 1, 20,
                 "the breaker to open, and another try to fail")
        check_equal(case.shop.cursor, before, "the position during the outage")
    finally:
        link.heal()
    case.wait()
    said(relay)
    saw = alive(relay)
    case.in_order()
    return saw


def first_host_goes(case, relay, link):
    """Under load the first of two servers goes, here a proxy before the only one, and nobody mends it: all comes by the second, in order."""
    def delivered(enough, what):
        wait_for(lambda: metric(case.admin, "events_delivered_total") > enough, 30, f"events to be delivered by the {what} server")
    try:
        with case.shop.inserting():
            delivered(50, "first")
            cut_in_flight(link, Proxy.refuse, case.admin)
            delivered(metric(case.admin, "events_delivered_total") + 50, "second")
        case.wait()
    finally:
        link.heal()
    said(relay)
    saw = alive(relay)
    case.in_order()
    return saw


def looked(path):
    """What `check --connect` finds."""
    relay = start(["check", "-c", path, "--connect"])
    relay.wait_exit(30)
    return ended(relay)


def all_came_once(relay, want):
    """All events arrive, the relay is well, and nothing has come twice; what it said."""
    wait_ids(lambda: ids(relay), want)
    saw = alive(relay)
    each_once(ids(relay), want)
    return saw
