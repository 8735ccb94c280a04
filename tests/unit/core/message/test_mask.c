/* What a mask leaves is what it was, byte for byte; what it covers is nowhere any more. */
#include "unit.h"

#include "base/buf.h"
#include "message/mask/mask.h"

#define N(array) (sizeof(array) / sizeof *(array))
#define SHA_A "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"  /* of "a" */
#define HMAC_A "78da91511e675587f5b9df78bedebaf5560da2abb88162ee875dcdf744951d9e" /* key "k" */

static struct mask *mask_of(const struct mask_rule *rules, size_t n, bool changes)
{
    struct mask *m = NULL;
    struct error err = {0};
    if (mask_new(rules, n, changes, &m, &err)) {
        fail_msg("%s", err.text);
    }
    return m;
}

/* The payload behind one rule, or what it is refused with. */
static void check_payload(const char *field, enum mask_how how, const char *from, const char *want)
{
    const struct mask_rule rule = {field, how, SLICE_LITERAL("k"), 0, NULL};
    struct mask *m = mask_of(&rule, 1, false);
    struct batch *b = batch_new();
    struct event *e = batch_add(b);
    struct error err = {0};
    e->payload = slice_from(from);
    e->headers = SLICE_LITERAL("{\"payload\": {\"a\": 1}}");
    if (mask_event(m, e, &b->arena, &err)) {
        assert_int_equal(err.class, ERROR_POISON);
        assert_true(e->partial && slice_is_null(e->payload) && slice_is_null(e->headers));
        if (!strstr(err.text, want)) {
            fail_msg("%s: %s, want %s", from, err.text, want);
        }
    } else if (!slice_equal_str(e->payload, want)) {
        fail_msg("%s of %s: %.*s, want %s", field, from, SLICE_FMT(e->payload), want);
    }
    batch_free(b);
    mask_free(m);
}

static void each_way(void **state)
{
    (void)state;
    static const struct {
        enum mask_how how;
        const char *from, *want;
    } cases[] = {
        {MASK_NULL, "{\"a\":\"x\"}", "{\"a\":null}"},
        {MASK_REDACT, "{\"a\":\"x\"}", "{\"a\":\"***\"}"},
        {MASK_REDACT, "{\"a\":{\"b\":[1]}}", "{\"a\":\"***\"}"},
        {MASK_REDACT, "{\"a\":12}", "{\"a\":\"***\"}"},
        {MASK_REDACT, "{\"a\":null}", "{\"a\":null}"},
        {MASK_REDACT, "{\"a\":\"\\u0000\"}", "{\"a\":\"***\"}"},
        {MASK_LAST4, "{\"a\":\"4111111111111234\"}", "{\"a\":\"****1234\"}"},
        {MASK_LAST4, "{\"a\":1234567}", "{\"a\":\"****4567\"}"},
        {MASK_LAST4, "{\"a\":\"1234\"}", "{\"a\":\"****\"}"},
        {MASK_LAST4, "{\"a\":\"\"}", "{\"a\":\"****\"}"},
        {MASK_LAST4, "{\"a\":\"x\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80y\"}",
         "{\"a\":\"****\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80y\"}"},
        {MASK_LAST4, "{\"a\":\"12\\u00e4\\\"\\n5\"}", "{\"a\":\"****\xc3\xa4\\\"\\n5\"}"},
        {MASK_LAST4, "{\"a\":false}", "{\"a\":\"****\"}"},
        {MASK_LAST4, "{\"a\":[12345]}", "{\"a\":\"****\"}"},
        {MASK_SHA256, "{\"a\":\"a\"}", "{\"a\":\"" SHA_A "\"}"},
        {MASK_SHA256, "{\"a\":\"\\u0061\"}", "{\"a\":\"" SHA_A "\"}"},
        {MASK_HMAC, "{\"a\":\"a\"}", "{\"a\":\"" HMAC_A "\"}"},
        {MASK_HMAC, "{\"a\":\"\\u0000\"}", "payload.a cannot be masked: its text holds"},
        {MASK_DROP, "{\"a\":1}", "{}"},
        {MASK_DROP, "{ \"a\" : 1 }", "{  }"},
        {MASK_DROP, "{\"a\":1,\"b\":2}", "{\"b\":2}"},
        {MASK_DROP, "{ \"a\":1, \"b\":2 , \"c\":3}", "{ \"b\":2 , \"c\":3}"},
        {MASK_DROP, "{\"b\":2, \"a\":1 , \"c\":3}", "{\"b\":2 , \"c\":3}"},
        {MASK_DROP, "{\"b\":2, \"a\":1}", "{\"b\":2}"},
        {MASK_DROP, "{\"a\":1,\"a\":2,\"b\":3,\"a\":4}", "{\"b\":3}"},
        {MASK_DROP, "{\"a\":null}", "{}"},
    };
    for (size_t i = 0; i < N(cases); i++) {
        check_payload("payload.a", cases[i].how, cases[i].from, cases[i].want);
    }
}

