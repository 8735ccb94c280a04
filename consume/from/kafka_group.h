/*
 * The members of a Kafka consumer, and its part in the group: which partitions it has, and their
 * committed offsets. One thread: the consumer's, on which librdkafka calls back, too.
 */
#pragma once

#include "consume/from/kafka.h"

enum { STREAM_SIZE = 300, KAFKA_COMMIT_EVERY_US = 500000 };

struct part {
    char stream[STREAM_SIZE]; /* topic/partition */
    char *topic;
    int32_t partition;
    int64_t settled;   /* the offset to go on from; RD_KAFKA_OFFSET_INVALID: none is known */
    int64_t committed; /* the last one that was sent */
    bool at_end;
};

struct from_kafka {
    struct from_env env;
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue;
    int wake_fd;
    bool latest, assigned, paused;
    struct part *parts; /* those that are ours now */
    size_t count;
    int64_t commit_at_us, held_since_us; /* held_since: 0: not held */
    struct error failure;                /* found in a callback; ERROR_NONE: none */
    struct buf headers;
    char told[200]; /* the line that was logged last */
};

/* Fills *err for a code of librdkafka: RETRY, or CONFIG where somebody has to help. RESULT_ERROR.
 */
int from_kafka_fail(struct error *err, rd_kafka_resp_err_t code, const char *detail);
/* Logs an error that librdkafka mends by itself. Any other becomes k->failure. */
void from_kafka_take_error(struct from_kafka *k, rd_kafka_resp_err_t code, const char *detail);
/* Logs a line, unless it is the one that was logged last. */
void from_kafka_tell(struct from_kafka *k, const char *text);

/* NULL: it is not ours. */
struct part *from_kafka_find_part(struct from_kafka *k, const char *topic, int32_t partition);
/* Sends the offsets of what was applied since the last time; wait: all of them, and until the
 * broker has them. */
int from_kafka_commit(struct from_kafka *k, bool wait, struct error *err) MUST_CHECK;
void from_kafka_pause_all(struct from_kafka *k, bool pause);
/* For rd_kafka_conf_set_rebalance_cb. */
void from_kafka_on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t code,
                             rd_kafka_topic_partition_list_t *list, void *opaque);
