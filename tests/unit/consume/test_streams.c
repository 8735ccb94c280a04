/* How far a stream is: never beyond a record that has not ended. And the names of batch
 * files, and steps back. */
#include "unit.h"

#include "consume/apply/steps.h"
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

static void a_step_back_is_noticed(void **state)
{
    static struct steps steps;
    (void)state;
    struct record r = {.key = SLICE_LITERAL("k"), .order = 7, .position = SLICE_LITERAL("0/1F")};
    assert_false(steps_note(&steps, &r));
    assert_false(steps_note(&steps, &r)); /* several of one transaction */
    r.position = SLICE_LITERAL("0/1E:3.1");
    assert_true(steps_note(&steps, &r));
    r.order = 7 + STEPS_KEYS; /* another key in the same place */
    assert_false(steps_note(&steps, &r));
    r.position = SLICE_LITERAL("x");
    assert_false(steps_note(&steps, &r));
    r.position = SLICE_NULL;
    assert_false(steps_note(&steps, &r));
}

static void positions_as_numbers(void **state)
{
    static const struct {
        const char *text;
        bool valid;
        uint64_t number;
    } texts[] = {{"42", true, 42},          {"1/2A", true, (1ULL << 32) + 42},
                 {"0/10:2.1", true, 16},    {"", false, 0},
                 {"42x", false, 0},         {"/1", false, 0},
                 {"1/", false, 0},          {"1/2 ", false, 0},
                 {"100000000/1", false, 0}, {"99999999999999999999", false, 0}};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        uint64_t n = 0;
        assert_int_equal(steps_position(slice_from(texts[i].text), &n), texts[i].valid);
        assert_true(!texts[i].valid || n == texts[i].number);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_moves_to_what_has_ended_from_its_start),
        cmocka_unit_test(a_lost_stream_is_another_one_when_it_comes_back),
        cmocka_unit_test(names_of_batch_files),
        cmocka_unit_test(a_step_back_is_noticed),
        cmocka_unit_test(positions_as_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
