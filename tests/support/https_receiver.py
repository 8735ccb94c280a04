#!/usr/bin/python3
"""A partner's HTTPS server that keeps what it is sent: https_receiver.py DIR PORT CERTIFICATE OPTIONS, the last as JSON.

It checks all that a sender promises: the digest headers against the body; with `s3` ({key, secret, region}) the signature, which it computes
itself, and it can hand the request on to a real S3 server (`forward`: its URL). A file is seen in DIR only when it is whole. Each request is
a line of DIR/.requests. Options: bearer, basic (user:password), hold (stops in the middle of the first body of so many bytes, and says so by
DIR/.held), status (answers so, whatever is sent), look_status (answers HEAD so). Each HEAD is a line of DIR/.looks.
"""
import base64
import hashlib
import hmac
import http.server
import json
import os
import re
import ssl
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

DIR, PORT, CERTIFICATE, OPTIONS = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], json.loads(sys.argv[4])
_lock = threading.Lock()


def _hmac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def signature_fault(method, path, headers, body, s3):
    """What is wrong with a request of S3's signature version 4, as its documentation computes it; None: nothing."""
    m = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/s3/aws4_request, ?SignedHeaders=([a-z0-9;-]+), ?"
                     r"Signature=([0-9a-f]{64})", headers.get("Authorization", ""))
    if not m:
        return f"Authorization: {headers.get('Authorization')!r}"
    key, day, region, signed, got = m.groups()
    names, content = signed.split(";"), headers.get("x-amz-content-sha256")
    if (key, region) != (s3["key"], s3["region"]) or not headers["x-amz-date"].startswith(day):
        return "key, region or date"
    if content != hashlib.sha256(body).hexdigest():
        return f"x-amz-content-sha256 {content!r}"
    put = method == "PUT"
    if put and headers.get("x-amz-checksum-sha256") != base64.b64encode(hashlib.sha256(body).digest()).decode():
        return "x-amz-checksum-sha256"
    missing = {"host", "x-amz-content-sha256", "x-amz-date", *(["x-amz-checksum-sha256"] if put else [])} - set(names)
    if missing or names != sorted(names):
        return f"signed headers {names}"
    where = urllib.parse.urlsplit(path)
    lines = "".join(f"{n}:{' '.join(headers[n].split())}\n" for n in names)
    # The server makes the path anew from the key that it understood: all but the unreserved characters are encoded.
    uri = urllib.parse.quote(urllib.parse.unquote_to_bytes(where.path), safe="/-._~")
    request = "\n".join([method, uri, where.query, lines, signed, content])
    scope = f"{day}/{region}/s3/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", headers["x-amz-date"], scope, hashlib.sha256(request.encode()).hexdigest()])
    k = b"AWS4" + s3["secret"].encode()
    for part in (day, region, "s3", "aws4_request"):
        k = _hmac(k, part)
    want = _hmac(k, text).hex()
    return None if want == got else f"signature {got}, want {want}"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _body(self):
        left, parts = int(self.headers["Content-Length"]), []
        hold = OPTIONS.get("hold")
        if hold and left > hold:
            self.rfile.read(hold)
            (DIR / ".held").write_text(self.path)
            threading.Event().wait()
        while left:
            part = self.rfile.read(min(left, 1 << 16))
            if not part:
                raise ConnectionError("the body was cut off")
            parts.append(part)
            left -= len(part)
        return b"".join(parts)

    def _fault(self, body):
        h, digest = self.headers, base64.b64encode(hashlib.sha256(body).digest()).decode()
        if OPTIONS.get("bearer") and h.get("Authorization") != f"Bearer {OPTIONS['bearer']}":
            return 401, "who are you"
        basic = OPTIONS.get("basic")
        if basic and h.get("Authorization") != f"Basic {base64.b64encode(basic.encode()).decode()}":
            return 401, "who are you"
        if OPTIONS.get("s3"):
            why = signature_fault(self.command, self.path, h, body, OPTIONS["s3"])
            return (403, f"<Code>SignatureDoesNotMatch</Code> {why}") if why else None
        if h.get("Content-Digest") != f"sha-256=:{digest}:" or h.get("Digest") != f"SHA-256={digest}":
            return 400, "the digest does not fit"
        return None

    def _forward(self, body):
        own = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "content-length", "expect", "connection")}
        request = urllib.request.Request(OPTIONS["forward"] + self.path, body, own, method=self.command)
        with urllib.request.urlopen(request, timeout=120) as r:
            return r.status

    def _take(self):
        body = self._body()
        named = re.search(r'filename="([^"]+)"', self.headers.get("Content-Disposition", ""))
        name = named[1] if named else self.path.rsplit("/", 1)[1]
        fault = (OPTIONS["status"], "as I was told") if OPTIONS.get("status") else self._fault(body)
        if not fault:
            if OPTIONS.get("forward"):
                self._forward(body)
            with _lock:
                (DIR / f".new-{name}").write_bytes(body)
                os.rename(DIR / f".new-{name}", DIR / name)
        status, text = fault or (201, "")
        line = {"method": self.command, "path": self.path, "name": name, "sha256": hashlib.sha256(body).hexdigest(), "status": status,
                "type": self.headers.get("Content-Type"), "why": text}
        with _lock, open(DIR / ".requests", "a") as f:
            f.write(json.dumps(line) + "\n")
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    do_PUT = do_POST = _take

    def do_HEAD(self):
        there = (DIR / self.path.rsplit("/", 1)[1]).exists()
        why = OPTIONS.get("s3") and signature_fault("HEAD", self.path, self.headers, b"", OPTIONS["s3"])
        with _lock, open(DIR / ".looks", "a") as f:
            f.write(self.path + "\n")
        self.send_response(OPTIONS.get("look_status") or (403 if why else 200 if there else 404))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A client that broke off."""


if __name__ == "__main__":
    server = Server(("127.0.0.1", PORT), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.serve_forever()
