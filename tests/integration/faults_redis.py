"""What Redis can do: away, killed, frozen, cut off, refusing; and how each event is there all the same. One server, and one with users."""
import functools
import itertools
import json

from support import proc
from support.bad_input import alive, cut_in_flight, ended, fault, faults, first_host_goes, looked, outage, said
from support.proc import check, check_equal, wait_for
from support.proxy import Proxy
from support.redis_server import Redis
from support.relaying import admin, config, daemon, metric, not_ready, once, pipeline
from support.shop import SqliteShop

_number = itertools.count()
PROVOKED = "2s"  # stall_timeout where the test keeps acknowledgements back until it is over; elsewhere it is a minute


@functools.lru_cache(None)
def server():
    return Redis(proxied=True, name="faults-redis").start()


def allow(redis, user, *rules):
    redis.client().execute_command("ACL", "SETUSER", user, *rules)


@functools.lru_cache(None)
def guarded():
    """relay may do the least that docs/SINKS.md names, with streams t*; reader may not write."""
    s = Redis(name="faults-redis-acl").start()
    allow(s, "relay", "reset", "on", ">right", "~t*", "+hello", "+multi", "+exec", "+discard", "+xadd")
    allow(s, "reader", "reset", "on", ">right", "~*", "+@read", "+@connection", "+@transaction")
    return s


class Case:
    """An outbox in SQLite and a stream of its own."""

    def __init__(self, d, redis=None):
        self.d, self.shop, self.stream = d, SqliteShop(d), f"t{next(_number)}"
        self.redis = redis or server()

    def sink(self, url=None, **more):
        return {"type": "redis", "url": url or self.redis.url, **more}

    def path(self, sink=None, name="p", **delivery):
        self.admin = admin()
        return config(self.d, pipeline(self.shop.source(), sink=sink or self.sink(), topic=self.stream, name=name, **delivery),
                      admin={"listen": self.admin, "socket": ""})

    def ids(self):
        return self.redis.ids(self.stream)

    def wait(self):
        wait_for(lambda: set(self.ids()) >= set(self.shop.ids), 30, "all events to arrive")

    def wait_retry(self):
        """Another try has failed: by then it shows if the position moved with the one before."""
        before = metric(self.admin, "retries_total")
        wait_for(lambda: metric(self.admin, "retries_total") > before, 20, "another try to fail")

    def in_order(self):
        check_equal(list(dict.fromkeys(self.ids())), self.shop.ids, "events in order of their first arrival")

    def keys_in_order(self):
        db = self.shop.connect()
        rows = db.execute("select id, aggregateid from outbox order by seq").fetchall()
        db.close()
        for key in {k for _, k in rows}:
            got = [f["id"].decode() for _, f in self.redis.entries(self.stream) if f["key"].decode() == key]
            check_equal(list(dict.fromkeys(got)), [i for i, k in rows if k == key], f"events of {key} in order of their first arrival")

    def once_in_order(self):
        check_equal(self.ids(), self.shop.ids, "each event once, in order")


# --- away, killed, frozen, cut off ---

@fault
def redis_away_at_start(d):
    """Nothing is read beyond the window, nothing lost; order is kept when it comes."""
    case = Case(d)
    case.redis.proxy.refuse()
    try:
        r = daemon(case.path(case.sink(case.redis.proxied_url), max_in_flight=50))
        case.shop.insert(500)
        r.wait_log("Connection refused")
        check_equal(case.ids(), [], "entries")
        check(metric(case.admin, "in_flight_events") <= 50, "no more in flight than max_in_flight")
        not_ready(case.admin)
    finally:
        case.redis.proxy.heal()
    case.wait()
    saw = alive(r)
    case.once_in_order()
    return saw


@fault
def redis_killed(d):
    """kill -9 and a restart with its log, with events under way: nothing that was acknowledged is missing."""
    case = Case(d)
    r = daemon(case.path())
    case.shop.insert(100)
    case.shop.wait_saved()
    with case.shop.inserting():
        enough = len(case.ids()) + 100
        wait_for(lambda: len(case.ids()) > enough, 20, "events to be under way")
        case.redis.kill9()
        try:
            r.wait_log("retry in")
        finally:
            case.redis.start()
        r.wait_log("redis is back")
    case.wait()
    saw = alive(r)
    case.keys_in_order()
    return saw


