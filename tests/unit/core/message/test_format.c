/* A format is a table of functions, and one that nobody has heard of works like the others. */
#include "formats.h"
#include "unit.h"

#include "message/encode.h"

/* The toy of docs/ADD-A-FORMAT.md: "<type>!" as the value, a header of its own, changes by their
 * table's name. */
static int toy_headers(const struct encode_conf *conf, const struct event *e, struct arena *arena,
                       struct header *out, size_t *ret_count, struct error *err)
{
    (void)conf, (void)arena, (void)err;
    *out = (struct header){SLICE_LITERAL("toy"), e->aggregatetype};
    *ret_count = 1;
    return RESULT_DONE;
}

static int toy_value(const struct encode_conf *conf, const struct event *e, struct arena *arena,
                     struct buf *out, struct error *err)
{
    (void)conf, (void)arena;
    if (slice_is_null(e->type)) {
        return error_set(err, ERROR_POISON, "encode", "a toy needs a type; fill the type column");
    }
    buf_add_slice(out, e->type);
    buf_add_char(out, '!');
    return RESULT_DONE;
}

static void toy_shape(const struct encode_conf *conf, struct change_shape *ret)
{
    (void)conf;
    ret->split_key_change = true;
}

static int toy_key(const struct encode_conf *conf, const struct change *c, const struct cell *cells,
                   struct buf *out, struct error *err)
{
    (void)conf, (void)c, (void)err;
    buf_add_slice(out, cells[0].text);
    return RESULT_DONE;
}

static int toy_change(const struct encode_conf *conf, const struct change *c, struct buf *out,
                      struct error *err)
{
    (void)conf, (void)err;
    buf_printf(out, "\"%.*s\"", SLICE_FMT(c->table->name));
    return RESULT_DONE;
}

static int toy_change_headers(const struct encode_conf *conf, const struct change *c,
                              struct buf *out, struct error *err)
{
    (void)conf, (void)err;
    if (c->snapshot == SNAPSHOT_LAST) {
        buf_add_str(out, "{\"last\":\"yes\"}");
    }
    return RESULT_DONE;
}

static const struct format_ops format_toy = {.can = FORMAT_OUTBOX | FORMAT_CHANGES,
                                             .headers = toy_headers,
                                             .value = toy_value,
                                             .shape = toy_shape,
                                             .change_key = toy_key,
                                             .change_value = toy_change,
                                             .change_headers = toy_change_headers};
static const struct encode_conf conf = {.format = &format_toy};

static void expect(struct slice got, const char *want)
{
    if (!slice_equal_str(got, want)) {
        fail_msg("\"%.*s\" instead of \"%s\"", SLICE_FMT(got), want);
    }
}

static void a_toy_makes_a_message(void **state)
{
    (void)state;
    struct error err = {0};
    struct batch *b = batch_new();
    struct event *e = batch_add(b);
    e->id = SLICE_LITERAL("i-1");
    e->type = SLICE_LITERAL("sold");
    e->aggregatetype = SLICE_LITERAL("order");
    assert_int_equal(encode_message(&conf, e, &b->arena, &err), 0);
    expect(e->value, "sold!");
    assert_int_equal(e->out_headers_count, 2);
    expect(e->out_headers[0].name, "id");
    expect(e->out_headers[1].name, "toy");
    expect(e->out_headers[1].value, "order");
    e->type = SLICE_NULL;
    assert_int_equal(encode_message(&conf, e, &b->arena, &err), -1);
    assert_int_equal(err.class, ERROR_POISON);
    batch_free(b);
}

static void a_toy_makes_an_event_of_a_change(void **state)
{
    (void)state;
    struct error err = {0};
    struct change_shape shape;
    const struct change_table t = {.schema = SLICE_LITERAL("public"), .name = SLICE_LITERAL("t")};
    const struct cell row[] = {{CELL_TEXT, SLICE_LITERAL("7")}};
    struct change c = {.op = CHANGE_READ, .table = &t, .after = row, .snapshot = SNAPSHOT_LAST};
    struct batch *b = batch_new();
    struct event *e = batch_add(b);
    e->change = &c;
    encode_shape(&conf, &shape);
    assert_true(shape.split_key_change && !shape.tombstones && !shape.own_prefix);
    assert_int_equal(encode_change(&conf, e, &b->arena, &err), 0);
    expect(e->key, "7");
    expect(e->payload, "\"t\"");
    expect(e->headers, "{\"last\":\"yes\"}");
    c.snapshot = SNAPSHOT_NO;
    assert_int_equal(encode_change(&conf, e, &b->arena, &err), 0);
    assert_true(slice_is_null(e->headers));
    batch_free(b);
}

/* What format.h demands of each line of formats.def. */
static void every_format_is_whole(void **state)
{
    (void)state;
    for (int i = 0; format_words[i]; i++) {
        const struct format_ops *f = format_at(i);
        bool changes = f->can & FORMAT_CHANGES;
        assert_string_equal(format_name(f), format_words[i]);
        assert_non_null(format_helps[i]);
        assert_true(f->can != 0);
        assert_true(!changes || (f->shape && f->change_key && f->change_value));
        assert_true(!f->outbox_keys || f->keys);
    }
    assert_string_equal(format_name(&format_toy), "");
}

static void formats_are_listed_by_what_they_can(void **state)
{
    (void)state;
    static const struct {
        struct format_wanted wanted;
        const char *has, *lacks; /* a later format may stand between and behind them */
    } cases[] = {
        {{.can = FORMAT_OUTBOX}, "payload, json", "debezium"},
        {{.can = FORMAT_CHANGES}, "json, debezium, cloudevents, cloudevents_json", "payload"},
        {{.can = FORMAT_CHANGES, .lines = true}, "json, debezium", "cloudevents"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CLEANUP(buf_release) struct buf list = {0};
        format_list(&list, cases[i].wanted, "or");
        if (!strstr(buf_str(&list), cases[i].has) || strstr(buf_str(&list), cases[i].lacks)) {
            fail_msg("case %zu: %s", i, buf_str(&list));
        }
    }
}

/* Every place in a list has its own way to be joined: none, one, two, more. */
static void a_list_is_read_aloud(void **state)
{
    (void)state;
    static const struct {
        const char *key, *list;
    } cases[] = {{"no such key", ""},
                 {"tombstones", "debezium"},
                 {"source", "cloudevents or cloudevents_json"},
                 {"flat_prefix", "json, cloudevents, cloudevents_json or flat"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CLEANUP(buf_release) struct buf list = {0};
        format_list(&list, (struct format_wanted){.key = cases[i].key}, "or");
        assert_string_equal(buf_str(&list), cases[i].list);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_toy_makes_a_message),
        cmocka_unit_test(a_toy_makes_an_event_of_a_change),
        cmocka_unit_test(every_format_is_whole),
        cmocka_unit_test(formats_are_listed_by_what_they_can),
        cmocka_unit_test(a_list_is_read_aloud),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
