"""Runs a contract test on servers of its own: run.py store|source|sink EXECUTABLE [ARGUMENT...]"""
import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support import kafka, pg, proc, webhook  # noqa: E402


def run(what, *command):
    env = dict(os.environ)
    if what in ("store", "source"):
        env["COMMITRELAY_TEST_PG"] = pg.Postgres(settings={"fsync": "off"}).start().url(socket=what == "source")  # a small buffer: what is not read shows
    else:
        broker = kafka.Kafka(auto_create=False).start()
        broker.create_topics({f"contract-{n}": 3 for n in range(1, 41)})  # one for each case
        env["COMMITRELAY_TEST_KAFKA"] = broker.bootstrap
        receiver = webhook.Webhook(numbers=True).start()
        env |= {"COMMITRELAY_TEST_HTTP": receiver.url, "COMMITRELAY_TEST_HTTP_DIR": str(receiver.dir)}
    code = subprocess.run(command, env=env).returncode
    proc.check(code == 0, f"{command[0]} ended with {code}")


if __name__ == "__main__":
    run(*sys.argv[1:])
