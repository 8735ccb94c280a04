/* Only what has the form of W3C Trace Context is shown. */
#include "unit.h"

#include "message/trace.h"
#include <stdio.h>
#include <string.h>

#define ID "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN "00f067aa0ba902b7"
#define GOOD "00-" ID "-" SPAN "-01"

static void expect(const char *headers, const char *trace)
{
    char got[TRACE_SIZE];
    struct event e = {.headers = headers ? slice_from(headers) : SLICE_NULL};
    memset(got, 'x', sizeof got);
    trace_of(&e, got);
    if (strcmp(got, trace) != 0) {
        fail_msg("%s: got \"%s\"", headers ? headers : "(null)", got);
    }
}

static void with_value(const char *value, const char *trace)
{
    char headers[256];
    snprintf(headers, sizeof headers, "{\"a\":1,\"traceparent\":\"%s\",\"b\":{}}", value);
    expect(headers, trace);
}

static void found(void **state)
{
    (void)state;
    with_value(GOOD, GOOD);
    expect("{\"TraceParent\" : \"" GOOD "\"}", GOOD);
    with_value("cc-" ID "-" SPAN "-00", "cc-" ID "-" SPAN "-00");
    with_value("cc-" ID "-" SPAN "-00-of-a-later-version", "cc-" ID "-" SPAN "-00");
}

static void refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",
                                        "00",
                                        "ff-" ID "-" SPAN "-01",
                                        "00-00000000000000000000000000000000-" SPAN "-01",
                                        "00-" ID "-0000000000000000-01",
                                        "00-4BF92F3577B34DA6A3CE929D0E0E4736-" SPAN "-01",
                                        "00-" ID "-" SPAN "-0",
                                        "00-" ID "-" SPAN "-0g",
                                        "00_" ID "-" SPAN "-01",
                                        "00-" ID "_" SPAN "-01",
                                        "00-" ID "-" SPAN "_01",
                                        GOOD "-more",
                                        "cc-" ID "-" SPAN "-01more",
                                        "00-" ID "-" SPAN "-\\n1"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        with_value(wrong[i], "");
    }
}

static void none(void **state)
{
    (void)state;
    expect(NULL, "");
    expect("", "");
    expect("null", "");
    expect("{}", "");
    expect("[\"traceparent\"]", "");
    expect("{\"traceparent\":5}", "");
    expect("{\"traceparents\":\"" GOOD "\"}", "");
    expect("{\"traceparent\":\"" GOOD, "");
    expect("{\"a\":{\"traceparent\":\"" GOOD "\"}}", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(found),
        cmocka_unit_test(refused),
        cmocka_unit_test(none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
