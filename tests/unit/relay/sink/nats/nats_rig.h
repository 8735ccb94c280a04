/*
 * The NATS sink with a server that says what a test wants, driven as the pipeline drives it.
 */
#pragma once

#include "fake_nats.h"

#include "contract/sink.h"
#include "sink/nats/conf.h"

extern const struct sink_ops sink_nats;

#define PATIENCE_US (60 * US_PER_SECOND) /* ends a test that hangs */

struct rig {
    struct fake_nats *fake;
    struct nats_conf conf;
    struct sink_env env;
    char servers[64];
    void *sink;
    uint64_t base; /* the token of event 0 since the last start */
    struct batch *batch;
    struct sink_report report;
    struct error err;
    uint64_t delivered[64];
    size_t delivered_count;
    char notes[4096];
};

static void keep_note(void *ctx, int level, const char *text)
{
    struct rig *r = ctx;
    size_t used = strlen(r->notes);
    (void)level;
    snprintf(r->notes + used, sizeof r->notes - used, "%s\n", text);
}

static char nothing[] = "", topic[] = "{topic}";

static UNUSED int rig_up(void **state)
{
    struct rig *r = calloc(1, sizeof *r);
    assert_non_null(r);
    r->fake = fake_new();
    snprintf(r->servers, sizeof r->servers, "nats://127.0.0.1:%d", r->fake->port);
    r->conf = (struct nats_conf){
        .servers = r->servers,
        .subject = topic,
        .credentials_file = nothing,
        .expect_stream = nothing,
        .net = {.connect_timeout_us = 30 * US_PER_SECOND,
                .stall_timeout_us = 60 * US_PER_SECOND,
                .tls = {nothing, nothing, nothing, nothing, true, false},
                .username = nothing,
                .password = nothing},
    };
    r->env = (struct sink_env){
        .pipeline = "p", .max_in_flight = 100, .stop_fd = -1, .note = keep_note, .note_ctx = r};
    r->batch = batch_new();
    *state = r;
    return 0;
}

static UNUSED int rig_down(void **state)
{
    struct rig *r = *state;
    sink_nats.close(r->sink);
    fake_free(r->fake);
    batch_free(r->batch);
    free(r);
    return 0;
}

static UNUSED void open_sink(struct rig *r)
{
    size_t max_event = 1;
    fake_start(r->fake);
    if (sink_nats.open(&r->conf, &r->env, &r->sink, &max_event, &r->err)) {
        fail_msg("%s", r->err.text);
    }
    assert_int_equal(max_event, 0);
}

static UNUSED void wait_some(struct rig *r)
{
    struct poll_set set;
    poll_set_clear(&set);
    poll_set_deadline(&set, clock_mono_us() + 20 * US_PER_MS);
    sink_nats.poll_fds(r->sink, &set);
    poll_set_wait(&set);
}

static UNUSED int start(struct rig *r)
{
    int rc;
    int64_t until = clock_mono_us() + PATIENCE_US;
    r->base += 100;
    while ((rc = sink_nats.start(r->sink, 1, &r->err)) == RESULT_AGAIN) {
        assert_true(clock_mono_us() < until);
        wait_some(r);
    }
    return rc;
}

static UNUSED void up(struct rig *r)
{
    open_sink(r);
    if (start(r)) {
        fail_msg("%s", r->err.text);
    }
}

static UNUSED struct event *add_event(struct rig *r, const char *key, const char *subject)
{
    char id[32];
    struct event *e = batch_add(r->batch);
    snprintf(id, sizeof id, "e%zu", r->batch->count);
    e->id = arena_copy(&r->batch->arena, slice_from(id));
    e->value = e->payload = e->id;
    e->key = key ? arena_copy(&r->batch->arena, slice_from(key)) : SLICE_NULL;
    e->topic = slice_from(subject);
    return e;
}

/* Puts events [from, to). */
static UNUSED size_t put(struct rig *r, size_t from, size_t to, int want)
{
    size_t taken = 0;
    int rc = sink_nats.put(r->sink, r->batch, from, to, r->base + from, &taken, &r->err);
    if (rc != want) {
        fail_msg("put: %d, %s", rc, r->err.text);
    }
    return taken;
}

/* Collects once. RESULT_ERROR: r->err. */
static UNUSED int collect(struct rig *r)
{
    wait_some(r);
    r->report.count = 0;
    error_clear(&r->err);
    int rc = sink_nats.collect(r->sink, &r->report, &r->err);
    for (size_t i = 0; i < r->report.count; i++) {
        if (r->report.results[i].outcome == SINK_DELIVERED) {
            r->delivered[r->delivered_count++] = r->report.results[i].token;
        }
    }
    return rc;
}

static UNUSED void wait_delivered(struct rig *r, size_t n)
{
    int64_t until = clock_mono_us() + PATIENCE_US;
    while (r->delivered_count < n) {
        assert_true(clock_mono_us() < until);
        if (collect(r)) {
            fail_msg("%s", r->err.text);
        }
    }
}

static UNUSED void wait_failure(struct rig *r, enum error_class class, const char *why)
{
    int64_t until = clock_mono_us() + PATIENCE_US;
    while (collect(r) == RESULT_DONE) {
        assert_true(clock_mono_us() < until);
    }
    if (r->err.class != class || !strstr(r->err.text, why)) {
        fail_msg("%s: %s", error_class_name(r->err.class), r->err.text);
    }
}

static UNUSED void wait_messages(struct rig *r, size_t n)
{
    int64_t until = clock_mono_us() + PATIENCE_US;
    while (fake_count(r->fake) < n) {
        assert_true(clock_mono_us() < until);
        if (collect(r)) {
            fail_msg("%s", r->err.text);
        }
    }
}

static UNUSED enum fake_does keep(const struct fake_message *m, void *ctx)
{
    (void)m, (void)ctx;
    return FAKE_KEEP;
}

static UNUSED enum fake_does refuse(const struct fake_message *m, void *ctx)
{
    (void)m, (void)ctx;
    return FAKE_REFUSE;
}

static UNUSED enum fake_does answer_no_stream(const struct fake_message *m, void *ctx)
{
    (void)m, (void)ctx;
    return FAKE_NO_STREAM;
}

static UNUSED enum fake_does deny(const struct fake_message *m, void *ctx)
{
    (void)m, (void)ctx;
    return FAKE_DENY;
}

static UNUSED enum fake_does hang_up(const struct fake_message *m, void *ctx)
{
    (void)m, (void)ctx;
    return FAKE_HANG_UP;
}

static UNUSED enum fake_does no_ack_text(const struct fake_message *m, void *ctx)
{
    struct fake_nats *f = ctx;
    f->refusal = "thanks";
    return m ? FAKE_REFUSE : FAKE_ACK;
}

static UNUSED void script(struct rig *r, enum fake_does (*fn)(const struct fake_message *, void *))
{
    pthread_mutex_lock(&r->fake->lock);
    r->fake->script = fn;
    r->fake->ctx = r->fake;
    pthread_mutex_unlock(&r->fake->lock);
}

#define REFUSAL(code, err_code, text)                                                          \
    "{\"error\":{\"code\":" #code ",\"err_code\":" #err_code ",\"description\":\"" text "\"}," \
    "\"stream\":\"EV\",\"seq\":0}"

#define CASE(name) cmocka_unit_test_setup_teardown(name, rig_up, rig_down)
