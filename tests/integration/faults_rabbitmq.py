"""What RabbitMQ can do: away, restarting, frozen, out of memory, refusing; and what it takes no message for. One broker, in clear and with TLS."""
import functools
import itertools
import json
import re
import time

from support import proc
from support.bad_input import Saw, alive, ended, fault, faults, first_host_goes, looked, outage, readable, said
from support.certificates import certificates
from support.proc import check, check_equal, wait_for
from support.proxy import Proxy
from support.rabbitmq import AWAY, RabbitMQ
from support.relaying import admin, config, daemon, metric, once, page, pipeline, start, write
from support.shop import SqliteShop

_number = itertools.count()
MAX_MESSAGE = 2_000_000
# `writer` may write to the exchanges whose name begins with w, `stranger` may do nothing at all.
USERS = {"writer": ("right", "", "^w.*", ""), "stranger": ("right", None, None, None)}


@functools.lru_cache(None)
def broker():
    return RabbitMQ(tls=certificates(), users=USERS, settings={"max_message_size": MAX_MESSAGE}, name="faults-rabbitmq").start()


@functools.lru_cache(None)
def proxy():
    return Proxy("127.0.0.1", broker().port)


class Case:
    """An outbox in SQLite and a queue of its own, behind the default exchange."""

    def __init__(self, d, declare=True, **arguments):
        self.d, self.shop, self.queue = d, SqliteShop(d), f"q{next(_number)}"
        self.broker, self.got = broker(), []
        if declare:
            self.broker.declare(self.queue, **arguments)

    def sink(self, proxied=False, **more):
        more = {"url": f"amqp://127.0.0.1:{proxy().port}", **more} if proxied else more
        return self.broker.sink(**{"connect_timeout": "20s", "heartbeat": "60s", **more})

    def path(self, sink=None, topic=None, **delivery):
        self.admin = admin()
        return config(self.d, pipeline(self.shop.source(), sink=sink or self.sink(), topic=topic or self.queue, **delivery),
                      admin={"listen": self.admin})

    def ids(self):
        """All that has come so far, in order."""
        self.got += [p.message_id for _, p, _ in self.broker.take(self.queue)]
        return self.got

    def wait(self, want=None, timeout=40):
        want = set(want or self.shop.ids)
        wait_for(lambda: set(self.ids()) >= want, timeout, "all events to arrive", ignore=AWAY)

    def in_order(self):
        """Of each key, by the first time each id is seen."""
        db = self.shop.connect()
        keys = dict(db.execute("select id, aggregateid from outbox"))
        db.close()
        first = list(dict.fromkeys(self.ids()))
        check_equal(sorted(first), sorted(self.shop.ids), "the events")
        for key in set(keys.values()):
            check_equal([i for i in first if keys[i] == key], [i for i in self.shop.ids if keys[i] == key], f"the order of {key}")

    def each_once(self):
        check_equal(self.ids(), self.shop.ids, "each event once, in order")

    def letters(self):
        return self.shop.value("select count(*) from commitrelay_dead_letters")

    def failures(self):
        lines = [x for x in page(self.admin, "metrics")[1].splitlines() if re.match("commitrelay_(failures|retries)_total", x)]
        return [x for x in lines if not x.endswith(" 0")]


# --- 39, 40, 46: away, restarting, frozen, full ---

@fault
def rabbitmq_away_at_start(d):
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
    case.each_once()
    return saw


@fault
def rabbitmq_black_hole_at_start(d):
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
def rabbitmq_link_cut(d, cut):
    """Under load, again and again."""
    case = Case(d)
    r = daemon(case.path(case.sink(proxied=True)))
    with case.shop.inserting():
        for _ in range(5):
            enough = len(case.ids()) + 50
            wait_for(lambda n=enough: len(case.ids()) > n, 20, "events to arrive")
            cut(proxy())
    case.wait()
    said(r)
    saw = alive(r)
    case.in_order()
    return saw


