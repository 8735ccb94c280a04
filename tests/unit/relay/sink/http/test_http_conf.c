/* The plan that the HTTP sink makes of its configuration. What is refused: faults.tsv,
 * http_refused. */
#include "unit.h"

#include "plugin_conf.h"
#include "sink/http/conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const struct sink_ops sink_http;

struct rig {
    struct http_conf *conf;
    void *memory;
    struct http_plan plan;
    struct error err;
    char notes[1024];
};

static int up(void **state)
{
    static const char *const proxies[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy",
                                          "ALL_PROXY"};
    struct rig *r = calloc(1, sizeof *r);
    assert_non_null(r);
    r->conf = plugin_conf_new(http_conf_keys, sizeof *r->conf, &r->memory);
    for (size_t i = 0; i < sizeof proxies / sizeof *proxies; i++) {
        unsetenv(proxies[i]);
    }
    *state = r;
    return 0;
}

static int down(void **state)
{
    struct rig *r = *state;
    http_plan_release(&r->plan);
    plugin_conf_free(r->conf, r->memory);
    free(r);
    return 0;
}

static void set(struct rig *r, const char *key, const char *value)
{
    plugin_conf_text(http_conf_keys, r->conf, key, value);
}

static int make(struct rig *r)
{
    http_plan_release(&r->plan);
    return http_plan_make(r->conf, &r->plan, &r->err);
}

static void expect_target(struct rig *r, size_t i, const char *want)
{
    static const struct event none;
    CLEANUP(buf_release) struct buf out = {0};
    assert_true(i < r->plan.targets_count);
    assert_int_equal(http_url_expand(&r->plan.targets[i].url, &none, &out, &r->err), RESULT_DONE);
    assert_string_equal(buf_str(&out), want);
}

static void defaults_are_those_of_the_reference(void **state)
{
    struct rig *r = *state;
    set(r, "url", "https://h/x");
    assert_int_equal(make(r), RESULT_DONE);
    assert_string_equal(http_methods[r->conf->method], "POST");
    assert_int_equal(r->conf->batch.events, 1);
    assert_int_equal(r->conf->batch.bytes, 1 << 20);
    assert_int_equal(r->conf->batch.interval_us, 0);
    assert_int_equal(r->conf->concurrency, 8);
    assert_int_equal(r->conf->timeout_us, 10 * US_PER_SECOND);
    assert_int_equal(r->conf->net.connect_timeout_us, 5 * US_PER_SECOND);
    assert_int_equal(r->conf->batch_format, HTTP_ARRAY);
    assert_true(r->conf->net.tls.verify);
    expect_target(r, 0, "https://h/x");
}

static void several_urls_are_targets_in_turn(void **state)
{
    struct rig *r = *state;
    set(r, "url", "https://a/x, http://b:81/?y=1,2");
    assert_int_equal(make(r), RESULT_DONE);
    assert_int_equal(r->plan.targets_count, 2);
    expect_target(r, 0, "https://a/x");
    expect_target(r, 1, "http://b:81/?y=1,2");
}

static void private_targets_need_a_word_where_rows_have_a_part(void **state)
{
    struct rig *r = *state;
    set(r, "url", "https://h/x");
    assert_int_equal(make(r), RESULT_DONE);
    assert_true(r->plan.allow_private);
    set(r, "url", "https://h/x, https://h/{key}");
    assert_int_equal(make(r), RESULT_DONE);
    assert_false(r->plan.allow_private);
    r->conf->allow_private_given = r->conf->allow_private = true;
    assert_int_equal(make(r), RESULT_DONE);
    assert_true(r->plan.allow_private);
    set(r, "url", "https://h/x");
    r->conf->allow_private = false;
    assert_int_equal(make(r), RESULT_DONE);
    assert_false(r->plan.allow_private);
}

static void a_proxy_hides_the_address(void **state)
{
    struct rig *r = *state;
    set(r, "url", "https://h/{key}");
    setenv("http_proxy", "http://p:1", 1); /* not for https */
    assert_int_equal(make(r), RESULT_DONE);
    setenv("HTTPS_PROXY", "http://p:1", 1);
    assert_int_equal(make(r), RESULT_ERROR);
    assert_non_null(strstr(r->err.text, "HTTPS_PROXY"));
    r->conf->allow_private_given = r->conf->allow_private = true;
    assert_int_equal(make(r), RESULT_DONE);
    set(r, "url", "https://h/x");
    r->conf->allow_private_given = r->conf->allow_private = false;
    assert_int_equal(make(r), RESULT_DONE);
}

