/* Drives any source honestly: it is read again only when its descriptors or its timer say so. */
#include "../unit/unit.h"

#include "patience.h"
#include "plugin_conf.h"
#include "source_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ID_PREFIX = 24 };

bool world_acks(const struct world *w)
{
    return w->caps & SOURCE_ACK_KEYS;
}

int world_up(void **state)
{
    const struct source_case *c = *state;
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    w->c = c;
    w->ops = c->ops;
    w->outbox = (struct outbox){.kind = c->kind, .server = c->server};
    if (!c->kind->make(&w->outbox, c->mode)) {
        fail_msg("mode %s of %s has no fixture: add it to outbox.c", c->mode, c->ops->name);
    }
    w->conf = plugin_conf_new(c->ops->keys, c->ops->conf_size, &w->conf_memory);
    plugin_conf_text(c->ops->keys, w->conf, c->kind->url_key, w->outbox.where);
    if (c->kind->configure) {
        c->kind->configure(c->ops->keys, w->conf);
    } else {
        plugin_conf_text(c->ops->keys, w->conf, "mode", c->mode);
        plugin_conf_number(c->ops->keys, w->conf, "poll_interval", 20 * US_PER_MS);
    }
    w->env = (struct source_env){.pipeline = "p",
                                 .store = {.positions = c->kind->positions,
                                           .dead_letters = c->kind->dead_letters,
                                           .part = OUTBOX_PART},
                                 .ordered = true,
                                 .attempts = 3,
                                 .stop_fd = -1};
    w->batch = batch_new();
    *state = w;
    return 0;
}

int world_down(void **state)
{
    struct world *w = *state;
    w->ops->close(w->source);
    batch_free(w->batch);
    w->c->kind->drop(&w->outbox);
    plugin_conf_free(w->conf, w->conf_memory);
    free(w);
    return 0;
}

int world_try_start(struct world *w, const char *cursor, int64_t epoch)
{
    error_clear(&w->err);
    if (!w->source && w->ops->open(w->conf, &w->env, &w->source, &w->caps, &w->err)) {
        return RESULT_ERROR;
    }
    return w->ops->start(w->source, slice_from(cursor), epoch, &w->err);
}

/* The server may need a moment to see that the relay before has gone. */
void world_start(struct world *w, const char *cursor)
{
    int64_t until = clock_mono_us() + PATIENCE_US;
    while (world_try_start(w, cursor, 7)) {
        if (strcmp(w->err.code, "slot_active") != 0 || clock_mono_us() > until) {
            fail_msg("start: %s", w->err.text);
        }
        struct poll_set set;
        poll_set_clear(&set);
        poll_set_deadline(&set, clock_mono_us() + 10 * US_PER_MS);
        poll_set_wait(&set);
    }
}

void world_restart(struct world *w, const char *cursor)
{
    w->ops->close(w->source);
    w->source = NULL;
    world_start(w, cursor);
}

void world_sql(struct world *w, unsigned session, const char *fmt, ...)
{
    char text[4096];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    assert_in_range(n, 0, sizeof text - 1);
    assert_true(w->c->kind->sql(&w->outbox, session, text));
}

bool world_try_emit(struct world *w, unsigned session, int n, const char *key)
{
    char text[512];
    snprintf(text, sizeof text,
             "insert into outbox (id, aggregatetype, aggregateid, type, payload) values"
             " ('00000000-0000-4000-8000-%012d', 'order', '%s', 'made', '{\"n\": %d}')",
             n, key, n);
    return w->c->kind->sql(&w->outbox, session, text);
}

void world_emit(struct world *w, int n, const char *key)
{
    assert_true(world_try_emit(w, 0, n, key));
}

void world_emit_range(struct world *w, int from, int to)
{
    for (int n = from; n <= to; n++) {
        world_emit(w, n, "k");
    }
}

/* --- reading --- */

typedef void add_fds(void *source, struct poll_set *set);

