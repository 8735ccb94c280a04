/* Topics that Kafka or the operator would refuse never leave, and braces mean what route.h says. */
#include "unit.h"

#include "base/buf.h"
#include "message/route.h"
#include "model/change.h"

#define N(array) (sizeof(array) / sizeof *(array))

struct fixture {
    struct batch *batch;
    struct event *event;
    struct error err;
};

static int setup(void **state)
{
    static struct fixture f;
    f = (struct fixture){.batch = batch_new()};
    f.event = batch_add(f.batch);
    f.event->id = SLICE_LITERAL("i-1");
    f.event->type = SLICE_LITERAL("created");
    f.event->aggregatetype = SLICE_LITERAL("order");
    f.event->aggregateid = SLICE_LITERAL("42");
    f.event->position = SLICE_LITERAL("7");
    f.event->created_at_us = INT64_C(1795255200123456);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    batch_free(f->batch);
    return 0;
}

static struct route *make(struct fixture *f, const char *topic, const char *key)
{
    struct route_conf conf = {
        .topic = topic, .key = key, .partition = "", .timestamp = "created_at"};
    struct route *r = NULL;
    if (route_new(&conf, &r, &f->err) < 0) {
        fail_msg("%s, %s: %s", topic, key, f->err.text);
    }
    return r;
}

static void templates_are_filled(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *topic, *key, *want_topic, *want_key;
    } cases[] = {
        {"outbox.event.{aggregatetype}", "{aggregateid}", "outbox.event.order", "42"},
        {"{aggregatetype}", "{id}/{type}", "order", "i-1/created"},
        {"a{type}b{position}c", "", "acreatedb7c", NULL},
        {"fixed", "literal", "fixed", "literal"},
        {"fixed", "{{{aggregateid}}}", "fixed", "{42}"},
        {"fixed", "a}}{{b", "fixed", "a}{b"},
        {"fixed", "{{}}", "fixed", "{}"},
        {"fixed", "{created_at}", "fixed", "2026-11-21T10:00:00.123456Z"},
        {"fixed", "{aggregateid}{aggregateid}", "fixed", "4242"},
    };
    for (size_t i = 0; i < N(cases); i++) {
        struct route *r = make(f, cases[i].topic, cases[i].key);
        assert_int_equal(route_apply(r, f->event, &f->batch->arena, &f->err), 0);
        if (!slice_equal_str(f->event->topic, cases[i].want_topic) ||
            slice_is_null(f->event->key) != (cases[i].want_key == NULL) ||
            !slice_equal(f->event->key, slice_from(cases[i].want_key))) {
            fail_msg("%s, %s: %.*s, %.*s", cases[i].topic, cases[i].key, SLICE_FMT(f->event->topic),
                     SLICE_FMT(f->event->key));
        }
        assert_true(f->event->timestamp_us == f->event->created_at_us);
        assert_int_equal(f->event->partition, -1);
        route_free(r);
    }
}

static void nulls_in_keys(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *key, *want;
    } cases[] = {
        {"{aggregateid}", NULL},        {"{aggregateid}{type}", NULL}, {"a-{aggregateid}", NULL},
        {"{aggregateid}/{id}", "/i-1"}, {"literal", "literal"},
    };
    f->event->aggregateid = SLICE_NULL;
    f->event->type = SLICE_NULL;
    for (size_t i = 0; i < N(cases); i++) {
        struct route *r = make(f, "t", cases[i].key);
        assert_int_equal(route_apply(r, f->event, &f->batch->arena, &f->err), 0);
        assert_int_equal(slice_is_null(f->event->key), cases[i].want == NULL);
        assert_true(slice_equal(f->event->key, slice_from(cases[i].want)));
        route_free(r);
    }
    f->event->aggregateid = SLICE_LITERAL("");
    struct route *r = make(f, "t", "{aggregateid}");
    assert_int_equal(route_apply(r, f->event, &f->batch->arena, &f->err), 0);
    assert_false(slice_is_null(f->event->key)); /* an empty key is a key */
    route_free(r);
}