@fault
def rabbitmq_second_host(d):
    """The first is away; the second takes all."""
    case = Case(d)
    case.shop.insert(20)
    url = f"amqp://127.0.0.1:{proc.free_port()},amqp://127.0.0.1:{case.broker.port}"
    r = once(case.path(case.sink(url=url)))
    case.each_once()
    return ended(r)


@fault
def rabbitmq_first_host_goes(d):
    case = Case(d)
    r = daemon(case.path(case.sink(url=f"amqp://127.0.0.1:{proxy().port},amqp://127.0.0.1:{case.broker.port}", stall_timeout="2s")))
    return first_host_goes(case, r, proxy())


@fault
def rabbitmq_killed(d):
    """Under load, and started again: all there, in order."""
    case = Case(d)
    r = daemon(case.path())
    with case.shop.inserting():
        wait_for(lambda: len(case.ids()) > 100, 20, "events to arrive")
        case.broker.kill9()
        try:
            enough = len(case.shop.ids) + 200
            wait_for(lambda: len(case.shop.ids) > enough, 20, "events that have no broker")
        finally:
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


@faults({"heartbeat": {"heartbeat": "1s"}, "stall": {"stall_timeout": "2s"}})
def rabbitmq_frozen(d, keys):
    case = Case(d)
    return _silent(case, daemon(case.path(case.sink(**keys))), case.broker.sigstop, case.broker.sigcont)


@fault
def rabbitmq_answers_lost(d):
    """What was written is written again, under the same ids."""
    case = Case(d)
    return _silent(case, daemon(case.path(case.sink(proxied=True, stall_timeout="2s"))), lambda: proxy().blackhole("down"),
                   lambda: (proxy().rst(), proxy().heal()))


@fault
def rabbitmq_black_hole(d):
    """The link passes nothing on and closes nothing, for longer than each timeout; then what it held back is delivered."""
    case = Case(d)
    return _silent(case, daemon(case.path(case.sink(proxied=True, stall_timeout="2s", connect_timeout="1s"))), proxy().blackhole, proxy().heal)


@fault
def rabbitmq_outage(d):
    """For longer than every timeout: the breaker opens, and the position stays."""
    case = Case(d)
    r = daemon(case.path(case.sink(proxied=True, connect_timeout="1s", stall_timeout="2s"), breaker={"window": 4, "open_for": "200ms"}))
    return outage(case, r, proxy())


@faults({"small": 2, "large": 1_500_000})
def rabbitmq_memory_alarm(d, size):
    """The broker takes nothing for longer than stall_timeout. That is no failure: nothing counts it, nothing is sent twice."""
    case = Case(d)
    r = daemon(case.path(case.sink(stall_timeout="2s")))
    case.shop.insert(5)
    case.shop.wait_saved()
    case.broker.alarm(True)
    try:
        case.shop.insert(12, payload=json.dumps("x" * size))
        said(r)
        row = json.loads(proc.run(["status", "-c", d / "relay.yaml", "--json"], code=None).stdout)["pipelines"][0]
        check("connection.blocked" in row["held_up"] and row["state"] == "running", f"what `status` says: {row}")
        time.sleep(5)  # that nothing happens meanwhile is what is tested
        check_equal(case.failures(), [], "what was counted")
    finally:
        case.broker.alarm(False)
    case.shop.wait_saved()
    case.each_once()
    check_equal(case.failures(), [], "what was counted")
    r.wait_log("no longer held up")
    return alive(r)


@fault
def rabbitmq_queue_full(d):
    """A queue that refuses (x-overflow: reject-publish) until its consumer has caught up."""
    case = Case(d, x_max_length=5, x_overflow="reject-publish")
    r = daemon(case.path())
    case.shop.insert(40)
    said(r)
    check_equal(case.letters(), 0, "dead letters")
    case.wait()
    return alive(r)


# --- 41, 42, 44: the broker refuses ---

