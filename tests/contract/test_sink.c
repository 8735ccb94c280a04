/* What every sink must keep: each registered one, writing to the real thing, judged by a reader
 * that shares nothing with it. A sink without a fixture fails here, so that none can be forgotten.
 */
#include "../unit/unit.h"

#include "patience.h"
#include "sink_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void what_is_reported_delivered_can_be_read(void **state)
{
    struct rig *r = *state;
    rig_open(r, 1);
    rig_events(r, 1);
    rig_deliver(r); /* one alone: every report is checked in rig_step */
    rig_events(r, 300);
    rig_deliver(r);
    assert_all_in_order(r);
    assert_nothing_twice(r);
}

/* What read_back has given: how often each event, and whether all were right. */
struct read {
    struct rig *rig;
    int times[400], count;
};

static bool is_topic(void *ctx, struct slice topic)
{
    const struct read *seen = ctx;
    return slice_equal(topic, seen->rig->batch->events[0].topic);
}

static int see_copy(void *ctx, const struct sink_copy *copy, struct error *err)
{
    struct read *seen = ctx;
    struct rig *r = seen->rig;
    CLEANUP(buf_release) struct buf expected = {0};
    char id[16] = "";
    snprintf(id, sizeof id, "%.*s", SLICE_FMT(copy->id));
    int number = atoi(id + 1);
    assert_true(id[0] == 'e' && number > 0 && (size_t)number <= r->batch->count);
    const struct event *e = &r->batch->events[number - 1];
    if (r->caps & SINK_MESSAGES) {
        buf_add_slice(&expected, e->value);
    } else {
        assert_int_equal(r->ops->payload_of(r->sink, e, &expected, err), RESULT_DONE);
    }
    assert_true(slice_equal(copy->payload, buf_slice(&expected)));
    assert_true(slice_equal(copy->key, e->key));
    assert_true(slice_equal(copy->sent, r->caps & SINK_MESSAGES ? e->value : e->payload));
    assert_false(copy->replayed);
    seen->times[number]++;
    seen->count++;
    return RESULT_DONE;
}

static void nothing_is_gone(void *ctx, const char *text)
{
    (void)ctx;
    fail_msg("%s", text);
}

static void what_was_delivered_is_read_back(void **state)
{
    enum { N = 300 };
    struct rig *r = *state;
    if (!r->ops->read_back) {
        return;
    }
    struct read seen = {.rig = r};
    const struct sink_reading reading = {.from_us = INT64_MIN,
                                         .whole = true,
                                         .wants = is_topic,
                                         .take = see_copy,
                                         .note = nothing_is_gone,
                                         .ctx = &seen};
    rig_open(r, 1);
    rig_events(r, N);
    rig_deliver(r);
    if (r->ops->read_back(r->sink, &reading, &r->err)) {
        fail_msg("read_back: %s", r->err.text);
    }
    assert_int_equal(seen.count, N);
    for (int i = 1; i <= N; i++) {
        assert_int_equal(seen.times[i], 1);
    }
}

static void thousands_are_reported_once_each_in_order_of_their_keys(void **state)
{
    struct rig *r = *state;
    rig_open(r, 1);
    for (int i = 0; i < 4; i++) {
        rig_events(r, 2500);
        rig_deliver(r);
    }
    assert_all_in_order(r);
    assert_nothing_twice(r);
    /* A second report of any of them would fail. Nothing tells that none will come, so some time
     * goes by. */
    int64_t until = clock_mono_us() + 300 * US_PER_MS;
    while (clock_mono_us() < until) {
        rig_step(r);
    }
}

static void nothing_is_delivered_before_its_time(void **state)
{
    struct rig *r = *state;
    rig_open(r, 1);
    rig_events(r, 50);
    assert_int_equal(rig_offer(r, 50), 50);
    int64_t until = clock_mono_us() + 200 * US_PER_MS; /* nothing tells that nothing will come */
    while (clock_mono_us() < until) {
        rig_step(r);
    }
    assert_int_equal(r->settled, 0);
    r->kind->look(r);
    assert_int_equal(r->saw_count, 0);
    rig_deliver(r);
    assert_all_in_order(r);
}

