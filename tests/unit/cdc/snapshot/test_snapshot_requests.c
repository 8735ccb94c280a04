/* snapshot_requests: the cursor keeps each of them as it is; a pattern names tables as a whole. */
#include "unit.h"

#include "cdc/snapshot/requests.h"
#include "value/pattern.h"

#include <stdlib.h>

#define S(text) SLICE_LITERAL(text)

static int parse(const char *text, struct snapshot_requests *ret, struct slice *ret_initial)
{
    struct error err;
    int rc = snapshot_requests_parse(slice_from(text), ret, ret_initial, &err);
    assert_true(rc == RESULT_DONE || err.exit_code == EXIT_CODE_UNAVAILABLE);
    return rc;
}

static void round_trip(void **state UNUSED)
{
    static const struct {
        const char *text, *initial;
        size_t count;
        bool paused;
    } cases[] = {
        {"s1,0/1,1,0", "s1,0/1,1,0", 0, false},
        {";public%2Eorders|a1||s1,0/1,1,0,bare", NULL, 1, false},
        {"s1,0/1,1,0;public%2Eorders|||s1,0/1,1,0,bare", "s1,0/1,1,0", 1, false},
        {";paused;a%2Eb|x%7C%3B|id%20%3E%201|s1,0/1,1,7,bare,@16384-7.23,a.b,id=42;c%2Ed|y||"
         "s1,0/2,1,0,bare",
         NULL, 2, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CLEANUP(buf_release) struct buf out = {0};
        struct snapshot_requests q = {0};
        struct slice initial;
        assert_int_equal(parse(cases[i].text, &q, &initial), RESULT_DONE);
        assert_int_equal(q.count, cases[i].count);
        assert_int_equal(q.paused, cases[i].paused);
        assert_int_equal(slice_is_null(initial), cases[i].initial == NULL);
        buf_add_slice(&out, initial);
        snapshot_requests_format(&q, &out);
        assert_string_equal(buf_str(&out), cases[i].text);
        snapshot_requests_release(&q);
    }
}

static void nothing_is_an_empty_list(void **state UNUSED)
{
    struct snapshot_requests q = {0};
    struct slice initial = S("x");
    struct error err;
    assert_int_equal(snapshot_requests_parse(SLICE_NULL, &q, &initial, &err), RESULT_DONE);
    assert_int_equal(q.count, 0);
    assert_true(slice_is_null(initial));
}

static void anything_else_is_refused(void **state UNUSED)
{
    static const char *const texts[] = {
        ";;",
        ";a%2Eb",
        ";a%2Eb||",
        ";|x||s1,0/1,1,0",
        ";a.b|x||s1,0/1,1,0",
        ";a%2Eb|x||s9,0/1,1,0",
        ";a%2Eb|x||s1,0/1,1,0;paused",
        ";paused;paused",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct snapshot_requests q = {0};
        struct slice initial;
        if (parse(texts[i], &q, &initial) != RESULT_ERROR) {
            fail_msg("%s was taken", texts[i]);
        }
        assert_int_equal(q.count, 0);
    }
}

static void any_text_is_kept(void **state UNUSED)
{
    CLEANUP(buf_release) struct buf out = {0};
    struct snapshot_requests q = {0}, back = {0};
    struct slice initial;
    char all[256];
    for (size_t i = 0; i < 255; i++) {
        all[i] = (char)(i + 1);
    }
    const struct slice text = {all, 255};
    assert_true(snapshot_requests_add(&q, text, text, text, 5, 6));
    snapshot_requests_format(&q, &out);
    assert_null(memchr(buf_str(&out), ' ', out.len));
    assert_int_equal(parse(buf_str(&out), &back, &initial), RESULT_DONE);
    assert_true(slice_equal_str(text, back.items[0].tables));
    assert_true(slice_equal_str(text, back.items[0].id));
    assert_true(slice_equal_str(text, back.items[0].where));
    assert_string_equal(back.items[0].place, "s1,0/5,6,0,bare");
    snapshot_requests_release(&q);
    snapshot_requests_release(&back);
}

static void the_list_has_an_end(void **state UNUSED)
{
    static char long_text[SNAPSHOT_REQUESTS_BYTES / 3];
    struct snapshot_requests q = {.paused = true};
    memset(long_text, 'x', sizeof long_text);
    for (size_t i = 0; i < SNAPSHOT_REQUESTS_MAX; i++) {
        assert_true(snapshot_requests_add(&q, S("a.b"), S(""), S(""), i, 0));
    }
    assert_false(snapshot_requests_add(&q, S("a.b"), S(""), S(""), 0, 0));
    snapshot_requests_drop(&q, 99);
    assert_false(snapshot_requests_add(&q, S("a.b"), S(""),
                                       (struct slice){long_text, sizeof long_text}, 0, 0));
    snapshot_requests_reached(&q, 1, S("s1,0/9,1,0"));
    snapshot_requests_drop(&q, 0);
    assert_string_equal(q.items[0].place, "s1,0/9,1,0");
    assert_int_equal(q.items[0].number, 2);
    while (q.count > 0) {
        assert_true(q.paused);
        snapshot_requests_drop(&q, q.count - 1);
    }
    assert_false(q.paused);
}

static bool names(const char *text, const char *schema, const char *name)
{
    struct snapshot_requests q = {0};
    struct pattern *p = NULL;
    struct error err;
    bool found = false;
    assert_true(snapshot_requests_add(&q, slice_from(text), S(""), S(""), 0, 0));
    assert_int_equal(snapshot_request_pattern(&q.items[0], &p, &err), RESULT_DONE);
    assert_int_equal(
        snapshot_request_names(&q.items[0], p, slice_from(schema), slice_from(name), &found, &err),
        RESULT_DONE);
    pattern_free(p);
    snapshot_requests_release(&q);
    return found;
}

static void a_pattern_has_to_match_as_a_whole(void **state UNUSED)
{
    assert_true(names("public.orders", "public", "orders"));
    assert_false(names("public.orders", "publicX", "orders"));
    assert_false(names("public.orders", "public", "orders2"));
    assert_true(names("public.order.", "public", "orders")); /* a second dot is a pattern's */
    assert_true(names("public\\.part_\\d+", "public", "part_12"));
    assert_false(names("public\\.part_\\d+", "public", "part_12x"));
    assert_true(names("public.a+b", "public", "a+b")); /* a name in the same words */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(nothing_is_an_empty_list),
        cmocka_unit_test(anything_else_is_refused),
        cmocka_unit_test(any_text_is_kept),
        cmocka_unit_test(the_list_has_an_end),
        cmocka_unit_test(a_pattern_has_to_match_as_a_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
