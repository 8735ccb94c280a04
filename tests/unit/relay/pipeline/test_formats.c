/* What the configuration says reaches route and encode, and what would mean nothing is refused. */
#include "formats.h"
#include "unit.h"

#include "pipeline/formats.h"

static const struct conf_plugin source = {.name = "from"}, sink = {.name = "to"};

static struct conf_pipeline pipeline_of(const struct format_ops *format)
{
    return (struct conf_pipeline){.name = (char *)(uintptr_t) "p",
                                  .source = &source,
                                  .sink = &sink,
                                  .route = {.topic = (char *)(uintptr_t) "t",
                                            .key = (char *)(uintptr_t) "k",
                                            .partition = (char *)(uintptr_t) ""},
                                  .encode = {.format = format_index(format)}};
}

static void refused(const struct conf_pipeline *p, bool changes, bool messages, const char *why)
{
    struct error err = {0};
    int rc = formats_check(p, changes, messages, &err);
    if (!why) {
        assert_int_equal(rc, 0);
        return;
    }
    assert_int_equal(rc, -1);
    assert_int_equal(err.class, ERROR_CONFIG);
    if (!strstr(err.text, why)) {
        fail_msg("\"%s\" does not hold \"%s\"", err.text, why);
    }
}

static void a_format_fits_source_and_sink(void **state)
{
    (void)state;
    static const struct {
        const struct format_ops *format;
        const char *outbox, *changes, *lines; /* why not; NULL: it fits */
    } cases[] = {
        {&format_payload, NULL, "payload needs events with a payload", NULL},
        {&format_json, NULL, NULL, NULL},
        {&format_debezium, "debezium is for table changes", NULL, "for table changes"},
        {&format_flat, "flat is for table changes", NULL, "for table changes"},
        {&format_cloudevents, NULL, NULL, "a CloudEvent is a message, and sink to"},
        {&format_cloudevents_json, NULL, NULL, "a CloudEvent is a message, and sink to"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct conf_pipeline p = pipeline_of(cases[i].format);
        refused(&p, false, true, cases[i].outbox);
        refused(&p, true, true, cases[i].changes);
        refused(&p, false, false, cases[i].lines);
    }
}

static void keys_about_changes_need_changes(void **state)
{
    (void)state;
    struct conf_pipeline p = pipeline_of(&format_json);
    p.encode.given.name = true;
    refused(&p, true, true, NULL);
    refused(&p, false, true, "encode.name is for table changes, and source from");
    p = pipeline_of(&format_cloudevents);
    p.encode.given.name = true; /* it is in the attribute `source` */
    refused(&p, false, true, NULL);
    p.encode.skipped_operations.given = true;
    refused(&p, false, true, "encode.skipped_operations is for table changes");
    refused(&p, true, true, NULL);
    p = pipeline_of(&format_json);
    p.encode.given.unavailable_placeholder = true;
    refused(&p, false, true, "encode.unavailable_placeholder is for table changes");
}

static void a_header_s_name_is_free(void **state)
{
    (void)state;
    static const struct {
        const char *as;
        const struct format_ops *format;
        const char *error;
    } names[] = {{"id", &format_payload, "the header id is the relay's own"},
                 {"a\nb", &format_payload, "control character"},
                 {"ce_type", &format_payload, NULL},
                 {"ce_type", &format_cloudevents, "the relay's own in this format"},
                 {"Content-Type", &format_cloudevents_json, "the relay's own in this format"},
                 {"eventType", &format_cloudevents, NULL}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct conf_pipeline p = pipeline_of(names[i].format);
        struct conf_named h = {.as = (char *)(uintptr_t)names[i].as,
                               .value = (char *)(uintptr_t) "v"};
        p.encode.headers.items = &h;
        p.encode.headers.count = 1;
        refused(&p, false, true, names[i].error);
    }
}

static void defaults_of_changes_are_the_route_s_own(void **state)
{
    (void)state;
    struct conf_pipeline p = pipeline_of(&format_flat);
    struct route_conf r = formats_route(&p, true);
    assert_null(r.topic);
    assert_null(r.key);
    assert_true(r.changes);
    assert_string_equal(r.name, "p");
    r = formats_route(&p, false);
    assert_string_equal(r.topic, "t");
    assert_string_equal(r.key, "k");
    p.route.topic_given = p.route.key_given = true;
    p.encode.name = (char *)(uintptr_t) "shop";
    r = formats_route(&p, true);
    assert_string_equal(r.topic, "t");
    assert_string_equal(r.key, "k");
    assert_string_equal(r.name, "shop");
    assert_string_equal(formats_encode(&p).name, "shop");
}

static void what_would_have_no_effect_is_refused(void **state)
{
    (void)state;
    struct conf_pipeline p = pipeline_of(&format_payload);
    p.encode.expand_json = p.encode.given.expand_json = true;
    refused(&p, false, true, NULL);
    refused(&p, false, false, "encode.expand_json changes the value of a message, and sink to");
    p = pipeline_of(&format_debezium);
    p.route.topic_rewrite.match = (char *)(uintptr_t) "a";
    p.route.topic_rewrite.to = (char *)(uintptr_t) "b";
    p.route.topic_rewrite.key_field = (char *)(uintptr_t) "f";
    refused(&p, true, true, NULL);
    p.route.key_given = true;
    refused(&p, true, true, "key_field adds to the row's key of a table change, and route.key");
    p = pipeline_of(&format_payload);
    p.route.topic_rewrite.key_field = (char *)(uintptr_t) "f";
    refused(&p, false, true, "and outbox events have none");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_format_fits_source_and_sink),
        cmocka_unit_test(keys_about_changes_need_changes),
        cmocka_unit_test(a_header_s_name_is_free),
        cmocka_unit_test(defaults_of_changes_are_the_route_s_own),
        cmocka_unit_test(what_would_have_no_effect_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
