/* No line is too long, and what is pasted is what was meant. */
#include "unit.h"

#include "cli/columns.h"

static void assert_narrow(const struct buf *b)
{
    size_t column = 0;
    for (size_t i = 0; i < b->len; i++) {
        column = b->data[i] == '\n' ? 0 : column + (((unsigned char)b->data[i] & 0xC0) != 0x80);
        if (column > COLUMNS_MAX) {
            fail_msg("more than %d columns: %s", COLUMNS_MAX, buf_str((struct buf *)(uintptr_t)b));
        }
    }
}

static void reason(const char *text, const char *expected)
{
    CLEANUP(buf_release) struct buf out = {0};
    columns_reason(&out, 2, text, "r.yaml");
    assert_string_equal(buf_str(&out), expected);
    assert_narrow(&out);
}

static void test_commands_stand_by_themselves(void **state UNUSED)
{
    reason("role x may not log in: ALTER ROLE \"x; y\" LOGIN",
           "  role x may not log in:\n      ALTER ROLE \"x; y\" LOGIN;\n");
    reason("no table; run `commitrelay init -c FILE`, or correct `table`",
           "  no table; run\n      commitrelay init -c r.yaml\n  or correct `table`\n");
    reason("lost: SELECT pg_drop_replication_slot('a and b') and copy again (`on_lost_slot`)",
           "  lost:\n      SELECT pg_drop_replication_slot('a and b');\n  and copy again "
           "(`on_lost_slot`)\n");
    reason("set it (ALTER SYSTEM SET wal_level = logical, then restart the server)",
           "  set it\n      ALTER SYSTEM SET wal_level = logical;\n  then restart the server)\n");
    reason("may not: grant select, update on app.t to relay; now",
           "  may not:\n      grant select, update on app.t to relay;\n  now\n");
}

/* What an operator would have to fill in cannot be pasted. */
static void test_prose_stays_prose(void **state UNUSED)
{
    static const char *const prose[] = {"say where with `commitrelay position set ... --yes`",
                                        "ALTER SYSTEM SET max_wal_senders = ..., then restart",
                                        "PostgreSQL 9 is too old: commitrelay needs version 14",
                                        "during ALTER TYPE nothing is read", "an unclosed ` here"};
    for (size_t i = 0; i < sizeof prose / sizeof *prose; i++) {
        CLEANUP(buf_release) struct buf expected = {0};
        buf_printf(&expected, "  %s\n", prose[i]);
        reason(prose[i], buf_str(&expected));
    }
    reason("", "");
    reason("two\nlines", "  two lines\n");
}

static void test_long_ones_are_broken(void **state UNUSED)
{
    CLEANUP(buf_release) struct buf out = {0}, text = {0};
    for (int i = 0; i < 60; i++) {
        buf_printf(&text, "%s%s", i ? " " : "", i % 7 ? "mächtig" : "a");
    }
    for (int i = 0; i < 250; i++) {
        buf_add_str(&text, "ü");
    }
    columns_reason(&out, 4, buf_str(&text), "r.yaml");
    assert_narrow(&out);
    buf_clear(&out);
    columns_command(&out, 8,
                    slice_from("commitrelay position set -c /etc/commitrelay/with/a/long/path/relay"
                               ".yaml --pipeline orders_of_the_shop beginning --yes"));
    assert_string_equal(buf_str(&out),
                        "        commitrelay position set -c "
                        "/etc/commitrelay/with/a/long/path/relay.yaml --pipeline \\\n"
                        "            orders_of_the_shop beginning --yes\n");
    buf_clear(&out);
    columns_command(
        &out, 8,
        slice_from("ALTER PUBLICATION \"a name with blanks that is as long as names may "
                   "be in PostgreSQL, 63 \" ADD TABLE public.orders, public.bills"));
    assert_narrow(&out);
    assert_non_null(strstr(buf_str(&out), "\"a name with blanks that is as long as names may be in "
                                          "PostgreSQL, 63 \""));
    buf_clear(&out);
    columns_command(&out, 0, slice_from("x"));
    assert_string_equal(buf_str(&out), "x;\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commands_stand_by_themselves),
        cmocka_unit_test(test_prose_stays_prose),
        cmocka_unit_test(test_long_ones_are_broken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