@faults({"skip": "skip", "stop": "stop"})
def rabbitmq_unroutable(d, poison):
    """Some events have no queue: never accepted and dropped. Their neighbours come."""
    case = Case(d)
    lost = f"no-{case.queue}"
    r = daemon(case.path(topic="{aggregatetype}", poison=poison))
    wanted = []
    for i in range(60):
        fresh = case.shop.insert(topic=lost if i % 20 == 7 else case.queue, key=f"k{i}")
        wanted += [] if i % 20 == 7 else fresh
    if poison == "stop":
        r.wait_log("state blocked")
        check(set(wanted[:7]) <= set(case.ids()), f"what was before it came: {case.got}")
        case.broker.declare(lost)
        proc.run(["resume", "-c", d / "relay.yaml", "--pipeline", "p"])
    case.wait(wanted)
    saw = alive(r)
    check_equal(list(dict.fromkeys(case.ids())), wanted, "the neighbours, in order")
    check_equal(case.letters(), 3 * (poison == "skip"), "dead letters")
    if poison == "stop":
        check_equal(case.broker.count(lost), 3, "what had no queue")
    return saw


@fault
def rabbitmq_parked_key(d):
    """No queue takes one event of a key, and later ones would have one: they wait behind it, whatever is on its way."""
    case = Case(d)
    exchange = f"e-{case.queue}"

    def bind(key):
        with case.broker.connected() as ch:
            ch.exchange_declare(exchange, "direct", durable=True)
            ch.queue_bind(case.queue, exchange, key)

    def letters(*words):
        return proc.run(["dead-letters", *words, "-c", d / "relay.yaml", "--pipeline", "p"]).stdout
    bind("good")
    for i in range(50):  # more and more of them are on their way together
        case.shop.insert(topic="good", key=f"k{i}")
    others = list(case.shop.ids)
    case.shop.insert(topic="bad")
    case.shop.insert(20, topic="good")
    r = daemon(case.path(case.sink(exchange=exchange), topic="{aggregatetype}", poison="park_key"))
    said(r)
    wait_for(lambda: [x["waiting"] for x in json.loads(letters("list", "--json"))["dead_letters"]] == [20], 30, "twenty to wait")
    case.wait(others)
    check_equal(set(case.ids()), set(others), "what has come so far")
    bind("bad")
    letters("retry", "--all", "--yes")
    case.wait()
    saw = alive(r)
    case.in_order()
    return saw


@fault
def rabbitmq_stops_at_a_key(d):
    """With stop nothing of the key comes behind the event that no queue takes, whatever is on its way; all others do, and it when it is mended."""
    case = Case(d)
    lost = f"no-{case.queue}"
    for i in range(50):  # more and more of them are on their way together
        case.shop.insert(topic=case.queue, key=f"k{i}")
    before = list(case.shop.ids)
    case.shop.insert(topic=lost)
    behind = case.shop.insert(20, topic=case.queue)
    r = daemon(case.path(topic="{aggregatetype}", poison="stop"))
    r.wait_log("state blocked")
    case.wait(before)
    check_equal([i for i in case.ids() if i in behind], [], "what has come of the key behind it")
    case.broker.declare(lost)
    proc.run(["resume", "-c", d / "relay.yaml", "--pipeline", "p"])
    case.wait(before + behind)
    said(r)
    check_equal(case.broker.count(lost), 1, "what had no queue")
    return alive(r)


@fault
def rabbitmq_exchange_deleted(d):
    """It waits for the operator, makes no dead letters, and goes on when the exchange is there."""
    case = Case(d)
    exchange = f"e-{case.queue}"

    def make():
        with case.broker.connected() as ch:
            ch.exchange_declare(exchange, "fanout", durable=True)
            ch.queue_bind(case.queue, exchange)
    make()
    r = daemon(case.path(case.sink(proxied=True, exchange=exchange), poison="skip"))
    case.shop.insert(5)
    case.shop.wait_saved()
    with case.broker.connected() as ch:
        ch.exchange_delete(exchange)
    case.shop.insert(5)
    r.wait_log("state blocked")
    proxy().refuse()  # between declare and bind no queue would take an event
    try:
        r.wait_log("the connection is refused")
        check_equal(case.letters(), 0, "dead letters")
        make()
    finally:
        proxy().heal()
    case.wait()
    saw = alive(r)
    case.in_order()
    return saw


