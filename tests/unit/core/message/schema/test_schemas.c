/* The texts of schemas, compared with tests/golden/schemas. Those are written by hand after the
 * rules of Debezium and of Confluent's converters (docs/DEBEZIUM.md says what was measured). */
#include "one_table.h"

#include "message/schema/connect.h"
#include <stdio.h>
#include <stdlib.h>

static void golden(struct buf *out, const char *name)
{
    char path[512], piece[4096];
    snprintf(path, sizeof path, GOLDEN_DIR "/schemas/%s", name);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    for (size_t n; (n = fread(piece, 1, sizeof piece, f)) > 0;) {
        buf_add(out, piece, n);
    }
    fclose(f);
    buf_truncate(out, out->len - 1); /* its line end */
}

typedef int writer(struct buf *out, const struct connect_schema *s, struct error *err);

static void expect(const struct connect_schema *s, writer *write, const char *name)
{
    CLEANUP(buf_release) struct buf want = {0}, got = {0};
    struct error err;
    golden(&want, name);
    assert_int_equal(write(&got, s, &err), 0);
    assert_string_equal(buf_str(&got), buf_str(&want));
}

static void debezium_s_schemas(void **state)
{
    (void)state;
    CLEANUP(arena_release) struct arena arena = {0};
    const struct connect_schema *k, *v;
    format_debezium.schemas(&debezium, &orders, &arena, &k, &v);
    expect(k, connect_avro, "debezium.key.avsc");
    expect(v, connect_avro, "debezium.value.avsc");
    expect(k, connect_json, "debezium.key.json");
}

static void a_flat_row_has_our_members(void **state)
{
    (void)state;
    CLEANUP(arena_release) struct arena arena = {0};
    const struct connect_schema *k, *v;
    format_flat.schemas(&debezium, &orders, &arena, &k, &v);
    expect(k, connect_avro, "debezium.key.avsc");
    expect(v, connect_avro, "flat.value.avsc");
}

static void a_table_without_a_key_has_no_schema_of_it(void **state)
{
    (void)state;
    CLEANUP(arena_release) struct arena arena = {0};
    const struct connect_schema *k, *v;
    struct change_table keyless = orders;
    keyless.key_count = 0;
    format_debezium.schemas(&debezium, &keyless, &arena, &k, &v);
    assert_null(k);
    format_debezium.schemas(&debezium, NULL, &arena, &k, &v); /* logical messages have one */
    assert_string_equal(k->name.ptr, "io.debezium.connector.postgresql.MessageKey");
}

/* Names of schemas are mended, those of columns cannot be: a reader would look for them. */
static void names_that_avro_does_not_allow(void **state)
{
    (void)state;
    CLEANUP(arena_release) struct arena arena = {0};
    CLEANUP(buf_release) struct buf out = {0};
    struct error err;
    const struct connect_schema *k, *v;
    struct change_column odd[COLUMNS];
    struct change_table t = orders;
    memcpy(odd, columns, sizeof odd);
    t.name = slice_from("my-orders");
    t.columns = odd;
    format_debezium.schemas(&debezium, &t, &arena, &k, &v);
    assert_int_equal(connect_avro(&out, k, &err), 0);
    assert_non_null(strstr(buf_str(&out), "\"shop.public.my_orders.Key\""));
    odd[0].name = slice_from("1st");
    format_debezium.schemas(&debezium, &t, &arena, &k, &v);
    assert_int_equal(connect_avro(&out, k, &err), -1);
    assert_int_equal(err.class, ERROR_POISON);
    assert_non_null(strstr(err.text, "no field named 1st"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(debezium_s_schemas),
        cmocka_unit_test(a_flat_row_has_our_members),
        cmocka_unit_test(a_table_without_a_key_has_no_schema_of_it),
        cmocka_unit_test(names_that_avro_does_not_allow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
