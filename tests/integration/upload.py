#!/usr/bin/python3
"""Complete batch files at their receivers: an HTTPS server, an sshd and S3, each killed in the middle, and the relay killed at each step. No
receiver ever shows a part of a file or lacks one, and what comes twice has the same name and bytes.

    upload.py [NAME...]     only these cases
"""
import hashlib
import json
import os
import shutil
import urllib.parse
from pathlib import Path

from support import receivers
from support.arrivals import MANIFEST
from support.cases import case, main
from support.disk import Disk
from support.proc import check, check_equal, run, tempdir, wait_for
from support.proxy import Proxy
from support.receivers import Https, Sftp
from support.relaying import admin, config, daemon, metric, once, page, pipeline
from support.shop import SqliteShop

POINTS = ("upload_after_manifest", "upload_after_send", "upload_after_record")


def _configured(d, targets=(), count=25, big=False, **sink):
    """A shop and a configuration that makes files of ten events."""
    shop = SqliteShop(d)
    shop.insert(count, payload=json.dumps({"x": "y" * 300_000}) if big else '{"n": 1}')
    return shop, _relay(d, shop, targets, **sink)


def _relay(d, shop, targets=(), **sink):
    more = {"upload": list(targets)} if targets else {}
    return config(d, pipeline(shop.source(), sink={"type": "file", "dir": str(d / "out"), "rotate": {"events": 10, "interval": "50ms"},
                                                   "reserve": "0B", **more, **sink}), admin={"socket": str(d / "s")})


def _files(folder):
    """What a reader sees there: name -> digest."""
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in Path(folder).iterdir() if not p.name.startswith(".")}


def _data(folder):
    return sorted(n for n in _files(folder) if not n.endswith(MANIFEST))


def _whole(d, inbox):
    """The receiver shows all files, each as it lies at home."""
    check_equal(_files(inbox), _files(d / "out"), "what the receiver has")


def _idle(path, code=0, **how):
    r = once(path, 60, **how)
    check_equal(r.poll(), code, f"exit code\n{r.log}")
    return r


def _targets(path):
    return {t["name"]: t for t in json.loads(run(["status", "-c", path, "--json"]).stdout)["pipelines"][0].get("targets", [])}


def _failing(path, name, fragment):
    """Until the target says that of its last try."""
    return wait_for(lambda: fragment in (_targets(path)[name]["error"] or "") and _targets(path)[name], 30,
                    f"{fragment!r} in the error of {name}", ignore=(OSError, KeyError))


def _until(path, name, cond, what):
    """Until this is so of the target."""
    wait_for(lambda: cond(_targets(path)[name]), 30, what, ignore=(OSError, KeyError))


def _repeats_are_equal(requests):
    seen = {}
    for r in requests:
        if r["status"] == 201:
            check_equal(seen.setdefault(r["name"], r["sha256"]), r["sha256"], f"the bytes of {r['name']}, sent again")


# --- HTTPS ---

@case
def https_put(d):
    """Manifest before file, each with its digest; nothing comes a second time after the next start."""
    server = Https(d, bearer="a token").start()
    (d / "token").write_text("a token\n")
    (d / "token").chmod(0o600)
    shop, path = _configured(d, [server.target(auth={"bearer_file": str(d / "token")})])
    _idle(path)
    _whole(d, server.inbox)
    names = [r["name"] for r in server.requests]
    check_equal(names, [n for f in _data(d / "out") for n in (f + MANIFEST, f)], "the order of the requests")
    check_equal({(r["method"], r["type"]) for r in server.requests},
                {("PUT", "application/json"), ("PUT", "application/x-ndjson")}, "methods and types")
    shop.insert(3)
    _idle(path)
    check_equal(len(server.requests), len(names) + 2, "requests after a second start")
    _whole(d, server.inbox)


@case
def https_post(d):
    server = Https(d, basic="relay:secret").start()
    (d / "password").write_text("secret")
    (d / "password").chmod(0o600)
    target = server.target(method="POST", auth={"user": "relay", "password_file": str(d / "password")})
    _, path = _configured(d, [target], compression="gzip")
    _idle(path)
    _whole(d, server.inbox)
    check_equal({(r["method"], r["path"]) for r in server.requests}, {("POST", "/in/")}, "requests")


