/* Cron expressions: what they mean, when they come next, and what the clock changes do to them. */
#include "unit.h"

#include "base/clock.h"
#include "value/cron.h"
#include <stdio.h>
#include <string.h>

#define N(array) (sizeof(array) / sizeof *(array))

static int64_t seconds(const char *text)
{
    int64_t us;
    assert_true(clock_parse_timestamp(slice_from(text), &us));
    return us / US_PER_SECOND;
}

static void assert_next(const char *expression, const char *zone, const char *after,
                        const char *expected)
{
    struct cron c;
    struct zone *z = NULL;
    struct error err;
    char got[CLOCK_RFC3339_SIZE], want[CLOCK_RFC3339_SIZE];
    if (cron_read(expression, &c, &err) || zone_open(zone, &z, &err)) {
        fail_msg("%s", err.text);
    }
    clock_format_rfc3339(cron_next(&c, z, seconds(after)) * US_PER_SECOND, got);
    clock_format_rfc3339(seconds(expected) * US_PER_SECOND, want);
    if (strcmp(got, want) != 0) {
        fail_msg("%s in %s after %s: %s, not %s", expression, zone, after, got, want);
    }
    zone_free(z);
}

static void next_times(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"0 2 * * *", "2026-11-29 01:59:59", "2026-11-29 02:00:00"},
        {"0 2 * * *", "2026-11-29 02:00:00", "2026-11-30 02:00:00"},
        {"0 2 * * *", "2026-12-31 02:00:01", "2027-01-01 02:00:00"},
        {"*/15 * * * *", "2026-11-29 10:07:00", "2026-11-29 10:15:00"},
        {"*/15 * * * *", "2026-11-29 23:45:00", "2026-11-30 00:00:00"},
        {"5,50 8-10/2 * * *", "2026-11-29 08:50:00", "2026-11-29 10:05:00"},
        {"30 4 1 * *", "2026-11-29 00:00:00", "2026-12-01 04:30:00"},
        {"0 0 29 2 *", "2026-11-29 00:00:00", "2028-02-29 00:00:00"},
        {"0 0 29 feb *", "2096-03-01 00:00:00", "2104-02-29 00:00:00"},
        {"0 0 * * 1", "2026-11-29 00:00:00", "2026-11-30 00:00:00"},
        {"0 0 * * 0", "2026-11-29 00:00:00", "2026-12-06 00:00:00"},
        {"0 0 * * 7", "2026-11-29 00:00:00", "2026-12-06 00:00:00"},
        {"0 0 * * Mon-Fri", "2026-11-27 00:00:00", "2026-11-30 00:00:00"},
        {"0 0 * * sat,sun", "2026-11-27 00:00:00", "2026-11-28 00:00:00"},
        /* Both day fields: either is enough. */
        {"0 0 13 * 5", "2026-11-28 00:00:00", "2026-12-04 00:00:00"},
        {"0 0 13 * 5", "2026-12-11 00:00:00", "2026-12-13 00:00:00"},
        {"0 12 * DEC *", "2026-11-29 00:00:00", "2026-12-01 12:00:00"},
        {"  0\t2 *  * *  ", "2026-11-29 02:00:00", "2026-11-30 02:00:00"},
        {"59 23 31 12 *", "1969-12-31 00:00:00", "1969-12-31 23:59:00"},
    };
    for (size_t i = 0; i < N(cases); i++) {
        assert_next(cases[i][0], "UTC", cases[i][1], cases[i][2]);
    }
}

/* In Berlin clocks go from 02:00 to 03:00 on 2026-03-29 (01:00 UTC) and from 03:00 back to 02:00 on
 * 2026-10-25 (01:00 UTC). */
