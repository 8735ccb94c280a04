/* The URLs of the RabbitMQ sink: what they mean, and what is refused without showing a password. */
#include "unit.h"

#include "plugin_conf.h"
#include "sink/rabbitmq/conf.h"
#include <stdlib.h>
#include <string.h>

struct fixture {
    struct rabbit_conf *conf;
    void *memory;
    struct rabbit_hosts hosts;
    struct error err;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->conf = plugin_conf_new(rabbit_conf_keys, sizeof *f->conf, &f->memory);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    plugin_conf_free(f->conf, f->memory);
    free(f);
    return 0;
}

static void set(struct fixture *f, const char *key, const char *value)
{
    plugin_conf_text(rabbit_conf_keys, f->conf, key, value);
}

static int check(struct fixture *f, const char *url)
{
    set(f, "url", url);
    return rabbit_conf_check(f->conf, &f->hosts, &f->err);
}

static void means(struct fixture *f, const char *url, const struct rabbit_host *want)
{
    if (check(f, url)) {
        fail_msg("%s: %s", url, f->err.text);
    }
    const struct rabbit_host *got = &f->hosts.items[f->hosts.count - 1];
    assert_string_equal(got->name, want->name);
    assert_int_equal(got->port, want->port);
    assert_string_equal(got->user, want->user);
    assert_string_equal(got->password, want->password);
    assert_string_equal(got->vhost, want->vhost);
    assert_string_equal(got->shown, want->shown);
    rabbit_hosts_release(&f->hosts);
}

static void urls_mean_what_they_say(void **state)
{
    static const struct {
        const char *url;
        struct rabbit_host host;
    } cases[] = {
        {"amqp://h", {"h", 5672, "guest", "guest", "/", "h:5672"}},
        {"amqps://h", {"h", 5671, "guest", "guest", "/", "h:5671"}},
        {"amqp://h:1/v", {"h", 1, "guest", "guest", "v", "h:1"}},
        {"amqp://h/%2f", {"h", 5672, "guest", "guest", "/", "h:5672"}},
        {"amqp://h/a%2Fb", {"h", 5672, "guest", "guest", "a/b", "h:5672"}},
        {"amqp://u@h", {"h", 5672, "u", "", "/", "h:5672"}},
        {"amqp://u:p%40%2c%3A@h:2", {"h", 2, "u", "p@,:", "/", "h:2"}},
        {"amqp://u:p@ss@h", {"h", 5672, "u", "p@ss", "/", "h:5672"}},
        {"amqp://[::1]:3/v", {"::1", 3, "guest", "guest", "v", "[::1]:3"}},
        {"amqp://[::1]", {"::1", 5672, "guest", "guest", "/", "[::1]:5672"}},
        {"amqp://a,amqp://b:4", {"b", 4, "guest", "guest", "/", "b:4"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        means(*state, cases[i].url, &cases[i].host);
    }
}

static void user_and_password_stand_beside_it(void **state)
{
    struct fixture *f = *state;
    set(f, "username", "relay");
    set(f, "password", "secret");
    means(f, "amqp://a,amqp://b",
          &(struct rabbit_host){"b", 5672, "relay", "secret", "/", "b:5672"});
    assert_int_equal(check(f, "amqp://a"), RESULT_DONE);
    assert_int_equal(f->hosts.count, 1);
    assert_false(f->hosts.tls);
    rabbit_hosts_release(&f->hosts);
    assert_int_equal(check(f, "amqps://a,amqps://b,amqps://c"), RESULT_DONE);
    assert_int_equal(f->hosts.count, 3);
    assert_true(f->hosts.tls);
    rabbit_hosts_release(&f->hosts);
}

static void what_is_malformed_is_refused(void **state)
{
    static const char *const cases[][2] = {
        {"h:5672", "URL 1 of the list does not begin with amqp://"},
        {"amqp://secret:secret@", "has no valid HOST[:PORT]"},
        {"amqp://", "has no valid HOST[:PORT]"},
        {"amqp://h:", "has no valid HOST[:PORT]"},
        {"amqp://h:0", "has no valid HOST[:PORT]"},
        {"amqp://h:65536", "has no valid HOST[:PORT]"},
        {"amqp://h:5x", "has no valid HOST[:PORT]"},
        {"amqp://[::1", "has no valid HOST[:PORT]"},
        {"amqp://[::1]5", "has no valid HOST[:PORT]"},
        {"amqp://a b", "has no valid HOST[:PORT]"},
        {"amqp://h?heartbeat=5", "has no valid HOST[:PORT]"},
        {"amqp://secret:%zz@h", "a %XX in user or password that is malformed"},
        {"amqp://secret:%00@h", "a %XX in user or password that is malformed"},
        {"amqp://secret:a%2@h", "a %XX in user or password that is malformed"},
        {"amqp://h/", "the vhost with the empty name"},
        {"amqp://h/a/b", "write %2f for \"/\""},
        {"amqp://h/%", "a malformed %XX"},
        {"amqp://:secret@h", "a password without a user"},
        {"amqp://a,", "URL 2 of the list does not begin with"},
        {"amqp://a,amqps://b", "URL 2 of the list has another scheme"},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(check(f, cases[i][0]), RESULT_ERROR);
        assert_int_equal(f->err.class, ERROR_CONFIG);
        if (!strstr(f->err.text, cases[i][1]) || strstr(f->err.text, "secret")) {
            fail_msg("%s: %s", cases[i][0], f->err.text);
        }
        rabbit_hosts_release(&f->hosts);
    }
}

static void seventeen_servers_are_too_many(void **state)
{
    char url[17 * 9 + 1] = "";
    for (int i = 0; i < 17; i++) {
        strcat(url, i ? ",amqp://a" : "amqp://a");
    }
    assert_int_equal(check(*state, url), RESULT_ERROR);
    struct fixture *f = *state;
    assert_non_null(strstr(f->err.text, "URL 17 of the list is one too many"));
    rabbit_hosts_release(&f->hosts);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(urls_mean_what_they_say),
        CASE(user_and_password_stand_beside_it),
        CASE(what_is_malformed_is_refused),
        CASE(seventeen_servers_are_too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
