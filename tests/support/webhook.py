#!/usr/bin/python3
"""A receiver of webhooks in a process of its own, so that it can be killed and frozen: Webhook() for tests; run by itself it is that process.

It writes each request to a file before it answers, and does what the file `rules` in its directory says: a list of objects, of which the first
one that fits a request decides. {"path": part of it, "body": part of it, "times": how often, "status": 204, "headers": {}, "text": "", "delay": s,
"close": true}. Without rules it answers 204.
"""
import argparse
import asyncio
import atexit
import base64
import hashlib
import hmac
import json
import os
import random
import signal
import ssl
import subprocess
import sys
from pathlib import Path

if __name__ != "__main__":
    from . import guard, proc
    from .judge import Arrival


# --- the process ---

class Receiver(asyncio.Protocol):
    busy = {}  # path: requests of it that are not answered yet
    most = 0   # requests at a time, ever
    used = {}  # times of a rule
    rules, rules_at = [], None
    files = {}  # with --numbers: path: file

    def __init__(self, out, args):
        self.out, self.directory, self.jitter, self.numbers, self.pending = out, args.directory, args.jitter, args.numbers, b""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.pending += data
        while True:
            head, end, rest = self.pending.partition(b"\r\n\r\n")
            if not end:
                return
            first, *lines = head.decode("latin-1").split("\r\n")
            headers = [(n.lower(), v.strip()) for n, _, v in (line.partition(":") for line in lines)]
            size = int(dict(headers).get("content-length", 0))
            if len(rest) < size:
                return
            body, self.pending = rest[:size], rest[size:]
            method, path, _ = first.split(" ", 2)
            self.serve(method, path, headers, body)

    def rule(self, path, body):
        cls, file = Receiver, self.directory / "rules"
        try:
            at = file.stat().st_mtime_ns
            if at != cls.rules_at:
                cls.rules, cls.rules_at, cls.used = json.loads(file.read_text()), at, {}
        except FileNotFoundError:
            return {}
        for i, r in enumerate(cls.rules):
            if r.get("path", "") in path and r.get("body", "").encode() in body and cls.used.get(i, 0) < r.get("times", 1 << 60):
                cls.used[i] = cls.used.get(i, 0) + 1
                return r
        return {}

    def serve(self, method, path, headers, body):
        cls = Receiver
        if self.numbers:
            file = cls.files.get(path) or cls.files.setdefault(path, open(self.directory / path[1:], "ab", buffering=0))
            file.write(b"".join(b'{"id":"e%s"}\n' % n for n in body.split()))
        cls.busy[path] = cls.busy.get(path, 0) + 1
        cls.most = max(cls.most, sum(cls.busy.values()))
        r = self.rule(path, body)
        status = r.get("status", 204)
        record = {"method": method, "path": path, "headers": headers, "body": base64.b64encode(body).decode(), "status": status,
                  "same": cls.busy[path], "most": cls.most, "connection": id(self.transport)}
        os.write(self.out, (json.dumps(record) + "\n").encode())
        delay = r.get("delay", random.uniform(0, self.jitter))
        if delay:
            asyncio.get_running_loop().call_later(delay, self.answer, path, status, r)
        else:
            self.answer(path, status, r)

    def answer(self, path, status, r):
        Receiver.busy[path] -= 1
        if r.get("close"):
            self.transport.abort()
            return
        text = r.get("text", "").encode()
        more = "".join(f"{n}: {v}\r\n" for n, v in r.get("headers", {}).items())
        self.transport.write(f"HTTP/1.1 {status} x\r\nContent-Length: {len(text)}\r\n{more}\r\n".encode() + text)


