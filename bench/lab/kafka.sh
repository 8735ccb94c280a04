#!/usr/bin/env bash
# A single-node Apache Kafka (KRaft) in $LAB_DIR/kafka. usage: kafka.sh start | stop
# The jars are those that tools/setup fetched. Unlike tools/kafka it starts empty each time and with the heap the recorded results had.
set -euo pipefail
. "$(dirname "$0")/env.sh"
k=$LAB_DIR/kafka
libs=$("$(dirname "$0")/../../tools/cache")/kafka-4.1.0
mkdir -p "$k"
case ${1:-} in
start)
    [ -d "$libs" ] || { echo "no Kafka in $libs; run tools/setup" >&2; exit 1; }
    host=${BROKERS%%:*} port=${BROKERS##*:}
    rm -rf "$k/data" && mkdir -p "$k/data"
    cat >"$k/server.properties" <<C
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@$host:$((port + 1))
listeners=PLAINTEXT://$host:$port,CONTROLLER://$host:$((port + 1))
advertised.listeners=PLAINTEXT://$host:$port
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=$k/data
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
num.partitions=$PARTITIONS
log.retention.bytes=4000000000
C
    id=$(java -cp "$libs/*" kafka.tools.StorageTool random-uuid 2>/dev/null | tail -1)
    java -cp "$libs/*" kafka.tools.StorageTool format -t "$id" -c "$k/server.properties" >/dev/null 2>&1
    setsid java -Xms1g -Xmx1g -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp "$libs/*" kafka.Kafka "$k/server.properties" </dev/null >"$k/kafka.log" 2>&1 &
    echo $! >"$k/pid"
    for _ in $(seq 100); do
        kcat -b "$BROKERS" -L >/dev/null 2>&1 && { echo "kafka pid $(cat "$k/pid")"; exit 0; }
        sleep .2
    done
    tail -20 "$k/kafka.log" >&2
    echo "kafka does not answer on $BROKERS" >&2
    exit 1 ;;
stop)
    p=$(cat "$k/pid")
    kill "$p"
    while kill -0 "$p" 2>/dev/null; do sleep .1; done ;;
*) echo "usage: kafka.sh start|stop" >&2; exit 2 ;;
esac
