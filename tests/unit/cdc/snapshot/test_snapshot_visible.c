/* snapshot_visible: a transaction is seen only if the server's snapshot says so, whatever its
 * epoch. */
#include "unit.h"

#include "cdc/snapshot/visible.h"

#include "base/result.h"

static void running_and_later_ones_are_not_seen(void **state)
{
    (void)state;
    CLEANUP(visible_release) struct visible v = {0};
    assert_true(visible_parse(&v, slice_from("10:20:10,14,19")));
    assert_true(visible_has(&v, 9));
    assert_false(visible_has(&v, 10));
    assert_true(visible_has(&v, 11));
    assert_false(visible_has(&v, 14));
    assert_false(visible_has(&v, 19));
    assert_false(visible_has(&v, 20));
    assert_false(visible_has(&v, 21));
    assert_true(visible_parse(&v, slice_from("30:30:")));
    assert_true(visible_has(&v, 19));
    assert_false(visible_has(&v, 30));
}

static void xids_wrap_around(void **state)
{
    (void)state;
    CLEANUP(visible_release) struct visible v = {0};
    /* 4294967300 is xid 4 of epoch 1; 4294967290 is of epoch 0 */
    assert_true(visible_parse(&v, slice_from("4294967290:4294967300:4294967290,4294967298")));
    assert_false(visible_has(&v, 4294967290U));
    assert_true(visible_has(&v, 4294967291U));
    assert_true(visible_has(&v, 3));
    assert_false(visible_has(&v, 2));
    assert_false(visible_has(&v, 4));
}

static void anything_else_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",      "1",       "1:",   ":1:",    "1:2:x",
        "1:2:,", "1:2:3,,", "a:2:", "1:2:3 ", "1:99999999999999999999:"};
    CLEANUP(visible_release) struct visible v = {0};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (visible_parse(&v, slice_from(texts[i]))) {
            fail_msg("\"%s\" was taken for a snapshot", texts[i]);
        }
    }
    assert_false(visible_parse(&v, SLICE_NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(running_and_later_ones_are_not_seen),
        cmocka_unit_test(xids_wrap_around),
        cmocka_unit_test(anything_else_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