async def serve(args):
    out = os.open(args.directory / "requests", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    context = None
    if args.cert:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(args.cert, args.key)
        if args.client_ca:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(args.client_ca)
    server = await asyncio.get_running_loop().create_server(
        lambda: Receiver(out, args), "127.0.0.1", args.port, ssl=context, backlog=512, reuse_address=True)
    (args.directory / "ready").write_text(str(os.getpid()))
    await server.serve_forever()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--cert")
    parser.add_argument("--key")
    parser.add_argument("--client-ca")
    parser.add_argument("--jitter", type=float, default=0)
    parser.add_argument("--numbers", action="store_true", help="bodies are numbers; each goes as an event into a file named after the path")
    asyncio.run(serve(parser.parse_args()))


# --- for tests ---

class Request:
    """One request as it came."""

    def __init__(self, line):
        r = json.loads(line)
        self.method, self.path, self.status, self.same, self.most = r["method"], r["path"], r["status"], r["same"], r["most"]
        self.connection = r["connection"]
        self.headers, self.body = dict(r["headers"]), base64.b64decode(r["body"])
        self.id = self.headers.get("webhook-id")

    def signed_by(self, secret):
        """Whether one of its signatures is that of this secret, by the rules of Standard Webhooks."""
        key = base64.b64decode(secret.removeprefix("whsec_"))
        text = f"{self.id}.{self.headers['webhook-timestamp']}.".encode() + self.body
        want = "v1," + base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()
        return want in self.headers["webhook-signature"].split(" ")


class Webhook:
    """tls: a Certificates, for https; client_ca: whose clients are let in; jitter: the longest delay of an answer, in seconds; numbers: see main()."""

    def __init__(self, tls=None, client_ca=None, jitter=0, numbers=False):
        self.dir = proc.tempdir("webhook")
        self.port, self.pid, self.jitter, self.numbers = proc.free_port(), None, jitter, numbers
        self.tls, self.client_ca = tls, client_ca
        self._seen = self._taken = 0
        self.url = f"{'https' if tls else 'http'}://{'localhost' if tls else '127.0.0.1'}:{self.port}"
        atexit.register(self.kill9)

    def start(self):
        (self.dir / "ready").unlink(missing_ok=True)
        words = ["--jitter", str(self.jitter), *["--numbers"] * self.numbers]
        if self.tls:
            words += ["--cert", self.tls.cert, "--key", self.tls.key]
        if self.client_ca:
            words += ["--client-ca", self.client_ca]
        with open(self.dir / "log", "ab") as log:
            self._p = subprocess.Popen([sys.executable, __file__, str(self.port), self.dir, *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        proc.register_log(self.dir / "log")
        self.pid = self._p.pid
        guard.watch_pid(self.pid)
        proc.wait_for(lambda: (self.dir / "ready").exists(), 20, "the receiver to listen")
        return self

    def kill9(self):
        if self.pid:
            self._p.kill()
            self._p.wait()
            guard.forget_pid(self.pid)
            self.pid = None

    def sigstop(self):
        os.kill(self.pid, signal.SIGSTOP)
        proc.wait_for(lambda: guard.stands(self.pid), 10, "the receiver to stand still")

    def sigcont(self):
        os.kill(self.pid, signal.SIGCONT)

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        self.kill9()

    def rules(self, *rules):
        """Whole or not there: the process may read at any time."""
        (self.dir / "rules.new").write_text(json.dumps(rules))
        (self.dir / "rules.new").rename(self.dir / "rules")

    def all(self):
        """Every request so far, in the order in which they came."""
        try:
            with open(self.dir / "requests", "rb") as f:
                return [Request(x) for x in f if x.endswith(b"\n")]
        except FileNotFoundError:
            return []

    def taken(self):
        """Those that were answered with 2xx, or would have been."""
        return [r for r in self.all() if 200 <= r.status < 300]

    def ids(self):
        return [r.id for r in self.taken()]

    def count(self):
        try:
            return (self.dir / "requests").read_bytes().count(b"\n")
        except FileNotFoundError:
            return 0

    def count_taken(self):
        """How many requests were answered with 2xx, or would have been; only what is new is read."""
        try:
            with open(self.dir / "requests", "rb") as f:
                f.seek(self._seen)
                new = f.read()
        except FileNotFoundError:
            return 0
        new = new[:new.rfind(b"\n") + 1]
        self._seen += len(new)
        self._taken += new.count(b'"status": 2')
        return self._taken

    def arrivals(self):
        """Of a URL that ends with /{key}."""
        return [Arrival("http", r.path.rsplit("/", 1)[1], r.id, r.body) for r in self.taken()]


class Certificates:
    """An authority, a server's certificate for localhost, and a client's, made by openssl."""

    def __init__(self, name="ca", host="localhost"):
        d = proc.tempdir("certificates")
        self.ca, self.cert, self.key = f"{d}/ca.pem", f"{d}/server.pem", f"{d}/server.key"
        self.client_cert, self.client_key = f"{d}/client.pem", f"{d}/client.key"
        (d / "san").write_text(f"subjectAltName=DNS:{host}\n")
        self._openssl("req", "-x509", *self._new(f"{d}/ca.key"), "-out", self.ca, "-days", "2", "-subj", f"/CN={name}")
        for stem, more in (("server", ["-extfile", f"{d}/san"]), ("client", [])):
            self._openssl("req", *self._new(f"{d}/{stem}.key"), "-out", f"{d}/{stem}.csr", "-subj", f"/CN={stem}")
            self._openssl("x509", "-req", "-in", f"{d}/{stem}.csr", "-CA", self.ca, "-CAkey", f"{d}/ca.key", "-CAcreateserial", "-days", "2",
                          "-out", f"{d}/{stem}.pem", *more)

    @staticmethod
    def _new(key):
        return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key]

    @staticmethod
    def _openssl(*words):
        subprocess.run(["openssl", *words], check=True, capture_output=True)


if __name__ == "__main__":
    main()