static void what_is_left_stays_as_it_is(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        /* blanks, the sequence, digits that no double holds, escapes, the same name twice */
        {" {\n \"z\" : 1.50e+3, \"a\": {\"b\":\"x\"  },\"a\":{\"b\":1}, \"n\":12345678901234567890.10 ,\"s\":\"\\u0041\\/\"}\n",
         " {\n \"z\" : 1.50e+3, \"a\": {\"b\":\"***\"  },\"a\":{\"b\":\"***\"}, \"n\":12345678901234567890.10 ,\"s\":\"\\u0041\\/\"}\n"},
        {"{\"a\":{\"\\u0062\":\"x\"}}", "{\"a\":{\"\\u0062\":\"***\"}}"},
        {"{\"a\":{}}", "{\"a\":{}}"},
        {"{\"a\":[ ]}", "{\"a\":[ ]}"},
        {"{\"a\":7,\"b\":\"x\"}", "{\"a\":7,\"b\":\"x\"}"},
        {"{}", "{}"},
        {" 12 ", " 12 "},
        {"null", "null"},
        {"[1]", "[1]"},
        {"{\"a\":[{\"b\":\"x\"}]}", "an array lies on the way to it"},
        {"[{\"a\":{\"b\":1}}]", "the column holds an array"},
        {"", "the payload column is not valid JSON"},
        {"secret", "the payload column is not valid JSON"},
        {"{\"a\":{\"b\":\"x\"}", "the payload column is not valid JSON"},
        {"{\"a\":{\"b\":\"x\"},}", "the payload column is not valid JSON"},
        {"{\"a\":{\"b\":\"x\"}} x", "the payload column is not valid JSON"},
    };
    for (size_t i = 0; i < N(cases); i++) {
        check_payload("payload.a.b", MASK_REDACT, cases[i][0], cases[i][1]);
    }
}

static void several_rules_and_headers(void **state)
{
    (void)state;
    static const struct mask_rule rules[] = {{"payload.a.b", MASK_DROP, {NULL, 0}, 0, NULL},
                                             {"payload.a.c", MASK_NULL, {NULL, 0}, 0, NULL},
                                             {"headers.ip", MASK_REDACT, {NULL, 0}, 0, NULL}};
    struct mask *m = mask_of(rules, N(rules), false);
    struct batch *b = batch_new();
    struct event *e = batch_add(b);
    struct error err = {0};
    e->payload = SLICE_LITERAL("{\"a\":{\"b\":1,\"c\":2,\"d\":3},\"ip\":4}");
    e->headers = SLICE_LITERAL("{\"ip\":\"10.0.0.1\",\"x\":\"y\"}");
    assert_int_equal(mask_event(m, e, &b->arena, &err), 0);
    assert_true(slice_equal_str(e->payload, "{\"a\":{\"c\":null,\"d\":3},\"ip\":4}"));
    assert_true(slice_equal_str(e->headers, "{\"ip\":\"***\",\"x\":\"y\"}"));
    /* nulls have no members */
    e->payload = e->headers = SLICE_NULL;
    assert_int_equal(mask_event(m, e, &b->arena, &err), 0);
    assert_true(slice_is_null(e->payload) && slice_is_null(e->headers));
    batch_free(b);
    mask_free(m);
}

