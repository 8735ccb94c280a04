/* The URLs and addresses of the sink amqp: what they mean, and what is refused. */
#include "unit.h"

#include "sink/amqp/conf.h"

#include <stdio.h>
#include <string.h>

struct fixture {
    struct amqp_conf conf;
    struct amqp_servers servers;
    struct error err;
};

static char nothing[] = "";

static int check(struct fixture *f, const char *url)
{
    static char text[1024];
    snprintf(text, sizeof text, "%s", url);
    f->conf.url = text;
    return amqp_conf_check(&f->conf, &f->servers, &f->err);
}

static struct fixture plain(void)
{
    return (struct fixture){
        .conf = {.net = {.username = nothing,
                         .password = nothing,
                         .tls = {nothing, nothing, nothing, nothing, .verify = true}}}};
}

static void urls_mean_what_they_say(void **state)
{
    static const struct {
        const char *url, *name, *user, *password, *shown;
        int port;
        bool tls;
    } cases[] = {
        {"amqp://h", "h", "", "", "h:5672", 5672, false},
        {"amqp1://h:1/", "h", "", "", "h:1", 1, false},
        {"amqps://h", "h", "", "", "h:5671", 5671, true},
        {"amqps1://u:p%40@[::1]:7", "::1", "u", "p@", "[::1]:7", 7, true},
        {"amqp://u@h", "h", "u", "", "h:5672", 5672, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture f = plain();
        if (check(&f, cases[i].url)) {
            fail_msg("%s: %s", cases[i].url, f.err.text);
        }
        const struct net_server *s = f.servers.items;
        assert_int_equal(f.servers.count, 1);
        assert_string_equal(s->name, cases[i].name);
        assert_string_equal(s->user, cases[i].user);
        assert_string_equal(s->password, cases[i].password);
        assert_string_equal(s->shown, cases[i].shown);
        assert_int_equal(s->port, cases[i].port);
        assert_int_equal(f.servers.tls, cases[i].tls);
        amqp_servers_release(&f.servers);
    }
}

static void what_is_malformed_is_refused_without_its_password(void **state)
{
    static const char *const cases[][2] = {
        {"h:5672", "URL 1 of the list does not begin with amqp://"},
        {"amqp://secret:secret@", "has no valid HOST[:PORT]"},
        {"amqp://h:65536", "has no valid HOST[:PORT]"},
        {"amqp://secret:%zz@h", "a %XX in user or password that is malformed"},
        {"amqp://h/queue", "the address to send to is sink.address"},
        {"amqp://h/%2", "a malformed %XX behind the \"/\""},
        {"amqp://:secret@h", "a password without a user"},
        {"amqp://a,", "URL 2 of the list does not begin with"},
        {"amqp://a,amqps://b", "URL 2 of the list has another scheme"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture f = plain();
        assert_int_equal(check(&f, cases[i][0]), RESULT_ERROR);
        assert_int_equal(f.err.class, ERROR_CONFIG);
        if (!strstr(f.err.text, cases[i][1]) || strstr(f.err.text, "secret")) {
            fail_msg("%s: %s", cases[i][0], f.err.text);
        }
        amqp_servers_release(&f.servers);
    }
}

static void tls_keys_need_tls(void **state)
{
    static char name[] = "n";
    struct fixture f = plain();
    (void)state;
    f.conf.net.tls.server_name = name;
    assert_int_equal(check(&f, "amqp://h"), RESULT_ERROR);
    assert_non_null(strstr(f.err.text, "sink.tls has no effect"));
    amqp_servers_release(&f.servers);
    assert_int_equal(check(&f, "amqps://h"), RESULT_DONE);
    amqp_servers_release(&f.servers);
}

static void addresses_are_the_applications_own(void **state)
{
    static const struct {
        const char *address;
        bool of_value, of_operator; /* whether it is taken */
    } cases[] = {
        {"orders", true, true},
        {"shop.orders/eu-1", true, true},
        {"b\xc3\xbc"
         "cher",
         true, true},
        {"orders::orders", false, true},
        {"$management", false, true},
        {"activemq.management", false, true},
        {"", false, false},
        {"a b", false, false},
        {"a\n", false, false},
        {"a\xff", false, false},
        {"a.*", false, false},
        {"a.#", false, false},
        {"a.>", false, false},
        {"a,b", false, false},
        {"queue://a", false, false},
    };
    struct error err;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct slice a = slice_from(cases[i].address);
        if ((amqp_address_check(a, true, &err) == RESULT_DONE) != cases[i].of_value ||
            (amqp_address_check(a, false, &err) == RESULT_DONE) != cases[i].of_operator) {
            fail_msg("\"%s\"", cases[i].address);
        }
    }
}

static void a_command_line_shows_no_password(void **state)
{
    struct error err;
    (void)state;
    assert_null(amqp_conf_url_value("amqp://h"));
    assert_string_equal(amqp_conf_url_value("amqp1://h"), "amqp1://h");
    assert_string_equal(amqp_conf_url_value("amqps1://h"), "amqps1://h");
    assert_int_equal(amqp_conf_url_check("amqp1://u:secret@h", &err), RESULT_ERROR);
    assert_null(strstr(err.text, "secret"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_mean_what_they_say),
        cmocka_unit_test(what_is_malformed_is_refused_without_its_password),
        cmocka_unit_test(tls_keys_need_tls),
        cmocka_unit_test(addresses_are_the_applications_own),
        cmocka_unit_test(a_command_line_shows_no_password),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
