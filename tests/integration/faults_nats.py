"""What NATS can do: away, restarting, frozen, refusing, full; and what it takes no message for. One server in clear, one with TLS."""
import functools
import itertools
import json
import subprocess
import urllib.error

from support import proc
from support.arrivals import all_there
from support.bad_input import alive, cut_in_flight, ended, fault, faults, looked, said
from support.natsd import Nats
from support.proc import check, check_equal, wait_for
from support.proxy import Proxy
from support.relaying import admin, config, daemon, metric, not_ready, once, pipeline, start, write
from support.shop import SqliteShop

_number = itertools.count()
PROVOKED = "1s"  # stall_timeout where the test keeps acknowledgements back until it is over; elsewhere it is a minute
BREAKER = {"window": 4, "open_for": "200ms"}  # opens with the first failure
MAX_PAYLOAD = 100_000
# Who does not say who he is may do everything; relay may publish what the tests call allowed.
USERS = """
no_auth_user: open
authorization { users: [
  {user: open, password: open}
  {user: relay, password: right, permissions: {publish: ["allowed.>", "$JS.API.STREAM.>"], subscribe: ["_INBOX.>"]}}
  {user: deaf, password: right, permissions: {publish: [">"], subscribe: ["nothing"]}}
] }
"""
AWAY = (OSError, urllib.error.URLError)


@functools.lru_cache(None)
def server():
    return Nats(f"max_payload: {MAX_PAYLOAD}\n{USERS}", proxied=True, name="faults-nats").start()


class Case:
    """An outbox in SQLite, and a stream of its own. Its subjects begin with the stream's name, or with `subjects`."""

    def __init__(self, d, create=True, subjects=None, nats=None, **stream):
        self.d, self.shop, self.stream = d, SqliteShop(d), f"S{next(_number)}"
        self.nats = nats or server()
        self.subjects = subjects or self.stream
        self.topic = f"{self.subjects}.order"
        self.stream_config = stream
        if create:
            self.create()

    def create(self):
        self.nats.create_stream(self.stream, f"{self.subjects}.>", **self.stream_config)

    def sink(self, **more):
        return {"type": "nats", "servers": self.nats.url, "connect_timeout": "20s", **more}

    def path(self, sink=None, topic=None, **delivery):
        self.admin = admin()
        return config(self.d, pipeline(self.shop.source(), sink=sink or self.sink(), topic=topic or self.topic, **delivery),
                      admin={"listen": self.admin})

    def ids(self):
        return [m.headers["Nats-Msg-Id"] for m in self.nats.messages(self.stream)]

    def wait(self, want=None, timeout=40):
        want = want or self.shop.ids
        wait_for(lambda: self.nats.count(self.stream) >= len(want), timeout, f"{len(want)} messages in {self.stream}", ignore=AWAY)
        all_there(self.ids(), want)

    def in_order(self):
        """The stream has each event once (it drops what comes again) and in the order of the outbox, which has one key."""
        check_equal(self.ids(), self.shop.ids, "events of the stream")


# --- 39, 40, 46: away, restarting, frozen ---

@fault
def nats_away_at_start(d):
    """Nothing is read beyond the window, nothing lost; order is kept when it comes."""
    case = Case(d)
    case.nats.proxy.refuse()
    try:
        r = daemon(case.path(case.sink(servers=case.nats.proxied_url), max_in_flight=50))
        case.shop.insert(300)
        r.wait_log("no NATS server answers at")
        check_equal(case.nats.count(case.stream), 0, "messages")
        check(metric(case.admin, "in_flight_events") <= 50, "no more in flight than max_in_flight")
        not_ready(case.admin)
    finally:
        case.nats.proxy.heal()
    case.wait()
    saw = alive(r)
    case.in_order()
    return saw


@fault
def nats_outage(d):
    """The breaker opens, and the position stays."""
    case = Case(d)
    r = daemon(case.path(case.sink(servers=case.nats.proxied_url), breaker=BREAKER))
    case.shop.insert(50)
    case.shop.wait_saved()
    before = case.shop.cursor
    case.nats.proxy.refuse()
    try:
        case.shop.insert(50)
        r.wait_log("no NATS server answers at")
        wait_for(lambda: metric(case.admin, "breaker_state") > 0, 20, "the breaker to open")
        check_equal(case.shop.cursor, before, "the position during the outage")
    finally:
        case.nats.proxy.heal()
    case.wait()
    said(r)
    saw = alive(r)
    case.in_order()
    return saw


