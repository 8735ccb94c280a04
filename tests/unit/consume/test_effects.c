/* Which statements a consumer makes of events, and that neighbours go together without changing
 * what they do. The database is a fake that notes the statements. */
#include "unit.h"

#include "consume/apply/effects.h"

static struct target_column columns[] = {{.name = "id", .key = true},
                                         {.name = "na\"me"},
                                         {.name = "sum", .generated = true},
                                         {.name = "note"}};
static struct target table = {.shown = "public.t",
                              .columns = columns,
                              .count = 4,
                              .keys = 1,
                              .placeholder = PLACEHOLDER_TEXT};
static struct buf said;
static size_t changed;

static const struct target *fake_target(const struct inbox *i)
{
    (void)i;
    return &table;
}

static int fake_change(struct inbox *i, const char *sql, const char *rows, const char *old_rows,
                       size_t *ret_changed, struct error *err)
{
    (void)i, (void)err;
    buf_printf(&said, "%.6s %s%s%s\n", sql, rows ? rows : "", old_rows ? " was " : "",
               old_rows ? old_rows : "");
    *ret_changed = changed;
    return RESULT_DONE;
}

static const struct inbox_ops fake = {.target = fake_target, .change = fake_change};

static int setup(void **state)
{
    (void)state;
    buf_release(&said);
    buf_release(&table.name);
    buf_add_str(&table.name, "\"public\".\"t\"");
    changed = 1;
    return 0;
}

static struct record row(enum record_op op, const char *text)
{
    return (struct record){.op = op, .row = slice_from(text)};
}

static int apply(struct record *records, size_t n, struct error *err)
{
    struct record *list[16];
    for (size_t i = 0; i < n; i++) {
        list[i] = &records[i];
    }
    return effects_apply(&fake, NULL, list, n, err);
}

static void neighbours_go_together(void **state)
{
    (void)state;
    struct error err;
    struct record r[] = {row(RECORD_UPSERT, "{\"id\":1,\"note\":\"a\"}"),
                         row(RECORD_UPSERT, "{\"id\":2,\"note\":\"b\"}"),
                         row(RECORD_UPSERT, "{\"id\":3}"),
                         row(RECORD_DELETE, "{\"id\":4,\"note\":null}"),
                         row(RECORD_DELETE, "{\"id\":5}"),
                         row(RECORD_NOTHING, ""),
                         row(RECORD_UPSERT, "{\"id\":6,\"note\":1}")};
    assert_int_equal(apply(r, 7, &err), RESULT_DONE);
    assert_string_equal(buf_str(&said),
                        "insert [{\"id\":1,\"note\":\"a\"},{\"id\":2,\"note\":\"b\"}]\n"
                        "insert [{\"id\":3}]\n"
                        "delete [{\"id\":4,\"note\":null},{\"id\":5}]\n"
                        "insert [{\"id\":6,\"note\":1}]\n");
}

static void one_key_is_never_twice_in_a_statement(void **state)
{
    (void)state;
    struct error err;
    struct record r[] = {row(RECORD_UPSERT, "{\"id\":1,\"note\":\"a\"}"),
                         row(RECORD_UPSERT, "{\"note\":\"b\",\"id\":1}"),
                         row(RECORD_DELETE, "{\"id\":1}")};
    assert_int_equal(apply(r, 3, &err), RESULT_DONE);
    assert_string_equal(buf_str(&said), "insert [{\"id\":1,\"note\":\"a\"}]\n"
                                        "insert [{\"note\":\"b\",\"id\":1}]\n"
                                        "delete [{\"id\":1}]\n");
}