@case
def https_killed(d):
    """The server dies in the middle of a file: it shows nothing of it, and gets it again."""
    server = Https(d).start(hold=100_000)
    _, path = _configured(d, [server.target()], count=12, big=True)
    r = daemon(path)
    wait_for((server.inbox / ".held").exists, 30, "the server to be in the middle of a file")
    server.kill()
    check_equal(_data(server.inbox), [], "files at a server that died in the middle of the first")
    _failing(path, "partner", "cannot send")
    server.start()
    wait_for(lambda: _files(server.inbox) == _files(d / "out") and len(_data(d / "out")) > 1, 60, "all files to arrive")
    _repeats_are_equal(server.requests)
    check_equal(r.stop(), 0, "exit code")


@case
def relay_killed(d):
    """kill -9 at each step of the uploader."""
    server = Https(d).start()
    shop, path = _configured(d, [server.target()], count=0)
    for point in POINTS:
        shop.insert(25)
        r = once(path, 60, env={"COMMITRELAY_FAULT": f"{point}@2:kill"})
        check_equal(r.poll(), -9, f"the relay at {point}\n{r.log}")
        for name, digest in _files(server.inbox).items():
            check_equal(digest, _files(d / "out")[name], f"{name} at the receiver, the relay killed at {point}")
        _idle(path)
        _whole(d, server.inbox)
    _repeats_are_equal(server.requests)


@case
def one_is_down(d):
    """It holds up neither the relay nor another target, and goes on by itself."""
    up, down, address = Https(d).start(), Https(d), admin()
    shop = SqliteShop(d)
    shop.insert(25)
    sink = {"type": "file", "dir": str(d / "out"), "rotate": {"events": 10, "interval": "50ms"}, "reserve": "0B",
            "upload": [down.target("down"), up.target("up")]}
    path = config(d, pipeline(shop.source(), sink=sink), admin={"listen": address, "socket": str(d / "s")})
    r = daemon(path)
    _failing(path, "down", "cannot send to https://127.0.0.1")
    wait_for(lambda: _targets(path)["up"]["accepted"] == 25, 30, "the other target to have all")
    _whole(d, up.inbox)
    wait_for(lambda: _targets(path)["down"]["open"], 30, "its breaker to open")
    wait_for(lambda: metric(address, "target_failing") == 1, 30, "the metric")
    check('commitrelay_target_accepted_number{pipeline="p",target="up"} 25' in page(address, "metrics")[1], "the metric of the other")
    text = " ".join(run(["status", "-c", path]).stdout.split())
    check("upload down has all up to number 0; 3 files wait; the last try failed: down: cannot send" in text, text)
    shop.insert(5)
    down.start()
    wait_for(lambda: _targets(path)["down"]["accepted"] == 30, 30, "it to have all")
    wait_for(lambda: _targets(path)["up"]["accepted"] == 30, 30, "the other one too")
    _whole(d, down.inbox)
    _whole(d, up.inbox)
    check("upload down works again" in r.log, r.log)
    check_equal(r.stop(), 0, "exit code")


@case
def refused_https(d):
    """What the operator has to change is named, and nothing is accepted meanwhile."""
    server, other = Https(d, basic="relay:secret").start(), receivers.certificate(d, "other")
    password = d / "password"
    password.write_text("a very wrong one")
    password.chmod(0o600)
    wrong = {"user": "relay", "password_file": str(password)}
    _, path = _configured(d, [server.target("ca", ca_file=str(other), auth=wrong), server.target("password", auth=wrong)], count=3)
    r = daemon(path)
    _failing(path, "ca", "is not trusted: let ca_file name the authority")
    _failing(path, "password", "answered 401 to p-00000000000000000001-00000000000000000003.jsonl.manifest.json: check auth")
    check("is not trusted: let ca_file name" in run(["check", "-c", path, "--connect"], code=78, timeout=60).stdout, "what check says")
    check_equal({t["accepted"] for t in _targets(path).values()}, {0}, "accepted")
    check_equal(_data(server.inbox), [], "what the server has")
    check_equal(r.stop(), 0, "exit code")
    check("very wrong" not in r.log, "the password in the log")
    server.kill()
    server.start(status=507)
    password.write_text("secret")
    r = daemon(path)
    _failing(path, "password", "its disk is full or a quota used up; it says: as I was told")
    check_equal(r.stop(), 0, "exit code")


