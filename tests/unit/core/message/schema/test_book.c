/* Which numbers the book wants, and what it makes of an event once it has them. The bytes are
 * computed by hand from Avro's specification. */
#include "one_table.h"

#include "message/schema/avro.h"
#include "message/schema/book.h"

struct fixture {
    struct encode_conf conf;
    struct schema_book *book;
    struct batch *batch;
};

static void begin(struct fixture *f, const struct format_ops *format, enum encode_value value,
                  bool by_record, bool key_is_text)
{
    f->conf = debezium;
    f->conf.format = format;
    f->conf.value = value;
    f->book = schema_book_new(&(struct schema_book_conf){
        .encode = &f->conf, .by_record = by_record, .key_is_text = key_is_text});
    f->batch = batch_new();
}

static void end(struct fixture *f)
{
    schema_book_free(f->book);
    batch_free(f->batch);
}

/* An event of a change as the pipeline has it when it frames it. */
static struct event *event_of(struct fixture *f, const struct change *c)
{
    struct error err;
    struct event *e = batch_add(f->batch);
    e->id = SLICE_LITERAL("1");
    e->change = c;
    if (encode_change(&f->conf, e, &f->batch->arena, &err) ||
        schema_book_change(f->book, e, &err)) {
        fail_msg("%s", err.text);
    }
    e->change = NULL;
    e->topic = SLICE_LITERAL("shop.public.orders");
    return e;
}

static int frame(struct fixture *f, struct event *e)
{
    struct error err;
    int rc = schema_frame(f->book, e, &f->batch->arena, &err);
    if (rc == RESULT_ERROR) {
        fail_msg("%s", err.text);
    }
    return rc;
}

/* The subject that is wanted next has this name; it gets the number. */
static void know(struct fixture *f, const char *name, uint32_t id)
{
    CLEANUP(buf_release) struct buf got = {0};
    struct error err;
    struct schema_subject *s = schema_book_wanted(f->book);
    assert_non_null(s);
    schema_subject_name(s, &got);
    assert_string_equal(buf_str(&got), name);
    assert_int_equal(schema_subject_known(f->book, s, id, SLICE_NULL, &err), 0);
}

static void expect_bytes(struct slice got, const struct buf *want)
{
    assert_int_equal(got.len, want->len);
    assert_memory_equal(got.ptr, want->data, want->len);
}

#define BYTES(out, literal) buf_add(out, literal, sizeof(literal) - 1)

/* The row of one_table.h. */
#define ROW                                                                                       \
    "\x0e\x00\x03\x04\x01\x5e\x02\x06\x02\x7d\x02\xb8\x17\x00\x06sad\x02\x06\x02\x02\x00\x02\x04" \
    "\x00"

static void an_event_waits_for_its_numbers(void **state)
{
    (void)state;
    struct fixture f;
    CLEANUP(buf_release) struct buf want = {0};
    const struct change c = created();
    begin(&f, &format_debezium, VALUE_AVRO, false, false);
    assert_null(schema_book_wanted(f.book));
    struct event *e = event_of(&f, &c);
    assert_int_equal(frame(&f, e), RESULT_AGAIN);
    assert_true(e->unframed);
    assert_int_equal(frame(&f, e), RESULT_AGAIN); /* wanted once, however often it is tried */
    know(&f, "shop.public.orders-key", 0x01020304);
    assert_int_equal(frame(&f, e), RESULT_AGAIN);
    know(&f, "shop.public.orders-value", 9);
    assert_null(schema_book_wanted(f.book));
    assert_int_equal(frame(&f, e), RESULT_DONE);
    assert_false(e->unframed);
    BYTES(&want, "\0\x01\x02\x03\x04\x0e");
    expect_bytes(e->wire_key, &want);
    assert_true(slice_equal_str(e->key, "{\"id\":7}")); /* as before, for parking and letters */
    buf_clear(&want);
    BYTES(&want, "\0\0\0\0\x09\x00\x02" ROW);
    avro_put_long(&want, (int64_t)strlen(COMMITRELAY_VERSION));
    buf_add_str(&want, COMMITRELAY_VERSION);
    BYTES(&want, "\x14postgresql\x08shop\xd0\x0f\x00\x0a"
                 "false\x08shop\x02\x14[null,\"3\"]\x02\x80\x89\x7a\x02\x80\xa8\xd6\xb9\x07"
                 "\x0cpublic\x0corders\x02\x0a\x02\x06\x00"
                 "\x00\x02"
                 "c\x02\xd0\x0f\x02\x80\x89\x7a\x02\x80\xa8\xd6\xb9\x07");
    expect_bytes(e->value, &want);
    end(&f);
}

