/* Who may act, and who may see payloads. */
#include "unit.h"

#include "daemon/console/guard.h"

#define TOKEN "0123456789abcdef"

static const struct guard acting = {true, TOKEN}, showing = {false, TOKEN}, no_token = {true, ""};

/* A request of the page itself, over TCP, with the token. */
static struct admin_request good(void)
{
    return (struct admin_request){.method = "POST",
                                  .path = "/api/v1/pipelines/p/pause",
                                  .host = "127.0.0.1:9480",
                                  .origin = "http://127.0.0.1:9480",
                                  .fetch_site = "same-origin",
                                  .type = "application/json",
                                  .authorization = "Bearer " TOKEN};
}

static int acts(const struct guard *g, const struct admin_request *r)
{
    const char *why = NULL;
    int status = guard_acts(g, r, &why);
    assert_true(status == 0 || why);
    return status;
}

static void test_with_the_token(void **state UNUSED)
{
    struct admin_request r = good();
    assert_int_equal(acts(&acting, &r), 0);
    assert_int_equal(acts(&showing, &r), 403);
    r.origin = r.fetch_site = NULL; /* curl */
    assert_int_equal(acts(&acting, &r), 0);
    r.authorization = "bearer " TOKEN;
    r.type = "application/json; charset=utf-8";
    assert_int_equal(acts(&acting, &r), 0);
}

static void test_without_or_with_a_wrong_token(void **state UNUSED)
{
    static const char *const wrong[] = {
        NULL,           "",   "Bearer", "Bearer ", "Bearer " TOKEN "x", "Bearer 0123456789abcdeX",
        "Basic " TOKEN, TOKEN};
    struct admin_request r = good();
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        r.authorization = wrong[i];
        assert_int_equal(acts(&acting, &r), 401);
        assert_false(guard_sees(&acting, &r));
    }
    r = good();
    assert_int_equal(acts(&no_token, &r), 401); /* an empty one is none */
    r.authorization = "Bearer ";
    assert_int_equal(acts(&no_token, &r), 401);
}

static void test_other_sites(void **state UNUSED)
{
    static const char *const origins[] = {"http://evil.example",
                                          "null",
                                          "",
                                          "http://127.0.0.1:9481",
                                          "http://127.0.0.1",
                                          "http://127.0.0.1:9480.evil.example"};
    struct admin_request r = good();
    for (size_t i = 0; i < sizeof origins / sizeof *origins; i++) {
        r.origin = origins[i];
        assert_int_equal(acts(&acting, &r), 403);
        assert_false(guard_sees(&acting, &r));
    }
    r = good();
    r.fetch_site = "cross-site";
    assert_int_equal(acts(&acting, &r), 403);
    r = good();
    r.host = NULL;
    assert_int_equal(acts(&acting, &r), 403);
    r = good();
    r.local = true; /* a proxy in front of the socket does not make them welcome */
    r.origin = "http://evil.example";
    assert_int_equal(acts(&acting, &r), 403);
}

static void test_forms(void **state UNUSED)
{
    static const char *const types[] = {NULL, "text/plain", "application/x-www-form-urlencoded",
                                        "application/jsonx"};
    struct admin_request r = good();
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        r.type = types[i];
        assert_int_equal(acts(&acting, &r), 415);
    }
}

static void test_socket(void **state UNUSED)
{
    struct admin_request r = good();
    r.local = true;
    r.authorization = r.origin = NULL;
    assert_int_equal(acts(&acting, &r), 0);
    assert_int_equal(acts(&no_token, &r), 0);
    assert_int_equal(acts(&showing, &r), 403);
    assert_true(guard_sees(&showing, &r));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_with_the_token),
                                       cmocka_unit_test(test_without_or_with_a_wrong_token),
                                       cmocka_unit_test(test_other_sites),
                                       cmocka_unit_test(test_forms), cmocka_unit_test(test_socket)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
