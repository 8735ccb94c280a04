/* The row without its envelope, and what is added to it. */
#include "formats.h"
#include "unit.h"

#include "base/buf.h"
#include "message/encode.h"

#define N(array) (sizeof(array) / sizeof *(array))

static const struct column_type int4 = {.oid = 23, .base_oid = 23, .kind = TYPE_BASE};
static const struct column_type text = {.oid = 25, .base_oid = 25, .kind = TYPE_BASE};
static const struct change_column columns[] = {
    {.name = SLICE_LITERAL("id"), .type = &int4, .typmod = -1, .identity = true, .not_null = true},
    {.name = SLICE_LITERAL("t"), .type = &text, .typmod = -1},
};
static const uint16_t key[] = {0};
static const struct change_table orders = {.schema = SLICE_LITERAL("public"),
                                           .name = SLICE_LITERAL("orders"),
                                           .identity = IDENTITY_DEFAULT,
                                           .columns = columns,
                                           .columns_count = 2,
                                           .key = key,
                                           .key_count = 1};
static const struct cell row[] = {{CELL_TEXT, SLICE_LITERAL("1")}, {CELL_TEXT, SLICE_LITERAL("x")}};
static const struct cell old[] = {{CELL_TEXT, SLICE_LITERAL("1")}, {.kind = CELL_ABSENT}};
static const struct cell two[] = {{CELL_TEXT, SLICE_LITERAL("2")}, {CELL_TEXT, SLICE_LITERAL("x")}};

static struct change change_of(enum change_op op, const struct cell *before,
                               const struct cell *after)
{
    return (struct change){.op = op,
                           .table = &orders,
                           .before = before,
                           .after = after,
                           .database = SLICE_LITERAL("db"),
                           .lsn = 40,
                           .last_commit_lsn = 30,
                           .xid = 7,
                           .commit_us = INT64_C(1795255200123456)};
}

static struct encode_conf conf_of(struct encode_unwrap unwrap)
{
    unwrap.on = true;
    return (struct encode_conf){.format = &format_debezium,
                                .name = "shop",
                                .unavailable_placeholder = "?",
                                .tombstones = true,
                                .unwrap = unwrap};
}

/* What becomes of the change: key, payload and headers; NULL for a null. */
static void check(struct encode_unwrap unwrap, const struct change *c, const char *want_payload,
                  const char *want_headers)
{
    struct encode_conf conf = conf_of(unwrap);
    struct batch *b = batch_new();
    struct event *e = batch_add(b);
    struct error err;
    e->change = c;
    if (encode_check(&conf, &err) || encode_change(&conf, e, &b->arena, &err)) {
        fail_msg("%s", err.text);
    }
    if (slice_is_null(e->payload) != !want_payload ||
        !slice_equal_str(e->payload, want_payload ? want_payload : "")) {
        fail_msg("payload %.*s, want %s", SLICE_FMT(e->payload), want_payload);
    }
    if (slice_is_null(e->headers) != !want_headers ||
        !slice_equal_str(e->headers, want_headers ? want_headers : "")) {
        fail_msg("headers %.*s, want %s", SLICE_FMT(e->headers), want_headers);
    }
    assert_false(slice_is_null(e->key));
    batch_free(b);
}

static void a_row_is_all_there_is(void **state)
{
    (void)state;
    const struct change created = change_of(CHANGE_CREATE, NULL, row);
    const struct change updated = change_of(CHANGE_UPDATE, old, two);
    const struct change read = change_of(CHANGE_READ, NULL, row);
    check((struct encode_unwrap){0}, &created, "{\"id\":1,\"t\":\"x\"}", NULL);
    check((struct encode_unwrap){0}, &updated, "{\"id\":2,\"t\":\"x\"}", NULL);
    check((struct encode_unwrap){0}, &read, "{\"id\":1,\"t\":\"x\"}", NULL);
}