@case
def removed_before(d):
    """A file that is gone before it was sent is a gap that nobody may overlook."""
    server = Https(d)
    shop, path = _configured(d, [server.target()])
    server.start()
    _idle(path)
    server.kill()
    shop.insert(20)
    r = daemon(path)
    wait_for(lambda: len(_data(d / "out")) == 5, 30, "more files")
    check_equal(r.stop(), 0, "exit code")
    gone = d / "out" / _data(d / "out")[3]
    manifest = gone.with_name(gone.name + MANIFEST)
    for p in (gone, manifest):
        shutil.move(p, d / p.name)
    server.start()
    r = daemon(path)
    _failing(path, "partner", "with the numbers 26 to 35 were removed from")
    check_equal(r.stop(), 0, "exit code")
    shutil.copy(d / gone.name, gone)
    r = daemon(path)
    _failing(path, "partner", "has no manifest")
    check_equal(r.stop(), 0, "exit code")
    shutil.copy(d / manifest.name, manifest)
    with open(gone, "ab") as f:
        f.write(b"more")
    r = daemon(path)
    _failing(path, "partner", "was changed after it was written")
    check_equal(r.stop(), 0, "exit code")
    shutil.move(d / gone.name, gone)
    _idle(path)
    _whole(d, server.inbox)


@case
def record_damaged(d):
    """What is not known to have been accepted, or by what numbers, is not guessed."""
    server = Https(d).start()
    shop, path = _configured(d, [server.target()])
    _idle(path)
    record = d / "out/.commitrelay/p.upload.partner"
    record.write_text(record.read_text().replace("last 2", "last 1"))
    r = _idle(path, code=69)
    check("p.upload.partner is damaged" in r.log, r.log)
    record.unlink()
    _idle(path)
    _repeats_are_equal(server.requests)
    shop.script("delete from commitrelay_positions")  # as if the database had been made anew
    for p in [*(d / "out").glob("p-*"), *(d / "out/.commitrelay").glob("p.[dl]*")]:
        p.unlink()
    r = _idle(path, code=69)
    check("the target partner has accepted files of pipeline p up to number 25, but the stored position knows of 0" in r.log, r.log)


# --- SFTP ---

@case
def sftp(d):
    server = Sftp(d).start()
    shop, path = _configured(d, [server.target()])
    _idle(path)
    _whole(d, server.inbox)
    for point in ("upload_after_temp", *POINTS):
        shop.insert(25)
        r = once(path, 60, env={"COMMITRELAY_FAULT": f"{point}@2:kill"})
        check_equal(r.poll(), -9, f"the relay at {point}\n{r.log}")
        for name, digest in _files(server.inbox).items():
            check_equal(digest, _files(d / "out")[name], f"{name} at the receiver, the relay killed at {point}")
        _idle(path)
        _whole(d, server.inbox)
        check_equal([p.name for p in server.inbox.glob(".tmp-*")], [], f"temporary files, the relay killed at {point}")


@case
def sftp_killed(d):
    """The server dies while a file is written, and so does the relay: what is left of it is no file, and is removed."""
    server = Sftp(d).start()
    with Proxy("127.0.0.1", server.port) as proxy:
        server.knows(server.host_key, proxy.port)
        _, path = _configured(d, [server.target(port=proxy.port)], count=12, big=True)
        proxy.throttle(300_000, "up")
        for dies in ("server", "relay"):
            r = daemon(path)
            wait_for(lambda: any(p.stat().st_size > 100_000 for p in server.inbox.glob(".tmp-*")), 60, "the middle of a file")
            check_equal(_data(server.inbox), [], "files that are not whole")
            if dies == "server":
                server.kill()
                _failing(path, "partner", "cannot send to sftp://")
                server.start()
            r.kill9()
        proxy.heal()
        _idle(path)
        _whole(d, server.inbox)
        check_equal([p.name for p in server.inbox.glob(".tmp-*")], [], "temporary files")


