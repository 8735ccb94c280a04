"""What a receiver of webhooks can do to the relay, and what can be wrong in the configuration of the http sink."""
import contextlib
import functools
import json
import socket
import subprocess

from support import guard, proc
from support.arrivals import all_there
from support.bad_input import Saw, alive, cut_in_flight, ended, fault, faults, first_host_goes, looked, outage, readable, said
from support.proc import check, check_equal, wait_for
from support.proxy import Proxy
from support.relaying import QUICK, admin, config, daemon, not_ready, once, pipeline, start
from support.shop import SqliteShop
from support.webhook import Certificates, Webhook

NO_PROXY = dict.fromkeys(("http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"))


@functools.lru_cache(None)
def certificates(name="ca", host="localhost"):
    return Certificates(name, host)


class Case:
    """An outbox in SQLite and a receiver."""

    def __init__(self, d, up=True, **how):
        self.d, self.shop, self.hook, self.admin = d, SqliteShop(d), Webhook(**how), admin()
        if up:
            self.hook.start()

    def sink(self, **more):
        return {"type": "http", "url": f"{self.hook.url}/hook", "timeout": "1s", "connect_timeout": "5s", **more}

    def conf(self, sink=None, encode=None, top=None, **delivery):
        p = pipeline(self.shop.source(), sink or self.sink(), limits=QUICK, **delivery)
        return config(self.d, {**p, "encode": encode or {}}, **{"admin": {"listen": self.admin}, **(top or {})})

    def wait(self):
        wait_for(lambda: set(self.hook.ids()) >= set(self.shop.ids), 30, "all events to arrive")

    def in_order(self):
        """Of each key, by the first time each event is taken."""
        with contextlib.closing(self.shop.connect()) as db:
            keys = dict(db.execute("select id, aggregateid from outbox"))
        first = list(dict.fromkeys(self.hook.ids()))
        for key in set(keys.values()):
            check_equal([i for i in first if keys[i] == key], [i for i in self.shop.ids if keys[i] == key], f"the order of {key}")

    def all_came(self, relay):
        self.wait()
        saw = alive(relay)
        all_there(self.hook.ids(), self.shop.ids)
        return saw


# --- the receiver fails, and comes back ---

@fault
def http_away(d):
    """Away at the start, and for longer than every timeout."""
    c = Case(d, up=False)
    c.shop.insert(3)
    r = daemon(c.conf(), env=NO_PROXY)
    said(r)
    not_ready(c.admin)
    c.hook.start()
    return c.all_came(r)


@fault
def http_frozen(d):
    c = Case(d)
    c.shop.insert(3)
    r = daemon(c.conf(), env=NO_PROXY)
    wait_for(lambda: len(c.hook.ids()) == 3, 20, "the first events")
    c.hook.sigstop()
    c.shop.insert(20)
    said(r)
    c.hook.sigcont()
    return c.all_came(r)


@faults({"closed": Proxy.cut, "reset": Proxy.rst})
def http_link_cut(d, cut):
    """Under load, again and again."""
    c = Case(d)
    link = Proxy("127.0.0.1", c.hook.port)
    r = daemon(c.conf(c.sink(url=f"http://127.0.0.1:{link.port}/hook")), env=NO_PROXY)

    def cut_twice(_link):
        """What a connection did not take that was used before, libcurl sends again by itself; over a new one it does not."""
        cut(link)
        wait_for(lambda: link.connections > 0, 20, "another connection")
        cut(link)
    with c.shop.inserting():
        for _ in range(5):
            enough = c.hook.count() + 50
            wait_for(lambda n=enough: c.hook.count() > n, 20, "requests to arrive")
            cut_in_flight(link, cut_twice, c.admin)
            link.heal()
    said(r)
    saw = c.all_came(r)
    link.close()
    return saw


@fault
def http_black_hole(d):
    """The link passes nothing on and closes nothing, for longer than each timeout; then what it held back is delivered."""
    c = Case(d)
    link = Proxy("127.0.0.1", c.hook.port)
    c.shop.insert(3)
    r = daemon(c.conf(c.sink(url=f"http://127.0.0.1:{link.port}/hook", connect_timeout="1s")), env=NO_PROXY)
    wait_for(lambda: len(c.hook.ids()) == 3, 20, "the first events")
    link.blackhole()
    c.shop.insert(20)
    said(r)
    link.heal()
    saw = c.all_came(r)
    link.close()
    return saw


@fault
def http_killed(d):
    """Under load, and started again."""
    c = Case(d)
    r = daemon(c.conf(), env=NO_PROXY)
    with c.shop.inserting():
        wait_for(lambda: c.hook.count() > 50, 20, "requests to arrive")
        c.hook.kill9()
        said(r)
        c.hook.start()
    saw = c.all_came(r)
    c.in_order()
    return saw


