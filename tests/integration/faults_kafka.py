"""What Kafka can do: away, restarting, frozen, refusing; and what it takes no message for. One broker in clear, one with TLS, SASL and ACLs."""
import functools
import itertools
import json
import re
import signal
import sqlite3
import subprocess

from support import proc
from support.arrivals import all_there
from support.bad_input import alive, ended, fault, faults, looked, said
from support.kafka import Error, Kafka
from support.proc import check, check_equal, wait_for
from support.relaying import admin, config, daemon, metric, not_ready, once, page, pipeline, start, write
from support.shop import SqliteShop

_number = itertools.count()
# What is missing is soon noticed and looked for again. None of it ends anything that is only slow.
FAST = {"topic.metadata.propagation.max.ms": 1000, "topic.metadata.refresh.interval.ms": 1000, "reconnect.backoff.max.ms": 200,
        "reconnect.backoff.ms": 50}
PROVOKED = "2s"  # stall_timeout where the test keeps acknowledgements back until it is over; elsewhere it is a minute
BREAKER = {"window": 4, "open_for": "200ms"}  # opens with the first failure


@functools.lru_cache(None)
def broker():
    return Kafka(proxied=True, name="faults-kafka").start()


def _java(*command):
    """One of Kafka's own programs."""
    libs = proc.downloaded("kafka-4.1.0") / "*"
    r = subprocess.run(["java", "-Xmx128m", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-cp", libs, *map(str, command)],
                       capture_output=True, text=True)
    check(r.returncode == 0, f"{command[0]}: {r.stdout}{r.stderr}")


# --- a broker with TLS, SASL and ACLs ---

def _openssl(*args):
    subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True)


def _certificate(d, name, ca, names, days):
    """A PEM key store for the broker, signed by the authority."""
    ext = d / f"{name}.ext"
    ext.write_text(f"subjectAltName={names}\n")
    _openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", d / f"{name}.key", "-out", d / f"{name}.csr", "-subj", f"/CN={name}")
    _openssl("x509", "-req", "-in", d / f"{name}.csr", "-CA", f"{ca}.crt", "-CAkey", f"{ca}.key", "-CAcreateserial", "-days", days,
             "-extfile", ext, "-out", d / f"{name}.crt")
    store = d / f"{name}.pem"
    store.write_text((d / f"{name}.key").read_text() + (d / f"{name}.crt").read_text())
    return store


class Secure:
    """Listeners: in clear (for the test, all-powerful), TLS with three certificates, SASL for relay, who has no rights, and owner, who has all."""

    TLS = {"good": ("IP:127.0.0.1,DNS:localhost", 30), "other": ("DNS:other.example", 30), "expired": ("IP:127.0.0.1", 0)}

    def __init__(self):
        d = self.dir = proc.tempdir("certificates")
        for ca in ("ca", "strange"):
            _openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", d / f"{ca}.key", "-out", d / f"{ca}.crt", "-days", 30,
                     "-subj", f"/CN={ca}")
        ports = {name: proc.free_port() for name in ("controller", "sasl", *self.TLS)}
        self.addresses = {name: f"127.0.0.1:{p}" for name, p in ports.items()}
        self.kafka = Kafka(name="faults-secure")
        listeners = [f"{n.upper()}://{self.addresses[n]}" for n in (*self.TLS, "sasl")]
        clear = f"PLAINTEXT://{self.kafka.bootstrap}"
        settings = {
            "controller.quorum.voters": f"1@{self.addresses['controller']}",
            "listeners": ",".join([clear, f"CONTROLLER://{self.addresses['controller']}", *listeners]),
            "advertised.listeners": ",".join([clear, *listeners]),
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL:SASL_PLAINTEXT,"
                                              + ",".join(f"{n.upper()}:SSL" for n in self.TLS),
            "sasl.enabled.mechanisms": "PLAIN",
            "listener.name.sasl.plain.sasl.jaas.config":
                'org.apache.kafka.common.security.plain.PlainLoginModule required user_relay="right" user_owner="hunter2";',
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS;User:owner",
        }
        for name, (names, days) in self.TLS.items():
            settings[f"listener.name.{name}.ssl.keystore.type"] = "PEM"
            settings[f"listener.name.{name}.ssl.keystore.location"] = _certificate(d, name, d / "ca", names, days)
        self.kafka.start(settings)

    def sink(self, listener, **properties):
        return {"type": "kafka", "brokers": self.addresses[listener], "properties": {**FAST, **properties}}

    def tls(self, listener, ca="ca"):
        return self.sink(listener, **{"security.protocol": "ssl", "ssl.ca.location": str(self.dir / f"{ca}.crt")})

    def sasl(self, password):
        return self.plain("relay", **{"sasl.password": password})

    def sasl_of(self, secret):
        """The owner, whose password stands in a file."""
        return {**self.plain("owner"), "properties_file": {"sasl.password": str(secret)}}

    def plain(self, user, **more):
        return self.sink("sasl", **{"security.protocol": "sasl_plaintext", "sasl.mechanisms": "PLAIN", "sasl.username": user, **more})

    def allow(self, topic):
        _java("org.apache.kafka.tools.AclCommand", "--bootstrap-server", self.kafka.bootstrap, "--add", "--allow-principal", "User:relay",
              "--operation", "All", "--topic", topic)


