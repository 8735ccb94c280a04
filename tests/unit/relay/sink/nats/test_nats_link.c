/* The connection of the NATS sink: made, refused, lost, silent. */
#include "nats_rig.h"

static void a_lost_connection_is_made_again_by_the_next_start(void **state)
{
    struct rig *r = *state;
    script(r, hang_up);
    up(r);
    add_event(r, "a", "s");
    put(r, 0, 1, RESULT_DONE);
    wait_failure(r, ERROR_RETRY, "is lost");
    assert_int_equal(r->delivered_count, 0);
    script(r, NULL);
    assert_int_equal(start(r), RESULT_DONE);
    put(r, 0, 1, RESULT_DONE);
    wait_delivered(r, 1);
    assert_int_equal(r->fake->connections, 2);
}

static void silence_is_a_failure_after_stall_timeout(void **state)
{
    struct rig *r = *state;
    r->conf.net.stall_timeout_us = 100 * US_PER_MS;
    script(r, keep);
    up(r);
    add_event(r, "a", "s");
    put(r, 0, 1, RESULT_DONE);
    wait_failure(r, ERROR_RETRY, "no acknowledgement from");
    assert_true(error_is(&r->err, "stalled"));
    script(r, NULL);
    r->conf.net.stall_timeout_us = PATIENCE_US;
    assert_int_equal(start(r), RESULT_DONE);
    put(r, 0, 1, RESULT_DONE);
    wait_delivered(r, 1);
}

/* A rewind on a connection that works: the old answers complete nothing. */
static void answers_to_old_tokens_complete_nothing(void **state)
{
    struct rig *r = *state;
    script(r, keep);
    up(r);
    add_event(r, "a", "s");
    add_event(r, "b", "s");
    put(r, 0, 2, RESULT_DONE);
    wait_messages(r, 2);
    assert_int_equal(start(r), RESULT_DONE);
    fake_answer(r->fake, 0, FAKE_ACK);
    fake_answer(r->fake, 1, FAKE_ACK);
    put(r, 0, 1, RESULT_DONE);
    wait_messages(r, 3);
    assert_int_equal(r->delivered_count, 0);
    fake_answer(r->fake, 2, FAKE_ACK);
    wait_delivered(r, 1);
    assert_int_equal(r->delivered[0], r->base);
    assert_int_equal(r->fake->connections, 1);
}

static void a_refused_login_is_no_outage(void **state)
{
    struct rig *r = *state;
    static char user[] = "relay", password[] = "hunter2";
    r->fake->info = "\"auth_required\":true,";
    r->fake->greeting = "-ERR 'Authorization Violation'\r\n";
    r->conf.net.username = user;
    r->conf.net.password = password;
    open_sink(r);
    assert_int_equal(start(r), RESULT_ERROR);
    assert_int_equal(r->err.class, ERROR_CONFIG);
    assert_int_equal(r->err.exit_code, EXIT_CODE_PERMISSION);
    assert_non_null(strstr(r->err.text, "refuses the login"));
    assert_null(strstr(r->err.text, "hunter2"));
    assert_non_null(strstr(r->notes, "sent unencrypted"));
}

static void a_server_that_says_nothing_is_given_up(void **state)
{
    struct rig *r = *state;
    r->fake->mute = true;
    r->conf.net.connect_timeout_us = 50 * US_PER_MS;
    open_sink(r);
    assert_int_equal(start(r), RESULT_ERROR);
    assert_int_equal(r->err.class, ERROR_RETRY);
    assert_non_null(strstr(r->err.text, "no NATS server answers at nats://127.0.0.1:"));
}

/* libnats has no deadline for it: the thread is left to itself, and another try is made. */
static void a_handshake_that_hangs_is_given_up(void **state)
{
    struct rig *r = *state;
    r->fake->info = "\"tls_required\":true,";
    r->conf.net.connect_timeout_us = 50 * US_PER_MS;
    snprintf(r->servers, sizeof r->servers, "tls://127.0.0.1:%d", r->fake->port);
    open_sink(r);
    assert_int_equal(start(r), RESULT_ERROR);
    assert_int_equal(r->err.class, ERROR_RETRY);
    if (!strstr(r->err.text, "within connect_timeout, and no refusal")) {
        fail_msg("%s", r->err.text);
    }
    assert_int_equal(sink_nats.start(r->sink, 1, &r->err), RESULT_AGAIN); /* a new one */
    fake_hang_up(r->fake);
}

static void nobody_listens(void **state)
{
    struct rig *r = *state;
    int port = r->fake->port;
    close(r->fake->fd);
    r->fake->fd = socket(AF_INET, SOCK_STREAM, 0);
    snprintf(r->servers, sizeof r->servers, "nats://127.0.0.1:%d", port);
    open_sink(r);
    assert_int_equal(start(r), RESULT_ERROR);
    assert_int_equal(r->err.class, ERROR_RETRY);
    assert_int_equal(start(r), RESULT_ERROR); /* and again, and so on */
}

static void the_second_server_is_tried(void **state)
{
    struct rig *r = *state;
    snprintf(r->servers, sizeof r->servers, "nats://127.0.0.1:1,nats://127.0.0.1:%d",
             r->fake->port);
    up(r);
    add_event(r, "a", "s");
    put(r, 0, 1, RESULT_DONE);
    wait_delivered(r, 1);
}

static void a_wrong_configuration_is_refused_at_open(void **state)
{
    struct rig *r = *state;
    size_t max_event;
    static char bad[] = "{colour}", gone[] = "/nowhere/x.creds", user[] = "u";
    fake_start(r->fake);
    r->conf.subject = bad;
    assert_int_equal(sink_nats.open(&r->conf, &r->env, &r->sink, &max_event, &r->err),
                     RESULT_ERROR);
    assert_int_equal(r->err.class, ERROR_CONFIG);
    r->conf.subject = topic;
    r->conf.credentials_file = gone;
    assert_int_equal(sink_nats.open(&r->conf, &r->env, &r->sink, &max_event, &r->err),
                     RESULT_ERROR);
    assert_non_null(strstr(r->err.text, "/nowhere/x.creds cannot be read"));
    r->conf.net.username = user;
    assert_int_equal(sink_nats.open(&r->conf, &r->env, &r->sink, &max_event, &r->err),
                     RESULT_ERROR);
    assert_non_null(strstr(r->err.text, "two ways to log in"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_lost_connection_is_made_again_by_the_next_start),
        CASE(silence_is_a_failure_after_stall_timeout),
        CASE(answers_to_old_tokens_complete_nothing),
        CASE(a_refused_login_is_no_outage),
        CASE(a_server_that_says_nothing_is_given_up),
        CASE(a_handshake_that_hangs_is_given_up),
        CASE(nobody_listens),
        CASE(the_second_server_is_tried),
        CASE(a_wrong_configuration_is_refused_at_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
