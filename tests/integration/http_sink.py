#!/usr/bin/python3
"""What the http sink sends, to a receiver of its own: headers, signatures, bodies, order, and what it does with the answers."""
import json
import os
import ssl
import subprocess
import time

from support import proc
from support.arrivals import all_there, each_once
from support.cases import case, main
from support.proc import check, check_equal, wait_for
from support.relaying import QUICK, admin, config, daemon, metric, once, page, pipeline
from support.shop import SqliteShop
from support.webhook import Certificates, Webhook

SECRET, OTHER = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


class World:
    """A directory, an outbox and a receiver."""

    def __init__(self):
        self.dir = proc.tempdir("http-case")
        self.shop = SqliteShop(self.dir)
        self.hook = Webhook()

    def sink(self, **more):
        return {"type": "http", "url": f"{self.hook.url}/hook", **more}

    def conf(self, sink=None, encode=None, route=None, top=None, source=None, **delivery):
        p = pipeline(self.shop.source(**(source or {})), sink or self.sink(), route=route, limits=QUICK, **delivery)
        return config(self.dir, {**p, "encode": encode or {}}, **(top or {}))

    def relayed(self, sink=None, encode=None, env=None, **more):
        """Relays what there is, and gives the requests."""
        r = once(self.conf(sink, encode, **more), env=env)
        check_equal(r.poll(), 0, f"exit code: {r.log}")
        return self.hook.taken()

    def file(self, name, text):
        path = self.dir / name
        path.write_text(text)
        path.chmod(0o600)
        return str(path)


@case
def one_event_is_one_request(w):
    w.hook.start()
    w.shop.insert(3, payload='{"n": 1}')
    before = int(time.time())
    got = w.relayed(encode={"headers": ["id", "type"]})
    check_equal([r.id for r in got], w.shop.ids, "ids, in order")
    r = got[0]
    check_equal((r.method, r.path, r.body), ("POST", "/hook", b'{"n": 1}'), "the request")
    check_equal({n: r.headers.get(n) for n in ("content-type", "idempotency-key", "id", "type", "webhook-signature")},
                {"content-type": "application/json", "idempotency-key": r.id, "id": r.id, "type": "T", "webhook-signature": None}, "headers")
    check(before <= int(r.headers["webhook-timestamp"]) <= time.time(), "the time at which it was sent")
    check(r.headers["user-agent"].startswith("commitrelay/"), r.headers["user-agent"])
    check_equal(len({r.connection for r in got}), 1, "one connection was kept")


@case
def method_and_headers_of_the_configuration(w):
    w.hook.start()
    w.shop.insert(1)
    r, = w.relayed(w.sink(method="PUT", headers={"X-Shop": "a b", "Content-Type": "application/vnd.shop+json"}))
    check_equal((r.method, r.headers["x-shop"], r.headers["content-type"]), ("PUT", "a b", "application/vnd.shop+json"), "the request")


@case
def signed_with_both_secrets(w):
    w.hook.start()
    w.shop.insert(2)
    sign = {"secret_file": w.file("secret", SECRET + "\n"), "also_secret_file": w.file("other", OTHER + "\n")}
    for r in w.relayed(w.sink(sign=sign)):
        check(r.signed_by(SECRET) and r.signed_by(OTHER), f"signatures: {r.headers['webhook-signature']}")
        check(not r.signed_by("whsec_" + "A" * 32), "another secret's")


@case
def keys_side_by_side_and_each_in_order(w):
    """Answers come late and in another order; of a key there is never a second request before the answer to the first."""
    w.hook.jitter = .03
    w.hook.start()
    for i in range(25):
        w.shop.insert(1, key="a") if i % 2 else w.shop.insert(6, key=f"k{i % 7}")
    got = w.relayed(w.sink(url=f"{w.hook.url}/{{key}}", allow_private=True), source={"batch_size": 3})  # more come while some are sent
    each_once([r.id for r in got], w.shop.ids)
    check_equal(max(r.same for r in got), 1, "requests of one key at a time")
    check(max(r.most for r in got) > 2, "requests of several keys at a time")
    for path in {r.path for r in got}:
        ids = [r.id for r in got if r.path == path]
        check_equal(ids, sorted(ids), f"order of {path}")
    check(len({r.connection for r in got}) <= 8, "connections are kept")