static void paths_that_mean_nothing(void **state)
{
    (void)state;
    static const struct {
        bool changes;
        const char *first, *second, *want;
    } cases[] = {
        {false, "customers.email", NULL, "names no member"},
        {false, "payload", NULL, "names no member"},
        {false, "aggregateid", NULL, "names no member"},
        {false, "payload..a", NULL, "empty name"},
        {false, "payload.items[].price", NULL, "array, which is not in this version"},
        {false, "payload.items.*", NULL, "array, which is not in this version"},
        {false, "payload.a", "payload.a", "same value"},
        {false, "payload.a.b", "payload.a", "same value"},
        {true, "email", NULL, "names no column"},
        {true, "a.b.c.d", NULL, "names no column"},
        {true, "public.customers.email", "customers.email", "same value"},
    };
    for (size_t i = 0; i < N(cases); i++) {
        const struct mask_rule rules[] = {{cases[i].first, MASK_NULL, {NULL, 0}, 0, NULL},
                                          {cases[i].second, MASK_NULL, {NULL, 0}, 0, NULL}};
        struct mask *m = NULL;
        struct error err = {0};
        assert_int_equal(mask_new(rules, cases[i].second ? 2 : 1, cases[i].changes, &m, &err), -1);
        assert_int_equal(err.exit_code, EXIT_CODE_CONFIG);
        if (!strstr(err.text, cases[i].want)) {
            fail_msg("%s: %s", cases[i].first, err.text);
        }
    }
}

static void unmatched_are_told_once(void **state)
{
    (void)state;
    static const struct mask_rule rules[] = {{"payload.a", MASK_DROP, {NULL, 0}, 0, NULL},
                                             {"payload.b", MASK_DROP, {NULL, 0}, 0, NULL}};
    struct mask *m = mask_of(rules, N(rules), false);
    struct batch *b = batch_new();
    struct event *e = batch_add(b);
    struct error err = {0};
    for (int i = 0; i < MASK_PATIENCE; i++) {
        assert_null(mask_unmatched(m));
        e->payload = SLICE_LITERAL("{\"a\":1}");
        assert_int_equal(mask_event(m, e, &b->arena, &err), 0);
    }
    assert_string_equal(mask_unmatched(m), "payload.b");
    assert_null(mask_unmatched(m));
    assert_null(mask_unmatched(NULL));
    batch_free(b);
    mask_free(m);
}

/* --- table changes --- */

static const struct column_type int8_type = {
    .oid = 20, .base_oid = 20, .base_typmod = -1, .name = {"int8", 4}, .base_name = {"int8", 4}};

static const struct change_column columns[] = {
    {.name = {"tenant", 6}, .not_null = true, .type = &int8_type, .typmod = -1},
    {.name = {"email", 5}, .type = &int8_type, .typmod = 8, .default_text = {"1", 1}},
    {.name = {"id", 2}, .not_null = true, .type = &int8_type, .typmod = -1}};
static const uint16_t key[] = {2};
static const struct change_table customers = {.schema = {"public", 6},
                                              .name = {"customers", 9},
                                              .columns = columns,
                                              .columns_count = N(columns),
                                              .key = key,
                                              .key_count = 1};

static const struct change *masked(struct mask *m, struct batch *b, const struct change *c)
{
    struct event *e = batch_add(b);
    struct error err = {0};
    e->change = c;
    assert_int_equal(mask_event(m, e, &b->arena, &err), 0);
    return e->change;
}

