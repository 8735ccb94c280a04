/* Paths of the console, and the bodies of acts. */
#include "unit.h"

#include "daemon/console/acts.h"

static void path(const char *method, const char *text, enum route_what what, const char *pipeline,
                 int64_t letter)
{
    struct console_route r = console_route_of(method, text);
    if (r.what != what || r.letter != letter || strcmp(r.pipeline, pipeline) != 0) {
        fail_msg("%s %s: %d \"%s\" %lld", method, text, (int)r.what, r.pipeline,
                 (long long)r.letter);
    }
}

static void test_paths(void **state UNUSED)
{
    path("GET", "/", ROUTE_PAGE, "", 0);
    path("HEAD", "/", ROUTE_PAGE, "", 0);
    path("GET", "/events", ROUTE_EVENTS, "", 0);
    path("GET", "/api/v1/pipelines", ROUTE_PIPELINES, "", 0);
    path("GET", "/api/v1/log", ROUTE_LOG, "", 0);
    path("GET", "/api/v1/pipelines/orders/graph", ROUTE_GRAPH, "orders", 0);
    path("GET", "/api/v1/pipelines/orders/dead-letters", ROUTE_LETTERS, "orders", 0);
    path("GET", "/api/v1/pipelines/orders/dead-letters/7", ROUTE_LETTER, "orders", 7);
    path("POST", "/api/v1/pipelines/orders/dead-letters/7", ROUTE_EDIT, "orders", 7);
    path("POST", "/api/v1/pipelines/orders/pause", ROUTE_PAUSE, "orders", 0);
    path("POST", "/api/v1/pipelines/orders/position", ROUTE_POSITION, "orders", 0);
}

static void test_no_paths(void **state UNUSED)
{
    static const char *const none[] = {
        "",
        "x",
        "/x",
        "/api/v1",
        "/api/v1/",
        "/api/v1x/pipelines",
        "/api/v1/pipelines/orders",
        "/api/v1/pipelines//graph",
        "/api/v1/pipelines/orders/graph/1",
        "/api/v1/pipelines/orders/dead-letters/",
        "/api/v1/pipelines/orders/dead-letters/0",
        "/api/v1/pipelines/orders/dead-letters/-1",
        "/api/v1/pipelines/orders/dead-letters/9223372036854775808",
        "/api/v1/pipelines/orders/dead-letters/1/2",
        "/api/v1/pipelines/a-name-that-is-longer-than-any-pipeline-may-have/graph",
        "/api/v1/pipelines/orders/../graph",
    };
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        struct console_route r = console_route_of("GET", none[i]);
        if (r.what != ROUTE_NONE || r.wrong_method) {
            fail_msg("%s is %d", none[i], (int)r.what);
        }
    }
}

static void test_methods(void **state UNUSED)
{
    assert_true(console_route_of("GET", "/api/v1/pipelines/p/pause").wrong_method);
    assert_true(console_route_of("POST", "/api/v1/pipelines").wrong_method);
    assert_true(console_route_of("POST", "/").wrong_method);
    assert_true(console_route_of("DELETE", "/api/v1/pipelines/p/dead-letters/1").wrong_method);
    struct console_route r = console_route_of("GET", "/api/v1/pipelines/p/drop");
    assert_false(console_route_acts(&r)); /* a link, or an image, never acts */
    for (enum route_what w = ROUTE_NONE; w <= ROUTE_EDIT; w++) {
        r.what = w;
        assert_int_equal(console_route_acts(&r), w == ROUTE_PAUSE || w == ROUTE_RESUME ||
                                                     w == ROUTE_POSITION || w == ROUTE_RETRY ||
                                                     w == ROUTE_DROP || w == ROUTE_EDIT);
    }
}

static void body(enum route_what what, const char *text, const char *expected)
{
    CLEANUP(buf_release) struct buf argument = {0};
    const char *why = NULL;
    struct console_route r = {.what = what};
    bool good = acts_argument(&r, slice_from(text), &argument, &why);
    if (good != (expected != NULL)) {
        fail_msg("%s: %s", text, good ? "taken" : why);
    }
    if (good) {
        assert_string_equal(buf_str(&argument), expected);
    } else {
        assert_non_null(why);
    }
}

static void test_bodies(void **state UNUSED)
{
    body(ROUTE_PAUSE, "", "");
    body(ROUTE_RESUME, "anything", "");
    body(ROUTE_RETRY, "{\"ids\": [3, 1]}", "3,1");
    body(ROUTE_DROP, "{\"ids\": [7]}", "7");
    body(ROUTE_POSITION, "{\"to\": \"0/1A\"}", "0/1A");
    static const char many[] = "{\"ids\": [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21]}";
    static const char *const bad[] = {"",
                                      "[]",
                                      "{}",
                                      "{\"ids\": []}",
                                      "{\"ids\": [0]}",
                                      "{\"ids\": [-1]}",
                                      "{\"ids\": [\"1\"]}",
                                      "{\"ids\": 1}",
                                      "{\"ids\": [1.5]}",
                                      many,
                                      "{\"ids\": [1]} x"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        body(ROUTE_RETRY, bad[i], NULL);
    }
    body(ROUTE_POSITION, "{\"to\": \"\"}", NULL);
    body(ROUTE_POSITION, "{\"to\": 1}", NULL);
    body(ROUTE_POSITION, "", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths), cmocka_unit_test(test_no_paths),
        cmocka_unit_test(test_methods), cmocka_unit_test(test_bodies)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