@fault
def http_outage(d):
    """For longer than every timeout: the breaker opens, and the position stays."""
    c = Case(d)
    with Proxy("127.0.0.1", c.hook.port) as link:
        r = daemon(c.conf(c.sink(url=f"http://127.0.0.1:{link.port}/hook"), breaker={"window": 4, "open_for": "200ms"}), env=NO_PROXY)
        return outage(c, r, link)


@fault
def http_first_host_goes(d):
    c = Case(d)
    with Proxy("127.0.0.1", c.hook.port) as link:
        r = daemon(c.conf(c.sink(url=f"http://127.0.0.1:{link.port}/hook,{c.hook.url}/hook")), env=NO_PROXY)
        return first_host_goes(c, r, link)


@faults({"500": 500, "503": 503, "408": 408, "425": 425, "599": 599})
def http_fails(d, status):
    c = Case(d)
    c.hook.rules({"status": status, "text": "a database is away"})
    c.shop.insert(3)
    r = daemon(c.conf(), env=NO_PROXY)
    said(r)
    c.hook.rules()
    return c.all_came(r)


@fault
def http_wants_time(d):
    c = Case(d)
    c.hook.rules({"status": 429, "headers": {"Retry-After": "2"}})
    c.shop.insert(20)
    r = daemon(c.conf(), env=NO_PROXY)
    said(r)
    c.hook.rules()
    saw = c.all_came(r)
    check_equal(len(c.hook.ids()), 20, "nothing came twice")
    check("state retrying" not in saw.text, "it was no failure")
    return saw


@faults({"401": 401, "403": 403, "404": 404, "405": 405, "410": 410, "302": 302})
def http_blocks(d, status):
    """The operator has to act: it waits and says so, and goes on when the receiver is mended and it is told to."""
    c = Case(d)
    path = c.conf()
    r = daemon(path, env=NO_PROXY)
    c.hook.rules({"status": status, "headers": {"Location": "https://elsewhere.example/in?token=XSECRETX"}})
    c.shop.insert(3)
    said(r)
    r.wait_log("state blocked")
    check("XSECRETX" not in r.log, "a query is not shown")
    c.hook.rules()
    proc.run(["resume", "-c", path, "--pipeline", "p"])
    return c.all_came(r)


@faults({"401": 401, "404": 404})
def http_blocks_until_idle(d, status):
    c = Case(d)
    c.hook.rules({"status": status})
    c.shop.insert(3)
    return ended(once(c.conf(), env=NO_PROXY))


@faults({"401": 401, "404": 404, "302": 302})
def http_one_of_two(d, status):
    """The first URL has a fault, and the second is well: nothing waits for an operator."""
    c = Case(d)
    c.hook.rules({"path": "/wrong", "status": status})
    c.shop.insert(3)
    r = once(c.conf(c.sink(url=f"{c.hook.url}/wrong,{c.hook.url}/hook")), env=NO_PROXY)
    all_there(c.hook.ids(), c.shop.ids)
    return ended(r)


@fault
def http_each_of_two(d):
    c = Case(d)
    c.hook.rules({"status": 404})
    c.shop.insert(3)
    r = once(c.conf(c.sink(url=f"{c.hook.url}/one,{c.hook.url}/two")), env=NO_PROXY)
    check_equal({x.path for x in c.hook.all()}, {"/one", "/two"}, "where it was tried")
    return ended(r)


@fault
def http_one_event_at_each_of_two(d):
    """Both refuse the same event, and take what comes between: it is not all sent again and again."""
    c = Case(d)
    c.hook.rules({"body": "bad", "status": 404}, {"delay": 0.2})
    c.shop.insert(1, payload='{"n": "bad"}', key="bad")
    for key in range(20):
        c.shop.insert(1, key=f"k{key}")
    path = c.conf(c.sink(url=f"{c.hook.url}/one,{c.hook.url}/two"))
    r = daemon(path, env=NO_PROXY)
    said(r)
    r.wait_log("state blocked")
    check_equal([x.path for x in c.hook.all() if b"bad" in x.body], ["/one", "/two"], "where it was tried")
    c.hook.rules()
    proc.run(["resume", "-c", path, "--pipeline", "p"])
    return c.all_came(r)


@fault
def http_row_for_the_second(d):
    """A row of which the first URL cannot be made goes to the second."""
    c = Case(d)
    c.shop.insert(1, topic="a..b")
    r = once(c.conf(c.sink(url=f"http://{{aggregatetype}}:1/x,{c.hook.url}/hook", allow_private=True)), env=NO_PROXY)
    all_there(c.hook.ids(), c.shop.ids)
    return ended(r)