@fault
def nats_second_server(d):
    """The first of two goes away: the other one is a way to the same stream."""
    case = Case(d)
    both = f"{case.nats.proxied_url},{case.nats.url}"
    r = daemon(case.path(case.sink(servers=both)))
    case.shop.insert(50)
    case.wait()
    case.nats.proxy.refuse()
    try:
        case.shop.insert(50)
        case.wait()
        said(r)
        saw = alive(r)
    finally:
        case.nats.proxy.heal()
    case.in_order()
    return saw


@fault
def nats_killed(d):
    """Killed and started while events come, twice; then restarted in order."""
    with Nats(name="nats-killed") as nats:
        case = Case(d, nats=nats)
        r = daemon(case.path())
        with case.shop.inserting():
            for end in (nats.kill9, nats.kill9, nats.stop):
                enough = nats.count(case.stream) + 40
                wait_for(lambda n=enough: nats.count(case.stream) >= n, 40, "events to arrive before the next end", ignore=AWAY)
                end()
                nats.start()
        case.wait()
        saw = alive(r)
        got = case.ids()
        check_equal(len(got), len(set(got)), "an event is there twice")
        return saw


@fault
def nats_frozen(d):
    case = Case(d)
    r = daemon(case.path(case.sink(stall_timeout=PROVOKED, connect_timeout="1s")))
    case.shop.insert(50)
    case.wait()
    case.nats.sigstop()
    try:
        case.shop.insert(50)
        r.wait_log("no acknowledgement from")
        r.wait_log("no NATS server answers at")
    finally:
        case.nats.sigcont()
    case.wait()
    saw = alive(r)
    case.in_order()
    return saw


@fault
def nats_slow(d):
    """Acknowledgements are late, and nothing is wrong but that: it is told, and is no failure."""
    case = Case(d)
    r = daemon(case.path())
    case.shop.insert(10)
    case.wait()
    case.nats.sigstop()
    try:
        case.shop.insert(10)
        r.wait_log("held up: .* messages pending", 60)
    finally:
        case.nats.sigcont()
    case.wait()
    r.wait_log("no longer held up", 60)
    check_equal(metric(case.admin, "failures_total"), 0, "failures")
    saw = alive(r)
    case.in_order()
    return saw


@fault
def nats_black_hole(d):
    """The link passes nothing on and closes nothing, for longer than each timeout."""
    case = Case(d)
    r = daemon(case.path(case.sink(servers=case.nats.proxied_url, stall_timeout=PROVOKED, connect_timeout="1s")))
    case.shop.insert(50)
    case.wait()
    case.nats.proxy.blackhole()
    try:
        case.shop.insert(50)
        r.wait_log("no acknowledgement from")
        r.wait_log("no NATS server answers at")
    finally:
        case.nats.proxy.heal()
    case.wait()
    saw = alive(r)
    case.in_order()
    return saw


@faults({"closed": Proxy.cut, "reset": Proxy.rst})
def nats_link_cut(d, cut):
    """Under load, again and again."""
    case = Case(d)
    r = daemon(case.path(case.sink(servers=case.nats.proxied_url)))
    with case.shop.inserting():
        for _ in range(5):
            enough = case.nats.count(case.stream) + 50
            wait_for(lambda n=enough: case.nats.count(case.stream) > n, 20, "events to arrive", ignore=AWAY)
            cut_in_flight(case.nats.proxy, cut, case.admin)
            case.nats.proxy.heal()
    case.wait()
    said(r)
    saw = alive(r)
    got = case.ids()
    check_equal(len(got), len(set(got)), "an event is there twice")
    return saw


# --- 41: the stream ---

@fault
def nats_no_stream(d):
    """Nobody makes one within connect_timeout."""
    case = Case(d, create=False)
    case.shop.insert(5)
    r = once(case.path(case.sink(connect_timeout="1s")))
    check_equal(case.shop.value(f"select delivered from {case.shop.positions}"), 0, "delivered")
    return ended(r)


