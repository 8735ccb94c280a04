/*
 * The Kafka sink's own state, shared by the files that together are the sink:
 *   kafka.c          the operations, events in
 *   life.c     producers made and ended
 *   reports.c  reports out, failures
 *
 * Nobody else includes this. All of it belongs to the pipeline's thread.
 */
#pragma once

#include "sink/kafka/burial.h"
#include "sink/kafka/conf.h"
#include "sink/kafka/flush.h"
#include "sink/kafka/limits.h"
#include "sink/kafka/topics.h"
#include "sink/kit/unacked.h"

#define KAFKA_TEARDOWN_LOOK_US \
    (20 * US_PER_MS) /* how often to look whether an old producer has let go */
#define KAFKA_GAPLESS_WAIT_US \
    (1 * US_PER_SECOND) /* for the report that says why a message failed */

struct kafka {
    const struct kafka_conf *conf;
    const struct sink_env *env;
    rd_kafka_conf_t *template;
    struct kafka_topics *topics;
    struct kafka_graves graves;
    struct kafka_hurry hurry;
    bool hurries; /* linger.ms is ours, so it holds only while there is more to batch with */
    int wake_fd;  /* an eventfd: librdkafka writes it when its queue stops being empty */

    /* One producer's life. */
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue;
    rd_kafka_event_t *partial; /* delivery reports that did not all fit into the last report */
    bool purged;               /* it is being torn down */
    int64_t purged_at_us;
    bool more;             /* the queue may hold what no wake-up announces again */
    int64_t gapless_at_us; /* when it said that a message failed for good, without which; 0 */
    struct error failure;  /* class not NONE: this producer is done for */
    bool told;             /* the pipeline knows */
    bool one_failed;       /* the failure was one event's, given as an entry of a report */
    struct kafka_window window;

    struct {
        rd_kafka_resp_err_t code; /* NO_ERROR: none */
        int64_t at_us;
        char text[512];
    } trouble; /* last heard from the world outside */

    /* Asked for by each new producer until an answer is there, which holds for the next one. */
    char limits_topic[256];     /* of the topic, or of the last one that refused a size; "" none */
    bool limits_known;          /* until a size is refused */
    struct kafka_limits limits; /* as last told to the log */
};

/* Beside the token in a message's opaque: the event itself gave the number of its partition. */
#define KAFKA_ADDRESSED (UINT64_C(1) << 63)

static inline bool kafka_has_failed(const struct kafka *k)
{
    return k->failure.class != ERROR_NONE;
}

void kafka_note(const struct kafka *k, int level, const char *text);

/* life.c: a new producer; the end of the living one, if any (AGAIN while it still refers to
 * payloads). */
int kafka_life_start(struct kafka *k, struct error *err) MUST_CHECK;
int kafka_life_end(struct kafka *k, struct error *err) MUST_CHECK;

/* reports.c: sink_ops.collect; what makes this producer done for. */
int kafka_collect(void *sink, struct sink_report *report, struct error *err);
void kafka_fail(struct kafka *k, rd_kafka_resp_err_t code, const char *topic);
void kafka_take_fatal(struct kafka *k);
