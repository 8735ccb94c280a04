"""Runs a contract test on servers of its own: run.py store|source|sink EXECUTABLE [ARGUMENT...]"""
import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support import artemis, kafka, natsd, pg, proc, rabbitmq, redis_server, webhook  # noqa: E402


def run(what, *command):
    env = dict(os.environ)
    if what in ("store", "source"):
        env["COMMITRELAY_TEST_PG"] = pg.Postgres(settings={"fsync": "off"}).start().url(socket=what == "source")  # a small buffer: what is not read shows
    else:
        broker = kafka.Kafka(auto_create=False).start()
        broker.create_topics({f"contract-{n}": 3 for n in range(1, 41)})  # one for each case
        env["COMMITRELAY_TEST_KAFKA"] = broker.bootstrap
        env["COMMITRELAY_TEST_RABBITMQ"] = str(rabbitmq.RabbitMQ().start().port)
        env["COMMITRELAY_TEST_AMQP"] = str(artemis.Artemis().start().port)
        env["COMMITRELAY_TEST_NATS"] = natsd.Nats().start().url
        env["COMMITRELAY_TEST_REDIS"] = f"127.0.0.1:{redis_server.Redis().start().port}"
        receiver = webhook.Webhook(numbers=True).start()
        env |= {"COMMITRELAY_TEST_HTTP": receiver.url, "COMMITRELAY_TEST_HTTP_DIR": str(receiver.dir)}
    code = subprocess.run(command, env=env).returncode
    proc.check(code == 0, f"{command[0]} ended with {code}")


if __name__ == "__main__":
    run(*sys.argv[1:])
