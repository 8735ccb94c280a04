#!/usr/bin/python3
"""Nothing lost, nothing invented, each key in order: PostgreSQL to ActiveMQ by AMQP 1.0 under load, while the relay and the broker are killed and frozen.

no_loss_amqp.py [--kills N] [--deaths N] [--rate N] [--seed N] [--classic]
"""
from support.activemq import ActiveMq
from support.artemis import AWAY, Artemis, arrivals
from support.sink_trial import SinkTrial, main, options

parser = options()
parser.add_argument("--classic", action="store_true", help="ActiveMQ Classic in place of Artemis")
args = parser.parse_args()


class Trial(SinkTrial):
    name, away = "amqp", AWAY

    def __init__(self, pg, broker):
        super().__init__(args, "amqp", pg, broker, broker.sink(connect_timeout="2s", stall_timeout="5s", idle_timeout="2s"))

    def count(self):
        return self.kafka.count(self.name)

    def arrivals(self):
        return arrivals(self.kafka.take(self.name), self.name)


main(args, (ActiveMq if args.classic else Artemis)(name="noloss-amqp"), Trial)
