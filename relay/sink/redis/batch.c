/*
 * Sends events in transactions and takes the answers.
 *
 * A server goes on with the next command when one has failed, and what made the first one fail may
 * be over by then. So each batch is a transaction, of which a refused command leaves nothing, and a
 * transaction is executed only when the one before has succeeded. What it consists of is sent
 * before, so the server is not idle meanwhile:
 *
 *     MULTI XADD XADD EXEC            the first batch
 *     MULTI XADD XADD XADD ...        the second, while the first is executed
 *     EXEC                            once the first has succeeded
 */
#include "sink/redis/internal.h"

#include "base/fnv1a.h"
#include "sink/redis/errors.h"

#include <stdio.h>

enum { NAMES_KEPT = 64 * 1024 }; /* bytes */

/* What `collect` finds was put before it was called. */
_Static_assert(2 * REDIS_BATCH_EVENTS <= SINK_REPORT_MAX, "both batches fit into a report");

static void empty(struct redis_batch *b)
{
    buf_trim(&b->names, NAMES_KEPT);
    b->count = b->bytes = b->answers = 0;
    if (b->results) {
        freeReplyObject(b->results);
        b->results = NULL;
    }
    error_clear(&b->failed);
}

void redis_batch_forget(struct redis *r)
{
    r->running = &r->batches[0];
    r->filling = &r->batches[1];
    empty(r->running);
    empty(r->filling);
    error_clear(&r->failure);
    r->told = r->more = false;
    r->replicas = -1;
}

void redis_batch_release(struct redis *r)
{
    redis_batch_forget(r);
    buf_release(&r->running->names);
    buf_release(&r->filling->names);
}

bool redis_batch_pending(const struct redis *r)
{
    return r->running->count > 0 && !r->running->results;
}

static void fail(struct redis *r, const struct error *err)
{
    if (redis_has_failed(r)) {
        return;
    }
    r->failure = *err;
    error_clear(&r->busy);
    if (err->class == ERROR_BUSY) {
        r->busy = *err;
    }
}

static void say(struct redis *r, size_t n, const char **words)
{
    redis_link_send(&r->link, n, words, NULL);
}

/* --- events out --- */

bool redis_batch_has_room(const struct redis *r)
{
    const struct redis_batch *b = r->filling;
    /* WAIT blocks the connection, and would not within a transaction that is open behind it. */
    bool alone = r->conf->wait.replicas > 0 && r->running->count > 0;
    return !alone && b->count < REDIS_BATCH_EVENTS && b->bytes < REDIS_BATCH_BYTES &&
           b->failed.class == ERROR_NONE;
}

/* The stream of the i-th event. */
static struct slice name_of(const struct redis_batch *b, size_t i)
{
    size_t from = i > 0 ? b->entries[i - 1].name_end : 0;
    return (struct slice){b->names.data + from, b->entries[i].name_end - from};
}

static uint64_t hash_of(struct slice key)
{
    return fnv1a_add(FNV1A_START, key);
}

bool redis_batch_splits_key(const struct redis *r, struct slice key)
{
    const struct redis_batch *b = r->filling;
    uint64_t hash = hash_of(key);
    bool asked = r->env->holds_keys && !r->one_stream && !slice_is_null(key);
    for (size_t i = 0; asked && i < b->count; i++) {
        if (b->entries[i].key == hash && !slice_equal(name_of(b, i), r->command.name)) {
            return true;
        }
    }
    return false;
}

void redis_batch_add(struct redis *r, uint64_t token, struct slice key)
{
    struct redis_batch *b = r->filling;
    const struct redis_command *c = &r->command;
    if (b->count == 0) {
        b->since_us = clock_mono_us();
        say(r, 1, (const char *[]){"MULTI"});
    }
    buf_add_slice(&b->names, c->name);
    b->entries[b->count++] = (struct redis_entry){token, hash_of(key), b->names.len};
    for (size_t i = 0; i < c->count; i++) {
        b->bytes += c->lens[i];
    }
    redis_link_send(&r->link, c->count, c->args, c->lens);
}

