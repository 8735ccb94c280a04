"""What Artemis can do: away, restarting, frozen, full, refusing; and what it takes no message for. One broker, in clear and with TLS."""
import functools
import itertools
import json

from support import proc
from support.artemis import AWAY, Artemis
from support.bad_input import Saw, alive, ended, fault, faults, first_host_goes, looked, outage, readable, said
from support.certificates import certificates
from support.proc import check, check_equal, wait_for
from support.proxy import Proxy
from support.relaying import admin, config, daemon, metric, once, pipeline, start, write
from support.shop import SqliteShop

_number = itertools.count()


@functools.lru_cache(None)
def broker():
    return Artemis(tls=certificates(), name="faults-amqp", credits=20).start()


@functools.lru_cache(None)
def proxy():
    return Proxy("127.0.0.1", broker().port)


class Case:
    """An outbox in SQLite and a queue of its own."""

    def __init__(self, d, prefix="q"):
        self.d, self.shop, self.queue = d, SqliteShop(d), f"{prefix}{next(_number)}"
        self.broker, self.got = broker(), []

    def sink(self, proxied=False, **more):
        more = {"url": f"amqp://127.0.0.1:{proxy().port}", **more} if proxied else more
        return self.broker.sink(**{"connect_timeout": "20s", "idle_timeout": "60s", **more})

    def path(self, sink=None, topic=None, **delivery):
        self.admin = admin()
        return config(self.d, pipeline(self.shop.source(), sink=sink or self.sink(), topic=topic or self.queue, **delivery), admin={"listen": self.admin})

    def look(self):
        """All that has come so far, in order."""
        self.got += self.broker.take(self.queue)
        return self.got

    def wait(self, timeout=60):
        wait_for(lambda: {m.id for m in self.look()} >= set(self.shop.ids), timeout, "all events to arrive", ignore=AWAY)

    def in_order(self):
        """Of each key, by the first time each id is seen."""
        first, keys = list(dict.fromkeys(m.id for m in self.got)), {m.id: m.group_id for m in self.got}
        check_equal(sorted(first), sorted(self.shop.ids), "the events")
        for key in set(keys.values()):
            check_equal([i for i in first if keys[i] == key], [i for i in self.shop.ids if keys[i] == key], f"the order of {key}")

    def letters(self):
        return self.shop.value("select count(*) from commitrelay_dead_letters")


# --- 39, 40, 46: away, restarting, frozen, full ---

@fault
def amqp_away_at_start(d):
    case = Case(d)
    proxy().refuse()
    try:
        r = daemon(case.path(case.sink(proxied=True), max_in_flight=50))
        case.shop.insert(200)
        said(r)
        check(metric(case.admin, "in_flight_events") <= 50, "no more in flight than max_in_flight")
    finally:
        proxy().heal()
    case.wait()
    saw = alive(r)
    case.in_order()
    return saw


@fault
def amqp_black_hole_at_start(d):
    """It is let in, and nobody answers."""
    case = Case(d)
    proxy().blackhole()
    try:
        r = daemon(case.path(case.sink(proxied=True, connect_timeout="1s")))
        case.shop.insert(20)
        said(r)
    finally:
        proxy().rst()
        proxy().heal()
    case.wait()
    saw = alive(r)
    case.in_order()
    return saw


@faults({"closed": Proxy.cut, "reset": Proxy.rst})
def amqp_link_cut(d, cut):
    """Under load, again and again."""
    case = Case(d)
    r = daemon(case.path(case.sink(proxied=True)))
    with case.shop.inserting():
        for _ in range(3):
            enough = len(case.got) + 50
            wait_for(lambda n=enough: len(case.look()) > n, 60, "events to arrive")
            cut(proxy())
    case.wait()
    said(r)
    saw = alive(r)
    case.in_order()
    return saw


@fault
def amqp_second_host(d):
    """The first is away; the second takes all."""
    case = Case(d)
    case.shop.insert(20)
    r = once(case.path(case.sink(url=f"amqp://127.0.0.1:{proc.free_port()},amqp://127.0.0.1:{case.broker.port}")))
    case.wait()
    case.in_order()
    return ended(r)


@fault
def amqp_first_host_goes(d):
    case = Case(d)
    r = daemon(case.path(case.sink(url=f"amqp://127.0.0.1:{proxy().port},amqp://127.0.0.1:{case.broker.port}", stall_timeout="2s")))
    return first_host_goes(case, r, proxy())


@fault
def amqp_killed(d):
    """Under load, and started again: all there, in order."""
    case = Case(d)
    r = daemon(case.path())
    try:
        with case.shop.inserting():
            wait_for(lambda: len(case.look()) > 100, 60, "events to arrive")
            case.broker.kill9()
            enough = len(case.shop.ids) + 200
            wait_for(lambda: len(case.shop.ids) > enough, 60, "events that have no broker")
    finally:
        if not case.broker.running:
            case.broker.start()
    said(r)
    case.wait()
    saw = alive(r)
    case.in_order()
    return saw


