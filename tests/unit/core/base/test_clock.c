/* Timestamps are read and written to the microsecond, and what is none is refused. backoff keeps
 * its bounds. */
#include "unit.h"

#include "base/backoff.h"
#include "base/clock.h"
#include <stdio.h>
#include <time.h>

static void formats(void **state)
{
    (void)state;
    static const struct {
        int64_t us;
        const char *text;
    } cases[] = {
        {0, "1970-01-01T00:00:00.000000Z"},
        {1, "1970-01-01T00:00:00.000001Z"},
        {-1, "1969-12-31T23:59:59.999999Z"},
        {INT64_C(951782400000000), "2000-02-29T00:00:00.000000Z"},
        {INT64_C(4107542400000000), "2100-03-01T00:00:00.000000Z"}, /* 2100 is no leap year */
        {INT64_C(1795255200123456), "2026-11-21T10:00:00.123456Z"},
        {INT64_C(-62167219200000000), "0000-01-01T00:00:00.000000Z"},
        {INT64_C(253402300799999999), "9999-12-31T23:59:59.999999Z"},
        {INT64_C(253402300800000000), "253402300800000000us"},
        {INT64_MIN, "-9223372036854775808us"},
        {INT64_MAX, "9223372036854775807us"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[CLOCK_RFC3339_SIZE];
        clock_format_rfc3339(cases[i].us, out);
        assert_string_equal(out, cases[i].text);
    }
}

static void parses(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t us;
    } cases[] = {
        {"1970-01-01 00:00:00", 0},
        {"1970-01-01T00:00:00Z", 0},
        {"1970-01-01 00:00:00.000001+00", 1},
        {"1969-12-31 23:59:59.999999+00", -1},
        {"2026-11-21T10:00:00.123456Z", INT64_C(1795255200123456)},
        {"2026-11-21 10:00:00.123456789Z", INT64_C(1795255200123456)}, /* cut, not rounded */
        {"2026-11-21 10:00:00.5Z", INT64_C(1795255200500000)},
        {"2026-11-21 12:00:00+02", INT64_C(1795255200000000)},
        {"2026-11-21 15:30:00+05:30", INT64_C(1795255200000000)},
        {"2026-11-21 15:30:00+0530", INT64_C(1795255200000000)},
        {"2026-11-21 06:30:00-03:30", INT64_C(1795255200000000)},
        {"1880-01-01 00:00:00+00:53:28", INT64_C(-2840140800000000) - INT64_C(3208000000)},
        {"2024-02-29 00:00:00", INT64_C(1709164800000000)},
        {"2000-02-29 00:00:00", INT64_C(951782400000000)},
        {"2026-12-31 24:00:00", INT64_C(1798761600000000)},
        {"2016-12-31 23:59:60Z", INT64_C(1483228800000000)}, /* a leap second */
        {"9999-12-31 23:59:59.999999Z", INT64_C(253402300799999999)},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t us = TIME_NONE;
        if (!clock_parse_timestamp(slice_from(cases[i].text), &us) || us != cases[i].us) {
            fail_msg("%s gave %lld", cases[i].text, (long long)us);
        }
    }
}

static void refuses(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "infinity",
        "-infinity",
        "now",
        "2026",
        "2026-11-21",
        "2026-11-21 10:00",
        "2026-11-21 10:00:00 BC",
        "0044-03-15 10:00:00+00 BC",
        "12026-11-21 10:00:00",
        "2026-13-01 00:00:00",
        "2026-00-01 00:00:00",
        "2026-01-00 00:00:00",
        "2026-01-32 00:00:00",
        "2026-02-29 00:00:00",
        "2026-04-31 00:00:00",
        "2100-02-29 00:00:00",
        "2026-01-01 24:00:01",
        "2026-01-01 24:01:00",
        "2026-01-01 25:00:00",
        "2026-01-01 10:60:00",
        "2026-01-01 10:00:61",
        "2026-01-01 10:00:00.",
        "2026-01-01 10:00:00.Z",
        "2026-01-01 10:00:00+",
        "2026-01-01 10:00:00-",
        "2026-01-01 10:00:00+5",
        "2026-01-01 10:00:00+05:",
        "2026-01-01 10:00:00+05:3",
        "2026-01-01 10:00:00+16",
        "2026-01-01 10:00:00+05:60",
        "2026-01-01 10:00:00+05:30:00:00",
        "2026-01-01 10:00:00Zz",
        "2026-01-01 10:00:00Z ",
        " 2026-01-01 10:00:00",
        "2026-01-01  10:00:00",
        "2026/01/01 10:00:00",
        "-026-01-01 10:00:00",
        "2026-01-01 1a:00:00",
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t us = 42;
        if (clock_parse_timestamp(slice_from(cases[i]), &us)) {
            fail_msg("\"%s\" was taken as %lld", cases[i], (long long)us);
        }
        assert_int_equal(us, 42);
    }
    int64_t us;
    assert_false(clock_parse_timestamp(SLICE_NULL, &us));
}

