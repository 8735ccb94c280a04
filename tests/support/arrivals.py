"""Readers of what a relay sent, to standard output, to a topic or into batch files."""
import csv
import gzip
import hashlib
import io
import json
import re
import subprocess
from pathlib import Path

from .judge import Arrival
from .proc import check, check_equal, wait_for
from .workload import canonical


def lines(relay):
    """The events on a relay's standard output; a line without its end was cut off."""
    return [json.loads(x) for x in relay.stdout.split("\n")[:-1]]


def ids(relay):
    return [e["id"] for e in lines(relay)]


def file_ids(directory, pattern="*.jsonl"):
    return [json.loads(x)["id"] for f in sorted(Path(directory).glob(pattern)) for x in f.read_text().splitlines()]


def each_once(got, want, what="events"):
    check_equal(len(got), len(set(got)), f"{what}: some came twice")
    check_equal(sorted(got), sorted(want), what)


def all_there(got, want, what="events"):
    """At least once, and nothing that was not committed."""
    check_equal(sorted(set(got)), sorted(want), what)


def wait_ids(get, want, timeout=20, what="all events to arrive"):
    wait_for(lambda: set(get()) >= set(want), timeout, what)


def kafka_arrivals(kafka, topic, isolation="read_uncommitted"):
    """What a replay sent is left out: it comes beside the stream."""
    out = []
    for r in kafka.consume_all(topic, isolation, timeout=600):
        if any(k == "replayed" for k, _ in r.headers):
            continue
        ids = [v for k, v in r.headers if k == "id"]
        check(len(ids) == 1, f"{r.topic} {r.partition} {r.offset}: {len(ids)} headers `id`")
        out.append(Arrival(r.partition, r.key.decode(), ids[0].decode(), r.value))
    return out


def json_arrival(line, where, text=canonical):
    """text: the bytes of a payload that came as an object."""
    e = json.loads(line)
    body = e["payload"]
    return Arrival(where, e["key"], e["id"], text(body) if isinstance(body, dict) else body.encode())


def stdout_arrivals(path):
    """A line without its end was cut off by a kill: it is not delivered yet."""
    return [json_arrival(line, "stdout") for line in Path(path).read_bytes().split(b"\n")[:-1]]


# --- batch files ---

EXTENSIONS = {"jsonl": "jsonl", "delimited": "csv", "key_value": "kv"}
PACKED = {"none": "", "gzip": ".gz", "zstd": ".zst"}
MANIFEST = ".manifest.json"


def read_key_value(line):
    """name=value pairs separated by one space; quoted values by the rules of docs/contract: \\" \\\\ \\n \\r \\t \\xHH."""
    out, at = {}, 0
    pair = re.compile(r'([A-Za-z_]\w*)=(?:"((?:[^"\\]|\\.)*)"|([^\s"\'\\=]*))(?: |$)', re.S)
    while at < len(line):
        m = pair.match(line, at)
        check(m and m.group(1) not in out, f"no key-value pair at {at}: {line[at:at + 60]!r}")
        name, quoted, plain = m.groups()
        out[name] = plain if quoted is None else re.sub(
            r'\\(x[0-9a-fA-F]{2}|.)', lambda e: {"n": "\n", "r": "\r", "t": "\t"}.get(e[1]) or (chr(int(e[1][1:], 16)) if e[1][0] == "x" else e[1]),
            quoted, flags=re.S)
        at = m.end()
    return out


def unpacked(data, compression):
    """By other people's readers, which also check what the formats have to be checked by."""
    if compression == "gzip":
        return gzip.decompress(data)
    if compression == "zstd":
        return subprocess.run(["zstd", "-dcq"], input=data, stdout=subprocess.PIPE, check=True).stdout
    return data


def _records(fmt, data, text_of):
    text = data.decode()
    if fmt == "jsonl":
        check(text.endswith("\n"), "the last line has its end")
        return [(json_arrival(line, "file", text_of), json.loads(line)["position"]) for line in text.split("\n")[:-1]]
    if fmt == "delimited":
        csv.field_size_limit(10**8)
        rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    else:
        rows = [read_key_value(line) for line in text.split("\n")[:-1]]
    return [(Arrival("file", r["key"], r["id"], r["payload"].encode()), r["position"]) for r in rows]


def file_arrivals(directory, name, fmt, compression="none", text_of=canonical):
    """Every event of the directory in order, each from exactly one batch whose manifest is true; anything else visible fails."""
    directory, extension = Path(directory), re.escape(EXTENSIONS[fmt] + PACKED[compression])
    pattern = re.compile(rf"{name}-(\d{{20}})-(\d{{20}})\.{extension}$")
    visible = sorted(p.name for p in directory.iterdir() if not p.name.startswith("."))
    data = [f for f in visible if pattern.match(f)]
    check_equal([f for f in visible if f not in data], sorted(f + MANIFEST for f in data), f"what else lies in {directory}")
    hidden = sorted(p.name for p in directory.rglob(".tmp-*"))
    check_equal(hidden, [], "temporary files left behind")
    out, next_number = [], 1
    for f in data:
        first, last = map(int, pattern.match(f).groups())
        check_equal(first, next_number, f"first number of {f}")
        next_number = last + 1
        content = (directory / f).read_bytes()
        records = _records(fmt, unpacked(content, compression), text_of)
        manifest = json.loads((directory / (f + MANIFEST)).read_text())
        want = {"pipeline": name, "file": f, "format": fmt, "events": len(records), "bytes": len(content), "first": first, "last": last,
                "first_position": records[0][1], "last_position": records[-1][1], "sha256": hashlib.sha256(content).hexdigest()}
        check_equal({k: manifest.get(k) for k in want}, want, f"manifest of {f}")
        check_equal(len(records), last - first + 1, f"events in {f}")
        out += [a for a, _ in records]
    return out
