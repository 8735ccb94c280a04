/* relations: a row is read by the table as it was, and the key keeps its own order. */
#include "unit.h"

#include "cdc/decode/relation.h"

/* The catalog's part, as a test sets it. */
struct catalog {
    struct catalog_table *table;
    struct column_type type;
};

bool catalog_has(const struct catalog *c, const struct pgoutput_message *relation)
{
    (void)c;
    (void)relation;
    return true;
}

const struct catalog_table *catalog_table(const struct catalog *c, uint32_t oid)
{
    return c->table && c->table->oid == oid ? c->table : NULL;
}

const struct column_type *catalog_type(struct catalog *c, uint32_t oid)
{
    (void)oid;
    return &c->type;
}

#define S(text) SLICE_LITERAL(text)

static struct pgoutput_message describe(uint32_t oid, enum replica_identity identity,
                                        struct pgoutput_column *columns, size_t count)
{
    return (struct pgoutput_message){.type = PGOUTPUT_RELATION,
                                     .relation = {.oid = oid,
                                                  .schema = S("public"),
                                                  .name = S("orders"),
                                                  .identity = identity,
                                                  .columns = columns,
                                                  .columns_count = count}};
}

static void expect_key(const struct change_table *t, size_t count, const char *const *names)
{
    assert_int_equal(t->key_count, count);
    for (size_t i = 0; i < count; i++) {
        assert_true(slice_equal_str(t->columns[t->key[i]].name, names[i]));
    }
}

static void everything_is_copied(void **state)
{
    (void)state;
    struct catalog c = {0};
    struct relations *r = relations_new();
    char name[] = "id";
    struct pgoutput_column columns[] = {{true, {name, 2}, 23, -1},
                                        {false, S("total"), 1700, 655366}};
    struct pgoutput_message m = describe(7, IDENTITY_DEFAULT, columns, 2);
    assert_null(relations_get(r, 7));
    assert_null(relations_user(r, 7));
    const struct change_table *t = relations_put(r, &c, &m);
    memset(name, 'x', 2);
    columns[1] = (struct pgoutput_column){0};
    assert_ptr_equal(relations_get(r, 7), t);
    assert_int_equal(t->oid, 7);
    assert_true(slice_equal_str(t->schema, "public") && slice_equal_str(t->name, "orders"));
    assert_int_equal(t->identity, IDENTITY_DEFAULT);
    assert_int_equal(t->columns_count, 2);
    assert_true(slice_equal_str(t->columns[0].name, "id") && t->columns[0].identity);
    assert_true(slice_equal_str(t->columns[1].name, "total") && !t->columns[1].identity);
    assert_int_equal(t->columns[1].typmod, 655366);
    assert_ptr_equal(t->columns[1].type, &c.type);
    assert_true(slice_is_null(t->columns[0].default_text));
    expect_key(t, 1, (const char *const[]){"id"});
    relations_free(r);
}

static void the_catalog_adds_what_does_not_contradict(void **state)
{
    (void)state;
    struct catalog_column known[] = {
        {S("renamed"), 25, -1, true, S("'x'::text")},
        {S("same"), 25, -1, true, S("")},
        {S("retyped"), 20, -1, true, S("0")},
    };
    struct catalog_table table = {.oid = 7, .columns = known, .columns_count = 3};
    struct catalog c = {.table = &table};
    struct relations *r = relations_new();
    struct pgoutput_column columns[] = {
        {false, S("retyped"), 23, -1}, {false, S("before"), 25, -1}, {false, S("same"), 25, -1}};
    struct pgoutput_message m = describe(7, IDENTITY_NOTHING, columns, 3);
    const struct change_column *got = relations_put(r, &c, &m)->columns;
    assert_true(!got[0].not_null && slice_is_null(got[0].default_text));
    assert_true(!got[1].not_null && slice_is_null(got[1].default_text));
    assert_true(got[2].not_null && !slice_is_null(got[2].default_text));
    assert_int_equal(got[2].default_text.len, 0);
    assert_int_equal(relations_get(r, 7)->key_count, 0);
    relations_free(r);
}