@case
def sftp_refused(d):
    """A wrong host key, a wrong key of ours, a missing directory, another file of that name."""
    server = Sftp(d).start()
    stranger = server.key("stranger")
    shop, path = _configured(d, [server.target()], count=3)
    server.knows(stranger)
    r = daemon(path)
    _failing(path, "partner", "the host key of sftp://127.0.0.1")
    check("the host key of sftp://127.0.0.1" in run(["check", "-c", path, "--connect"], code=78, timeout=60).stdout, "what check says")
    check_equal(r.stop(), 0, "exit code")  # before the file can be sent
    server.knows(server.host_key)
    run(["check", "-c", path, "--connect"], timeout=60)
    wrong = _relay(d, shop, [server.target(key_file=str(stranger))])
    r = daemon(wrong)
    _failing(wrong, "partner", "does not let us in: check the user, and that its key is allowed there")
    check_equal(r.stop(), 0, "exit code")
    nowhere = {**server.target(), "url": server.target()["url"] + "/nowhere"}
    wrong = _relay(d, shop, [nowhere])
    r = daemon(wrong)
    _failing(wrong, "partner", "is no directory that we may write to")
    check_equal(r.stop(), 0, "exit code")
    path = _relay(d, shop, [server.target()])
    (name,) = _data(d / "out")
    (server.inbox / name).write_text("somebody else's\n")
    r = daemon(path)
    _failing(path, "partner", f"a file {name} with other content lies in")
    check_equal((server.inbox / name).read_text(), "somebody else's\n", "what lay there")
    (server.inbox / name).unlink()
    wait_for(lambda: _targets(path)["partner"]["accepted"] == 3, 30, "it to be sent")
    check_equal(r.stop(), 0, "exit code")
    _whole(d, server.inbox)


@case
def sftp_write_only(d):
    """A server that takes files and shows none: what cannot be compared after a repetition is named, and nothing is replaced."""
    server = Sftp(d).start(denied="read")
    shop, path = _configured(d, [server.target()], count=3)
    r = once(path, 60, env={"COMMITRELAY_FAULT": "upload_after_send:kill"})
    check_equal(r.poll(), -9, f"the relay, before it noted that the file was taken\n{r.log}")
    _whole(d, server.inbox)
    (name,) = _data(d / "out")
    r = daemon(path)
    _failing(path, "partner", f"a file {name}{MANIFEST} lies in sftp://127.0.0.1:{server.port}{server.inbox}/ already and may not be read")
    _whole(d, server.inbox)
    server.kill()
    server.start()
    _until(path, "partner", lambda t: t["accepted"] == 3, "the comparison, once it may read")
    check_equal(r.stop(), 0, "exit code")
    _whole(d, server.inbox)
    check_equal([x.name for x in server.inbox.glob(".tmp-*")], [], "temporary files")


@case
def sftp_full(d):
    """The receiver's disk is full: nobody sees a part, and it goes on once there is room."""
    with Disk(d / "disk", "size=1m") as disk:
        (disk.seen / "inbox").mkdir()
        server = Sftp(d, before=disk.before[:-1], inbox=disk.path / "inbox").start()
        inbox = disk.seen / "inbox"
        _, path = _configured(d, [server.target()], count=12, big=True)
        r = daemon(path)
        _failing(path, "partner", "took only a part of the file: its disk may be full")
        check_equal(_data(inbox), [], "files that are not whole")
        disk.remount("size=64m")
        wait_for(lambda: _files(inbox) == _files(d / "out") and len(_data(d / "out")) > 1, 60, "all files to arrive")
        check_equal(r.stop(), 0, "exit code")
        check_equal([p.name for p in inbox.glob(".tmp-*")], [], "temporary files")
        server.kill()


# --- S3 ---

S3 = {"key": "AKIAEXAMPLE", "secret": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "region": "eu-central-1"}


def _s3_target(server, d, secret=S3["secret"], **more):
    (d / "secret").write_text(secret)
    (d / "secret").chmod(0o600)
    return {"name": "s3", "url": "s3://bucket/some/prefix", "region": S3["region"], "endpoint": f"https://127.0.0.1:{server.port}",
            "ca_file": str(server.cert), "auth": {"user": S3["key"], "password_file": str(d / "secret")}, "retry": receivers.QUICK_RETRY, **more}


@case
def s3(d):
    """Every signature and checksum is computed again by the server; it dies in the middle; a wrong secret is named."""
    server = Https(d, s3=S3).start(hold=100_000)
    _, path = _configured(d, [_s3_target(server, d)], count=12, big=True)
    r = daemon(path)
    wait_for((server.inbox / ".held").exists, 30, "the server to be in the middle of a file")
    server.kill()
    check_equal(_data(server.inbox), [], "files at a server that died in the middle of the first")
    r.kill9()
    server.start()
    _idle(path)
    _whole(d, server.inbox)
    _repeats_are_equal(server.requests)
    check_equal({r["path"].rsplit("/", 1)[0] for r in server.requests}, {"/bucket/some/prefix"}, "where they lie")
    check_equal({r["status"] for r in server.requests}, {201}, "answers")