static void columns_are_masked(void **state)
{
    (void)state;
    static const struct cell before[] = {
        {CELL_ABSENT, {NULL, 0}}, {CELL_NULL, {NULL, 0}}, {CELL_TEXT, {"7", 1}}};
    static const struct cell after[] = {
        {CELL_TEXT, {"1", 1}}, {CELL_TEXT, {"a", 1}}, {CELL_TEXT, {"7", 1}}};
    static const struct change c = {
        .op = CHANGE_UPDATE, .table = &customers, .before = before, .after = after};
    static const struct mask_rule rules[] = {
        {"customers.tenant", MASK_DROP, {NULL, 0}, 0, NULL},
        {"public.customers.email", MASK_SHA256, {NULL, 0}, 0, NULL}};
    struct mask *m = mask_of(rules, N(rules), true);
    struct batch *b = batch_new();
    const struct change *got = masked(m, b, &c);
    assert_int_equal(got->table->columns_count, 2);
    assert_true(slice_equal_str(got->table->columns[0].name, "email"));
    assert_int_equal(got->table->columns[0].type->base_oid, 25);
    assert_int_equal(got->table->columns[0].typmod, -1);
    assert_true(slice_is_null(got->table->columns[0].default_text));
    assert_int_equal(got->table->key[0], 1); /* the id has moved */
    assert_int_equal(got->before[0].kind, CELL_NULL);
    assert_true(slice_equal_str(got->before[1].text, "7"));
    assert_true(slice_equal_str(got->after[0].text, SHA_A));
    assert_null(got->other_key);
    assert_true(slice_equal_str(after[1].text, "a")); /* the source's own is as it was */
    batch_free(b);
    mask_free(m);
}

static void values_not_sent(void **state)
{
    (void)state;
    static const struct cell after[] = {
        {CELL_TEXT, {"1", 1}}, {CELL_UNCHANGED, {NULL, 0}}, {CELL_TEXT, {"7", 1}}};
    static const struct change c = {.op = CHANGE_UPDATE, .table = &customers, .after = after};
    static const enum cell_kind want[] = {[MASK_NULL] = CELL_NULL, [MASK_REDACT] = CELL_UNCHANGED};
    for (enum mask_how how = MASK_NULL; how <= MASK_REDACT; how++) {
        const struct mask_rule rule = {"customers.email", how, {NULL, 0}, 0, NULL};
        struct mask *m = mask_of(&rule, 1, true);
        struct batch *b = batch_new();
        assert_int_equal(masked(m, b, &c)->after[1].kind, want[how]);
        batch_free(b);
        mask_free(m);
    }
}

static void other_tables_are_not_copied(void **state)
{
    (void)state;
    static const struct change c = {.op = CHANGE_TRUNCATE, .table = &customers};
    static const struct change message = {.op = CHANGE_MESSAGE};
    static const struct mask_rule rules[] = {
        {"other.customers.email", MASK_NULL, {NULL, 0}, 0, NULL},
        {"orders.email", MASK_NULL, {NULL, 0}, 0, NULL}};
    struct mask *m = mask_of(rules, N(rules), true);
    struct batch *b = batch_new();
    assert_ptr_equal(masked(m, b, &c), &c);
    assert_ptr_equal(masked(m, b, &message), &message);
    batch_free(b);
    mask_free(m);
}