def _silent(case, r, break_, mend):
    case.shop.insert(20)
    case.shop.wait_saved()
    before = case.shop.cursor
    break_()
    try:
        case.shop.insert(20)
        said(r)
        check_equal(case.shop.cursor, before, "the position")
    finally:
        mend()
    case.wait()
    saw = alive(r)
    case.in_order()
    return saw


@faults({"idle": {"idle_timeout": "1s"}, "stall": {"stall_timeout": "2s"}})
def amqp_frozen(d, keys):
    case = Case(d)
    return _silent(case, daemon(case.path(case.sink(**keys))), case.broker.sigstop, case.broker.sigcont)


@fault
def amqp_answers_lost(d):
    """What was written is written again, under the same ids."""
    case = Case(d)
    return _silent(case, daemon(case.path(case.sink(proxied=True, stall_timeout="2s"))), lambda: proxy().blackhole("down"),
                   lambda: (proxy().rst(), proxy().heal()))


@fault
def amqp_black_hole(d):
    """The link passes nothing on and closes nothing, for longer than each timeout; then what it held back is delivered."""
    case = Case(d)
    return _silent(case, daemon(case.path(case.sink(proxied=True, stall_timeout="2s", connect_timeout="1s"))), proxy().blackhole, proxy().heal)


@fault
def amqp_outage(d):
    """For longer than every timeout: the breaker opens, and the position stays."""
    case = Case(d)
    r = daemon(case.path(case.sink(proxied=True, connect_timeout="1s", stall_timeout="2s"), breaker={"window": 4, "open_for": "200ms"}))
    return outage(case, r, proxy())


@faults({"no_credit": "block.", "refuses": "fail."})
def amqp_full(d, prefix):
    """An address that is full until its consumer has caught up: no failure, no dead letter."""
    case = Case(d, prefix)
    for i in range(60):
        case.shop.insert(key=f"k{i % 3}", payload=json.dumps("x" * 1000))
    r = daemon(case.path())
    said(r)
    check_equal(case.letters(), 0, "dead letters")
    case.wait()
    saw = alive(r)
    case.in_order()
    return saw


# --- 41, 42, 44: the broker refuses ---

@faults({"no_queue": "closed.bare", "nowhere": "closed.nowhere", "a_topic": "closed.many"})
def amqp_keeps_nothing(d, address):
    """Never accepted and dropped."""
    case = Case(d)
    case.shop.insert(3)
    saw = ended(once(case.path(topic=address, poison="skip")))
    check_equal(case.letters(), 0, "dead letters")
    return saw


@fault
def amqp_queue_removed(d):
    """It waits for the operator, makes no dead letters, and goes on when the queue is there."""
    case = Case(d, "closed.q")
    case.broker.create(case.queue)
    r = daemon(case.path(poison="skip"))
    case.shop.insert(5)
    case.shop.wait_saved()
    case.look()
    case.broker.delete(case.queue)
    case.shop.insert(5)
    said(r)
    check_equal(case.letters(), 0, "dead letters")
    case.broker.create(case.queue)
    case.wait()
    saw = alive(r)
    case.in_order()
    return saw


@fault
def amqp_not_allowed(d):
    """No right to send: no dead letters."""
    case = Case(d)
    case.shop.insert(3)
    saw = ended(once(case.path(case.sink(username="stranger", password="right"), topic="closed.kept", poison="skip")))
    check_equal(case.letters(), 0, "dead letters")
    return saw


@fault
def amqp_may_only_send(d):
    case = Case(d)
    case.queue = "closed.kept"
    case.shop.insert(2)
    r = once(case.path(case.sink(username="writer", password="right")))
    case.wait()
    return ended(r)


@fault
def amqp_sent_again(d):
    """Artemis drops what it knows the _AMQ_DUPL_ID of, and says that it has accepted it: what is sent again on purpose has another one."""
    case = Case(d)
    case.shop.insert(1, key="a")
    odd, = case.shop.insert(1, key="b", topic="odd")
    path = config(d, pipeline(case.shop.source(), sink=case.sink(), topic=f"{case.queue}.{{aggregatetype}}", poison="skip",
                              dead_letter_topic=f"{case.queue}.order.dead", route={"allow_topics": [f"{case.queue}.order"]}))
    check_equal(once(path).poll(), 0, "exit code of the first run")
    proc.run(["dead-letters", "edit", "-c", path, "1", "--topic", f"{case.queue}.order"])
    proc.run(["dead-letters", "retry", "-c", path, "1", "--yes"])
    for _ in range(2):
        r = proc.run(["replay", "-c", path, "--from-position", "beginning", "--key", "a"])
    got = [(m.id, m.properties["id"], "replayed" in m.properties) for m in case.broker.take(f"{case.queue}.order")]
    first = case.shop.ids[0]
    check_equal(got, [(first, first, False), (odd, odd, False), (first, first, True), (first, first, True)], "what has arrived")
    return ended(r)


