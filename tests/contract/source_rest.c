/* A source gives no more than it is asked for, is quiet at rest, and tells the truth about itself.
 */
#include "../unit/unit.h"

#include "patience.h"
#include "plugin_conf.h"
#include "source_cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void a_read_keeps_its_bounds(void **state)
{
    struct world *w = *state;
    char pad[1001];
    memset(pad, 'x', 1000);
    pad[1000] = '\0';
    for (int n = 1; n <= 30; n++) {
        world_sql(w, 0,
                  "insert into outbox (id, aggregatetype, aggregateid, type, payload) values"
                  " ('00000000-0000-4000-8000-%012d', 'order', 'k', 'made', '{\"pad\": \"%s\"}')",
                  n, pad);
    }
    world_start(w, NULL);
    assert_int_equal(world_read_some(w, 1, SIZE_MAX), 1);
    assert_true(world_read_some(w, 4, SIZE_MAX) <= 4);
    while (w->got_count < 20) {
        world_read_some(w, 1000, 5000);
        assert_true(w->batch->bytes <= 5000);
    }
    while (w->got_count < 30) {
        assert_int_equal(world_read_some(w, 1000, 10), 1); /* one larger event is given alone */
    }
    for (int i = 0; i < 30; i++) {
        assert_int_equal(w->got[i].number, i + 1);
    }
}

/* What had to be asked for stays in the database; what a server sends is here already, and comes
 * whole: the pipeline refuses it, and nobody else has it once it is confirmed. */
static void an_event_too_large_is_poison_or_whole_and_the_others_come(void **state)
{
    struct world *w = *state;
    CLEANUP(buf_release) struct buf pad = {0};
    w->env.max_event_bytes = 2000;
    for (int i = 0; i < 3000; i++) {
        buf_add_char(&pad, 'x');
    }
    world_emit(w, 1, "k");
    world_sql(
        w, 0,
        "insert into outbox (id, aggregatetype, aggregateid, type, payload) values"
        " ('00000000-0000-4000-8000-000000000002', 'order', 'k', 'made', '{\"pad\": \"%s\"}')",
        buf_str(&pad));
    world_emit(w, 3, "k");
    world_start(w, NULL);
    for (int n = 1; n <= 3; n++) {
        assert_int_equal(world_read_some(w, 1, SIZE_MAX), 1);
        const struct event *e = &w->batch->events[0];
        bool fetched = n != 2 || w->c->kind->sends;
        assert_int_equal(w->got[n - 1].number, n);
        assert_int_equal(e->poison == NULL, fetched);
        assert_true(n == 2 && fetched ? e->payload.len > 3000 : e->bytes < 3000);
    }
}

static void every_field_is_the_rows(void **state)
{
    struct world *w = *state;
    static const char *const further[] = {"region", "shard"};
    w->env.columns = further;
    w->env.columns_count = 2;
    world_sql(w, 0, "alter table outbox add column shard int");
    world_sql(w, 0, "alter table outbox add column region text");
    world_sql(w, 0,
              "insert into outbox (id, aggregatetype, aggregateid, type, payload, headers,"
              " created_at, region) values ('00000000-0000-4000-8000-000000000001', 'at', 'ai',"
              " 'ty', '[1]', '{\"h\": 1}', '2026-11-21T10:00:00.250Z', 'eu')");
    world_start(w, NULL);
    assert_int_equal(world_read_some(w, 10, SIZE_MAX), 1);
    const struct event *e = &w->batch->events[0];
    assert_true(slice_equal_str(e->id, "00000000-0000-4000-8000-000000000001"));
    assert_true(slice_equal_str(e->aggregatetype, "at") && slice_equal_str(e->aggregateid, "ai"));
    assert_true(slice_equal_str(e->type, "ty") && slice_equal_str(e->payload, "[1]"));
    assert_true(slice_equal_str(e->headers, "{\"h\": 1}"));
    assert_int_equal(e->created_at_us, INT64_C(1795255200250000));
    assert_true(slice_equal_str(e->columns[0], "eu") && slice_is_null(e->columns[1]));
    assert_true(e->payload_kind != PAYLOAD_BYTES);
    assert_null(e->poison);
    CLEANUP(buf_release) struct buf cursor = {0}, shown = {0};
    w->ops->cursor(w->source, w->batch, 0, &cursor);
    w->ops->describe(buf_slice(&cursor), &shown);
    assert_true(world_acks(w) || slice_equal(e->position, buf_slice(&shown)));
}