@functools.lru_cache(None)
def secure():
    return Secure()


# --- what the tests share ---

class Case:
    """An outbox in SQLite and a topic of its own."""

    def __init__(self, d, partitions=1, kafka=None, config_=None, create=True):
        self.d, self.shop, self.topic = d, SqliteShop(d), f"t{next(_number)}"
        self.kafka = kafka or broker()
        if create:
            self.create(partitions, config_)

    def create(self, partitions=1, config_=None):
        self.kafka.create_topic(self.topic, partitions, config_)

    def sink(self, brokers=None, stall_timeout="60s", **properties):
        return {"type": "kafka", "brokers": brokers or self.kafka.bootstrap, "stall_timeout": stall_timeout,
                "properties": {**FAST, **{k.replace("_", "."): v for k, v in properties.items()}}}

    def path(self, sink=None, topic=None, source=None, **delivery):
        self.admin = admin()
        return config(self.d, pipeline(self.shop.source(**(source or {})), sink=sink or self.sink(), topic=topic or self.topic, **delivery),
                      admin={"listen": self.admin})

    def records(self):
        return self.kafka.consume_all(self.topic)

    def ids(self):
        return [v.decode() for r in self.records() for k, v in r.headers if k == "id"]

    def wait(self, n=None, timeout=30):
        n = n or len(self.shop.ids)
        wait_for(lambda: self.kafka.count(self.topic) >= n, timeout, f"{n} records in {self.topic}",
                 ignore=(OSError, Error))
        wait_for(lambda: set(self.ids()) >= set(self.shop.ids), timeout, "all events to arrive",
                 ignore=(OSError, Error))

    def wait_open(self):
        """The breaker has opened; now and then it lets an event through, to see whether it still has to be."""
        wait_for(lambda: metric(self.admin, "breaker_state") > 0, 10, "the breaker to open")

    def wait_retry(self):
        """Another try has failed: by then it shows if the position moved with the one before."""
        before = metric(self.admin, "retries_total")
        wait_for(lambda: metric(self.admin, "retries_total") > before, 20, "another try to fail")

    def in_order(self):
        """The first time each id is seen: the order of the outbox (one key, one partition)."""
        first = list(dict.fromkeys(self.ids()))
        check_equal(first, self.shop.ids, "events in order of their first arrival")


# --- 39, 40, 46: away, restarting, frozen ---

@fault
def broker_down_at_start(d):
    """Nothing is read beyond the window, nothing lost; order is kept when it comes."""
    case = Case(d)
    kafka = case.kafka
    kafka.proxy.refuse()
    try:
        r = daemon(case.path(case.sink(kafka.proxied_bootstrap, PROVOKED), max_in_flight=50))
        case.shop.insert(500)
        r.wait_log("no acknowledgement from")
        check_equal(case.kafka.count(case.topic), 0, "records")
        check(metric(case.admin, "in_flight_events") <= 50, "no more in flight than max_in_flight")
        not_ready(case.admin)
    finally:
        kafka.proxy.heal()
    case.wait()
    saw = alive(r)
    case.in_order()
    return saw