# --- 43: login and certificates ---

@faults({"wrong_password": {"password": "wrong"}, "unknown_user": {"username": "nobody"}, "anonymous": {"username": None, "password": None}})
def amqp_login(d, wrong):
    case = Case(d)
    case.shop.insert(1)
    sink = {k: v for k, v in case.sink(**wrong).items() if v is not None}
    return ended(once(case.path(sink)))


@fault
def amqp_password_in_file(d):
    case = Case(d)
    secret = write(d, "hunter2\n", "secret")
    secret.chmod(0o600)
    case.shop.insert(3)
    sink = case.sink(password_file=str(secret))
    del sink["password"]
    r = once(case.path(sink))
    case.wait()
    check("hunter2" not in r.log, "the password is nowhere to be seen")
    return ended(r)


@faults({"good": ("localhost", {}), "server_name": ("127.0.0.1", {"server_name": "localhost"}), "wrong_name": ("127.0.0.1", {}),
         "wrong_ca": ("localhost", {"ca_file": "strange.crt"}), "systems_ca": ("localhost", {"ca_file": None}),
         "own_certificate": ("localhost", {"cert_file": "client.crt", "key_file": "client.key"}),
         "key_of_another": ("localhost", {"cert_file": "client.crt", "key_file": "stranger.key"}),
         "insecure": ("127.0.0.1", {"verify": False, "insecure": True})})
def amqp_tls(d, how):
    host, more = how
    case = Case(d)
    tls = {"ca_file": "ca.crt", **more}
    tls = {k: str(certificates() / v) if k.endswith("_file") else v for k, v in tls.items() if v is not None}
    case.shop.insert(3)
    r = once(case.path(case.sink(url=f"amqps://{host}:{case.broker.tls_port}", tls=tls)))
    check_equal(case.broker.count(case.queue), 3 if r.poll() == 0 else 0, "what came")
    return ended(r)


@fault
def amqp_no_handshake(d):
    """TLS to a port that speaks none."""
    case = Case(d)
    r = daemon(case.path(case.sink(url=f"amqps://localhost:{case.broker.port}", connect_timeout="2s", tls={"ca_file": str(certificates() / "ca.crt")})))
    case.shop.insert(1)
    said(r)
    return alive(r)


# --- what check says ---

LOOKED = {"well": {}, "wrong_password": {"password": "wrong"}, "no_queue": {"address": "closed.bare"}, "nowhere": {"address": "closed.nowhere"},
          "not_allowed": {"username": "stranger", "password": "right", "address": "closed.kept"},
          "allowed": {"username": "writer", "password": "right", "address": "closed.kept"},
          "away": {"port": None}, "wrong_ca": {"tls": {"ca_file": "strange.crt"}}}


@faults(LOOKED)
def amqp_looked_at(d, keys):
    case = Case(d)
    more = {k: v for k, v in keys.items() if k != "port"}
    if "port" in keys:
        more["url"] = f"amqp://127.0.0.1:{proc.free_port()}"
    if "tls" in keys:
        more |= {"url": f"amqps://localhost:{case.broker.tls_port}", "tls": {"ca_file": str(certificates() / keys["tls"]["ca_file"])}}
    saw = looked(case.path(case.sink(**more)))
    check_equal(case.broker.count(case.queue), 0, "check sends nothing")
    return saw


# --- configurations that are refused ---

@faults({"no_scheme": {"url": "localhost:5672"}, "path": {"url": "amqp://localhost/orders"}, "mixed": {"url": "amqp://a,amqps://b"},
         "port": {"url": "amqp://localhost:99999"}, "two_users": {"url": "amqp://me:secret-word@localhost", "username": "me"},
         "password_alone": {"password": "secret-word"}, "placeholder": {"address": "{nothing}"}, "wildcard": {"address": "orders.*"},
         "tls_without": {"tls": {"ca_file": "/nowhere"}}, "not_verified": {"url": "amqps://localhost", "tls": {"verify": False}},
         "ca_missing": {"url": "amqps://localhost", "tls": {"ca_file": "/nowhere"}}})
def amqp_refused(d, keys):
    shop = SqliteShop(d)
    saw = ended(once(config(d, pipeline(shop.source(), sink={"type": "amqp", "url": "amqp://localhost", **keys}))))
    check("secret-word" not in saw.text, "no text shows a password")
    return saw


@fault
def amqp_password_on_command_line(d):
    shop = SqliteShop(d)
    r = start(["run", "--source", f"sqlite:{shop.path}", "--sink", "amqp1://me:secret-word@localhost"])
    r.wait_exit(30)
    saw = Saw(r.poll(), readable(r.log + r.stdout))
    check("secret-word" not in saw.text, "no text shows a password")
    return saw