@fault
def nats_stream_late(d):
    """As in a cluster that elects a leader: it is there a moment later, and a relay that is to end when all is delivered waits."""
    case = Case(d, create=False)
    case.shop.insert(5)
    r = start(["run", "-c", case.path(), "--until-idle"])
    said(r)
    case.create()
    r.wait_exit(60)
    case.in_order()
    return ended(r)


@fault
def nats_stream_deleted(d):
    """It waits, and goes on in order when the stream is there again."""
    case = Case(d)
    r = daemon(case.path())
    case.shop.insert(20)
    case.wait()
    case.nats.delete_stream(case.stream)
    fresh = case.shop.insert(20)
    r.wait_log("no stream takes it")
    case.create()
    case.wait(fresh)
    saw = alive(r)
    check_equal(case.ids(), fresh, "events of the new stream")
    return saw


@fault
def nats_subscriber_only(d):
    """Somebody subscribes and no stream is there: what he got is not delivered."""
    case = Case(d, create=False)
    case.shop.insert(5)
    with case.nats.listening(f"{case.subjects}.>") as heard:
        r = daemon(case.path(case.sink(stall_timeout=PROVOKED)))
        r.wait_log("no acknowledgement from")
        check(heard, "the subscriber got something")
        check_equal(case.shop.value(f"select delivered from {case.shop.positions}") or 0, 0, "delivered")
        case.create()
        case.wait()
    return alive(r)


@fault
def nats_other_stream(d):
    case = Case(d)
    case.shop.insert(5)
    r = once(case.path(case.sink(expect_stream="ORDERS")))
    check_equal(case.nats.count(case.stream), 0, "messages")
    return ended(r)


# --- 42, 43: who may ---

@fault
def nats_forbidden(d):
    case = Case(d)
    case.shop.insert(5)
    r = once(case.path(case.sink(username="relay", password="right")))
    check_equal(case.nats.count(case.stream), 0, "messages")
    return ended(r)


@fault
def nats_deaf(d):
    """The acknowledgements would not come."""
    case = Case(d)
    case.shop.insert(5)
    return ended(once(case.path(case.sink(username="deaf", password="right"))))


@fault
def nats_wrong_password(d):
    case = Case(d)
    case.shop.insert(5)
    r = once(case.path(case.sink(username="relay", password="hunter2")))
    check("hunter2" not in r.log, "the password is in the log")
    return ended(r)


@fault
def nats_password_in_file(d):
    case = Case(d, subjects=f"allowed.x{next(_number)}")
    case.shop.insert(5)
    secret = write(d, "right\n", "secret")
    secret.chmod(0o600)
    r = once(case.path(case.sink(username="relay", password_file=str(secret))))
    case.wait()
    return ended(r)


def _openssl(*args):
    subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True)


@functools.lru_cache(None)
def certificates():
    """ca.crt has signed server.crt, for localhost; strange.crt has signed nothing."""
    d = proc.tempdir("certificates")
    for ca in ("ca", "strange"):
        _openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", d / f"{ca}.key", "-out", d / f"{ca}.crt", "-days", 30, "-subj", f"/CN={ca}")
    (d / "ext").write_text("subjectAltName=DNS:localhost\n")
    _openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", d / "server.key", "-out", d / "server.csr", "-subj", "/CN=server")
    _openssl("x509", "-req", "-in", d / "server.csr", "-CA", d / "ca.crt", "-CAkey", d / "ca.key", "-CAcreateserial", "-days", 30,
             "-extfile", d / "ext", "-out", d / "server.crt")
    for f in d.iterdir():
        f.chmod(0o644)  # the server runs as another user
    return d


@functools.lru_cache(None)
def secure():
    c = certificates()
    return Nats(f'tls {{ cert_file: "{c}/server.crt", key_file: "{c}/server.key", ca_file: "{c}/ca.crt", timeout: 60 }}', tls_ca=c / "ca.crt",
                name="faults-nats-tls").start()


