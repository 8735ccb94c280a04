/* A row of the table and the events about it are read by one function, whatever stands around. */
#include "formats.h"
#include "unit.h"

#include "base/error.h"
#include "cli/verify_change.h"

#define KEY SLICE_LITERAL("{\"id\":7}")

static const struct encode_conf flat = {.format = &format_flat,
                                        .flat_prefix = "__",
                                        .unavailable_placeholder = "__debezium_unavailable_value"};
static const struct encode_conf debezium = {.format = &format_debezium,
                                            .flat_prefix = "__",
                                            .unavailable_placeholder =
                                                "__debezium_unavailable_value"};

static bool read_text(const struct encode_conf *conf, const char *payload,
                      struct verify_change *ret)
{
    return verify_change_read(conf, KEY, payload ? slice_from(payload) : SLICE_NULL, ret);
}

static void assert_same(const struct encode_conf *conf, const char *row, const char *event,
                        bool equal)
{
    CLEANUP(verify_change_release) struct verify_change a = {0}, b = {0};
    bool unsent;
    assert_true(read_text(conf, row, &a) && read_text(conf, event, &b));
    assert_string_equal(buf_str(&a.row), "public.t\n{\"id\":7}");
    assert_string_equal(buf_str(&b.row), buf_str(&a.row));
    assert_int_equal(a.op, VERIFY_UPSERT);
    assert_int_equal(verify_columns_equal(buf_slice(&a.columns), buf_slice(&b.columns), &unsent),
                     equal);
    assert_false(unsent);
}

#define FLAT(columns, op, more) \
    "{" columns "\"__op\":\"" op "\",\"__table\":\"public.t\",\"__lsn\":\"0/" op "\"" more "}"
#define ENVELOPE(op, lsn, after)                                                              \
    "{\"before\":null,\"after\":" after ",\"source\":{\"lsn\":" lsn ",\"schema\":\"public\"," \
    "\"table\":\"t\"},\"op\":\"" op "\"}"

static void test_only_the_columns_count(void **state)
{
    (void)state;
    const char *row = FLAT("\"id\":7,\"a\":\"x\",\"b\":null,", "r", "");
    assert_same(&flat, row, FLAT("\"id\":7,\"a\":\"x\",\"b\":null,", "u", ",\"__deleted\":false"),
                true);
    assert_same(&flat, row, FLAT("\"b\":null,\"a\":\"x\",\"id\":7,", "c", ""), true);
    assert_same(&flat, row, FLAT("\"id\":7,\"a\":\"y\",\"b\":null,", "u", ""), false);
    assert_same(&flat, row, FLAT("\"id\":7,\"a\":\"x\",\"b\":\"null\",", "u", ""), false);
    /* A column that was added since then is null in the event, one that was dropped is nothing. */
    assert_same(&flat, row, FLAT("\"id\":7,\"a\":\"x\",\"gone\":1,", "u", ""), true);
    assert_same(&flat, row, FLAT("\"id\":7,\"b\":null,", "u", ""), false);
    row = ENVELOPE("r", "1", "{\"id\":7,\"a\":{\"scale\":0}}");
    assert_same(&debezium, row, ENVELOPE("u", "2", "{\"id\":7,\"a\":{\"scale\":0}}"), true);
    assert_same(&debezium, row, ENVELOPE("u", "2", "{\"id\":7,\"a\":{\"scale\":1}}"), false);
}

static void test_what_happened(void **state)
{
    (void)state;
    CLEANUP(verify_change_release) struct verify_change c = {0};
    assert_true(read_text(&flat, FLAT("\"id\":7,", "d", ""), &c));
    assert_int_equal(c.op, VERIFY_DELETE);
    assert_true(read_text(&flat, FLAT("\"id\":8,", "u", ",\"__old_key\":{\"id\":6}"), &c));
    assert_string_equal(buf_str(&c.old_row), "public.t\n{\"id\":6}");
    assert_true(verify_change_read(&flat, SLICE_NULL, slice_from(FLAT("", "t", "")), &c));
    assert_int_equal(c.op, VERIFY_TRUNCATE);
    assert_int_equal(c.row.len, 0);
    assert_string_equal(buf_str(&c.table), "public.t");
    assert_true(read_text(&flat, "{\"__op\":\"m\",\"__prefix\":\"x\"}", &c));
    assert_int_equal(c.op, VERIFY_NOTHING);
    assert_true(read_text(&flat, NULL, &c)); /* a tombstone; in a file it is the word */
    assert_true(read_text(&flat, "null", &c));
    assert_int_equal(c.op, VERIFY_NOTHING);
    assert_true(read_text(&debezium, ENVELOPE("d", "3", "null"), &c));
    assert_int_equal(c.op, VERIFY_DELETE);
    assert_true(read_text(&debezium, "{\"op\":\"m\",\"source\":{}}", &c));
    assert_int_equal(c.op, VERIFY_NOTHING);
}

