/* One line is one write, whole or not at all, and a reader that has stopped never blocks the
 * writer. */
#include "capture.h"

#include "base/log.h"
#include "base/utf8.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void logfmt_line(void **state)
{
    (void)state;
    struct capture c;
    log_configure(LOG_INFO, LOG_LOGFMT);
    capture_begin(&c);
    log_write(LOG_WARN, "orders", "said \"%s\"\n\tand \\ \x7f \xff ä", "no");
    const char *line = capture_end(&c);
    assert_memory_equal(line, "ts=2", 4);
    assert_non_null(strstr(line, "Z level=warn pipeline=orders msg=\"said \\\"no\\\"\\n\\u0009and "
                                 "\\\\ \\u007f \\ufffd ä\"\n"));
}

static void json_line(void **state)
{
    (void)state;
    struct capture c;
    struct error err;
    error_errno(&err, "file", ENOSPC, "cannot write \"%s\" \xc3", "a\nb");
    log_configure(LOG_INFO, LOG_JSON);
    capture_begin(&c);
    log_error(LOG_ERROR, NULL, "saving", &err);
    const char *line = capture_end(&c);
    assert_memory_equal(line, "{\"ts\":\"2", 8);
    assert_non_null(strstr(line,
                           "Z\",\"level\":\"error\",\"msg\":\"saving: cannot write \\\"a\\\\nb\\\" "
                           "?: No space left on device\",\"class\":\"retry\","
                           "\"origin\":\"file\",\"code\":\"ENOSPC\"}\n"));
}

static void level_is_kept(void **state)
{
    (void)state;
    struct capture c;
    struct error err;
    error_set(&err, ERROR_RETRY, "test", "x");
    log_configure(LOG_WARN, LOG_LOGFMT);
    capture_begin(&c);
    log_write(LOG_INFO, NULL, "not this");
    log_error(LOG_DEBUG, NULL, "nor", &err);
    assert_string_equal(capture_end(&c), "");
}

/* Text that grows sixfold when escaped still gives one line that parses and that a pipe takes at
 * once. */
static void long_lines_stay_whole(void **state)
{
    (void)state;
    char text[2000];
    memset(text, 1, sizeof text);
    text[sizeof text - 1] = '\0';
    struct capture c;
    log_configure(LOG_INFO, LOG_JSON);
    capture_begin(&c);
    log_write(LOG_INFO, "orders", "%s", text);
    const char *line = capture_end(&c);
    assert_true(strlen(line) <= 4096);
    assert_non_null(strstr(line, "\\u0001...\"}\n"));
}

static void a_full_pipe_drops_and_counts(void **state)
{
    (void)state;
    struct capture c;
    log_configure(LOG_INFO, LOG_LOGFMT);
    uint64_t before = log_dropped();
    capture_begin(&c);
    for (int i = 0; i < 5000; i++) { /* far more than the 64 KiB of a pipe */
        log_write(LOG_INFO, NULL, "line %d", i);
    }
    capture_end(&c);
    uint64_t lost = log_dropped() - before;
    assert_true(lost > 0);
    log_write(LOG_DEBUG, NULL, "not counted");

    char gap[64];
    snprintf(gap, sizeof gap, "level=warn msg=\"%" PRIu64 " log lines are missing here", lost);
    capture_begin(&c);
    log_write(LOG_INFO, NULL, "behind the gap");
    const char *text = capture_end(&c);
    assert_non_null(strstr(text, gap));
    assert_true(strstr(text, "behind the gap") > strstr(text, gap));
    capture_begin(&c);
    log_write(LOG_INFO, NULL, "and later");
    assert_null(strstr(capture_end(&c), "missing"));
}

static void utf8_is_strict(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool valid;
    } cases[] = {
        {"", true},
        {"abc", true},
        {"\xc3\xa4", true},
        {"\xe2\x82\xac", true},
        {"\xf0\x9f\x98\x80", true},
        {"\xf4\x8f\xbf\xbf", true},
        {"\xed\x9f\xbf", true},
        {"\xee\x80\x80", true},
        {"\x80", false},
        {"\xc3", false},
        {"\xc3(", false},
        {"\xc0\x80", false},
        {"\xc1\xbf", false},
        {"\xe0\x9f\xbf", false},
        {"\xed\xa0\x80", false},
        {"\xf0\x8f\xbf\xbf", false},
        {"\xf4\x90\x80\x80", false},
        {"\xf5\x80\x80\x80", false},
        {"\xe2\x82", false},
        {"\xff", false},
        {"a\xe2\x82(", false},
        {"\xf0\x9f\x98", false},
        {"\xf0\x9f\x98(", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (utf8_valid(slice_from(cases[i].text)) != cases[i].valid) {
            fail_msg("case %zu", i);
        }
    }
    for (uint32_t c = 0; c <= 0x10FFFF; c += c == 0xD7FF ? 0x801 : 1) {
        char out[4];
        size_t n = utf8_put(out, c);
        assert_int_equal(utf8_sequence(out, out + n), n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logfmt_line),
        cmocka_unit_test(json_line),
        cmocka_unit_test(level_is_kept),
        cmocka_unit_test(long_lines_stay_whole),
        cmocka_unit_test(a_full_pipe_drops_and_counts),
        cmocka_unit_test(utf8_is_strict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
