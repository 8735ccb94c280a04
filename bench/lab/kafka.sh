#!/usr/bin/env bash
# A single-node Apache Kafka (KRaft) in $LAB_DIR/kafka, empty each time, with the settings that the recorded results had. usage: kafka.sh start | stop
set -euo pipefail
. "$(dirname "$0")/env.sh"
kafka=$LAB_HOME/../../tools/kafka d=$LAB_DIR/kafka
case ${1:-} in
start)
    port=${BROKERS##*:}
    rm -rf "$d"
    KAFKA_JVM="-Xms1g -Xmx1g" KAFKA_AUTO_CREATE=true "$kafka" start "$d" --port "$port" --controller-port "$((port + 1))" \
        --set "num.partitions=$PARTITIONS" --set log.retention.bytes=4000000000 --set num.io.threads=8 --set num.network.threads=3 \
        --set offsets.topic.num.partitions=50 --set transaction.state.log.num.partitions=50 --set log.retention.ms=604800000 \
        --set broker.session.timeout.ms=9000 --set broker.heartbeat.interval.ms=2000 ;;
stop) "$kafka" stop "$d" ;;
*) echo "usage: kafka.sh start|stop" >&2; exit 2 ;;
esac
