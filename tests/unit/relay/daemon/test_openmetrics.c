/* The text of format 0.0.4 becomes OpenMetrics, for clients that ask for it. */
#include "unit.h"

#include "daemon/openmetrics.h"
#include <string.h>

static void wanted(void **state)
{
    (void)state;
    static const struct {
        const char *accept;
        bool wanted;
    } cases[] = {
        {NULL, false},
        {"", false},
        {"*/*", false},
        {"text/plain", false},
        {"application/openmetrics-text", true},
        {"Application/OpenMetrics-Text; version=1.0.0", true},
        {"application/openmetrics-textual", false},
        {"application/openmetrics-text;q=0", false},
        {"application/openmetrics-text;q=0.3,text/plain;q=0.5", false},
        {"text/plain;q=0.5, application/openmetrics-text ; q=0.5", true},
        {"text/plain;version=0.0.4,application/openmetrics-text;q=0.9", false},
        {"text/html;q=0.9,application/openmetrics-text;q=0.2", true},
        /* Prometheus 2.42 and 3.5 */
        {"application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;"
         "q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
         true},
        {"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/"
         "openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4"
         ",text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
         true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (openmetrics_wanted(cases[i].accept) != cases[i].wanted) {
            fail_msg("%s", cases[i].accept ? cases[i].accept : "(none)");
        }
    }
}

static void expect(const char *text, const char *want)
{
    CLEANUP(buf_release) struct buf out = {0};
    openmetrics_add(&out, slice_from(text));
    assert_string_equal(buf_str(&out), want);
}

static void text(void **state)
{
    (void)state;
    expect("", "# EOF\n");
    expect(
        "# HELP x_build_info Version\n# TYPE x_build_info gauge\nx_build_info{version=\"1\"} 1\n",
        "# TYPE x_build info\n# HELP x_build Version\nx_build_info{version=\"1\"} 1\n# EOF\n");
    expect("# HELP x_events_total Events \"sent\"\n# TYPE x_events_total counter\n"
           "x_events_total{p=\"a\"} 5\nx_events_total{p=\"b\"} 6\n",
           "# TYPE x_events counter\n# HELP x_events Events \\\"sent\\\"\n"
           "x_events_total{p=\"a\"} 5\nx_events_total{p=\"b\"} 6\n# EOF\n");
    expect("# HELP x_lag_bytes Lag\n# TYPE x_lag_bytes gauge\n",
           "# TYPE x_lag_bytes gauge\n# UNIT x_lag_bytes bytes\n# HELP x_lag_bytes Lag\n# EOF\n");
    expect("# HELP x_bytes_total Bytes\n# TYPE x_bytes_total counter\nx_bytes_total 7\n",
           "# TYPE x_bytes counter\n# UNIT x_bytes bytes\n# HELP x_bytes Bytes\nx_bytes_total 7\n"
           "# EOF\n");
    expect("# HELP xbytes Bytes\n# TYPE xbytes gauge\n",
           "# TYPE xbytes gauge\n# HELP xbytes Bytes\n# EOF\n");
}

static void bounds_of_buckets(void **state)
{
    (void)state;
    expect("x_bucket{p=\"a\",le=\"0.5\"} 1\nx_bucket{p=\"a\",le=\"30\"} 2\n"
           "x_bucket{le=\"+Inf\"} 3\nx{table=\"5\"} 1\nx_bucket{le=\"1\"} 4\n",
           "x_bucket{p=\"a\",le=\"0.5\"} 1\nx_bucket{p=\"a\",le=\"30.0\"} 2\n"
           "x_bucket{le=\"+Inf\"} 3\nx{table=\"5\"} 1\nx_bucket{le=\"1.0\"} 4\n# EOF\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wanted),
        cmocka_unit_test(text),
        cmocka_unit_test(bounds_of_buckets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