@fault
def rabbitmq_exchange_missing(d):
    case = Case(d)
    case.shop.insert(3)
    return ended(once(case.path(case.sink(exchange="nowhere"))))


@fault
def rabbitmq_row_without_exchange(d):
    """One row's exchange is not there: it is poison, its neighbours come."""
    case = Case(d)
    exchange = f"e-{case.queue}"
    with case.broker.connected() as ch:
        ch.exchange_declare(exchange, "fanout", durable=True)
        ch.queue_bind(case.queue, exchange)
    case.shop.insert(10, topic=exchange)
    lost, = case.shop.insert(topic="nowhere", key="lost")
    case.shop.insert(10, topic=exchange)
    r = once(case.path(case.sink(exchange="{topic}"), topic="{aggregatetype}", poison="skip"))
    case.wait([i for i in case.shop.ids if i != lost])
    check_equal(case.shop.value("select event_id from commitrelay_dead_letters"), lost, "the dead letter")
    return ended(r)


@fault
def rabbitmq_not_allowed(d):
    """No right to write: no dead letters; with the right it goes on."""
    case = Case(d)
    case.shop.insert(3)
    path = case.path(case.sink(username="writer", password="right"), poison="skip")
    saw = ended(once(path))
    check_equal(case.letters(), 0, "dead letters")
    case.broker.ctl("set_permissions", "writer", "", "^(w.*|amq.default)$", "")
    try:
        check_equal(once(path).poll(), 0, "exit code with the right")
    finally:
        case.broker.ctl("set_permissions", "writer", "", "^w.*", "")
    case.each_once()
    return saw


@fault
def rabbitmq_too_large(d):
    """Larger than the broker takes: the sink names the event, its neighbours come."""
    case = Case(d)
    case.shop.insert(3)
    large = case.shop.insert(payload=json.dumps("x" * (MAX_MESSAGE + 1)))
    case.shop.insert(3)
    r = once(case.path(poison="skip"))
    case.wait([i for i in case.shop.ids if i not in large])
    check_equal(list(dict.fromkeys(case.ids())), [i for i in case.shop.ids if i not in large], "the neighbours")
    check_equal(case.letters(), 1, "dead letters")
    return ended(r)


# --- 43: login and certificates ---

@faults({"wrong_password": {"password": "wrong"}, "unknown_user": {"username": "nobody"}, "vhost_missing": {"vhost": "nowhere"},
         "vhost_refused": {"username": "stranger", "password": "right"}})
def rabbitmq_login(d, wrong):
    case = Case(d)
    wrong = dict(wrong)
    vhost = wrong.pop("vhost", None)
    case.shop.insert(1)
    return ended(once(case.path(case.sink(**wrong, **({"url": f"amqp://127.0.0.1:{case.broker.port}/{vhost}"} if vhost else {})))))


@fault
def rabbitmq_password_in_file(d):
    case = Case(d)
    secret = write(d, "hunter2\n", "secret")
    secret.chmod(0o600)
    case.shop.insert(3)
    sink = case.sink(password_file=str(secret))
    del sink["password"]
    r = once(case.path(sink))
    case.each_once()
    check("hunter2" not in r.log, "the password is nowhere to be seen")
    return ended(r)


@faults({"good": ("localhost", {}), "server_name": ("127.0.0.1", {"server_name": "localhost"}), "wrong_name": ("127.0.0.1", {}),
         "wrong_ca": ("localhost", {"ca_file": "strange.crt"}), "systems_ca": ("localhost", {"ca_file": None}),
         "own_certificate": ("localhost", {"cert_file": "client.crt", "key_file": "client.key"}),
         "key_of_another": ("localhost", {"cert_file": "client.crt", "key_file": "stranger.key"}),
         "insecure": ("127.0.0.1", {"verify": False, "insecure": True})})
