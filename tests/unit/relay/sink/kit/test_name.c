/* Names that sinks make of events: templates, and what they refuse. */
#include "unit.h"

#include "sink/kit/name.h"

static struct event order(void)
{
    return (struct event){.id = SLICE_LITERAL("e1"),
                          .type = SLICE_LITERAL("Placed"),
                          .topic = SLICE_LITERAL("orders"),
                          .key = SLICE_LITERAL("o1"),
                          .aggregateid = SLICE_NULL,
                          .created_at_us = 0};
}

static void makes(const char *text, const char *want)
{
    struct name_template *t;
    struct error err = {0};
    struct event e = order();
    struct slice got = SLICE_NULL;
    CLEANUP(buf_release) struct buf out = {0};
    if (name_template_new(text, "stream", "test", &t, &err) ||
        name_template_make(t, &e, &out, &got, &err)) {
        fail_msg("%s: %s", text, err.text);
    }
    if (!slice_equal_str(got, want)) {
        fail_msg("%s gives %.*s, not %s", text, SLICE_FMT(got), want);
    }
    name_template_free(t);
}

static void placeholders_are_filled(void **state)
{
    (void)state;
    makes("plain", "plain");
    makes("", "");
    makes("{topic}", "orders");
    makes("{created_at}", "1970-01-01T00:00:00.000000Z");
    makes("a.{type}.{key}-{id}", "a.Placed.o1-e1");
    makes("{{{id}}}", "{e1}");
    makes("}}{{", "}{");
}

static void a_single_placeholder_is_the_event_s_own_text(void **state)
{
    (void)state;
    struct name_template *t;
    struct error err;
    struct event e = order();
    struct slice got = SLICE_NULL;
    struct buf out = {0};
    assert_int_equal(name_template_new("{key}", "stream", "test", &t, &err), RESULT_DONE);
    assert_int_equal(name_template_make(t, &e, &out, &got, &err), RESULT_DONE);
    assert_ptr_equal(got.ptr, e.key.ptr);
    assert_null(out.data);
    assert_null(name_template_fixed(t));
    name_template_free(t);
    assert_int_equal(name_template_new("a{{b", "stream", "test", &t, &err), RESULT_DONE);
    assert_string_equal(name_template_fixed(t), "a{b");
    name_template_free(t);
}

static void assert_of_topic(const char *text, const char *topic, const char *want)
{
    struct name_template *t;
    struct error err;
    CLEANUP(buf_release) struct buf out = {0};
    assert_int_equal(name_template_new(text, "stream", "test", &t, &err), RESULT_DONE);
    assert_int_equal(name_template_of_topic(t, topic, &out), want != NULL);
    assert_string_equal(buf_str(&out), want ? want : "");
    name_template_free(t);
}

static void one_topic_may_give_one_name(void **state)
{
    (void)state;
    assert_of_topic("plain", NULL, "plain");
    assert_of_topic("", NULL, "");
    assert_of_topic("shop.{topic}", "orders", "shop.orders");
    assert_of_topic("shop.{topic}", NULL, NULL);
    assert_of_topic("shop.{topic}.{key}", "orders", NULL);
}

static void what_is_missing_is_poison(void **state)
{
    (void)state;
    struct name_template *t;
    struct error err;
    struct event e = order();
    struct slice got = SLICE_NULL;
    CLEANUP(buf_release) struct buf out = {0};
    assert_int_equal(name_template_new("x.{aggregateid}", "stream", "test", &t, &err), RESULT_DONE);
    assert_int_equal(name_template_make(t, &e, &out, &got, &err), RESULT_ERROR);
    assert_int_equal(err.class, ERROR_POISON);
    assert_non_null(strstr(err.text, "sink.stream: the event has no {aggregateid}"));
    name_template_free(t);
}

static void malformed_templates_are_refused(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"{", "\"{\" without a \"}\""},
        {"a{topic", "\"{\" without a \"}\""},
        {"{a{topic}", "\"{\" without"},
        {"a}", "\"}\" without a \"{\""},
        {"{}", "unknown placeholder"},
        {"{column}", "unknown placeholder"},
        {"{payload}", "unknown placeholder"},
        {"{aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}", "unknown placeholder"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct name_template *t;
        struct error err = {0};
        assert_int_equal(name_template_new(cases[i][0], "stream", "test", &t, &err), RESULT_ERROR);
        assert_int_equal(err.class, ERROR_CONFIG);
        if (!strstr(err.text, cases[i][1]) || !strstr(err.text, "sink.stream")) {
            fail_msg("%s: %s", cases[i][0], err.text);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(placeholders_are_filled),
        cmocka_unit_test(a_single_placeholder_is_the_event_s_own_text),
        cmocka_unit_test(one_topic_may_give_one_name),
        cmocka_unit_test(what_is_missing_is_poison),
        cmocka_unit_test(malformed_templates_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