static void a_flat_row_has_debezium_s_values(void **state)
{
    (void)state;
    struct fixture f;
    CLEANUP(buf_release) struct buf want = {0};
    const struct change c = created();
    begin(&f, &format_flat, VALUE_AVRO, true, false);
    struct event *e = event_of(&f, &c);
    assert_int_equal(frame(&f, e), RESULT_AGAIN);
    know(&f, "shop.public.orders.Key", 1);
    know(&f, "shop.public.orders.Value", 2);
    assert_int_equal(frame(&f, e), RESULT_DONE);
    BYTES(&want, "\0\0\0\0\x02" ROW "\x02"
                 "c\x1apublic.orders\x06"
                 "0/3\x36"
                 "1970-01-01T00:00:01.000000Z\x00\x00\x00");
    expect_bytes(e->value, &want);
    end(&f);
}

static void json_schema_keeps_the_text(void **state)
{
    (void)state;
    struct fixture f;
    CLEANUP(buf_release) struct buf want = {0};
    const struct change c = created();
    begin(&f, &format_debezium, VALUE_JSON_SCHEMA, false, false);
    struct event *e = event_of(&f, &c);
    assert_int_equal(frame(&f, e), RESULT_AGAIN);
    know(&f, "shop.public.orders-key", 1);
    know(&f, "shop.public.orders-value", 2);
    assert_int_equal(frame(&f, e), RESULT_DONE);
    BYTES(&want, "\0\0\0\0\x01{\"id\":7}");
    expect_bytes(e->wire_key, &want);
    buf_clear(&want);
    BYTES(&want, "\0\0\0\0\x02");
    buf_add_slice(&want, e->payload);
    expect_bytes(e->value, &want);
    end(&f);
}

/* The same columns again, in other memory, want nothing; one column more is another schema of the
 * same subject. */
static void an_altered_table_is_registered_again(void **state)
{
    (void)state;
    struct fixture f;
    struct change c = created();
    struct change_table again = orders, wider = orders;
    struct change_column copy[COLUMNS], more[COLUMNS];
    memcpy(copy, columns, sizeof copy);
    memcpy(more, columns, sizeof more);
    again.columns = copy;
    more[1].not_null = true;
    wider.columns = more;
    begin(&f, &format_debezium, VALUE_AVRO, false, false);
    assert_int_equal(frame(&f, event_of(&f, &c)), RESULT_AGAIN);
    know(&f, "shop.public.orders-key", 1);
    know(&f, "shop.public.orders-value", 2);
    c.table = &again;
    assert_int_equal(frame(&f, event_of(&f, &c)), RESULT_DONE);
    c.table = &wider;
    assert_int_equal(frame(&f, event_of(&f, &c)), RESULT_AGAIN);
    know(&f, "shop.public.orders-key", 1);
    know(&f, "shop.public.orders-value", 3);
    end(&f);
}

