/* pgoutput: every field of every message arrives, and what does not fit is refused with its place.
 */
#include "unit.h"

#include "base/buf.h"
#include "cdc/decode/pgoutput.h"
#include <stdio.h>
#include <stdlib.h>

struct fixture {
    struct arena arena;
    struct buf in;
    struct pgoutput_message m;
    struct error err;
};

static int setup(void **state)
{
    static struct fixture f;
    f = (struct fixture){0};
    arena_init(&f.arena);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    arena_release(&f->arena);
    buf_release(&f->in);
    return 0;
}

static void number(struct fixture *f, size_t bytes, uint64_t v)
{
    while (bytes-- > 0) {
        char byte = (char)(uint8_t)(v >> (8 * bytes));
        buf_add(&f->in, &byte, 1);
    }
}

static void string(struct fixture *f, const char *s)
{
    buf_add(&f->in, s, strlen(s) + 1);
}

static void text(struct fixture *f, const char *s)
{
    number(f, 1, 't');
    number(f, 4, strlen(s));
    buf_add(&f->in, s, strlen(s));
}

/* The bytes are copied to a block of just their size, so that the sanitizer sees a read behind it.
 */
static int decode(struct fixture *f, bool in_stream)
{
    struct slice copy = {malloc(f->in.len + !f->in.len), f->in.len};
    assert_non_null(copy.ptr);
    memcpy((char *)(uintptr_t)copy.ptr, buf_str(&f->in), f->in.len);
    int answer = pgoutput_decode(copy, in_stream, &f->arena, &f->m, &f->err);
    free((char *)(uintptr_t)copy.ptr);
    if (answer == RESULT_DONE) { /* slices that live */
        answer = pgoutput_decode(buf_slice(&f->in), in_stream, &f->arena, &f->m, &f->err);
    }
    return answer;
}

static void expect_done(struct fixture *f, bool in_stream)
{
    if (decode(f, in_stream) != RESULT_DONE) {
        fail_msg("%s", f->err.text);
    }
}

static void expect_refused(struct fixture *f, const char *type, const char *cause, size_t offset)
{
    char place[128];
    snprintf(place, sizeof place, "%s at byte %zu.", cause, offset);
    f->m.xid = 4711;
    assert_int_equal(decode(f, false), RESULT_ERROR);
    assert_int_equal(f->err.class, ERROR_RETRY);
    assert_string_equal(f->err.origin, "pgoutput");
    if (!strstr(f->err.text, type) || !strstr(f->err.text, place)) {
        fail_msg("wanted %s and %s: %s", type, place, f->err.text);
    }
    assert_int_equal(f->m.xid, 4711); /* untouched */
    buf_clear(&f->in);
}

static void expect_text(struct slice s, const char *wanted)
{
    assert_non_null(s.ptr);
    if (!slice_equal_str(s, wanted)) {
        fail_msg("wanted '%s', got '%.*s'", wanted, SLICE_FMT(s));
    }
}

static void begin_and_commit(void **state)
{
    struct fixture *f = *state;
    number(f, 1, 'B');
    number(f, 8, 0x1122334455667788);
    number(f, 8, 1);
    number(f, 4, 0xfffffffe);
    expect_done(f, true); /* no xid in front even there */
    assert_int_equal(f->m.type, PGOUTPUT_BEGIN);
    assert_int_equal(f->m.begin.final_lsn, 0x1122334455667788);
    assert_int_equal(f->m.begin.commit_us, INT64_C(946684800000001));
    assert_int_equal(f->m.xid, 0xfffffffe);

    buf_clear(&f->in);
    number(f, 1, 'C');
    number(f, 1, 0);
    number(f, 8, 7);
    number(f, 8, 9);
    number(f, 8, (uint64_t)INT64_C(-946684800000000));
    expect_done(f, false);
    assert_int_equal(f->m.commit.commit_lsn, 7);
    assert_int_equal(f->m.commit.end_lsn, 9);
    assert_int_equal(f->m.commit.commit_us, 0);
    assert_int_equal(f->m.xid, 0);
}

