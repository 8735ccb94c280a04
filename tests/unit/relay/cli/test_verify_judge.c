/* Of what has one event id `verify` says what is wrong with it, and says it once. */
#include "unit.h"

#include "base/clock.h"
#include "cli/verify_judge.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 2000 };

/* A comparison: the items, a table that holds the ids from `known_from` to `known_to` as numbers,
 * and what was told. */
struct fixture {
    struct verify_sort *sort;
    struct verify_counts counts;
    struct buf told;
    long known_from, known_to;
    struct verify_removed removed;
    size_t questions;
};

static int find_known(void *ctx, const char *const *ids, size_t n, bool *ret_there,
                      struct error *err UNUSED)
{
    struct fixture *f = ctx;
    f->questions++;
    for (size_t i = 0; i < n; i++) {
        char *end;
        long id = strtol(ids[i], &end, 10);
        assert_true(i == 0 || strcmp(ids[i - 1], ids[i]) < 0);
        ret_there[i] = end > ids[i] && id >= f->known_from && id <= f->known_to;
    }
    return RESULT_DONE;
}

static int removed(void *ctx, struct verify_removed *ret, struct error *err UNUSED)
{
    const struct fixture *f = ctx;
    *ret = f->removed;
    return RESULT_DONE;
}

static int tell(void *ctx, const struct verify_difference *d, struct error *err UNUSED)
{
    struct fixture *f = ctx;
    buf_printf(&f->told, "%s %.*s", verify_words[d->what],
               SLICE_FMT(slice_is_null(d->id) ? SLICE_LITERAL("-") : d->id));
    if (d->position != INT64_MIN) {
        buf_printf(&f->told, " #%lld", (long long)d->position);
    }
    buf_printf(&f->told, " (%s)\n", d->where);
    return RESULT_DONE;
}

static void begin(struct fixture *f)
{
    struct error err;
    *f = (struct fixture){.removed.before_us = INT64_MIN, .known_to = -1};
    if (verify_sort_new(&f->sort, &err)) {
        fail_msg("%s", err.text);
    }
}

static const char *digest_of(char letter)
{
    static char text[VERIFY_DIGEST + 1];
    memset(text, letter, VERIFY_DIGEST);
    return text;
}

static void add(struct fixture *f, const struct verify_item *item, const char *place)
{
    struct error err;
    assert_int_equal(verify_sort_add(f->sort, item, place, &err), RESULT_DONE);
}

static void row(struct fixture *f, const char *id, char digest, int64_t position)
{
    add(f,
        &(struct verify_item){.id = slice_from(id),
                              .side = VERIFY_ROW,
                              .digest = slice_from(digest_of(digest)),
                              .created_us = TIME_NONE,
                              .number = position},
        NULL);
}

static void copy(struct fixture *f, const char *id, char digest, int64_t number)
{
    add(f,
        &(struct verify_item){.id = id ? slice_from(id) : SLICE_NULL,
                              .side = VERIFY_COPY,
                              .digest = slice_from(digest_of(digest)),
                              .created_us = TIME_NONE,
                              .number = number},
        "t [0] at");
}

static void letter(struct fixture *f, const char *id, int64_t edits)
{
    add(f,
        &(struct verify_item){
            .id = slice_from(id), .side = VERIFY_LETTER, .created_us = TIME_NONE, .number = edits},
        NULL);
}

static void judge_range(struct fixture *f, const struct source_range *range)
{
    struct error err;
    const struct verify_judge j = {.sort = f->sort,
                                   .range = range,
                                   .find = find_known,
                                   .removed = removed,
                                   .tell = tell,
                                   .ctx = f,
                                   .stop_fd = -1};
    if (verify_judge(&j, &f->counts, &err)) {
        fail_msg("%s", err.text);
    }
}

static void judge(struct fixture *f)
{
    const struct source_range all = SOURCE_RANGE_ALL;
    judge_range(f, &all);
}

static void end(struct fixture *f)
{
    verify_sort_free(f->sort);
    buf_release(&f->told);
}

static void test_each_kind(void **state UNUSED)
{
    struct fixture f;
    begin(&f);
    copy(&f, "twice", 'a', 9);
    copy(&f, "phantom", 'a', 8);
    copy(&f, NULL, 'a', 7);
    copy(&f, NULL, 'b', 6);
    copy(&f, "well", 'a', 1);
    copy(&f, "changed", 'b', 2);
    copy(&f, "twice", 'a', 3);
    copy(&f, "both", 'a', 4);
    copy(&f, "both", 'b', 5);
    row(&f, "well", 'a', 1);
    row(&f, "changed", 'a', 2);
    row(&f, "twice", 'a', 3);
    row(&f, "gone", 'a', 4);
    row(&f, "both", 'a', 5);
    judge(&f);
    assert_string_equal(buf_str(&f.told), "extra - (t [0] at 6)\n"
                                          "extra - (t [0] at 7)\n"
                                          "duplicated both #5 (t [0] at 4, t [0] at 5)\n"
                                          "different both #5 (t [0] at 5)\n"
                                          "different changed #2 (t [0] at 2)\n"
                                          "missing gone #4 ()\n"
                                          "duplicated twice #3 (t [0] at 3, t [0] at 9)\n"
                                          "extra phantom (t [0] at 8)\n");
    assert_true(f.counts.rows == 5 && f.counts.copies == 9 && f.counts.outside == 0);
    end(&f);
}

