/* Our outbox events with `headers: [id]` are what Debezium's outbox router sent for the same rows.
 */
#include "debezium_golden.h"
#include "formats.h"

#include "message/encode.h"
#include "message/route.h"

/* The columns of the script's table. */
enum { ID, AGGREGATETYPE, AGGREGATEID, TYPE, PAYLOAD };

static struct event event_of(json_t *row)
{
    return (struct event){
        .id = text_of(json_array_get(row, ID)),
        .aggregatetype = text_of(json_array_get(row, AGGREGATETYPE)),
        .aggregateid = text_of(json_array_get(row, AGGREGATEID)),
        .type = text_of(json_array_get(row, TYPE)),
        .payload = text_of(json_array_get(row, PAYLOAD)),
        .created_at_us = TIME_NONE,
        .partition = -1,
        .timestamp_us = TIME_NONE,
    };
}

static bool same(struct slice got, json_t *want)
{
    struct slice text = text_of(want);
    return slice_is_null(got) == slice_is_null(text) && slice_equal(got, text);
}

static void compare(const struct route *route, struct arena *arena, json_t *row, json_t *want)
{
    static const char *const headers[] = {"id"};
    const struct encode_conf conf = {
        .format = &format_payload, .headers = headers, .headers_count = 1};
    struct event e = event_of(row);
    struct error err;
    json_t *want_headers = json_object_get(want, "headers");
    assert_int_equal(route_apply(route, &e, arena, &err), RESULT_DONE);
    assert_int_equal(encode_message(&conf, &e, arena, &err), RESULT_DONE);
    assert_true(same(e.topic, json_object_get(want, "topic")));
    assert_true(same(e.key, json_object_get(want, "key")));
    assert_true(same(e.value, json_object_get(want, "value")));
    assert_int_equal(e.out_headers_count, json_object_size(want_headers));
    assert_true(slice_equal_str(e.out_headers[0].name, "id"));
    assert_true(same(e.out_headers[0].value, json_object_get(want_headers, "id")));
}

static void rows_of_the_standard_table(void **state UNUSED)
{
    const struct route_conf conf = {.topic = "outbox.event.{aggregatetype}",
                                    .key = "{aggregateid}",
                                    .partition = "",
                                    .timestamp = "now"};
    struct route *route;
    struct error err;
    struct arena arena;
    json_t *lines = load_lines("outbox"), *line;
    size_t i, compared = 0;
    arena_init(&arena);
    assert_int_equal(route_new(&conf, &route, &err), RESULT_DONE);
    json_array_foreach(lines, i, line)
    {
        json_t *want = json_object_get(json_object_get(line, "expect"), "router");
        json_t *row = json_object_get(json_object_get(line, "change"), "after");
        if (json_is_object(want) && row) {
            compare(route, &arena, row, want);
            compared++;
        }
    }
    assert_int_equal(compared, 5);
    route_free(route);
    arena_release(&arena);
    json_decref(lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rows_of_the_standard_table)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