static void test_what_is_no_change(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "{", "1", "{}", "{\"__op\":\"u\"}", "{\"__op\":\"x\"}", "{\"__table\":\"public.t\"}"};
    static const char *const no_envelope[] = {"{}", "{\"op\":\"u\"}", ENVELOPE("u", "1", "null"),
                                              "{\"op\":\"u\",\"source\":{\"schema\":\"public\"}}"};
    CLEANUP(verify_change_release) struct verify_change c = {0};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_false(read_text(&flat, wrong[i], &c));
    }
    for (size_t i = 0; i < sizeof no_envelope / sizeof *no_envelope; i++) {
        assert_false(read_text(&debezium, no_envelope[i], &c));
    }
}

static void test_schemas_stand_around(void **state)
{
    (void)state;
    struct encode_conf conf = debezium;
    CLEANUP(verify_change_release) struct verify_change c = {0};
    conf.schemas = true;
    assert_true(verify_change_read(
        &conf, SLICE_LITERAL("{\"schema\":{},\"payload\":{\"id\":7}}"),
        slice_from("{\"schema\":{},\"payload\":" ENVELOPE("c", "1", "{\"id\":7}") "}"), &c));
    assert_string_equal(buf_str(&c.row), "public.t\n{\"id\":7}");
}

/* --- values that were not sent --- */

static const struct column_type int4 = {
    .oid = 23, .base_oid = 23, .kind = TYPE_BASE, .base_name = SLICE_LITERAL("int4")};
static const struct column_type text = {
    .oid = 25, .base_oid = 25, .kind = TYPE_BASE, .base_name = SLICE_LITERAL("text")};
static const struct column_type numeric = {
    .oid = 1700, .base_oid = 1700, .kind = TYPE_BASE, .base_name = SLICE_LITERAL("numeric")};
static const struct change_column columns[] = {{.name = SLICE_LITERAL("id"), .type = &int4},
                                               {.name = SLICE_LITERAL("big"), .type = &text},
                                               {.name = SLICE_LITERAL("n"), .type = &int4},
                                               {.name = SLICE_LITERAL("num"), .type = &numeric}};
static const uint16_t key[] = {0};
static const struct change_table table = {.schema = SLICE_LITERAL("public"),
                                          .name = SLICE_LITERAL("t"),
                                          .columns = columns,
                                          .columns_count = 4,
                                          .key = key,
                                          .key_count = 1};

/* What is known of `big` after an update without it, behind `before`. */
static void expect_big(const struct encode_conf *conf, const char *before, const char *update,
                       bool known)
{
    CLEANUP(verify_blanks_release) struct verify_blanks blanks = {.sure = {0}};
    CLEANUP(verify_change_release) struct verify_change row = {0}, was = {0}, now = {0};
    const struct change change = {.op = CHANGE_READ, .table = &table};
    bool unsent;
    verify_change_blanks(conf, &change, &blanks);
    const char *whole = conf == &flat ? FLAT("\"id\":7,\"big\":\"long\",\"n\":2,", "r", "")
                                      : ENVELOPE("r", "1", "{\"id\":7,\"big\":\"long\",\"n\":2}");
    assert_true(read_text(conf, whole, &row) && read_text(conf, update, &now));
    if (before) {
        assert_true(read_text(conf, before, &was));
    }
    verify_columns_fill(&now.columns, buf_slice(&was.columns), &blanks);
    assert_true(verify_columns_equal(buf_slice(&row.columns), buf_slice(&now.columns), &unsent));
    assert_int_equal(unsent, !known);
}

