/* What `status --watch` prints: on a terminal no line is wider and no screen higher than it is. */
#include "unit.h"

#include "cli/status_watch.h"
#include <stdio.h>
#include <string.h>

enum { ROWS = 3 };

static const char TIME[] = "2026-11-29T10:00:00.000000Z";

static void make(struct status_row rows[ROWS])
{
    json_t *told = json_loads(
        "{\"name\":\"orders\",\"state\":\"blocked\",\"detail\":\"the topic \\u00e4\\u00f6\\u00fc "
        "does not exist and nobody may make it \\u001b[2J\","
        "\"lag_seconds\":12.34,\"pending_events\":7,\"events_per_second\":0.5,"
        "\"dead_letters\":2}",
        0, NULL);
    assert_non_null(told);
    status_row_told(&rows[0], "orders", "", told);
    status_row_told(&rows[1], "bills", "", NULL);
    status_row_told(&rows[2], "mails", "", NULL);
    json_decref(told);
}

static void release(struct status_row rows[ROWS])
{
    for (size_t i = 0; i < ROWS; i++) {
        status_row_release(&rows[i]);
    }
}

static void test_lines(void **state UNUSED)
{
    CLEANUP(buf_release) struct buf out = {0};
    struct status_row rows[ROWS];
    make(rows);
    status_watch_lines(&out, rows, 2, TIME);
    assert_non_null(strstr(buf_str(&out), "2026-11-29T10:00:00.000000Z orders state=blocked "
                                          "lag_seconds=12.3 pending=7 events_per_second=0.5 "
                                          "dead_letters=2 the topic"));
    assert_non_null(strstr(buf_str(&out), "Z bills state=unknown\n"));
    assert_null(strchr(buf_str(&out), '\x1b'));
    release(rows);
}

/* Characters, not bytes; without what moves the cursor. */
static size_t columns(const char *line, const char *end)
{
    size_t n = 0;
    for (; line < end; line++) {
        if (*line == '\x1b') {
            line += 2; /* [H, [K, [J */
        } else {
            n += ((unsigned char)*line & 0xC0) != 0x80;
        }
    }
    return n;
}

static void test_screen(void **state UNUSED)
{
    struct status_row rows[ROWS];
    make(rows);
    for (size_t width = 1; width < 120; width++) {
        for (size_t height = 1; height < 8; height++) {
            CLEANUP(buf_release) struct buf out = {0};
            status_watch_screen(&out, rows, ROWS, TIME, width, height);
            size_t lines = 0;
            const char *end, *line = buf_str(&out);
            for (; (end = strchr(line, '\n')); line = end + 1) {
                assert_true(columns(line, end) <= width);
                lines++;
            }
            assert_true(lines <= 2 + ROWS && lines <= (height > 1 ? height - 1 : 1));
            assert_string_equal(line, "\x1b[J"); /* what was below is cleared */
            assert_null(strstr(buf_str(&out), "\x1b[2J"));
        }
    }
    CLEANUP(buf_release) struct buf out = {0};
    status_watch_screen(&out, rows, ROWS, TIME, 200, 24);
    assert_non_null(strstr(buf_str(&out), "mails"));
    buf_clear(&out);
    status_watch_screen(&out, rows, ROWS, TIME, 200, 5);
    assert_non_null(strstr(buf_str(&out), "and 2 more"));
    release(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_lines), cmocka_unit_test(test_screen)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