static void a_key_that_changed_moves_its_row(void **state)
{
    (void)state;
    struct error err;
    struct record r[] = {row(RECORD_UPSERT, "{\"id\":1}"), row(RECORD_UPSERT, "{\"id\":2}"),
                         row(RECORD_UPSERT, "{\"id\":9,\"note\":\"a\"}")};
    r[1].old_key = slice_from("{\"id\":1}");
    assert_int_equal(apply(r, 3, &err), RESULT_DONE);
    assert_string_equal(buf_str(&said), "insert [{\"id\":1}]\n"
                                        "delete [{\"id\":2}]\n"
                                        "update [{\"id\":2}] was [{\"id\":1}]\n"
                                        "insert [{\"id\":9,\"note\":\"a\"}]\n");
    buf_clear(&said);
    changed = 0; /* the row is not there under its old key */
    assert_int_equal(apply(&r[1], 1, &err), RESULT_DONE);
    assert_string_equal(buf_str(&said), "delete [{\"id\":2}]\n"
                                        "update [{\"id\":2}] was [{\"id\":1}]\n"
                                        "insert [{\"id\":2}]\n");
}

static void a_row_that_lacks_values_must_be_there(void **state)
{
    (void)state;
    struct error err;
    struct record r = row(RECORD_UPSERT, "{\"id\":1,\"note\":\"__debezium_unavailable_value\"}");
    assert_int_equal(apply(&r, 1, &err), RESULT_DONE);
    assert_string_equal(buf_str(&said),
                        "update [{\"id\":1,\"note\":\"__debezium_unavailable_value\"}]\n");
    changed = 0;
    assert_int_equal(apply(&r, 1, &err), RESULT_ERROR);
    assert_int_equal(err.class, ERROR_POISON);
}

static void the_key_of_a_delete_may_be_the_messages(void **state)
{
    (void)state;
    struct error err;
    struct record r = {.op = RECORD_DELETE, .key = slice_from("a\"b")};
    assert_int_equal(apply(&r, 1, &err), RESULT_DONE);
    r.key = slice_from("{\"id\":7}");
    assert_int_equal(apply(&r, 1, &err), RESULT_DONE);
    assert_string_equal(buf_str(&said), "delete [{\"id\":\"a\\\"b\"}]\ndelete [{\"id\":7}]\n");
    r.key = SLICE_NULL;
    assert_int_equal(apply(&r, 1, &err), RESULT_ERROR);
    assert_int_equal(err.class, ERROR_POISON);
}

static void a_row_without_its_key_is_poison(void **state)
{
    (void)state;
    struct error err;
    struct record r = row(RECORD_UPSERT, "{\"note\":\"a\"}");
    assert_int_equal(apply(&r, 1, &err), RESULT_ERROR);
    assert_int_equal(err.class, ERROR_POISON);
    assert_non_null(strstr(err.text, "key column id"));
}

/* A null in the place of a key is no key: SQLite would make a row of it, and a delete would find
 * none. */
static void a_null_is_no_key(void **state)
{
    (void)state;
    struct error err;
    struct record r[] = {row(RECORD_UPSERT, "{\"id\":null,\"note\":\"a\"}"),
                         row(RECORD_DELETE, "{\"id\":null}"),
                         {.op = RECORD_DELETE, .key = slice_from("{\"id\":null}")},
                         {.op = RECORD_DELETE, .key = slice_from("null")}};
    for (size_t i = 0; i < sizeof r / sizeof *r; i++) {
        assert_int_equal(apply(&r[i], 1, &err), RESULT_ERROR);
        assert_int_equal(err.class, ERROR_POISON);
    }
    assert_string_equal(buf_str(&said), "");
    table.placeholder = PLACEHOLDER_NONE; /* an application's key may be any text */
    int rc = apply(&r[3], 1, &err);
    table.placeholder = PLACEHOLDER_TEXT;
    assert_int_equal(rc, RESULT_DONE);
    assert_string_equal(buf_str(&said), "delete [{\"id\":\"null\"}]\n");
}

/* --- the placeholder --- */

/* The codes of the letters of the placeholder. */
#define LETTERS                                                                                  \
    "95,95,100,101,98,101,122,105,117,109,95,117,110,97,118,97,105,108,97,98,108,101,95,118,97," \
    "108,117,101"

/* The first is the text; the others are Debezium's for bytea, hstore and arrays. */
static const char *const unsent[] = {
    "\"__debezium_unavailable_value\"",
    "\"X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==\"",
    "{\"__debezium_unavailable_value\":\"__debezium_unavailable_value\"}",
    "\"{\\\"__debezium_unavailable_value\\\":\\\"__debezium_unavailable_value\\\"}\"",
    "[\"__debezium_unavailable_value\"]",
    "[\"X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==\"]",
    "[" LETTERS "]",
    "[\"b68a35a7-17ad-35b3-af2a-ae46edb4545a\"]"};

