/* What a table shows: columns left out of rows, and the columns of its key. */
#include "formats.h"
#include "unit.h"

#include "message/column_rules.h"
#include "message/encode.h"
#include <stdlib.h>

#define N(array) (sizeof(array) / sizeof *(array))

static const struct column_type int4 = {.oid = 23, .base_oid = 23, .kind = TYPE_BASE};
static const struct column_type text = {
    .oid = 25, .base_oid = 25, .kind = TYPE_BASE, .base_name = SLICE_LITERAL("text")};
static const struct change_column columns[] = {
    {.name = SLICE_LITERAL("id"), .type = &int4, .typmod = -1, .identity = true, .not_null = true},
    {.name = SLICE_LITERAL("email"), .type = &text, .typmod = -1},
    {.name = SLICE_LITERAL("Region"), .type = &text, .typmod = -1},
};
static const uint16_t key[] = {0};
static const struct cell row[] = {{CELL_TEXT, SLICE_LITERAL("1")},
                                  {CELL_TEXT, SLICE_LITERAL("a@b")},
                                  {CELL_TEXT, SLICE_LITERAL("eu")}};

static struct change_table users(enum replica_identity identity)
{
    return (struct change_table){.schema = SLICE_LITERAL("public"),
                                 .name = SLICE_LITERAL("users"),
                                 .identity = identity,
                                 .columns = columns,
                                 .columns_count = N(columns),
                                 .key = key,
                                 .key_count = 1};
}

static struct column_rules *rules_of(const struct column_rules_conf *conf)
{
    struct column_rules *r = NULL;
    struct error err;
    if (column_rules_new(conf, &r, &err)) {
        fail_msg("%s", err.text);
    }
    return r;
}

/* The key and the value of an insert, in two formats: want_row is in the value, and no member
 * `lacks`. want_row NULL: the table is refused, with want_key in the text. */
static void check(const struct column_rules_conf *conf, enum replica_identity identity,
                  bool deletes, const char *want_key, const char *want_row, const char *lacks)
{
    struct column_rules *r = rules_of(conf);
    struct change_table whole = users(identity);
    const struct change_table *sent = NULL;
    void *block = NULL;
    struct error err;
    if (column_rules_apply(r, &whole, deletes, &sent, &block, &err)) {
        assert_int_equal(err.class, ERROR_CONFIG);
        if (want_row || !strstr(err.text, want_key)) {
            fail_msg("%s", err.text);
        }
        column_rules_free(r);
        return;
    }
    assert_non_null(want_row);
    const struct change c = {
        .op = CHANGE_CREATE, .table = sent, .after = row, .database = SLICE_LITERAL("db")};
    static const struct format_ops *const formats[] = {&format_debezium, &format_flat};
    for (size_t i = 0; i < N(formats); i++) {
        const struct encode_conf encode = {
            .format = formats[i], .name = "n", .unavailable_placeholder = "?", .flat_prefix = "__"};
        CLEANUP(buf_release) struct buf out = {0};
        if (formats[i]->change_key(&encode, &c, row, &out, &err)) {
            fail_msg("%s", err.text);
        }
        assert_string_equal(buf_str(&out), want_key);
        buf_clear(&out);
        if (formats[i]->change_value(&encode, &c, &out, &err)) {
            fail_msg("%s", err.text);
        }
        if (!strstr(buf_str(&out), want_row) || strstr(buf_str(&out), lacks)) {
            fail_msg("%s, want %s without %s", buf_str(&out), want_row, lacks);
        }
    }
    free(block);
    column_rules_free(r);
}

static void rows_lack_excluded_columns(void **state)
{
    (void)state;
    static const char *const email[] = {"public\\.users\\.email"};
    static const char *const part[] = {"users\\.email", "public\\.users\\.em"};
    static const char *const any_case[] = {"PUBLIC\\.(.*)\\.region"};
    struct column_rules_conf conf = {.exclude = email, .exclude_count = 1};
    check(&conf, IDENTITY_DEFAULT, true, "{\"id\":1}", "{\"id\":1,\"Region\":\"eu\"", "\"email\"");
    conf = (struct column_rules_conf){.exclude = part, .exclude_count = 2};
    check(&conf, IDENTITY_DEFAULT, true, "{\"id\":1}",
          "{\"id\":1,\"email\":\"a@b\",\"Region\":\"eu\"", "\"none\"");
    conf = (struct column_rules_conf){.exclude = any_case, .exclude_count = 1};
    check(&conf, IDENTITY_DEFAULT, true, "{\"id\":1}", "{\"id\":1,\"email\":\"a@b\"", "\"Region\"");
}

static void a_key_is_whole_whatever_rows_lack(void **state)
{
    (void)state;
    static const char *const email[] = {"public\\.users\\.email"};
    static const char *const id[] = {".*\\.id"};
    struct column_rules_conf conf = {.include = email, .include_count = 1};
    check(&conf, IDENTITY_DEFAULT, true, "{\"id\":1}", "{\"email\":\"a@b\"", "\"Region\"");
    conf = (struct column_rules_conf){.exclude = id, .exclude_count = 1};
    check(&conf, IDENTITY_DEFAULT, true, "{\"id\":1}", "{\"email\":\"a@b\",\"Region\":\"eu\"",
          "\"id\"");
}

