/* The RabbitMQ sink against a broker that follows a script: acknowledgements in any order, what
 * comes back, what blocks, what is silent, and in which class each failure is. */
#include "unit.h"

#include "base/memory.h"
#include "contract/sink.h"
#include "patience.h"
#include "plugin_conf.h"
#include "rabbitmq/fake_broker.h"
#include <amqp_framing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const struct sink_ops sink_rabbitmq;
static const struct sink_ops *const ops = &sink_rabbitmq;

enum { EVENTS_MAX = 100 };

struct rig {
    void *conf, *memory, *sink;
    struct sink_env env;
    struct batch *batch;
    struct error err;
    uint64_t token;
    size_t put;
    enum sink_outcome outcome[EVENTS_MAX];
    bool reported[EVENTS_MAX];
    size_t reports; /* of events since the last start */
    struct error why;
    char notes[256];
};

static int set_up(void **state)
{
    struct rig *r = memory_need(calloc(1, sizeof *r));
    fake_broker_reset();
    r->conf = plugin_conf_new(ops->keys, ops->conf_size, &r->memory);
    plugin_conf_text(ops->keys, r->conf, "url", "amqp://one:1,amqp://two:2");
    r->env = (struct sink_env){.pipeline = "p", .max_in_flight = 64, .stop_fd = -1};
    r->batch = batch_new();
    r->token = 1000;
    *state = r;
    return 0;
}

static int tear_down(void **state)
{
    struct rig *r = *state;
    ops->close(r->sink);
    batch_free(r->batch);
    plugin_conf_free(r->conf, r->memory);
    free(r);
    return 0;
}

static void text(struct rig *r, const char *key, const char *value)
{
    plugin_conf_text(ops->keys, r->conf, key, value);
}

static void opened(struct rig *r)
{
    size_t max_event;
    if (ops->open(r->conf, &r->env, &r->sink, &max_event, &r->err)) {
        fail_msg("open: %s", r->err.text);
    }
}

static void wait_some(struct rig *r)
{
    struct poll_set set;
    poll_set_clear(&set);
    poll_set_deadline(&set, clock_mono_us() + 5 * US_PER_MS);
    ops->poll_fds(r->sink, &set);
    poll_set_wait(&set);
}

static int start(struct rig *r)
{
    int64_t until = clock_mono_us() + PATIENCE_US;
    int rc;
    while ((rc = ops->start(r->sink, 1, &r->err)) == RESULT_AGAIN) {
        assert_true(clock_mono_us() < until);
        wait_some(r);
    }
    r->token += EVENTS_MAX;
    r->put = r->reports = 0;
    memset(r->reported, 0, sizeof r->reported);
    return rc;
}

static void started(struct rig *r)
{
    if (start(r)) {
        fail_msg("start: %s", r->err.text);
    }
}

static struct event *add(struct rig *r, const char *topic, size_t bytes)
{
    char id[16];
    struct event *e = batch_add(r->batch);
    char *value = arena_bytes(&r->batch->arena, bytes + 1);
    memset(value, 'v', bytes);
    snprintf(id, sizeof id, "e%zu", r->batch->count);
    e->id = arena_copy(&r->batch->arena, slice_from(id));
    e->topic = slice_from(topic);
    e->payload = e->value = (struct slice){value, bytes};
    e->created_at_us = 0;
    return e;
}

static void add_some(struct rig *r, size_t n)
{
    while (n-- > 0) {
        add(r, "q", 10);
    }
}

/* Puts what is left; RESULT_ERROR with r->err for what put says. */
static int put(struct rig *r)
{
    size_t taken;
    int rc =
        ops->put(r->sink, r->batch, r->put, r->batch->count, r->token + r->put, &taken, &r->err);
    r->put += taken;
    return rc;
}

static void put_all(struct rig *r)
{
    assert_int_equal(put(r), RESULT_DONE);
    assert_int_equal(r->put, r->batch->count);
}

