/* Believes no report that a reader cannot confirm. */
#include "../unit/unit.h"

#include "patience.h"
#include "plugin_conf.h"
#include "sink_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void note(void *ctx, int level, const char *text)
{
    (void)ctx, (void)level, (void)text;
}

int rig_up(void **state)
{
    struct rig *r = calloc(1, sizeof *r);
    assert_non_null(r);
    const struct sink_case *c = *state;
    r->ops = c->ops;
    r->kind = c->kind;
    r->done = calloc(RIG_EVENTS_MAX, 1);
    r->refused = calloc(RIG_EVENTS_MAX, 1);
    r->visible = calloc(RIG_EVENTS_MAX + 1, 1);
    r->saw = calloc(4 * RIG_EVENTS_MAX, sizeof *r->saw);
    assert_true(r->done && r->refused && r->visible && r->saw);
    r->batch = batch_new();
    r->env = (struct sink_env){.pipeline = "p",
                               .max_in_flight = 10000,
                               .max_in_flight_bytes = 16 << 20,
                               .stop_fd = -1,
                               .note = note};
    r->stored.origin = "";
    r->token = UINT64_C(0x7000000000000000);
    r->kind->up(r);
    *state = r;
    return 0;
}

static void forget_recovery(struct rig *r)
{
    buf_release(&r->recovery.cursor);
    buf_release(&r->recovery.last_position);
    buf_release(&r->recovery.last_id);
    arena_release(&r->recovery.arena);
    memset(&r->recovery, 0, sizeof r->recovery);
}

int rig_down(void **state)
{
    struct rig *r = *state;
    rig_close(r);
    r->kind->down(r);
    forget_recovery(r);
    plugin_conf_free(r->conf, r->conf_memory);
    batch_free(r->batch);
    free(r->done);
    free(r->refused);
    free(r->visible);
    free(r->saw);
    free(r);
    return 0;
}

/* --- life --- */

static void wait_some(struct rig *r)
{
    struct poll_set set;
    poll_set_clear(&set);
    poll_set_deadline(&set, clock_mono_us() + 100 * US_PER_MS);
    r->ops->poll_fds(r->sink, &set);
    poll_set_wait(&set);
}

void rig_recover(struct rig *r)
{
    size_t max_event;
    rig_close(r);
    forget_recovery(r);
    if (r->ops->open(r->conf, &r->env, &r->sink, &max_event, &r->err)) {
        fail_msg("open: %s", r->err.text);
    }
    r->caps = sink_caps(r->ops, r->sink);
    assert_int_equal((r->caps & SINK_COMMITS) != 0, r->kind->commits);
    int64_t until = clock_mono_us() + PATIENCE_US;
    int rc = r->caps & SINK_COMMITS ? RESULT_AGAIN : RESULT_DONE;
    while (rc == RESULT_AGAIN &&
           (rc = r->ops->recover(r->sink, &r->stored, &r->recovery, &r->err)) == RESULT_AGAIN) {
        assert_true(clock_mono_us() < until);
        wait_some(r);
    }
    if (rc) {
        fail_msg("recover: %s", r->err.text);
    }
}

void rig_start(struct rig *r, uint64_t next_number)
{
    int64_t until = clock_mono_us() + PATIENCE_US;
    int rc;
    while ((rc = r->ops->start(r->sink, next_number, &r->err)) == RESULT_AGAIN) {
        assert_true(clock_mono_us() < until);
        wait_some(r);
    }
    if (rc) {
        fail_msg("start: %s", r->err.text);
    }
    r->token += RIG_EVENTS_MAX; /* never one of an earlier time */
    r->put = r->settled = 0;
    r->committing = false;
    memset(r->done, 0, RIG_EVENTS_MAX);
    memset(r->refused, 0, RIG_EVENTS_MAX);
}

void rig_open(struct rig *r, uint64_t next_number)
{
    rig_recover(r);
    rig_start(r, next_number);
}