@faults({"stop": "stop", "skip": "skip"})
def http_refuses(d, policy):
    c = Case(d)
    c.hook.rules({"body": "bad", "status": 422, "text": "no \x1b[31mbad\x1b[0m here"})
    c.shop.insert(5)
    c.shop.insert(1, payload='{"n": "bad"}')
    bad = c.shop.ids[-1]
    c.shop.insert(5, key="other")
    path = c.conf(poison=policy)
    r = daemon(path, env=NO_PROXY)
    said(r)
    check("\x1b" not in r.log, "the answer is escaped")
    if policy == "stop":
        r.wait_log("state blocked")
        c.hook.rules()
        proc.run(["resume", "-c", path, "--pipeline", "p"])
        return c.all_came(r)
    wait_for(lambda: set(c.hook.ids()) >= set(c.shop.ids) - {bad}, 30, "the neighbours to arrive")
    saw = alive(r)
    check(bad not in c.hook.ids(), "the refused one is not delivered")
    return saw


@fault
def http_proxy_wants_a_login(d):
    """No event is to blame for what the proxy says. The receiver stands in for it."""
    c = Case(d)
    c.hook.rules({"status": 407, "headers": {"Proxy-Authenticate": "Basic realm=x"}})
    c.shop.insert(3)
    path = c.conf(c.sink(url="http://receiver.invalid/hook"), poison="skip")
    r = daemon(path, env={**NO_PROXY, "http_proxy": c.hook.url})
    r.wait_log("state blocked")
    said(r)
    check_equal(c.shop.value("select count(*) from commitrelay_dead_letters"), 0, "dead letters")
    c.hook.rules()
    proc.run(["resume", "-c", path, "--pipeline", "p"])
    return c.all_came(r)


@fault
def http_batch_too_large(d):
    """Refused as a whole: its events go one by one."""
    c = Case(d)
    c.hook.rules({"body": "},{", "status": 413})
    c.shop.insert(30)
    r = daemon(c.conf(c.sink(batch={"events": 10})), env=NO_PROXY)
    wait_for(lambda: len(c.hook.taken()) >= 30, 30, "each alone")
    check_equal([json.loads(x.body) for x in c.hook.taken()][:2], [[{"n": 1}], [{"n": 1}]], "bodies")
    return alive(r)


# --- certificates ---

TLS = {
    "wrong_ca": lambda: {"ca_file": certificates("another").ca},
    "system_ca": lambda: {},
    "wrong_name": lambda: {"ca_file": certificates().ca, "server_name": "another.example"},
    "no_client": lambda: {"ca_file": certificates().ca},
    "wrong_client": lambda: {"ca_file": certificates().ca, "cert_file": certificates("another").client_cert,
                             "key_file": certificates("another").client_key},
}


@faults(TLS)
def http_not_trusted(d, tls):
    """Neither side sends anything to one whom it does not trust."""
    c = Case(d, tls=certificates(), client_ca=certificates().ca)
    c.shop.insert(3)
    r = daemon(c.conf(c.sink(tls=tls())), env=NO_PROXY)
    said(r)
    check_equal(c.hook.count(), 0, "requests")
    return alive(r)