static void malformed_templates_are_refused(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *topic, *key, *text;
    } cases[] = {
        {"a{", "", "route.topic has a \"{\" without a \"}\""},
        {"a{b", "", "route.topic has a \"{\" without"},
        {"a{b{c}", "", "route.topic has a \"{\" without"},
        {"t", "{{{a", "route.key has a \"{\" without"},
        {"t", "a}", "route.key has a \"}\" without"},
        {"t", "{a}}", "route.key has a \"}\" without"},
        {"t", "{}", "empty placeholder"},
        {"", "", "route.topic is empty"},
        {"a b", "", "outside [A-Za-z0-9._-]"},
        {"a{{{type}", "", "outside [A-Za-z0-9._-]"},
        {"{type}/x", "", "outside [A-Za-z0-9._-]"},
        {"..", "", "which Kafka refuses"},
    };
    for (size_t i = 0; i < N(cases); i++) {
        struct route_conf conf = {.topic = cases[i].topic, .key = cases[i].key};
        struct route *r = NULL;
        assert_int_equal(route_new(&conf, &r, &f->err), -1);
        assert_null(r);
        assert_int_equal(f->err.class, ERROR_CONFIG);
        if (!strstr(f->err.text, cases[i].text)) {
            fail_msg("%s, %s: %s", cases[i].topic, cases[i].key, f->err.text);
        }
    }
    struct route *r = NULL;
    struct route_conf partition = {.topic = "t", .partition = "{p}"};
    assert_int_equal(route_new(&partition, &r, &f->err), -1);
    struct route_conf timestamp = {.topic = "t", .timestamp = "later"};
    assert_int_equal(route_new(&timestamp, &r, &f->err), -1);
    struct route_conf nowhere = {
        .topic = "t", .allow_topics = (const char *[]){"u*"}, .allow_topics_count = 1};
    assert_int_equal(route_new(&nowhere, &r, &f->err), -1);
    assert_int_equal(f->err.class, ERROR_CONFIG);
    route_free(NULL);
}

static void bad_topics_are_poison(void **state)
{
    struct fixture *f = *state;
    char long_name[251];
    memset(long_name, 'a', sizeof long_name);
    const struct {
        struct slice type;
        const char *text; /* NULL: fine */
    } cases[] = {
        {SLICE_NULL, "column type is null or empty"},
        {SLICE_LITERAL(""), "column type is null or empty"},
        {SLICE_LITERAL("a b"), "byte 1"},
        {SLICE_LITERAL("a/b"), "outside"},
        {SLICE_LITERAL("\xc3\xa4"), "outside"},
        {{"a\0b", 3}, "outside"},
        {SLICE_LITERAL("."), "Kafka refuses"},
        {SLICE_LITERAL(".."), "Kafka refuses"},
        {SLICE_LITERAL("..."), NULL},
        {SLICE_LITERAL(".."), "Kafka refuses"}, /* the beginning of the last good one */
        {SLICE_LITERAL("A-Z_a.z09"), NULL},
        {{long_name, 249}, NULL},
        {{long_name, 250}, "at most 249"},
    };
    struct route *r = make(f, "{type}", "");
    for (int round = 0; round < 2; round++) { /* twice: what is remembered changes nothing */
        for (size_t i = 0; i < N(cases); i++) {
            f->event->type = cases[i].type;
            int rc = route_apply(r, f->event, &f->batch->arena, &f->err);
            assert_int_equal(rc, cases[i].text ? -1 : 0);
            if (cases[i].text) {
                assert_int_equal(f->err.class, ERROR_POISON);
                assert_non_null(strstr(f->err.text, cases[i].text));
            } else {
                assert_true(slice_equal(f->event->topic, cases[i].type));
            }
        }
    }
    route_free(r);
}

