/* Patterns match whole texts, as Debezium's do, and replacements are read as Java reads them. */
#include "unit.h"

#include "value/pattern.h"

#define N(array) (sizeof(array) / sizeof *(array))

static struct pattern *pattern_of(const char *text, bool ignore_case)
{
    struct pattern *p = NULL;
    struct error err;
    if (pattern_new(text, ignore_case, &p, &err)) {
        fail_msg("%s", err.text);
    }
    return p;
}

static bool matches(const char *pattern, const char *text, bool ignore_case)
{
    struct pattern *p = pattern_of(pattern, ignore_case);
    struct error err;
    bool yes = false;
    if (pattern_matches(p, slice_from(text), &yes, &err)) {
        fail_msg("%s", err.text);
    }
    pattern_free(p);
    return yes;
}

static void a_pattern_is_about_the_whole_text(void **state)
{
    (void)state;
    assert_true(matches("public\\.orders", "public.orders", true));
    assert_false(matches("public\\.orders", "public.orders_2", true));
    assert_false(matches("orders", "public.orders", true));
    assert_true(matches("public.(a|ab)", "public.ab", true)); /* the second one fits */
    assert_true(matches(".*\\.part_\\d{2}", "s.part_07", true));
    /* All but a table and a schema, as import-debezium writes it. */
    static const char others[] = "(?!(?:public.audit|s\\.x)$)(?!(?:old|tmp)\\..*$).*";
    assert_true(matches(others, "public.audits", true));
    assert_false(matches(others, "PUBLIC.audit", true));
    assert_false(matches(others, "tmp.orders", true));
    assert_true(matches(others, "tmp2.orders", true));
    assert_true(matches("", "", true));
    assert_false(matches("", "a", true));
}

static void the_case_of_letters_counts_where_it_is_wanted(void **state)
{
    (void)state;
    assert_true(matches("PUBLIC\\.Orders", "public.oRDERS", true));
    assert_false(matches("PUBLIC\\.Orders", "public.oRDERS", false));
}

static void one_dot_is_one_character(void **state)
{
    (void)state;
    assert_true(matches("a.c",
                        "a\xC3\xA9"
                        "c",
                        false));
    assert_false(matches("a.c",
                         "a\xFF"
                         "c",
                         false)); /* not UTF-8 */
}

/* `want` NULL: it does not match. */
static void check_replace(const char *pattern, const char *to, const char *text, const char *want)
{
    struct pattern *p = pattern_of(pattern, false);
    CLEANUP(buf_release) struct buf out = {0};
    struct error err;
    bool done = false;
    if (pattern_check_replacement(p, to, &err) ||
        pattern_replace(p, slice_from(text), to, &out, &done, &err)) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(done, want != NULL);
    if (strcmp(buf_str(&out), want ? want : "") != 0) {
        fail_msg("%s, %s, %s: %s, want %s", pattern, to, text, buf_str(&out), want);
    }
    pattern_free(p);
}

static void a_match_is_replaced(void **state)
{
    (void)state;
    check_replace("(.*)_\\d+", "$1", "shop.public.orders_07", "shop.public.orders");
    check_replace("(.*)_\\d+", "$1", "shop.public.orders", NULL);
    check_replace("(?<db>\\w+)\\.(?<t>\\w+)", "${t}-${db}", "a.b", "b-a");
    check_replace("(a)(b)?", "[$1$2]", "a", "[a]"); /* a group without a part */
    check_replace("(a)", "$12", "a", "a2");         /* there is no group 12 */
    check_replace(".*", "\\$1\\\\", "a", "$1\\");   /* the characters themselves */
    check_replace("a|ab", "x", "ab", "xb");         /* the first match, not the whole */
    check_replace("(.*)", "outbox.event.$1", "", "outbox.event.");
}

static void a_bad_pattern_is_refused_with_its_place(void **state)
{
    (void)state;
    struct pattern *p = NULL;
    struct error err;
    assert_int_equal(pattern_new("a(b", false, &p, &err), RESULT_ERROR);
    assert_int_equal(err.class, ERROR_CONFIG);
    assert_non_null(strstr(err.text, "`a(b` is no regular expression"));
    assert_non_null(strstr(err.text, "at byte 3"));
    assert_int_equal(pattern_new("a\\Cb", false, &p, &err), RESULT_ERROR); /* half a character */
}

static void a_bad_replacement_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"$2", "$", "$x", "${", "${}", "${nobody}", "a\\"};
    struct pattern *p = pattern_of("(?<one>.*)", false);
    struct error err;
    for (size_t i = 0; i < N(bad); i++) {
        if (pattern_check_replacement(p, bad[i], &err) != RESULT_ERROR) {
            fail_msg("%s was accepted", bad[i]);
        }
        assert_int_equal(err.class, ERROR_CONFIG);
    }
    pattern_free(p);
}

/* A pattern with countless ways to match must not stop the relay. */
static void a_pattern_that_takes_too_long_is_an_error(void **state)
{
    (void)state;
    struct pattern *p = pattern_of("(x+x+)+[yz]", false);
    struct error err;
    bool yes = true;
    assert_int_equal(
        pattern_matches(p, SLICE_LITERAL("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"), &yes, &err),
        RESULT_ERROR);
    assert_int_equal(err.class, ERROR_CONFIG);
    assert_false(yes);
    pattern_free(p);
    p = pattern_of("(?R)", false);
    yes = true;
    assert_int_equal(pattern_matches(p, SLICE_LITERAL("x"), &yes, &err), RESULT_ERROR);
    assert_false(yes);
    pattern_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pattern_is_about_the_whole_text),
        cmocka_unit_test(the_case_of_letters_counts_where_it_is_wanted),
        cmocka_unit_test(one_dot_is_one_character),
        cmocka_unit_test(a_match_is_replaced),
        cmocka_unit_test(a_bad_pattern_is_refused_with_its_place),
        cmocka_unit_test(a_bad_replacement_is_refused),
        cmocka_unit_test(a_pattern_that_takes_too_long_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
