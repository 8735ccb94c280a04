/* What the PostgreSQL client promises without a server: quoting, hidden passwords, bounded
 * connecting. Policies: test_pg_errors.c. */
#include "unit.h"

#include "db/pg.h"

#include <arpa/inet.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

static void names_cannot_break_out(void **state UNUSED)
{
    CLEANUP(buf_release) struct buf out = {0};
    struct error err;
    assert_int_equal(pg_quote_name(&out, SLICE_LITERAL("a\"; drop table x;--"), &err), RESULT_DONE);
    assert_string_equal(buf_str(&out), "\"a\"\"; drop table x;--\"");
    buf_clear(&out);
    pg_quote_literal(&out, SLICE_LITERAL("it's \\"));
    assert_string_equal(buf_str(&out), "'it''s \\'");
}

static void names_the_server_would_cut_are_refused(void **state UNUSED)
{
    CLEANUP(buf_release) struct buf out = {0};
    struct error err;
    char name[65];
    memset(name, 'n', sizeof name);
    assert_int_equal(pg_quote_name(&out, (struct slice){name, 63}, &err), RESULT_DONE);
    assert_int_equal(pg_quote_name(&out, (struct slice){name, 64}, &err), RESULT_ERROR);
    assert_int_equal(err.exit_code, EXIT_CODE_CONFIG);
    assert_non_null(strstr(err.text, "longer than 63 bytes"));
    assert_int_equal(pg_quote_name(&out, (struct slice){"a\0b", 3}, &err), RESULT_ERROR);
    assert_int_equal(pg_quote_name(&out, SLICE_LITERAL(""), &err), RESULT_ERROR);
}

