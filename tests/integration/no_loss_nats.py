#!/usr/bin/python3
"""Nothing lost, nothing invented, each key in order: PostgreSQL to NATS JetStream under load, while the relay and the server are killed and frozen.

no_loss_nats.py [--kills N] [--deaths N] [--rate N] [--seed N] [--newer]
"""
import urllib.error

from support.judge import Arrival
from support.natsd import Nats
from support.sink_trial import SinkTrial, main, options

STREAM = "NOLOSS"
parser = options()
parser.add_argument("--newer", action="store_true", help="the newest server in place of Debian's")
args = parser.parse_args()


class Trial(SinkTrial):
    """The stream keeps duplicates, so that they are seen."""

    name, away = "noloss", (OSError, urllib.error.URLError)

    def __init__(self, pg, nats):
        nats.create_stream(STREAM, f"{self.name}.>", duplicate_window=0.1)
        super().__init__(args, "nats", pg, nats, {"type": "nats", "servers": nats.url, "subject": "{topic}.{key}", "expect_stream": STREAM,
                                                  "connect_timeout": "2s", "stall_timeout": "5s"})

    def count(self):
        return self.kafka.count(STREAM)

    def arrivals(self):
        return [Arrival(STREAM, m.subject[len(self.name) + 1:], m.headers["Nats-Msg-Id"], m.data) for m in self.kafka.messages(STREAM)]


main(args, Nats(name="noloss-nats", newer=args.newer), Trial)
