"""The server of a sink, in the foreground until SIGTERM: python3 -m support.serve NAME DIR. All that it writes is in DIR.

When it answers, DIR/env holds lines for a shell that say where it is, and DIR/sink the configuration of its sink (JSON, which is YAML too).
SIGUSR1 makes DIR/arrived: a JSON object for each event that arrived since the last one, read by somebody else's client.
"""
import json
import os
import shlex
import signal
import sys
import tempfile
from pathlib import Path

from .served import SERVED

NAMES = {**{name: name for name in SERVED}, "activemq": "amqp"}
WHERE = {"rabbitmq": "RABBITMQ", "amqp": "ACTIVEMQ", "nats": "NATS", "redis": "REDIS", "http": "WEBHOOK"}


def environment(name, sink):
    url = sink.get("url") or sink["servers"]
    out = {WHERE[name]: url.removesuffix("/{key}")}
    if "username" in sink:
        out |= {f"{WHERE[name]}_USER": sink["username"], f"{WHERE[name]}_PASSWORD": sink["password"]}
    return out


def publish(path, text):
    """Whole or not there."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.rename(path)


def main(name, directory):
    directory = Path(directory)
    os.environ["TMPDIR"] = tempfile.tempdir = str(directory)
    (directory / "pid").write_text(f"{os.getpid()}\n")
    wanted = {signal.SIGTERM, signal.SIGINT, signal.SIGUSR1}
    served, told = SERVED[name](), 0
    signal.pthread_sigmask(signal.SIG_BLOCK, wanted)
    sink = served.sink()
    publish(directory / "sink", json.dumps(sink) + "\n")
    publish(directory / "env", "".join(f"export {k}={shlex.quote(v)}\n" for k, v in environment(name, sink).items()))
    while signal.sigwait(wanted) == signal.SIGUSR1:
        found = list(served.messages())
        new, told = (found, 0) if served.takes else (found[told:], len(found))
        publish(directory / "arrived", "".join(json.dumps({"key": m.key, "id": m.id, "payload": m.payload.decode()}) + "\n" for m in new))
    served.close()


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in NAMES:
        sys.exit(f"usage: python3 -m support.serve {'|'.join(sorted(NAMES))} DIR")
    main(NAMES[sys.argv[1]], sys.argv[2])