/* A rewind: what was in flight goes again under new tokens, and only those are reported. */
static void after_a_rewind_only_new_tokens_are_reported(void **state)
{
    struct rig *r = *state;
    rig_open(r, 1);
    rig_events(r, 2000);
    for (int i = 0; i < 3; i++) {
        rig_offer(r, r->batch->count);
        rig_start(r, 1); /* a report of the old tokens fails in rig_step */
    }
    rig_deliver(r);
    assert_all_in_order(r);
}

static void a_rewind_in_the_middle_loses_nothing(void **state)
{
    struct rig *r = *state;
    rig_open(r, 1);
    rig_events(r, 400);
    rig_deliver(r);
    size_t before = r->settled;
    rig_start(r, before + 1);
    r->put = r->settled = before; /* the frontier stands: these do not go again */
    rig_events(r, 400);
    rig_deliver(r);
    assert_all_in_order(r);
    assert_nothing_twice(r);
}

static void one_poisoned_event_leaves_the_others(void **state)
{
    struct rig *r = *state;
    rig_open(r, 1);
    rig_events(r, 30);
    r->kind->spoil(r, &r->batch->events[0]);
    r->kind->spoil(r, &r->batch->events[17]);
    rig_deliver(r);
    for (size_t i = 0; i < 30; i++) {
        assert_int_equal(r->refused[i], i == 0 || i == 17);
    }
    assert_all_in_order(r);
    if (r->ops->healthy) {
        assert_int_equal(r->ops->healthy(r->sink, &r->err), RESULT_DONE);
    }
}

static void back_pressure_loses_nothing(void **state)
{
    struct rig *r = *state;
    r->kind->narrow(r);
    rig_open(r, 1);
    rig_events(r, 1000);
    assert_true(rig_offer(r, 1000) < 1000);
    rig_deliver(r);
    assert_all_in_order(r);
    assert_nothing_twice(r);
}

/* --- sinks that record the cursor with the data --- */

/* Puts the first n events and commits them, as a process would that is killed before it saves. */
static void commit_first(struct rig *r, size_t n)
{
    assert_int_equal(rig_offer(r, n), n);
    rig_commit(r);
    while (r->settled < n) {
        rig_step(r);
    }
}

static void a_commit_is_found_again_until_it_is_saved(void **state)
{
    struct rig *r = *state;
    rig_open(r, 1);
    assert_int_equal(r->recovery.delivered, 0);
    rig_events(r, 10);
    commit_first(r, 10);
    for (int i = 0; i < 2; i++) { /* finding it does not use it up */
        rig_recover(r);
        assert_int_equal(r->recovery.delivered, 10);
        assert_string_equal(buf_str(&r->recovery.cursor), "cursor 10");
        assert_string_equal(buf_str(&r->recovery.last_position), "10");
        assert_string_equal(buf_str(&r->recovery.last_id), "e10");
        assert_int_equal(r->recovery.keys_count, 10);
        assert_true(slice_equal_str(r->recovery.keys[0], "row-1"));
        assert_true(slice_equal_str(r->recovery.keys[9], "row-10"));
    }
    r->ops->recovered(r->sink);
    rig_start(r, 11);
    r->put = r->settled = 10;
    rig_events(r, 5);
    rig_deliver(r);
    assert_all_in_order(r);
    assert_nothing_twice(r);
}

static void what_was_saved_is_not_recovered(void **state)
{
    struct rig *r = *state;
    rig_open(r, 1);
    rig_events(r, 10);
    commit_first(r, 10);
    rig_recover(r);
    r->ops->recovered(r->sink);
    r->stored.delivered = 10;
    rig_recover(r);
    assert_true(r->recovery.delivered == 0);
    assert_nothing_twice(r);
}