static void a_delete_is_a_tombstone_or_the_old_row(void **state)
{
    (void)state;
    const struct change gone = change_of(CHANGE_DELETE, old, NULL);
    const struct change created = change_of(CHANGE_CREATE, NULL, row);
    check((struct encode_unwrap){.deletes = UNWRAP_TOMBSTONE}, &gone, NULL, NULL);
    check((struct encode_unwrap){.deletes = UNWRAP_TOMBSTONE}, &created, "{\"id\":1,\"t\":\"x\"}",
          NULL);
    check((struct encode_unwrap){.deletes = UNWRAP_REWRITE}, &gone,
          "{\"id\":1,\"t\":null,\"__deleted\":\"true\"}", NULL);
    check((struct encode_unwrap){.deletes = UNWRAP_REWRITE}, &created,
          "{\"id\":1,\"t\":\"x\",\"__deleted\":\"false\"}", NULL);
}

static void fields_of_the_envelope_are_added(void **state)
{
    (void)state;
    static const char *const all[] = {
        "op",       "ts_ms",    "version",        "connector",   "name",   "source.ts_ms", "db",
        "sequence", "ts_us",    "ts_ns",          "schema",      "table",  "txId",         "lsn",
        "xmin",     "snapshot", "transaction.id", "total_order", "op:kind"};
    const struct change created = change_of(CHANGE_CREATE, NULL, row);
    check((struct encode_unwrap){.fields = all, .fields_count = N(all)}, &created,
          "{\"id\":1,\"t\":\"x\",\"__op\":\"c\",\"__ts_ms\":1795255200123,\"__version\":"
          "\"" COMMITRELAY_VERSION "\",\"__connector\":\"postgresql\",\"__name\":\"shop\","
          "\"__source_ts_ms\":1795255200123,\"__db\":\"db\","
          "\"__sequence\":\"[\\\"30\\\",\\\"40\\\"]\",\"__ts_us\":1795255200123456,"
          "\"__ts_ns\":1795255200123456000,\"__schema\":\"public\",\"__table\":\"orders\","
          "\"__txId\":7,\"__lsn\":40,\"__xmin\":null,\"__snapshot\":null,"
          "\"__transaction_id\":null,\"__total_order\":null,\"__kind\":\"c\"}",
          NULL);
    struct change read = change_of(CHANGE_READ, NULL, row);
    read.snapshot = SNAPSHOT_LAST;
    read.xid = 0;
    static const char *const some[] = {"snapshot", "txId"};
    check(
        (struct encode_unwrap){.deletes = UNWRAP_REWRITE, .fields = some, .fields_count = N(some)},
        &read,
        "{\"id\":1,\"t\":\"x\",\"__deleted\":\"false\",\"__snapshot\":\"last\",\"__txId\":null}",
        NULL);
    static const char *const place[] = {"snapshot", "lsn", "sequence"};
    read.snapshot = SNAPSHOT_INCREMENTAL; /* it stands at no place of the WAL */
    read.last_commit_lsn = 0;
    check((struct encode_unwrap){.fields = place, .fields_count = N(place)}, &read,
          "{\"id\":1,\"t\":\"x\",\"__snapshot\":\"incremental\",\"__lsn\":null,"
          "\"__sequence\":\"[null,null]\"}",
          NULL);
}

static void headers_stand_behind_the_other_key(void **state)
{
    (void)state;
    static const char *const some[] = {"op", "source.lsn:at"};
    const struct encode_unwrap unwrap = {
        .deletes = UNWRAP_TOMBSTONE, .headers = some, .headers_count = N(some)};
    struct change gone = change_of(CHANGE_DELETE, old, NULL);
    check(unwrap, &gone, NULL, "{\"__op\":\"d\",\"__at\":40}");
    struct encode_unwrap other = unwrap;
    other.headers_prefix = "x-";
    check(other, &gone, NULL, "{\"x-op\":\"d\",\"x-at\":40}");
    gone.other_key = two;
    check(unwrap, &gone, NULL, "{\"__debezium.newkey\":{\"id\":2},\"__op\":\"d\",\"__at\":40}");
}