@case
def placeholders_are_percent_encoded(w):
    w.hook.start()
    w.shop.insert(1, key="a/b ü?#%", topic="order")
    r, = w.relayed(w.sink(url=f"{w.hook.url}/{{aggregatetype}}/{{key}}?type={{type}}", allow_private=True))
    check_equal(r.path, "/order/a%2Fb%20%C3%BC%3F%23%25?type=T", "path")


@case
def batches(w):
    w.hook.start()
    w.shop.insert(250, payload='{"a":\n1}')
    for name, expect in (("array", "application/json"), ("lines", "application/x-ndjson")):
        before = len(w.hook.taken())
        once_more = w.conf(w.sink(batch={"events": 100}, batch_format=name), {"format": "json"})
        proc.run(["position", "set", "-c", once_more, "--pipeline", "p", "beginning", "--yes"]) if before else None
        check_equal(once(once_more).poll(), 0, "exit code")
        got = w.hook.taken()[before:]
        check_equal({r.headers["content-type"] for r in got}, {expect}, "content type")
        events = [e for r in got for e in (json.loads(r.body) if name == "array" else [json.loads(x) for x in r.body.splitlines()])]
        check_equal([e["id"] for e in events], w.shop.ids, f"ids of {name}")
        check(len(got) < 50, f"{len(got)} requests for 250 events")
        check(len({r.id for r in got}) == len(got), "each request has an id of its own")


@case
def a_batch_waits_for_its_interval(w):
    """Two commits, a while apart, are one request; a stop does not wait."""
    w.hook.start()
    address = admin()
    r = daemon(w.conf(w.sink(batch={"events": 2, "interval": "60s"}), top={"admin": {"listen": address}}))
    w.shop.insert(1)
    w.shop.insert(1)
    wait_for(w.hook.taken, 20, "the request")
    check_equal([len(json.loads(x.body)) for x in w.hook.taken()], [2], "events of the request")
    w.shop.insert(1)
    wait_for(lambda: metric(address, "in_flight_events") == 1, 20, "the third event to be read")
    check_equal(r.stop(), 0, "exit code")
    check_equal(len(w.hook.taken()), 2, "one that waits is sent before a stop")


@case
def cloudevents(w):
    w.hook.start()
    w.shop.insert(2, key="a ü")
    binary = w.relayed(encode={"format": "cloudevents"})[0]
    check_equal({n: binary.headers.get(n) for n in ("ce-id", "ce-specversion", "ce-type", "ce-subject", "content-type", "ce_id")},
                {"ce-id": w.shop.ids[0], "ce-specversion": "1.0", "ce-type": "T", "ce-subject": "a%20%C3%BC", "content-type": "text/plain; charset=UTF-8",
                 "ce_id": None},
                "binary mode")
    for sink, kind in ((w.sink(), "application/cloudevents+json; charset=UTF-8"),
                       (w.sink(batch={"events": 10}, batch_format="cloudevents"), "application/cloudevents-batch+json")):
        path = w.conf(sink, {"format": "cloudevents_json"})
        proc.run(["position", "set", "-c", path, "--pipeline", "p", "beginning", "--yes"])
        before = len(w.hook.taken())
        check_equal(once(path).poll(), 0, "exit code")
        got = w.hook.taken()[before:]
        check_equal({r.headers["content-type"] for r in got}, {kind}, "content type")
        bodies = [json.loads(r.body) for r in got]
        events = [e for b in bodies for e in (b if isinstance(b, list) else [b])]
        check_equal([(e["specversion"], e["id"]) for e in events], [("1.0", i) for i in w.shop.ids], kind)