static void a_null_beside_literals_is_poison(void **state)
{
    struct fixture *f = *state;
    struct route *r = make(f, "outbox.{aggregatetype}", "");
    f->event->aggregatetype = SLICE_LITERAL("");
    assert_int_equal(route_apply(r, f->event, &f->batch->arena, &f->err), -1);
    assert_int_equal(f->err.class, ERROR_POISON);
    route_free(r);
}

static void only_allowed_topics_pass(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *pattern, *topic;
        bool match;
    } cases[] = {
        {"outbox.event.*", "outbox.event.order", true},
        {"outbox.event.*", "outbox.event.", true},
        {"outbox.event.*", "outbox.event", false},
        {"outbox.event.*", "xoutbox.event.a", false},
        {"*", "anything", true},
        {"a?c", "abc", true},
        {"a?c", "ac", false},
        {"a?c", "abbc", false},
        {"*.b", "a.b", true},
        {"*.b", "a.b.c", false},
        {"*.b", "a.b.b", true},
        {"a*b*c", "axxbyybzc", true},
        {"a*b*c", "axxbyybz", false},
        {"a**", "a", true},
        {"a*?", "a", false},
        {"", "a", false},
        {"A*", "abc", false},
        {"a.c", "abc", false}, /* a dot is a dot */
        {"*aab", "aaaab", true},
    };
    for (size_t i = 0; i < N(cases); i++) {
        const char *patterns[] = {"nothing", cases[i].pattern};
        struct route_conf conf = {
            .topic = "{type}", .allow_topics = patterns, .allow_topics_count = 2};
        struct route *r = NULL;
        assert_int_equal(route_new(&conf, &r, &f->err), 0);
        f->event->type = slice_from(cases[i].topic);
        for (int round = 0; round < 2; round++) {
            int rc = route_apply(r, f->event, &f->batch->arena, &f->err);
            if ((rc == 0) != cases[i].match) {
                fail_msg("%s ~ %s: %d", cases[i].topic, cases[i].pattern, rc);
            }
            assert_true(rc == 0 || f->err.class == ERROR_POISON);
        }
        f->event->type = SLICE_LITERAL("nothing");
        assert_int_equal(route_apply(r, f->event, &f->batch->arena, &f->err), 0);
        route_free(r);
    }
}

static void further_columns_are_asked_for_once(void **state)
{
    struct fixture *f = *state;
    struct route_conf conf = {.topic = "{region}.{type}",
                              .key = "{tenant}-{region}-{id}",
                              .partition = "part",
                              .timestamp = "now"};
    struct route *r = NULL;
    assert_int_equal(route_new(&conf, &r, &f->err), 0);
    const char *const *names;
    assert_int_equal(route_columns(r, &names), 3);
    assert_string_equal(names[0], "region");
    assert_string_equal(names[1], "tenant");
    assert_string_equal(names[2], "part");
    assert_null(route_fixed_topic(r));
    struct slice values[] = {SLICE_LITERAL("eu"), SLICE_LITERAL("acme"), SLICE_LITERAL("3")};
    f->event->columns = values;
    assert_int_equal(route_apply(r, f->event, &f->batch->arena, &f->err), 0);
    assert_true(slice_equal_str(f->event->topic, "eu.created"));
    assert_true(slice_equal_str(f->event->key, "acme-eu-i-1"));
    assert_int_equal(f->event->partition, 3);
    assert_true(f->event->timestamp_us == TIME_NONE);
    values[0] = SLICE_NULL;
    assert_int_equal(route_apply(r, f->event, &f->batch->arena, &f->err), -1);
    assert_non_null(strstr(f->err.text, "column region"));
    route_free(r);

    /* A column that is wanted as JSON comes for itself, also one of the event's own. */
    const char *const json[] = {"region", "type"};
    conf.json = json;
    conf.json_count = 2;
    assert_int_equal(route_new(&conf, &r, &f->err), 0);
    assert_int_equal(route_columns(r, &names), 5);
    assert_int_equal(route_json_count(r), 2);
    assert_string_equal(names[3], "region");
    assert_string_equal(names[4], "type");
    struct slice five[] = {SLICE_LITERAL("eu"), SLICE_LITERAL("acme"), SLICE_LITERAL("3"),
                           SLICE_LITERAL("\"eu\""), SLICE_LITERAL("\"c\"")};
    f->event->columns = five;
    assert_true(slice_equal_str(route_json(r, 0, f->event), "\"eu\""));
    assert_true(slice_equal_str(route_json(r, 1, f->event), "\"c\""));
    route_free(r);

    r = make(f, "fixed", "");
    assert_int_equal(route_json_count(r), 0);
    assert_int_equal(route_columns(r, &names), 0);
    assert_string_equal(route_fixed_topic(r), "fixed");
    route_free(r);
}

