/* Numbers are read in full or refused; the nearest word is the one that was meant. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "config/conf_suggest.h"
#include "config/conf_value.h"

static void check(enum conf_type type, const char *text, enum conf_parse parse, int64_t expected)
{
    int64_t value = -77;
    if (conf_parse_number(type, text, &value) != parse ||
        value != (parse == CONF_PARSE_OK ? expected : -77)) {
        fail_msg("%s: %lld", text, (long long)value);
    }
}

static void numbers_are_read_in_full(void **state)
{
    (void)state;
    check(CONF_INT, "0", CONF_PARSE_OK, 0);
    check(CONF_INT, "-5", CONF_PARSE_OK, -5);
    check(CONF_INT, "9223372036854775807", CONF_PARSE_OK, INT64_MAX);
    check(CONF_INT, "9223372036854775808", CONF_PARSE_RANGE, 0);
    check(CONF_INT, "99999999999999999999", CONF_PARSE_RANGE, 0);
    check(CONF_INT, "184467440737095516160", CONF_PARSE_RANGE, 0); /* wraps to 0 */
    check(CONF_INT, "-", CONF_PARSE_SYNTAX, 0);
    check(CONF_INT, "", CONF_PARSE_SYNTAX, 0);
    check(CONF_INT, "+1", CONF_PARSE_SYNTAX, 0);
    check(CONF_INT, " 1", CONF_PARSE_SYNTAX, 0);
    check(CONF_INT, "1 ", CONF_PARSE_SYNTAX, 0);
    check(CONF_INT, "1e3", CONF_PARSE_SYNTAX, 0);
    check(CONF_DURATION, "250ms", CONF_PARSE_OK, 250000);
    check(CONF_DURATION, "7d", CONF_PARSE_OK, INT64_C(604800000000));
    check(CONF_DURATION, "3us", CONF_PARSE_OK, 3);
    check(CONF_DURATION, "10m", CONF_PARSE_OK, 600000000);
    check(CONF_DURATION, "5", CONF_PARSE_NO_UNIT, 0);
    check(CONF_DURATION, "0", CONF_PARSE_NO_UNIT, 0);
    check(CONF_DURATION, "5M", CONF_PARSE_UNIT, 0);
    check(CONF_DURATION, "5 s", CONF_PARSE_UNIT, 0);
    check(CONF_DURATION, "1h30m", CONF_PARSE_UNIT, 0);
    check(CONF_DURATION, "1.5s", CONF_PARSE_SYNTAX, 0);
    check(CONF_DURATION, "s", CONF_PARSE_SYNTAX, 0);
    check(CONF_DURATION, "106751992d", CONF_PARSE_RANGE, 0);
    check(CONF_DURATION, "99999999999999999999s", CONF_PARSE_RANGE, 0);
    check(CONF_DURATION, "99999999999999999999", CONF_PARSE_NO_UNIT, 0);
    check(CONF_SIZE, "64MiB", CONF_PARSE_OK, 64 << 20);
    check(CONF_SIZE, "1MB", CONF_PARSE_OK, 1000000);
    check(CONF_SIZE, "8589934591GiB", CONF_PARSE_OK, INT64_C(8589934591) << 30);
    check(CONF_SIZE, "8589934592GiB", CONF_PARSE_RANGE, 0);
    check(CONF_SIZE, "1mb", CONF_PARSE_UNIT, 0);
}

static void ratios_are_plain_decimals(void **state)
{
    (void)state;
    static const char *const bad[] = {"",    ".",   "1.",  ".5",  "1.2.3", "nan",
                                      "inf", "0x1", "1e1", "1,5", "-"};
    double value = 0;
    assert_int_equal(conf_parse_ratio("0.125", &value), CONF_PARSE_OK);
    assert_true(value == 0.125);
    assert_int_equal(conf_parse_ratio("1", &value), CONF_PARSE_OK);
    assert_true(value == 1.0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (conf_parse_ratio(bad[i], &value) != CONF_PARSE_SYNTAX) {
            fail_msg("accepted: %s", bad[i]);
        }
    }
    assert_int_equal(conf_parse_ratio("1000000000000000000000", &value), CONF_PARSE_RANGE);
    const struct conf_key key = {"r", CONF_RATIO, 0, NULL, 100, 500, .help = ""};
    assert_true(conf_ratio_allowed(&key, 0.1) && conf_ratio_allowed(&key, 0.5));
    assert_false(conf_ratio_allowed(&key, 0.0999) || conf_ratio_allowed(&key, 0.5001));
}

static void ranges_read_as_users_write_them(void **state)
{
    (void)state;
    static const struct {
        struct conf_key key;
        const char *text;
    } cases[] = {
        {{"n", CONF_INT, 0, NULL, 0, 0, .help = ""}, "0 or more"},
        {{"n", CONF_INT, 0, NULL, 5, 0, .help = ""}, "5 or more"},
        {{"n", CONF_INT, 0, NULL, -1, 3, .help = ""}, "-1 to 3"},
        {{"n", CONF_DURATION, 0, NULL, 1000, INT64_C(86400000000), .help = ""}, "1ms to 1d"},
        {{"n", CONF_DURATION, 0, NULL, 0, 90000000, .help = ""}, "0s to 90s"},
        {{"n", CONF_SIZE, 0, NULL, 1, 1000000, .help = ""}, "1B to 1MB"},
        {{"n", CONF_RATIO, 0, NULL, 1, 1000, .help = ""}, "0.001 to 1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf out = {0};
        conf_add_range(&out, &cases[i].key);
        assert_string_equal(buf_str(&out), cases[i].text);
        buf_release(&out);
    }
}

static void the_nearest_word_is_suggested(void **state)
{
    (void)state;
    static const char *const words[] = {"linger_ms",    "url", "poll_interval",
                                        "poll_timeout", "id",  "type"};
    enum { N = sizeof words / sizeof *words };
    static const struct {
        const char *typed, *meant;
    } cases[] = {
        {"lingr_ms", "linger_ms"},
        {"LINGER_MS", "linger_ms"},
        {"ulr", "url"},
        {"tpye", "type"},
        {"linger-ms", "linger_ms"},
        {"poll_intervall", "poll_interval"},
        {"x", NULL},
        {"", NULL},
        {"completely_else", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *found = suggest_nearest(slice_from(cases[i].typed), words, N);
        if (!found != !cases[i].meant || (found && strcmp(found, cases[i].meant) != 0)) {
            fail_msg("%s: %s", cases[i].typed, found ? found : "nothing");
        }
    }
    static char huge[5000];
    memset(huge, 'u', sizeof huge - 1);
    assert_null(suggest_nearest(slice_from(huge), words, N));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_read_in_full),
        cmocka_unit_test(ratios_are_plain_decimals),
        cmocka_unit_test(ranges_read_as_users_write_them),
        cmocka_unit_test(the_nearest_word_is_suggested),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