static void test_what_is_no_difference(void **state UNUSED)
{
    struct fixture f;
    begin(&f);
    row(&f, "letter", 'a', 1);
    letter(&f, "letter", 0);
    row(&f, "edited", 'a', 2);
    letter(&f, "edited", 1);
    copy(&f, "edited", 'b', 1);
    letter(&f, "letter of another range", 0);
    copy(&f, "letter of another range", 'a', 2);
    row(&f, "replayed", 'a', 3);
    copy(&f, "replayed", 'a', 3);
    struct verify_item again = {.id = SLICE_LITERAL("replayed"),
                                .side = VERIFY_COPY,
                                .digest = slice_from(digest_of('a')),
                                .created_us = TIME_NONE,
                                .replayed = true,
                                .number = 4};
    add(&f, &again, "t [0] at");
    add(&f, &again, "t [0] at");
    row(&f, "only replayed", 'a', 4);
    again.id = SLICE_LITERAL("only replayed");
    add(&f, &again, "t [0] at");
    struct verify_item unknown = {.id = SLICE_LITERAL("no message"),
                                  .side = VERIFY_ROW,
                                  .created_us = TIME_NONE,
                                  .number = 5};
    add(&f, &unknown, NULL);
    copy(&f, "no message", 'a', 5);
    judge(&f);
    assert_string_equal(buf_str(&f.told), "");
    assert_true(f.counts.letters == 1 && f.counts.replayed == 2 && f.counts.outside == 1);
    end(&f);
}

static void test_strangers_are_looked_up_together(void **state UNUSED)
{
    struct fixture f;
    begin(&f);
    f.known_from = 1;
    f.known_to = MOST;
    for (long i = 0; i < MOST; i++) { /* 0 is in no row */
        char id[24];
        snprintf(id, sizeof id, "%ld", i);
        copy(&f, id, 'a', i);
    }
    judge(&f);
    assert_string_equal(buf_str(&f.told), "extra 0 (t [0] at 0)\n");
    assert_int_equal(f.counts.outside, MOST - 1);
    assert_true(f.questions < 40);
    end(&f);
}

static void test_the_age_of_strangers(void **state UNUSED)
{
    struct fixture f;
    struct source_range range = SOURCE_RANGE_ALL;
    range.from_us = 100;
    range.to_us = 200;
    begin(&f);
    f.removed.before_us = 120;
    static const struct {
        const char *id;
        int64_t created_us;
        bool late;
    } items[] = {{"before", 99, false},  {"pruned", 110, false}, {"inside", 150, false},
                 {"behind", 201, false}, {"late", 300, true},    {"late and before", 50, true}};
    for (size_t i = 0; i < sizeof items / sizeof *items; i++) {
        add(&f,
            &(struct verify_item){.id = slice_from(items[i].id),
                                  .side = VERIFY_COPY,
                                  .created_us = items[i].created_us,
                                  .late = items[i].late,
                                  .number = (int64_t)i},
            "t [0] at");
    }
    judge_range(&f, &range);
    assert_string_equal(buf_str(&f.told), "extra inside (t [0] at 2)\nextra late (t [0] at 4)\n");
    assert_true(f.counts.outside == 3 && f.counts.not_comparable == 1);
    end(&f);
}

/* An inbox knows when an event was received, and a topic without created_at when it was sent: after
 * a prune nothing can be said of what is in no row. */
static void test_a_prune_and_events_of_unknown_age(void **state UNUSED)
{
    const struct source_range all = SOURCE_RANGE_ALL;
    for (int pruned = 0; pruned < 2; pruned++) {
        struct fixture f;
        begin(&f);
        f.removed = (struct verify_removed){.before_us = 120, .pruned = pruned};
        for (int i = 0; i < 3; i++) {
            add(&f,
                &(struct verify_item){.id = i == 2 ? SLICE_NULL
                                            : i    ? SLICE_LITERAL("young")
                                                   : SLICE_LITERAL("received late"),
                                      .side = VERIFY_COPY,
                                      .created_us = i == 2 ? TIME_NONE : 300,
                                      .late = i != 1,
                                      .number = i},
                "t [0] at");
        }
        judge_range(&f, &all);
        assert_string_equal(buf_str(&f.told), pruned ? "extra young (t [0] at 1)\n"
                                                     : "extra - (t [0] at 2)\n"
                                                       "extra received late (t [0] at 0)\n"
                                                       "extra young (t [0] at 1)\n");
        assert_int_equal(f.counts.not_comparable, pruned ? 2 : 0);
        end(&f);
    }
}