static void table_names_have_one_or_two_parts(void **state UNUSED)
{
    static const struct {
        const char *name, *quoted; /* NULL: refused */
    } cases[] = {
        {"outbox", "\"public\".\"outbox\""},
        {"shop.Orders", "\"shop\".\"Orders\""},
        {"\"a.b\".\"c\"\"d\"", "\"a.b\".\"c\"\"d\""},
        {"\"a.b\"", "\"public\".\"a.b\""},
        {"a\"b", "\"public\".\"a\"\"b\""},
        {"", NULL},
        {".", NULL},
        {"a.", NULL},
        {".b", NULL},
        {"a.b.c", NULL},
        {"\"a", NULL},
        {"\"a\"b", NULL},
        {"\"\"", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CLEANUP(buf_release) struct buf out = {0};
        struct error err;
        int rc = pg_quote_table(&out, cases[i].name, &err);
        assert_int_equal(rc, cases[i].quoted ? RESULT_DONE : RESULT_ERROR);
        if (cases[i].quoted) {
            assert_string_equal(buf_str(&out), cases[i].quoted);
        } else {
            assert_int_equal(err.exit_code, EXIT_CODE_CONFIG);
        }
    }
}

static void passwords_are_found(void **state UNUSED)
{
    static const struct {
        const char *url;
        bool has;
    } cases[] = {
        {"postgresql://u@h/d", false},
        {"postgresql://u:secret@h/d", true},
        {"postgresql://u@h/d?password=secret", true},
        {"postgresql://u@h/d?pass%77ord=secret", true},
        {"host=h password='sec ret'", true},
        {"host=h user=password", false},
        {"postgresql://u:@h/d", false},
        {"host=h sslpassword=secret", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error err;
        bool has = !cases[i].has;
        assert_int_equal(pg_has_password(cases[i].url, &has, &err), RESULT_DONE);
        assert_int_equal(has, cases[i].has);
        CLEANUP(buf_release) struct buf shown = {0};
        pg_redact(cases[i].url, &shown);
        assert_null(strstr(buf_str(&shown), "sec"));
    }
}

static void shown_urls_keep_all_but_the_password(void **state UNUSED)
{
    static const char *const cases[][2] = {
        {"postgresql://u:p@h1:1,h2:2/d?target_session_attrs=read-write",
         "postgresql://u@h1:1,h2:2/d?target_session_attrs=read-write"},
        {"host=/run/pg port=5433 dbname=d user=u password=p",
         "postgresql://u@:5433/d?host=/run/pg"},
        {"postgresql://[::1]/d", "postgresql://[::1]/d"},
        {"postgres://h", "postgresql://h/"},
        {"nonsense p", "postgresql://(unreadable)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CLEANUP(buf_release) struct buf shown = {0};
        pg_redact(cases[i][0], &shown);
        assert_string_equal(buf_str(&shown), cases[i][1]);
    }
}

static void urls_of_one_server_are_known(void **state UNUSED)
{
    static const struct {
        const char *a, *b;
        bool server, database;
    } cases[] = {
        {"postgresql://u:p@h/d", "host=h user=other dbname=d port=5432", true, true},
        {"postgresql://h/d", "postgresql://h/e", true, false},
        {"postgresql://h/d", "postgresql://h:5433/d", false, false},
        {"postgresql://h/d", "postgresql://i/d", false, false},
        {"postgresql://h/d", "nonsense p", false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(pg_same_server(cases[i].a, cases[i].b, false), cases[i].server);
        assert_int_equal(pg_same_server(cases[i].a, cases[i].b, true), cases[i].database);
    }
}

/* What libpq cannot read may be a piece of the password, so no error text may hold it. */
static void unreadable_strings_are_refused_without_being_shown(void **state UNUSED)
{
    static const char *const cases[] = {
        "postgresql://u:sec@ret@h/d",
        "postgresql://u:p@h:secret/d?x",
        "password=x secret!",
        "password='secret",
        "postgresql://u@h/d?secret!=1",
        "postgresql://u:sec%ret@h/d",
        "postgresql://u:sec/ret@h:5432/d",
        "postgresql://u:12/sec@h/d",
        "host=h port=sec",
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error err;
        bool has;
        if (pg_has_password(cases[i], &has, &err) != RESULT_ERROR) {
            fail_msg("taken: %s", cases[i]);
        }
        assert_int_equal(err.class, ERROR_CONFIG);
        assert_int_equal(err.exit_code, EXIT_CODE_CONFIG);
        assert_null(strstr(err.text, "sec"));
        assert_null(strstr(err.text, "ret@"));
    }
}

static void options_of_a_later_libpq_are_named(void **state UNUSED)
{
    struct error err;
    bool has;
    if (PQlibVersion() < 160000) {
        assert_int_equal(pg_has_password("postgresql://h/d?require_auth=scram-sha-256", &has, &err),
                         RESULT_ERROR);
        assert_non_null(strstr(err.text, "require_auth needs libpq 16"));
        assert_int_equal(pg_has_password("host=h sslrootcert=system", &has, &err), RESULT_ERROR);
        assert_non_null(strstr(err.text, "sslrootcert=system needs libpq 16"));
    }
    assert_int_equal(pg_has_password("host=h conect_timeout=3", &has, &err), RESULT_ERROR);
    assert_non_null(strstr(err.text, "unknown connection option \"conect_timeout\""));
}

/* A listener that never answers: the kernel accepts, nobody speaks. */
static int silent_listener(char *url, size_t size)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof addr;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&addr, len), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
    snprintf(url, size, "postgresql://u@127.0.0.1:%d/d?sslmode=disable", ntohs(addr.sin_port));
    return fd;
}

static void connecting_ends_at_the_timeout(void **state UNUSED)
{
    char url[128];
    int fd = silent_listener(url, sizeof url);
    struct pg_options opt = {.url = url,
                             .pipeline = "p",
                             .connect_timeout_us = 50 * US_PER_MS,
                             .read_timeout_us = 3600 * US_PER_SECOND,
                             .stop_fd = -1};
    struct pg *c = NULL;
    struct error err;
    assert_int_equal(pg_connect(&opt, &c, &err), RESULT_ERROR);
    assert_int_equal(err.class, ERROR_RETRY);
    assert_string_equal(err.code, "timeout");
    close(fd);
}

static void connecting_ends_when_asked_to_stop(void **state UNUSED)
{
    char url[128];
    int fd = silent_listener(url, sizeof url), stop = eventfd(1, EFD_CLOEXEC);
    struct pg_options opt = {.url = url,
                             .pipeline = "p",
                             .connect_timeout_us = 3600 * US_PER_SECOND,
                             .read_timeout_us = 3600 * US_PER_SECOND,
                             .stop_fd = stop};
    struct pg *c = NULL;
    struct error err;
    assert_int_equal(pg_connect(&opt, &c, &err), RESULT_ERROR);
    assert_string_equal(err.code, "stopped");
    close(stop);
    close(fd);
}

static void a_refused_connection_is_tried_again(void **state UNUSED)
{
    char url[128];
    int fd = silent_listener(url, sizeof url);
    close(fd);
    struct pg_options opt = {.url = url,
                             .pipeline = "p",
                             .connect_timeout_us = US_PER_SECOND,
                             .read_timeout_us = US_PER_SECOND,
                             .stop_fd = -1};
    struct pg *c = NULL;
    struct error err;
    assert_int_equal(pg_connect(&opt, &c, &err), RESULT_ERROR);
    assert_int_equal(err.class, ERROR_RETRY);
    assert_non_null(strstr(err.text, "Connection refused"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_cannot_break_out),
        cmocka_unit_test(names_the_server_would_cut_are_refused),
        cmocka_unit_test(table_names_have_one_or_two_parts),
        cmocka_unit_test(passwords_are_found),
        cmocka_unit_test(shown_urls_keep_all_but_the_password),
        cmocka_unit_test(urls_of_one_server_are_known),
        cmocka_unit_test(unreadable_strings_are_refused_without_being_shown),
        cmocka_unit_test(options_of_a_later_libpq_are_named),
        cmocka_unit_test(connecting_ends_at_the_timeout),
        cmocka_unit_test(connecting_ends_when_asked_to_stop),
        cmocka_unit_test(a_refused_connection_is_tried_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