static void partitions_are_int32(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *text;
        int32_t want; /* -2: poison */
    } cases[] = {
        {NULL, -1},         {"0", 0},
        {"007", 7},         {"2147483647", INT32_MAX},
        {"2147483648", -2}, {"99999999999999999999999", -2},
        {"-1", -2},         {"", -2},
        {"1.0", -2},        {" 1", -2},
        {"x", -2},
    };
    struct route_conf conf = {.topic = "t", .partition = "p"};
    struct route *r = NULL;
    assert_int_equal(route_new(&conf, &r, &f->err), 0);
    for (size_t i = 0; i < N(cases); i++) {
        struct slice value = slice_from(cases[i].text);
        f->event->columns = &value;
        int rc = route_apply(r, f->event, &f->batch->arena, &f->err);
        assert_int_equal(rc, cases[i].want == -2 ? -1 : 0);
        if (rc == 0) {
            assert_int_equal(f->event->partition, cases[i].want);
        } else {
            assert_int_equal(f->err.class, ERROR_POISON);
            assert_non_null(strstr(f->err.text, "column p "));
        }
    }
    route_free(r);
}

/* Topics of earlier events stay what they were while later ones change. */
static void topics_are_each_events_own(void **state)
{
    struct fixture *f = *state;
    struct route *r = make(f, "t.{type}", "k");
    static const char *const types[] = {"a", "a", "bb", "a", "bb"};
    struct slice topics[N(types)];
    char text[8];
    for (size_t i = 0; i < N(types); i++) {
        strcpy(text, types[i]); /* the column's memory is reused, as a source may */
        f->event->type = slice_from(text);
        assert_int_equal(route_apply(r, f->event, &f->batch->arena, &f->err), 0);
        topics[i] = f->event->topic;
    }
    for (size_t i = 0; i < N(types); i++) {
        assert_true(
            slice_equal_str((struct slice){topics[i].ptr + 2, topics[i].len - 2}, types[i]));
    }
    route_free(r);
}

static void expect_route(struct fixture *f, const struct route *r, const char *topic,
                         const char *key)
{
    if (route_apply(r, f->event, &f->batch->arena, &f->err) < 0) {
        fail_msg("%s", f->err.text);
    }
    CLEANUP(buf_release) struct buf got = {0};
    buf_printf(&got, "%.*s %.*s", SLICE_FMT(f->event->topic), SLICE_FMT(f->event->key));
    CLEANUP(buf_release) struct buf want = {0};
    buf_printf(&want, "%s %s", topic, key);
    assert_string_equal(buf_str(&got), buf_str(&want));
}

static void changes_go_to_their_table_s_topic(void **state)
{
    struct fixture *f = *state;
    struct route_conf conf = {.changes = true, .name = "sh\u00f6p"};
    struct change change = {.op = CHANGE_UPDATE};
    struct route *r = NULL;
    const char *const *columns;
    assert_int_equal(route_new(&conf, &r, &f->err), 0);
    assert_int_equal(route_columns(r, &columns), 2);
    assert_string_equal(columns[0], "schema");
    assert_string_equal(columns[1], "table");
    assert_null(route_fixed_topic(r));
    /* a blank, two bytes, four bytes that are two units of UTF-16 */
    const struct slice values[] = {SLICE_LITERAL("public"), SLICE_LITERAL("a b\u00e9c\U0001F600")};
    f->event->columns = values;
    f->event->change = &change;
    f->event->key = SLICE_LITERAL("{\"id\":1}"); /* the encoder's */
    expect_route(f, r, "sh_p.public.a_b_c__", "{\"id\":1}");
    f->event->key = SLICE_NULL;
    expect_route(f, r, "sh_p.public.a_b_c__", "");
    change.op = CHANGE_MESSAGE;
    expect_route(f, r, "sh_p.message", "");
    f->event->change = NULL; /* an outbox event out of a logical message */
    expect_route(f, r, "outbox.event.order", "42");
    route_free(r);
}

