/*
 * How a producer fails: the first failure is recorded, and nothing more is sent.
 */
#include "sink/kafka/internal.h"

#include "sink/kafka/errors.h"

/* Fenced so often within a minute while the lock is ours: somebody else uses the id. */
enum { FENCED_MAX = 3 }; /* one more than kafka_txn.fenced_us holds */
#define FENCED_WITHIN_US (60 * US_PER_SECOND)

void kafka_note(const struct kafka *k, int level, const char *text)
{
    if (k->env->note) {
        k->env->note(k->env->note_ctx, level, text);
    }
}

/* Drops what is queued, because it would overtake the message that failed. What is on the wire
 * stays, and may still be reported as delivered. */
static void stop_sending(struct kafka *k)
{
    rd_kafka_purge(k->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_NON_BLOCKING);
}

void kafka_fail_with(struct kafka *k, const struct error *err)
{
    if (!kafka_has_failed(k)) {
        k->failure = *err;
        stop_sending(k);
    }
}

int kafka_txn_fenced(struct kafka *k, struct error *err)
{
    struct kafka_txn *t = &k->txn;
    int64_t now = clock_mono_us(), oldest = t->fenced_us[1];
    t->fenced_us[1] = t->fenced_us[0];
    t->fenced_us[0] = now;
    if (oldest && now - oldest < FENCED_WITHIN_US) {
        return error_exit(
            err, ERROR_FATAL, EXIT_CODE_UNAVAILABLE, "kafka",
            "somebody else uses the transactional.id of pipeline %s: its producer was fenced %d times within a minute, although this relay holds the lock. Give each pipeline and each producer a sink.transactional_id of its own",
            k->env->pipeline, FENCED_MAX);
    }
    error_set(
        err, ERROR_RETRY, "kafka",
        "the producer of pipeline %s is fenced: another relay has taken over, or its transaction has timed out; nothing of the open transaction is visible",
        k->env->pipeline);
    return error_code(err, SINK_OVERTAKEN);
}

void kafka_fail_as(struct kafka *k, rd_kafka_resp_err_t code, bool addressed, const char *topic,
                   const char *detail)
{
    struct error err;
    if (kafka_has_failed(k)) {
        return;
    }
    if (k->txn.on && kafka_is_fenced(code)) {
        kafka_txn_fenced(k, &err);
    } else {
        kafka_error(&err, code, addressed, topic, detail);
    }
    kafka_fail_with(k, &err);
}

void kafka_fail(struct kafka *k, rd_kafka_resp_err_t code, const char *topic)
{
    kafka_fail_as(k, code, false, topic, NULL);
}