static void tables_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *field;
        enum mask_how how;
        const char *want;
    } cases[] = {
        {"customers.email", MASK_DROP, NULL},
        {"customers.id", MASK_HMAC, NULL},
        {"customers.id", MASK_SHA256, NULL},
        {"customers.id", MASK_DROP, "is part of the key of public.customers"},
        {"customers.id", MASK_NULL, "is part of the key of public.customers"},
        {"customers.id", MASK_REDACT, "is part of the key of public.customers"},
        {"customers.id", MASK_LAST4, "is part of the key of public.customers"},
        {"customers.id", MASK_STARS, "is part of the key of public.customers"},
        {"customers.id", MASK_HASH, "is part of the key of public.customers"},
        {"customers.id", MASK_TRUNCATE, "is no text, varchar or char"},
        {"customers.mail", MASK_DROP, "public.customers has no such published column"},
        {"orders.mail", MASK_DROP, NULL},
    };
    for (size_t i = 0; i < N(cases); i++) {
        const struct mask_rule rule = {cases[i].field, cases[i].how, SLICE_LITERAL("k"), 0, NULL};
        struct mask *m = mask_of(&rule, 1, true);
        struct error err = {0};
        int rc = mask_check_table(m, &customers, &err);
        if (rc != (cases[i].want ? -1 : 0) || (rc && !strstr(err.text, cases[i].want))) {
            fail_msg("%s: %d %s", cases[i].field, rc, err.text);
        }
        mask_free(m);
    }
}

/* One column with a value of each kind, masked as Debezium masks it; want NULL: a null. */
static void check_column_mask(struct mask_rule rule, int32_t typmod, const char *text,
                              const char *want, const char *want_null)
{
    static const struct column_type varchar = {.oid = 1043, .base_oid = 1043, .kind = TYPE_BASE};
    struct change_column own[] = {{.name = SLICE_LITERAL("email"),
                                   .type = &varchar,
                                   .typmod = typmod,
                                   .default_text = SLICE_LITERAL("'x'::character varying")}};
    const struct change_table table = {.schema = SLICE_LITERAL("public"),
                                       .name = SLICE_LITERAL("customers"),
                                       .columns = own,
                                       .columns_count = 1};
    const struct cell after[] = {{CELL_TEXT, slice_from(text)}}, before[] = {{.kind = CELL_NULL}};
    const struct change c = {
        .op = CHANGE_UPDATE, .table = &table, .before = before, .after = after};
    rule.field = "customers.email";
    struct mask *m = mask_of(&rule, 1, true);
    struct batch *b = batch_new();
    struct error err = {0};
    assert_int_equal(mask_check_table(m, &table, &err), 0);
    const struct change *got = masked(m, b, &c);
    if (!slice_equal_str(got->after[0].text, want)) {
        fail_msg("%s: %.*s, want %s", text, SLICE_FMT(got->after[0].text), want);
    }
    assert_int_equal(got->before[0].kind, want_null ? CELL_TEXT : CELL_NULL);
    assert_true(!want_null || slice_equal_str(got->before[0].text, want_null));
    /* What is only shorter is still the same column. */
    assert_int_equal(slice_is_null(got->table->columns[0].default_text), rule.how != MASK_TRUNCATE);
    batch_free(b);
    mask_free(m);
}

/* The digest of so many copies of a text. */
static void check_long(struct mask_rule rule, const char *piece, size_t n, const char *want)
{
    CLEANUP(buf_release) struct buf text = {0};
    for (size_t i = 0; i < n; i++) {
        buf_add_str(&text, piece);
    }
    check_column_mask(rule, -1, buf_str(&text), want, NULL);
}

/* The digests are those of Debezium's own tests (salt "salt", text "hello"), and of its class
 * MaskStrings in 3.0.8. */
