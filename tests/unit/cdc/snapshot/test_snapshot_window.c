/* snapshot_window: what the stream changed gives way, and lends the values that the stream left
 * out; nothing else does. Keys in SQL: the whole of a range, and nothing twice. */
#include "unit.h"

#include "cdc/snapshot/window.h"

#include <libpq-fe.h>
#include <stdio.h>

#define S(text) SLICE_LITERAL(text)

static const struct column_type int4 = {.oid = 23, .base_oid = 23}, text = {.oid = 25};
static const struct change_column columns[] = {{.name = {"b", 1}, .type = &text},
                                               {.name = {"v", 1}, .type = &text},
                                               {.name = {"a", 1}, .type = &int4},
                                               {.name = {"big", 3}, .type = &text}};
enum { B, V, A, BIG, COLUMNS };
static const uint16_t key[] = {A, B};
static const struct change_table described = {.oid = 7,
                                              .schema = {"s", 1},
                                              .name = {"t", 1},
                                              .columns = columns,
                                              .columns_count = COLUMNS,
                                              .key = key,
                                              .key_count = 2};
static struct snapshot_key_column key_sql[] = {
    {.name = SLICE_LITERAL("\"a\""),
     .type = SLICE_LITERAL("integer"),
     .operators = {SLICE_LITERAL("operator(p.<)"), SLICE_LITERAL("operator(p.<=)"),
                   SLICE_LITERAL("operator(p.=)"), SLICE_LITERAL("operator(p.>=)"),
                   SLICE_LITERAL("operator(p.>)")}},
    {.name = SLICE_LITERAL("\"b\""),
     .operators = {SLICE_LITERAL("operator(x.#<)"), SLICE_LITERAL("operator(x.#<=)"),
                   SLICE_LITERAL("operator(x.#=)"), SLICE_LITERAL("operator(x.#>=)"),
                   SLICE_LITERAL("operator(x.#>)")}}};
static const struct snapshot_table table = {.table = &described,
                                            .columns = {"*", 1},
                                            .from = {" from t where true", 18},
                                            .key = key_sql,
                                            .plain_operators = true};

static void add(struct snapshot_window *w, const char *a, const char *b, const char *v,
                const char *big)
{
    PGresult *r = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    char name[] = "";
    PGresAttDesc attributes[COLUMNS] = {
        {.name = name}, {.name = name}, {.name = name}, {.name = name}};
    const char *values[COLUMNS] = {b, v, a, big};
    assert_true(PQsetResultAttrs(r, COLUMNS, attributes));
    for (int i = 0; i < COLUMNS; i++) {
        char copy[64];
        snprintf(copy, sizeof copy, "%s", values[i] ? values[i] : "");
        assert_true(PQsetvalue(r, 0, i, copy, values[i] ? (int)strlen(copy) : -1));
    }
    assert_true(window_add(w, (const struct pg_result *)r));
    PQclear(r);
}

static struct cell cell(const char *s)
{
    return s ? (struct cell){CELL_TEXT, slice_from(s)} : (struct cell){CELL_NULL, SLICE_NULL};
}

static const struct cell unchanged = {.kind = CELL_UNCHANGED};

struct fixture {
    struct snapshot_window w;
    struct arena arena;
};

static int setup(void **state)
{
    static struct fixture f;
    window_init(&f.w);
    arena_init(&f.arena);
    window_open(&f.w, &table);
    add(&f.w, "1", "x", "v1", "BIG1");
    add(&f.w, "2", "x", "v2", "BIG2");
    add(&f.w, "2", "y", NULL, "BIG3");
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    window_release(&f->w);
    arena_release(&f->arena);
    return 0;
}

/* The keys that are left, "1x 2x ". */
static const char *left(struct fixture *f)
{
    static char out[200];
    bool last = false;
    out[0] = '\0';
    for (const struct window_row *r; (r = window_next(&f->w, &last)) != NULL;) {
        snprintf(out + strlen(out), sizeof out - strlen(out), "%.*s%.*s ",
                 SLICE_FMT(r->cells[A].text), SLICE_FMT(r->cells[B].text));
    }
    assert_true(last || !out[0]);
    return out;
}

static void change(struct fixture *f, const struct cell *before, struct cell *after)
{
    window_change(&f->w, &described, before, after, &f->arena);
}

static void nothing_changed(void **state)
{
    assert_string_equal(left(*state), "1x 2x 2y ");
}