/* One wait and one collect. */
static int step(struct rig *r)
{
    struct sink_report report = {0};
    wait_some(r);
    int rc = ops->collect(r->sink, &report, &r->err);
    for (size_t i = 0; i < report.count; i++) {
        size_t n = (size_t)(report.results[i].token - r->token);
        assert_true(n < r->put && !r->reported[n]);
        assert_true(report.results[i].outcome == SINK_DELIVERED || i + 1 == report.count);
        r->reported[n] = true;
        r->outcome[n] = report.results[i].outcome;
        r->reports++;
        r->why = report.error;
    }
    return rc;
}

static void wait_reports(struct rig *r, size_t n)
{
    int64_t until = clock_mono_us() + PATIENCE_US;
    while (r->reports < n) {
        assert_true(clock_mono_us() < until);
        if (step(r)) {
            fail_msg("collect: %s", r->err.text);
        }
    }
    assert_int_equal(r->reports, n);
}

static void wait_failure(struct rig *r, enum error_class class, const char *part)
{
    int64_t until = clock_mono_us() + PATIENCE_US;
    while (step(r) == RESULT_DONE) {
        assert_true(clock_mono_us() < until);
    }
    assert_int_equal(r->err.class, class);
    if (!strstr(r->err.text, part)) {
        fail_msg("\"%s\" lacks \"%s\"", r->err.text, part);
    }
}

static void wait_published(struct rig *r, size_t n)
{
    int64_t until = clock_mono_us() + PATIENCE_US;
    while (fake_broker_published() < n) {
        assert_true(clock_mono_us() < until);
        step(r);
    }
    assert_int_equal(fake_broker_published(), n);
}

/* Nothing tells that nothing will be published, so some time goes by. */
static void quiet_for_a_moment(struct rig *r, size_t published)
{
    int64_t until = clock_mono_us() + 30 * US_PER_MS;
    while (clock_mono_us() < until) {
        assert_int_equal(step(r), RESULT_DONE);
    }
    assert_int_equal(fake_broker_published(), published);
}

/* A session whose window takes n messages at once: n events are delivered, one after the other. */
static void warmed_up(struct rig *r, size_t n)
{
    size_t before = r->reports, sent = fake_broker_published();
    add_some(r, n);
    put_all(r);
    for (size_t i = 1; i <= n; i++) {
        int64_t until = clock_mono_us() + PATIENCE_US;
        while (fake_broker_published() < sent + i) {
            assert_true(clock_mono_us() < until);
            step(r);
        }
        fake_broker_ack(sent + i, false);
        wait_reports(r, before + i);
    }
}

/* --- what the broker says about messages --- */

static void acknowledgements_come_in_any_order(void **state)
{
    struct rig *r = *state;
    opened(r);
    started(r);
    warmed_up(r, 4);
    add_some(r, 5);
    put_all(r);
    wait_published(r, 9);
    fake_broker_ack(8, false);
    wait_reports(r, 5);
    assert_true(r->reported[7]);
    fake_broker_ack(6, true);
    wait_reports(r, 7);
    assert_true(r->reported[4] && r->reported[5] && !r->reported[6]);
    fake_broker_ack(0, true); /* all so far */
    wait_reports(r, 9);
    fake_broker_ack(9, false); /* once more: nobody is told twice */
    for (int i = 0; i < 3; i++) {
        assert_int_equal(step(r), RESULT_DONE);
    }
    assert_int_equal(r->reports, 9);
    assert_int_equal(fake_broker_opened(), 1);
}

static void few_are_on_their_way_until_the_broker_answers(void **state)
{
    struct rig *r = *state;
    opened(r);
    started(r);
    add_some(r, 8);
    put_all(r);
    wait_published(r, 1);
    fake_broker_ack(1, false);
    wait_published(r, 3);
    fake_broker_ack(3, true);
    wait_published(r, 7);
}

