/* The set of parked keys, against a plain list. */
#include "unit.h"

#include "pipeline/parked.h"
#include <stdio.h>
#include <stdlib.h>

enum { KEYS = 300 };

static struct slice key_of(unsigned n, char out[16])
{
    snprintf(out, 16, "k%u", n);
    return slice_from(out);
}

static void holds_what_was_added_and_no_more(void **state)
{
    (void)state;
    struct parked s = {0};
    int64_t want[KEYS] = {0}; /* letter + 1; 0: not parked */
    char text[16];
    srand(7);
    assert_null(parked_find(&s, SLICE_LITERAL("k1")));
    for (unsigned step = 0; step < 20000; step++) {
        unsigned n = (unsigned)rand() % KEYS;
        struct slice key = key_of(n, text);
        if (rand() % 3) {
            int64_t letter = rand() % 5;
            parked_add(&s, key, letter);
            want[n] = letter + 1;
        } else {
            parked_remove(&s, key);
            want[n] = 0;
        }
        if (step % 500 == 0) {
            size_t count = 0, released = 0;
            for (unsigned i = 0; i < KEYS; i++) {
                const struct parked_key *k = parked_find(&s, key_of(i, text));
                assert_int_equal(k ? k->letter + 1 : 0, want[i]);
                count += want[i] != 0;
                released += want[i] == 1;
            }
            assert_int_equal(s.count, count);
            assert_int_equal(s.released, released);
            assert_int_equal(parked_released(&s) != NULL, released > 0);
            assert_true(s.size >= 2 * s.count);
        }
    }
    parked_clear(&s);
    assert_int_equal(s.count, 0);
}

static void a_letter_releases_its_key(void **state)
{
    (void)state;
    struct parked s = {0};
    parked_add(&s, SLICE_LITERAL("a"), 5);
    parked_add(&s, SLICE_LITERAL("b"), 3);
    parked_add(&s, SLICE_LITERAL(""), 9); /* a key without a byte is one too */
    assert_null(parked_released(&s));
    assert_int_equal(parked_oldest(&s), 3);
    assert_false(parked_release(&s, 4));
    assert_false(parked_release(&s, 0));
    assert_true(parked_release(&s, 3));
    assert_false(parked_release(&s, 3));
    assert_true(slice_equal_str(parked_released(&s)->key, "b"));
    assert_int_equal(parked_oldest(&s), 5);
    assert_non_null(parked_find(&s, SLICE_LITERAL("")));
    parked_add(&s, SLICE_LITERAL("b"), 11);
    assert_null(parked_released(&s));
    parked_clear(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_what_was_added_and_no_more),
        cmocka_unit_test(a_letter_releases_its_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
