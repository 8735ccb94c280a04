/* The last event of a row decides, wherever it lies, and says once what is wrong with the row. */
#include "unit.h"

#include "base/clock.h"
#include "cli/verify_change.h"
#include "cli/verify_last.h"

enum { FIRST = 1 }; /* the name of the only column, whose values are even */

struct fixture {
    struct verify_sort *sort;
    struct verify_seen seen;
    struct verify_counts counts;
    struct buf told;
};

static int tell(void *ctx, const struct verify_difference *d, struct error *err)
{
    struct fixture *f = ctx;
    (void)err;
    assert_int_equal(d->position, INT64_MIN);
    buf_printf(&f->told, "%s %.*s (%s)\n", verify_words[d->what],
               SLICE_FMT(slice_is_null(d->id) ? SLICE_LITERAL("-") : d->id), d->where);
    return RESULT_DONE;
}

static void begin(struct fixture *f)
{
    struct error err;
    *f = (struct fixture){.sort = NULL};
    if (verify_sort_new(&f->sort, &err)) {
        fail_msg("%s", err.text);
    }
}

static void end(struct fixture *f)
{
    verify_sort_free(f->sort);
    verify_seen_release(&f->seen);
    buf_release(&f->told);
}

static void add(struct fixture *f, const struct verify_item *item, const char *place)
{
    struct error err;
    assert_int_equal(verify_sort_add(f->sort, item, place, &err), RESULT_DONE);
}

static void row(struct fixture *f, const char *id, uint64_t value)
{
    const struct verify_column column = {FIRST, 2 * value};
    add(f,
        &(struct verify_item){.id = slice_from(id),
                              .side = VERIFY_ROW,
                              .digest = {(const char *)&column, sizeof column},
                              .created_us = TIME_NONE},
        NULL);
}

static void event(struct fixture *f, const char *id, enum verify_op op, uint64_t value,
                  const char *when, int64_t number)
{
    const struct verify_column column = {FIRST, 2 * value};
    add(f,
        &(struct verify_item){.id = id ? slice_from(id) : SLICE_NULL,
                              .side = VERIFY_COPY,
                              .op = (int)op,
                              .digest = {(const char *)&column, sizeof column},
                              .when = when ? slice_from(when) : SLICE_NULL,
                              .created_us = TIME_NONE,
                              .number = number},
        "t [0] at");
}

static void judge(struct fixture *f)
{
    struct error err;
    const struct verify_last v = {
        .sort = f->sort, .seen = &f->seen, .tell = tell, .ctx = f, .stop_fd = -1};
    buf_clear(&f->told);
    buf_add_str(&f->told, "");
    if (verify_last(&v, &f->counts, &err)) {
        fail_msg("%s", err.text);
    }
}

static void test_each_kind(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    row(&f, "s.t\n1", 5);
    event(&f, "s.t\n1", VERIFY_UPSERT, 5, "2", 0); /* the later one lies before the earlier one */
    event(&f, "s.t\n1", VERIFY_UPSERT, 4, "1", 1);
    row(&f, "s.t\n2", 5);
    event(&f, "s.t\n2", VERIFY_UPSERT, 5, "1", 2);
    event(&f, "s.t\n2", VERIFY_UPSERT, 6, "2", 3);
    row(&f, "s.t\n3", 5);
    row(&f, "s.t\n4", 5);
    event(&f, "s.t\n4", VERIFY_UPSERT, 5, "1", 4);
    event(&f, "s.t\n4", VERIFY_DELETE, 0, "2", 5);
    event(&f, "s.t\n5", VERIFY_UPSERT, 5, "1", 6);
    event(&f, "s.t\n6", VERIFY_UPSERT, 5, "1", 7);
    event(&f, "s.t\n6", VERIFY_DELETE, 0, "2", 8);
    row(&f, "s.t\n7", 5);
    event(&f, "s.t\n7", VERIFY_UPSERT, 5, "1", 9);
    event(&f, "s.t\n7", VERIFY_UPSERT, 5, "1", 10);
    event(&f, "phantom", VERIFY_NOTHING, 0, NULL, 11);
    event(&f, NULL, VERIFY_NOTHING, 0, NULL, 12);
    judge(&f);
    assert_string_equal(buf_str(&f.told), "extra - (t [0] at 12)\n"
                                          "extra phantom (t [0] at 11)\n"
                                          "different s.t 2 (t [0] at 3)\n"
                                          "missing s.t 3 ()\n"
                                          "missing s.t 4 (t [0] at 5)\n"
                                          "extra s.t 5 (t [0] at 6)\n"
                                          "duplicated s.t 7 (t [0] at 9, t [0] at 10)\n");
    assert_int_equal(f.counts.rows, 5);
    assert_int_equal(f.counts.differences[VERIFY_EXTRA], 3);
    assert_int_equal(f.counts.differences[VERIFY_MISSING], 2);
    end(&f);
}