@fault
def redis_frozen(d):
    """It keeps its connections and answers nothing: a new one after stall_timeout, duplicates with the same ids at most."""
    case = Case(d)
    r = daemon(case.path(case.sink(stall_timeout=PROVOKED, connect_timeout="1s")))
    case.shop.insert(20)
    case.shop.wait_saved()
    before = case.shop.cursor
    case.redis.sigstop()
    try:
        case.shop.insert(20)
        r.wait_log("no acknowledgement from")
        case.wait_retry()
        check_equal(case.shop.cursor, before, "the position")
    finally:
        case.redis.sigcont()
    case.wait()
    said(r)
    saw = alive(r)
    case.in_order()
    return saw


@fault
def redis_answers_lost(d):
    """The network swallows the answers: what was written is written again, under the same ids, and nothing of the old connection behind it."""
    case = Case(d)
    proxy = case.redis.proxy
    r = daemon(case.path(case.sink(case.redis.proxied_url, stall_timeout=PROVOKED, connect_timeout="1s")))
    case.shop.insert(20)
    case.shop.wait_saved()
    before = case.shop.cursor
    proxy.blackhole("down")
    try:
        case.shop.insert(20)
        r.wait_log("no acknowledgement from")
        case.wait_retry()
        check_equal(case.shop.cursor, before, "the position")
    finally:
        proxy.rst()
        proxy.heal()
    case.shop.wait_saved()
    saw = alive(r)
    case.in_order()
    check_equal(case.ids()[-20:], case.shop.ids[-20:], "what was sent last")
    return saw


@faults({"closed": Proxy.cut, "reset": Proxy.rst})
def redis_link_cut(d, cut):
    """Under load, again and again."""
    case = Case(d)
    r = daemon(case.path(case.sink(case.redis.proxied_url)))
    with case.shop.inserting():
        for _ in range(5):
            enough = len(case.ids()) + 50
            wait_for(lambda n=enough: len(case.ids()) > n, 20, "events to arrive")
            cut_in_flight(case.redis.proxy, cut, case.admin)
            case.redis.proxy.heal()
    case.wait()
    said(r)
    saw = alive(r)
    case.keys_in_order()
    return saw


@fault
def redis_black_hole(d):
    """The link passes nothing on and closes nothing, for longer than each timeout; then what it held back is delivered."""
    case = Case(d)
    r = daemon(case.path(case.sink(case.redis.proxied_url, stall_timeout=PROVOKED, connect_timeout="1s")))
    case.shop.insert(20)
    case.shop.wait_saved()
    before = case.shop.cursor
    case.redis.proxy.blackhole()
    try:
        case.shop.insert(20)
        said(r)
        case.wait_retry()
        check_equal(case.shop.cursor, before, "the position")
    finally:
        case.redis.proxy.heal()
    case.wait()
    saw = alive(r)
    case.in_order()
    return saw


@fault
def redis_outage(d):
    """For longer than every timeout: the breaker opens, and the position stays."""
    case = Case(d)
    r = daemon(case.path(case.sink(case.redis.proxied_url, connect_timeout="1s", stall_timeout=PROVOKED), breaker={"window": 4, "open_for": "200ms"}))
    return outage(case, r, case.redis.proxy)


@fault
def redis_second_server(d):
    """The first of two servers is away: the second gets the events."""
    case = Case(d)
    nobody = f"redis://127.0.0.1:{proc.free_port()}"
    case.shop.insert(5)
    r = once(case.path(case.sink(f"{nobody},{case.redis.unix_url}")))
    check_equal(r.poll(), 0, f"exit code\n{r.log}")
    case.once_in_order()
    return ended(r)


@fault
def redis_first_server_goes(d):
    case = Case(d)
    case.in_order = case.keys_in_order
    r = daemon(case.path(case.sink(f"{case.redis.proxied_url},{case.redis.url}", stall_timeout=PROVOKED)))
    return first_host_goes(case, r, case.redis.proxy)