@case
def s3_prefix(d):
    """A prefix with signs that are encoded in a URL: the server signs them as AWS does."""
    server = Https(d, s3=S3).start()
    prefix = "day=2026-11-30/a+b,c@d e\u00e4!$&'()*;:~._-"
    shop, path = _configured(d, [_s3_target(server, d, url=f"s3://bucket/{prefix}", acknowledge={"suffix": ".ack", "resend_after": "1h"})], count=3)
    _idle(path)
    _whole(d, server.inbox)
    (server.inbox / f"{_data(d / 'out')[0]}.ack").touch()
    r = daemon(path)
    _until(path, "s3", lambda t: t["unconfirmed"] == 0, "the look for the confirmation, which is signed too")
    check_equal(r.stop(), 0, "exit code")
    check_equal({urllib.parse.unquote(q["path"].rsplit("/", 1)[0]) for q in server.requests}, {f"/bucket/{prefix}"}, "where they lie")
    check_equal({q["status"] for q in server.requests}, {201}, "answers")


@case
def s3_wrong_secret(d):
    server = Https(d, s3=S3).start()
    _, path = _configured(d, [_s3_target(server, d, secret="wrong")], count=3)
    r = daemon(path)
    _failing(path, "s3", "check auth; it says: <Code>SignatureDoesNotMatch</Code>")
    check_equal(r.stop(), 0, "exit code")
    check_equal(_data(server.inbox), [], "what the server has")


# --- what happens at home ---

def _script(d, text):
    path = d / "command"
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return str(path)


@case
def on_complete(d):
    """Each file once, in order, without a shell; a failure is said and tried again."""
    command = _script(d, f'[ -e {d}/broken ] && exit 3\nprintf "%s|%s|%s\\n" "$1" "$2" "$3" >>{d}/seen\n')
    (d / "broken").touch()
    shop, path = _configured(d, on_complete=[command, "{file}", "a b;$HOME", "{manifest}"])
    r = daemon(path)
    _failing(path, "on_complete", "command ended with 3 at")
    check(not (d / "seen").exists(), "it ran to its end")
    (d / "broken").unlink()
    wait_for(lambda: _targets(path)["on_complete"]["accepted"] == 25, 30, "the command to have all")
    check_equal(r.stop(), 0, "exit code")
    want = [f"{d}/out/{n}|a b;$HOME|{d}/out/{n}{MANIFEST}" for n in _data(d / "out")]
    check_equal((d / "seen").read_text().splitlines(), want, "what the command saw")
    shop.insert(5)
    r = once(path, 60, env={"COMMITRELAY_FAULT": "upload_after_send:kill"})
    check_equal(r.poll(), -9, "the relay after the command")
    _idle(path)
    again = (d / "seen").read_text().splitlines()[len(want):]
    check_equal((len(again), len(set(again))), (2, 1), "the command, killed before it was noted: the same file twice")
    missing = _relay(d, shop, on_complete=[str(d / "nowhere"), "{file}"])
    shop.insert(1)
    r = daemon(missing)
    _failing(missing, "on_complete", "cannot run")
    check_equal(r.stop(), 0, "exit code")


@case
def on_complete_environment(d):
    """What programs need, and nothing else of the relay's: secrets come by its environment."""
    command = _script(d, f"env >{d}/environment\n")
    (d / "home").mkdir()
    shop, path = _configured(d, on_complete=[command], count=1)
    _idle(path, env={"SHOP_PASSWORD": "hunter2", "PGPASSFILE": "/x", "LD_PRELOAD": "", "TZ": "Europe/Berlin", "HOME": str(d / "home"),
                     "LC_ALL": "C.UTF-8"})
    have = dict(line.split("=", 1) for line in (d / "environment").read_text().splitlines())
    for own in ("PWD", "SHLVL", "_", "OLDPWD"):  # the shell's own
        have.pop(own, None)
    allowed = {"PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_CTYPE", "LC_ALL", "TZ", "TMPDIR"}
    check_equal(set(have) - allowed, set(), "what the command has beyond what is documented")
    check_equal((have["TZ"], have["HOME"], have["LC_ALL"], have["PATH"]), ("Europe/Berlin", str(d / "home"), "C.UTF-8", os.environ["PATH"]),
                "what it needs")


