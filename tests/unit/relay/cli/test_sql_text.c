/* The SQL of `init`: names are data, wherever they come from. */
#include "unit.h"

#include "cli/kit/sql_text.h"
#include <string.h>

static int make(bool postgres, const struct sql_request *r, struct buf *out, struct error *err)
{
    *err = (struct error){0};
    return postgres ? sql_text_postgres(out, r, err) : sql_text_sqlite(out, r, err);
}

static size_t count(const char *text, const char *word)
{
    size_t n = 0;
    for (const char *p = text; (p = strstr(p, word)) != NULL; p += strlen(word)) {
        n++;
    }
    return n;
}

static void test_rename(void **state)
{
    (void)state;
    CLEANUP(buf_release) struct buf out = {0};
    sql_text_rename(&out, "create \"outbox\" (outbox); on \"outbox\"", "\"a\".\"b\"");
    assert_string_equal(buf_str(&out), "create \"a\".\"b\" (outbox); on \"a\".\"b\"");
    buf_clear(&out);
    sql_text_rename(&out, "", "x");
    assert_string_equal(buf_str(&out), "");
    /* A name that is the token itself is not replaced again. */
    sql_text_rename(&out, "\"outbox\"", "\"public\".\"outbox\"");
    assert_string_equal(buf_str(&out), "\"public\".\"outbox\"");
}

static void test_every_name_is_replaced(void **state)
{
    (void)state;
    CLEANUP(buf_release) struct buf out = {0};
    struct error err;
    struct sql_request r = {.table = "shop.events", .mode = SQL_STATUS, .channel = "it's"};
    assert_int_equal(make(true, &r, &out, &err), RESULT_DONE);
    assert_null(strstr(buf_str(&out), "\"outbox\""));
    assert_non_null(strstr(buf_str(&out), "create table if not exists \"shop\".\"events\""));
    assert_non_null(strstr(buf_str(&out), "alter table \"shop\".\"events\""));
    assert_non_null(strstr(buf_str(&out), "commitrelay.notify('it''s')"));
    assert_int_equal(
        count(buf_str(&out), "\nbegin;\n") + (strncmp(buf_str(&out), "begin;", 6) == 0), 1);
    assert_int_equal(strcmp(buf_str(&out) + out.len - strlen("\ncommit;\n"), "\ncommit;\n"), 0);
}

static void test_hostile_names(void **state)
{
    (void)state;
    CLEANUP(buf_release) struct buf out = {0};
    struct error err;
    struct sql_request r = {.table = "a\"; drop table x;--"};
    assert_int_equal(make(true, &r, &out, &err), RESULT_DONE);
    assert_non_null(strstr(buf_str(&out), "\"a\"\"; drop table x;--\""));
    buf_clear(&out);
    assert_int_equal(make(false, &r, &out, &err), RESULT_DONE);
    assert_non_null(strstr(buf_str(&out), "\"a\"\"; drop table x;--\""));
    buf_clear(&out);
    /* It would end the block it stands in. */
    r.table = "a$commitrelay$; drop table x;--";
    assert_int_equal(make(true, &r, &out, &err), RESULT_ERROR);
    assert_int_equal(err.exit_code, EXIT_CODE_CONFIG);
    buf_clear(&out);
    char longest[65];
    memset(longest, 'x', 64);
    longest[64] = '\0';
    r.table = longest;
    assert_int_equal(make(true, &r, &out, &err), RESULT_ERROR);
    assert_non_null(strstr(err.text, "63 bytes"));
}

static void test_inbox_is_alone(void **state)
{
    (void)state;
    CLEANUP(buf_release) struct buf pg = {0}, sqlite = {0};
    struct error err;
    struct sql_request r = {.table = "outbox", .inbox = true};
    assert_int_equal(make(true, &r, &pg, &err), RESULT_DONE);
    assert_int_equal(make(false, &r, &sqlite, &err), RESULT_DONE);
    assert_non_null(strstr(buf_str(&pg), "create table if not exists inbox"));
    assert_non_null(strstr(buf_str(&sqlite), "create table if not exists inbox"));
    assert_null(strstr(buf_str(&pg), "create schema"));
    assert_null(strstr(buf_str(&sqlite), "commitrelay_"));
}

static void test_what_sqlite_has_not(void **state)
{
    (void)state;
    CLEANUP(buf_release) struct buf out = {0};
    struct error err;
    struct sql_request status = {.table = "outbox", .mode = SQL_STATUS};
    struct sql_request notify = {.table = "outbox", .channel = "x"};
    struct sql_request delete = {.table = "outbox", .mode = SQL_DELETE};
    assert_int_equal(make(false, &status, &out, &err), RESULT_ERROR);
    assert_int_equal(err.exit_code, EXIT_CODE_CONFIG);
    assert_int_equal(make(false, &notify, &out, &err), RESULT_ERROR);
    assert_int_equal(err.exit_code, EXIT_CODE_CONFIG);
    assert_int_equal(make(false, &delete, &out, &err), RESULT_DONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rename),
        cmocka_unit_test(test_every_name_is_replaced),
        cmocka_unit_test(test_hostile_names),
        cmocka_unit_test(test_inbox_is_alone),
        cmocka_unit_test(test_what_sqlite_has_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