@case
def bearer_and_basic(w):
    w.hook.start()
    w.shop.insert(1)
    token = w.file("token", "T0KEN\n")
    r, = w.relayed(w.sink(auth={"bearer_file": token}))
    check_equal(r.headers["authorization"], "Bearer T0KEN", "bearer")
    w.shop.insert(1)
    r = w.relayed(w.sink(username="u", password_file=w.file("password", "p:w\n")))[-1]
    check_equal(r.headers["authorization"], "Basic dTpwOnc=", "basic")


@case
def over_tls_with_a_certificate_of_its_own(w):
    certs = Certificates()
    w.hook = Webhook(tls=certs, client_ca=certs.ca).start()
    w.shop.insert(5)
    tls = {"ca_file": certs.ca, "cert_file": certs.client_cert, "key_file": certs.client_key}
    each_once([r.id for r in w.relayed(w.sink(tls=tls))], w.shop.ids)
    w.shop.insert(5)  # by its address, under the name of its certificate
    url = w.hook.url.replace("localhost", "127.0.0.1")
    got = w.relayed(w.sink(url=f"{url}/hook", tls={**tls, "server_name": "localhost"}))
    each_once([r.id for r in got], w.shop.ids)
    check_equal(got[-1].headers["host"], f"127.0.0.1:{w.hook.port}", "the header Host")


@case
def another_url_takes_over(w):
    w.hook.start()
    second = Webhook().start()
    path = w.conf(w.sink(url=f"{w.hook.url}/one, {second.url}/two"))
    r = daemon(path)
    w.shop.insert(20)
    wait_for(lambda: set(w.hook.ids()) >= set(w.shop.ids), 20, "the first one to get all")
    w.hook.kill9()
    w.shop.insert(20)
    wait_for(lambda: set(second.ids()) >= set(w.shop.ids[20:]), 20, "the second one to get the rest")
    all_there(w.hook.ids() + second.ids(), w.shop.ids)
    check_equal(r.stop(), 0, "exit code")


@case
def a_receiver_that_wants_time_gets_it(w):
    """429, and 503 with Retry-After: no failure, and nothing comes twice but what was refused."""
    w.hook.start()
    w.hook.rules({"path": "slow", "status": 429, "headers": {"Retry-After": "1"}, "times": 2},
                 {"path": "slow", "status": 503, "headers": {"Retry-After": "1"}, "times": 1}, {"path": "slow", "status": 429, "times": 1})
    address = admin()
    r = daemon(w.conf(w.sink(url=f"{w.hook.url}/{{key}}", allow_private=True), top={"admin": {"listen": address}}))
    w.shop.insert(1, key="slow")
    for i in range(30):
        w.shop.insert(1, key=f"k{i}")
    wait_for(lambda: set(w.hook.ids()) >= set(w.shop.ids), 30, "all to arrive")
    each_once(w.hook.ids(), w.shop.ids)
    check_equal([x.status for x in w.hook.all() if x.path == "/slow"], [429, 429, 503, 429, 204], "the answers")
    check("state retrying" not in r.log and "state blocked" not in r.log, r.log)
    check_equal(metric(address, "retries_total"), 0, "retries")
    check_equal(r.stop(), 0, "exit code")


@case
def it_tells_that_the_receiver_wants_time(w):
    w.hook.start()
    w.hook.rules({"status": 429, "headers": {"Retry-After": "9999"}})
    address = admin()
    r = daemon(w.conf(top={"admin": {"listen": address}}))
    w.shop.insert(3)
    wait_for(lambda: "status 429" in page(address, "status")[1], 30, "status to tell")
    check(json.loads(page(address, "status")[1])["pipelines"][0]["state"] in ("running", "waiting"), page(address, "status")[1])
    check_equal(r.stop(), 0, "it can be stopped")


@case
def what_fails_is_sent_again(w):
    """Also when the receiver hangs up instead of answering."""
    w.hook.start()
    w.hook.rules({"status": 500, "times": 2}, {"close": True, "status": 599, "times": 1}, {"status": 408, "times": 1})
    w.shop.insert(10)
    w.relayed()
    all_there(w.hook.ids(), w.shop.ids)


