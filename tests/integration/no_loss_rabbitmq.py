#!/usr/bin/python3
"""Nothing lost, nothing invented, each key in order: PostgreSQL to RabbitMQ under load, while the relay and the broker are killed and frozen.

no_loss_rabbitmq.py [--kills N] [--deaths N] [--rate N] [--seed N] [--queue classic|quorum]
"""
from support.rabbitmq import AWAY, RabbitMQ, arrivals
from support.sink_trial import SinkTrial, main, options

parser = options()
parser.add_argument("--queue", choices=["classic", "quorum"], default="classic")
args = parser.parse_args()


class Trial(SinkTrial):
    name, away = "rabbitmq", AWAY

    def __init__(self, pg, broker):
        broker.declare(self.name, x_queue_type=args.queue)
        super().__init__(args, f"rabbitmq {args.queue}", pg, broker, broker.sink(connect_timeout="2s", stall_timeout="5s", heartbeat="2s"),
                         encode={"headers": ["id", {"column": "aggregateid", "as": "key"}]})

    def count(self):
        return self.kafka.count(self.name)

    def arrivals(self):
        return arrivals(self.kafka.take(self.name), self.name)


main(args, RabbitMQ(name="noloss-rabbitmq"), Trial)
