/* How far a stream is: never beyond a record that has not ended. And the names of batch files. */
#include "unit.h"

#include "consume/from/folder.h"
#include "consume/streams.h"
#include <stdlib.h>

static struct record *add(struct streams *s, const char *name, int64_t number)
{
    struct record *r = calloc(1, sizeof *r);
    assert_non_null(r);
    r->number = number;
    streams_add(s, streams_of(s, name), r);
    return r;
}

static void a_stream_moves_to_what_has_ended_from_its_start(void **state)
{
    (void)state;
    struct streams s = {0};
    struct record *a = add(&s, "x", 1), *b = add(&s, "x", 2), *c = add(&s, "x", 5);
    struct record *other = add(&s, "y", 9);
    struct stream *x = streams_find(&s, "x");
    assert_false(streams_done(&s, b));
    assert_int_equal(x->settled, 0);
    assert_true(streams_done(&s, a));
    assert_int_equal(x->settled, 2);
    assert_int_equal(s.records, 2);
    assert_true(streams_done(&s, other));
    assert_int_equal(x->settled, 2);
    assert_true(streams_done(&s, c));
    assert_int_equal(x->settled, 5);
    assert_int_equal(s.records, 0);
    streams_release(&s);
}

static void a_lost_stream_is_another_one_when_it_comes_back(void **state)
{
    (void)state;
    struct streams s = {0};
    struct record *a = add(&s, "x", 1);
    struct stream *was = streams_find(&s, "x");
    was->lost = true;
    assert_null(streams_find(&s, "x"));
    add(&s, "x", 1);
    assert_ptr_not_equal(streams_find(&s, "x"), was);
    assert_int_equal(s.count, 2);
    streams_tidy(&s);
    assert_int_equal(s.count, 2);
    (void)streams_done(&s, a);
    streams_tidy(&s);
    assert_int_equal(s.count, 1);
    streams_release(&s);
}

static void names_of_batch_files(void **state)
{
    (void)state;
    struct arena memory = {0};
    struct folder_file f;
    assert_true(folder_name("my-p-00000000000000000011-00000000000000000020.jsonl", &memory, &f));
    assert_string_equal(f.pipeline, "my-p");
    assert_int_equal(f.first, 11);
    assert_int_equal(f.last, 20);
    assert_string_equal(f.extension, ".jsonl");
    assert_true(folder_name("p-00000000000000000001-00000000000000000001.csv.gz", &memory, &f));
    assert_string_equal(f.extension, ".csv.gz");
    static const char *const none[] = {
        "p-00000000000000000001-00000000000000000001.jsonl.manifest.json",
        "p-00000000000000000002-00000000000000000001.jsonl",
        "p-00000000000000000000-00000000000000000001.jsonl",
        "-00000000000000000001-00000000000000000001.jsonl",
        "p-0000000000000000001-00000000000000000001.jsonl",
        "p-99999999999999999999-99999999999999999999.jsonl",
        "p-00000000000000000001-00000000000000000001",
        "readme.txt",
        ".jsonl",
    };
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        assert_false(folder_name(none[i], &memory, &f));
    }
    arena_release(&memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_moves_to_what_has_ended_from_its_start),
        cmocka_unit_test(a_lost_stream_is_another_one_when_it_comes_back),
        cmocka_unit_test(names_of_batch_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
