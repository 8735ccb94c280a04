/* What the configuration says reaches route and encode, and what would mean nothing is refused. */
#include "formats.h"
#include "unit.h"

#include "contract/sink.h"
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
    int rc = formats_check(p, changes, messages ? SINK_MESSAGES : 0, &err);
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

static void a_schema_needs_format_sink_and_registry(void **state)
{
    (void)state;
    struct conf_pipeline p = pipeline_of(&format_debezium);
    struct error err;
    p.encode.value = VALUE_AVRO;
    refused(&p, true, true, "sink to does not send");
    assert_int_equal(formats_check(&p, true, SINK_MESSAGES | SINK_FRAMES, &err), -1);
    assert_non_null(strstr(err.text, "encode.registry.url"));
    p.encode.registry.url = (char *)(uintptr_t) "http://registry:8081";
    assert_int_equal(formats_check(&p, true, SINK_MESSAGES | SINK_FRAMES, &err), 0);
    assert_int_equal(formats_check(&p, true, SINK_MESSAGES | SINK_FRAMES | SINK_WHOLE, &err), -1);
    assert_non_null(strstr(err.text, "whole_transactions"));
    p.encode.schemas = true;
    assert_int_equal(formats_check(&p, true, SINK_MESSAGES | SINK_FRAMES, &err), -1);
    assert_non_null(strstr(err.text, "encode.schemas has no effect with encode.value: avro"));
    p.encode.schemas = false;
    p.encode.given.unwrap = true;
    assert_int_equal(formats_check(&p, true, SINK_MESSAGES | SINK_FRAMES, &err), -1);
    assert_non_null(strstr(err.text, "encode.value: avro and encode.unwrap"));
    p.encode.given.unwrap = false;
    p.encode.value = VALUE_JSON;
    refused(&p, true, true, "encode.registry does nothing");
    p.encode.registry.url = NULL;
    p.encode.schemas = true;
    refused(&p, true, false, NULL);
    p.route.topic_rewrite.match = p.route.topic_rewrite.to = (char *)(uintptr_t) "a";
    p.route.topic_rewrite.key_field = (char *)(uintptr_t) "f";
    refused(&p, true, true, "encode.schemas and route.topic_rewrite.key_field");
    p.route.topic_rewrite.key_field = NULL;
    p.encode.transaction_metadata = true;
    refused(&p, true, true, "encode.schemas and encode.transaction_metadata do not go together");
    p.encode.transaction_metadata = false;
    p.encode.heartbeat_topic = (char *)(uintptr_t) "h";
    refused(&p, true, true, "encode.schemas and encode.heartbeat_topic do not go together");
    p.encode.heartbeat_topic = NULL;
    p.encode.schemas = false;
    p.encode.value = VALUE_AVRO;
    p.encode.format = format_index(&format_json);
    assert_int_equal(formats_check(&p, true, SINK_MESSAGES | SINK_FRAMES, &err), -1);
    assert_non_null(strstr(err.text, "debezium or flat"));
}

static void names_in_the_envelope(void **state)
{
    (void)state;
    static const struct {
        const char *first, *second, *why;
    } cases[] = {{"a", "b", NULL},
                 {"a", "a", "column y gets the name \"a\", which the value has already"},
                 {"payload", "b", "column x gets the name \"payload\", which the value has"},
                 {"a", "", "column y gets the name \"\", which is none"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct conf_pair pairs[] = {{(char *)(uintptr_t) "x", (char *)(uintptr_t)cases[i].first},
                                    {(char *)(uintptr_t) "y", (char *)(uintptr_t)cases[i].second}};
        struct conf_pipeline p = pipeline_of(&format_payload);
        p.encode.envelope = (struct conf_map){pairs, 2};
        p.encode.given.envelope = true;
        refused(&p, false, true, cases[i].why);
        refused(&p, false, false, cases[i].why); /* lines have it, too */
    }
}

/* A dead letter has what comes of columns. */
static void the_envelope_is_made_of_columns(void **state)
{
    (void)state;
    struct conf_pair pairs[] = {{(char *)(uintptr_t) "type", (char *)(uintptr_t) "kind"}};
    struct conf_pipeline p = pipeline_of(&format_payload);
    p.encode.envelope = (struct conf_map){pairs, 1};
    struct route *r = NULL;
    struct error err;
    struct batch *b = batch_new();
    struct event *e = batch_add(b);
    const struct slice columns[] = {SLICE_LITERAL("\"created\"")};
    assert_int_equal(formats_route_new(&p, false, &r, &err), 0);
    assert_int_equal(route_json_count(r), 1);
    e->payload = SLICE_LITERAL("x");
    e->payload_kind = PAYLOAD_TEXT;
    e->columns = columns;
    assert_int_equal(formats_add_columns(&p, r, e, &b->arena, &err), 0);
    assert_true(slice_equal_str(e->payload, "{\"payload\":\"x\",\"kind\":\"created\"}"));
    struct slice before = e->payload;
    assert_int_equal(formats_add_columns(&p, NULL, e, &b->arena, &err), 0);
    assert_true(slice_equal(e->payload, before));
    route_free(r);
    batch_free(b);
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
        cmocka_unit_test(a_schema_needs_format_sink_and_registry),
        cmocka_unit_test(names_in_the_envelope),
        cmocka_unit_test(the_envelope_is_made_of_columns),
        cmocka_unit_test(what_would_have_no_effect_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