@faults({"tls1_2": "-tls1_2", "tls1_3": "-tls1_3"})
def http_client_wanted(d, version):
    """A server that says why it ends the handshake."""
    certs, port = certificates(), proc.free_port()
    server = subprocess.Popen(["openssl", "s_server", "-accept", str(port), "-cert", certs.cert, "-key", certs.key, "-CAfile", certs.ca, "-Verify", "1",
                               "-verify_return_error", "-quiet", version], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    guard.watch_pid(server.pid)
    try:
        wait_for(lambda: socket.create_connection(("127.0.0.1", port)).close() is None, 20, "openssl to listen")
        c = Case(d, up=False)
        c.shop.insert(3)
        r = daemon(c.conf(c.sink(url=f"https://localhost:{port}/", tls={"ca_file": certs.ca})), env=NO_PROXY)
        said(r)
        return alive(r)
    finally:
        server.kill()
        server.wait()
        guard.forget_pid(server.pid)


@faults({"wrong_ca": TLS["wrong_ca"], "wrong_name": TLS["wrong_name"]})
def http_check_not_trusted(d, tls):
    c = Case(d, tls=certificates())
    return looked(c.conf(c.sink(tls=tls())))


@fault
def http_check_away(d):
    return looked(Case(d, up=False).conf())


@fault
def http_check_well(d):
    c = Case(d)
    saw = looked(c.conf())
    check_equal(c.hook.count(), 0, "requests of a check")
    return saw


# --- private addresses ---

@faults({"literal": "http://127.0.0.1:{port}/{{key}}", "number": "http://2130706433:{port}/{{key}}", "name": "http://localhost:{port}/{{key}}",
         "zero": "http://0.0.0.0:{port}/{{key}}"})
def http_private(d, url):
    """A URL with placeholders does not lead into the relay's own network, whatever it calls it."""
    c = Case(d)
    c.shop.insert(1)
    r = daemon(c.conf(c.sink(url=url.format(port=c.hook.port))), env=NO_PROXY)
    said(r)
    r.wait_log("state blocked")
    check_equal(c.hook.count(), 0, "requests")
    return alive(r)


@fault
def http_private_of_a_row(d):
    """The row names the host: that event is poison, and the others pass."""
    c = Case(d)
    c.shop.insert(1, topic="localhost")
    path = c.conf(c.sink(url=f"http://{{aggregatetype}}:{c.hook.port}/x"), poison="skip")
    r = daemon(path, env=NO_PROXY)
    said(r)
    check_equal(c.hook.count(), 0, "requests")
    return alive(r)


@fault
def http_bad_host_of_a_row(d):
    c = Case(d)
    c.shop.insert(1, topic="evil.example/x?")
    r = daemon(c.conf(c.sink(url="http://{aggregatetype}:1/x", allow_private=True), poison="skip"), env=NO_PROXY)
    said(r)
    return alive(r)


@fault
def http_no_host_of_a_row(d):
    """It would be looked up for ever, and hold up the others."""
    c = Case(d)
    c.shop.insert(1, topic="a..b")
    r = daemon(c.conf(c.sink(url="http://{aggregatetype}.example:1/x", allow_private=True), poison="skip"), env=NO_PROXY)
    said(r)
    return alive(r)


@fault
def http_header_of_a_row(d):
    """A row cannot change what the request is."""
    c = Case(d)
    c.shop.script("insert into outbox (id, aggregatetype, aggregateid, type, payload, headers) values "
                  "('evil', 'order', 'k', 'T', '{}', '{\"Host\": \"evil.example\"}')")
    c.shop.insert(2)
    r = daemon(c.conf(poison="skip"), env=NO_PROXY)
    said(r)
    return c.all_came(r)


# --- the configuration ---

KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
REFUSED = {
    "no_scheme": {"url": "hooks.example.com/x"},
    "password_in_url": {"url": "https://u:XSECRETX@h/x"},
    "unknown_placeholder": {"url": "https://h/{nothing}"},
    "placeholder_in_port": {"url": "https://h:{key}/"},
    "lone_brace": {"url": "https://h/{key"},
    "malformed": {"url": "https://h:port/"},
    "bad_secret": {"sign": {"secret": "whsec_XSECRETX!"}},
    "short_secret": {"sign": {"secret": "whsec_AAAA"}},
    "second_secret_alone": {"sign": {"also_secret": KEY}},
    "two_ways_to_log_in": {"auth": {"bearer": "t"}, "username": "u"},
    "own_header": {"headers": {"Content-Length": "1"}},
    "header_of_two_lines": {"headers": {"X": "a\nb"}},
    "format_without_batch": {"batch_format": "lines"},
    "interval_without_batch": {"batch": {"interval": "1s"}},
    "not_verified": {"url": "https://h/", "tls": {"verify": False}},
    "tls_without_tls": {"url": "http://h/", "tls": {"server_name": "h"}},
    "key_without_certificate": {"url": "https://h/", "tls": {"key_file": "/dev/null"}},
    "name_with_placeholder": {"url": "https://{key}/", "tls": {"server_name": "h"}},
}


@faults(REFUSED)
def http_refused(d, sink):
    saw = Case(d, up=False)
    r = start(["check", "-c", saw.conf(saw.sink(**sink))], env=NO_PROXY)
    r.wait_exit(30)
    check("XSECRETX" not in r.log + r.stdout, "a secret is shown")
    return ended(r)


@fault
def http_proxy_and_rows(d):
    c = Case(d, up=False)
    r = start(["check", "-c", c.conf(c.sink(url="https://h.example/{key}"))], env={**NO_PROXY, "https_proxy": "http://127.0.0.1:1"})
    r.wait_exit(30)
    return ended(r)


@fault
def http_no_cloudevents(d):
    c = Case(d)
    c.shop.insert(1)
    return ended(once(c.conf(c.sink(batch={"events": 5}, batch_format="cloudevents")), env=NO_PROXY))


@fault
def http_no_json_in_a_batch(d):
    c = Case(d)
    c.shop.insert(1, payload="no json")
    c.shop.insert(2)
    r = daemon(c.conf(c.sink(batch={"events": 5}), poison="skip"), env=NO_PROXY)
    said(r)
    wait_for(lambda: sum(len(json.loads(x.body)) for x in c.hook.taken()) >= 2, 20, "the neighbours")
    return Saw(alive(r).code, readable(r.log))
