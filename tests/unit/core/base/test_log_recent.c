/* The last lines are kept, and no more; a password is not. */
#include "unit.h"

#include "base/buf.h"
#include "base/log_recent.h"
#include <stdio.h>
#include <string.h>

struct seen {
    size_t count;
    uint64_t first, last;
    char text[256], pipeline[64];
    enum log_level level;
};

static void look(void *ctx, const struct log_line *line)
{
    struct seen *s = ctx;
    s->first = s->count++ ? s->first : line->number;
    assert_true(s->count == 1 || line->number == s->last + 1);
    s->last = line->number;
    s->level = line->level;
    snprintf(s->text, sizeof s->text, "%s", line->text);
    snprintf(s->pipeline, sizeof s->pipeline, "%s", line->pipeline);
}

static void test_lines(void **state UNUSED)
{
    struct seen s = {0};
    uint64_t before = log_recent_newest();
    struct error err = {0};
    log_configure(LOG_INFO, LOG_LOGFMT);
    log_write(LOG_DEBUG, "orders", "not written");
    assert_int_equal(log_recent_newest(), before);
    log_write(LOG_WARN, "orders", "cannot reach postgresql://app:hunter2@db/shop");
    log_recent_each(before, look, &s);
    assert_int_equal(s.count, 1);
    assert_int_equal(s.level, LOG_WARN);
    assert_string_equal(s.pipeline, "orders");
    assert_null(strstr(s.text, "hunter2"));
    (void)error_set(&err, ERROR_RETRY, "kafka", "password=hunter2 is wrong");
    log_error(LOG_ERROR, NULL, "not started", &err);
    s = (struct seen){0};
    log_recent_each(before + 1, look, &s);
    assert_int_equal(s.count, 1);
    assert_string_equal(s.pipeline, "");
    assert_memory_equal(s.text, "not started: ", 13);
    assert_null(strstr(s.text, "hunter2"));
}

static void test_bounded(void **state UNUSED)
{
    struct seen s = {0};
    for (int i = 0; i < 3 * LOG_RECENT_LINES; i++) {
        log_recent_add(LOG_INFO, NULL, "a line");
    }
    uint64_t newest = log_recent_newest();
    log_recent_each(0, look, &s);
    assert_int_equal(s.count, LOG_RECENT_LINES);
    assert_int_equal(s.last, newest);
    s = (struct seen){0};
    log_recent_each(newest, look, &s);
    log_recent_each(newest + 5, look, &s); /* a page of before a restart */
    assert_int_equal(s.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_lines),
                                       cmocka_unit_test(test_bounded)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