static void test_a_table_that_was_emptied(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    event(&f, "s.t\n1", VERIFY_UPSERT, 5, "1", 0);
    event(&f, "s.t\n2", VERIFY_UPSERT, 5, "3", 1);
    event(&f, "s.other\n1", VERIFY_UPSERT, 5, "1", 2);
    strcpy(verify_seen_table(&f.seen, SLICE_LITERAL("s.t"))->truncated, "2");
    judge(&f);
    assert_string_equal(buf_str(&f.told), "extra s.other 1 (t [0] at 2)\n"
                                          "extra s.t 2 (t [0] at 1)\n");
    end(&f);
}

static void test_values_are_taken_from_the_event_before(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    row(&f, "s.t\n1", 5);
    event(&f, "s.t\n1", VERIFY_UPSERT, 5, "1", 0);
    event(&f, "s.t\n1", VERIFY_UPSERT, VERIFY_UNSENT, "2", 1);
    row(&f, "s.t\n2", 5); /* the insert of this row has expired */
    event(&f, "s.t\n2", VERIFY_UPSERT, VERIFY_UNSENT, "2", 2);
    row(&f, "s.t\n3", 5); /* what was before the delete is nothing */
    event(&f, "s.t\n3", VERIFY_UPSERT, 4, "1", 3);
    event(&f, "s.t\n3", VERIFY_DELETE, 0, "2", 4);
    event(&f, "s.t\n3", VERIFY_UPSERT, VERIFY_UNSENT, "3", 5);
    judge(&f);
    assert_string_equal(buf_str(&f.told), "");
    assert_int_equal(f.counts.not_comparable, 2);
    end(&f);
}

static void test_a_dead_letter_is_no_difference(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    for (int i = 0; i < 2; i++) {
        add(&f,
            &(struct verify_item){.id = slice_from(i ? "s.t\n1" : "s.t\n2"),
                                  .side = VERIFY_LETTER,
                                  .created_us = TIME_NONE},
            NULL);
    }
    row(&f, "s.t\n1", 5);
    event(&f, "s.t\n1", VERIFY_UPSERT, 4, "1", 0);
    row(&f, "s.t\n2", 5); /* a later event has mended it */
    event(&f, "s.t\n2", VERIFY_UPSERT, 5, "1", 1);
    judge(&f);
    assert_string_equal(buf_str(&f.told), "");
    assert_int_equal(f.counts.letters, 1);
    end(&f);
}

/* A row of which no message can be made. */
static void test_a_row_that_is_not_known(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    add(&f,
        &(struct verify_item){
            .id = SLICE_LITERAL("s.t\n1"), .side = VERIFY_ROW, .created_us = TIME_NONE},
        NULL);
    event(&f, "s.t\n1", VERIFY_UPSERT, 4, "1", 0);
    judge(&f);
    assert_string_equal(buf_str(&f.told), "");
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_kind),
        cmocka_unit_test(test_a_table_that_was_emptied),
        cmocka_unit_test(test_values_are_taken_from_the_event_before),
        cmocka_unit_test(test_a_dead_letter_is_no_difference),
        cmocka_unit_test(test_a_row_that_is_not_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