static void a_returned_event_is_poison_once_the_others_are_answered(void **state)
{
    struct rig *r = *state;
    opened(r);
    started(r);
    warmed_up(r, 4);
    add_some(r, 1);
    add(r, "nowhere", 10);
    add_some(r, 2);
    put_all(r);
    wait_published(r, 8);
    fake_broker_return(5);
    fake_broker_ack(6, false); /* returned messages are acknowledged too */
    fake_broker_ack(7, false);
    wait_reports(r, 5);
    assert_false(r->reported[5]);
    fake_broker_ack(8, true);
    wait_reports(r, 8);
    assert_int_equal(r->outcome[5], SINK_POISON);
    assert_int_equal(r->outcome[7], SINK_DELIVERED);
    assert_non_null(strstr(r->why.text, "exchange \"\", routing key \"nowhere\""));
    started(r);
    add_some(r, 1);
    r->put = r->batch->count - 1;
    put_all(r);
    wait_published(r, 9); /* on the same connection */
    assert_int_equal(fake_broker_opened(), 1);
}

/* A dead letter that is sent again is reported without a start in between. */
static void all_that_is_returned_is_reported_without_a_start(void **state)
{
    struct rig *r = *state;
    opened(r);
    started(r);
    warmed_up(r, 4);
    add(r, "nowhere", 10);
    add_some(r, 1);
    add(r, "nowhere", 10);
    put_all(r);
    wait_published(r, 7);
    fake_broker_return(4);
    fake_broker_return(6);
    fake_broker_ack(7, true);
    wait_reports(r, 7);
    add_some(r, 1);
    put_all(r);
    wait_published(r, 8);
    fake_broker_ack(8, false);
    wait_reports(r, 8);
    assert_int_equal(r->outcome[4], SINK_POISON);
    assert_int_equal(r->outcome[5], SINK_DELIVERED);
    assert_int_equal(r->outcome[6], SINK_POISON);
    assert_int_equal(r->outcome[7], SINK_DELIVERED);
}

/* Else there would be no end of the others under load. */
static void nothing_is_begun_behind_what_came_back(void **state)
{
    struct rig *r = *state;
    opened(r);
    started(r);
    warmed_up(r, 4);
    add(r, "nowhere", 10);
    add_some(r, 10);
    put_all(r);
    wait_published(r, 9);
    fake_broker_return(4);
    fake_broker_ack(5, false);
    fake_broker_ack(6, false);
    wait_reports(r, 5);
    quiet_for_a_moment(r, 9);
    fake_broker_ack(9, true);
    wait_reports(r, 9);
    assert_int_equal(r->outcome[4], SINK_POISON);
}

static void the_returned_one_of_two_that_look_alike_is_meant(void **state)
{
    struct rig *r = *state;
    opened(r);
    started(r);
    warmed_up(r, 2);
    struct slice id = add(r, "q", 10)->id;
    add(r, "nowhere", 10)->id = id;
    put_all(r);
    wait_published(r, 4);
    fake_broker_return(3);
    fake_broker_ack(4, true);
    wait_reports(r, 4);
    assert_int_equal(r->outcome[2], SINK_DELIVERED);
    assert_int_equal(r->outcome[3], SINK_POISON);
}

static void what_was_never_sent_cannot_be_answered(void **state)
{
    struct rig *r = *state;
    opened(r);
    started(r);
    fake_broker_ack(1, false);
    wait_failure(r, ERROR_RETRY, "a message that was not sent");
}

/* The place of an entry is used again. */
static void an_answer_that_comes_again_is_nobody_else_s(void **state)
{
    struct rig *r = *state;
    r->env.max_in_flight = 1;
    opened(r);
    started(r);
    warmed_up(r, 1);
    add_some(r, 1);
    put_all(r);
    wait_published(r, 2);
    fake_broker_ack(1, false);
    quiet_for_a_moment(r, 2);
    assert_int_equal(r->reports, 1);
}

static void a_refusal_is_no_poison(void **state)
{
    struct rig *r = *state;
    opened(r);
    started(r);
    add_some(r, 1);
    put_all(r);
    wait_published(r, 1);
    fake_broker_nack(1);
    wait_failure(r, ERROR_RETRY, "basic.nack");
    started(r);
    assert_int_equal(fake_broker_opened(), 2);
}

