/* What the NATS sink counts as delivered, what it sends when, and what becomes of refusals. */
#include "nats_rig.h"

/* --- what is delivered --- */

static void only_an_acknowledged_event_is_delivered(void **state)
{
    struct rig *r = *state;
    script(r, keep);
    up(r);
    add_event(r, "a", "shop.a");
    add_event(r, "b", "shop.b");
    assert_int_equal(put(r, 0, 2, RESULT_DONE), 2);
    wait_messages(r, 2);
    assert_string_equal(r->fake->messages[0].subject, "shop.a");
    assert_string_equal(r->fake->messages[0].payload, "e1");
    assert_non_null(strstr(r->fake->messages[0].headers, "Nats-Msg-Id: e1\r\n"));
    assert_int_equal(r->delivered_count, 0);
    fake_answer(r->fake, 1, FAKE_ACK);
    wait_delivered(r, 1);
    assert_int_equal(r->delivered[0], r->base + 1);
    fake_answer(r->fake, 0, FAKE_ACK);
    wait_delivered(r, 2);
    assert_int_equal(r->delivered[1], r->base);
}

static void the_next_of_a_key_waits_for_its_turn(void **state)
{
    struct rig *r = *state;
    script(r, keep);
    up(r);
    add_event(r, "a", "s");
    add_event(r, "a", "s");
    add_event(r, "b", "s");
    assert_int_equal(put(r, 0, 3, RESULT_DONE), 3);
    wait_messages(r, 2);
    assert_string_equal(r->fake->messages[1].payload, "e3");
    fake_answer(r->fake, 0, FAKE_ACK);
    wait_messages(r, 3);
    assert_string_equal(r->fake->messages[2].payload, "e2");
    fake_answer(r->fake, 1, FAKE_ACK);
    fake_answer(r->fake, 2, FAKE_ACK);
    wait_delivered(r, 3);
}

static enum fake_does know(const struct fake_message *m, void *ctx)
{
    struct fake_nats *f = ctx;
    f->refusal = "{\"stream\":\"EV\",\"seq\":1,\"duplicate\":true}"; /* an acknowledgement */
    return m ? FAKE_REFUSE : FAKE_ACK;
}

/* The stream knows each id, also the second time. */
static void what_is_sent_on_purpose_is_not_dropped_as_known(void **state)
{
    static const char *const ids[] = {"e1\r", "e2\r", "e3:dead-letter\r", "e2:replay-1\r"};
    char header[64];
    struct rig *r = *state;
    script(r, know);
    up(r);
    add_event(r, "a", "s"); /* after a crash, for example */
    add_event(r, "b", "s")->again = SLICE_LITERAL("replay-1");
    struct event *copy = add_event(r, "c", "s");
    copy->again = SLICE_LITERAL("dead-letter");
    copy->copy = true;
    assert_int_equal(put(r, 0, 3, RESULT_DONE), 3);
    wait_delivered(r, 3);
    assert_int_equal(fake_count(r->fake), 4);
    for (size_t i = 0; i < 4; i++) {
        snprintf(header, sizeof header, "Nats-Msg-Id: %s", ids[i]);
        assert_non_null(strstr(r->fake->messages[i].headers, header));
    }
}

static void what_is_not_known_is_sent_once(void **state)
{
    struct rig *r = *state;
    up(r);
    add_event(r, "a", "s")->again = SLICE_LITERAL("retry-1.0.0");
    assert_int_equal(put(r, 0, 1, RESULT_DONE), 1);
    wait_delivered(r, 1);
    assert_int_equal(fake_count(r->fake), 1);
}

static void a_full_window_takes_no_more(void **state)
{
    struct rig *r = *state;
    r->env.max_in_flight = 5;
    script(r, keep);
    up(r);
    for (int i = 0; i < 8; i++) {
        add_event(r, NULL, "s");
    }
    assert_int_equal(put(r, 0, 8, RESULT_DONE), 5);
    wait_messages(r, 5);
    assert_int_equal(put(r, 5, 8, RESULT_DONE), 0);
    fake_answer(r->fake, 0, FAKE_ACK);
    wait_delivered(r, 1);
    assert_int_equal(put(r, 5, 8, RESULT_DONE), 1);
    wait_messages(r, 6);
    assert_int_equal(r->fake->window, 5);
}

