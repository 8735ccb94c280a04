/* What is said of transactions, and heartbeats: as Debezium's TransactionMonitor and heartbeats
 * with Kafka Connect's JSON converter. */
#include "formats.h"
#include "unit.h"

#include "base/buf.h"
#include "message/encode.h"
#include "message/route.h"

static const struct column_type int4 = {.oid = 23, .base_oid = 23, .kind = TYPE_BASE};
static const struct change_column columns[] = {
    {.name = SLICE_LITERAL("id"), .type = &int4, .typmod = -1, .identity = true, .not_null = true}};
static const uint16_t key[] = {0};
static const struct change_table orders = {.schema = SLICE_LITERAL("public"),
                                           .name = SLICE_LITERAL("orders"),
                                           .identity = IDENTITY_DEFAULT,
                                           .columns = columns,
                                           .columns_count = 1,
                                           .key = key,
                                           .key_count = 1};
static const struct cell row[] = {{CELL_TEXT, SLICE_LITERAL("1")}};

static struct change change_of(enum change_op op)
{
    bool is_row = op == CHANGE_CREATE;
    return (struct change){.op = op,
                           .table = is_row ? &orders : NULL,
                           .after = is_row ? row : NULL,
                           .database = SLICE_LITERAL("db"),
                           .lsn = 40,
                           .last_commit_lsn = 30,
                           .xid = 7,
                           .commit_us = INT64_C(1795255200123456)};
}

static struct encode_conf conf_of(void)
{
    return (struct encode_conf){.format = &format_debezium,
                                .name = "shop",
                                .unavailable_placeholder = "?",
                                .tombstones = true,
                                .transaction_metadata = true,
                                .heartbeat_topic = "beat"};
}

static void check(const struct encode_conf *conf, const struct change *c, const char *want_key,
                  const char *want)
{
    struct batch *b = batch_new();
    struct event *e = batch_add(b);
    struct error err;
    e->change = c;
    if (encode_check(conf, &err) || encode_change(conf, e, &b->arena, &err)) {
        fail_msg("%s", err.text);
    }
    if (!slice_equal_str(e->key, want_key)) {
        fail_msg("key %.*s, want %s", SLICE_FMT(e->key), want_key);
    }
    if (!slice_equal_str(e->payload, want)) {
        fail_msg("payload %.*s, want %s", SLICE_FMT(e->payload), want);
    }
    assert_true(slice_is_null(e->headers));
    batch_free(b);
}

static void a_transaction_begins_and_ends(void **state)
{
    (void)state;
    const struct encode_conf conf = conf_of();
    /* They come in the order of a HashMap of Java's: public.a is in bucket 6, public.b in bucket 7.
     */
    const struct change_count counts[] = {{SLICE_LITERAL("public.b"), 2},
                                          {SLICE_LITERAL("public.a"), 1}};
    struct change begin = change_of(CHANGE_BEGIN), end = change_of(CHANGE_END);
    check(&conf, &begin, "{\"id\":\"7:40\"}",
          "{\"status\":\"BEGIN\",\"id\":\"7:40\",\"event_count\":null,\"data_collections\":null,"
          "\"ts_ms\":1795255200123}");
    end.total_order = 3;
    end.counts = counts;
    end.counts_count = 2;
    check(&conf, &end, "{\"id\":\"7:40\"}",
          "{\"status\":\"END\",\"id\":\"7:40\",\"event_count\":3,\"data_collections\":["
          "{\"data_collection\":\"public.a\",\"event_count\":1},"
          "{\"data_collection\":\"public.b\",\"event_count\":2}],\"ts_ms\":1795255200123}");
}

static void changes_tell_their_place(void **state)
{
    (void)state;
    struct encode_conf conf = conf_of();
    struct change c = change_of(CHANGE_CREATE);
    struct batch *b = batch_new();
    struct event *e = batch_add(b);
    struct error err;
    CLEANUP(buf_release) struct buf text = {0};
    c.total_order = 12;
    c.table_order = 3;
    e->change = &c;
    assert_int_equal(encode_change(&conf, e, &b->arena, &err), RESULT_DONE);
    buf_add_slice(&text, e->payload);
    assert_non_null(strstr(buf_str(&text), "\"xmin\":null},\"transaction\":{\"id\":\"7:40\","
                                           "\"total_order\":12,\"data_collection_order\":3},"
                                           "\"op\":\"c\""));
    c.total_order = 0; /* a row of a snapshot */
    assert_int_equal(encode_change(&conf, e, &b->arena, &err), RESULT_DONE);
    buf_clear(&text);
    buf_add_slice(&text, e->payload);
    assert_non_null(strstr(buf_str(&text), "\"transaction\":null,\"op\""));
    batch_free(b);
}