/* A logical message has no row, and passes as it is. */
static void a_message_stays_what_it_is(void **state)
{
    (void)state;
    static const char *const some[] = {"op"};
    struct change c = change_of(CHANGE_MESSAGE, NULL, NULL);
    struct encode_conf conf = conf_of((struct encode_unwrap){.headers = some, .headers_count = 1});
    struct batch *b = batch_new();
    struct event *e = batch_add(b);
    struct error err;
    c.table = NULL;
    c.prefix = SLICE_LITERAL("p");
    c.content = SLICE_LITERAL("x");
    e->change = &c;
    assert_int_equal(encode_change(&conf, e, &b->arena, &err), RESULT_DONE);
    assert_int_equal(memcmp(e->payload.ptr, "{\"op\":\"m\",", 10), 0);
    assert_true(slice_is_null(e->headers));
    batch_free(b);
}

static void which_changes_come(void **state)
{
    (void)state;
    struct encode_conf conf = conf_of((struct encode_unwrap){.deletes = UNWRAP_REWRITE});
    struct change_shape shape;
    encode_shape(&conf, &shape);
    assert_false(shape.tombstones);
    assert_true(shape.skip[CHANGE_TRUNCATE]);
    assert_false(shape.skip[CHANGE_DELETE]);
    conf.unwrap.deletes = UNWRAP_DROP;
    encode_shape(&conf, &shape);
    assert_true(shape.skip[CHANGE_DELETE]);
}

static void what_is_no_field_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"lns", "after.id", "source.op", "op:", "", ".", "source."};
    static const char *const same[] = {"lsn", "source.lsn:lsn"};
    static const char *const deleted[] = {"op:deleted"};
    struct error err;
    for (size_t i = 0; i < N(bad); i++) {
        const struct encode_conf conf =
            conf_of((struct encode_unwrap){.fields = &bad[i], .fields_count = 1});
        if (encode_check(&conf, &err) != RESULT_ERROR || err.class != ERROR_CONFIG ||
            !strstr(err.text, "encode.unwrap.add_fields: there is no field")) {
            fail_msg("`%s` was not refused", bad[i]);
        }
    }
    struct encode_conf conf = conf_of((struct encode_unwrap){.headers = same, .headers_count = 2});
    assert_int_equal(encode_check(&conf, &err), RESULT_ERROR);
    assert_non_null(strstr(err.text, "encode.unwrap.add_headers has two fields `__lsn`"));
    conf = conf_of(
        (struct encode_unwrap){.deletes = UNWRAP_REWRITE, .fields = deleted, .fields_count = 1});
    assert_int_equal(encode_check(&conf, &err), RESULT_ERROR);
    conf.unwrap.deletes = UNWRAP_DROP;
    assert_int_equal(encode_check(&conf, &err), RESULT_DONE);
}

static void a_column_of_an_added_name_is_poison(void **state)
{
    (void)state;
    static const char *const some[] = {"op:t"};
    struct change_column named[] = {columns[0], columns[1]};
    struct change_table table = orders;
    struct change c = change_of(CHANGE_CREATE, NULL, row);
    struct encode_conf conf = conf_of((struct encode_unwrap){.fields = some, .fields_count = 1});
    struct batch *b = batch_new();
    struct event *e = batch_add(b);
    struct error err;
    named[1].name = SLICE_LITERAL("__t");
    table.columns = named;
    c.table = &table;
    e->change = &c;
    assert_int_equal(encode_change(&conf, e, &b->arena, &err), RESULT_ERROR);
    assert_int_equal(err.class, ERROR_POISON);
    assert_non_null(strstr(err.text, "column __t of public.orders has the name of a field"));
    named[1].hidden = true;
    assert_int_equal(encode_change(&conf, e, &b->arena, &err), RESULT_DONE);
    assert_true(slice_equal_str(e->payload, "{\"id\":1,\"__t\":\"c\"}"));
    batch_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_is_all_there_is),
        cmocka_unit_test(a_delete_is_a_tombstone_or_the_old_row),
        cmocka_unit_test(fields_of_the_envelope_are_added),
        cmocka_unit_test(headers_stand_behind_the_other_key),
        cmocka_unit_test(a_message_stays_what_it_is),
        cmocka_unit_test(which_changes_come),
        cmocka_unit_test(what_is_no_field_is_refused),
        cmocka_unit_test(a_column_of_an_added_name_is_poison),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