static void a_change_s_placeholders_are_the_row_s(void **state)
{
    struct fixture *f = *state;
    struct route_conf conf = {
        .topic = "{name}-{region}", .key = "{id}/{table}", .changes = true, .name = "shop"};
    struct change change = {.op = CHANGE_CREATE};
    struct route *r = NULL;
    assert_int_equal(route_new(&conf, &r, &f->err), 0);
    struct slice values[] = {SLICE_LITERAL("eu"), SLICE_LITERAL("7"), SLICE_LITERAL("a b")};
    f->event->columns = values;
    f->event->change = &change;
    f->event->key = SLICE_LITERAL("the encoder's");
    expect_route(f, r, "shop-eu", "7/a b"); /* {id} is the row's, and a key is not mended */
    values[0] = SLICE_LITERAL("e u");       /* nor is a value of the row */
    assert_int_equal(route_apply(r, f->event, &f->batch->arena, &f->err), -1);
    assert_int_equal(f->err.class, ERROR_POISON);
    route_free(r);
}

static void a_name_alone_is_a_fixed_topic(void **state)
{
    struct fixture *f = *state;
    struct route_conf conf = {.topic = "all.{name}", .changes = true, .name = "sh p"};
    struct route *r = NULL;
    assert_int_equal(route_new(&conf, &r, &f->err), 0);
    assert_string_equal(route_fixed_topic(r), "all.sh_p");
    route_free(r);
}

static void the_topics_that_a_template_may_give(void **state)
{
    struct fixture *f = *state;
    static const char *const allow[] = {"shop.*.v1", "all*"};
    struct route_conf conf = {.topic = "shop.{aggregatetype}.{{v1",
                              .key = "",
                              .allow_topics = allow,
                              .allow_topics_count = 2};
    struct route *r = NULL;
    assert_int_equal(route_new(&conf, &r, &f->err), -1); /* no topic has a brace */
    conf.topic = "shop.{aggregatetype}.v1";
    assert_int_equal(route_new(&conf, &r, &f->err), 0);
    assert_true(route_may_give(r, slice_from("shop.order.v1")));
    assert_false(route_may_give(r, slice_from("shop.order.v2")));
    assert_false(route_may_give(r, slice_from("all")));
    route_free(r);
    conf = (struct route_conf){
        .topic = "{type}", .key = "", .allow_topics = allow, .allow_topics_count = 2};
    assert_int_equal(route_new(&conf, &r, &f->err), 0);
    assert_true(route_may_give(r, slice_from("all")));
    assert_false(route_may_give(r, slice_from("every")));
    route_free(r);
    conf = (struct route_conf){.changes = true, .name = "sh p"}; /* the defaults */
    assert_int_equal(route_new(&conf, &r, &f->err), 0);
    assert_true(route_may_give(r, slice_from("sh_p.public.orders")));
    assert_true(route_may_give(r, slice_from("sh_p.message")));
    assert_true(route_may_give(r, slice_from("outbox.event.order")));
    assert_false(route_may_give(r, slice_from("sh_p.orders")));
    route_free(r);
}

/* --- another topic for topics that match --- */

static struct route *make_rewriting(struct fixture *f, const char *topic, const char *match,
                                    const char *to)
{
    struct route_conf conf = {
        .topic = topic, .key = "{aggregateid}", .rewrite_match = match, .rewrite_to = to};
    struct route *r = NULL;
    if (route_new(&conf, &r, &f->err) < 0) {
        fail_msg("%s", f->err.text);
    }
    return r;
}