/* How long one WAIT may take: not so long that a server which stands still goes unnoticed. */
static int64_t wait_us(const struct redis *r)
{
    int64_t timeout = r->conf->wait.timeout_us, stall = r->conf->net.stall_timeout_us;
    return timeout < stall ? timeout : stall;
}

static void wait_for_replicas(struct redis *r)
{
    char replicas[24], ms[24];
    snprintf(replicas, sizeof replicas, "%lld", (long long)r->conf->wait.replicas);
    snprintf(ms, sizeof ms, "%lld", (long long)(wait_us(r) / US_PER_MS));
    say(r, 3, (const char *[]){"WAIT", replicas, ms});
}

/* Executes the batch that was filled, if none is running. */
static void execute(struct redis *r)
{
    if (r->running->count > 0 || r->filling->count == 0 || redis_has_failed(r)) {
        return;
    }
    struct redis_batch *b = r->filling;
    r->filling = r->running;
    r->running = b;
    say(r, 1, (const char *[]){"EXEC"});
    if (r->conf->wait.replicas > 0) {
        wait_for_replicas(r);
    }
}

void redis_batch_send(struct redis *r)
{
    struct error err;
    execute(r);
    if (!redis_has_failed(r) && redis_link_write(&r->link, &err)) {
        fail(r, &err);
    }
}

/* --- answers in --- */

static struct slice text_of(const redisReply *reply)
{
    return (struct slice){reply->str, reply->len};
}

static void refused(struct redis *r, struct slice name, const redisReply *reply, struct error *err)
{
    redis_error(err, redis_link_server(&r->link), name, text_of(reply));
}

static void unexpected(struct redis *r, const char *command)
{
    struct error err;
    error_set(&err, ERROR_RETRY, "redis",
              "%s: an answer that does not fit %s; is it a Redis or Valkey server?",
              redis_link_server(&r->link), command);
    fail(r, &err);
}

static void add_result(struct sink_report *report, uint64_t token, enum sink_outcome outcome)
{
    report->results[report->count++] = (struct sink_result){token, outcome};
}

/* A stream's name that is made of an event and is taken by something else is that event's fault. */
static void blame_event(const struct redis *r, struct error *err)
{
    if (!r->one_stream && error_is(err, "WRONGTYPE")) {
        err->class = ERROR_POISON;
        err->exit_code = EXIT_CODE_GAVE_UP;
    }
}

/* Reports what the transaction has brought about, and what of it has failed: an event that is
 * poison, or the sink. */
static void report_running(struct redis *r, struct sink_report *report)
{
    struct redis_batch *b = r->running;
    struct error first = {0};
    size_t failed = 0;
    for (size_t i = 0; i < b->count; i++) {
        const redisReply *one = b->results->element[i];
        if (one->type != REDIS_REPLY_ERROR) {
            add_result(report, b->entries[i].token, SINK_DELIVERED);
        } else if (first.class == ERROR_NONE) {
            refused(r, name_of(b, i), one, &first);
            blame_event(r, &first);
            failed = i;
        }
    }
    error_clear(&r->busy);
    if (first.class == ERROR_POISON) {
        add_result(report, b->entries[failed].token, SINK_POISON);
        report->error = first;
    } else if (first.class != ERROR_NONE) {
        fail(r, &first);
    }
    empty(b);
}

/* WAIT is under way. The server has answered what was before it, and may take its time for this.
 * The events wait on this connection for as long as replicas are missing: the server has them, and
 * would have them twice if they were sent again. */
static void replicas_asked(struct redis *r)
{
    r->running->since_us = clock_mono_us() + wait_us(r);
}

/* The answer to EXEC; true if it is kept. What was refused when it was queued says more than EXEC's
 * own error. */