static void clock_changes(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"30 2 * * *", "2026-03-28 01:30:00", "2026-03-29 01:00:00"}, /* left out: at the change */
        {"30 2 * * *", "2026-03-29 01:00:00", "2026-03-30 00:30:00"}, /* and once */
        {"0,30 2 * * *", "2026-03-29 00:59:59", "2026-03-29 01:00:00"},
        {"0,30 2 * * *", "2026-03-29 01:00:00", "2026-03-30 00:00:00"},
        {"0 3 * * *", "2026-03-28 12:00:00", "2026-03-29 01:00:00"},
        {"0 2,3 * * *", "2026-03-29 01:00:00", "2026-03-30 00:00:00"}, /* both at one moment */
        {"30 2 * * *", "2026-10-24 12:00:00", "2026-10-25 00:30:00"},  /* twice: the first */
        {"30 2 * * *", "2026-10-25 00:30:00", "2026-10-26 01:30:00"},
        {"30 2 * * *", "2026-10-25 01:10:00", "2026-10-26 01:30:00"}, /* started in between */
        {"0 3 * * *", "2026-10-25 00:30:00", "2026-10-25 02:00:00"},
        {"0 2 * * *", "2026-10-24 12:00:00", "2026-10-25 00:00:00"},
        {"0 2 * * *", "2026-10-25 00:00:00", "2026-10-26 01:00:00"},
        /* `*` for the hour means the passing hours. */
        {"30 * * * *", "2026-03-29 00:30:00", "2026-03-29 01:30:00"},
        {"30 * * * *", "2026-10-25 00:30:00", "2026-10-25 01:30:00"},
        {"*/20 * * * *", "2026-10-25 00:40:00", "2026-10-25 01:00:00"},
        {"0 2 * * *", "2026-06-01 12:00:00", "2026-06-02 00:00:00"},
        {"0 2 * * *", "2026-01-01 12:00:00", "2026-01-02 01:00:00"},
        {"0 2 * * *", "2060-06-01 12:00:00", "2060-06-02 00:00:00"}, /* by the rule */
    };
    for (size_t i = 0; i < N(cases); i++) {
        assert_next(cases[i][0], "Europe/Berlin", cases[i][1], cases[i][2]);
    }
    /* Half an hour, and a whole day that never was. */
    assert_next("15 2 * * *", "Australia/Lord_Howe", "2026-10-03 12:00:00", "2026-10-03 15:30:00");
    assert_next("0 12 30 12 *", "Pacific/Apia", "2011-12-29 12:00:00", "2011-12-30 10:00:00");
}

/* Over ten years: every day exactly once, in every zone. */
static void once_a_day(void **state)
{
    (void)state;
    static const char *const zones[] = {"Europe/Berlin", "America/New_York", "Australia/Lord_Howe",
                                        "Africa/Casablanca", "UTC"};
    for (size_t i = 0; i < N(zones); i++) {
        for (int minute = 0; minute < 5 * 60; minute += 30) {
            struct cron c;
            struct zone *z;
            struct error err;
            char text[32];
            snprintf(text, sizeof text, "%d %d * * *", minute % 60, minute / 60);
            assert_int_equal(cron_read(text, &c, &err), RESULT_DONE);
            assert_int_equal(zone_open(zones[i], &z, &err), RESULT_DONE);
            int64_t at = seconds("2020-01-01 12:00:00"), n = 0;
            for (int64_t end = seconds("2030-01-01 12:00:00"); at < end; n++) {
                at = cron_next(&c, z, at);
            }
            assert_in_range(n, 3653, 3654);
            zone_free(z);
        }
    }
}

static void no_schedules(void **state)
{
    (void)state;
    static const struct {
        const char *text, *fragment;
    } bad[] = {{"", "its minute must be"},
               {"0 2 * *", "its day of week must be"},
               {"0 2 * * * *", "more than five"},
               {"60 2 * * *", "its minute must be * or 0 to 59"},
               {"0 24 * * *", "its hour"},
               {"0 0 0 * *", "its day of month"},
               {"0 0 32 * *", "its day of month"},
               {"0 0 * 13 *", "its month"},
               {"0 0 * * 8", "its day of week"},
               {"0 0 * * mo", "its day of week"},
               {"5-1 * * * *", "its minute"},
               {"5/2 * * * *", "its minute"},
               {"*/0 * * * *", "its minute"},
               {"1,,2 * * * *", "its minute"},
               {"-1 * * * *", "its minute"},
               {"@daily", "its minute"},
               {"0 0 30 2 *", "a day that never comes"},
               {"0 0 31 apr,jun *", "a day that never comes"}};
    for (size_t i = 0; i < N(bad); i++) {
        struct cron c;
        struct error err;
        assert_int_equal(cron_read(bad[i].text, &c, &err), RESULT_ERROR);
        assert_int_equal(err.class, ERROR_CONFIG);
        if (!strstr(err.text, bad[i].fragment)) {
            fail_msg("%s: %s", bad[i].text, err.text);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(next_times),
        cmocka_unit_test(clock_changes),
        cmocka_unit_test(once_a_day),
        cmocka_unit_test(no_schedules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