static int wait_by(struct world *w, add_fds *fds, int64_t until)
{
    struct poll_set set;
    poll_set_clear(&set);
    poll_set_deadline(&set, until);
    fds(w->source, &set);
    if (w->ops->tend_fds) {
        w->ops->tend_fds(w->source, &set);
    }
    poll_set_wait(&set);
    return w->ops->tend ? w->ops->tend(w->source, &w->err) : RESULT_DONE;
}

int world_wait(struct world *w, int64_t until)
{
    return wait_by(w, w->ops->poll_fds, until);
}

static int try_wait(struct world *w, add_fds *fds, int64_t until)
{
    int rc = wait_by(w, fds, until);
    if (clock_mono_us() >= until) {
        fail_msg("nothing comes of it for %d s", (int)(PATIENCE_US / US_PER_SECOND));
    }
    return rc;
}

static void wait_for_source(struct world *w, int64_t until)
{
    if (try_wait(w, w->ops->poll_fds, until)) {
        fail_msg("tend: %s", w->err.text);
    }
}

static void copy(char *out, size_t size, struct slice s)
{
    assert_true(s.len < size);
    snprintf(out, size, "%.*s", SLICE_FMT(s));
}

static void keep(struct world *w)
{
    size_t bytes = 0;
    for (size_t i = 0; i < w->batch->count; i++) {
        const struct event *e = &w->batch->events[i];
        assert_true(w->got_count < SOURCE_GOT_MAX);
        struct got *g = &w->got[w->got_count++];
        CLEANUP(buf_release) struct buf cursor = {0};
        w->ops->cursor(w->source, w->batch, i, &cursor);
        copy(g->id, sizeof g->id, e->id);
        copy(g->key, sizeof g->key, e->aggregateid);
        copy(g->position, sizeof g->position, e->position);
        copy(g->row_key, sizeof g->row_key, e->row_key);
        copy(g->cursor, sizeof g->cursor, buf_slice(&cursor));
        g->number = atoi(g->id + ID_PREFIX);
        bytes += e->bytes;
    }
    assert_int_equal(w->batch->bytes, bytes);
}

int world_try_read(struct world *w, size_t max_events, size_t max_bytes)
{
    int64_t until = clock_mono_us() + PATIENCE_US;
    batch_reset(w->batch);
    error_clear(&w->err);
    for (;;) {
        int rc = w->ops->read(w->source, w->batch, max_events, max_bytes, &w->err);
        if (rc == RESULT_DONE) {
            assert_true(w->batch->count <= max_events);
            keep(w);
        }
        if (rc != RESULT_AGAIN) {
            return rc;
        }
        if (try_wait(w, w->ops->poll_fds, until)) {
            return RESULT_ERROR;
        }
    }
}

size_t world_read(struct world *w, size_t max_events, size_t max_bytes)
{
    if (world_try_read(w, max_events, max_bytes)) {
        fail_msg("read: %s", w->err.text);
    }
    return w->batch->count;
}

size_t world_read_some(struct world *w, size_t max_events, size_t max_bytes)
{
    int64_t until = clock_mono_us() + PATIENCE_US;
    while (world_read(w, max_events, max_bytes) == 0) {
        assert_non_null(w->c->kind->sends);
        wait_for_source(w, until);
    }
    return w->batch->count;
}

/* The server's side of "caught up": is there something behind where the source stands? */
static bool more_to_come(struct world *w)
{
    CLEANUP(buf_release) struct buf cursor = {0}, position = {0};
    w->ops->cursor(w->source, NULL, SIZE_MAX, &cursor);
    w->ops->describe(buf_slice(&cursor), &position);
    return w->c->kind->sends(&w->outbox, buf_str(&position));
}

static void drain_sent(struct world *w, int64_t until)
{
    while (world_read(w, 1000, SIZE_MAX) > 0 || more_to_come(w)) {
        if (w->batch->count == 0) {
            wait_for_source(w, until);
        }
    }
}