/* A source that connects again has its types anew, and others may stand where they were. */
static void types_are_told_by_what_they_are(void **state)
{
    (void)state;
    struct fixture f;
    struct change c = created();
    struct column_type type = text, element = int4, list = int4s;
    struct change_column copy[COLUMNS];
    struct change_table table = orders;
    memcpy(copy, columns, sizeof copy);
    list.element = &element;
    copy[1].type = &type;
    copy[7].type = &list;
    table.columns = copy;
    c.table = &table;
    begin(&f, &format_debezium, VALUE_AVRO, false, false);
    assert_int_equal(frame(&f, event_of(&f, &c)), RESULT_AGAIN);
    know(&f, "shop.public.orders-key", 1);
    know(&f, "shop.public.orders-value", 2);
    struct event *e = event_of(&f, &c);
    type = mood; /* each is another schema */
    assert_ptr_not_equal(event_of(&f, &c)->value_schema, e->value_schema);
    type = text;
    assert_ptr_equal(event_of(&f, &c)->value_schema, e->value_schema);
    element = text;
    assert_ptr_not_equal(event_of(&f, &c)->value_schema, e->value_schema);
    element = int4;
    copy[1].hidden = true;
    assert_ptr_not_equal(event_of(&f, &c)->value_schema, e->value_schema);
    assert_int_equal(frame(&f, e), RESULT_DONE);
    end(&f);
}

/* encode.schemas: `schema` is what Kafka Connect's JSON converter writes, and nobody is asked. */
static void a_schema_stands_in_the_message(void **state)
{
    (void)state;
    static const char want[] =
        "{\"schema\":{\"type\":\"struct\",\"fields\":[{\"type\":\"int32\",\"optional\":false,"
        "\"default\":0,\"field\":\"id\"}],\"optional\":false,\"name\":\"my-shop.public.orders.Key\"},"
        "\"payload\":{\"id\":7}}";
    static const char begins[] =
        "{\"schema\":{\"type\":\"struct\",\"fields\":[{\"type\":\"struct\",\"fields\":[{";
    struct fixture f;
    struct error err;
    struct change c = created();
    struct event *e;
    begin(&f, &format_debezium, VALUE_JSON, false, false);
    f.conf.schemas = true;
    f.conf.name = "my-shop";
    for (int gone = 0; gone < 2; gone++) {
        c.op = gone ? CHANGE_TOMBSTONE : CHANGE_CREATE;
        e = event_of(&f, &c);
        struct slice payload = e->payload;
        e->change = &c;
        assert_int_equal(schema_book_embed(f.book, e, &f.batch->arena, &err), 0);
        assert_true(slice_equal_str(e->key, want));
        assert_int_equal(slice_is_null(e->payload), gone);
        if (!gone) {
            assert_memory_equal(e->payload.ptr, begins, sizeof begins - 1);
            assert_memory_equal(e->payload.ptr + e->payload.len - 1 - payload.len, payload.ptr,
                                payload.len);
        }
    }
    assert_null(schema_book_wanted(f.book));
    end(&f);
}

static void a_tombstone_has_a_key_only(void **state)
{
    (void)state;
    struct fixture f;
    const struct change c = {.op = CHANGE_TOMBSTONE, .table = &orders, .before = row};
    begin(&f, &format_debezium, VALUE_AVRO, false, false);
    struct event *e = event_of(&f, &c);
    assert_int_equal(frame(&f, e), RESULT_AGAIN);
    know(&f, "shop.public.orders-key", 1);
    assert_int_equal(frame(&f, e), RESULT_DONE);
    assert_true(slice_is_null(e->value));
    assert_int_equal(e->wire_key.len, 6);
    end(&f);
}

static void a_configured_key_is_a_string(void **state)
{
    (void)state;
    struct fixture f;
    CLEANUP(buf_release) struct buf want = {0};
    const struct change c = created();
    begin(&f, &format_debezium, VALUE_AVRO, true, true);
    struct event *e = event_of(&f, &c);
    e->key = SLICE_LITERAL("a\"b");
    assert_int_equal(frame(&f, e), RESULT_AGAIN);
    assert_string_equal(schema_subject_text(schema_book_wanted(f.book)), "\"string\"");
    know(&f, "shop.public.orders-key", 4); /* a string is no record: its subject is the topic's */
    know(&f, "shop.public.orders.Envelope", 5);
    assert_int_equal(frame(&f, e), RESULT_DONE);
    BYTES(&want, "\0\0\0\0\x04\x06"
                 "a\"b");
    expect_bytes(e->wire_key, &want);
    end(&f);
}