static void a_servers_name_takes_the_hosts_place(void **state)
{
    struct rig *r = *state;
    set(r, "url", "https://10.0.0.1:8443/a?{key}");
    set(r, "tls.server_name", "hooks.example");
    assert_int_equal(make(r), RESULT_DONE);
    const struct http_target *t = &r->plan.targets[0];
    assert_string_equal(t->connect_to->data, "hooks.example:8443:10.0.0.1:8443");
    assert_string_equal(t->host, "Host: 10.0.0.1:8443");
    set(r, "url", "https://h");
    assert_int_equal(make(r), RESULT_DONE);
    expect_target(r, 0, "https://hooks.example:443");
    assert_string_equal(r->plan.targets[0].connect_to->data, "hooks.example:443:h:443");
    set(r, "url", "https://[fd00::1]/x");
    assert_int_equal(make(r), RESULT_DONE);
    assert_string_equal(r->plan.targets[0].connect_to->data, "hooks.example:443:[fd00::1]:443");
}

static void both_ways_to_give_a_user(void **state)
{
    struct rig *r = *state;
    set(r, "url", "https://h/x");
    set(r, "username", "u");
    set(r, "password", "p");
    assert_int_equal(make(r), RESULT_DONE);
    assert_string_equal(r->plan.user, "u");
    set(r, "username", "");
    set(r, "password", "");
    set(r, "auth.user", "v");
    set(r, "auth.password", "q");
    assert_int_equal(make(r), RESULT_DONE);
    assert_string_equal(r->plan.user, "v");
    assert_string_equal(r->plan.password, "q");
    set(r, "auth.user", "");
    assert_int_equal(make(r), RESULT_ERROR); /* a password of nobody */
    set(r, "auth.password", "");
    set(r, "auth.bearer", "two words");
    assert_int_equal(make(r), RESULT_ERROR);
}

static void keep(void *ctx, int level, const char *text)
{
    struct rig *r = ctx;
    size_t used = strlen(r->notes);
    (void)level;
    snprintf(r->notes + used, sizeof r->notes - used, "%s\n", text);
}

static void what_is_sent_in_clear_is_told(void **state)
{
    struct rig *r = *state;
    struct sink_env env = {.note = keep, .note_ctx = r};
    set(r, "url", "https://h/x");
    set(r, "auth.bearer", "t");
    assert_int_equal(make(r), RESULT_DONE);
    http_plan_note_risks(&r->plan, &env);
    assert_string_equal(r->notes, "");
    set(r, "url", "https://h/x,http://h/x");
    assert_int_equal(make(r), RESULT_DONE);
    http_plan_note_risks(&r->plan, &env);
    assert_non_null(strstr(r->notes, "sent unencrypted"));
}

static void urls_of_a_command_line(void **state)
{
    struct rig *r = *state;
    assert_string_equal(http_conf_url_value("https://h/x"), "https://h/x");
    assert_string_equal(http_conf_url_value("http://h"), "http://h");
    assert_null(http_conf_url_value("ftp://h"));
    assert_int_equal(http_conf_url_check("https://h/a@b", &r->err), RESULT_DONE);
    assert_int_equal(http_conf_url_check("https://u:SECRET@h/x", &r->err), RESULT_ERROR);
    assert_null(strstr(r->err.text, "SECRET"));
}

static void it_opens_and_closes_without_touching_anything(void **state)
{
    struct rig *r = *state;
    struct sink_env env = {.max_in_flight = 10};
    void *sink = NULL;
    size_t max_event = 1;
    set(r, "url", "https://h.invalid/{key}");
    assert_int_equal(sink_http.open(r->conf, &env, &sink, &max_event, &r->err), RESULT_DONE);
    assert_int_equal(max_event, 0);
    sink_http.close(sink);
    sink_http.close(NULL);
    set(r, "url", "nonsense");
    assert_int_equal(sink_http.open(r->conf, &env, &sink, &max_event, &r->err), RESULT_ERROR);
    assert_int_equal(r->err.class, ERROR_CONFIG);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, up, down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(defaults_are_those_of_the_reference),
        CASE(several_urls_are_targets_in_turn),
        CASE(private_targets_need_a_word_where_rows_have_a_part),
        CASE(a_proxy_hides_the_address),
        CASE(a_servers_name_takes_the_hosts_place),
        CASE(both_ways_to_give_a_user),
        CASE(what_is_sent_in_clear_is_told),
        CASE(urls_of_a_command_line),
        CASE(it_opens_and_closes_without_touching_anything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
