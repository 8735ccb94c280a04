/* Whom `status` believes, and what it makes of an answer from the admin port. */
#include "unit.h"

#include "cli/kit/admin_client.h"
#include "cli/status_text.h"
#include <stdio.h>
#include <string.h>

static void merge_as(struct status_row *r, const char *json, bool sure)
{
    struct found_relay f = {.status = json_loads(json, 0, NULL), .sure = sure};
    assert_non_null(f.status);
    status_row_merge(r, found_pipeline(&f, r->at.name), sure);
    find_relay_release(&f);
}

static void merge(struct status_row *r, const char *json)
{
    merge_as(r, json, false);
}

static struct status_row row(bool locked)
{
    struct status_row r;
    status_row_init(&r, "p", "");
    r.at.state = "running";
    r.at.locked = locked;
    return r;
}

static void test_a_dead_daemon_runs_nothing(void **state)
{
    (void)state;
    static const char *const gone[] = {"running", "retrying", "paused", "draining", "starting"};
    for (size_t i = 0; i < sizeof gone / sizeof *gone; i++) {
        struct status_row r = row(false);
        status_row_settle(&r, gone[i], "why");
        assert_string_equal(r.at.state, "stopped");
        assert_non_null(strstr(r.at.detail, gone[i]));
        status_row_release(&r);
        r = row(true);
        status_row_settle(&r, gone[i], "why");
        assert_string_equal(r.at.state, gone[i]);
        assert_string_equal(r.at.detail, "why");
        status_row_release(&r);
    }
}

static void test_ended_states_stay(void **state)
{
    (void)state;
    struct status_row r = row(false);
    status_row_settle(&r, "failed", "the disk is on fire");
    assert_string_equal(r.at.state, "failed");
    assert_string_equal(r.at.detail, "the disk is on fire");
    status_row_settle(&r, "stopped", "");
    assert_string_equal(r.at.state, "stopped");
    assert_string_equal(r.at.detail, "");
    status_row_settle(&r, "", "");
    assert_string_equal(r.at.state, "stopped");
    assert_string_equal(r.at.detail, "never started");
    status_row_release(&r);
}

static void test_merge(void **state)
{
    (void)state;
    struct status_row r = row(true);
    merge(&r, "{\"pipelines\": [{\"name\": \"q\", \"state\": \"failed\"}, {\"name\": \"p\", "
              "\"state\": \"retrying\", \"detail\": \"broker away\", \"since\": \"s\", "
              "\"position\": \"17\", \"delivered\": 9, \"pending_events\": 4, \"lag_seconds\": "
              "1.5, \"held_up\": null}]}");
    assert_string_equal(r.at.state, "retrying");
    assert_string_equal(r.at.detail, "broker away");
    assert_string_equal(r.at.since, "s");
    assert_string_equal(r.at.position, "17");
    assert_int_equal(r.at.delivered, 9);
    assert_int_equal(r.at.pending_events, 4);
    status_row_release(&r);
}

static void test_a_stream_is_measured_in_bytes(void **state)
{
    (void)state;
    struct status_row r = row(true);
    CLEANUP(buf_release) struct buf out = {0};
    r.at.lag_bytes = 1;
    merge(&r, "{\"pipelines\": [{\"name\": \"p\", \"state\": \"running\", \"lag_bytes\": 1536, "
              "\"slot_retained_bytes\": 3221225472, \"slot_limit_bytes\": 10737418240, "
              "\"slot_limit_seconds\": 10800, \"progress\": \"orders, 12 %\", "
              "\"pending_events\": null, \"lag_seconds\": 2.5}]}");
    status_row_text(&r, "relay.yaml", &out);
    assert_non_null(strstr(buf_str(&out), "  lag           2.5 s\n"));
    assert_non_null(strstr(buf_str(&out), "  wal lag       1.5 KiB\n"));
    assert_non_null(strstr(buf_str(&out),
                           "  slot keeps    3.0 GiB of WAL, and is lost at 10.0 GiB: "
                           "in about 3 h as it grows now\n"));
    assert_non_null(strstr(buf_str(&out), "  progress      orders, 12 %\n"));
    assert_null(strstr(buf_str(&out), "pending"));
    json_t *j = status_row_json(&r);
    assert_int_equal(json_integer_value(json_object_get(j, "slot_limit_seconds")), 10800);
    json_decref(j);
    /* What we looked up ourselves stays when the daemon does not know. */
    merge(&r, "{\"pipelines\": [{\"name\": \"p\", \"state\": \"running\", \"lag_bytes\": null}]}");
    assert_int_equal(r.at.lag_bytes, 1536);
    r.at.slot_limit_seconds = 40;
    buf_clear(&out);
    status_row_text(&r, "relay.yaml", &out);
    assert_non_null(strstr(buf_str(&out), ": in about 40 s as it grows now\n"));
    r.at.slot_limit_bytes = r.at.slot_limit_seconds = -1;
    buf_clear(&out);
    status_row_text(&r, "relay.yaml", &out);
    assert_non_null(strstr(buf_str(&out), "3.0 GiB of WAL, without a limit\n"));
    status_row_release(&r);
}