@case
def on_complete_stopped(d):
    """A command that does not end does not keep the relay from ending, or from relaying."""
    command = _script(d, f"touch {d}/begun\nexec sleep 100000\n")
    shop, path = _configured(d, on_complete=[command, "{file}"], count=1)
    r = daemon(path)
    wait_for((d / "begun").exists, 30, "the command to begin")
    shop.insert(20)
    shop.wait_saved()
    check_equal(r.stop(), 0, "exit code")


@case
def keep_for(d):
    """Files of that age go once every target has them, the newest never; a kill in between leaves no file without its manifest."""
    server = Https(d)
    shop, path = _configured(d, [server.target()], keep_for="1h")

    def old():
        for p in (d / "out").glob("p-*"):
            os.utime(p, (1, 1))
    r = daemon(path)
    wait_for(lambda: len(_data(d / "out")) == 3, 30, "three files")
    _failing(path, "partner", "cannot send")
    names, want = _data(d / "out"), _files(d / "out")
    check_equal(r.stop(), 0, "exit code")
    old()
    server.start()
    r = daemon(path, env={"COMMITRELAY_FAULT": "upload_after_removal:kill"})
    r.wait_exit(60)
    check_equal(r.poll(), -9, f"the relay between file and manifest\n{r.log}")
    check(not (d / "out" / names[0]).exists(), "the oldest")
    r = daemon(path)
    wait_for(lambda: _data(d / "out") == names[2:], 30, "all but the newest to go")
    wait_for(lambda: len(_files(d / "out")) == 2, 30, "their manifests to go")
    shop.insert(5)
    wait_for(lambda: len(_data(d / "out")) == 1 and _data(d / "out") != names[2:], 30, "the next to go, once it is not the newest")
    check_equal(r.stop(), 0, "exit code")
    have = _files(server.inbox)
    check_equal({n: have.get(n) for n in want}, want, "what the receiver has of them")


@case
def acknowledge(d):
    """What the receiver does not confirm is sent again, also after a restart; confirmed in any order; kept at home so long."""
    https, sftp_, s3_ = Https(d).start(), Sftp(d).start(), Https(d, s3=S3).start()
    confirm = {"acknowledge": {"suffix": ".ack", "resend_after": "1s"}}
    servers = {"a": https, "b": sftp_, "s3": s3_}
    shop, path = _configured(d, [https.target("a", **confirm), sftp_.target("b", **confirm), _s3_target(s3_, d, **confirm)], keep_for="1h")
    confirmed = f"p-{11:020}-{20:020}.jsonl"
    for server in servers.values():
        (server.inbox / f"{confirmed}.ack").touch()
    _idle(path)
    names = _data(d / "out")
    check_equal(names[1], confirmed, "the second file")
    for p in (d / "out").glob("p-*"):
        os.utime(p, (1, 1))
    (sftp_.inbox / names[0]).unlink()  # its receiver has lost it
    r = daemon(path)
    wait_for(lambda: {n: t["unconfirmed"] for n, t in _targets(path).items()} == {"a": 2, "b": 2, "s3": 2}, 30, "one to be confirmed")
    for server in (https, s3_):
        wait_for(lambda s=server: [r["name"] for r in s.requests].count(names[2]) > 2, 30, "what is not confirmed to be sent again")
        check_equal([r["name"] for r in server.requests].count(names[1]), 1, "how often the confirmed one was sent")
    wait_for((sftp_.inbox / names[0]).exists, 30, "the lost one to come again")
    check_equal(_data(d / "out"), names, "files at home")
    for server in servers.values():
        (server.inbox / f"{names[0]}.ack").touch()
    wait_for(lambda: _data(d / "out") == names[2:], 30, "what is confirmed to be removed at home")
    wait_for(lambda: {n: t["unconfirmed"] for n, t in _targets(path).items()} == {"a": 1, "b": 1, "s3": 1}, 30, "one to be left")
    check_equal(r.stop(), 0, "exit code")
    check("upload a: nobody has confirmed the numbers 21 to 25 for" in r.log, r.log)
    for server in (https, s3_):
        _repeats_are_equal(server.requests)


