/* What a PostgreSQL connection waits for while an answer comes piece by piece. */
#include "unit.h"

#include "db/pg.h"
#include "fake_libpq.h"

enum { LARGE = 8192, SMALL = 100 };

static struct pg *connect_to(const struct fake_answer *script, size_t n)
{
    const struct pg_options opt = {.url = "host=script",
                                   .pipeline = "p",
                                   .connect_timeout_us = 60 * US_PER_SECOND,
                                   .read_timeout_us = 60 * US_PER_SECOND,
                                   .stop_fd = -1};
    struct pg *c = NULL;
    struct error err;
    fake_libpq_script(script, n);
    if (pg_connect(&opt, &c, &err) != RESULT_DONE) {
        fail_msg("connect: %s", err.text);
    }
    return c;
}

/* False: it waits for a moment only, which ends long before read_timeout. */
static bool waits_for_its_socket(struct pg *c)
{
    struct poll_set set;
    poll_set_clear(&set);
    pg_poll_fds(c, &set);
    if (set.count == 0) {
        assert_true(set.deadline_us < clock_mono_us() + US_PER_SECOND);
    }
    return set.count > 0;
}

static int take(struct pg *c, struct pg_result **ret)
{
    struct error err;
    int rc = pg_take(c, ret, &err);
    if (rc < 0) {
        fail_msg("take: %s", err.text);
    }
    return rc;
}

/* The piece has come, and the answer is not whole. */
static void piece(struct pg *c, size_t bytes)
{
    struct pg_result *r = NULL;
    fake_libpq_piece(bytes);
    assert_int_equal(take(c, &r), RESULT_AGAIN);
}

/* Nobody is woken for each piece of a stream of large ones; what trickles in wakes. */
static void a_stream_of_pieces_is_looked_at_now_and_then(void **state)
{
    (void)state;
    static const char *const value[] = {"1"};
    const struct fake_answer script[] = {
        {.when = "select pieces", .columns = 1, .rows = 1, .values = value, .pieces = 4}};
    struct pg *c = connect_to(script, 1);
    struct pg_result *r = NULL;
    struct error err;
    assert_true(waits_for_its_socket(c));
    assert_int_equal(pg_send(c, "select pieces", 0, NULL, false, &err), RESULT_DONE);
    assert_true(waits_for_its_socket(c));
    piece(c, LARGE);
    assert_false(waits_for_its_socket(c));
    piece(c, SMALL);
    assert_true(waits_for_its_socket(c));
    piece(c, LARGE);
    assert_false(waits_for_its_socket(c));
    fake_libpq_piece(LARGE);
    assert_int_equal(take(c, &r), RESULT_DONE);
    assert_int_equal(pg_int(r, 0, 0, 0), 1);
    pg_result_free(r);
    assert_int_equal(take(c, &r), RESULT_DONE);
    assert_null(r);
    assert_true(waits_for_its_socket(c)); /* idle: for a NOTIFY, or its end */
    pg_close(c);
}

/* What the last answer was like says nothing about the next one. */
static void the_next_statement_begins_with_its_socket(void **state)
{
    (void)state;
    const struct fake_answer script[] = {{.when = "select pieces", .pieces = 2}};
    struct pg *c = connect_to(script, 1);
    struct pg_result *r = NULL;
    struct error err;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pg_send(c, "select pieces", 0, NULL, false, &err), RESULT_DONE);
        assert_true(waits_for_its_socket(c));
        piece(c, LARGE);
        assert_false(waits_for_its_socket(c));
        fake_libpq_piece(LARGE);
        do {
            assert_int_equal(take(c, &r), RESULT_DONE);
            pg_result_free(r);
        } while (r);
    }
    pg_close(c);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_of_pieces_is_looked_at_now_and_then),
        cmocka_unit_test(the_next_statement_begins_with_its_socket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