static void relation(struct fixture *f, const char *schema, char identity)
{
    number(f, 4, 16385);
    string(f, schema);
    string(f, "orders");
    number(f, 1, (uint8_t)identity);
    number(f, 2, 2);
    number(f, 1, 1);
    string(f, "id");
    number(f, 4, 23);
    number(f, 4, 0xffffffff);
    number(f, 1, 0);
    string(f, "");
    number(f, 4, 0x80000001);
    number(f, 4, 12);
}

static void relation_and_type(void **state)
{
    struct fixture *f = *state;
    number(f, 1, 'R');
    number(f, 4, 77);
    relation(f, "", 'f');
    expect_done(f, true);
    assert_int_equal(f->m.xid, 77);
    assert_int_equal(f->m.relation.oid, 16385);
    expect_text(f->m.relation.schema, "pg_catalog");
    expect_text(f->m.relation.name, "orders");
    assert_int_equal(f->m.relation.identity, IDENTITY_FULL);
    assert_int_equal(f->m.relation.columns_count, 2);
    const struct pgoutput_column *c = f->m.relation.columns;
    assert_true(c[0].identity && !c[1].identity);
    expect_text(c[0].name, "id");
    expect_text(c[1].name, "");
    assert_true(c[0].type == 23 && c[0].typmod == -1);
    assert_true(c[1].type == 0x80000001 && c[1].typmod == 12);

    buf_clear(&f->in);
    number(f, 1, 'Y');
    number(f, 4, 99);
    string(f, "app");
    string(f, "mood");
    expect_done(f, false);
    assert_int_equal(f->m.data_type.oid, 99);
    expect_text(f->m.data_type.schema, "app");
    expect_text(f->m.data_type.name, "mood");
}

static void row_head(struct fixture *f, char type, char part)
{
    number(f, 1, (uint8_t)type);
    number(f, 4, 16385);
    number(f, 1, (uint8_t)part);
}

static void insert_has_all_kinds_of_cells(void **state)
{
    struct fixture *f = *state;
    number(f, 1, 'I');
    number(f, 4, 500);
    number(f, 4, 16385);
    number(f, 1, 'N');
    number(f, 2, 4);
    text(f, "one");
    number(f, 1, 'n');
    number(f, 1, 'u');
    text(f, "");
    expect_done(f, true);
    assert_int_equal(f->m.xid, 500);
    assert_int_equal(f->m.row.relation, 16385);
    assert_null(f->m.row.before.cells);
    assert_int_equal(f->m.row.after.count, 4);
    const struct cell *c = f->m.row.after.cells;
    assert_int_equal(c[0].kind, CELL_TEXT);
    expect_text(c[0].text, "one");
    assert_int_equal(c[1].kind, CELL_NULL);
    assert_int_equal(c[2].kind, CELL_UNCHANGED);
    assert_int_equal(c[3].kind, CELL_TEXT);
    expect_text(c[3].text, "");
    assert_int_equal(pgoutput_peek_relation(buf_slice(&f->in), true), 16385);
    assert_int_equal(pgoutput_peek_relation(buf_slice(&f->in), false), 500);
    assert_int_equal(pgoutput_peek_relation((struct slice){buf_str(&f->in), 8}, true), 0);
    assert_int_equal(pgoutput_peek_relation(SLICE_NULL, false), 0);
}

static void a_tuple_without_columns_is_there(void **state)
{
    struct fixture *f = *state;
    row_head(f, 'I', 'N');
    number(f, 2, 0);
    expect_done(f, false);
    assert_non_null(f->m.row.after.cells);
    assert_int_equal(f->m.row.after.count, 0);
}