static bool take_results(struct redis *r, redisReply *reply, struct sink_report *report)
{
    struct redis_batch *b = r->running;
    struct error err;
    if (reply->type == REDIS_REPLY_ERROR) {
        refused(r, SLICE_NULL, reply, &err);
        fail(r, b->failed.class != ERROR_NONE ? &b->failed : &err);
        return false;
    }
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != b->count) {
        unexpected(r, "EXEC");
        return false;
    }
    b->results = reply;
    if (r->conf->wait.replicas == 0) {
        report_running(r, report);
    } else {
        replicas_asked(r);
    }
    return true;
}

static void take_replicas(struct redis *r, const redisReply *reply, struct sink_report *report)
{
    struct error err;
    if (reply->type == REDIS_REPLY_ERROR) {
        refused(r, SLICE_NULL, reply, &err);
        fail(r, &err);
    } else if (reply->type != REDIS_REPLY_INTEGER) {
        unexpected(r, "WAIT");
    } else if (reply->integer < r->conf->wait.replicas) {
        r->replicas = reply->integer;
        wait_for_replicas(r);
        replicas_asked(r);
    } else {
        r->replicas = -1;
        report_running(r, report);
    }
}

/* Answers to MULTI and to what follows until EXEC. */
static void take_queued(struct redis *r, struct redis_batch *b, const redisReply *reply)
{
    size_t i = b->answers++; /* 0: MULTI */
    if (reply->type == REDIS_REPLY_ERROR && b->failed.class == ERROR_NONE) {
        refused(r, i > 0 ? name_of(b, i - 1) : SLICE_NULL, reply, &b->failed);
    } else if (reply->type != REDIS_REPLY_ERROR && reply->type != REDIS_REPLY_STATUS) {
        unexpected(r, "MULTI");
    }
}

/* True if the reply is kept. */
static bool take(struct redis *r, redisReply *reply, struct sink_report *report)
{
    struct redis_batch *b = r->running->count > 0 ? r->running : r->filling;
    if (b->count > 0 && b->answers <= b->count) {
        take_queued(r, b, reply);
    } else if (b != r->running) {
        unexpected(r, "any command");
    } else if (!b->results) {
        return take_results(r, reply, report);
    } else {
        take_replicas(r, reply, report);
    }
    return false;
}

int64_t redis_batch_deadline(const struct redis *r)
{
    const struct redis_batch *b = r->running->count > 0 ? r->running : r->filling;
    return b->count > 0 ? b->since_us + r->conf->net.stall_timeout_us : DEADLINE_NEVER;
}

static void watch(struct redis *r)
{
    struct error err;
    double seconds = (double)r->conf->net.stall_timeout_us / 1e6;
    if (clock_mono_us() < redis_batch_deadline(r) || redis_has_failed(r)) {
        return;
    }
    error_set(&err, ERROR_RETRY, "redis",
              "no acknowledgement from %s for %.1f s; is the server frozen, or the network down? A "
              "new connection is tried",
              redis_link_server(&r->link), seconds);
    error_code(&err, "stalled");
    fail(r, &err);
}

/* The connection has ended. A server that ends it because of a command says so before. */
static void end(struct redis *r, const struct error *err)
{
    const struct redis_batch *b = r->running->count > 0 ? r->running : r->filling;
    fail(r, b->failed.class != ERROR_NONE ? &b->failed : err);
}

/* Nothing may follow an event that is poison in its report, and nothing is executed behind it
 * before the pipeline knows of it. */
static bool ends_with_poison(const struct sink_report *report)
{
    return report->count > 0 && report->results[report->count - 1].outcome == SINK_POISON;
}

void redis_batch_collect(struct redis *r, struct sink_report *report)
{
    struct error err;
    redisReply *reply = NULL;
    redis_batch_send(r);
    while (!redis_has_failed(r) && !ends_with_poison(report)) {
        int rc = redis_link_read(&r->link, &reply, &err);
        if (rc == RESULT_AGAIN) {
            break;
        }
        if (rc == RESULT_ERROR) {
            end(r, &err);
        } else if (!take(r, reply, report)) {
            freeReplyObject(reply);
        }
        if (r->running->count == 0 && !ends_with_poison(report)) {
            redis_batch_send(r);
        }
    }
    r->more = ends_with_poison(report);
    watch(r);
}
