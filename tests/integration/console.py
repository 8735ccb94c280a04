#!/usr/bin/python3
"""The console's API: what it shows, who may act, what an act does, and that nothing rests for ever. Against a running relay.

    console.py [NAME...]     only these checks
"""
import base64
import hashlib
import http.client
import json
import os
import pty
import re
import signal
import socket

from support import proc
from support.arrivals import ids, wait_ids
from support.cases import case, main
from support.proc import check, check_equal, run, tempdir, wait_for
from support.relaying import admin, config, daemon, pipeline
from support.shop import SqliteShop

TOKEN, SECRET, KEY = "t0ken-t0ken-t0ken-t0ken", "s3cretpassword", "anna@example.org"


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=proc.LEAST)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(proc.LEAST)
        self.sock.connect(self.path)


class Place:
    """A shop, a relay that parks the key of an event whose topic is not allowed, and its console."""

    def __init__(self, d, actions=True, listen=None):
        self.d, self.listen = d, listen or admin()
        self.shop = SqliteShop(d)
        self.log = d / "audit.log"
        token = d / "token"
        token.write_text(TOKEN + "\n")
        token.chmod(0o600)
        self.conf = {"listen": self.listen, "actions": actions, "token_file": str(token)}
        self.config()

    def config(self, **top):
        p = pipeline(self.shop.source(), topic="shop.{aggregatetype}", poison="park_key", route={"allow_topics": ["shop.order"]})
        self.path = config(self.d, p, audit={"path": str(self.log)}, **{"admin": self.conf, **top})
        return self.path

    def start(self, state="running"):
        self.relay = daemon(self.path)
        self.relay.wait_log(f"state {state}")
        return self.relay

    def connection(self):
        if self.listen.startswith("unix:"):
            return UnixConnection(self.listen[len("unix:"):])
        host, port = self.listen.split(":")
        return http.client.HTTPConnection(host, int(port), timeout=proc.LEAST)

    def ask(self, path, body=None, token=True, headers=None, method=None, status=200):
        """The answer as JSON, or as text if it is none."""
        c = self.connection()
        given = {**({"Authorization": "Bearer " + TOKEN} if token else {}), **({} if body is None else {"Content-Type": "application/json"}),
                 **(headers or {})}
        c.request(method or ("GET" if body is None else "POST"), path, None if body is None else body if isinstance(body, str) else json.dumps(body), given)
        r = c.getresponse()
        self.headers, text = dict(r.getheaders()), r.read().decode()
        c.close()
        check_equal(r.status, status, f"{path}: {text[:300]}")
        try:
            return json.loads(text)
        except ValueError:
            return text

    def one(self):
        return self.ask("/api/v1/pipelines")["pipelines"][0]

    def order(self, verb, body=None, **how):
        """Gives an order and waits for its answer."""
        given = self.ask(f"/api/v1/pipelines/p/{verb}", body or {}, status=202, **how)["id"]
        wait_for(lambda: self.one()["order"] >= given, 15, f"the answer of {verb}")
        return self.one()["order_answer"]

    def letters(self, **how):
        return self.ask("/api/v1/pipelines/p/dead-letters", **how)["dead_letters"]

    def audited(self, event):
        lines = [json.loads(x) for x in self.log.read_text().splitlines()]
        return [x for x in lines if x["event"] == event]


@case
def what_it_shows(d):
    p = Place(d)
    with p.start():
        p.shop.insert(3)
        wait_ids(lambda: ids(p.relay), p.shop.ids)
        page = p.ask("/", token=False)
        policy = p.headers["Content-Security-Policy"]
        for tag in ("script", "style"):
            inner = re.search(f"<{tag}>(.*)</{tag}>", page, re.S)[1]
            want = base64.b64encode(hashlib.sha256(inner.encode()).digest()).decode()
            check(f"{tag}-src 'sha256-{want}'" in policy, f"the {tag} of the page is not the one of {policy}")
        check("default-src 'none'" in policy and "unsafe" not in policy, policy)
        wait_for(lambda: p.one()["events_delivered_total"] == 3, 15, "the count")
        row = p.one()
        check_equal((row["name"], row["state"], row["sink"]), ("p", "running", "stdout"), "the record")
        check("read_per_second" in row and "delivered_per_second" in row, f"no rates: {row}")
        wait_for(lambda: p.ask("/api/v1/pipelines/p/graph")["lag_seconds"], 15, "a sample")
        check_equal(p.ask("/api/v1/pipelines")["sees"], True, "sees, with the token")
        check_equal(p.ask("/api/v1/pipelines", token=False)["sees"], False, "sees, without")
        lines = p.ask("/api/v1/log", token=False)["lines"]
        check(any("state running" in x["text"] and x["pipeline"] == "p" for x in lines), f"no line of the start: {lines}")
        check_equal(p.ask(f"/api/v1/log?after={lines[-1]['number']}")["lines"], [], "what is behind the last line")
        wait_for(lambda: p.ask("/api/v1/pipelines/p/positions")["delivered"] == 3, 15, "the saved position")
        check_equal(p.ask("/api/v1/pipelines/p/positions")["epoch"], 1, "epoch")
        for path, status in (("/x", 404), ("/api/v1/pipelines/nobody/graph", 404), ("/api/v1/pipelines/p/dead-letters/7", 404)):
            check("error" in p.ask(path, status=status), f"{path}: no error")
        p.ask("/api/v1/pipelines/p/pause", status=405)
        p.ask("/api/v1/log", method="DELETE", status=405)
        check(p.ask("/api/v1/check")["text"].count("OK") >= 3, "check --connect")


