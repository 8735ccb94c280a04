/* The hash is the published one: values of it are stored. */
#include "unit.h"

#include "base/fnv1a.h"

static void it_is_the_published_one(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t hash;
    } published[] = {{"", UINT64_C(0xcbf29ce484222325)},
                     {"a", UINT64_C(0xaf63dc4c8601ec8c)},
                     {"foobar", UINT64_C(0x85944171f73967e8)}};
    for (size_t i = 0; i < sizeof published / sizeof *published; i++) {
        assert_true(fnv1a_add(FNV1A_START, slice_from(published[i].text)) == published[i].hash);
    }
    assert_true(fnv1a_byte(FNV1A_START, 'a') == published[1].hash);
    assert_true(fnv1a_add(fnv1a_add(FNV1A_START, slice_from("foo")), slice_from("bar")) ==
                published[2].hash);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(it_is_the_published_one)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
