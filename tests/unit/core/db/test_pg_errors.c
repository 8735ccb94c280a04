/* What an error of a PostgreSQL server becomes: its class, its exit code, and one line of text. */
#include "unit.h"

#include "db/pg.h"
#include "fake_libpq.h"

#include <string.h>

static const struct pg_options options = {
    .url = "host=script", .connect_timeout_us = 1000000, .read_timeout_us = 1000000, .stop_fd = -1};

static struct pg *connected(void)
{
    struct error err;
    struct pg *pg = NULL;
    fake_libpq_script(NULL, 0);
    if (pg_connect(&options, &pg, &err)) {
        fail_msg("connect: %s", err.text);
    }
    return pg;
}

static void the_sqlstate_decides_the_policy(void **state UNUSED)
{
    static const struct {
        const char *code;
        enum error_class class;
        int exit_code;
    } cases[] = {
        {"28P01", ERROR_CONFIG, 77},
        {"28000", ERROR_CONFIG, 77},
        {"3D000", ERROR_CONFIG, 77},
        {"42501", ERROR_CONFIG, 77},
        {"42P01", ERROR_CONFIG, 78},
        {"42703", ERROR_CONFIG, 78},
        {"42704", ERROR_CONFIG, 78},
        {"3F000", ERROR_CONFIG, 78},
        {"57014", ERROR_RETRY, 75},
        {"57P03", ERROR_RETRY, 75},
        {"53300", ERROR_RETRY, 75},
        {"40001", ERROR_RETRY, 75},
        {"40P01", ERROR_RETRY, 75},
        {"55P03", ERROR_RETRY, 75},
        {"25006", ERROR_RETRY, 75},
        {"08006", ERROR_RETRY, 75},
        {"XX000", ERROR_RETRY, 75},
        {"", ERROR_RETRY, 75},
        {"42883", ERROR_CONFIG, 78},
        {"23503", ERROR_CONFIG, 78},
        {"P0001", ERROR_CONFIG, 78},
        {"42601", ERROR_FATAL, 70},
        {"23505", ERROR_CONFIG, 78},
        {"XX002", ERROR_RETRY, 75},
        /* Every class of appendix A, and one that a user made up. */
        {"01000", ERROR_CONFIG, 78},
        {"02000", ERROR_CONFIG, 78},
        {"03000", ERROR_FATAL, 70},
        {"08000", ERROR_RETRY, 75},
        {"09000", ERROR_CONFIG, 78},
        {"0A000", ERROR_CONFIG, 78},
        {"0B000", ERROR_FATAL, 70},
        {"0F000", ERROR_CONFIG, 78},
        {"0L000", ERROR_CONFIG, 77},
        {"0P000", ERROR_CONFIG, 77},
        {"0Z000", ERROR_CONFIG, 78},
        {"20000", ERROR_CONFIG, 78},
        {"21000", ERROR_CONFIG, 78},
        {"22003", ERROR_CONFIG, 78},
        {"22021", ERROR_CONFIG, 78},
        {"24000", ERROR_FATAL, 70},
        {"25P02", ERROR_FATAL, 70},
        {"25P03", ERROR_RETRY, 75},
        {"25P04", ERROR_RETRY, 75},
        {"26000", ERROR_RETRY, 75},
        {"27000", ERROR_CONFIG, 78},
        {"2B000", ERROR_CONFIG, 77},
        {"2D000", ERROR_CONFIG, 78},
        {"2F000", ERROR_CONFIG, 78},
        {"34000", ERROR_FATAL, 70},
        {"38000", ERROR_CONFIG, 78},
        {"39000", ERROR_CONFIG, 78},
        {"3B000", ERROR_FATAL, 70},
        {"44000", ERROR_CONFIG, 78},
        {"54000", ERROR_CONFIG, 78},
        {"55000", ERROR_CONFIG, 78},
        {"55006", ERROR_RETRY, 75},
        {"58030", ERROR_RETRY, 75},
        {"72000", ERROR_RETRY, 75},
        {"F0000", ERROR_RETRY, 75},
        {"HV00N", ERROR_RETRY, 75},
        {"XX001", ERROR_RETRY, 75},
        {"ZX001", ERROR_CONFIG, 78},
        {"45000", ERROR_CONFIG, 78},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct fake_answer script[] = {
            {.when = "select", .sqlstate = cases[i].code, .lost = !cases[i].code[0]}};
        struct error err;
        struct pg *pg = connected();
        fake_libpq_script(script, 1);
        assert_int_equal(pg_query(pg, "select 1", 0, NULL, NULL, &err), RESULT_ERROR);
        if (err.class != cases[i].class || err.exit_code != cases[i].exit_code) {
            fail_msg("%s: class %s, exit code %d", cases[i].code, error_class_name(err.class),
                     err.exit_code);
        }
        pg_close(pg);
    }
}