static void the_event_that_is_too_large_is_named(void **state)
{
    struct rig *r = *state;
    opened(r);
    started(r);
    warmed_up(r, 4);
    add(r, "q", 10);
    add(r, "q", 600);
    add(r, "q", 10);
    put_all(r);
    wait_published(r, 7);
    fake_broker_ack(5, false);
    wait_reports(r, 5);
    fake_broker_close(406, "PRECONDITION_FAILED - message size 600 is larger than configured max "
                           "size 500");
    wait_reports(r, 6);
    assert_int_equal(r->outcome[5], SINK_POISON);
    assert_non_null(strstr(r->why.text, "larger than configured max size 500"));
    wait_failure(r, ERROR_RETRY, "because of one message");
    started(r);
}

static void it_is_named_whatever_is_open_before_it(void **state)
{
    struct rig *r = *state;
    opened(r);
    started(r);
    warmed_up(r, 4);
    add(r, "q", 10);
    add(r, "q", 600);
    put_all(r);
    wait_published(r, 6);
    fake_broker_close(406, "PRECONDITION_FAILED - message size 600 is larger than configured max "
                           "size 500");
    wait_reports(r, 5);
    assert_int_equal(r->outcome[5], SINK_POISON);
    assert_false(r->reported[4]);
    wait_failure(r, ERROR_RETRY, "because of one message");
    started(r);
}

static void a_missing_exchange_that_an_event_names_is_its_fault(void **state)
{
    struct rig *r = *state;
    text(r, "exchange", "x-{aggregatetype}");
    opened(r);
    started(r);
    static const char *const names[] = {"there", "gone", "there"};
    for (size_t i = 0; i < 3; i++) {
        add(r, "q", 10)->aggregatetype = slice_from(names[i]);
    }
    put_all(r);
    wait_published(r, 1);
    fake_broker_ack(1, false);
    wait_reports(r, 1);
    wait_published(r, 3);
    fake_broker_close(404, "NOT_FOUND - no exchange 'x-gone' in vhost '/'");
    wait_reports(r, 2);
    assert_int_equal(r->outcome[1], SINK_POISON);
    assert_non_null(strstr(r->why.text, "no exchange 'x-gone'"));
    wait_failure(r, ERROR_RETRY, "because of one message");
    started(r);
}

/* --- the events of a key, where a refused one parks it --- */

static void add_of_key(struct rig *r, const char *key, const char *topic)
{
    add(r, topic, 10)->key = slice_from(key);
}

static void published_is(size_t n, const char *id)
{
    assert_string_equal(fake_broker_message(n).id, id);
}

static void parking(struct rig *r)
{
    r->env.holds_keys = true;
    opened(r);
    started(r);
    warmed_up(r, 4); /* without keys: e1 to e4, together */
}

static void one_of_a_key_is_on_its_way(void **state)
{
    struct rig *r = *state;
    parking(r);
    add_of_key(r, "a", "q");
    add_of_key(r, "a", "q");
    add_of_key(r, "b", "q");
    add_of_key(r, "a", "q");
    put_all(r);
    wait_published(r, 6);
    published_is(4, "e5");
    published_is(5, "e7");
    fake_broker_ack(6, false);
    wait_reports(r, 5);
    quiet_for_a_moment(r, 6);
    fake_broker_ack(5, false);
    wait_published(r, 7);
    published_is(6, "e6");
    fake_broker_ack(7, false);
    wait_published(r, 8);
    published_is(7, "e8");
    fake_broker_ack(8, false);
    wait_reports(r, 8);
}

/* It parks its key: what is behind it has to wait, and must not be there before. */
static void nothing_of_its_key_passes_a_returned_event(void **state)
{
    struct rig *r = *state;
    parking(r);
    add_of_key(r, "a", "nowhere");
    add_of_key(r, "a", "q");
    add_of_key(r, "b", "q");
    put_all(r);
    wait_published(r, 6);
    fake_broker_return(4);
    fake_broker_ack(6, true);
    wait_reports(r, 6);
    assert_int_equal(r->outcome[4], SINK_POISON);
    assert_int_equal(r->outcome[6], SINK_DELIVERED);
    started(r);
    assert_int_equal(fake_broker_published(), 6);
    add_of_key(r, "b", "q"); /* the key a is parked now */
    r->put = r->batch->count - 1;
    put_all(r);
    wait_published(r, 7);
    published_is(6, "e8");
}