def rabbitmq_tls(d, how):
    host, more = how
    case = Case(d)
    tls = {"ca_file": "ca.crt", **more}
    tls = {k: str(certificates() / v) if k.endswith("_file") else v for k, v in tls.items() if v is not None}
    case.shop.insert(3)
    r = once(case.path(case.sink(url=f"amqps://{host}:{case.broker.tls_port}", tls=tls)))
    check_equal(case.ids(), case.shop.ids if r.poll() == 0 else [], "what came")
    return ended(r)


@faults({"none": {}, "stranger": {"cert_file": "stranger.crt", "key_file": "stranger.key"}})
def rabbitmq_no_handshake(d, own):
    """TLS to a port that speaks none; a certificate of the relay that the broker does not believe."""
    case = Case(d)
    port = case.broker.tls_port if own else case.broker.port
    tls = {k: str(certificates() / v) for k, v in {"ca_file": "ca.crt", **own}.items()}
    r = daemon(case.path(case.sink(url=f"amqps://localhost:{port}", tls=tls)))
    case.shop.insert(1)
    said(r)
    return alive(r)


# --- what check says ---

LOOKED = {"well": {}, "wrong_password": {"password": "wrong"}, "exchange_missing": {"exchange": "nowhere"}, "queue_missing": {"routing_key": "missing"},
          "not_allowed": {"username": "writer", "password": "right"}, "allowed": {"username": "writer", "password": "right", "exchange": "w1"},
          "away": {"port": None}, "wrong_ca": {"tls": {"ca_file": "strange.crt"}}}


@faults(LOOKED)
def rabbitmq_looked_at(d, keys):
    case = Case(d)
    more = {k: v for k, v in keys.items() if k != "port"}
    if "port" in keys:
        more["url"] = f"amqp://127.0.0.1:{proc.free_port()}"
    if "tls" in keys:
        more |= {"url": f"amqps://localhost:{case.broker.tls_port}", "tls": {"ca_file": str(certificates() / keys["tls"]["ca_file"])}}
    with case.broker.connected() as ch:
        ch.exchange_declare("w1", "topic", durable=True)
    saw = looked(case.path(case.sink(**more)))
    check_equal(case.ids(), [], "check sends nothing")
    return saw


# --- configurations that are refused ---

@faults({"no_scheme": {"url": "localhost:5672"}, "empty_vhost": {"url": "amqp://localhost/"}, "mixed": {"url": "amqp://a,amqps://b"},
         "port": {"url": "amqp://localhost:99999"}, "two_users": {"url": "amqp://me:secret-word@localhost", "username": "me"},
         "password_alone": {"password": "secret-word"}, "heartbeat": {"heartbeat": "1500ms"}, "placeholder": {"routing_key": "{nothing}"},
         "brace": {"exchange": "a}"}, "tls_without": {"tls": {"ca_file": "/nowhere"}},
         "not_verified": {"url": "amqps://localhost", "tls": {"verify": False}},
         "ca_missing": {"url": "amqps://localhost", "tls": {"ca_file": "/nowhere"}}})
def rabbitmq_refused(d, keys):
    shop = SqliteShop(d)
    saw = ended(once(config(d, pipeline(shop.source(), sink={"type": "rabbitmq", "url": "amqp://localhost", **keys}))))
    check("secret-word" not in saw.text, "no text shows a password")
    return saw


@fault
def rabbitmq_password_on_command_line(d):
    shop = SqliteShop(d)
    r = start(["run", "--source", f"sqlite:{shop.path}", "--sink", "amqp://me:secret-word@localhost"])
    r.wait_exit(30)
    saw = Saw(r.poll(), readable(r.log + r.stdout))
    check("secret-word" not in saw.text, "no text shows a password")
    return saw