static void at_rest_it_sleeps_and_a_commit_wakes_it(void **state)
{
    struct world *w = *state;
    world_start(w, NULL);
    assert_comes(w, "");
    int64_t until = clock_mono_us() + 400 * US_PER_MS;
    int rounds = 0;
    for (; clock_mono_us() < until; rounds++) {
        batch_reset(w->batch);
        assert_true(w->ops->read(w->source, w->batch, 10, SIZE_MAX, &w->err) >= 0);
        assert_int_equal(w->batch->count, 0);
        assert_int_equal(world_wait(w, until), RESULT_DONE);
    }
    /* poll_interval is 20 ms; an answer may come in pieces, and a slow machine makes fewer */
    assert_in_range(rounds, 1, 120);
    world_emit(w, 1, "k");
    for (until = clock_mono_us() + PATIENCE_US; world_read(w, 10, SIZE_MAX) == 0;) {
        assert_int_equal(world_wait(w, until), RESULT_DONE);
        assert_true(clock_mono_us() < until);
    }
}

static struct source_lag lag_of(struct world *w)
{
    struct source_lag lag = {.pending_events = -1, .oldest_us = TIME_NONE};
    w->ops->lag(w->source, &lag);
    return lag;
}

/* A server that sends does not say how many events it has, so nothing is expected of that. */
static void idle_and_lag_tell_the_truth(void **state)
{
    struct world *w = *state;
    int64_t none = w->c->kind->sends ? -1 : 0;
    world_start(w, NULL);
    assert_true(world_idle(w));
    world_emit_range(w, 1, 5);
    world_read_some(w, 1, SIZE_MAX);
    assert_true(w->c->kind->sends || lag_of(w).oldest_us != TIME_NONE);
    world_drain(w);
    assert_int_equal(lag_of(w).pending_events, none); /* what was given is counted by who has it */
    world_ack(w, 0, 5);
    assert_true(world_idle(w));
    struct source_lag lag = lag_of(w);
    assert_int_equal(lag.pending_events, none);
    assert_int_equal(lag.oldest_us, TIME_NONE);
    assert_string_equal(lag.held_up, "");
    world_sql(w, 0, "begin");
    world_emit(w, 6, "k");
    assert_true(world_idle(w)); /* all that is committed */
    world_sql(w, 0, "commit");
}

static bool has_transactions(const struct source_case *c)
{
    return c->kind->at_rest != NULL;
}

static void stand(struct world *w)
{
    struct poll_set set;
    lag_of(w);
    assert_true(!w->ops->tend || w->ops->tend(w->source, &w->err) == RESULT_DONE);
    poll_set_clear(&set);
    poll_set_deadline(&set, clock_mono_us() + 50 * US_PER_MS);
    poll_set_wait(&set);
}

/* A full pipeline reads nothing and only asks for the lag now and then. What was asked for ahead is
 * larger than a socket takes, and must not keep the server's statement open for longer than it
 * needs to answer. */
static void a_standing_sink_holds_no_transaction(void **state)
{
    struct world *w = *state;
    world_sql(
        w, 0,
        "insert into outbox (aggregatetype, aggregateid, type, payload) select 'order', 'k',"
        " 'made', jsonb_build_object('pad', repeat('x', 1500)) from generate_series(1, 3000)");
    if (!w->c->kind->sends) {
        plugin_conf_number(w->ops->keys, w->conf, "batch_size", 1000);
    }
    world_start(w, NULL);
    while (w->got_count < 1000) {
        world_read_some(w, 1000 - w->got_count, 64 << 20);
    }
    for (int i = 0; i < 20; i++) { /* it stands so long that the server has begun to answer */
        stand(w);
    }
    int64_t until = clock_mono_us() + PATIENCE_US;
    while (!w->c->kind->at_rest(&w->outbox)) {
        assert_true(clock_mono_us() < until);
        stand(w);
    }
}

const struct source_test source_rest_cases[] = {
    SOURCE_CASE(a_read_keeps_its_bounds),
    SOURCE_CASE(an_event_too_large_is_poison_or_whole_and_the_others_come),
    SOURCE_CASE(every_field_is_the_rows),
    SOURCE_CASE(at_rest_it_sleeps_and_a_commit_wakes_it),
    SOURCE_CASE(idle_and_lag_tell_the_truth),
    SOURCE_CASE_OF(a_standing_sink_holds_no_transaction, has_transactions),
    {{0}, NULL},
};
