#!/usr/bin/python3
"""Nothing lost, nothing invented, each key in order: PostgreSQL to a Redis stream under load, while the relay and the server are killed.

no_loss_redis.py [--kills N] [--deaths N] [--rate N] [--seed N] [--valkey]
"""
from support import proc
from support.redis_server import VALKEY, Redis
from support.sink_trial import SinkTrial, main, options

parser = options()
parser.add_argument("--valkey", action="store_true", help="Valkey in place of Redis")
args = parser.parse_args()


class Trial(SinkTrial):
    name = "redis"

    def __init__(self, pg, server):
        super().__init__(args, "valkey" if args.valkey else "redis", pg, server,
                         {"type": "redis", "url": server.url, "stream": "events:{topic}", "connect_timeout": "2s", "stall_timeout": "5s"})

    def count(self):
        return self.kafka.count(f"events:{self.name}")

    def arrivals(self):
        return self.kafka.arrivals(f"events:{self.name}")


main(args, Redis(name="noloss-redis", **({"program": proc.downloaded(VALKEY)} if args.valkey else {})), Trial)