@case
def secrets_stay_hidden(d):
    p = Place(d)
    sink = {"type": "kafka", "brokers": "127.0.0.1:1", "properties": {"sasl.username": "u", "sasl.password": SECRET}}
    more = pipeline(p.shop.source(), sink, topic="t", name="q")
    whole = json.loads(p.path.read_text())
    whole["pipelines"].append(more)
    whole["store"]["url"] = f"postgresql://app:{SECRET}@127.0.0.1:1/x"
    p.path.write_text(json.dumps(whole))
    with p.start():
        text = json.dumps([p.ask("/api/v1/config"), p.ask("/api/v1/pipelines"), p.ask("/api/v1/log")])
        check(SECRET not in text and TOKEN not in text, f"a secret is shown: {text}")
        settings = {x["key"]: x["value"] for x in p.ask("/api/v1/config", token=False)["settings"]}
        check_equal((settings["store.url"], settings["admin.token"], settings["pipelines.p.delivery.poison"]),
                    ("postgresql://127.0.0.1:1/***", "***", "park_key"), "settings")


@case
def who_may_act(d):
    """A page of another site, a form, somebody without the token, and a relay that only shows."""
    p = Place(d)
    pause, here = "/api/v1/pipelines/p/pause", f"http://{p.listen}"
    with p.start():
        p.shop.insert(1, key=KEY, topic="odd", payload=json.dumps({"v": SECRET}))
        wait_for(p.letters, 15, "a dead letter")
        p.ask(pause, {}, token=False, status=401)
        p.ask(pause, {}, token=False, headers={"Authorization": "Bearer " + TOKEN[:-1] + "x"}, status=401)
        p.ask(pause, {}, headers={"Origin": "http://evil.example"}, status=403)
        p.ask(pause, {}, headers={"Origin": "null"}, status=403)
        for path in ("/api/v1/pipelines", "/api/v1/log", "/events"):
            p.ask(path, headers={"Origin": "http://evil.example"}, status=403)
            p.ask(path, headers={"Sec-Fetch-Site": "same-site"}, status=403)
        p.ask("/", headers={"Sec-Fetch-Site": "cross-site"})  # a link to the page
        p.ask(pause, " " * (2 << 20), token=False, status=401)  # is not even kept
        p.ask(pause, " " * (2 << 20), status=413)
        p.ask(pause, {}, headers={"Sec-Fetch-Site": "cross-site"}, status=403)
        p.ask(pause, {}, headers={"Host": "evil.example"}, status=403)
        p.ask(pause, "a=b", headers={"Content-Type": "application/x-www-form-urlencoded"}, status=415)
        check_equal(p.one()["state"], "running", "after all of these")
        check_equal(p.audited("pause"), [], "acts")
        [letter] = p.letters(token=False)
        check_equal((letter["key"], "payload" in letter), (None, False), "of a dead letter, without the token")
        check_equal([x["key"] for x in p.ask("/api/v1/pipelines/p/parked", token=False)["parked_keys"]], [None], "parked keys, without")
        p.ask(f"/api/v1/pipelines/p/dead-letters/{letter['id']}", token=False, status=401)
        p.ask("/api/v1/check", token=False, status=401)
        whole = p.ask(f"/api/v1/pipelines/p/dead-letters/{letter['id']}")
        check_equal((whole["key"], json.loads(whole["payload"])), (KEY, {"v": SECRET}), "with the token")
        check("paused" in p.order("pause", headers={"Origin": here, "Sec-Fetch-Site": "same-origin"}), "the page itself")
        p.relay.stop()
    p.conf["actions"] = False
    p.config()
    with p.start("paused"):
        p.ask("/api/v1/pipelines/p/resume", {}, status=403)
        check_equal(p.one()["state"], "paused", "of a relay that only shows")