static void topics_that_match_get_another_name(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *match, *to, *want;
    } cases[] = {
        {"shop\\.(.*)_\\d+", "all.$1", "all.order"}, /* the whole topic matches */
        {"shop\\.(.*)", "$1", "order_07"},
        {"order_07", "x", "shop.order_07"}, /* a part of it */
        {"(?<a>[^.]+)\\.(?<b>.*)", "${b}.${a}", "order_07.shop"},
        {"(.*)", "", "shop.order_07"}, /* no name is none */
    };
    f->event->aggregatetype = SLICE_LITERAL("order_07");
    for (size_t i = 0; i < N(cases); i++) {
        struct route *r = make_rewriting(f, "shop.{aggregatetype}", cases[i].match, cases[i].to);
        for (int twice = 0; twice < 2; twice++) {
            assert_int_equal(route_apply(r, f->event, &f->batch->arena, &f->err), 0);
            if (!slice_equal_str(f->event->topic, cases[i].want)) {
                fail_msg("%s: %.*s, want %s", cases[i].match, SLICE_FMT(f->event->topic),
                         cases[i].want);
            }
            assert_true(slice_equal_str(f->event->key, "42"));
        }
        assert_true(route_may_give(r, slice_from(cases[i].want)));
        route_free(r);
    }
    struct route *r = make_rewriting(f, "fixed", "f(.*)", "m$1");
    assert_string_equal(route_fixed_topic(r), "mixed");
    assert_int_equal(route_apply(r, f->event, &f->batch->arena, &f->err), 0);
    assert_true(slice_equal_str(f->event->topic, "mixed"));
    route_free(r);
}

/* Each event has its own: the last topic is remembered, not its name. */
static void rewritten_topics_are_each_events_own(void **state)
{
    struct fixture *f = *state;
    struct route *r = make_rewriting(f, "{aggregatetype}", "(.*)_\\d", "$1");
    static const char *const from[] = {"a_1", "b", "a_2", "b_1", "b_1"};
    static const char *const want[] = {"a", "b", "a", "b", "b"};
    struct slice topics[N(from)];
    for (size_t i = 0; i < N(from); i++) {
        f->event->aggregatetype = slice_from(from[i]);
        assert_int_equal(route_apply(r, f->event, &f->batch->arena, &f->err), 0);
        topics[i] = f->event->topic;
    }
    for (size_t i = 0; i < N(from); i++) {
        assert_true(slice_equal_str(topics[i], want[i]));
    }
    route_free(r);
}

static void a_rewritten_topic_is_checked(void **state)
{
    struct fixture *f = *state;
    static const char *const allow[] = {"outbox.*"};
    struct route_conf conf = {.topic = "{aggregatetype}",
                              .key = "",
                              .rewrite_match = "(.*)",
                              .rewrite_to = "in box.$1",
                              .allow_topics = allow,
                              .allow_topics_count = 1};
    struct route *r = NULL;
    assert_int_equal(route_new(&conf, &r, &f->err), 0);
    assert_int_equal(route_apply(r, f->event, &f->batch->arena, &f->err), RESULT_ERROR);
    assert_int_equal(f->err.class, ERROR_POISON);
    assert_true(slice_equal_str(f->event->topic, "in box.order"));
    route_free(r);
    conf.rewrite_to = "inbox.$1";
    assert_int_equal(route_new(&conf, &r, &f->err), 0);
    assert_int_equal(route_apply(r, f->event, &f->batch->arena, &f->err), RESULT_ERROR);
    assert_non_null(strstr(f->err.text, "not one of route.allow_topics"));
    route_free(r);
    conf.rewrite_to = "$2";
    assert_int_equal(route_new(&conf, &r, &f->err), RESULT_ERROR);
    assert_int_equal(f->err.class, ERROR_CONFIG);
    assert_non_null(strstr(f->err.text, "route.topic_rewrite: `$2` does not fit"));
}