@faults({
    "wrong_ca": ("tls", "localhost", {"ca_file": "strange.crt"}),
    "host_mismatch": ("tls", "127.0.0.1", {"ca_file": "ca.crt"}),
    "client_in_clear": ("nats", "localhost", None),
    "trusted": ("tls", "localhost", {"ca_file": "ca.crt"}),
    "trusted_name": ("tls", "127.0.0.1", {"ca_file": "ca.crt", "server_name": "localhost"}),
    "insecure": ("tls", "127.0.0.1", {"verify": False, "insecure": True}),
})
def nats_tls(d, how):
    scheme, host, tls = how
    case = Case(d, nats=secure())
    case.shop.insert(5)
    more = {} if tls is None else {"tls": {k: str(certificates() / v) if k.endswith("_file") else v for k, v in tls.items()}}
    r = once(case.path(case.sink(servers=f"{scheme}://{host}:{case.nats.port}", **more)))
    check_equal(case.nats.count(case.stream), 5 if r.poll() == 0 else 0, "messages")
    return ended(r)


@fault
def nats_server_in_clear(d):
    case = Case(d)
    case.shop.insert(5)
    return ended(once(case.path(case.sink(servers=case.nats.url.replace("nats://", "tls://")))))


@fault
def nats_tls_frozen(d):
    """Frozen under TLS: nothing waits for it but the connection's own thread."""
    case = Case(d, nats=secure())
    sink = case.sink(servers=f"tls://localhost:{case.nats.port}", stall_timeout=PROVOKED, connect_timeout="1s", tls={"ca_file": str(certificates() / "ca.crt")})
    r = daemon(case.path(sink))
    case.shop.insert(50)
    case.wait()
    case.nats.sigstop()
    try:
        case.shop.insert(50)
        r.wait_log("no acknowledgement from")
        not_ready(case.admin)  # the pipeline's thread answers
    finally:
        case.nats.sigcont()
    case.wait()
    saw = alive(r)
    case.in_order()
    return saw


# --- 44, 49: what it takes no message for ---

@faults({"server": {}, "stream": {"max_msg_size": 5000}})
def nats_too_large(d, stream):
    """Its neighbours are delivered, those of its own key too."""
    case = Case(d, **stream)
    case.shop.insert(10)
    large = case.shop.insert(1, payload=json.dumps({"x": "y" * (6000 if stream else MAX_PAYLOAD)}))
    case.shop.insert(10)
    r = once(case.path(poison="skip"))
    want = [i for i in case.shop.ids if i not in large]
    case.wait(want)
    check_equal(case.ids(), want, "events of the stream")
    return ended(r)


@fault
def nats_row_without_stream(d):
    """One row's subject has no stream, the others' have one: it is poison, the others are delivered."""
    case = Case(d)
    lost, = case.shop.insert(1, key="lost", topic=f"lost-{case.subjects}")
    case.shop.insert(20, topic=case.topic)
    r = once(case.path(case.sink(connect_timeout="1s"), topic="{aggregatetype}", poison="skip"), timeout=60)
    want = [i for i in case.shop.ids if i != lost]
    case.wait(want)
    check_equal(case.ids(), want, "events of the stream")
    check_equal(case.shop.value("select event_id from commitrelay_dead_letters"), lost, "the dead letter")
    return ended(r)


@faults({"blank": "a b", "order": "$JS.API.STREAM.PURGE", "token": "a..b"})
def nats_no_subject(d, key):
    case = Case(d)
    case.shop.insert(3)
    bad = case.shop.insert(1, key=key)
    case.shop.insert(3)
    subject = "{key}" if key.startswith("$") else f"{case.subjects}.{{key}}"
    if key.startswith("$"):
        case.nats.update_stream(case.stream, f"{case.subjects}.>", "k")
    r = once(case.path(case.sink(subject=subject), poison="skip"))
    wait_for(lambda: case.nats.count(case.stream) == 6, 20, "the others to arrive")
    check(bad, "an event that has no subject")
    return ended(r)


