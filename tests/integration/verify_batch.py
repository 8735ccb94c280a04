#!/usr/bin/python3
"""Batch files as a partner takes them: read and checked by other people's programs, and `verify-batch`, which names what somebody did to them.

    verify_batch.py [NAME...]     only these checks
"""
import csv
import hashlib
import hmac
import io
import json
import os
import shutil
import subprocess
from pathlib import Path

from support.arrivals import MANIFEST, PACKED, read_key_value, unpacked
from support.cases import case, main
from support.proc import check, check_equal, run, tempdir
from support.relaying import as_nobody, config, give_to_nobody, once, pipeline
from support.shop import SqliteShop

KEY, KEY_ID = "a secret of both", "2026-11"
COLUMNS = [{"column": "payload.total", "as": "TOTAL"}, "id", {"column": "payload.note", "as": "NOTE"}, {"value": "SHOP", "as": "SENDER"}]
NOTES = [None, "", "NULL", 'say "hi"; a,b', "two\nlines", "äöü €", "=1+1"]


def _key_file(d, mode=0o600):
    path = Path(d) / "key"
    path.write_text(KEY + "\n")
    path.chmod(mode)
    return path


def _written(d, name="p", count=70, **sink):
    """Relays events into `out` of the folder, in files of 10, and returns the values that the events had."""
    d = Path(d)
    shop = SqliteShop(d, f"{name}.db")
    values = []
    for i in range(count):
        note = NOTES[i % len(NOTES)]
        body = {"total": i + 0.5, **({} if note is None else {"note": note})}
        values.append((f"{i + 0.5}", shop.insert(payload=json.dumps(body))[0], note))
    path = config(d, pipeline(shop.source(), name=name, sink={"type": "file", "dir": str(d / "out"), "rotate": {"events": 10}, **sink}))
    r = once(path)
    check_equal(r.poll(), 0, f"exit code of the relay:\n{r.log}")
    return values


def _manifests(out, name="p"):
    return [json.loads(p.read_text()) for p in sorted(Path(out).glob(f"{name}-0*{MANIFEST}"))]


def verify(out, *more, code=0, **how):
    return run(["verify-batch", str(out), *more], code=code, timeout=60, **how)


def _openssl(path, *how):
    return subprocess.run(["openssl", "dgst", "-sha256", "-r", *how, str(path)], stdout=subprocess.PIPE, text=True, check=True).stdout.split()[0]


@case
def other_peoples_readers(d):
    """csv, json, gzip, hashlib and hmac of Python, `zstd -t`, `gzip -t` and `openssl dgst` all agree, with each format and compression."""
    formats = {"jsonl": {}, "delimited": {"delimiter": ";", "delimited": {"quote": "all", "null_text": "NULL", "line_end": "lf"}}, "key_value": {}}
    for n, (fmt, more) in enumerate(formats.items()):
        for compression in PACKED:
            here = Path(d) / f"{n}{compression}"
            here.mkdir()
            want = _written(here, format=fmt, columns=COLUMNS, compression=compression, hmac_key_file=str(_key_file(here)), key_id=KEY_ID, **more)
            manifests = _manifests(here / "out")
            check_equal(len(manifests), 7, "files")
            got, before = [], None
            for m in manifests:
                path = here / "out" / m["file"]
                data, text = path.read_bytes(), (here / "out" / (m["file"] + MANIFEST)).read_bytes()
                if compression != "none":
                    subprocess.run([compression, "-t", "-q", str(path)], check=True)
                check_equal(m["bytes"], len(data), "bytes")
                check_equal(m["sha256"], _openssl(path), "sha256 by openssl")
                check_equal(m["hmac_sha256"], _openssl(path, "-hmac", KEY), "hmac by openssl")
                check_equal(m["hmac_sha256"], hmac.new(KEY.encode(), data, hashlib.sha256).hexdigest(), "hmac by Python")
                sealed = text[:text.index(b',"manifest_hmac_sha256"')]
                check_equal(m["manifest_hmac_sha256"], hmac.new(KEY.encode(), sealed, hashlib.sha256).hexdigest(), "hmac of the manifest")
                check_equal(m["previous_sha256"], before, "previous_sha256")
                check_equal(m["key_id"], KEY_ID, "key_id")
                before = hashlib.sha256(text).hexdigest()
                got += _rows(fmt, unpacked(data, compression).decode())
            check_equal(got, want, f"what {fmt} {compression} holds")
            r = verify(here / "out", "--hmac-key-file", here / "key")
            check("p: 1 to 70, 70 events in 7 files; from the beginning; HMAC checked" in r.stdout, r.stdout)


def _rows(fmt, text):
    """TOTAL, id and NOTE of each record; None for a null."""
    if fmt == "jsonl":
        rows = [json.loads(line, parse_float=str) for line in text.split("\n")[:-1]]
    elif fmt == "delimited":
        rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=";", strict=True))
        # csv does not tell NULL from "NULL", so the raw text does.
        raw = [";NULL;" in line for line in text.replace("two\nlines", "two lines").split("\n")[1:-1]]
        for row, null in zip(rows, raw):
            row["NOTE"] = None if null else row["NOTE"]
    else:
        rows = [read_key_value(line) for line in text.split("\n")[:-1]]
    check(all(r["SENDER"] == "SHOP" for r in rows), "the constant column")
    return [(r["TOTAL"], r["id"], r.get("NOTE")) for r in rows]