static void a_changed_row_gives_way_and_lends(void **state)
{
    struct fixture *f = *state;
    struct cell after[] = {cell("x"), cell("w1"), cell("2"), unchanged};
    change(f, NULL, after);
    assert_int_equal(after[BIG].kind, CELL_TEXT);
    assert_true(slice_equal_str(after[BIG].text, "BIG2"));
    assert_true(slice_equal_str(after[V].text, "w1"));
    assert_string_equal(left(f), "1x 2y ");
}

static void what_the_stream_said_last_is_lent(void **state)
{
    struct fixture *f = *state;
    struct cell first[] = {cell("x"), unchanged, cell("2"), cell("NEW")};
    struct cell second[] = {cell("x"), cell(NULL), cell("2"), unchanged};
    struct cell third[] = {cell("x"), unchanged, cell("2"), unchanged};
    change(f, NULL, first);
    assert_true(slice_equal_str(first[V].text, "v2"));
    change(f, NULL, second);
    assert_true(slice_equal_str(second[BIG].text, "NEW"));
    change(f, NULL, third);
    assert_true(slice_equal_str(third[BIG].text, "NEW"));
    assert_int_equal(third[V].kind, CELL_NULL);
}

static void inserts_and_deletes_give_way(void **state)
{
    struct fixture *f = *state;
    struct cell inserted[] = {cell("y"), cell("again"), cell("2"), cell("b")};
    struct cell deleted[] = {cell("x"), cell(NULL), cell("1"), cell(NULL)};
    struct cell unknown[] = {cell("x"), cell(NULL), cell("3"), cell(NULL)};
    change(f, NULL, inserted);
    change(f, deleted, NULL);
    change(f, unknown, NULL);
    assert_string_equal(left(f), "2x ");
}

static void a_new_key_goes_on_lending(void **state)
{
    struct fixture *f = *state;
    struct cell before[] = {cell("x"), cell(NULL), cell("1"), cell(NULL)};
    struct cell after[] = {cell("z"), cell("v"), cell("9"), unchanged};
    struct cell later[] = {cell("z"), unchanged, cell("9"), unchanged};
    change(f, before, after);
    assert_true(slice_equal_str(after[BIG].text, "BIG1"));
    change(f, NULL, later);
    assert_true(slice_equal_str(later[BIG].text, "BIG1"));
    assert_true(slice_equal_str(later[V].text, "v"));
    assert_string_equal(left(f), "2x 2y ");
}

/* S may have seen the row under its new key already. */
static void both_keys_give_way(void **state)
{
    struct fixture *f = *state;
    struct cell before[] = {cell("q"), cell(NULL), cell("8"), cell(NULL)};
    struct cell after[] = {cell("x"), cell("v"), cell("2"), unchanged};
    change(f, before, after);
    assert_true(slice_equal_str(after[BIG].text, "BIG2"));
    struct cell taken[] = {cell("x"), cell(NULL), cell("1"), cell(NULL)};
    struct cell onto[] = {cell("y"), cell("v"), cell("2"), unchanged};
    change(f, taken, onto);
    assert_true(slice_equal_str(onto[BIG].text, "BIG1"));
    assert_string_equal(left(f), "");
}

static void other_tables_do_not_matter(void **state)
{
    struct fixture *f = *state;
    struct change_table other = described;
    struct cell after[] = {cell("x"), cell("w1"), cell("2"), unchanged};
    other.oid = 8;
    other.name = S("other");
    window_change(&f->w, &other, NULL, after, &f->arena);
    window_truncate(&f->w, &other);
    assert_int_equal(after[BIG].kind, CELL_UNCHANGED);
    assert_string_equal(left(f), "1x 2x 2y ");
}

/* What was read of the one that had the name may be older than what came under it. */
static void another_table_by_that_name(void **state)
{
    struct fixture *f = *state;
    struct change_table other = described;
    struct cell after[] = {cell("x"), cell("w1"), cell("2"), unchanged};
    other.oid = 8;
    window_change(&f->w, &other, NULL, after, &f->arena);
    assert_true(f->w.useless);
    assert_string_equal(left(f), "");
}

static void another_table_by_that_name_is_emptied(void **state)
{
    struct fixture *f = *state;
    struct change_table other = described;
    other.oid = 8;
    window_truncate(&f->w, &other);
    assert_true(f->w.useless);
}