void rig_close(struct rig *r)
{
    r->ops->close(r->sink);
    r->sink = NULL;
}

/* --- events --- */

static struct slice text(struct rig *r, const char *prefix, size_t n)
{
    char out[48];
    snprintf(out, sizeof out, "%s%zu", prefix, n);
    return arena_copy(&r->batch->arena, slice_from(out));
}

void rig_events(struct rig *r, size_t n)
{
    static const struct slice id_name = SLICE_LITERAL("id");
    for (size_t i = 0; i < n; i++) {
        struct event *e = batch_add(r->batch);
        size_t number = r->batch->count;
        assert_true(number <= RIG_EVENTS_MAX);
        struct header *id = arena_array(&r->batch->arena, 1, sizeof *id);
        e->id = text(r, "e", number);
        e->position = text(r, "", number);
        e->row_key = text(r, "row-", number);
        e->type = SLICE_LITERAL("made");
        e->aggregatetype = SLICE_LITERAL("thing");
        e->aggregateid = e->key = text(r, "k", number % RIG_KEYS);
        e->topic = slice_from(r->where);
        e->payload = e->value = text(r, "", number);
        *id = (struct header){id_name, e->id};
        e->out_headers = id;
        e->out_headers_count = 1;
        e->created_at_us = INT64_C(1700000000000000);
        e->bytes = 200;
    }
}

size_t rig_offer(struct rig *r, size_t to)
{
    size_t all = 0;
    while (r->put < to && !r->committing) {
        size_t taken = SIZE_MAX;
        error_clear(&r->err);
        int rc = r->ops->put(r->sink, r->batch, r->put, to, r->token + r->put, &taken, &r->err);
        assert_true(taken <= to - r->put);
        r->put += taken;
        all += taken;
        if (rc == RESULT_ERROR && r->err.class == ERROR_POISON) {
            r->refused[r->put++] = true;
            r->settled++;
            continue;
        }
        if (rc) {
            fail_msg("put: %s", r->err.text);
        }
        break;
    }
    return all;
}

static void take_result(struct rig *r, const struct sink_result *got)
{
    assert_in_range(got->token, r->token, r->token + r->put - 1);
    size_t i = got->token - r->token;
    assert_false(r->done[i] || r->refused[i]); /* once, and never after a refusal */
    r->settled++;
    if (got->outcome == SINK_POISON) {
        r->refused[i] = true;
        return;
    }
    if (got->outcome != SINK_DELIVERED) {
        fail_msg("event %zu: %s", i + 1, r->report.error.text);
    }
    int64_t until = clock_mono_us() + PATIENCE_US;
    while (!r->visible[i + 1] && r->kind->shows_later && clock_mono_us() < until) {
        r->kind->look(r);
    }
    if (!r->visible[i + 1]) {
        fail_msg("event %zu is reported delivered, and no reader can see it", i + 1);
    }
    r->done[i] = true;
}

void rig_step(struct rig *r)
{
    wait_some(r);
    r->report.count = 0;
    error_clear(&r->err);
    if (r->ops->collect(r->sink, &r->report, &r->err)) {
        fail_msg("collect: %s", r->err.text);
    }
    r->kind->look(r); /* also when nothing came: a sink may wait for its reader */
    for (size_t i = 0; i < r->report.count; i++) {
        take_result(r, &r->report.results[i]);
    }
    r->committing = r->committing && r->settled < r->put;
}