static void old_tuples_are_told_apart(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < 2; i++) {
        buf_clear(&f->in);
        row_head(f, 'U', "KO"[i]);
        number(f, 2, 1);
        text(f, "old");
        number(f, 1, 'N');
        number(f, 2, 1);
        text(f, "new");
        expect_done(f, false);
        assert_int_equal(f->m.row.old_is_key, i == 0);
        expect_text(f->m.row.before.cells[0].text, "old");
        expect_text(f->m.row.after.cells[0].text, "new");

        buf_clear(&f->in);
        row_head(f, 'D', "KO"[i]);
        number(f, 2, 1);
        text(f, "gone");
        expect_done(f, false);
        assert_int_equal(f->m.row.old_is_key, i == 0);
        expect_text(f->m.row.before.cells[0].text, "gone");
        assert_null(f->m.row.after.cells);
    }
    buf_clear(&f->in);
    row_head(f, 'U', 'N');
    number(f, 2, 1);
    text(f, "new");
    expect_done(f, false);
    assert_null(f->m.row.before.cells);
    assert_false(f->m.row.old_is_key);
}

static void truncate_message_and_origin(void **state)
{
    struct fixture *f = *state;
    number(f, 1, 'T');
    number(f, 4, 2);
    number(f, 1, 2);
    number(f, 4, 10);
    number(f, 4, 11);
    expect_done(f, false);
    assert_true(f->m.truncate.restart_identity && !f->m.truncate.cascade);
    assert_int_equal(f->m.truncate.count, 2);
    assert_int_equal(f->m.truncate.relations[1], 11);

    buf_clear(&f->in);
    number(f, 1, 'M');
    number(f, 1, 1);
    number(f, 8, 0xabc);
    string(f, "outbox");
    number(f, 4, 3);
    buf_add(&f->in, "a\0b", 3);
    expect_done(f, false);
    assert_true(f->m.message.transactional);
    assert_int_equal(f->m.message.lsn, 0xabc);
    expect_text(f->m.message.prefix, "outbox");
    assert_int_equal(f->m.message.content.len, 3);
    assert_memory_equal(f->m.message.content.ptr, "a\0b", 3);

    buf_clear(&f->in);
    number(f, 1, 'O');
    number(f, 8, 5);
    string(f, "elsewhere");
    expect_done(f, true); /* the one message of a stream block without an xid in front */
    assert_int_equal(f->m.origin.commit_lsn, 5);
    expect_text(f->m.origin.name, "elsewhere");
    assert_int_equal(f->m.xid, 0);
}

static void stream_blocks(void **state)
{
    struct fixture *f = *state;
    number(f, 1, 'S');
    number(f, 4, 800);
    number(f, 1, 1);
    expect_done(f, false);
    assert_true(f->m.xid == 800 && f->m.stream_start.first);

    buf_clear(&f->in);
    number(f, 1, 'E');
    expect_done(f, true);

    buf_clear(&f->in);
    number(f, 1, 'A');
    number(f, 4, 800);
    number(f, 4, 801);
    expect_done(f, false);
    assert_true(f->m.xid == 800 && f->m.stream_abort.subxid == 801);

    buf_clear(&f->in);
    number(f, 1, 'c');
    number(f, 4, 800);
    number(f, 1, 0);
    number(f, 8, 1);
    number(f, 8, 2);
    number(f, 8, 3);
    expect_done(f, false);
    assert_true(f->m.xid == 800 && f->m.commit.commit_lsn == 1 && f->m.commit.end_lsn == 2);
    assert_int_equal(f->m.commit.commit_us, INT64_C(946684800000003));
}