@fault
def broker_outage(d):
    case = Case(d)
    kafka = case.kafka
    try:
        r = daemon(case.path(case.sink(kafka.proxied_bootstrap, PROVOKED), breaker=BREAKER))
        case.shop.insert(50)
        case.shop.wait_saved()
        before = case.shop.cursor
        kafka.proxy.refuse()
        case.shop.insert(50)
        r.wait_log("no acknowledgement from")
        case.wait_open()
        case.shop.insert(50)
        case.wait_retry()
        check_equal(case.shop.cursor, before, "the position during the outage")
    finally:
        kafka.proxy.heal()
    case.wait()
    said(r)
    saw = alive(r)
    case.in_order()
    return saw


@fault
def rolling_restarts(d):
    """The first outage is as long as a restart takes; the second lasts until the relay has given up a producer."""
    case = Case(d)
    r = daemon(case.path(case.sink(stall_timeout=PROVOKED)))
    case.shop.insert(100)
    case.kafka.restart()
    case.shop.insert(100)
    case.shop.wait_saved()
    before = len(r.log)
    case.shop.insert(100)
    case.kafka.kill9()
    case.shop.insert(100)
    wait_for(lambda: "no acknowledgement from" in r.log[before:], 20, "the relay to notice the second outage")
    case.kafka.start()
    case.wait()
    wait_for(lambda: "kafka is back" in r.log[before:], 20, "the relay to say that the second outage is over")
    saw = alive(r)
    case.in_order()
    return saw


@fault
def broker_frozen(d):
    """It accepts and never answers: a new producer after stall_timeout, duplicates with the same ids at most."""
    case = Case(d)
    r = daemon(case.path(case.sink(stall_timeout=PROVOKED)))
    case.shop.insert(20)
    case.shop.wait_saved()
    before = case.shop.cursor
    case.kafka.sigstop()
    try:
        case.shop.insert(20)
        r.wait_log("no acknowledgement from")
        case.wait_retry()
        check_equal(case.shop.cursor, before, "the position")
    finally:
        case.kafka.sigcont()
    case.wait()
    saw = alive(r)
    case.in_order()
    return saw


@fault
def link_black_hole(d):
    """Answers get lost: what was written is written again, under the same ids."""
    case = Case(d)
    proxy = case.kafka.proxy
    r = daemon(case.path(case.sink(case.kafka.proxied_bootstrap, PROVOKED)))
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
    case.wait()
    saw = alive(r)
    case.in_order()
    return saw