void rig_commit(struct rig *r)
{
    CLEANUP(buf_release) struct buf cursor = {0};
    CLEANUP(arena_release) struct arena texts;
    struct slice keys[RIG_EVENTS_MAX];
    size_t n = 0;
    arena_init(&texts);
    if (!(r->caps & SINK_COMMITS) || r->committing || r->settled == r->put) {
        return;
    }
    for (size_t i = 0; i < r->put; i++) {
        if (!r->done[i] && !r->refused[i]) {
            keys[n++] = arena_copy(&texts, r->batch->events[i].row_key);
        }
    }
    const struct event *last = &r->batch->events[r->put - 1];
    buf_printf(&cursor, "cursor %zu", r->put);
    struct sink_commit c = {.cursor = buf_slice(&cursor),
                            .keys = keys,
                            .keys_count = n,
                            .last_position = last->position,
                            .last_id = last->id};
    if (r->ops->commit(r->sink, &c, &r->err)) {
        fail_msg("commit: %s", r->err.text);
    }
    for (size_t i = 0; i < n; i++) {
        memset((char *)(uintptr_t)keys[i].ptr, '?', keys[i].len); /* it has copied them */
    }
    r->committing = true;
}

void rig_deliver(struct rig *r)
{
    int64_t until = clock_mono_us() + PATIENCE_US;
    while (r->settled < r->batch->count) {
        if (clock_mono_us() > until) {
            fail_msg("%zu of %zu events reported", r->settled, r->batch->count);
        }
        bool full = rig_offer(r, r->batch->count) == 0 || r->put == r->batch->count;
        if (r->ops->flush && r->put == r->batch->count) {
            r->ops->flush(r->sink);
        }
        if ((r->caps & SINK_COMMITS) && !r->committing &&
            (full || r->ops->commit_due(r->sink, clock_mono_us()))) {
            rig_commit(r);
        }
        rig_step(r);
    }
}

/* --- for kinds --- */

void rig_conf_new(struct rig *r)
{
    r->conf = plugin_conf_new(r->ops->keys, r->ops->conf_size, &r->conf_memory);
}

void rig_not_json(struct rig *r, struct event *e)
{
    (void)r;
    e->payload_kind = PAYLOAD_TEXT;
    e->payload = SLICE_LITERAL("\xff no text \xfe");
}

size_t rig_read_lines(struct rig *r, const char *text, size_t len)
{
    size_t used = 0;
    for (const char *end; (end = memchr(text + used, '\n', len - used));
         used = (size_t)(end - text) + 1) {
        static const char mark[] = "\"id\":\"e";
        const char *id = memmem(text + used, (size_t)(end - text) - used, mark, sizeof mark - 1);
        assert_non_null(id);
        rig_saw(r, atoi(id + sizeof mark - 1));
    }
    return used;
}

/* --- what a reader sees --- */

void rig_saw(struct rig *r, int number)
{
    assert_in_range(number, 1, RIG_EVENTS_MAX);
    assert_true(r->saw_count < 4 * (size_t)RIG_EVENTS_MAX);
    r->saw[r->saw_count++] = number;
    r->visible[number] = true;
}

void assert_all_in_order(struct rig *r)
{
    int next_of_key[RIG_KEYS];
    r->kind->look(r);
    for (size_t n = 1; n <= r->batch->count; n++) {
        if (r->visible[n] == r->refused[n - 1]) {
            fail_msg("event %zu: %s", n, r->visible[n] ? "refused and sent" : "lost");
        }
    }
    for (int k = 0; k < RIG_KEYS; k++) {
        next_of_key[k] = RIG_EVENTS_MAX + 1;
    }
    bool *counted = calloc(RIG_EVENTS_MAX + 1, 1);
    assert_non_null(counted);
    for (size_t i = r->saw_count; i-- > 0;) { /* from behind: the last time counts */
        int n = r->saw[i], *next = &next_of_key[n % RIG_KEYS];
        if (!counted[n] && n > *next) {
            fail_msg("event %d of key k%d is there for the last time before event %d", n,
                     n % RIG_KEYS, *next);
        }
        *next = !counted[n] ? n : *next;
        counted[n] = true;
    }
    free(counted);
}

void assert_nothing_twice(struct rig *r)
{
    r->kind->look(r);
    size_t wanted = 0;
    for (size_t n = 1; n <= RIG_EVENTS_MAX; n++) {
        wanted += r->visible[n];
    }
    assert_int_equal(r->saw_count, wanted);
}