static void test_values_that_were_not_sent(void **state)
{
    (void)state;
    const char *before = FLAT("\"id\":7,\"big\":\"long\",\"n\":1,", "c", "");
    const char *listed = FLAT("\"id\":7,\"n\":2,", "u", ",\"__unchanged\":[\"x\\\"y\",\"big\"]");
    const char *placeholder =
        FLAT("\"id\":7,\"big\":\"__debezium_unavailable_value\",\"n\":2,", "u", "");
    expect_big(&flat, before, listed, true);
    expect_big(&flat, NULL, listed, false);
    expect_big(&flat, before, placeholder, true);
    expect_big(&flat, NULL, placeholder, false);
    before = ENVELOPE("c", "1", "{\"id\":7,\"big\":\"long\",\"n\":1}");
    placeholder = ENVELOPE("u", "2", "{\"id\":7,\"big\":\"__debezium_unavailable_value\",\"n\":2}");
    expect_big(&debezium, before, placeholder, true);
    expect_big(&debezium, NULL, placeholder, false);
}

#define ROW_OF(n, num) "{\"id\":7,\"n\":" n ",\"num\":" num "}"

/* An event says `before` of a row (NULL: it is not there), the next one `sent`, and the table has
 * `is`. */
static bool equal_in_the_end(const char *before, const char *sent, const char *is, bool *ret_unsent)
{
    CLEANUP(verify_blanks_release) struct verify_blanks blanks = {.sure = {0}};
    CLEANUP(verify_change_release) struct verify_change row = {0}, was = {0}, now = {0};
    CLEANUP(buf_release) struct buf message = {0};
    const struct change change = {.op = CHANGE_READ, .table = &table};
    verify_change_blanks(&debezium, &change, &blanks);
    if (before) {
        buf_printf(&message, ENVELOPE("u", "1", "%s"), before);
        assert_true(read_text(&debezium, buf_str(&message), &was));
    }
    buf_clear(&message);
    buf_printf(&message, ENVELOPE("u", "2", "%s"), sent);
    assert_true(read_text(&debezium, buf_str(&message), &now));
    buf_clear(&message);
    buf_printf(&message, ENVELOPE("r", "3", "%s"), is);
    assert_true(read_text(&debezium, buf_str(&message), &row));
    verify_columns_fill(&was.columns, SLICE_NULL, &blanks);
    verify_columns_fill(&now.columns, buf_slice(&was.columns), &blanks);
    return verify_columns_equal(buf_slice(&row.columns), buf_slice(&now.columns), ret_unsent);
}

/* An integer is always sent. A numeric may be large, and Debezium has no placeholder for it. */
static void test_a_null_may_stand_for_what_was_not_sent(void **state)
{
    (void)state;
    static const struct {
        const char *before, *sent, *is;
        bool equal, unsent;
    } cases[] = {
        {ROW_OF("1", "1"), ROW_OF("null", "1"), ROW_OF("1", "1"), false, false},
        {ROW_OF("1", "1"), ROW_OF("1", "null"), ROW_OF("1", "1"), true, false},
        {ROW_OF("1", "1"), ROW_OF("1", "null"), ROW_OF("1", "null"), true, false},
        {ROW_OF("1", "2"), ROW_OF("1", "null"), ROW_OF("1", "1"), false, false},
        {NULL, ROW_OF("1", "null"), ROW_OF("1", "1"), true, true},
        {NULL, ROW_OF("1", "null"), ROW_OF("1", "null"), true, false},
        {ROW_OF("1", "null"), ROW_OF("1", "null"), ROW_OF("1", "1"), true, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool unsent;
        print_message("case %zu\n", i);
        assert_int_equal(equal_in_the_end(cases[i].before, cases[i].sent, cases[i].is, &unsent),
                         cases[i].equal);
        assert_int_equal(unsent, cases[i].unsent);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_the_columns_count),
        cmocka_unit_test(test_what_happened),
        cmocka_unit_test(test_what_is_no_change),
        cmocka_unit_test(test_schemas_stand_around),
        cmocka_unit_test(test_values_that_were_not_sent),
        cmocka_unit_test(test_a_null_may_stand_for_what_was_not_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
