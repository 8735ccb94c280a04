/* A broker may have any number of topics. */
#include "unit.h"

#include "base/result.h"
#include "cli/verify_topics.h"
#include <stdio.h>

static void test_all_topics_are_known(void **state UNUSED)
{
    enum { MANY = 20001 };
    CLEANUP(verify_topics_release) struct verify_topics t = {0};
    char name[16];
    for (int twice = 0; twice < 2; twice++) {
        for (int i = MANY; i-- > 0;) {
            snprintf(name, sizeof name, "t%d", i);
            verify_topics_add(&t, slice_from(name));
        }
    }
    assert_int_equal(t.count, MANY);
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "t%d", i);
        assert_true(verify_topics_have(&t, slice_from(name)));
    }
    assert_false(verify_topics_have(&t, SLICE_LITERAL("t")));
    assert_false(verify_topics_have(&t, SLICE_LITERAL("t10x")));
    assert_false(verify_topics_have(&t, SLICE_LITERAL("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_all_topics_are_known)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