static void test_what_was_counted_is_newer(void **state)
{
    (void)state;
    struct status_row r = row(true);
    r.at.pending_events = 10;
    r.at.lag_seconds = 3;
    merge(&r, "{\"pipelines\": [{\"name\": \"p\", \"state\": \"paused\", \"pending_events\": 0, "
              "\"lag_seconds\": 0}]}");
    assert_string_equal(r.at.state, "paused");
    assert_int_equal(r.at.pending_events, 10);
    status_row_release(&r);
}

static void test_only_who_holds_the_lock_is_believed(void **state)
{
    (void)state;
    static const char standby[] = "{\"pipelines\": [{\"name\": \"p\", \"state\": \"waiting\"}]}";
    static const char running[] = "{\"pipelines\": [{\"name\": \"p\", \"state\": \"running\"}]}";
    static const char failed[] = "{\"pipelines\": [{\"name\": \"p\", \"state\": \"failed\", "
                                 "\"detail\": \"d\"}]}";
    struct status_row r = row(true);
    r.at.state = "draining";
    merge(&r, standby);
    assert_string_equal(r.at.state, "draining");
    merge(&r, failed); /* another one's: somebody holds the lock */
    assert_string_equal(r.at.state, "draining");
    r.at.locked = false;
    merge(&r, running);
    assert_string_equal(r.at.state, "draining");
    merge(&r, failed);
    assert_string_equal(r.at.state, "failed");
    assert_string_equal(r.at.detail, "d");
    status_row_release(&r);
}

static void test_the_relay_of_this_file_is_believed_first(void **state)
{
    (void)state;
    static const char blocked[] =
        "{\"pipelines\": [{\"name\": \"p\", \"state\": \"blocked\", \"detail\": \"no password\", "
        "\"paused\": true}]}";
    static const char standby[] = "{\"pipelines\": [{\"name\": \"p\", \"state\": \"waiting\"}]}";
    static const char stopped[] = "{\"pipelines\": [{\"name\": \"p\", \"state\": \"stopped\"}]}";
    struct status_row r = row(false);
    r.at.state = "unknown";
    merge_as(&r, blocked, true);
    assert_string_equal(r.at.state, "blocked");
    assert_string_equal(r.at.detail, "no password");
    assert_true(r.at.paused);
    r.at.locked = true; /* by another relay */
    merge_as(&r, standby, true);
    merge_as(&r, stopped, true);
    assert_string_equal(r.at.state, "blocked");
    r.at.locked = false;
    merge_as(&r, stopped, true);
    assert_string_equal(r.at.state, "stopped");
    status_row_release(&r);
}

static void test_what_a_monitor_hears(void **state)
{
    (void)state;
    static const struct {
        const char *state;
        enum status_level level;
    } levels[] = {{"running", STATUS_WELL},      {"paused", STATUS_WELL},
                  {"waiting", STATUS_WELL},      {"starting", STATUS_DEGRADED},
                  {"retrying", STATUS_DEGRADED}, {"draining", STATUS_DEGRADED},
                  {"blocked", STATUS_DOWN},      {"failed", STATUS_DOWN},
                  {"stopped", STATUS_DOWN},      {"unknown", STATUS_DOWN}};
    struct status_row r = row(true);
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        r.at.state = levels[i].state;
        assert_int_equal(status_row_level(&r, 0), levels[i].level);
    }
    r.at.state = "running";
    r.at.lag_seconds = 61;
    assert_int_equal(status_row_level(&r, 0), STATUS_WELL);
    assert_int_equal(status_row_level(&r, 61 * US_PER_SECOND), STATUS_WELL);
    assert_int_equal(status_row_level(&r, 60 * US_PER_SECOND), STATUS_DEGRADED);
    r.at.held_up = "by a lock";
    assert_int_equal(status_row_level(&r, 0), STATUS_DEGRADED);
    r.at.slot_lost = true;
    assert_int_equal(status_row_level(&r, 0), STATUS_DOWN);
    status_row_release(&r);
}

static void test_the_text_is_for_an_operator(void **state)
{
    (void)state;
    struct status_row r = row(true);
    CLEANUP(buf_release) struct buf out = {0};
    r.at.source = "cdc_postgres of postgresql://relay@db/shop";
    r.at.sink = "kafka b1:9092";
    r.at.store = "sqlite:/var/lib/commitrelay/commitrelay.db";
    merge_as(&r,
             "{\"pipelines\": [{\"name\": \"p\", \"state\": \"blocked\", \"since\": \"then\", "
             "\"detail\": \"no right: GRANT SELECT ON t TO relay\", \"slot_lost\": true, "
             "\"slot_retained_bytes\": 0, \"slot_limit_bytes\": 16777216, "
             "\"events_per_second\": 2.25}]}",
             true);
    r.at.dead_letters = 2;
    status_row_text(&r, "relay.yaml", &out);
    assert_string_equal(buf_str(&out),
                        "p: blocked since then\n"
                        "    no right:\n"
                        "        GRANT SELECT ON t TO relay;\n"
                        "    once that is mended, to try again at once:\n"
                        "        commitrelay resume -c relay.yaml --pipeline p\n"
                        "  source        cdc_postgres of postgresql://relay@db/shop\n"
                        "  sink          kafka b1:9092\n"
                        "  store         sqlite:/var/lib/commitrelay/commitrelay.db\n"
                        "  position      -\n"
                        "  delivered     0, now 2.2 a second\n"
                        "  pending       unknown\n"
                        "  dead letters  2\n"
                        "        commitrelay dead-letters list -c relay.yaml --pipeline p\n"
                        "  slot          is lost, and with it changes that were not delivered\n");
    status_row_release(&r);
}

