/* exactly_once: a new producer, and what the last position record says. */
#include "sink/kafka/txn.h"

#include "base/log.h"
#include "sink/kafka/internal.h"
#include <stdio.h>

/* Ends the living producer and begins to make a new one. AGAIN: it is under way. */
static int open_new(struct kafka *k, struct error *err)
{
    struct kafka_txn *t = &k->txn;
    int rc = kafka_life_end(k, err);
    if (rc) {
        return rc;
    }
    t->state = TXN_DOWN;
    if (!t->worker && worker_new(&t->worker, err)) {
        return RESULT_ERROR;
    }
    t->state = TXN_OPENING;
    t->job.rk = NULL;
    t->job.note[0] = '\0';
    t->job.committed = t->job.begun = t->job.late = t->job.fenced = false;
    worker_submit(t->worker, kafka_txn_run_open, &t->job);
    return RESULT_AGAIN;
}

/* Goes on with the opening. AGAIN: it is under way. DONE: there is a fresh producer. */
static int opened(struct kafka *k, bool *ret_ended, struct error *err)
{
    struct kafka_txn *t = &k->txn;
    *ret_ended = false;
    if (t->state != TXN_OPENING) {
        return open_new(k, err);
    }
    if (!kafka_txn_idle(k)) {
        return RESULT_AGAIN;
    }
    *ret_ended = true;
    if (t->state == TXN_FRESH) {
        return RESULT_DONE;
    }
    *err = t->job.error;
    return t->job.fenced ? kafka_txn_fenced(k, err) : RESULT_ERROR;
}

int kafka_txn_start(struct kafka *k, uint64_t next_number, struct error *err)
{
    struct kafka_txn *t = &k->txn;
    bool ended;
    if (t->state != TXN_FRESH) {
        int rc = opened(k, &ended, err);
        if (rc) {
            return rc;
        }
    }
    if (t->job.found.offset != t->place) {
        error_set(
            err, ERROR_RETRY, "kafka",
            "the position in topic %s is not the one that this relay wrote last (%llu events): a commit without an answer has succeeded, or another relay was here",
            t->topic, (unsigned long long)t->job.found.delivered);
        return error_code(err, SINK_OVERTAKEN);
    }
    t->next_number = next_number;
    t->state = TXN_FILLING;
    return RESULT_DONE;
}

/* Compares up to the first bracket: the text in brackets is for people and may change. */
static bool same_origin(const char *a, const char *b)
{
    size_t n = strcspn(a, "(");
    return n == strcspn(b, "(") && strncmp(a, b, n) == 0;
}

static int check_store(const struct kafka *k, const struct sink_stored *stored, struct error *err)
{
    const struct kafka_txn *t = &k->txn;
    const char *found = buf_str(&t->job.found.store);
    if (t->job.found.offset < 0 || !found[0] || !stored->origin[0] ||
        same_origin(found, stored->origin)) {
        return RESULT_DONE;
    }
    return error_exit(
        err, ERROR_FATAL, EXIT_CODE_UNAVAILABLE, "kafka",
        "the position of pipeline %s in topic %s is that of %s, not of %s: give this pipeline another name, or another sink.transactional_id and sink.position_topic; if the one took the place of the other, another sink.position_topic",
        k->env->pipeline, t->topic, found, stored->origin);
}

static void note_behind(struct kafka *k, const struct sink_stored *stored)
{
    const struct kafka_position *f = &k->txn.job.found;
    char text[512];
    snprintf(
        text, sizeof text,
        "position topic %s %s, and the store has %llu events delivered: the store's position counts. What was sent after its last save, if anything, comes twice",
        k->txn.topic, f->offset < 0 ? "holds no position of this pipeline" : "is behind",
        (unsigned long long)stored->delivered);
    kafka_note(k, LOG_WARN, text);
}

static void hand_over(struct kafka_position *f, struct sink_recovery *ret)
{
    ret->delivered = f->delivered;
    ret->dead_letter = f->dead_letter;
    buf_add_slice(&ret->cursor, buf_slice(&f->cursor));
    buf_add_slice(&ret->last_position, buf_slice(&f->last_position));
    buf_add_slice(&ret->last_id, buf_slice(&f->last_id));
    ret->keys = arena_array(&ret->arena, f->keys_count ? f->keys_count : 1, sizeof *ret->keys);
    ret->keys_count = f->keys_count;
    for (size_t i = 0; i < f->keys_count; i++) {
        ret->keys[i] = arena_copy(&ret->arena, f->keys[i]);
    }
}

int kafka_txn_recover(struct kafka *k, const struct sink_stored *stored, struct sink_recovery *ret,
                      struct error *err)
{
    struct kafka_txn *t = &k->txn;
    if (!t->recovering) { /* what was opened before does not know what came since */
        int rc = kafka_txn_idle(k) ? open_new(k, err) : RESULT_AGAIN;
        t->recovering = t->state == TXN_OPENING && rc == RESULT_AGAIN;
        return rc;
    }
    bool ended;
    int rc = opened(k, &ended, err);
    if (rc == RESULT_AGAIN) {
        return rc;
    }
    t->recovering = false;
    if (rc || check_store(k, stored, err)) {
        return RESULT_ERROR;
    }
    if (stored->epoch > t->epoch + 1) { /* another relay had the lock: it was right to fence us */
        memset(t->fenced_us, 0, sizeof t->fenced_us);
    }
    snprintf(t->store, sizeof t->store, "%s", stored->origin);
    t->epoch = stored->epoch;
    t->place = t->job.found.offset;
    if (t->place >= 0 && t->job.found.delivered > stored->delivered) {
        hand_over(&t->job.found, ret);
    } else if (stored->delivered > (t->place < 0 ? 0 : t->job.found.delivered)) {
        note_behind(k, stored);
    }
    return RESULT_DONE;
}