@fault
def nats_sent_again(d):
    """Within the duplicate window: what is sent again on purpose is not dropped for the event or the copy that the stream has."""
    case = Case(d)
    case.shop.insert(1, key="a")
    odd, = case.shop.insert(1, key="b", topic="odd")
    path = config(d, pipeline(case.shop.source(), sink=case.sink(), topic=f"{case.stream}.{{aggregatetype}}", poison="skip",
                              dead_letter_topic=f"{case.stream}.dead", route={"allow_topics": [case.topic]}))
    check_equal(once(path).poll(), 0, "exit code of the first run")

    def there():
        return [(m.subject.split(".")[1], m.headers["id"], m.headers.get("x-dead-letter-reason") is not None, m.headers.get("replayed") is not None)
                for m in case.nats.messages(case.stream)]
    first = [("order", case.shop.ids[0], False, False), ("dead", odd, True, False)]
    check_equal(there(), first, "the event and the copy")
    proc.run(["dead-letters", "edit", "-c", path, "1", "--topic", case.topic])
    proc.run(["dead-letters", "retry", "-c", path, "1", "--yes"])
    check_equal(there()[2:], [("order", odd, False, False)], "the dead letter that was sent again")
    r = proc.run(["replay", "-c", path, "--from-position", "beginning", "--key", "a"])
    check_equal(there()[3:], [("order", case.shop.ids[0], False, True)], "what was replayed")
    return ended(r)


# --- 45: full ---

@fault
def nats_full(d):
    """discard: new, and somebody makes room for one message after the other: nothing is lost, and nothing passes what waits."""
    case = Case(d, max_msgs=10, discard="new", retention="workqueue")
    r = daemon(case.path())
    for n in range(60):
        case.shop.insert(10, key=f"k{n % 3}")
    r.wait_log("the stream is full", 60)
    with case.nats.taking(case.stream) as got:
        wait_for(lambda: set(got) >= set(case.shop.ids), 60, "all events to come through the narrow stream")
    check_equal(metric(case.admin, "failures_total"), 0, "failures")
    saw = alive(r)
    first = list(dict.fromkeys(got))
    for k in range(3):
        check_equal([i for i in first if int(i[1:]) // 10 % 3 == k], [i for i in case.shop.ids if int(i[1:]) // 10 % 3 == k], f"events of k{k}")
    return saw


@fault
def copy_refused(d):
    """48: the stream of the copies takes less than the event has. Nothing passes it, and what it says helps."""
    case = Case(d)
    copies = Case(d, max_msg_size=1000)
    large, = case.shop.insert(1, key="a", payload=json.dumps("x" * MAX_PAYLOAD))
    later = case.shop.insert(3, key="b")
    path = case.path(poison="skip", dead_letter_topic=f"{copies.subjects}.dead")
    r = daemon(path)
    r.wait_log("state blocked")
    said(r)
    check_equal(case.shop.value("select event_id from commitrelay_dead_letters"), large, "the dead letter")
    doc = json.loads(path.read_text())
    del doc["pipelines"][0]["delivery"]["dead_letter_topic"]
    path.write_text(json.dumps(doc))
    proc.run(["reload", "-c", path])
    case.wait(later)
    return alive(r)


# --- what `check` says ---

@faults({
    "no_scheme": {"servers": "localhost:4222"},
    "password_in_url": {"servers": "nats://me:hunter2@localhost"},
    "two_logins": {"credentials_file": "/dev/null", "username": "me"},
    "no_credentials": {"credentials_file": "/nowhere/x.creds"},
    "placeholder": {"subject": "{colour}"},
    "wildcard": {"subject": "shop.*"},
    "not_verified": {"servers": "tls://localhost", "tls": {"verify": False}},
    "needless_tls": {"tls": {"ca_file": "/etc/ssl/certs/ca-certificates.crt"}},
})
def nats_refused(d, more):
    shop = SqliteShop(d)
    sink = {"type": "nats", "servers": "nats://localhost:4222", **more}
    r = once(config(d, pipeline(shop.source(), sink=sink)))
    check("hunter2" not in r.log, "the password is in the log")
    return ended(r)


@faults({
    "away": ({}, {"servers": "nats://127.0.0.1:1"}),
    "no_stream": (None, {}),
    "wrong_password": ({}, {"username": "relay", "password": "wrong"}),
    "forbidden": ({}, {"username": "relay", "password": "right", "connect_timeout": "1s"}),
    "other_stream": ({}, {"expect_stream": "ORDERS"}),
    "limits": ({"max_msg_size": 5000}, {}),
    "well": ({}, {}),
})
def nats_looked_at(d, how):
    stream, more = how
    case = Case(d, create=stream is not None, **(stream or {}))
    saw = looked(case.path(case.sink(**more)))
    if stream is not None:
        check_equal(case.nats.count(case.stream), 0, "messages that a check has left")
    return saw
