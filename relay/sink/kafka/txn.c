/* The pipeline's part of exactly_once: the open transaction, its commit, the reports after it. */
#include "sink/kafka/txn.h"

#include "base/log.h"
#include "base/memory.h"
#include "sink/kafka/internal.h"
#include <stdio.h>
#include <stdlib.h>

int kafka_txn_open(struct kafka *k, struct error *err)
{
    struct kafka_txn *t = &k->txn;
    const struct kafka_conf *conf = k->conf;
    t->on = kafka_conf_commits(conf, k->env);
    t->place = t->written = t->job.found.offset = -1;
    if (!t->on) {
        return RESULT_DONE;
    }
    if (!kafka_conf_name(conf->position_topic, k->env->pipeline, t->topic) ||
        t->topic[strspn(t->topic,
                        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")]) {
        return error_set(
            err, ERROR_CONFIG, "kafka",
            "sink.position_topic \"%s\" is no name of a Kafka topic: at most %d of letters, digits, '.', '_' and '-'",
            conf->position_topic, KAFKA_NAME_SIZE - 1);
    }
    t->job.template = k->template;
    t->job.topic = t->topic;
    t->job.pipeline = k->env->pipeline;
    t->job.timeout_ms = (int)(conf->transaction_timeout_us / US_PER_MS);
    kafka_note(k, LOG_INFO,
               "exactly_once: each event is there once for consumers with "
               "isolation.level=read_committed; others may see repeats");
    return RESULT_DONE;
}

static void free_keys_records(struct kafka_txn_job *j)
{
    for (size_t i = 0; i < j->keys_count; i++) {
        buf_release(&j->keys_records[i]);
    }
    free(j->keys_records);
    j->keys_records = NULL;
    j->keys_count = 0;
}

void kafka_txn_stop(struct kafka *k)
{
    atomic_store(&k->txn.job.stop, true);
}

void kafka_txn_free(struct kafka *k)
{
    struct kafka_txn *t = &k->txn;
    worker_free(t->worker);
    t->worker = NULL;
    free_keys_records(&t->job);
    buf_release(&t->job.record);
    kafka_position_release(&t->job.found);
    free(t->runs);
    t->runs = NULL;
}

static void empty(struct kafka_txn *t)
{
    t->runs_count = t->count = t->reported = 0;
    t->bytes = 0;
    t->hurry = t->doubtful = t->ended = false;
}

/* --- opening --- */

/* The producer becomes the living one even if the opening has failed: the next start ends it as any
 * other. */
static void take_opened(struct kafka *k)
{
    struct kafka_txn *t = &k->txn;
    if (t->job.rk) {
        kafka_life_adopt(k, t->job.rk);
    }
    if (t->job.note[0]) {
        kafka_note(k, LOG_WARN, t->job.note);
    }
    t->state = t->job.rc ? TXN_DOWN : TXN_FRESH;
    empty(t);
}

static void take_committed(struct kafka *k);

bool kafka_txn_idle(struct kafka *k)
{
    struct kafka_txn *t = &k->txn;
    if (!t->worker || !worker_busy(t->worker)) {
        return true;
    }
    if (!worker_take_end(t->worker)) {
        return false;
    }
    if (t->state == TXN_OPENING) {
        take_opened(k);
    } else {
        take_committed(k);
    }
    return true;
}

/* --- filling --- */

bool kafka_txn_has_room(const struct kafka *k)
{
    const struct kafka_txn *t = &k->txn;
    const struct kafka_commit_conf *c = &k->conf->commit;
    bool full = t->count >= (size_t)c->events || t->bytes >= (uint64_t)c->bytes;
    return t->state == TXN_FILLING && (!full || (k->conf->whole_transactions && !t->ended));
}

void kafka_txn_added(struct kafka *k, const struct event *e, uint64_t token)
{
    struct kafka_txn *t = &k->txn;
    size_t n = t->runs_count;
    if (t->count++ == 0) {
        t->begun_us = clock_mono_us();
    }
    t->bytes += e->value.len;
    t->ended = e->ends_transaction;
    t->hurry = false;
    if (n > 0 && t->runs[n - 1].first + t->runs[n - 1].count == token) {
        t->runs[n - 1].count++;
        return;
    }
    if (n == t->runs_cap) {
        t->runs_cap = t->runs_cap ? 2 * t->runs_cap : 64;
        t->runs = memory_need(reallocarray(t->runs, t->runs_cap, sizeof *t->runs));
    }
    t->runs[n] = (struct kafka_tokens){token, 1};
    t->runs_count++;
}

/* --- committing --- */

bool kafka_txn_due(const struct kafka *k, int64_t now_us)
{
    const struct kafka_txn *t = &k->txn;
    if (t->state != TXN_FILLING || t->count == 0) {
        return false;
    }
    return !kafka_txn_has_room(k) || t->hurry ||
           now_us - t->begun_us >= k->conf->commit.interval_us;
}

static void render(struct kafka *k, const struct sink_commit *c)
{
    struct kafka_txn *t = &k->txn;
    struct kafka_txn_job *j = &t->job;
    uint64_t delivered = t->next_number - 1 + t->count;
    struct kafka_position_by by = {k->env->pipeline, t->store, delivered, t->epoch};
    free_keys_records(j);
    for (size_t done = 0; done < c->keys_count;) {
        j->keys_records =
            memory_need(reallocarray(j->keys_records, j->keys_count + 1, sizeof *j->keys_records));
        struct buf *b = &j->keys_records[j->keys_count++];
        *b = (struct buf){0};
        done += kafka_position_render_keys(delivered, c->keys + done, c->keys_count - done, b);
    }
    buf_clear(&j->record);
    kafka_position_render(&by, c, j->keys_count, &j->record);
}

static void note_split(struct kafka *k)
{
    char text[256];
    snprintf(
        text, sizeof text,
        "whole_transactions: a transaction of the database is split over two Kafka transactions after %zu events: it does not fit into the window, or was interrupted (a stop, a refused event); raise delivery.max_in_flight and max_in_flight_bytes",
        k->txn.count);
    kafka_note(k, LOG_WARN, text);
    if (k->env->metrics) {
        metrics_add(&k->env->metrics->split_transactions, 1);
    }
}

int kafka_txn_commit(struct kafka *k, const struct sink_commit *c, struct error *err)
{
    struct kafka_txn *t = &k->txn;
    (void)err;
    if (t->state != TXN_FILLING || t->count == 0) {
        return RESULT_DONE; /* it has failed: `collect` says so */
    }
    if (k->conf->whole_transactions && !t->ended && c->dead_letter == 0) {
        note_split(k);
    }
    render(k, c);
    t->state = TXN_COMMITTING;
    t->written = -1;
    t->commit_us = clock_mono_us();
    t->job.rk = k->rk;
    t->job.committed = t->job.begun = false;
    worker_submit(t->worker, kafka_txn_run_commit, &t->job);
    return RESULT_DONE;
}

static void take_committed(struct kafka *k)
{
    struct kafka_txn *t = &k->txn;
    struct metrics *m = k->env->metrics;
    t->state = t->job.committed ? TXN_REPORTING : TXN_DOWN;
    if (m) {
        metrics_transaction(m, t->job.committed ? METRICS_COMMITTED : METRICS_FAILED,
                            clock_mono_us() - t->commit_us);
    }
}

/* --- reporting --- */

static void report_some(struct kafka_txn *t, struct sink_report *report)
{
    size_t before = 0; /* events in the runs before */
    for (size_t i = 0; i < t->runs_count && report->count < SINK_REPORT_MAX; i++) {
        const struct kafka_tokens *run = &t->runs[i];
        while (t->reported < before + run->count && report->count < SINK_REPORT_MAX) {
            report->results[report->count++] =
                (struct sink_result){run->first + (t->reported++ - before), SINK_DELIVERED};
        }
        before += run->count;
    }
}

/* All events of the transaction are reported. The producer goes on, if there is no doubt about it.
 */
static void go_on(struct kafka *k)
{
    struct kafka_txn *t = &k->txn;
    bool doubt = t->doubtful || t->job.late;
    t->place = t->written; /* not before: the pipeline may have given the events up meanwhile */
    t->next_number += t->count;
    empty(t);
    t->state = t->job.begun && !doubt ? TXN_FILLING : TXN_DOWN;
    if (t->state == TXN_FILLING) {
        return;
    }
    struct error err = t->job.error;
    if (t->job.begun) {
        error_set(
            &err, ERROR_RETRY, "kafka",
            "the commit has succeeded, but perhaps not at the first attempt, so this producer "
            "is not used again; a new one is made");
    }
    kafka_fail_with(k, &err);
}

void kafka_txn_collect(struct kafka *k, struct sink_report *report)
{
    struct kafka_txn *t = &k->txn;
    if (t->state == TXN_COMMITTING && kafka_txn_idle(k) && t->state == TXN_DOWN) {
        struct error err = t->job.error;
        if (t->job.fenced && !kafka_has_failed(k)) {
            kafka_txn_fenced(k, &err);
        }
        kafka_fail_with(k, &err);
    }
    if (t->state == TXN_REPORTING) {
        report_some(t, report);
        if (t->reported == t->count) {
            go_on(k);
        }
    }
}

void kafka_txn_poll_fds(struct kafka *k, struct poll_set *set)
{
    const struct kafka_txn *t = &k->txn;
    int64_t due = t->begun_us + k->conf->commit.interval_us;
    if (t->worker && worker_busy(t->worker)) {
        poll_set_add(set, worker_fd(t->worker), POLLIN);
    }
    if (t->state == TXN_REPORTING) {
        poll_set_deadline(set, 0);
    } else if (t->state == TXN_FILLING && t->count > 0 && due > clock_mono_us()) {
        poll_set_deadline(set, due); /* if it has passed, something else is waited for */
    }
}