static void what_was_not_committed_leaves_nothing(void **state)
{
    struct rig *r = *state;
    rig_open(r, 1);
    rig_events(r, 20);
    assert_int_equal(rig_offer(r, 20), 20);
    rig_open(r, 1);
    assert_int_equal(r->recovery.delivered, 0);
    r->kind->look(r);
    assert_int_equal(r->saw_count, 0);
    rig_deliver(r);
    assert_all_in_order(r);
    assert_nothing_twice(r);
}

/* A commit that was begun is either finished or found: never half there, never twice. */
static void closed_while_it_commits_it_is_whole(void **state)
{
    struct rig *r = *state;
    rig_open(r, 1);
    rig_events(r, 20);
    assert_int_equal(rig_offer(r, 20), 20);
    rig_commit(r);
    rig_recover(r);
    size_t found = r->recovery.delivered;
    assert_true(found == 0 || found == 20);
    r->ops->recovered(r->sink);
    rig_start(r, found + 1);
    r->put = r->settled = found;
    rig_deliver(r);
    assert_all_in_order(r);
    assert_nothing_twice(r);
}

/* --- the end --- */

static void closed_with_events_in_flight_it_ends_soon(void **state)
{
    struct rig *r = *state;
    rig_open(r, 1);
    rig_events(r, 5000);
    rig_offer(r, 5000);
    int64_t before = clock_mono_us();
    rig_close(r);
    assert_true(clock_mono_us() - before < PATIENCE_US);
    r->ops->close(NULL);
    size_t max_event;
    assert_int_equal(r->ops->open(r->conf, &r->env, &r->sink, &max_event, &r->err), RESULT_DONE);
    rig_close(r); /* never started */
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, rig_up, rig_down)

static const struct CMUnitTest cases[] = {
    CASE(what_is_reported_delivered_can_be_read),
    CASE(what_was_delivered_is_read_back),
    CASE(thousands_are_reported_once_each_in_order_of_their_keys),
    CASE(after_a_rewind_only_new_tokens_are_reported),
    CASE(a_rewind_in_the_middle_loses_nothing),
    CASE(one_poisoned_event_leaves_the_others),
    CASE(back_pressure_loses_nothing),
    CASE(closed_with_events_in_flight_it_ends_soon),
};

/* Of sinks that commit. */
static const struct CMUnitTest commit_cases[] = {
    CASE(nothing_is_delivered_before_its_time), CASE(a_commit_is_found_again_until_it_is_saved),
    CASE(what_was_saved_is_not_recovered),      CASE(what_was_not_committed_leaves_nothing),
    CASE(closed_while_it_commits_it_is_whole),
};

enum { CASES = sizeof cases / sizeof *cases, COMMIT_CASES = sizeof commit_cases / sizeof *cases };

/* The sinks of this build, each with its kind, without which this does not link. */
#define SOURCE(name)
#define STORE(name)
#define SINK(name)                            \
    extern const struct sink_ops sink_##name; \
    extern const struct sink_kind sink_kind_##name;
#include "plugins.def"
#undef SINK

static struct sink_case sinks[] = {
#define SINK(name) {&sink_##name, &sink_kind_##name},
#include "plugins.def"
#undef SINK
};

static int run(struct sink_case *c)
{
    struct CMUnitTest tests[CASES + COMMIT_CASES];
    size_t n = c->kind->commits ? CASES + COMMIT_CASES : CASES;
    memcpy(tests, cases, sizeof cases);
    memcpy(tests + CASES, commit_cases, sizeof commit_cases);
    for (size_t i = 0; i < n; i++) {
        tests[i].initial_state = c;
    }
    return _cmocka_run_group_tests(c->ops->name, tests, n, NULL, NULL);
}

int main(int argc, char **argv)
{
    int failed = 0;
    bool commits = false;
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    }
    for (size_t i = 0; i < sizeof sinks / sizeof *sinks; i++) {
        for (struct sink_case c = sinks[i]; c.kind; c.kind = c.kind->other) {
            commits = commits || c.kind->commits;
            failed += run(&c);
        }
    }
    if (EVERY_PLUGIN && !commits) {
        fputs("no sink commits: nobody tries the cases of those that do\n", stderr);
        failed++;
    }
    return failed;
}
