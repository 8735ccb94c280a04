"""What the no-loss tests share: the relay's configuration, a relay that is killed and started again, readers of what arrived."""
import csv
import hashlib
import io
import json
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support import proc  # noqa: E402
from support.proc import Relay, check, check_equal, run, wait_for  # noqa: E402

from judge import Arrival  # noqa: E402
from workload import canonical  # noqa: E402

MAX_IN_FLIGHT = 1000


def config(directory, *pipelines, **top):
    """Writes a configuration file (JSON is YAML too) and returns its path."""
    path = Path(directory) / "relay.yaml"
    path.write_text(json.dumps({"store": {"url": f"sqlite:{directory}/store.db", "lease": proc.NO_LEASE}, **top, "pipelines": list(pipelines)}, indent=1))
    return path


def pipeline(name, source, sink, topic="events", **delivery):
    return {"name": name, "source": source, "route": {"topic": topic}, "sink": sink,
            "delivery": {"max_in_flight": MAX_IN_FLIGHT, "retry": {"initial": "20ms", "max": "1s"}, **delivery}}


# How far a start has come: what a kill that falls into it waits for.
STEPS = {
    "at once": lambda relay: True,
    "when it listens to signals": Relay.hears_sigterm,
    "when it has read its configuration": lambda relay: " -> " in relay.log,
    "when it runs": lambda relay: "state running" in relay.log,
}


class Relaying:
    """A relay process that is kept running: start() again after each kill. It counts how often it began."""

    def __init__(self, config_path, name="relay"):
        self.config, self.name = config_path, name
        self.relay, self.starts, self.kills = None, 0, 0

    def start(self, env=None, stdout_rate=None):
        self.relay = Relay(["run", "-c", self.config], env=env, name=self.name, stdout_rate=stdout_rate)
        self.starts += 1
        return self.relay

    def start_to_die(self, point, passage=1):
        """A start that ends itself, as a kill would, when it comes to a fault point for the passage-th time."""
        return self.start({"COMMITRELAY_FAULT": f"{point}@{passage}:kill"})

    def await_death(self, what):
        """Waits for a relay that ends itself."""
        wait_for(lambda: not self.relay.running, 60, f"the relay to reach {what}")
        check_equal(self.relay.poll(), -9, f"its end at {what}")
        self.killed()

    def check_running(self):
        check(self.relay.running, f"the relay ended by itself with {self.relay.poll()}")

    def kill(self):
        """kill -9; that it still ran is part of the test."""
        self.check_running()
        self.relay.kill9()
        check_equal(self.relay.poll(), -9, "the end of a killed relay")
        self.killed()

    def kill_in_start(self, step):
        """step: one of STEPS."""
        wait_for(lambda: STEPS[step](self.relay), 60, f"the relay to be there ({step})")
        self.kill()

    def killed(self):
        self.kills += 1
        proc.forget_log(self.relay.stderr_path)

    def stop(self):
        self.check_running()
        check_equal(self.relay.stop(30), 0, "exit code after SIGTERM")

    def drain(self, timeout=90):
        """Relays what is left and ends."""
        self.starts += 1
        return run(["run", "-c", self.config, "--until-idle"], timeout=timeout)


def kafka_arrivals(kafka, topic):
    out = []
    for r in kafka.consume_all(topic, timeout=600):
        ids = [v for k, v in r.headers if k == "id"]
        check(len(ids) == 1, f"{r.topic} {r.partition} {r.offset}: {len(ids)} headers `id`")
        out.append(Arrival(r.partition, r.key.decode(), ids[0].decode(), r.value))
    return out


def json_arrival(line, where):
    e = json.loads(line)
    body = e["payload"]
    return Arrival(where, e["key"], e["id"], canonical(body) if isinstance(body, dict) else body.encode())


def stdout_arrivals(path):
    """A line without its end was cut off by a kill: it is not delivered yet."""
    return [json_arrival(line, "stdout") for line in Path(path).read_bytes().split(b"\n")[:-1]]


# --- batch files ---

EXTENSIONS = {"jsonl": "jsonl", "delimited": "csv", "key_value": "kv"}
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


def _records(fmt, data):
    text = data.decode()
    if fmt == "jsonl":
        check(text.endswith("\n"), "the last line has its end")
        return [(json_arrival(line, "file"), json.loads(line)["position"]) for line in text.split("\n")[:-1]]
    if fmt == "delimited":
        csv.field_size_limit(10**8)
        rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    else:
        rows = [read_key_value(line) for line in text.split("\n")[:-1]]
    return [(Arrival("file", r["key"], r["id"], r["payload"].encode()), r["position"]) for r in rows]


def file_arrivals(directory, name, fmt):
    """Every event of the directory in order, each from exactly one batch whose manifest is true; anything else visible fails."""
    directory, extension = Path(directory), EXTENSIONS[fmt]
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
        records = _records(fmt, content)
        manifest = json.loads((directory / (f + MANIFEST)).read_text())
        want = {"pipeline": name, "file": f, "format": fmt, "events": len(records), "bytes": len(content), "first": first, "last": last,
                "first_position": records[0][1], "last_position": records[-1][1], "sha256": hashlib.sha256(content).hexdigest()}
        check_equal({k: manifest.get(k) for k in want}, want, f"manifest of {f}")
        check_equal(len(records), last - first + 1, f"events in {f}")
        out += [a for a, _ in records]
    return out