# --- back-pressure ---

@fault
def redis_out_of_memory(d):
    """It asks to wait. That is no failure: nothing counts it, and when there is room each event comes once, in order."""
    case = Case(d)
    r = daemon(case.path())
    case.shop.insert(5)
    case.shop.wait_saved()
    case.redis.set(maxmemory="1")
    try:
        case.shop.insert(500)
        r.wait_log("held up: .*OOM")
        check_equal(len(case.ids()), 5, "entries while there is no memory")
        check_equal(metric(case.admin, "retries_total"), 0, "what counted it as a failure")
    finally:
        case.redis.set(maxmemory="0")
    case.shop.wait_saved()
    saw = alive(r)
    case.once_in_order()
    return saw


# --- refused ---

@fault
def redis_wrong_type(d):
    """A list has the stream's name: it waits for the operator, and goes on when the list is gone."""
    case = Case(d)
    case.redis.client().rpush(case.stream, "x")
    r = daemon(case.path(poison="skip"))
    case.shop.insert(3)
    r.wait_log("state blocked")
    not_ready(case.admin)
    check_equal(case.shop.value("select count(*) from commitrelay_dead_letters"), 0, "dead letters")
    case.redis.client().rename(case.stream, f"{case.stream}-old")
    case.wait()
    saw = alive(r)
    case.once_in_order()
    return saw


@fault
def redis_row_of_another_type(d):
    """One row names a stream that is a list: it is poison, its neighbours come, and nothing of its key (park_key)."""
    case = Case(d)
    case.redis.client().rpush("a-list", "x")
    path = config(d, pipeline(case.shop.source(), sink=case.sink(), topic="{aggregatetype}", poison="park_key"))
    case.shop.insert(3, topic=case.stream, key="a")
    lost, = case.shop.insert(topic="a-list", key="b")
    case.shop.insert(3, topic=case.stream, key="b")
    behind = case.shop.ids[-3:]
    case.shop.insert(3, topic=case.stream, key="c")
    r = once(path)
    check_equal([i for i in dict.fromkeys(case.ids())], [i for i in case.shop.ids if i != lost and i not in behind], "what came")
    check_equal(case.shop.value("select event_id from commitrelay_dead_letters where state = 'dead'"), lost, "the dead letter")
    return ended(r)


@fault
def redis_too_large(d):
    """A value longer than the server takes is poison; its neighbours come."""
    s = Redis({"proto-max-bulk-len": "1mb"}, name="faults-redis-small").start()
    try:
        case = Case(d, s)
        case.shop.insert(3)
        large, = case.shop.insert(payload=json.dumps("x" * 2_000_000))
        case.shop.insert(3)
        r = once(case.path(poison="skip"))
        check_equal(case.ids(), [i for i in case.shop.ids if i != large], "the neighbours")
        check_equal(case.shop.value("select event_id from commitrelay_dead_letters"), large, "the dead letter")
        return ended(r)
    finally:
        s.kill9()


def _login(case, **login):
    return case.sink(case.redis.url, **login)


@faults({"wrong_password": {"username": "relay", "password": "wrong"}, "unknown_user": {"username": "nobody", "password": "right"}})
def redis_login(d, login):
    case = Case(d, guarded())
    case.shop.insert(1)
    return ended(once(case.path(_login(case, **login))))


@fault
def redis_password_wanted(d):
    s = Redis({"requirepass": "hunter2"}, name="faults-redis-pass").start()
    try:
        case = Case(d, s)
        case.shop.insert(1)
        return ended(once(case.path()))
    finally:
        s.kill9()


@fault
def redis_password_in_file(d):
    """With the rights that docs/SINKS.md names as the least, and no others."""
    case = Case(d, guarded())
    case.shop.insert(2)
    secret = d / "secret"
    secret.write_text("right\n")
    secret.chmod(0o600)
    r = once(case.path(_login(case, username="relay", password_file=str(secret))))
    check_equal(r.poll(), 0, f"exit code\n{r.log}")
    case.once_in_order()
    return ended(r)