static void the_key_has_its_own_order(void **state)
{
    (void)state;
    struct catalog_column known[] = {{S("a"), 23, -1, true, SLICE_NULL},
                                     {S("b"), 23, -1, true, SLICE_NULL},
                                     {S("c"), 23, -1, true, SLICE_NULL}};
    struct slice key[] = {S("c"), S("a")};
    struct catalog_table table = {
        .oid = 7, .columns = known, .columns_count = 3, .key = key, .key_count = 2};
    struct catalog c = {.table = &table};
    struct relations *r = relations_new();
    struct pgoutput_column columns[] = {
        {true, S("a"), 23, -1}, {false, S("b"), 23, -1}, {true, S("c"), 23, -1}};
    struct pgoutput_message m = describe(7, IDENTITY_DEFAULT, columns, 3);
    expect_key(relations_put(r, &c, &m), 2, (const char *const[]){"c", "a"});

    columns[1].identity = true; /* FULL flags everything: only the catalog knows */
    m.relation.identity = IDENTITY_FULL;
    expect_key(relations_put(r, &c, &m), 2, (const char *const[]){"c", "a"});
    table.key_count = 0;
    assert_int_equal(relations_put(r, &c, &m)->key_count, 0);
    relations_free(r);
}

static void a_later_key_of_the_catalog_counts_not(void **state)
{
    (void)state;
    struct catalog_column known[] = {{S("a"), 23, -1, true, SLICE_NULL},
                                     {S("b"), 23, -1, true, SLICE_NULL}};
    struct slice key[] = {S("b")};
    struct catalog_table table = {
        .oid = 7, .columns = known, .columns_count = 2, .key = key, .key_count = 1};
    struct catalog c = {.table = &table};
    struct relations *r = relations_new();
    struct pgoutput_column columns[] = {{true, S("a"), 23, -1}, {false, S("b"), 23, -1}};
    struct pgoutput_message m = describe(7, IDENTITY_INDEX, columns, 2);
    expect_key(relations_put(r, &c, &m), 1, (const char *const[]){"a"});
    columns[1].identity = true; /* the stream has both, the catalog one of them */
    expect_key(relations_put(r, &c, &m), 2, (const char *const[]){"a", "b"});
    columns[1].name = S("z"); /* renamed since */
    expect_key(relations_put(r, &c, &m), 2, (const char *const[]){"a", "z"});
    relations_free(r);
}

static void count_release(void *user)
{
    ++*(int *)user;
}

static void a_replaced_version_lives_until_the_sweep(void **state)
{
    (void)state;
    struct catalog c = {0};
    struct relations *r = relations_new();
    struct pgoutput_column columns[] = {{true, S("id"), 23, -1}, {false, S("new"), 25, -1}};
    struct pgoutput_message m = describe(7, IDENTITY_DEFAULT, columns, 1);
    int first = 0, second = 0, third = 0;
    const struct change_table *old = relations_put(r, &c, &m);
    relations_set_user(r, 7, &first, count_release);
    assert_ptr_equal(relations_user(r, 7), &first);
    m.relation.columns_count = 2;
    const struct change_table *now = relations_put(r, &c, &m);
    assert_ptr_equal(relations_get(r, 7), now);
    assert_null(relations_user(r, 7));
    assert_int_equal(old->columns_count, 1);
    assert_true(slice_equal_str(old->columns[0].name, "id"));
    assert_int_equal(first, 0);
    relations_sweep(r);
    assert_int_equal(first, 1);

    relations_set_user(r, 7, &second, count_release);
    relations_set_user(r, 7, &third, count_release);
    assert_int_equal(second, 1);
    relations_clear(r);
    assert_null(relations_get(r, 7));
    assert_int_equal(now->columns_count, 2); /* handed out before the connection was lost */
    assert_int_equal(third, 0);
    relations_free(r);
    assert_int_equal(third, 1);
    relations_free(NULL);
}

static void thousands_of_tables_are_found(void **state)
{
    (void)state;
    struct catalog c = {0};
    struct relations *r = relations_new();
    struct pgoutput_column columns[] = {{true, S("id"), 23, -1}};
    for (size_t round = 0; round < 2; round++) {
        for (uint32_t i = 1; i <= 3000; i++) {
            struct pgoutput_message m = describe(i * 64, IDENTITY_DEFAULT, columns, 1);
            assert_int_equal(relations_put(r, &c, &m)->oid, i * 64);
        }
    }
    for (uint32_t i = 1; i <= 3000; i++) {
        assert_int_equal(relations_get(r, i * 64)->oid, i * 64);
        assert_null(relations_get(r, i * 64 + 1));
    }
    relations_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_is_copied),
        cmocka_unit_test(the_catalog_adds_what_does_not_contradict),
        cmocka_unit_test(the_key_has_its_own_order),
        cmocka_unit_test(a_later_key_of_the_catalog_counts_not),
        cmocka_unit_test(a_replaced_version_lives_until_the_sweep),
        cmocka_unit_test(thousands_of_tables_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