static void without_its_envelope_a_row_may_have_them(void **state)
{
    (void)state;
    static const char *const fields[] = {"transaction.id", "total_order", "data_collection_order"};
    struct encode_conf conf = conf_of();
    struct change c = change_of(CHANGE_CREATE), begin = change_of(CHANGE_BEGIN);
    conf.unwrap = (struct encode_unwrap){.on = true, .fields = fields, .fields_count = 3};
    c.total_order = 2;
    c.table_order = 1;
    check(&conf, &c, "{\"id\":1}",
          "{\"id\":1,\"__transaction_id\":\"7:40\",\"__total_order\":2,"
          "\"__data_collection_order\":1}");
    c.total_order = c.table_order = 0;
    check(&conf, &c, "{\"id\":1}",
          "{\"id\":1,\"__transaction_id\":null,\"__total_order\":null,"
          "\"__data_collection_order\":null}");
    check(&conf, &begin, "{\"id\":\"7:40\"}",
          "{\"status\":\"BEGIN\",\"id\":\"7:40\",\"event_count\":null,\"data_collections\":null,"
          "\"ts_ms\":1795255200123}");
}

static void a_heartbeat_tells_the_time(void **state)
{
    (void)state;
    const struct encode_conf conf = conf_of();
    const struct change c = change_of(CHANGE_HEARTBEAT);
    check(&conf, &c, "{\"serverName\":\"shop\"}", "{\"ts_ms\":1795255200123}");
}

static void they_are_asked_for(void **state)
{
    (void)state;
    struct encode_conf conf = conf_of();
    struct change_shape shape;
    encode_shape(&conf, &shape);
    assert_true(shape.transactions && shape.heartbeats);
    conf.transaction_metadata = false;
    conf.heartbeat_topic = "";
    encode_shape(&conf, &shape);
    assert_false(shape.transactions || shape.heartbeats);
}

/* --- where they go --- */

static void check_route(const struct route *r, enum change_op op, const char *topic,
                        const char *wanted_key, int partition)
{
    const struct change c = change_of(op);
    struct batch *b = batch_new();
    struct event *e = batch_add(b);
    struct error err;
    const struct slice nothing[] = {SLICE_NULL, SLICE_NULL, SLICE_NULL};
    e->change = &c;
    e->columns = nothing;
    e->key = SLICE_LITERAL("k");
    if (route_apply(r, e, &b->arena, &err)) {
        fail_msg("%s", err.text);
    }
    assert_true(slice_equal_str(e->topic, topic));
    assert_true(slice_equal_str(e->key, wanted_key));
    assert_int_equal(e->partition, partition);
    batch_free(b);
}

static void they_have_topics_of_their_own(void **state)
{
    (void)state;
    struct route_conf conf = {.changes = true,
                              .name = "my shop",
                              .heartbeat_topic = "__debezium-heartbeat.shop",
                              .topic = "all.{table}",
                              .key = "{id}",
                              .partition = "part"};
    struct route *r;
    struct error err;
    assert_int_equal(route_new(&conf, &r, &err), 0);
    check_route(r, CHANGE_BEGIN, "my_shop.transaction", "k", -1);
    check_route(r, CHANGE_END, "my_shop.transaction", "k", -1);
    check_route(r, CHANGE_HEARTBEAT, "__debezium-heartbeat.shop", "k", 0);
    assert_true(route_may_give(r, SLICE_LITERAL("my_shop.transaction")));
    assert_true(route_may_give(r, SLICE_LITERAL("__debezium-heartbeat.shop")));
    route_free(r);
    conf.topic = "fixed";
    conf.rewrite_match = "my_shop\\.(.*)";
    conf.rewrite_to = "new.$1";
    assert_int_equal(route_new(&conf, &r, &err), 0);
    check_route(r, CHANGE_BEGIN, "new.transaction", "k", -1);
    check_route(r, CHANGE_HEARTBEAT, "__debezium-heartbeat.shop", "k", 0);
    route_free(r);
    conf.heartbeat_topic = "no topic";
    assert_int_equal(route_new(&conf, &r, &err), -1);
    assert_int_equal(err.class, ERROR_CONFIG);
    assert_non_null(strstr(err.text, "encode.heartbeat_topic"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_transaction_begins_and_ends),
        cmocka_unit_test(changes_tell_their_place),
        cmocka_unit_test(without_its_envelope_a_row_may_have_them),
        cmocka_unit_test(a_heartbeat_tells_the_time),
        cmocka_unit_test(they_are_asked_for),
        cmocka_unit_test(they_have_topics_of_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