static void unknown_bytes_are_named(void **state)
{
    struct fixture *f = *state;
    expect_refused(f, "0x00", "it ends too early", 0);
    number(f, 1, 'Z');
    expect_refused(f, "'Z' (0x5a)", "an unknown type of message", 0);
    number(f, 1, '\n');
    expect_refused(f, "type 0x0a", "an unknown type of message", 0);
    row_head(f, 'I', 'K');
    expect_refused(f, "'I'", "an unexpected kind of tuple", 5);
    row_head(f, 'D', 'N');
    expect_refused(f, "'D'", "an unexpected kind of tuple", 5);
    row_head(f, 'I', 'N');
    number(f, 2, 2);
    number(f, 1, 'n');
    number(f, 1, 'x');
    expect_refused(f, "'I'", "an unknown kind of value", 9);
    row_head(f, 'I', 'N');
    number(f, 2, 1);
    number(f, 1, 'b');
    number(f, 4, 0);
    expect_refused(f, "'I'", "a binary value, which was not asked for", 8);
    number(f, 1, 'R');
    relation(f, "public", 'x');
    expect_refused(f, "'R'", "an unknown replica identity", 19);
    number(f, 1, 'S');
    number(f, 4, 1);
    number(f, 1, 2);
    expect_refused(f, "'S'", "unknown flags", 5);
    number(f, 1, 'C');
    number(f, 1, 1);
    expect_refused(f, "'C'", "unknown flags", 1);
    number(f, 1, 'B');
    number(f, 8, 0);
    number(f, 8, INT64_MAX);
    number(f, 4, 1);
    expect_refused(f, "'B'", "a time out of range", 9);
}

static void lengths_are_compared_with_what_remains(void **state)
{
    struct fixture *f = *state;
    static const uint32_t lengths[] = {2, 0x7fffffff, 0x80000000, 0xffffffff};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        row_head(f, 'I', 'N');
        number(f, 2, 1);
        number(f, 1, 't');
        number(f, 4, lengths[i]);
        number(f, 1, 'x');
        expect_refused(f, "'I'", "a value longer than the message", 8);
        number(f, 1, 'M');
        number(f, 1, 0);
        number(f, 8, 0);
        string(f, "p");
        number(f, 4, lengths[i]);
        number(f, 1, 'x');
        expect_refused(f, "'M'", "a count larger than the message", 12);
        number(f, 1, 'T');
        number(f, 4, lengths[i]);
        number(f, 1, 0);
        number(f, 4, 1);
        expect_refused(f, "'T'", "a count larger than the message", 2);
        row_head(f, 'D', 'K');
        number(f, 2, lengths[i] >> 16 | 3);
        number(f, 1, 'n');
        number(f, 1, 'n');
        expect_refused(f, "'D'", "a count larger than the message", 6);
    }
    row_head(f, 'I', 'N');
    number(f, 2, 1);
    number(f, 1, 't');
    number(f, 3, 0);
    expect_refused(f, "'I'", "a tuple that ends too early", 8);
}

static void nothing_may_follow(void **state)
{
    struct fixture *f = *state;
    number(f, 1, 'E');
    number(f, 1, 0);
    expect_refused(f, "'E'", "bytes that belong to nothing", 1);
    number(f, 1, 'A'); /* of streaming=parallel */
    number(f, 8, 0);
    number(f, 8, 0);
    number(f, 8, 0);
    expect_refused(f, "'A'", "bytes that belong to nothing", 9);
    row_head(f, 'I', 'N');
    number(f, 2, 1);
    text(f, "x");
    number(f, 1, 'n');
    expect_refused(f, "'I'", "bytes that belong to nothing", 14);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(begin_and_commit, setup, teardown),
        cmocka_unit_test_setup_teardown(relation_and_type, setup, teardown),
        cmocka_unit_test_setup_teardown(insert_has_all_kinds_of_cells, setup, teardown),
        cmocka_unit_test_setup_teardown(a_tuple_without_columns_is_there, setup, teardown),
        cmocka_unit_test_setup_teardown(old_tuples_are_told_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(truncate_message_and_origin, setup, teardown),
        cmocka_unit_test_setup_teardown(stream_blocks, setup, teardown),
        cmocka_unit_test_setup_teardown(unknown_bytes_are_named, setup, teardown),
        cmocka_unit_test_setup_teardown(lengths_are_compared_with_what_remains, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_may_follow, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