/* After an error the connection can be asked again; after its end it cannot, and says so. */
static void only_a_lost_connection_is_of_no_use(void **state UNUSED)
{
    static const struct fake_answer script[] = {{.when = "one", .sqlstate = "22012"},
                                                {.when = "three", .lost = true}};
    struct error err;
    struct pg *pg = connected();
    fake_libpq_script(script, 2);
    assert_int_equal(pg_query(pg, "one", 0, NULL, NULL, &err), RESULT_ERROR);
    assert_true(pg_alive(pg));
    assert_int_equal(pg_query(pg, "two", 0, NULL, NULL, &err), RESULT_DONE);
    assert_int_equal(pg_query(pg, "three", 0, NULL, NULL, &err), RESULT_ERROR);
    assert_false(pg_alive(pg));
    assert_int_equal(pg_query(pg, "four", 0, NULL, NULL, &err), RESULT_ERROR);
    assert_int_equal(err.class, ERROR_RETRY);
    assert_string_equal(err.code, "08003");
    assert_int_equal(fake_libpq_sent("four"), 0);
    pg_close(pg);
}

/* Row by row: the rows that had come were handed out, and then the end is an error, not an end. */
static void an_answer_that_breaks_off_is_an_error(void **state UNUSED)
{
    static const char *const rows[] = {"a", "b"};
    static const struct fake_answer script[] = {
        {.when = "rows", .columns = 1, .rows = 2, .values = rows, .lost = true}};
    struct error err;
    struct pg *pg = connected();
    fake_libpq_script(script, 1);
    assert_int_equal(pg_send(pg, "rows", 0, NULL, true, &err), RESULT_DONE);
    for (size_t i = 0; i < 2; i++) {
        struct pg_result *r = NULL;
        assert_int_equal(pg_take(pg, &r, &err), RESULT_DONE);
        assert_true(slice_equal_str(pg_value(r, 0, 0), rows[i]));
        pg_result_free(r);
    }
    struct pg_result *end = NULL;
    assert_int_equal(pg_take(pg, &end, &err), RESULT_ERROR);
    assert_int_equal(err.class, ERROR_RETRY);
    assert_null(end);
    assert_false(pg_busy(pg));
    pg_close(pg);
}

/* The state is the last server's; what is only of use to libpq's authors is left out. */
static void verbose_messages_are_read_and_put_on_one_line(void **state UNUSED)
{
    struct error err;
    struct pg *pg = NULL;
    fake_libpq_refuse(
        "connection to server at \"h1\" (10.0.0.1), port 5432 failed: FATAL:  57P03: starting up\n"
        "connection to server at \"h2\" (10.0.0.2), port 5432 failed: FATAL:  28P01: no\n"
        "LOCATION:  auth_failed, auth.c:335\n");
    assert_int_equal(pg_connect(&options, &pg, &err), RESULT_ERROR);
    assert_string_equal(err.code, "28P01");
    assert_null(strchr(err.text, '\n'));
    assert_null(strstr(err.text, "LOCATION"));
    assert_non_null(strstr(err.text, "starting up; connection to"));
    fake_libpq_refuse("could not connect: Connection refused\n");
    assert_int_equal(pg_connect(&options, &pg, &err), RESULT_ERROR);
    assert_string_equal(err.code, "08001");
    static char endless[5000];
    memset(endless, 'x', sizeof endless - 1);
    fake_libpq_refuse(endless);
    assert_int_equal(pg_connect(&options, &pg, &err), RESULT_ERROR);
    assert_non_null(strstr(err.text, "cannot connect to PostgreSQL: xxxx"));
    fake_libpq_refuse(NULL);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sqlstate_decides_the_policy),
        cmocka_unit_test(only_a_lost_connection_is_of_no_use),
        cmocka_unit_test(an_answer_that_breaks_off_is_an_error),
        cmocka_unit_test(verbose_messages_are_read_and_put_on_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