@fault
def broker_quota(d):
    """The broker makes the relay wait, for many times stall_timeout in all. That is no failure: nothing counts it, nothing is sent twice."""
    case = Case(d)
    client, rate, size = f"relay-{case.topic}", 20_000, 2_000
    _java("kafka.admin.ConfigCommand", "--bootstrap-server", case.kafka.bootstrap, "--alter", "--add-config", f"producer_byte_rate={rate}",
          "--entity-type", "clients", "--entity-name", client)
    path = case.path(case.sink(stall_timeout=PROVOKED, client_id=client, batch_size=16_384), breaker=BREAKER)
    r = daemon(path)
    # A broker counts over ten seconds: what is beyond ten times the rate has to wait, here for about 15 s.
    case.shop.insert(25 * rate // size, payload=json.dumps("x" * size))
    r.wait_log("held up: slowed down by broker")
    row = json.loads(proc.run(["status", "-c", path, "--json"], code=None).stdout)["pipelines"][0]
    check("slowed down by broker 1" in row["held_up"] and row["state"] == "running", f"what `status` says: {row}")
    case.shop.wait_saved()
    check_equal(case.ids(), case.shop.ids, "each event once, in order")
    counted = [x for x in page(case.admin, "metrics")[1].splitlines() if re.match("commitrelay_(failures|retries)_total", x)]
    check(len(counted) >= 5 and all(x.endswith(" 0") for x in counted), f"what was counted: {counted}")
    check("no acknowledgement" not in r.log and "kafka is back" not in r.log, f"a new producer: {r.log}")
    r.wait_log("no longer held up")
    return alive(r)


# --- 41, 42, 45: the topic refuses ---

@fault
def topic_missing(d):
    """It waits for the operator, and goes on when the topic is there."""
    case = Case(d, create=False)
    r = daemon(case.path())
    case.shop.insert(3)
    r.wait_log("state blocked")
    not_ready(case.admin)
    check_equal(case.shop.value("select count(*) from commitrelay_dead_letters"), 0, "dead letters")
    case.create()
    case.wait()
    r.wait_log(f"(?s)topic {case.topic} is not there.*topic {case.topic} is there now")
    saw = alive(r)
    case.in_order()
    return saw


@fault
def topic_missing_until_idle(d):
    case = Case(d, create=False)
    case.shop.insert(3)
    return ended(once(case.path(poison="skip")))


@fault
def topic_not_allowed(d):
    """No rights on the topic: it waits, makes no dead letters, and goes on when they are given."""
    case = Case(d, kafka=secure().kafka)
    r = daemon(case.path(secure().sasl("right"), poison="skip"))
    case.shop.insert(3)
    r.wait_log("state blocked")
    check_equal(case.shop.value("select count(*) from commitrelay_dead_letters"), 0, "dead letters")
    check_equal(case.ids(), [], "what was sent")
    secure().allow(case.topic)
    case.wait()
    saw = alive(r)
    case.in_order()
    return saw


@fault
def verify_without_right(d):
    """A topic that its user may not see is named, and none of its events is called missing."""
    case = Case(d, kafka=secure().kafka)
    case.shop.insert(3)
    path = case.path(secure().sasl_of(_secret(d, "hunter2")))
    check_equal(once(path).poll(), 0, "the relay, with all rights")
    relay = start(["verify", "-c", case.path(secure().sasl("right")), "--pipeline", "p"])
    relay.wait_exit(60)
    check("missing" not in relay.stdout, relay.stdout)
    return ended(relay)


@fault
def topic_deleted(d):
    """With events under way that name no partition: none of them is to blame. The topic is made anew, with fewer, and then grows."""
    case = Case(d, partitions=4)
    r = daemon(case.path())
    for i in range(8):
        case.shop.insert(5, key=f"k{i}")
    case.wait()
    with case.shop.inserting():
        wait_for(lambda: case.kafka.count(case.topic) > 100, 20, "more events to be under way")
        case.kafka.delete_topic(case.topic)
        enough = len(case.shop.ids) + 8 * 20
        wait_for(lambda: len(case.shop.ids) > enough, 20, "events of all keys that have no topic")
        case.create(1)
        r.wait_log(r"retry in .*(Unknown partition|Unknown topic)[\s\S]*kafka is back")
        case.kafka.alter_partitions(case.topic, 3)
        r.wait_log("grew from 1 to 3")
    case.shop.ids = case.shop.ids[-20:]  # some of the others were deleted with their topic
    wait_for(lambda: set(case.ids()) >= set(case.shop.ids), 30, "the last events to arrive", ignore=(OSError, Error))
    check("isolating" not in r.log and "route.partition" not in r.log, f"no event is a suspect\n{r.log}")
    return alive(r)


def _second_broker(first):
    """Another broker of the same cluster; a topic needs two for min.insync.replicas to refuse anything."""
    d = proc.tempdir("faults-second") / "broker"
    d.mkdir()
    port = proc.free_port()
    text = (first.dir / "server.properties").read_text()
    own = {"node.id": "2", "process.roles": "broker", "log.dirs": f"{d}/data", "listeners": f"PLAINTEXT://127.0.0.1:{port}",
           "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}"}
    (d / "server.properties").write_text(text + "".join(f"{k}={v}\n" for k, v in own.items()))
    (d / "bootstrap").write_text(f"127.0.0.1:{port}\n")
    cluster = re.search(r"cluster.id=(\S+)", (first.dir / "data/meta.properties").read_text())[1]
    _java("kafka.tools.StorageTool", "format", "-t", cluster, "-c", d / "server.properties")
    (d / "formatted").write_text("")
    return Kafka(dir=d.parent)


def _brokers(kafka):
    out = subprocess.run(["kcat", "-b", kafka.bootstrap, "-L", "-m", "5"], capture_output=True, text=True).stdout
    m = re.search(r"^ (\d+) brokers", out, re.M)
    return m and int(m[1])


@fault
def too_few_replicas(d):
    """One of two replicas goes: nothing is acknowledged, the breaker opens, and it goes on when the replica is back."""
    case = Case(d, create=False)
    second = _second_broker(case.kafka).start()
    try:
        _java("org.apache.kafka.tools.TopicCommand", "--bootstrap-server", case.kafka.bootstrap, "--create", "--topic", case.topic,
              "--replica-assignment", "1:2", "--config", "min.insync.replicas=2")
        r = daemon(case.path(case.sink(stall_timeout=PROVOKED), breaker=BREAKER))
        case.shop.insert(3)
        case.shop.wait_saved()
        before = case.shop.cursor
        second.stop()
        case.shop.insert(3)
        case.wait_open()
        case.wait_retry()
        check_equal(case.shop.cursor, before, "the position")
        second.start()
        case.wait()
        saw = alive(r)
        case.in_order()
    finally:
        second.stop()
        wait_for(lambda: _brokers(case.kafka) == 1, 20, "the cluster to forget its second broker, which would get topics of other tests")
    return saw


# --- 43: TLS and passwords ---

TLS = {"wrong_ca": lambda s: s.tls("good", ca="strange"),
       "host_mismatch": lambda s: s.tls("other"),
       "expired": lambda s: s.tls("expired"),
       "server_in_clear": lambda s: {**s.tls("good"), "brokers": s.kafka.bootstrap},
       "client_in_clear": lambda s: s.sink("good"),
       "wrong_password": lambda s: s.sasl("wrong"),
       "no_password": lambda s: s.sink("sasl")}


@faults(TLS)
def not_trusted(d, sink):
    """It keeps trying, slowly, says why in the library's words, and never sends anything in clear."""
    case = Case(d, kafka=secure().kafka)
    r = daemon(case.path({**sink(secure()), "stall_timeout": "1s"}))
    case.shop.insert(3)
    r.wait_log("state (retrying|blocked)", 20)
    said(r)
    check_equal(case.ids(), [], "what was sent")
    return alive(r)


def _secret(d, password):
    path = write(d, password + "\n", "password")
    path.chmod(0o600)
    return path


@fault
def password_in_file(d):
    """A broker's password stands in a file; it is right, and nowhere shown."""
    case = Case(d, kafka=secure().kafka)
    case.shop.insert(3)
    path = case.path(secure().sasl_of(_secret(d, "hunter2")))
    saw = looked(path)
    check_equal(saw.code, 0, f"exit code of check\n{saw.text}")
    r = once(path)
    case.in_order()
    check("hunter2" not in saw.text + r.log, "it is shown")
    return ended(r)


@fault
def password_in_file_replaced(d):
    """A wrong one is refused. When the file holds another, a reload is enough, and what waited is sent."""
    case = Case(d, kafka=secure().kafka)
    r = daemon(case.path({**secure().sasl_of(_secret(d, "hunter1")), "stall_timeout": "1s"}))
    case.shop.insert(3)
    said(r)
    check_equal(case.ids(), [], "what was sent with the wrong one")
    _secret(d, "hunter2")
    r.signal(signal.SIGHUP)
    case.wait()
    saw = alive(r)
    case.in_order()
    check("hunter" not in saw.text, "it is shown")
    return saw


@fault
def tls_trusted(d):
    """The control: the same with the right authority and name."""
    case = Case(d, kafka=secure().kafka)
    case.shop.insert(3)
    r = once(case.path(secure().tls("good")))
    case.in_order()
    return ended(r)


@fault
def certificate_missing(d):
    case = Case(d, kafka=secure().kafka)
    return ended(once(case.path(secure().tls("good", ca="none"))))


# --- 44, 51: too large ---

def _large(d, policy):
    """Five events, the third too large for the topic but not for the client."""
    case = Case(d, config_={"max.message.bytes": 5000})
    good = case.shop.insert(2)
    bad = case.shop.insert(1, payload="x" * 20000)
    good += case.shop.insert(2)
    case.shop.ids = good
    return case, bad[0], case.path(poison=policy, attempts=2)


@fault
def too_large_skipped(d):
    case, bad, path = _large(d, "skip")
    r = once(path)
    check_equal(r.poll(), 0, f"exit code\n{r.log}")
    case.in_order()
    check_equal(case.shop.value("select event_id || ' ' || length(payload) from commitrelay_dead_letters"), f"{bad} 20000", "the dead letter")
    return ended(r)


@fault
def too_large_stops(d):
    case, bad, path = _large(d, "stop")
    r = daemon(path)
    r.wait_log("state blocked")
    not_ready(case.admin)
    check_equal(sorted(set(case.ids())), case.shop.ids[:2], "what stands before it")
    case.kafka.set_config(case.topic, {"max.message.bytes": 1000000})
    saw = alive(r)
    wait_for(lambda: once(path).poll() == 0, 20, "the topic to take it")  # the broker obeys a while after it has said so
    all_there(case.ids(), [*case.shop.ids, bad])
    return saw


@faults({"broker_away": "broker_away", "topic_of_the_row": "topic_of_the_row", "lowered_later": "lowered_later"})
def batches_too_large(d, how):
    """Each event fits and a full batch does not: the limit is learnt, however late, and from then on nothing is refused."""
    small = {"max.message.bytes": 20000}
    case = Case(d, config_={} if how == "lowered_later" else small)
    sink = case.sink(case.kafka.proxied_bootstrap, PROVOKED) if how == "broker_away" else case.sink()

    def burst():
        case.shop.insert(1000, payload=json.dumps({"x": "x" * 300}), key=case.topic)

    def refused():
        return r.log.count("isolating a refused event")

    if how == "broker_away":
        case.kafka.proxy.refuse()
    try:
        r = daemon(case.path(sink, topic="{aggregateid}" if how == "topic_of_the_row" else None))
        if how == "broker_away":
            burst()
            r.wait_log("no acknowledgement from")
    finally:
        case.kafka.proxy.heal()
    if how == "lowered_later":
        burst()
        case.wait()
        case.kafka.set_config(case.topic, small)
    bursts = taken = 0
    while taken < 2:  # in a row; the producer of the moment when the limit is learnt may make another batch that is too large
        before, bursts = refused(), bursts + 1
        check(bursts < 10, f"batches are refused again and again\n{r.log}")
        burst()
        case.wait()
        taken = taken + 1 if "takes at most 20000 bytes" in r.log and refused() == before else 0
    saw = alive(r)
    case.in_order()
    return saw


@fault
def huge_payload(d):
    """60 MB are not even fetched where an event may have 1 MB."""
    case = Case(d)
    case.shop.insert(2)
    bad = case.shop.insert(1, payload="x" * 60_000_000)
    case.shop.insert(2)
    case.shop.ids.remove(bad[0])
    r = daemon(case.path(poison="skip", max_event_bytes="1MiB"))
    case.wait()
    check(r.rss < 64 * 1024, f"{r.rss} KiB of memory")
    saw = alive(r)
    case.in_order()
    return saw


def _headers(d, n, **delivery):
    case = Case(d)
    headers = {f"h{i}": f"v{i}" for i in range(n)}
    db = sqlite3.connect(case.shop.path)
    with db:
        db.execute("insert into outbox (id, aggregatetype, aggregateid, type, payload, headers) values ('many', 'order', ?, 'T', '{}', ?)",
                   ("k" * 65536, json.dumps(headers)))
    db.close()
    case.shop.insert(1)
    r = once(case.path(**delivery))
    check_equal(r.poll(), 0, f"exit code\n{r.log}")
    return case, r, headers


@fault
def thousand_headers(d):
    """A thousand headers and a key of 64 KiB pass as they are."""
    case, r, headers = _headers(d, 1000)
    record = case.records()[0]
    check_equal(len(record.key), 65536, "bytes of the key")
    check_equal({k: v.decode() for k, v in record.headers if k.startswith("h")}, headers, "headers")
    return ended(r)


@fault
def too_many_headers(d):
    case, r, _ = _headers(d, 1001, poison="skip")
    check_equal(case.ids(), case.shop.ids, "its neighbour")
    check_equal(case.shop.value("select event_id from commitrelay_dead_letters"), "many", "the dead letter")
    return ended(r)


# --- 47 ---

@fault
def partitions_grow(d):
    case = Case(d, partitions=1)
    r = daemon(case.path(case.sink(topic_metadata_refresh_interval_ms=500)))
    case.shop.insert(3)
    case.wait()
    case.kafka.alter_partitions(case.topic, 4)
    wait_for(lambda: case.shop.insert(1) and "grew from 1 to 4" in r.log, 20, "it to notice the new partitions")
    case.wait()
    saw = alive(r)
    all_there(case.ids(), case.shop.ids)
    return saw