static void columns_are_masked_as_debezium_masks_them(void **state)
{
    (void)state;
    const struct slice salt = SLICE_LITERAL("salt");
    const struct mask_rule stars = {NULL, MASK_STARS, {NULL, 0}, 5, NULL};
    const struct mask_rule three = {NULL, MASK_TRUNCATE, {NULL, 0}, 3, NULL};
    const struct mask_rule v1 = {NULL, MASK_HASH, salt, 0, "SHA-256"};
    const struct mask_rule v2 = {NULL, MASK_HASH_V2, salt, 0, NULL};
    const struct mask_rule md5 = {NULL, MASK_HASH, salt, 0, "MD5"};
    check_column_mask(stars, -1, "ann@example.org", "*****", "*****");
    check_column_mask(three, -1, "abcd", "abc", NULL);
    check_column_mask(three, -1, "abc", "abc", NULL);
    check_column_mask(three, -1, "", "", NULL);
    check_column_mask(three, -1, "\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9", "\xC3\xA9\xC3\xA9\xC3\xA9",
                      NULL);
    check_column_mask(three, -1, "ab\xF0\x9F\x98\x80", "ab", NULL); /* not half of it */
    check_column_mask(v1, -1, "hello",
                      "af5843a0f0e728ab0332c8888b6e1190bfb79e584f0d40538de8f10df6ef29c6", NULL);
    check_column_mask(v2, -1, "hello",
                      "cd31b3b98ece60cb739c0bf770b2de892ae0ad133f645513c3d83f08757a843a", NULL);
    check_long(v1, "a", 300, "f314c077312a9989c4a632fe7b28f56d08010e269ff75426ac118e1b1a68e6f6");
    check_long(v1, "a", 65535, "c05919b180a41bfeb1cd9dd096a1e95a811388ba6f5f034e4b4780a0e79664ec");
    check_long(v1, "a", 65536, "5c29ce9ff0f03168b5fa1e8e232600f9b04ab8a013844203128ff5e2626fe86a");
    check_long(v1, "\xF0\x9F\x98\x80", 12000, /* 72000 bytes as Java writes them */
               "8dbb14e7212597d247bc1e57561e9156bfd3ef86b9e2b4ec37d9869dd30586fd");
    check_long(v1, "x\xF0\x9F\x98\x80\xC3\xA9", 1,
               "7dae80c5a6faeac9f3c361610d17d8491b5e9dadb1f9071122e4ef1403a67325");
    check_long(v2, "x\xF0\x9F\x98\x80\xC3\xA9", 1,
               "ef3adff9b27be546764043966539b6b4cbfa617636e940f969c1240751b6ba7d");
    check_long(v1, "", 1, "5b3d6ca0412baec5bd29469bcf15b3d11a89841fb2aaed6509e63dd51531bbb0");
    check_column_mask(md5, -1, "world", "030f632140d9c9591b0d8c21098024b8", NULL);
    check_column_mask(v2, 4 + 8, "world", "e84ac314", NULL); /* varchar(8) */
}

static void debezium_s_masks_are_for_columns(void **state)
{
    (void)state;
    static const struct mask_rule rules[] = {{"payload.a", MASK_STARS, {NULL, 0}, 3, NULL},
                                             {"payload.a", MASK_HASH, {"k", 1}, 0, NULL}};
    static const struct mask_rule none = {"customers.email", MASK_HASH, {"k", 1}, 0, "SHA-0"};
    struct mask *m = NULL;
    struct error err;
    for (size_t i = 0; i < N(rules); i++) {
        assert_int_equal(mask_new(&rules[i], 1, false, &m, &err), RESULT_ERROR);
        assert_non_null(strstr(err.text, "this mask is for columns"));
    }
    assert_int_equal(mask_new(&none, 1, true, &m, &err), RESULT_ERROR);
    assert_non_null(strstr(err.text, "a digest that OpenSSL does not have"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_way),
        cmocka_unit_test(what_is_left_stays_as_it_is),
        cmocka_unit_test(several_rules_and_headers),
        cmocka_unit_test(paths_that_mean_nothing),
        cmocka_unit_test(unmatched_are_told_once),
        cmocka_unit_test(columns_are_masked),
        cmocka_unit_test(values_not_sent),
        cmocka_unit_test(other_tables_are_not_copied),
        cmocka_unit_test(tables_are_checked),
        cmocka_unit_test(columns_are_masked_as_debezium_masks_them),
        cmocka_unit_test(debezium_s_masks_are_for_columns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
