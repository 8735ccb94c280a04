#!/usr/bin/python3
"""Batch files in moto's S3, which others take for Amazon's in their tests. moto checks no signature, so each request goes through our own receiver,
which computes signature and checksum again. moto comes by pip when this test first needs it, into the folder that tools/cache prints."""
import hashlib
import os
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request

from support import proc, receivers
from support.proc import check_equal, fail, run, tempdir, wait_for
from support.receivers import Https
from support.relaying import config, once, pipeline
from support.shop import SqliteShop

MOTO = "moto[s3]==5.2.5"
S3 = {"key": "AKIAEXAMPLE", "secret": "a secret", "region": "eu-central-1"}


def _fetched():
    """The folder with moto, whole or not there."""
    cache = proc.downloads()
    folder = cache / "moto-5.2.5"
    if not folder.exists():
        fresh = tempfile.mkdtemp(prefix=".tmp-moto.", dir=cache)
        subprocess.run(["/usr/bin/python3", "-m", "pip", "install", "-q", "--disable-pip-version-check", "--target", fresh, MOTO, "flask",
                        "flask-cors"], check=True, capture_output=True)
        try:
            os.rename(fresh, folder)
        except OSError:  # another run was faster
            shutil.rmtree(fresh)
    return folder


class Moto(receivers._Server):
    """On plain HTTP; our receiver stands before it."""

    def start(self):
        return self._start(["/usr/bin/env", f"PYTHONPATH={_fetched()}", "AWS_ACCESS_KEY_ID=x", "AWS_SECRET_ACCESS_KEY=x", "/usr/bin/python3", "-m",
                            "moto.server", "-H", "127.0.0.1", "-p", self.port])

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def ask(self, path, method="GET", body=None):
        request = urllib.request.Request(self.url + path, body, method=method, headers={"Authorization": "AWS4-HMAC-SHA256 Credential=x/20260101/"
                                                                                  "eu-central-1/s3/aws4_request, SignedHeaders=host, Signature=0"})
        request.add_header("Content-Type", "application/xml")
        try:
            with urllib.request.urlopen(request, timeout=120) as r:
                return r.read()
        except urllib.error.HTTPError as e:
            fail(f"moto answers {e.code}: {e.read()}")


def main():
    d = tempdir("moto")
    moto = Moto(d).start()
    where = f"<CreateBucketConfiguration><LocationConstraint>{S3['region']}</LocationConstraint></CreateBucketConfiguration>"
    moto.ask("/bucket", "PUT", where.encode())
    front = Https(d, s3=S3, forward=moto.url).start()
    (d / "secret").write_text(S3["secret"])
    (d / "secret").chmod(0o600)
    target = {"name": "s3", "url": "s3://bucket/in/day=1+1, a@b", "region": S3["region"], "endpoint": f"https://127.0.0.1:{front.port}",
              "ca_file": str(front.cert), "auth": {"user": S3["key"], "password_file": str(d / "secret")}, "retry": receivers.QUICK_RETRY}
    shop = SqliteShop(d)
    shop.insert(35)
    path = config(d, pipeline(shop.source(), sink={"type": "file", "dir": str(d / "out"), "rotate": {"events": 10}, "reserve": "0B",
                                                   "compression": "zstd", "upload": [target]}), admin={"socket": str(d / "s")})
    r = once(path, 120)
    check_equal(r.poll(), 0, f"exit code\n{r.log}")
    files = sorted(p for p in (d / "out").iterdir() if not p.name.startswith("."))
    check_equal(len(files), 8, "files and manifests")
    for p in files:
        got = moto.ask(f"/bucket/in/day%3D1%2B1%2C%20a%40b/{p.name}")
        check_equal(hashlib.sha256(got).hexdigest(), hashlib.sha256(p.read_bytes()).hexdigest(), f"the bytes of {p.name} in S3")
    run(["resend", "-c", path, "--from", 11, "--to", 11], timeout=60)
    check_equal([q["name"] for q in front.requests][-2:], [files[3].name, files[2].name], "what was sent again")
    check_equal({q["status"] for q in front.requests}, {201}, "answers")
    wait_for(lambda: len(moto.ask("/bucket?list-type=2").split(b"<Key>")) == 9, 10, "eight objects")
    print("ok")


main()