/* --- refusals --- */

static void a_full_stream_is_no_failure_and_nothing_passes(void **state)
{
    struct rig *r = *state;
    r->fake->refusal = REFUSAL(503, 10077, "maximum messages exceeded");
    script(r, refuse);
    up(r);
    add_event(r, "a", "s");
    add_event(r, "a", "s");
    put(r, 0, 2, RESULT_DONE);
    wait_failure(r, ERROR_BUSY, "stream EV: maximum messages exceeded; the stream is full");
    assert_int_equal(fake_count(r->fake), 1);       /* the second one has not passed the first */
    assert_int_equal(put(r, 1, 2, RESULT_DONE), 0); /* until the next start */
    script(r, NULL);
    assert_int_equal(start(r), RESULT_DONE);
    assert_int_equal(r->fake->connections, 1); /* the connection is as good as before */
    put(r, 0, 2, RESULT_DONE);
    wait_delivered(r, 2);
    assert_string_equal(r->fake->messages[1].payload, "e1");
    assert_string_equal(r->fake->messages[2].payload, "e2");
}

static void no_stream(struct rig *r, enum error_class class)
{
    script(r, answer_no_stream);
    assert_int_equal(start(r), RESULT_DONE);
    put(r, 0, 1, RESULT_DONE);
    wait_failure(r, class, "subject shop.a: no stream takes it");
    assert_int_equal(r->err.exit_code,
                     class == ERROR_CONFIG ? EXIT_CODE_CONFIG : EXIT_CODE_GAVE_UP);
}

/* A server that restarts has none for a moment. */
static void no_stream_is_a_fault_of_the_configuration_after_a_while(void **state)
{
    struct rig *r = *state;
    up(r);
    add_event(r, "a", "shop.a");
    no_stream(r, ERROR_RETRY);
    no_stream(r, ERROR_RETRY);
    r->conf.net.connect_timeout_us = 1;
    no_stream(r, ERROR_CONFIG);
    script(r, NULL);
    assert_int_equal(start(r), RESULT_DONE);
    put(r, 0, 1, RESULT_DONE);
    wait_delivered(r, 1);
    no_stream(r, ERROR_RETRY); /* another time */
    assert_int_equal(r->fake->connections, 1);
}

/* A subscriber that answers is no stream: what it got is not kept. */
static enum fake_does miss_lost(const struct fake_message *m, void *ctx)
{
    (void)ctx;
    return strcmp(m->subject, "shop.lost") == 0 ? FAKE_NO_STREAM : FAKE_ACK;
}

/* The others' subjects have a stream, which has stored one of them before each try: the row is to
 * blame. */
static void a_row_whose_subject_has_no_stream_is_poison(void **state)
{
    struct rig *r = *state;
    r->conf.net.connect_timeout_us = 100 * US_PER_MS;
    script(r, miss_lost);
    up(r);
    add_event(r, "b", "shop.b");
    add_event(r, "a", "shop.lost");
    int64_t until = clock_mono_us() + PATIENCE_US;
    do {
        assert_true(clock_mono_us() < until);
        assert_int_equal(start(r), RESULT_DONE);
        put(r, 0, 2, RESULT_DONE);
        r->report.count = 0;
        while (
            collect(r) == RESULT_DONE &&
            !(r->report.count && r->report.results[r->report.count - 1].outcome == SINK_POISON)) {
            assert_true(clock_mono_us() < until);
        }
    } while (r->err.class == ERROR_RETRY);
    assert_int_equal(r->err.class, ERROR_NONE);
    assert_int_equal(r->report.results[r->report.count - 1].token, r->base + 1);
    assert_int_equal(r->report.error.class, ERROR_POISON);
    assert_non_null(strstr(r->report.error.text, "subject shop.lost: no stream takes it"));
}