@case
def a_poison_event_is_mended(d):
    """Seen, shown, edited, sent again; what waited behind it follows. The audit log says who did it."""
    p = Place(d)
    with p.start():
        p.shop.insert(1, key=KEY, topic="odd")
        p.shop.insert(2, key=KEY)
        wait_for(lambda: p.one()["parked_events"] == 2, 15, "two that wait")
        [letter] = p.letters()
        check_equal(letter["waiting"], 2, "what waits behind it")
        path = f"/api/v1/pipelines/p/dead-letters/{letter['id']}"
        check("error" in p.ask(path + "?edits=0", '{"payload": {', status=400), "an edit that is no JSON")
        check("error" in p.ask(path + "?edits=0", {"headers": []}, status=400), "headers that are none")
        check("error" in p.ask(path + "?edits=3", {"topic": "shop.order"}, status=409), "an edit of something older")
        check_equal(p.audited("dead_letter_edit"), [], "edits that were refused")
        check_equal(p.ask(path + "?edits=0", {"topic": "shop.order", "payload": '{"n":  1.50}\r\n'}), {"edits": 1}, "the edit")
        check_equal(p.ask(path)["edited"], {"topic": "shop.order", "payload": '{"n":  1.50}\r\n'}, "byte for byte")
        check_equal([p.ask(path)["now"][x] for x in ("topic", "key")], ["shop.order", KEY], "what a retry sends")
        p.order("retry", {"ids": [letter["id"]]})
        wait_ids(lambda: ids(p.relay), p.shop.ids)
        check_equal(ids(p.relay), p.shop.ids, "in the order of the key")
        wait_for(lambda: p.one()["parked_keys"] == 0, 15, "no parked key")
        check_equal(p.letters(), [], "open dead letters")
        check_equal([x["id"] for x in p.ask("/api/v1/pipelines/p/dead-letters?all=yes")["dead_letters"]], [letter["id"]], "all of them")
        for event in ("dead_letter_edit", "dead_letter_retry"):
            check_equal([x["who"] for x in p.audited(event)], ["token"], f"who: {event}")


@case
def over_a_unix_socket(d):
    """No token is needed; the audit log names the user at the other end."""
    p = Place(d, listen=f"unix:{d}/console.sock")
    del p.conf["token_file"]
    p.config()
    with p.start():
        p.shop.insert(1)
        wait_ids(lambda: ids(p.relay), p.shop.ids)
        check_equal(p.ask("/api/v1/pipelines", token=False)["sees"], True, "sees")
        check("paused" in p.order("pause", token=False), "pause")
        wait_for(lambda: p.one()["state"] == "paused", 15, "the pause")
        p.shop.insert(1)
        p.order("position", {"to": "beginning"}, token=False)
        p.order("resume", token=False)
        wait_for(lambda: len(ids(p.relay)) == 3, 15, "the first one again, and the second")
        check("refused" in p.order("position", {"to": "nowhere"}, token=False), "a position that is none")
        for event in ("pause", "position_set", "resume"):
            check_equal([x["who"]["uid"] for x in p.audited(event)], [os.getuid()], f"who: {event}")


@case
def events_come_by_themselves(d):
    """And a relay with listeners stops, and moves its port, as if there were none."""
    p = Place(d)
    with p.start():
        c = p.connection()
        c.request("GET", "/events")
        r = c.getresponse()
        check_equal(r.getheader("Content-Type"), "text/event-stream", "type")

        def until(state):
            while True:
                line = r.readline().decode()
                check(line, f"the stream ended before {state}")
                if line.startswith("data: ") and json.loads(line[6:])["pipelines"][0]["state"] == state:
                    return
        until("running")
        p.order("pause")
        until("paused")
        before = p.listen
        p.listen = p.conf["listen"] = admin()
        p.config()
        p.relay.signal(signal.SIGHUP)
        p.relay.wait_log("reloaded")
        check_equal(p.one()["state"], "paused", f"at another port than {before}")
        try:
            while r.readline():  # the old port is closed, and so is what listened there
                pass
        except (http.client.HTTPException, OSError):
            pass
        c.close()
        c = p.connection()
        c.request("GET", "/events")
        check_equal(c.getresponse().status, 200, "events at the new port")
        check_equal(p.relay.stop(), 0, "exit code with a listener")


@case
def watch(d):
    """Lines where it is no terminal; on one it draws in place. Ctrl-C ends it with 0."""
    p = Place(d)
    with p.start():
        w = proc.Relay(["status", "-c", p.path, "--watch"], name="watch")
        wait_for(lambda: w.stdout.count(" p state=running") >= 2, 15, "two rounds")
        p.order("pause")
        wait_for(lambda: " p state=paused" in w.stdout, 15, "the pause")
        check("\x1b" not in w.stdout, "escapes without a terminal")
        w.signal(signal.SIGINT)
        check_equal(w.wait_exit(), 0, "exit code")
        pid, fd = pty.fork()
        if pid == 0:
            os.execve(proc.BIN, [proc.BIN, "status", "-c", str(p.path), "--watch"], {**os.environ, "TERM": "xterm"})
        text = ""
        while text.count("\x1b[H") < 2:
            text += os.read(fd, 4096).decode(errors="replace")
        check("PIPELINE" in text and "paused" in text and "\x1b[J" in text, f"a screen: {text!r}")
        os.write(fd, b"\x03")
        while True:
            try:
                if not os.read(fd, 4096):
                    break
            except OSError:  # the other end of the terminal is closed
                break
        check_equal(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0, "exit code on a terminal")
        p.relay.stop()
    run(["status", "-c", p.path, "--watch", "--json"], code=64)


main(lambda: tempdir("console"))