@fault
def redis_not_allowed(d):
    """No right to write: it waits, makes no dead letters, and goes on when it is given."""
    case = Case(d, guarded())
    r = daemon(case.path(_login(case, username="reader", password="right"), poison="skip"))
    case.shop.insert(3)
    r.wait_log("state blocked")
    check_equal(case.shop.value("select count(*) from commitrelay_dead_letters"), 0, "dead letters")
    check_equal(case.ids(), [], "what was written")
    allow(case.redis, "reader", "+xadd")
    case.wait()
    saw = alive(r)
    allow(case.redis, "reader", "-xadd")
    case.once_in_order()
    return saw


@fault
def redis_cluster(d):
    s = Redis({"cluster-enabled": "yes", "cluster-port": proc.free_port()}, name="faults-redis-cluster").start()
    try:
        case = Case(d, s)
        case.shop.insert(1)
        return ended(once(case.path()))
    finally:
        s.kill9()


# --- replicas ---

@fault
def redis_replica_missing(d):
    """Without its replica nothing counts as delivered; it comes, and all of it does, once."""
    case = Case(d)
    replica = Redis({"replicaof": f"127.0.0.1 {case.redis.port}"}, name="faults-redis-replica")
    r = daemon(case.path(case.sink(wait={"replicas": 1, "timeout": "100ms"})))
    case.shop.insert(20)
    r.wait_log("0 of 1 replicas")
    check_equal(metric(case.admin, "events_delivered_total"), 0, "delivered without a replica")
    replica.start()
    try:
        case.shop.wait_saved()
        check_equal(replica.ids(case.stream), case.shop.ids, "what the replica has")
        other = case.path(case.sink(f"{replica.url},{case.redis.url}"), name="other")
        check_equal(once(other).poll(), 0, "exit code of a relay whose first server is the replica")
    finally:
        replica.kill9()
    saw = alive(r)
    check_equal(case.ids(), 2 * case.shop.ids, "what both relays have sent")
    return saw


# --- what a configuration may not say, and what `check` finds ---

def _publishes(case, **delivery):
    return case.path(case.sink(mode="pubsub"), **delivery)


@fault
def redis_pubsub_not_meant(d):
    return ended(once(_publishes(Case(d))))


@fault
def redis_pubsub_meant(d):
    """Who listens gets each event."""
    case = Case(d)
    case.shop.insert(3, payload='{"n": 7}')
    listener = case.redis.client().pubsub()
    listener.subscribe(case.stream)
    wait_for(lambda: case.redis.client().pubsub_numsub(case.stream)[0][1] == 1, 20, "the listener to be there")
    r = once(_publishes(case, at_most_once=True))
    check_equal(r.poll(), 0, f"exit code\n{r.log}")
    got = []

    def heard():
        message = listener.get_message(ignore_subscribe_messages=True)
        if message:
            got.append(message["data"])
        return len(got) == 3
    wait_for(heard, 20, "what was published")
    check_equal(got, [b'{"n": 7}'] * 3, "what was published")
    return ended(r)


@faults({"tls": "rediss://localhost", "tls_keys": None})
def redis_without_tls(d, url):
    case = Case(d)
    return ended(once(case.path(case.sink(url) if url else case.sink(tls={"ca_file": "/etc/ssl/certs/ca-certificates.crt"}))))


def _list_in_place(case):
    case.redis.client().rpush(case.stream, "x")
    return case.sink()


def _evicts(case):
    case.redis.set(maxmemory="100mb", maxmemory_policy="allkeys-lru")
    return case.sink()


def _reader(case):
    case.redis = guarded()
    return _login(case, username="reader", password="right")


@faults({"well": Case.sink, "wrong_type": _list_in_place, "evicts": _evicts, "not_allowed": _reader,
         "no_replica": lambda case: case.sink(wait={"replicas": 1}), "missing": lambda case: case.sink(f"unix:{case.d}/none")})
def redis_looked_at(d, sink_of):
    case = Case(d)
    try:
        saw = looked(case.path(sink_of(case)))
    finally:
        server().set(maxmemory="0", maxmemory_policy="noeviction")
    check_equal(case.redis.client().type(case.stream), b"list" if sink_of is _list_in_place else b"none", "what check has left there")
    return saw