/* A dead letter that is sent again and returned again. */
static void without_a_start_its_key_goes_on(void **state)
{
    struct rig *r = *state;
    parking(r);
    add_of_key(r, "a", "nowhere");
    add_of_key(r, "a", "q");
    put_all(r);
    wait_published(r, 5);
    fake_broker_return(4);
    fake_broker_ack(5, false);
    wait_reports(r, 5);
    wait_published(r, 6);
    published_is(5, "e6");
    fake_broker_ack(6, false);
    wait_reports(r, 6);
}

static void what_waits_in_its_lane_has_a_place(void **state)
{
    struct rig *r = *state;
    r->env.max_in_flight = 4;
    parking(r);
    for (int i = 0; i < 6; i++) {
        add_of_key(r, "a", "q");
    }
    assert_int_equal(put(r), RESULT_DONE);
    assert_int_equal(r->put, 8); /* of the six, four */
    for (size_t n = 5; n <= 10; n++) {
        wait_published(r, n);
        fake_broker_ack(n, false);
        wait_reports(r, n);
        put(r);
    }
    published_is(9, "e10");
}

static void without_parking_they_go_together(void **state)
{
    struct rig *r = *state;
    opened(r);
    started(r);
    warmed_up(r, 4);
    add_of_key(r, "a", "q");
    add_of_key(r, "a", "q");
    put_all(r);
    wait_published(r, 6);
}

/* --- what is put --- */

static void what_amqp_cannot_carry_is_refused_at_once(void **state)
{
    struct rig *r = *state;
    char *long_text = arena_bytes(&r->batch->arena, 10000);
    memset(long_text, 'x', 10000);
    opened(r);
    started(r);
    add_some(r, 1);
    add(r, "q", 1)->id = (struct slice){long_text, 256};
    add(r, "q", 1)->type = (struct slice){long_text, 256};
    add(r, "q", 1)->topic = (struct slice){"\xff", 1};
    struct header *h = arena_array(&r->batch->arena, 1, sizeof *h);
    *h = (struct header){SLICE_LITERAL("h"), {long_text, 10000}}; /* frame_max is 8192 */
    struct event *e = add(r, "q", 1);
    e->out_headers = h;
    e->out_headers_count = 1;
    add_some(r, 1);
    static const char *const said[] = {"the event's id has 256 bytes", "the event's type has 256",
                                       "the routing key is no text in UTF-8",
                                       "the broker's frame_max is 8192"};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(put(r), RESULT_ERROR);
        assert_int_equal(r->err.class, ERROR_POISON);
        assert_int_equal(r->put, i + 1);
        if (!strstr(r->err.text, said[i])) {
            fail_msg("\"%s\" lacks \"%s\"", r->err.text, said[i]);
        }
        r->put++;
    }
    put_all(r);
    wait_published(r, 1);
    fake_broker_ack(1, false);
    wait_published(r, 2);
    assert_string_equal(fake_broker_message(1).id, "e6");
}

static void a_large_value_is_sent_in_pieces(void **state)
{
    struct rig *r = *state;
    opened(r);
    started(r);
    add(r, "q", 100000);
    add(r, "q", 0);
    put_all(r);
    wait_published(r, 1);
    assert_int_equal(fake_broker_message(0).came, 100000);
    assert_int_equal(fake_broker_message(0).largest, 8192 - 8);
    fake_broker_ack(1, false);
    wait_published(r, 2);
    assert_int_equal(fake_broker_message(1).pieces, 0);
    assert_true(fake_broker_message(1).mandatory);
}

static void names_come_from_templates(void **state)
{
    struct rig *r = *state;
    text(r, "exchange", "x-{aggregatetype}");
    text(r, "routing_key", "{{{id}}}.{topic}");
    opened(r);
    started(r);
    add(r, "q", 1)->aggregatetype = SLICE_LITERAL("order");
    add(r, "q", 1);
    assert_int_equal(put(r), RESULT_ERROR); /* the second has no aggregatetype */
    assert_int_equal(r->err.class, ERROR_POISON);
    assert_non_null(strstr(r->err.text, "sink.exchange: the event has no {aggregatetype}"));
    wait_published(r, 1);
    assert_string_equal(fake_broker_message(0).exchange, "x-order");
    assert_string_equal(fake_broker_message(0).key, "{e1}.q");
}

