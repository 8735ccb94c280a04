/* Time zones against the C library, which reads the same files, and what is no zone. */
#include "unit.h"

#include "base/civil.h"
#include "value/posix_zone.h"
#include "value/zone.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define N(array) (sizeof(array) / sizeof *(array))

static const char *const names[] = {"UTC",
                                    "Europe/Berlin",
                                    "America/New_York",
                                    "Australia/Lord_Howe",
                                    "Asia/Kolkata",
                                    "Europe/Dublin",
                                    "America/Sao_Paulo",
                                    "Pacific/Apia",
                                    "Africa/Casablanca",
                                    "Etc/GMT+5",
                                    "Antarctica/Troll",
                                    "Asia/Tehran"};

/* The C library's answer. */
static int64_t libc_offset(time_t t)
{
    struct tm tm;
    assert_non_null(localtime_r(&t, &tm));
    return tm.tm_gmtoff;
}

static void as_the_c_library(void **state)
{
    (void)state;
    for (size_t i = 0; i < N(names); i++) {
        struct zone *z;
        struct error err;
        if (zone_open(names[i], &z, &err)) {
            fail_msg("%s", err.text);
        }
        setenv("TZ", names[i], 1);
        tzset();
        /* 1950 to 2100, in steps that fall into every hour of the day. */
        for (int64_t t = civil_days(1950, 1, 1) * 86400; t < civil_days(2100, 1, 1) * 86400;
             t += 7 * 3600 + 11 * 60) {
            struct zone_stretch s = zone_stretch_at(z, t);
            if (s.offset != libc_offset(t) || s.start > t || s.end <= t) {
                fail_msg("%s at %lld: %lld, not %lld", names[i], (long long)t, (long long)s.offset,
                         (long long)libc_offset(t));
            }
            if (s.end != INT64_MAX) { /* the change is where it is said to be */
                assert_int_equal(libc_offset(s.end - 1), s.offset);
                struct zone_stretch after = zone_stretch_at(z, s.end);
                assert_true(after.start == s.end);
                assert_int_equal(after.offset, libc_offset(s.end));
                assert_int_equal(after.before, s.offset);
            }
        }
        zone_free(z);
    }
    unsetenv("TZ");
    tzset();
}

static void no_zones(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "Europe/Berlln", "/etc/passwd", "../../../etc/passwd", "Europe", "a b", "tzdata.zi"};
    for (size_t i = 0; i < N(bad); i++) {
        struct zone *z;
        struct error err;
        assert_int_equal(zone_open(bad[i], &z, &err), RESULT_ERROR);
        assert_int_equal(err.class, ERROR_CONFIG);
    }
}

/* Each truncation is refused, and no changed byte makes it read where it must not. */
static void damaged_files(void **state)
{
    (void)state;
    char bytes[65536];
    FILE *f = fopen("/usr/share/zoneinfo/Europe/Berlin", "re");
    assert_non_null(f);
    size_t n = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    for (size_t len = 0; len < n; len++) {
        char *part = malloc(len ? len : 1);
        struct zone *z;
        struct error err;
        memcpy(part, bytes, len);
        assert_int_equal(zone_from((struct slice){part, len}, "x", &z, &err), RESULT_ERROR);
        free(part);
    }
    for (size_t at = 0; at < n; at++) {
        struct zone *z;
        struct error err;
        bytes[at] ^= (char)0xff;
        if (zone_from((struct slice){bytes, n}, "x", &z, &err) == RESULT_DONE) {
            zone_stretch_at(z, 0);
            zone_stretch_at(z, INT64_C(5000000000));
            zone_free(z);
        }
        bytes[at] ^= (char)0xff;
    }
}

static void posix_rules(void **state)
{
    (void)state;
    static const char *const good[] = {"UTC0",
                                       "<+03>-3",
                                       "CET-1CEST,M3.5.0,M10.5.0/3",
                                       "EST5EDT,M3.2.0,M11.1.0",
                                       "<-03>3<-02>,M3.5.0/-2,M10.5.0/-1",
                                       "IST-2IDT,M3.4.4/26,M10.5.0",
                                       "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0"};
    static const char *const bad[] = {"",
                                      "UTC",
                                      "UT0",
                                      "UTC0x",
                                      "CET-1CEST",
                                      "CET-1CEST,M3.5.0",
                                      "<+03-3",
                                      "CET-25",
                                      "CET-1CEST,M13.1.0,M1.1.0",
                                      "CET-1CEST,J0,J5",
                                      "CET-1CEST,M3.0.0,M10.5.0"};
    struct posix_zone z;
    for (size_t i = 0; i < N(good); i++) {
        assert_true(posix_zone_read(slice_from(good[i]), &z));
    }
    for (size_t i = 0; i < N(bad); i++) {
        assert_false(posix_zone_read(slice_from(bad[i]), &z));
    }
    /* Days by number: J60 is 1 March in every year, 59 only in ordinary ones. */
    assert_true(posix_zone_read(SLICE_LITERAL("AAA0BBB,J60/0,J300/0"), &z));
    int64_t day = civil_days(2024, 3, 1) * 86400;
    assert_true(posix_zone_stretch(&z, day).start == day);
    assert_true(posix_zone_read(SLICE_LITERAL("AAA0BBB,59/0,300/0"), &z));
    day = civil_days(2024, 2, 29) * 86400;
    assert_true(posix_zone_stretch(&z, day).start == day);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_the_c_library),
        cmocka_unit_test(no_zones),
        cmocka_unit_test(damaged_files),
        cmocka_unit_test(posix_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
