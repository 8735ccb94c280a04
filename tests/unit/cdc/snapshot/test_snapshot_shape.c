/* snapshot_shape: a plan that no longer fits is made anew; nothing else is tried again for that. */
#include "unit.h"

#include "cdc/snapshot/shape.h"

#include <stdio.h>

#define S(text) SLICE_LITERAL(text)

static const struct change_table described = {
    .oid = 7, .schema = {"it's", 4}, .name = {"a\\b", 3}, .columns_count = 0};
static const struct snapshot_table table = {.table = &described, .shape = {"7 r d {} {1}", 12}};

static void another_shape_is_planned_anew(void **state)
{
    (void)state;
    const struct slice others[] = {S("8 r d {} {1}"), S("7 r d {} {1}."), S(""), SLICE_NULL};
    struct error err;
    assert_int_equal(snapshot_shape_judge(&table, S("7 r d {} {1}"), &err), RESULT_DONE);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        assert_int_equal(snapshot_shape_judge(&table, others[i], &err), RESULT_ERROR);
        assert_int_equal(err.class, ERROR_RETRY);
    }
}

static void the_table_is_found_by_its_name(void **state)
{
    (void)state;
    CLEANUP(buf_release) struct buf sql = {0};
    snapshot_shape_statement(&table, &sql);
    assert_non_null(strstr(buf_str(&sql), "'it''s'"));
    assert_non_null(strstr(buf_str(&sql), "'a\\b'"));
}

static enum error_class class_of(enum error_class class, const char *code)
{
    struct error err = {.class = class, .exit_code = EXIT_CODE_CONFIG, .text = "what it was"};
    snprintf(err.code, sizeof err.code, "%s", code);
    assert_int_equal(snapshot_shape_failed(&err), RESULT_ERROR);
    assert_non_null(strstr(err.text, "what it was"));
    assert_int_equal(err.exit_code, err.class == class ? EXIT_CODE_CONFIG : EXIT_CODE_GAVE_UP);
    return err.class;
}

static void what_is_gone_is_planned_anew(void **state)
{
    (void)state;
    assert_int_equal(class_of(ERROR_CONFIG, "42P01"), ERROR_RETRY);
    assert_int_equal(class_of(ERROR_CONFIG, "42703"), ERROR_RETRY);
    assert_int_equal(class_of(ERROR_CONFIG, "3F000"), ERROR_RETRY);
    assert_int_equal(class_of(ERROR_CONFIG, "42501"), ERROR_CONFIG);
    assert_int_equal(class_of(ERROR_FATAL, "42804"), ERROR_FATAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_shape_is_planned_anew),
        cmocka_unit_test(the_table_is_found_by_its_name),
        cmocka_unit_test(what_is_gone_is_planned_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