static void a_start_forgets_what_was_put(void **state)
{
    struct rig *r = *state;
    opened(r);
    started(r);
    add_some(r, 10);
    put_all(r);
    wait_published(r, 1);
    assert_int_equal(ops->start(r->sink, 1, &r->err), RESULT_AGAIN); /* one is on its way */
    fake_broker_ack(1, false);
    started(r);
    assert_int_equal(fake_broker_opened(), 1);
    r->put = 9; /* only the last one goes again */
    put_all(r);
    wait_published(r, 2);
    assert_string_equal(fake_broker_message(1).id, "e10");
    fake_broker_ack(2, false);
    wait_reports(r, 1);
}

static void the_ring_takes_no_more_than_may_be_in_flight(void **state)
{
    struct rig *r = *state;
    opened(r);
    started(r);
    add_some(r, 65);
    assert_int_equal(put(r), RESULT_DONE);
    assert_int_equal(r->put, 64);
    wait_published(r, 1);
    fake_broker_ack(1, false);
    wait_reports(r, 1);
    put_all(r);
}

/* --- a broker that waits, is silent, or is not there --- */

static void a_blocked_broker_is_busy_for_as_long_as_it_wants(void **state)
{
    struct rig *r = *state;
    plugin_conf_number(ops->keys, r->conf, "stall_timeout", US_PER_SECOND);
    opened(r);
    started(r);
    add_some(r, 2);
    put_all(r);
    wait_published(r, 1);
    fake_broker_blocked("low on memory");
    while (ops->healthy(r->sink, &r->err) == RESULT_DONE) {
        step(r);
    }
    assert_int_equal(r->err.class, ERROR_BUSY);
    assert_non_null(strstr(r->err.text, "one:1 takes no events for now (connection.blocked: low on "
                                        "memory)"));
    add_some(r, 1);
    assert_int_equal(put(r), RESULT_ERROR);
    assert_int_equal(r->err.class, ERROR_BUSY);
    assert_true(r->err.retry_after_us > 0);
    int64_t until = clock_mono_us() + 2 * US_PER_SECOND; /* twice stall_timeout */
    while (clock_mono_us() < until) {
        assert_int_equal(step(r), RESULT_DONE);
    }
    fake_broker_ack(1, false);
    wait_reports(r, 1);
    fake_broker_unblocked();
    wait_published(r, 2);
    assert_int_equal(ops->healthy(r->sink, &r->err), RESULT_DONE);
    assert_int_equal(fake_broker_opened(), 1);
}

static void a_broker_that_reads_no_more_can_still_say_why(void **state)
{
    struct rig *r = *state;
    opened(r);
    started(r);
    fake_broker_room(20000);
    add(r, "q", 100000);
    put_all(r);
    while (fake_broker_message(0).came < 20000) {
        step(r);
    }
    fake_broker_blocked("disk");
    while (ops->healthy(r->sink, &r->err) == RESULT_DONE) {
        step(r);
    }
    fake_broker_room(0);
    quiet_for_a_moment(r, 0); /* it has room now, and has not said so */
    fake_broker_unblocked();
    wait_published(r, 1);
}

static void a_silent_broker_has_failed(void **state)
{
    struct rig *r = *state;
    plugin_conf_number(ops->keys, r->conf, "stall_timeout", 20000);
    opened(r);
    started(r);
    add_some(r, 1);
    put_all(r);
    wait_failure(r, ERROR_RETRY, "no confirm from one:1");
    started(r);
    assert_int_equal(fake_broker_port(), 2); /* the next one's turn */
}