static void another_answer_is_no_delivery(void **state)
{
    struct rig *r = *state;
    script(r, no_ack_text);
    up(r);
    add_event(r, "a", "shop.a");
    put(r, 0, 1, RESULT_DONE);
    wait_failure(r, ERROR_CONFIG, "somebody else answers there");
}

static void a_refused_permission_names_the_subject(void **state)
{
    struct rig *r = *state;
    script(r, deny);
    up(r);
    add_event(r, "a", "shop.a");
    put(r, 0, 1, RESULT_DONE);
    wait_failure(r, ERROR_CONFIG, "Permissions Violation for Publish to \"shop.a\"");
    assert_int_equal(r->err.exit_code, EXIT_CODE_PERMISSION);
    assert_non_null(strstr(r->err.text, "allow the relay's user to publish there"));
    script(r, NULL);
    assert_int_equal(start(r), RESULT_DONE);
    put(r, 0, 1, RESULT_DONE);
    wait_delivered(r, 1);
}

/* The guilty event is named, but only once all before it are settled; the next one of its key is
 * not sent: it may have to wait behind the dead letter. */
static void a_poisoned_event_waits_until_it_is_the_first(void **state)
{
    struct rig *r = *state;
    r->fake->refusal = REFUSAL(400, 10054, "message size exceeds maximum allowed");
    script(r, keep);
    up(r);
    add_event(r, "a", "s");
    add_event(r, "b", "s"); /* the guilty one */
    add_event(r, "c", "s");
    add_event(r, "b", "s");
    put(r, 0, 4, RESULT_DONE);
    wait_messages(r, 3);
    fake_answer(r->fake, 1, FAKE_REFUSE);
    fake_answer(r->fake, 2, FAKE_ACK);
    wait_delivered(r, 1);
    assert_int_equal(r->report.results[r->report.count - 1].outcome, SINK_DELIVERED);
    fake_answer(r->fake, 0, FAKE_ACK);
    int64_t until = clock_mono_us() + PATIENCE_US;
    while (r->report.count == 0 || r->report.results[r->report.count - 1].outcome != SINK_POISON) {
        assert_true(clock_mono_us() < until);
        assert_int_equal(collect(r), RESULT_DONE);
    }
    assert_int_equal(r->report.results[r->report.count - 1].token, r->base + 1);
    assert_non_null(strstr(r->report.error.text, "raise the stream's max_msg_size"));
    assert_int_equal(r->delivered_count, 2);
    assert_int_equal(fake_count(r->fake), 3);
    assert_int_equal(start(r), RESULT_DONE);
    put(r, 2, 4, RESULT_DONE);
    wait_messages(r, 5);
    fake_answer(r->fake, 3, FAKE_ACK);
    fake_answer(r->fake, 4, FAKE_ACK);
    wait_delivered(r, 4);
}

static void an_event_too_large_is_refused_by_put(void **state)
{
    struct rig *r = *state;
    r->fake->max_payload = 100;
    up(r);
    add_event(r, "a", "s");
    struct event *e = add_event(r, "b", "s");
    static char text[200];
    memset(text, 'x', sizeof text);
    e->value = (struct slice){text, sizeof text};
    add_event(r, "c", "s");
    assert_int_equal(put(r, 0, 3, RESULT_ERROR), 1);
    assert_int_equal(r->err.class, ERROR_POISON);
    assert_int_equal(put(r, 2, 3, RESULT_DONE), 1);
    wait_delivered(r, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(only_an_acknowledged_event_is_delivered),
        CASE(the_next_of_a_key_waits_for_its_turn),
        CASE(what_is_sent_on_purpose_is_not_dropped_as_known),
        CASE(what_is_not_known_is_sent_once),
        CASE(a_full_window_takes_no_more),
        CASE(a_full_stream_is_no_failure_and_nothing_passes),
        CASE(no_stream_is_a_fault_of_the_configuration_after_a_while),
        CASE(a_row_whose_subject_has_no_stream_is_poison),
        CASE(another_answer_is_no_delivery),
        CASE(a_refused_permission_names_the_subject),
        CASE(a_poisoned_event_waits_until_it_is_the_first),
        CASE(an_event_too_large_is_refused_by_put),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