static bool is_partial(enum placeholder forms, const char *value)
{
    CLEANUP(buf_release) struct buf text = {0};
    struct target t = table;
    struct row_shape s;
    struct error err;
    t.placeholder = forms;
    buf_printf(&text, "{\"id\":1,\"note\":%s}", value);
    assert_int_equal(target_shape(&t, buf_slice(&text), &s, &err), RESULT_DONE);
    assert_int_not_equal(shape_has(&s, 3), s.partial);
    return s.partial;
}

static void a_placeholder_is_what_the_format_has(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof unsent / sizeof *unsent; i++) {
        assert_true(is_partial(PLACEHOLDER_TYPED, unsent[i]));
        assert_int_equal(is_partial(PLACEHOLDER_TEXT, unsent[i]), i == 0);
        assert_false(is_partial(PLACEHOLDER_NONE, unsent[i]));
    }
}

/* --- the statements --- */

static struct row_shape shape_of(const char *text)
{
    struct row_shape s;
    struct error err;
    assert_int_equal(target_shape(&table, slice_from(text), &s, &err), RESULT_DONE);
    return s;
}

static void statements_of_postgres(void **state)
{
    (void)state;
    CLEANUP(buf_release) struct buf sql = {0};
    /* A computed column is not written, and a member that the table has not is passed over. */
    struct row_shape s = shape_of("{\"id\":1,\"na\\\"me\":2,\"sum\":3,\"other\":4}");
    target_upsert(&table, &s, &sql);
    assert_string_equal(
        buf_str(&sql),
        "insert into \"public\".\"t\" (\"id\", \"na\"\"me\") overriding system value select "
        "r.\"id\", r.\"na\"\"me\" from "
        "pg_catalog.jsonb_populate_recordset(null::\"public\".\"t\", $1::jsonb) r where true on "
        "conflict (\"id\") do update set \"na\"\"me\" = excluded.\"na\"\"me\"");
    buf_clear(&sql);
    s = shape_of("{\"id\":1}");
    target_upsert(&table, &s, &sql);
    assert_non_null(strstr(buf_str(&sql), "on conflict (\"id\") do nothing"));
    buf_clear(&sql);
    target_delete(&table, &sql);
    assert_string_equal(
        buf_str(&sql),
        "delete from \"public\".\"t\" as t using "
        "pg_catalog.jsonb_populate_recordset(null::\"public\".\"t\", $1::jsonb) r where t.\"id\" "
        "= r.\"id\"");
}

static void statements_of_sqlite(void **state)
{
    (void)state;
    CLEANUP(buf_release) struct buf sql = {0};
    struct row_shape s = shape_of("{\"id\":1,\"na\\\"me\":2}");
    table.sqlite = true;
    target_upsert(&table, &s, &sql);
    assert_non_null(strstr(buf_str(&sql), "r.value ->> '$.\"na\\\"me\"'"));
    assert_non_null(strstr(buf_str(&sql), "from json_each(?1) r where true on conflict (\"id\")"));
    buf_clear(&sql);
    target_truncate(&table, &sql);
    assert_string_equal(buf_str(&sql), "delete from \"public\".\"t\"");
    table.sqlite = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(neighbours_go_together, setup),
        cmocka_unit_test_setup(one_key_is_never_twice_in_a_statement, setup),
        cmocka_unit_test_setup(a_key_that_changed_moves_its_row, setup),
        cmocka_unit_test_setup(a_row_that_lacks_values_must_be_there, setup),
        cmocka_unit_test_setup(the_key_of_a_delete_may_be_the_messages, setup),
        cmocka_unit_test_setup(a_row_without_its_key_is_poison, setup),
        cmocka_unit_test_setup(a_null_is_no_key, setup),
        cmocka_unit_test_setup(a_placeholder_is_what_the_format_has, setup),
        cmocka_unit_test_setup(statements_of_postgres, setup),
        cmocka_unit_test_setup(statements_of_sqlite, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
