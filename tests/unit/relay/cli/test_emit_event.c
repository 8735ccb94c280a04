/* Sample events: numbered without a gap within each key, ids that never repeat. */
#include "unit.h"

#include "cli/emit_event.h"
#include "value/json.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void test_numbers_and_shape(void **state)
{
    (void)state;
    enum { KEYS = 7, EVENTS = 500 };
    unsigned seen[KEYS + 1] = {0};
    struct emit_generator g;
    struct emit_event e = {0};
    emit_generator_init(&g, KEYS);
    for (int i = 0; i < EVENTS; i++) {
        char want[64];
        enum json_kind kind;
        size_t fault;
        emit_generate(&g, &e);
        unsigned key = (unsigned)strtoul(e.aggregateid + strlen("order-"), NULL, 10);
        assert_in_range(key, 1, KEYS);
        snprintf(want, sizeof want, "{\"order_id\": \"order-%u\", \"n\": %u,", key, ++seen[key]);
        assert_int_equal(strncmp(buf_str(&e.payload), want, strlen(want)), 0);
        assert_true(json_check(buf_slice(&e.payload), &kind, &fault));
        assert_true(json_check(buf_slice(&e.headers), &kind, &fault));
        assert_int_equal(kind, JSON_IS_OBJECT);
        assert_string_equal(e.type, seen[key] % 4 == 1   ? "OrderCreated"
                                    : seen[key] % 4 == 2 ? "OrderPaid"
                                    : seen[key] % 4 == 3 ? "OrderShipped"
                                                         : "OrderDelivered");
    }
    for (int key = 1; key <= KEYS; key++) {
        assert_true(seen[key] > 0);
    }
    emit_event_release(&e);
    emit_generator_release(&g);
}

static void test_ids(void **state)
{
    (void)state;
    struct emit_generator g;
    struct emit_event a = {0}, b = {0};
    emit_generator_init(&g, 1);
    emit_generate(&g, &a);
    emit_generate(&g, &b);
    assert_string_not_equal(a.id, b.id);
    assert_int_equal(strlen(a.id), 36);
    assert_int_equal(a.id[14], '4');
    assert_non_null(strchr("89ab", a.id[19]));
    emit_event_release(&a);
    emit_event_release(&b);
    emit_generator_release(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_numbers_and_shape),
                                       cmocka_unit_test(test_ids)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