static void a_call_that_hangs_is_ended(void **state)
{
    struct rig *r = *state;
    plugin_conf_number(ops->keys, r->conf, "stall_timeout", 20000);
    opened(r);
    started(r);
    fake_broker_hang();
    add_some(r, 1);
    put_all(r);
    wait_failure(r, ERROR_RETRY, "no confirm from one:1");
    started(r);
}

static void closing_ends_a_call_that_hangs(void **state)
{
    struct rig *r = *state;
    opened(r);
    started(r);
    fake_broker_hang();
    add_some(r, 3);
    put_all(r);
    ops->close(r->sink);
    r->sink = NULL;
}

static void note(void *ctx, int level, const char *text)
{
    struct rig *r = ctx;
    (void)level;
    snprintf(r->notes, sizeof r->notes, "%s", text);
}

static void closing_ends_a_goodbye_that_hangs(void **state)
{
    struct rig *r = *state;
    r->env.note = note;
    r->env.note_ctx = r;
    opened(r);
    started(r);
    fake_broker_hang_goodbye();
    ops->close(r->sink);
    r->sink = NULL;
    assert_string_equal(r->notes, "");
    assert_int_equal(fake_broker_thrown_away(), 1);
}

/* What the kernel has not sent yet would arrive behind what is sent again. */
static void what_a_broken_connection_has_not_sent_is_thrown_away(void **state)
{
    struct rig *r = *state;
    opened(r);
    started(r);
    add_some(r, 3);
    put_all(r);
    wait_published(r, 1);
    fake_broker_nack(1);
    wait_failure(r, ERROR_RETRY, "basic.nack");
    started(r);
    assert_int_equal(fake_broker_thrown_away(), 1);
    ops->close(r->sink); /* in peace */
    r->sink = NULL;
    assert_int_equal(fake_broker_thrown_away(), 1);
}

/* Name resolution has no deadline. What it goes on with is its own. */
static void who_hangs_in_connecting_is_left_behind(void **state)
{
    struct rig *r = *state;
    char who[64] = "", user[] = "relay", password[] = "secret";
    text(r, "username", user);
    text(r, "password", password);
    r->env.note = note;
    r->env.note_ctx = r;
    opened(r);
    fake_broker_hang_connect(true);
    int64_t until = clock_mono_us() + PATIENCE_US;
    assert_int_equal(ops->start(r->sink, 1, &r->err), RESULT_AGAIN);
    while (fake_broker_tried() == 0) {
        assert_true(clock_mono_us() < until);
        wait_some(r);
    }
    ops->close(r->sink);
    r->sink = NULL;
    assert_non_null(strstr(r->notes, "is left behind"));
    memset(user, 'x', sizeof user - 1);
    memset(password, 'x', sizeof password - 1);
    fake_broker_hang_connect(false);
    until = clock_mono_us() + PATIENCE_US;
    while (!who[0]) {
        assert_true(clock_mono_us() < until);
        fake_broker_user(who);
    }
    assert_string_equal(who, "relay secret");
}

static void closing_says_goodbye(void **state)
{
    struct rig *r = *state;
    opened(r);
    started(r);
    add_some(r, 3);
    put_all(r);
    wait_published(r, 1);
    ops->close(r->sink);
    r->sink = NULL;
    assert_int_equal(fake_broker_closed(), 1);
}

static void servers_are_tried_in_turn(void **state)
{
    struct rig *r = *state;
    fake_broker_away(1, AMQP_STATUS_SOCKET_ERROR);
    opened(r);
    started(r);
    assert_int_equal(fake_broker_port(), 2);
    fake_broker_away(0, 0);
    fake_broker_lose(AMQP_STATUS_HEARTBEAT_TIMEOUT);
    wait_failure(r, ERROR_RETRY, "two:2: waiting for acknowledgements: the broker is silent");
    started(r);
    assert_int_equal(fake_broker_port(), 1);
}