/* The stream describes the table as it was: other columns, in another order, the key not whole. */
static void an_altered_table(void **state)
{
    struct fixture *f = *state;
    const struct change_column now[] = {columns[BIG], columns[A], columns[B]};
    struct change_table other = described;
    struct cell after[] = {unchanged, cell("2"), cell("x")};
    other.columns = now;
    other.columns_count = 3;
    window_change(&f->w, &other, NULL, after, &f->arena);
    assert_true(slice_equal_str(after[0].text, "BIG2"));
    assert_false(f->w.useless);
    other.columns_count = 2;
    window_change(&f->w, &other, NULL, after, &f->arena);
    assert_true(f->w.useless);
    assert_string_equal(left(f), "");
}

static void a_truncate_takes_all(void **state)
{
    struct fixture *f = *state;
    window_truncate(&f->w, &described);
    assert_string_equal(left(f), "");
}

static void many_rows_are_found(void **state)
{
    struct fixture *f = *state;
    char a[16];
    window_open(&f->w, &table);
    for (int i = 0; i < 5000; i++) {
        snprintf(a, sizeof a, "%d", i);
        add(&f->w, a, "k", "v", "B");
    }
    for (int i = 0; i < 5000; i++) {
        snprintf(a, sizeof a, "%d", i);
        struct cell before[] = {cell("k"), cell(NULL), cell(a), cell(NULL)};
        if (i != 4321) {
            change(f, before, NULL);
        }
    }
    assert_string_equal(left(f), "4321k ");
}

static void ranges_in_sql(void **state)
{
    (void)state;
    CLEANUP(buf_release) struct buf sql = {0};
    CLEANUP(snapshot_key_release) struct snapshot_key none = {0}, after = {0};
    struct snapshot_table other = table;
    snapshot_key_add(&after, S("1"));
    snapshot_key_add(&after, S("x"));
    snapshot_plan_rows(&table, &none, &none, 0, &sql);
    assert_string_equal(buf_str(&sql), "select * from t where true order by \"a\", \"b\"");
    snapshot_plan_rows(&table, &after, &after, 5, &sql);
    assert_string_equal(buf_str(&sql),
                        "select * from t where true and (\"a\", \"b\") > ($1::integer, $2)"
                        " and (\"a\", \"b\") <= ($3::integer, $4) order by \"a\", \"b\" limit 5");
    snapshot_plan_bound(&table, &after, 3, &sql);
    assert_string_equal(buf_str(&sql), "select \"a\", \"b\" from t where true and (\"a\", \"b\") >"
                                       " ($1::integer, $2) order by \"a\", \"b\" offset 2 limit 1");
    other.plain_operators = false;
    snapshot_plan_rows(&other, &none, &after, 0, &sql);
    assert_string_equal(buf_str(&sql),
                        "select * from t where true and \"a\" operator(p.<=) $1::integer and"
                        " (\"a\" operator(p.<) $1::integer or \"a\" operator(p.=) $1::integer and"
                        " (\"b\" operator(x.#<=) $2)) order by \"a\" using operator(p.<), \"b\" "
                        "using operator(x.#<)");
    other.plain_operators = true;
    other.where = S(" and (v > 1\n)");
    snapshot_plan_rows(&other, &after, &none, 5, &sql);
    assert_string_equal(buf_str(&sql),
                        "select * from t where true and (v > 1\n) and (\"a\", \"b\") > "
                        "($1::integer, $2) order by \"a\", \"b\" limit 5");
    snapshot_plan_bound(&other, &none, 3, &sql); /* a range of keys, wanted or not */
    assert_string_equal(buf_str(&sql), "select \"a\", \"b\" from t where true"
                                       " order by \"a\", \"b\" offset 2 limit 1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_changed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_changed_row_gives_way_and_lends, setup, teardown),
        cmocka_unit_test_setup_teardown(what_the_stream_said_last_is_lent, setup, teardown),
        cmocka_unit_test_setup_teardown(inserts_and_deletes_give_way, setup, teardown),
        cmocka_unit_test_setup_teardown(a_new_key_goes_on_lending, setup, teardown),
        cmocka_unit_test_setup_teardown(both_keys_give_way, setup, teardown),
        cmocka_unit_test_setup_teardown(other_tables_do_not_matter, setup, teardown),
        cmocka_unit_test_setup_teardown(another_table_by_that_name, setup, teardown),
        cmocka_unit_test_setup_teardown(another_table_by_that_name_is_emptied, setup, teardown),
        cmocka_unit_test_setup_teardown(an_altered_table, setup, teardown),
        cmocka_unit_test_setup_teardown(a_truncate_takes_all, setup, teardown),
        cmocka_unit_test_setup_teardown(many_rows_are_found, setup, teardown),
        cmocka_unit_test(ranges_in_sql),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