/* Of two that are asked for together, one is in the table twice, and the other one not at all. */
static void test_an_id_stands_for_no_other(void **state UNUSED)
{
    struct fixture f;
    begin(&f);
    f.known_from = f.known_to = 7;
    copy(&f, "7", 'a', 1);
    copy(&f, "8", 'a', 2);
    judge(&f);
    assert_string_equal(buf_str(&f.told), "extra 8 (t [0] at 2)\n");
    assert_true(f.counts.outside == 1 && f.questions == 1);
    end(&f);
}

static void test_rows_of_one_id(void **state UNUSED)
{
    struct fixture f;
    begin(&f);
    row(&f, "both there", 'a', 1);
    row(&f, "both there", 'b', 2);
    copy(&f, "both there", 'b', 1);
    copy(&f, "both there", 'a', 2);
    row(&f, "one there", 'a', 3);
    row(&f, "one there", 'b', 4);
    copy(&f, "one there", 'a', 3);
    row(&f, "three there", 'a', 5);
    row(&f, "three there", 'a', 6);
    copy(&f, "three there", 'a', 4);
    copy(&f, "three there", 'a', 5);
    copy(&f, "three there", 'c', 6);
    judge(&f);
    assert_string_equal(buf_str(&f.told), "missing one there #4 ()\n"
                                          "duplicated three there #5 (t [0] at 4, t [0] at 5, "
                                          "t [0] at 6)\n"
                                          "different three there #5 (t [0] at 6)\n");
    assert_int_equal(f.counts.rows, 6);
    end(&f);
}

/* A row without an id is poison; it is no copy of anything. */
static void test_a_row_without_an_id(void **state UNUSED)
{
    struct fixture f;
    begin(&f);
    add(&f,
        &(struct verify_item){
            .id = SLICE_NULL, .side = VERIFY_ROW, .created_us = TIME_NONE, .number = 1},
        NULL);
    copy(&f, NULL, 'a', 1);
    judge(&f);
    assert_string_equal(buf_str(&f.told), "extra - (t [0] at 1)\n");
    assert_true(f.counts.rows == 1 && f.counts.copies == 1 && f.counts.letters == 1);
    end(&f);
}

static void test_an_empty_table_tells_nothing(void **state UNUSED)
{
    struct fixture f;
    begin(&f);
    f.removed.before_us = INT64_MAX;
    copy(&f, "a", 'a', 1);
    copy(&f, NULL, 'a', 2);
    judge(&f);
    assert_string_equal(buf_str(&f.told), "");
    assert_true(f.counts.not_comparable == 2 && f.counts.copies == 2);
    end(&f);
}

static void test_what_is_missing_is_kept_in_order(void **state UNUSED)
{
    struct fixture f;
    struct error err;
    CLEANUP(buf_release) struct buf ids = {0};
    int64_t after = INT64_MIN;
    size_t count;
    begin(&f);
    for (int64_t i = 9; i > 0; i--) {
        char id[24];
        snprintf(id, sizeof id, "id %lld", (long long)(10 - i));
        row(&f, id, 'a', i);
    }
    judge(&f);
    assert_int_equal(f.counts.differences[VERIFY_MISSING], 9);
    assert_int_equal(verify_sort_missing(f.sort, &after, 5, &ids, &count, &err), RESULT_DONE);
    assert_true(count == 5 && after == 5);
    assert_memory_equal(ids.data, "id 9\0id 8\0id 7\0id 6\0id 5", 25);
    buf_clear(&ids);
    assert_int_equal(verify_sort_missing(f.sort, &after, 5, &ids, &count, &err), RESULT_DONE);
    assert_true(count == 4 && after == 9);
    assert_string_equal(buf_str(&ids), "id 4");
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_kind),
        cmocka_unit_test(test_what_is_no_difference),
        cmocka_unit_test(test_strangers_are_looked_up_together),
        cmocka_unit_test(test_the_age_of_strangers),
        cmocka_unit_test(test_a_prune_and_events_of_unknown_age),
        cmocka_unit_test(test_an_id_stands_for_no_other),
        cmocka_unit_test(test_rows_of_one_id),
        cmocka_unit_test(test_a_row_without_an_id),
        cmocka_unit_test(test_an_empty_table_tells_nothing),
        cmocka_unit_test(test_what_is_missing_is_kept_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