static void a_string_says_that_it_is_json_schema(void **state)
{
    (void)state;
    struct fixture f;
    const struct change c = created();
    begin(&f, &format_debezium, VALUE_JSON_SCHEMA, false, true);
    struct event *e = event_of(&f, &c);
    e->key = SLICE_LITERAL("a");
    assert_int_equal(frame(&f, e), RESULT_AGAIN);
    assert_string_equal(
        schema_subject_text(schema_book_wanted(f.book)),
        "{\"$schema\":\"http://json-schema.org/draft-07/schema#\",\"type\":\"string\"}");
    end(&f);
}

/* Read from the store, without its table: the newest schema of the subject is looked up. */
static void a_dead_letter_takes_the_newest_schema(void **state)
{
    (void)state;
    struct fixture f;
    struct error err;
    CLEANUP(buf_release) struct buf want = {0};
    begin(&f, &format_debezium, VALUE_AVRO, false, false);
    struct event *e = batch_add(f.batch);
    e->of_change = true;
    e->topic = SLICE_LITERAL("t");
    e->payload = SLICE_LITERAL("{\"a\":1}");
    assert_int_equal(frame(&f, e), RESULT_AGAIN);
    struct schema_subject *s = schema_book_wanted(f.book);
    assert_null(schema_subject_text(s));
    assert_int_equal(
        schema_subject_known(f.book, s, 7,
                             SLICE_LITERAL("{\"type\":\"record\",\"name\":\"r\",\"fields\":["
                                           "{\"name\":\"a\",\"type\":\"int\"},{\"name\":\"b\","
                                           "\"type\":[\"null\",\"int\"],\"default\":null}]}"),
                             &err),
        0);
    assert_int_equal(frame(&f, e), RESULT_DONE);
    BYTES(&want, "\0\0\0\0\x07\x02\x00");
    expect_bytes(e->value, &want);
    end(&f);
}

static void what_was_refused_is_wanted_again(void **state)
{
    (void)state;
    struct fixture f;
    const struct change c = created();
    begin(&f, &format_debezium, VALUE_AVRO, false, false);
    struct event *e = event_of(&f, &c);
    assert_int_equal(frame(&f, e), RESULT_AGAIN);
    schema_book_forget_wanted(f.book);
    assert_null(schema_book_wanted(f.book));
    assert_int_equal(frame(&f, e), RESULT_AGAIN);
    know(&f, "shop.public.orders-key", 1);
    end(&f);
}

static void what_is_no_change_is_poison(void **state)
{
    (void)state;
    struct fixture f;
    struct error err;
    begin(&f, &format_flat, VALUE_AVRO, false, false);
    struct event *e = batch_add(f.batch);
    e->topic = SLICE_LITERAL("t");
    e->payload = SLICE_LITERAL("{}");
    assert_int_equal(schema_frame(f.book, e, &f.batch->arena, &err), RESULT_ERROR);
    assert_int_equal(err.class, ERROR_POISON);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_waits_for_its_numbers),
        cmocka_unit_test(a_flat_row_has_debezium_s_values),
        cmocka_unit_test(json_schema_keeps_the_text),
        cmocka_unit_test(an_altered_table_is_registered_again),
        cmocka_unit_test(types_are_told_by_what_they_are),
        cmocka_unit_test(a_schema_stands_in_the_message),
        cmocka_unit_test(a_tombstone_has_a_key_only),
        cmocka_unit_test(a_configured_key_is_a_string),
        cmocka_unit_test(a_string_says_that_it_is_json_schema),
        cmocka_unit_test(a_dead_letter_takes_the_newest_schema),
        cmocka_unit_test(what_was_refused_is_wanted_again),
        cmocka_unit_test(what_is_no_change_is_poison),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