static void test_strange_answers(void **state)
{
    (void)state;
    static const char *const strange[] = {"[]",
                                          "{}",
                                          "{\"pipelines\": 3}",
                                          "{\"pipelines\": [1, {}, {\"name\": 3}]}",
                                          "{\"pipelines\": [{\"name\": \"p\"}]}",
                                          "{\"pipelines\": [{\"name\": \"p\", \"state\": 5}]}"};
    struct status_row r = row(true);
    for (size_t i = 0; i < sizeof strange / sizeof *strange; i++) {
        merge(&r, strange[i]);
        assert_string_equal(r.at.state, "running");
    }
    status_row_merge(&r, NULL, true);
    assert_string_equal(r.at.state, "running");
    status_row_release(&r);
}

static void test_reply(void **state)
{
    (void)state;
    struct slice body;
    int status;
    assert_true(admin_client_body(SLICE_LITERAL("HTTP/1.1 409 No\r\nContent-Length: 2\r\n\r\n{}"),
                                  &status, &body));
    assert_true(slice_equal_str(body, "{}"));
    assert_int_equal(status, 409);
    static const char *const bad[] = {"",
                                      "HTTP/1.1 200",
                                      "HTTP/1.1 4x4 Not Found\r\n\r\n{}",
                                      "HTTP/1.1 200 OK\r\nA: b\r\n",
                                      "SSH-2.0-OpenSSH_9.2\r\n\r\n",
                                      "HTTP/2.0 200 OK"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(admin_client_body(slice_from(bad[i]), &status, &body));
    }
}

static void test_split(void **state)
{
    (void)state;
    static const struct {
        const char *listen, *host, *port;
    } good[] = {{"127.0.0.1:9480", "127.0.0.1", "9480"},
                {"[::1]:80", "::1", "80"},
                {"localhost:1", "localhost", "1"}};
    static const char *const bad[] = {"", ":", "9480", "host:", ":80", "host:0", "[]:80"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        CLEANUP(buf_release) struct buf host = {0}, port = {0};
        assert_true(admin_client_split(good[i].listen, &host, &port));
        assert_string_equal(buf_str(&host), good[i].host);
        assert_string_equal(buf_str(&port), good[i].port);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CLEANUP(buf_release) struct buf host = {0}, port = {0};
        assert_false(admin_client_split(bad[i], &host, &port));
    }
}

static void test_a_shard_names_its_holder(void **state)
{
    (void)state;
    struct status_row r;
    CLEANUP(buf_release) struct buf out = {0};
    status_row_init(&r, "p", "3/8");
    r.at.state = "running";
    r.at.holder = "server process 77 (commitrelay p, from 10.0.0.1)";
    status_row_text(&r, "relay.yaml", &out);
    assert_non_null(strstr(buf_str(&out), "p 3/8: running\n"));
    assert_non_null(strstr(buf_str(&out),
                           "  holder        server process 77 (commitrelay p, from 10.0.0.1)\n"));
    json_t *all = status_row_json(&r);
    assert_string_equal(json_string_value(json_object_get(all, "part")), "3/8");
    assert_string_equal(json_string_value(json_object_get(all, "holder")), r.at.holder);
    json_decref(all);
    status_row_release(&r);
    struct status_row whole = row(true);
    all = status_row_json(&whole);
    assert_null(json_object_get(all, "part"));
    json_decref(all);
    status_row_release(&whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_dead_daemon_runs_nothing),
        cmocka_unit_test(test_ended_states_stay),
        cmocka_unit_test(test_merge),
        cmocka_unit_test(test_a_stream_is_measured_in_bytes),
        cmocka_unit_test(test_what_was_counted_is_newer),
        cmocka_unit_test(test_only_who_holds_the_lock_is_believed),
        cmocka_unit_test(test_the_relay_of_this_file_is_believed_first),
        cmocka_unit_test(test_what_a_monitor_hears),
        cmocka_unit_test(test_the_text_is_for_an_operator),
        cmocka_unit_test(test_a_shard_names_its_holder),
        cmocka_unit_test(test_strange_answers),
        cmocka_unit_test(test_reply),
        cmocka_unit_test(test_split),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