@case
def removed_unconfirmed(d):
    """A file that was accepted, not confirmed, and removed at home: it is told of, and the next ones are sent all the same."""
    server = Https(d).start()
    shop, path = _configured(d, [server.target(acknowledge={"suffix": ".ack", "resend_after": "1s"})], count=10)
    _idle(path)
    (name,) = _data(d / "out")
    for n in (name, name + MANIFEST):
        shutil.move(d / "out" / n, d / n)
    r = daemon(path)
    r.wait_log("nobody has confirmed the numbers 1 to 10 for .* the file cannot be sent again: partner: .* has no manifest", 30)
    shop.insert(10)
    _until(path, "partner", lambda t: t["accepted"] == 20, "the next file to be accepted")
    target = _targets(path)["partner"]
    check_equal((target["error"] or "", target["unconfirmed"], target["waiting"]), ("", 2, 0), "how the target stands")
    for n in (name, name + MANIFEST):
        shutil.move(d / n, d / "out" / n)
    sent = [q["name"] for q in server.requests].count(name)
    wait_for(lambda: [q["name"] for q in server.requests].count(name) > sent, 30, "it to be sent again, once it is back")
    (server.inbox / f"{name}.ack").touch()
    _until(path, "partner", lambda t: t["unconfirmed"] == 1, "it to be confirmed")
    check_equal(r.stop(), 0, "exit code")
    _repeats_are_equal(server.requests)


@case
def looks_mend_nothing(d):
    """The server tells what is confirmed, and refuses every file: the breaker opens all the same. And the other way round."""
    server = Https(d).start()
    confirm = {"suffix": ".ack", "resend_after": "1s"}
    shop, path = _configured(d, [server.target(acknowledge=confirm)], count=10)
    _idle(path)
    server.kill()
    server.start(status=500)
    shop.insert(10)
    r = daemon(path)
    _until(path, "partner", lambda t: t["open"], "the breaker to open while looks succeed")
    check("answered 500" in _targets(path)["partner"]["error"], _targets(path))
    looks = len(server.looks)
    wait_for(lambda: len(server.looks) > looks + 3, 30, "some looks behind the open breaker")
    check(_targets(path)["partner"]["open"], "a look has closed the breaker")
    check("works again" not in r.log, r.log)
    server.kill()
    server.start(look_status=500)
    _until(path, "partner", lambda t: t["accepted"] == 20, "the file, while no look succeeds")
    shop.insert(10)
    _until(path, "partner", lambda t: t["accepted"] == 30, "another one")
    _failing(path, "partner", "answered 500 to")
    server.kill()
    server.start()
    for n in _data(d / "out"):
        (server.inbox / f"{n}.ack").touch()
    _until(path, "partner", lambda t: t["unconfirmed"] == 0 and not t["error"], "all to be confirmed")
    check_equal(r.stop(), 0, "exit code")
    check("upload partner tells what is confirmed again" in r.log, r.log)


@case
def resend(d):
    """By name, number and time; to all, or one; what was accepted stays as it was."""
    server, other = Https(d).start(), Sftp(d).start()
    _, path = _configured(d, [server.target("a"), other.target("b")], count=35)
    _idle(path)
    names, record = _data(d / "out"), (d / "out/.commitrelay/p.upload.a").read_text()

    def again(*how, code=0):
        before = len(server.requests)
        said = run(["resend", "-c", path, *how], code=code, timeout=60)
        return [r["name"] for r in server.requests[before:] if not r["name"].endswith(MANIFEST)], said
    check_equal(again("--file", names[1])[0], [names[1]], "by name")
    check_equal(again("--file", str(d / "out" / names[1]))[0], [names[1]], "by path")
    check_equal(again("--from", 10, "--to", 11, "--target", "a")[0], names[:2], "by number")
    check_equal(again("--from", 31)[0], names[3:], "to the end")
    check_equal(again("--since", "1h", "--target", "a")[0], names, "by time")
    check_equal(again("--since", "1h", "--target", "b")[0], [], "to the other")
    for how, code, text in ((["--from", 36], 69, "no batch file of pipeline p"), (["--from", 1, "--target", "c"], 64, "has no target c"),
                            ([], 64, "say which files"), (["--from", 1, "--file", "x"], 64, "say which files")):
        check(text in again(*how, code=code)[1].log, f"resend {how}")
    (other.inbox / names[0]).unlink()
    again("--from", 1, "--target", "b")
    _whole(d, other.inbox)
    server.kill()
    check("cannot send to" in run(["resend", "-c", path, "--from", 1, "--target", "a"], code=75, timeout=60).log, "a server that is down")
    check_equal((d / "out/.commitrelay/p.upload.a").read_text(), record, "what is known of the target")
    _repeats_are_equal(server.requests)


if __name__ == "__main__":
    main(lambda: tempdir("upload"))