@case
def poison_harms_no_neighbour(w):
    """One event of a key is refused: its neighbours, of this key too, and of its batch, are delivered."""
    w.hook.start()
    w.hook.rules({"body": "bad", "status": 422, "text": "no\nbad"})
    for sink in (w.sink(), w.sink(batch={"events": 10})):
        before = len(w.shop.ids)
        w.shop.insert(5)
        w.shop.insert(1, payload='{"n": "bad"}')
        w.shop.insert(5)
        bad = w.shop.ids[before + 5]
        path = w.conf(sink, {"format": "json"}, poison="skip")
        check_equal(once(path).poll(), 0, "exit code")
        got = [e["id"] for r in w.hook.taken() for e in (lambda b: b if isinstance(b, list) else [b])(json.loads(r.body))]
        check_equal(sorted(set(got[-1000:]) & set(w.shop.ids[before:])), sorted(set(w.shop.ids[before:]) - {bad}), "delivered")
        letters = proc.run(["dead-letters", "list", "-c", path, "--pipeline", "p"]).stdout
        check(bad in letters and "status 422" in letters, letters)


@case
def poison_of_one_key_is_not_blamed_on_another(w):
    """The answer to an earlier event is still out when a later one is refused."""
    w.hook.start()
    w.hook.rules({"path": "slow", "delay": 1}, {"path": "bad", "status": 422})
    for key in ("slow", "bad", "good", "good", "bad"):
        w.shop.insert(1, key=key)
    path = w.conf(w.sink(url=f"{w.hook.url}/{{key}}", allow_private=True), poison="skip")
    check_equal(once(path).poll(), 0, "exit code")
    all_there(w.hook.ids(), [w.shop.ids[i] for i in (0, 2, 3)])
    letters = json.loads(proc.run(["dead-letters", "list", "-c", path, "--pipeline", "p", "--json"]).stdout)["dead_letters"]
    check_equal([x["event_id"] for x in letters], [w.shop.ids[i] for i in (1, 4)], "dead letters")


@case
def what_is_open_ends_before_it_is_sent_again(w):
    """The first event is refused while a request of another key is open; all behind the first one is sent again."""
    w.hook.start()
    w.hook.rules({"path": "slow", "delay": 1}, {"path": "bad", "status": 422})
    w.shop.insert(1, key="bad")
    w.shop.insert(2, key="slow")
    w.relayed(w.sink(url=f"{w.hook.url}/{{key}}", allow_private=True), poison="skip")
    all_there(w.hook.ids(), w.shop.ids[1:])
    check_equal(max(r.same for r in w.hook.all()), 1, "requests of one key at a time")


@case
def a_proxy_of_the_environment(w):
    """The receiver stands in for the proxy: it gets the URL as a whole."""
    w.hook.start()
    w.shop.insert(2)
    got = w.relayed(w.sink(url="http://receiver.invalid/hook"), env={"http_proxy": w.hook.url, "no_proxy": None})
    check_equal({r.path for r in got}, {"http://receiver.invalid/hook"}, "path")


@case
def http2_where_it_is_offered(w):
    """nghttpd answers to POST what it got; it says which protocol was spoken."""
    certs = Certificates()
    port = proc.free_port()
    log = w.dir / "nghttpd"
    with open(log, "wb") as out:
        server = subprocess.Popen(["nghttpd", "-v", "--echo-upload", "-a", "127.0.0.1", "-d", str(w.dir), str(port), certs.key, certs.cert], stdout=out, stderr=out)
    try:
        wait_for(lambda: ssl.get_server_certificate(("127.0.0.1", port)), 20, "nghttpd")
        w.shop.insert(20, key="a")
        w.relayed({"type": "http", "url": f"https://localhost:{port}/hook", "tls": {"ca_file": certs.ca}})
        text = log.read_text(errors="replace")
        check(all(i in text for i in w.shop.ids) and ":method: POST" in text, text[-2000:])
    finally:
        server.kill()
        server.wait()


for name in ("http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"):
    os.environ.pop(name, None)
main(World)
