/* The lanes of the HTTP sink: of a key there is one request at a time, and nothing overtakes. */
#include "unit.h"

#include "sink/http/body.h"
#include "sink/http/queue.h"

#include <stdio.h>
#include <string.h>

enum { EVENTS = 64, CAP = 32 };

struct rig {
    struct http_queue q;
    struct event events[EVENTS];
    char keys[EVENTS][8];
    size_t added;
};

static struct rig *rig_new(struct rig *r)
{
    memset(r, 0, sizeof *r);
    http_queue_init(&r->q, CAP);
    return r;
}

/* Event i has the token i + 100. */
static bool add(struct rig *r, const char *key)
{
    struct event *e = &r->events[r->added];
    snprintf(r->keys[r->added], sizeof r->keys[0], "%s", key);
    e->key = *key ? slice_from(r->keys[r->added]) : SLICE_NULL;
    e->value = SLICE_LITERAL("1234");
    if (!http_queue_add(&r->q, e, r->added + 100, 0)) {
        return false;
    }
    r->added++;
    return true;
}

static bool all_fit(void *ctx, const struct http_entry *e)
{
    (void)ctx;
    return !e->alone;
}

/* Takes up to `most`, and compares the tokens, less 100, with `want`, ended by -1. */
static size_t take(struct rig *r, uint32_t *out, size_t most, const int *want)
{
    size_t n = http_queue_take(&r->q, out, most, all_fit, NULL), i = 0;
    for (; want[i] >= 0; i++) {
        assert_true(i < n);
        assert_int_equal(r->q.entries[out[i]].token, want[i] + 100);
    }
    assert_int_equal(n, i);
    return n;
}

#define TAKE(r, out, most, ...) take(r, out, most, (const int[]){__VA_ARGS__, -1})
#define TAKE_NONE(r, out) take(r, out, 9, (const int[]){-1})

static void a_key_waits_for_its_answer(void **state)
{
    struct rig r;
    uint32_t a[8], b[8];
    (void)state;
    rig_new(&r);
    add(&r, "a");
    add(&r, "a");
    add(&r, "b");
    TAKE(&r, a, 1, 0);
    TAKE(&r, b, 1, 2);
    TAKE_NONE(&r, a + 1);
    http_queue_done(&r.q, b, 1);
    TAKE_NONE(&r, b);
    http_queue_done(&r.q, a, 1);
    TAKE(&r, a, 1, 1);
    http_queue_done(&r.q, a, 1);
    assert_int_equal(r.q.count, 0);
    assert_int_equal(r.q.waiting, 0);
    assert_int_equal(r.q.waiting_bytes, 0);
    http_queue_release(&r.q);
}

static void a_batch_keeps_the_order_of_each_key(void **state)
{
    struct rig r;
    uint32_t a[8], b[8];
    (void)state;
    rig_new(&r);
    add(&r, "a");
    add(&r, "b");
    add(&r, "a");
    add(&r, "b");
    add(&r, "a");
    TAKE(&r, a, 4, 0, 2, 4, 1);
    add(&r, "a");
    TAKE_NONE(&r, b); /* both keys have a request */
    http_queue_done(&r.q, a, 4);
    TAKE(&r, b, 8, 5, 3);
    http_queue_release(&r.q);
}

static void what_is_given_back_goes_first(void **state)
{
    struct rig r;
    uint32_t a[8];
    (void)state;
    rig_new(&r);
    for (int i = 0; i < 3; i++) {
        add(&r, "a");
        add(&r, "b");
    }
    TAKE(&r, a, 4, 0, 2, 4, 1);
    http_queue_give_back(&r.q, a, 4, false);
    assert_int_equal(r.q.waiting, 6);
    TAKE(&r, a, 8, 0, 2, 4, 1, 3, 5);
    http_queue_give_back(&r.q, a, 2, true); /* 0 and 2: each alone now */
    http_queue_give_back(&r.q, a + 2, 4, false);
    http_queue_release(&r.q);
}

static void one_that_goes_alone_takes_none_along(void **state)
{
    struct rig r;
    uint32_t a[8];
    (void)state;
    rig_new(&r);
    add(&r, "a");
    add(&r, "a");
    add(&r, "b");
    TAKE(&r, a, 8, 0, 1, 2);
    http_queue_give_back(&r.q, a, 3, true);
    TAKE(&r, a, 8, 0);
    TAKE(&r, a, 8, 2);
    TAKE_NONE(&r, a);
    http_queue_release(&r.q);
}

static void nothing_behind_the_limit_is_taken(void **state)
{
    struct rig r;
    uint32_t a[8];
    (void)state;
    rig_new(&r);
    add(&r, "a");
    add(&r, "b");
    add(&r, "c");
    TAKE(&r, a, 1, 0);
    r.q.limit = 102; /* c is refused */
    assert_int_equal(http_queue_oldest(&r.q), 100);
    TAKE(&r, a + 1, 8, 1);
    assert_int_equal(http_queue_next(&r.q), HTTP_NONE);
    TAKE_NONE(&r, a + 2);
    http_queue_done(&r.q, a, 2);
    assert_int_equal(http_queue_oldest(&r.q), 102);
    http_queue_reset(&r.q);
    assert_int_equal(http_queue_oldest(&r.q), UINT64_MAX);
    http_queue_release(&r.q);
}