void world_drain(struct world *w)
{
    int64_t until = clock_mono_us() + PATIENCE_US;
    if (w->c->kind->sends) {
        drain_sent(w, until);
        return;
    }
    for (int empty = 0; empty < 2;) {
        empty = world_read(w, 1000, SIZE_MAX) ? 0 : empty + 1;
        if (!empty) {
            continue;
        }
        wait_for_source(w, until);
    }
}

/* As the pipeline does with empty hands: where the source stands is saved, and the server told. It
 * is idle sooner or later, or the test fails. */
static bool idle_when_told(struct world *w)
{
    int64_t until = clock_mono_us() + PATIENCE_US;
    for (;;) {
        CLEANUP(buf_release) struct buf cursor = {0};
        bool is = false;
        world_read(w, 1000, SIZE_MAX);
        if (w->batch->count == 0 && w->ops->idle(w->source, &is, &w->err)) {
            fail_msg("idle: %s", w->err.text);
        }
        if (is) {
            return true;
        }
        if (w->ops->moved(w->source)) {
            w->ops->cursor(w->source, NULL, SIZE_MAX, &cursor);
            w->ops->confirm(w->source, buf_slice(&cursor));
        }
        wait_for_source(w, until);
    }
}

bool world_idle(struct world *w)
{
    bool is = false;
    if (w->ops->moved) {
        return idle_when_told(w);
    }
    for (int empty = 0; empty < 2;) {
        empty = world_read(w, 1000, SIZE_MAX) ? 0 : empty + 1;
    }
    if (w->ops->idle && w->ops->idle(w->source, &is, &w->err)) {
        fail_msg("idle: %s", w->err.text);
    }
    return is || !w->ops->idle;
}

void world_forget(struct world *w)
{
    w->got_count = 0;
}

void world_numbers(struct world *w, char *out)
{
    out[0] = '\0';
    for (size_t i = 0; i < w->got_count; i++) {
        out += sprintf(out, "%s%d", i ? " " : "", w->got[i].number);
    }
    world_forget(w);
}

/* --- behind the sink --- */

int world_try_ack(struct world *w, size_t from, size_t to)
{
    CLEANUP(arena_release) struct arena texts;
    struct slice keys[SOURCE_GOT_MAX];
    arena_init(&texts);
    if (!world_acks(w) || from == to) {
        return RESULT_DONE;
    }
    for (size_t i = from; i < to; i++) {
        keys[i - from] = arena_copy(&texts, slice_from(w->got[i].row_key));
    }
    error_clear(&w->err);
    int64_t until = clock_mono_us() + PATIENCE_US;
    int rc = w->ops->ack(w->source, keys, to - from, &w->err);
    for (size_t i = 0; i < to - from; i++) {
        memset((char *)(uintptr_t)keys[i].ptr, '?', keys[i].len); /* it has copied or used them */
    }
    while (rc == RESULT_AGAIN) {
        assert_int_equal(try_wait(w, w->ops->ack_fds, until), RESULT_DONE);
        rc = w->ops->ack(w->source, NULL, 0, &w->err);
    }
    return rc;
}

void world_ack(struct world *w, size_t from, size_t to)
{
    if (world_try_ack(w, from, to)) {
        fail_msg("ack: %s", w->err.text);
    }
}

void world_go_on(struct world *w, size_t delivered)
{
    char cursor[sizeof w->got[0].cursor] = "";
    assert_true(delivered <= w->got_count);
    world_ack(w, 0, delivered);
    if (delivered > 0) {
        snprintf(cursor, sizeof cursor, "%s", w->got[delivered - 1].cursor);
        if (w->ops->confirm) {
            w->ops->confirm(w->source, slice_from(cursor));
        }
    }
    world_forget(w);
    world_restart(w, delivered > 0 ? cursor : NULL);
}