/* Against the C library, over 800 years in odd steps. */
static void agrees_with_gmtime(void **state)
{
    (void)state;
    for (int64_t s = INT64_C(-12000000000); s < INT64_C(14000000000); s += 86400 * 17 + 12345) {
        time_t t = (time_t)s;
        struct tm tm;
        gmtime_r(&t, &tm);
        char want[CLOCK_RFC3339_SIZE], got[CLOCK_RFC3339_SIZE];
        strftime(want, sizeof want, "%Y-%m-%dT%H:%M:%S.000007Z", &tm);
        clock_format_rfc3339(s * US_PER_SECOND + 7, got);
        assert_string_equal(got, want);
        int64_t back;
        assert_true(clock_parse_timestamp(slice_from(got), &back));
        assert_true(back == s * US_PER_SECOND + 7);
    }
}

static void clocks_run(void **state)
{
    (void)state;
    int64_t a = clock_mono_us();
    assert_true(clock_mono_us() >= a);
    assert_true(clock_wall_us() > INT64_C(1700000000000000));
}

static void backoff_stays_in_its_bounds(void **state)
{
    (void)state;
    struct backoff b;
    backoff_init(&b, 100 * US_PER_MS, 30 * US_PER_SECOND);
    int64_t cap = 100 * US_PER_MS, longest = 0;
    for (int i = 0; i < 200; i++) {
        int64_t wait = backoff_next(&b);
        assert_true(wait >= US_PER_MS && wait <= cap);
        longest = wait > longest ? wait : longest;
        cap = cap * 2 < 30 * US_PER_SECOND ? cap * 2 : 30 * US_PER_SECOND;
    }
    /* 200 waits of which all under a second would be a chance of 10^-280: it does grow. */
    assert_true(longest > US_PER_SECOND);
    backoff_reset(&b);
    assert_true(backoff_next(&b) <= 100 * US_PER_MS);
}

static void backoff_jitters(void **state)
{
    (void)state;
    struct backoff b;
    backoff_init(&b, US_PER_SECOND, US_PER_SECOND);
    int64_t first = backoff_next(&b), different = 0, low = 0;
    for (int i = 0; i < 100; i++) {
        int64_t wait = backoff_next(&b);
        different += wait != first;
        low += wait < US_PER_SECOND / 2;
    }
    assert_true(different > 90);
    assert_true(low > 10 && low < 90); /* full jitter: both halves are used */
}

static void backoff_takes_odd_limits(void **state)
{
    (void)state;
    struct backoff b;
    backoff_init(&b, INT64_MAX / 2 + 1, INT64_MAX);
    for (int i = 0; i < 100; i++) {
        assert_true(backoff_next(&b) > 0);
    }
    backoff_init(&b, 0, 0);
    assert_int_equal(backoff_next(&b), US_PER_MS);
    backoff_init(&b, 10, 10);
    assert_int_equal(backoff_next(&b), 10);
    backoff_init(&b, 10 * US_PER_SECOND, US_PER_SECOND); /* max wins */
    assert_true(backoff_next(&b) <= US_PER_SECOND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats),         cmocka_unit_test(parses),
        cmocka_unit_test(refuses),         cmocka_unit_test(agrees_with_gmtime),
        cmocka_unit_test(clocks_run),      cmocka_unit_test(backoff_stays_in_its_bounds),
        cmocka_unit_test(backoff_jitters), cmocka_unit_test(backoff_takes_odd_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