static void without_a_key_there_is_no_order_to_wait_for(void **state)
{
    struct rig r;
    uint32_t a[8];
    (void)state;
    rig_new(&r);
    add(&r, "");
    add(&r, "");
    TAKE(&r, a, 1, 0);
    TAKE(&r, a, 1, 1);
    http_queue_release(&r.q);
}

static void a_full_queue_says_so(void **state)
{
    struct rig r;
    uint32_t a[CAP];
    (void)state;
    rig_new(&r);
    for (int i = 0; i < CAP; i++) {
        assert_true(add(&r, i % 2 ? "a" : "b"));
    }
    assert_false(add(&r, "c"));
    size_t n = http_queue_take(&r.q, a, CAP, all_fit, NULL);
    assert_int_equal(n, CAP);
    assert_false(add(&r, "c"));
    http_queue_done(&r.q, a, 1);
    assert_true(add(&r, "c"));
    http_queue_reset(&r.q);
    assert_true(add(&r, "d"));
    http_queue_release(&r.q);
}

/* --- bodies --- */

static void bodies_of_several_events(void **state)
{
    struct event e[] = {{.value = SLICE_LITERAL("{\"a\":\n1}")}, {.value = SLICE_NULL}};
    static const char *const want[] = {[HTTP_ARRAY] = "[{\"a\":\n1},null]",
                                       [HTTP_LINES] = "{\"a\": 1}\nnull\n",
                                       [HTTP_CLOUDEVENTS] = "[{\"a\":\n1},null]"};
    struct http_conf c = {.batch.events = 2};
    (void)state;
    for (c.batch_format = HTTP_ARRAY; c.batch_format <= HTTP_CLOUDEVENTS; c.batch_format++) {
        CLEANUP(buf_release) struct buf out = {0};
        for (size_t i = 0; i < 2; i++) {
            http_body_add(&c, &out, i, &e[i]);
        }
        http_body_end(&c, &out);
        assert_string_equal(buf_str(&out), want[c.batch_format]);
    }
}

static void a_body_takes_what_it_can_hold(void **state)
{
    struct header type = {SLICE_LITERAL("content-type"),
                          SLICE_LITERAL("application/cloudevents+json; charset=UTF-8")};
    struct event json = {.value = SLICE_LITERAL("{}")}, text = {.value = SLICE_LITERAL("x")};
    struct event cloud = {
        .value = SLICE_LITERAL("{}"), .out_headers = &type, .out_headers_count = 1};
    struct http_conf c = {.batch_format = HTTP_ARRAY};
    struct error err;
    (void)state;
    assert_int_equal(http_body_check(&c, &json, &err), RESULT_DONE);
    assert_int_equal(http_body_check(&c, &text, &err), RESULT_ERROR);
    assert_int_equal(err.class, ERROR_POISON);
    c.batch_format = HTTP_CLOUDEVENTS;
    assert_int_equal(http_body_check(&c, &cloud, &err), RESULT_DONE);
    assert_int_equal(http_body_check(&c, &json, &err), RESULT_ERROR);
    assert_int_equal(err.class, ERROR_CONFIG);
}

static void a_value_says_what_it_is(void **state)
{
    struct event e = {.payload = SLICE_LITERAL("x"), .payload_kind = PAYLOAD_TEXT};
    (void)state;
    e.value = e.payload;
    assert_string_equal(http_value_type(&e), "text/plain; charset=utf-8");
    e.payload_kind = PAYLOAD_BYTES;
    assert_string_equal(http_value_type(&e), "application/octet-stream");
    e.payload_kind = PAYLOAD_JSON;
    assert_string_equal(http_value_type(&e), "application/json");
    e.payload_kind = PAYLOAD_TEXT;
    e.value = e.payload = SLICE_LITERAL("{\"a\":1}"); /* SQLite's */
    assert_string_equal(http_value_type(&e), "application/json");
    e.payload_kind = PAYLOAD_BYTES;
    e.value = SLICE_LITERAL("{\"payload_base64\":\"eA==\"}");
    assert_string_equal(http_value_type(&e), "application/json");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_waits_for_its_answer),
        cmocka_unit_test(a_batch_keeps_the_order_of_each_key),
        cmocka_unit_test(what_is_given_back_goes_first),
        cmocka_unit_test(one_that_goes_alone_takes_none_along),
        cmocka_unit_test(nothing_behind_the_limit_is_taken),
        cmocka_unit_test(without_a_key_there_is_no_order_to_wait_for),
        cmocka_unit_test(a_full_queue_says_so),
        cmocka_unit_test(bodies_of_several_events),
        cmocka_unit_test(a_body_takes_what_it_can_hold),
        cmocka_unit_test(a_value_says_what_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
