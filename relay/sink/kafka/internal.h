/*
 * The state of the Kafka sink, shared by the files that make up the sink:
 *   kafka.c    the operations; events in
 *   life.c     producers made and ended
 *   reports.c  reports out; failures
 *   failure.c  how a producer fails
 *   living.c   a new producer becomes the living one
 *   txn.c      exactly_once: transactions (txn_start.c: their beginning; txn_job.c: what waits for
 *              brokers)
 *
 * Private to these files. All of it is used by the pipeline's thread only.
 */
#pragma once

#include "sink/kafka/conf.h"
#include "sink/kafka/flush.h"
#include "sink/kafka/limits.h"
#include "sink/kafka/teardown.h"
#include "sink/kafka/topics.h"
#include "sink/kafka/txn.h"
#include "sink/kit/unacked.h"

#define KAFKA_TEARDOWN_LOOK_US \
    (20 * US_PER_MS) /* how often to look whether an old producer still refers to payloads */
#define KAFKA_GAPLESS_WAIT_US \
    (1 * US_PER_SECOND) /* how long to wait for the report that says why a message failed */

struct kafka {
    const struct kafka_conf *conf;
    const struct sink_env *env;
    /* From this copies are made for new producers. */
    rd_kafka_conf_t *template;
    struct kafka_topics *topics;
    struct kafka_graves graves;
    struct kafka_hurry hurry;
    struct kafka_txn txn;
    bool hurries; /* linger.ms is the relay's own, so messages linger only while more are coming */
    int wake_fd;  /* an eventfd that librdkafka writes to when its queue stops being empty */

    /* The living producer. */
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue;
    /* An event with delivery reports that did not all fit into the last report. */
    rd_kafka_event_t *partial;
    bool purged; /* its messages were taken back, and it is being ended */
    int64_t purged_at_us;
    bool more; /* the queue may hold events for which no further wake-up comes */
    /* When librdkafka said that a message failed for good, without naming it; 0: it did not. */
    int64_t gapless_at_us;
    struct error failure; /* class not NONE: this producer has failed, and a new one is needed */
    bool told;            /* the failure was returned to the pipeline */
    bool one_failed;      /* the failure was one event's, and was given as an entry of a report */
    struct kafka_window window;

    struct {
        rd_kafka_resp_err_t code; /* NO_ERROR: none */
        int64_t at_us;
        char text[512];
    } trouble; /* the last error from the brokers or the network */

    struct {
        int64_t until_us; /* monotonic; 0: never */
        int ms;           /* what the broker said last */
        char broker[128];
    } quota; /* a broker that enforces a quota answers, and then reads nothing for a time */

    /* The limits of a topic: each new producer asks for them until there is an answer. The topic is
     * the fixed one, or the last that refused a size; "": none. */
    char limits_topic[256];
    bool limits_known;          /* they are known; false again when a topic refuses a size */
    struct kafka_limits limits; /* the limits that were last logged */
};

/* A bit beside the token in a message's opaque: the event itself gave the partition number. */
#define KAFKA_ADDRESSED (UINT64_C(1) << 63)

/* True if the producer has failed and a new one is needed. */
static inline bool kafka_has_failed(const struct kafka *k)
{
    return k->failure.class != ERROR_NONE;
}

/* failure.c: writes a line to the log, if there is one. */
void kafka_note(const struct kafka *k, int level, const char *text);

/* life.c: `start` makes a new producer (RETRY or CONFIG if that fails). `end` ends the living one,
 * if any, without waiting: AGAIN while it still refers to payloads, a call about its transaction
 * runs, or it cannot be handed over; after 30 s of this RETRY. living.c: `adopt` takes a producer
 * that was made. */
int kafka_life_start(struct kafka *k, struct error *err) MUST_CHECK;
void kafka_life_adopt(struct kafka *k, rd_kafka_t *rk);
int kafka_life_end(struct kafka *k, struct error *err) MUST_CHECK;

/* failure.c: the producer fails. The failure is recorded (the first one stays), and nothing more is
 * sent. kafka_fail_as takes what kafka_error takes. */
void kafka_fail_as(struct kafka *k, rd_kafka_resp_err_t code, bool addressed, const char *topic,
                   const char *detail);
void kafka_fail_with(struct kafka *k, const struct error *err);
void kafka_fail(struct kafka *k, rd_kafka_resp_err_t code, const char *topic);

/* reports.c: sink_ops.collect. kafka_take_fatal makes the producer fail if librdkafka reports a
 * fatal error of it. */
int kafka_collect(void *sink, struct sink_report *report, struct error *err) MUST_CHECK;
void kafka_take_fatal(struct kafka *k);

/* reports.c: librdkafka's throttle_cb, which it calls while the queue is polled; opaque is the
 * sink. */
void kafka_throttled(rd_kafka_t *rk, const char *broker, int32_t id, int ms, void *opaque);

/* reports.c: until when an acknowledgement is waited for. What a quota makes it wait does not
 * count: after that, the limit begins anew. */
int64_t kafka_stall_deadline(const struct kafka *k);