static void waiting_helps_if_it_may_help_with_one_of_them(void **state)
{
    struct rig *r = *state;
    fake_broker_away(1, AMQP_STATUS_SOCKET_ERROR);
    fake_broker_login(403, "ACCESS_REFUSED - Login was refused using authentication mechanism "
                           "PLAIN");
    opened(r);
    assert_int_equal(start(r), RESULT_ERROR);
    assert_int_equal(r->err.class, ERROR_RETRY);
    assert_non_null(strstr(r->err.text, "one:1: connecting"));
    assert_non_null(strstr(r->err.text, "two:2: ACCESS_REFUSED"));
    fake_broker_away(0, 0);
    assert_int_equal(start(r), RESULT_ERROR);
    assert_int_equal(r->err.class, ERROR_CONFIG);
    assert_int_equal(r->err.exit_code, 77);
}

static void what_the_broker_refuses_has_its_class(void **state)
{
    static const struct {
        int code;
        const char *text, *part;
        enum error_class class;
        int exit_code;
    } cases[] = {
        {404, "NOT_FOUND - no exchange 'x'", "declare the exchange", ERROR_CONFIG, 78},
        {403, "ACCESS_REFUSED - access to exchange 'x'", "write permission", ERROR_CONFIG, 77},
        {530, "NOT_ALLOWED - vhost v not found", "rabbitmqctl add_vhost", ERROR_CONFIG, 78},
        {530, "NOT_ALLOWED - access to vhost '/' refused for user 'u'", "access to the vhost",
         ERROR_CONFIG, 77},
        {530,
         "NOT_ALLOWED - access to vhost '/' refused for user 'u': connection limit (1) is "
         "reached",
         "raise the limit", ERROR_RETRY, 75},
        {530, "NOT_ALLOWED - access to vhost '/' refused for user 'u': vhost '/' is down",
         "still starting", ERROR_RETRY, 75},
        {320, "CONNECTION_FORCED - broker forced connection closure", "made again", ERROR_RETRY,
         75},
        {406, "PRECONDITION_FAILED - something else", "broker's log", ERROR_CONFIG, 78},
    };
    struct rig *r = *state;
    opened(r);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        started(r);
        fake_broker_close(cases[i].code, cases[i].text);
        wait_failure(r, cases[i].class, cases[i].part);
        assert_int_equal(r->err.exit_code, cases[i].exit_code);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(acknowledgements_come_in_any_order),
        CASE(few_are_on_their_way_until_the_broker_answers),
        CASE(a_returned_event_is_poison_once_the_others_are_answered),
        CASE(all_that_is_returned_is_reported_without_a_start),
        CASE(nothing_is_begun_behind_what_came_back),
        CASE(the_returned_one_of_two_that_look_alike_is_meant),
        CASE(what_was_never_sent_cannot_be_answered),
        CASE(an_answer_that_comes_again_is_nobody_else_s),
        CASE(a_refusal_is_no_poison),
        CASE(the_event_that_is_too_large_is_named),
        CASE(it_is_named_whatever_is_open_before_it),
        CASE(a_missing_exchange_that_an_event_names_is_its_fault),
        CASE(one_of_a_key_is_on_its_way),
        CASE(nothing_of_its_key_passes_a_returned_event),
        CASE(without_a_start_its_key_goes_on),
        CASE(what_waits_in_its_lane_has_a_place),
        CASE(without_parking_they_go_together),
        CASE(what_amqp_cannot_carry_is_refused_at_once),
        CASE(a_large_value_is_sent_in_pieces),
        CASE(names_come_from_templates),
        CASE(a_start_forgets_what_was_put),
        CASE(the_ring_takes_no_more_than_may_be_in_flight),
        CASE(a_blocked_broker_is_busy_for_as_long_as_it_wants),
        CASE(a_broker_that_reads_no_more_can_still_say_why),
        CASE(a_silent_broker_has_failed),
        CASE(a_call_that_hangs_is_ended),
        CASE(closing_ends_a_call_that_hangs),
        CASE(closing_says_goodbye),
        CASE(closing_ends_a_goodbye_that_hangs),
        CASE(what_a_broken_connection_has_not_sent_is_thrown_away),
        CASE(servers_are_tried_in_turn),
        CASE(waiting_helps_if_it_may_help_with_one_of_them),
        CASE(what_the_broker_refuses_has_its_class),
        CASE(who_hangs_in_connecting_is_left_behind), /* last: its thread may go on for a moment */
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