def _second(out):
    return sorted(p for p in out.iterdir() if p.name.startswith("p-0") and not p.name.endswith(MANIFEST))[1]


def _edit(path, old, new):
    text = path.read_text()
    check(old in text, f"{old} in {path}")
    path.write_text(text.replace(old, new))


def _remove(out):
    path = _second(out)
    path.unlink()
    Path(f"{path}{MANIFEST}").unlink()


def _forge(out):
    """Changes a file, and everything that can be made to fit without the key."""
    files = sorted(p for p in out.iterdir() if p.name.startswith("p-0") and not p.name.endswith(MANIFEST))
    before = None
    for i, path in enumerate(files):
        manifest = Path(f"{path}{MANIFEST}")
        m = json.loads(manifest.read_text())
        if i == 1:
            _edit(path, "11.5", "99.5")
            _edit(manifest, m["sha256"], hashlib.sha256(path.read_bytes()).hexdigest())
        if before and i > 1:
            _edit(manifest, m["previous_sha256"], before)
        before = hashlib.sha256(manifest.read_bytes()).hexdigest()


TAMPERED = {  # what somebody did -> what is said of it: the file's ending, what, and with which exit code; with a key
    "removed": (_remove, "0000021-00000000000000000030.jsonl", "its first number"),
    "data removed": (lambda o: _second(o).unlink(), "0000011-00000000000000000020.jsonl", "the file"),
    "changed": (lambda o: _edit(_second(o), "11.5", "99.5"), "0000011-00000000000000000020.jsonl", "sha256"),
    "cut off": (lambda o: os.truncate(_second(o), 100), "0000011-00000000000000000020.jsonl", "bytes"),
    "manifest changed": (lambda o: _edit(Path(f"{_second(o)}{MANIFEST}"), '"created_at":"2', '"created_at":"3'), MANIFEST, "manifest_hmac_sha256"),
    "inserted": (lambda o: shutil.copy(_second(o), o / "p-00000000000000000015-00000000000000000020.jsonl"), "0000015-00000000000000000020.jsonl",
                 "its first number"),
    "forged": (_forge, MANIFEST, "manifest_hmac_sha256"),
}


@case
def what_somebody_did(d):
    """Each is named with its file, on a copy; --json says the same; without the key only a whole forgery passes."""
    _written(d, hmac_key_file=str(_key_file(d)), key_id=KEY_ID)
    d = Path(d)
    for n, (name, (do, ending, what)) in enumerate(TAMPERED.items()):
        copy = d / f"copy{n}"
        shutil.copytree(d / "out", copy)
        do(copy)
        r = verify(copy, "--hmac-key-file", d / "key", code=1)
        lines = {k.strip(): v.strip() for k, v in (line.split(":", 1) for line in r.stdout.splitlines()[1:4])}
        check(r.stdout.splitlines()[0].endswith(ending), f"{name}: {r.stdout}")
        check_equal(lines["what"], what, name)
        j = json.loads(verify(copy, "--hmac-key-file", d / "key", "--json", code=1).stdout)
        check(lines and r.stdout.splitlines()[0].endswith(j["fault"]["file_name"]), f"{name}: {j}")
        check_equal((j["ok"], j["fault"]["what"], j["fault"]["expected"], j["fault"]["found"]),
                    (False, what, lines["expected"], lines["found"]), name)
        if name == "forged":
            check("HMAC not checked" in verify(copy).stdout, "a forgery is seen by the key only")
        else:
            verify(copy, code=1)
    j = json.loads(verify(d / "out", "--json").stdout)
    check_equal((j["ok"], j["files"], j["hmac_checked"], j["fault"], j["pipelines"][0]["sealed"]), (True, 7, False, None, 7), "the verdict")


@case
def several_pipelines(d):
    """In one folder, each with its own chain; hidden and other files are left alone; taken away in front is no fault."""
    d = Path(d)
    for name in ("p", "p-eu"):
        here = d / name
        here.mkdir()
        _written(here, name, dir=str(d / "out"), compression="gzip")
    (d / "out" / "README.txt").write_text("x")
    r = verify(d / "out")
    check("p: 1 to 70" in r.stdout and "p-eu: 1 to 70" in r.stdout and "1 other files" in r.stdout, r.stdout)
    for p in (d / "out").glob("p-00000000000000000001-*"):
        p.unlink()
    r = verify(d / "out")
    check("p: 11 to 70, 60 events in 6 files; what came before the first file is not here" in r.stdout, r.stdout)


@case
def endings(d):
    """64 usage, 74 what cannot be read, 0 for an empty folder, which is said."""
    d = Path(d)
    check("the folder is missing" in run(["verify-batch"], code=64).log, "no folder")
    check("one word too many" in run(["verify-batch", str(d), "x"], code=64).log, "two folders")
    check("cannot read" in verify(d / "nosuch", code=74).log, "no such folder")
    verify(d, "--hmac-key-file", d / "nosuch", code=74)
    verify(d, "--hmac-key-file", _key_file(d, 0o666), code=74)
    (d / "empty").mkdir()
    check("holds no batch files" in verify(d / "empty").stdout, "an empty folder")
    _written(d)
    _second(d / "out").chmod(0)
    d.chmod(0o755)
    (d / "out").chmod(0o755)
    give_to_nobody(d)
    r = subprocess.run([*as_nobody(d), "verify-batch", str(d / "out")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
    check_equal(r.returncode, 74, f"exit code for a file that may not be read: {r.stdout}{r.stderr}")


main(lambda: tempdir("verify"))