static void a_key_has_the_named_columns_in_their_sequence(void **state)
{
    (void)state;
    static const char *const two[] = {"Region", "email"};
    static const struct column_key keys[] = {{"public.users", two, 2}};
    static const struct column_key other[] = {{"public.user", two, 2}};
    struct column_rules_conf conf = {.keys = keys, .keys_count = 1};
    check(&conf, IDENTITY_FULL, true, "{\"Region\":\"eu\",\"email\":\"a@b\"}", "{\"id\":1,",
          "\"none\"");
    conf.keys = other;
    check(&conf, IDENTITY_FULL, true, "{\"id\":1}", "{\"id\":1,", "\"none\"");
}

/* With the usual identity a delete comes with the id alone: its key would be empty. */
static void a_key_that_deletes_would_not_tell_is_refused(void **state)
{
    (void)state;
    static const char *const email[] = {"email"}, *const both[] = {"id"};
    static const struct column_key keys[] = {{"public.users", email, 1}};
    static const struct column_key sent[] = {{"public.users", both, 1}};
    struct column_rules_conf conf = {.keys = keys, .keys_count = 1};
    check(&conf, IDENTITY_DEFAULT, true, "REPLICA IDENTITY FULL", NULL, NULL);
    check(&conf, IDENTITY_DEFAULT, false, "{\"email\":\"a@b\"}", "{\"id\":1,", "\"none\"");
    check(&conf, IDENTITY_NOTHING, true, "{\"email\":\"a@b\"}", "{\"id\":1,", "\"none\"");
    conf.keys = sent;
    check(&conf, IDENTITY_DEFAULT, true, "{\"id\":1}", "{\"id\":1,", "\"none\"");
}

static void a_key_of_a_column_that_is_not_there_is_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"id", "mail"};
    static const struct column_key keys[] = {{"public.users", names, 2}};
    const struct column_rules_conf conf = {.keys = keys, .keys_count = 1};
    check(&conf, IDENTITY_FULL, true, "mail: table public.users has no such published column", NULL,
          NULL);
}

static void a_table_without_a_rule_stays_itself(void **state)
{
    (void)state;
    static const char *const other[] = {"public\\.orders\\..*"};
    const struct column_rules_conf conf = {.exclude = other, .exclude_count = 1};
    struct column_rules *r = rules_of(&conf);
    struct change_table whole = users(IDENTITY_DEFAULT);
    const struct change_table *sent = NULL;
    void *block = NULL;
    struct error err;
    assert_int_equal(column_rules_apply(r, &whole, true, &sent, &block, &err), RESULT_DONE);
    assert_ptr_equal(sent, &whole);
    assert_null(block);
    assert_int_equal(column_rules_apply(NULL, &whole, true, &sent, &block, &err), RESULT_DONE);
    assert_ptr_equal(sent, &whole);
    column_rules_free(r);
}

static void refused(const struct column_rules_conf *conf, const char *want)
{
    struct column_rules *r = NULL;
    struct error err;
    assert_int_equal(column_rules_new(conf, &r, &err), RESULT_ERROR);
    assert_int_equal(err.class, ERROR_CONFIG);
    assert_null(r);
    if (!strstr(err.text, want)) {
        fail_msg("%s, want %s", err.text, want);
    }
}

static void rules_that_mean_nothing_are_refused(void **state)
{
    (void)state;
    static const char *const a[] = {"a"}, *const bad[] = {"("}, *const twice[] = {"a", "b", "a"};
    static const struct column_key keys[] = {
        {"users", a, 1}, {"public.users", a, 0}, {"public.users", twice, 3}};
    struct column_rules *r = NULL;
    struct error err;
    refused(
        &(struct column_rules_conf){
            .include = a, .include_count = 1, .exclude = a, .exclude_count = 1},
        "both given");
    refused(&(struct column_rules_conf){.exclude = bad, .exclude_count = 1},
            "encode.exclude_columns: `(` is no regular expression");
    refused(&(struct column_rules_conf){.keys = keys, .keys_count = 1}, "write schema.table");
    refused(&(struct column_rules_conf){.keys = keys + 1, .keys_count = 1}, "has no column");
    refused(&(struct column_rules_conf){.keys = keys + 2, .keys_count = 1}, "a column twice");
    assert_int_equal(column_rules_new(&(struct column_rules_conf){0}, &r, &err), RESULT_DONE);
    assert_null(r);
}

static void the_columns_of_all_keys_are_told(void **state)
{
    (void)state;
    static const char *const two[] = {"a", "b"}, *const one[] = {"c"};
    static const struct column_key keys[] = {{"s.t", two, 2}, {"s.u", one, 1}};
    static const char *const want[] = {"s.t", "a", "s.t", "b", "s.u", "c"};
    struct column_rules *r = rules_of(&(struct column_rules_conf){.keys = keys, .keys_count = 2});
    const char *table, *column;
    size_t i = 0;
    for (; column_rules_key_at(r, i, &table, &column); i++) {
        assert_true(i < 3);
        assert_string_equal(table, want[2 * i]);
        assert_string_equal(column, want[2 * i + 1]);
    }
    assert_int_equal(i, 3);
    assert_false(column_rules_key_at(NULL, 0, &table, &column));
    column_rules_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_lack_excluded_columns),
        cmocka_unit_test(a_key_is_whole_whatever_rows_lack),
        cmocka_unit_test(a_key_has_the_named_columns_in_their_sequence),
        cmocka_unit_test(a_key_that_deletes_would_not_tell_is_refused),
        cmocka_unit_test(a_key_of_a_column_that_is_not_there_is_refused),
        cmocka_unit_test(a_table_without_a_rule_stays_itself),
        cmocka_unit_test(rules_that_mean_nothing_are_refused),
        cmocka_unit_test(the_columns_of_all_keys_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