static void a_topic_that_takes_too_long_is_poison_each_time(void **state)
{
    struct fixture *f = *state;
    static const char *const from[] = {"ax", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "ax"};
    const struct route_conf fixed = {
        .topic = from[1], .key = "", .rewrite_match = "(x+x+)+[yz]|ax", .rewrite_to = "b"};
    struct route *r = make_rewriting(f, "{aggregatetype}", fixed.rewrite_match, "b");
    for (size_t i = 0; i < N(from); i++) {
        bool slow = from[i][0] == 'x';
        f->event->aggregatetype = slice_from(from[i]);
        for (int twice = 0; twice < 2; twice++) {
            f->err.class = ERROR_CONFIG;
            assert_int_equal(route_apply(r, f->event, &f->batch->arena, &f->err), slow ? -1 : 0);
            assert_true(slice_equal_str(f->event->topic, slow ? from[i] : "b"));
            assert_int_equal(f->err.class, slow ? ERROR_POISON : ERROR_CONFIG);
        }
    }
    route_free(r);
    r = NULL;
    assert_int_equal(route_new(&fixed, &r, &f->err), RESULT_ERROR); /* of every event */
    assert_int_equal(f->err.class, ERROR_CONFIG);
}

/* Rows of several tables may have one key, so the key tells the table. */
static void a_key_can_tell_the_old_topic(void **state)
{
    struct fixture *f = *state;
    const struct change c = {.op = CHANGE_CREATE};
    static const char *const from[] = {"{\"id\":1}", "{}", NULL};
    static const char *const want[] = {"{\"id\":1,\"from\":\"order_1\"}", "{\"from\":\"order_1\"}",
                                       NULL};
    struct route_conf conf = {.changes = true,
                              .topic = "{aggregatetype}",
                              .rewrite_match = "order_\\d",
                              .rewrite_to = "orders",
                              .rewrite_key_field = "from"};
    struct route *r = NULL;
    const char *const *names;
    struct slice value = SLICE_LITERAL("order_1");
    assert_int_equal(route_new(&conf, &r, &f->err), 0);
    assert_int_equal(route_columns(r, &names), 1);
    f->event->change = &c;
    f->event->columns = &value;
    for (size_t i = 0; i < N(from); i++) {
        f->event->key = slice_from(from[i]);
        assert_int_equal(route_apply(r, f->event, &f->batch->arena, &f->err), 0);
        assert_int_equal(slice_is_null(f->event->key), !want[i]);
        assert_true(slice_equal(f->event->key, slice_from(want[i])));
    }
    value = SLICE_LITERAL("others"); /* stays, and so does the key */
    f->event->key = slice_from(from[0]);
    assert_int_equal(route_apply(r, f->event, &f->batch->arena, &f->err), 0);
    assert_true(slice_equal_str(f->event->key, from[0]));
    route_free(r);
}

int main(void)
{
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(templates_are_filled),
        CASE(nulls_in_keys),
        CASE(malformed_templates_are_refused),
        CASE(bad_topics_are_poison),
        CASE(a_null_beside_literals_is_poison),
        CASE(only_allowed_topics_pass),
        CASE(further_columns_are_asked_for_once),
        CASE(partitions_are_int32),
        CASE(topics_are_each_events_own),
        CASE(topics_that_match_get_another_name),
        CASE(rewritten_topics_are_each_events_own),
        CASE(a_rewritten_topic_is_checked),
        CASE(a_topic_that_takes_too_long_is_poison_each_time),
        CASE(a_key_can_tell_the_old_topic),
        cmocka_unit_test_setup_teardown(changes_go_to_their_table_s_topic, setup, teardown),
        cmocka_unit_test_setup_teardown(a_change_s_placeholders_are_the_row_s, setup, teardown),
        cmocka_unit_test_setup_teardown(a_name_alone_is_a_fixed_topic, setup, teardown),
        cmocka_unit_test_setup_teardown(the_topics_that_a_template_may_give, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
