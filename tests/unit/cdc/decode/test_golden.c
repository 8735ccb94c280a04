/* What PostgreSQL 14 to 18 sent is understood as the second decoder, in tools/golden-streams,
 * understands it. */
#include "unit.h"

#include "golden.h"
#include <inttypes.h>
#include <stdlib.h>

enum { FIRST_USER_OID = 16384, SHOWN = 100, NUMBERS = 4096 };

/* What differs from run to run is numbered as it appears: l for LSNs, x transactions, r and t oids.
 */
struct printer {
    struct buf out;
    struct numbering {
        uint64_t seen[NUMBERS];
        size_t count;
    } lsns, xids, relations, types;
};

static void tag(struct printer *p, struct numbering *n, char letter, uint64_t number)
{
    size_t i = 0;
    if (number == 0) {
        buf_add_str(&p->out, " 0");
        return;
    }
    while (i < n->count && n->seen[i] != number) {
        i++;
    }
    if (i == n->count) {
        assert_true(i < NUMBERS);
        n->seen[n->count++] = number;
    }
    buf_printf(&p->out, " %c%zu", letter, i + 1);
}

static void print_lsn(struct printer *p, uint64_t lsn)
{
    tag(p, &p->lsns, 'l', lsn);
}

static void print_xid(struct printer *p, uint32_t xid)
{
    tag(p, &p->xids, 'x', xid);
}

static void print_type(struct printer *p, uint32_t oid)
{
    if (oid >= FIRST_USER_OID) {
        tag(p, &p->types, 't', oid);
    } else {
        buf_printf(&p->out, " %" PRIu32, oid);
    }
}

static void print_time(struct printer *p, int64_t us)
{
    bool now = us >= INT64_C(1577836800000000) && us < INT64_C(4102444800000000);
    if (now) {
        buf_add_str(&p->out, " at now");
    } else {
        buf_printf(&p->out, " at %" PRId64, us);
    }
}

static void print_quoted(struct printer *p, struct slice s)
{
    uint32_t hash = 2166136261u;
    buf_add_str(&p->out, " '");
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = (uint8_t)s.ptr[i];
        hash = (hash ^ c) * 16777619u;
        bool plain = c >= 0x20 && c <= 0x7e && c != '\'' && c != '\\';
        if (i < SHOWN) {
            buf_printf(&p->out, plain ? "%c" : "\\x%02x", c);
        }
    }
    buf_add_char(&p->out, '\'');
    if (s.len > SHOWN) {
        buf_printf(&p->out, "... %zu bytes, fnv %08" PRIx32, s.len, hash);
    }
}

static void print_tuple(struct printer *p, const char *what, const struct pgoutput_tuple *t)
{
    for (size_t i = 0; i < t->count; i++) {
        buf_printf(&p->out, "\n  %s[%zu]", what, i);
        switch (t->cells[i].kind) {
        case CELL_NULL:
            buf_add_str(&p->out, " null");
            break;
        case CELL_UNCHANGED:
            buf_add_str(&p->out, " unchanged");
            break;
        case CELL_TEXT:
            print_quoted(p, t->cells[i].text);
            break;
        case CELL_ABSENT:
            fail_msg("an absent cell");
        }
    }
}

static void print_inside(struct printer *p, const struct pgoutput_message *m, bool in_stream)
{
    if (in_stream) {
        buf_add_str(&p->out, " in");
        print_xid(p, m->xid);
    } else {
        assert_int_equal(m->xid, 0);
    }
}

static void print_relation(struct printer *p, const struct pgoutput_message *m, bool in_stream)
{
    struct numbering *n = &p->relations;
    buf_add_str(&p->out, "relation");
    tag(p, n, 'r', m->relation.oid);
    print_quoted(p, m->relation.schema);
    print_quoted(p, m->relation.name);
    buf_printf(&p->out, " identity %c", (char)m->relation.identity);
    print_inside(p, m, in_stream);
    for (size_t i = 0; i < m->relation.columns_count; i++) {
        const struct pgoutput_column *c = &m->relation.columns[i];
        buf_printf(&p->out, "\n  [%zu]", i);
        print_quoted(p, c->name);
        buf_add_str(&p->out, " type");
        print_type(p, c->type);
        buf_printf(&p->out, " modifier %" PRId32 "%s", c->typmod, c->identity ? " key" : "");
    }
}

static void print_row(struct printer *p, const struct pgoutput_message *m, bool in_stream)
{
    buf_add_str(&p->out, m->type == PGOUTPUT_INSERT   ? "insert"
                         : m->type == PGOUTPUT_UPDATE ? "update"
                                                      : "delete");
    tag(p, &p->relations, 'r', m->row.relation);
    print_inside(p, m, in_stream);
    print_tuple(p, m->row.old_is_key ? "key" : "old", &m->row.before);
    print_tuple(p, "new", &m->row.after);
}

static void print_truncate(struct printer *p, const struct pgoutput_message *m, bool in_stream)
{
    buf_add_str(&p->out, "truncate");
    for (size_t i = 0; i < m->truncate.count; i++) {
        tag(p, &p->relations, 'r', m->truncate.relations[i]);
    }
    buf_add_str(&p->out, m->truncate.cascade ? " cascade" : "");
    buf_add_str(&p->out, m->truncate.restart_identity ? " restart" : "");
    print_inside(p, m, in_stream);
}

static void print_emitted(struct printer *p, const struct pgoutput_message *m, bool in_stream)
{
    buf_printf(&p->out, "message %s", m->message.transactional ? "transactional" : "immediate");
    print_lsn(p, m->message.lsn);
    print_quoted(p, m->message.prefix);
    print_quoted(p, m->message.content);
    print_inside(p, m, in_stream);
}

static void print_type_message(struct printer *p, const struct pgoutput_message *m, bool in_stream)
{
    buf_add_str(&p->out, "type");
    print_type(p, m->data_type.oid);
    print_quoted(p, m->data_type.schema);
    print_quoted(p, m->data_type.name);
    print_inside(p, m, in_stream);
}

static void print_commit(struct printer *p, const struct pgoutput_message *m)
{
    buf_add_str(&p->out, "commit");
    if (m->type == PGOUTPUT_STREAM_COMMIT) {
        print_xid(p, m->xid);
    }
    print_lsn(p, m->commit.commit_lsn);
    buf_add_str(&p->out, " end");
    print_lsn(p, m->commit.end_lsn);
    print_time(p, m->commit.commit_us);
}

static void print_frame(struct printer *p, const struct pgoutput_message *m)
{
    switch (m->type) {
    case PGOUTPUT_BEGIN:
        buf_add_str(&p->out, "begin");
        print_xid(p, m->xid);
        buf_add_str(&p->out, " final");
        print_lsn(p, m->begin.final_lsn);
        print_time(p, m->begin.commit_us);
        return;
    case PGOUTPUT_ORIGIN:
        buf_add_str(&p->out, "origin");
        print_lsn(p, m->origin.commit_lsn);
        print_quoted(p, m->origin.name);
        return;
    case PGOUTPUT_STREAM_START:
        buf_add_str(&p->out, "stream start");
        print_xid(p, m->xid);
        buf_add_str(&p->out, m->stream_start.first ? " first" : " again");
        return;
    case PGOUTPUT_STREAM_STOP:
        buf_add_str(&p->out, "stream stop");
        return;
    case PGOUTPUT_STREAM_ABORT:
        buf_add_str(&p->out, "stream abort");
        print_xid(p, m->xid);
        print_xid(p, m->stream_abort.subxid);
        return;
    case PGOUTPUT_STREAM_COMMIT:
        buf_add_str(&p->out, "stream ");
        print_commit(p, m);
        return;
    case PGOUTPUT_COMMIT:
        print_commit(p, m);
        return;
    default:
        fail_msg("a message of type 0x%02x", m->type);
    }
}

static void print(struct printer *p, const struct pgoutput_message *m, bool in_stream)
{
    switch (m->type) {
    case PGOUTPUT_RELATION:
        print_relation(p, m, in_stream);
        break;
    case PGOUTPUT_TYPE:
        print_type_message(p, m, in_stream);
        break;
    case PGOUTPUT_INSERT:
    case PGOUTPUT_UPDATE:
    case PGOUTPUT_DELETE:
        print_row(p, m, in_stream);
        break;
    case PGOUTPUT_TRUNCATE:
        print_truncate(p, m, in_stream);
        break;
    case PGOUTPUT_MESSAGE:
        print_emitted(p, m, in_stream);
        break;
    default:
        print_frame(p, m);
    }
    buf_add_char(&p->out, '\n');
}

/* The first line that differs. */
static void expect_same(const char *name, const char *wanted, const char *got)
{
    for (size_t line = 1; *wanted || *got; line++) {
        size_t w = strcspn(wanted, "\n"), g = strcspn(got, "\n");
        if (w != g || memcmp(wanted, got, w) != 0) {
            fail_msg("%s.txt:%zu: wanted '%.*s', got '%.*s'", name, line, (int)w, wanted, (int)g,
                     got);
        }
        wanted += w + (wanted[w] == '\n');
        got += g + (got[g] == '\n');
    }
}

static void decode_file(const char *name)
{
    CLEANUP(buf_release) struct buf bytes = {0}, text = {0};
    struct printer *p = calloc(1, sizeof *p);
    struct arena arena;
    struct slice m;
    bool in_stream = false;
    assert_non_null(p);
    arena_init(&arena);
    golden_load(name, "bin", &bytes);
    golden_load(name, "txt", &text);
    struct reader r = reader_from(buf_slice(&bytes));
    while (golden_next(&r, &m)) {
        struct pgoutput_message decoded;
        struct error err;
        if (pgoutput_decode(m, in_stream, &arena, &decoded, &err) != RESULT_DONE) {
            fail_msg("%s: %s", name, err.text);
        }
        bool row = decoded.type == PGOUTPUT_INSERT || decoded.type == PGOUTPUT_UPDATE ||
                   decoded.type == PGOUTPUT_DELETE;
        assert_int_equal(pgoutput_peek_relation(m, in_stream), row ? decoded.row.relation : 0);
        in_stream = decoded.type == PGOUTPUT_STREAM_START ||
                    (in_stream && decoded.type != PGOUTPUT_STREAM_STOP);
        print(p, &decoded, in_stream);
        arena_reset(&arena);
    }
    expect_same(name, buf_str(&text), buf_str(&p->out));
    arena_release(&arena);
    buf_release(&p->out);
    free(p);
}

static void every_recorded_stream_is_understood(void **state)
{
    (void)state;
    for (size_t i = 0; i < GOLDEN_COUNT; i++) {
        decode_file(golden_names[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_recorded_stream_is_understood)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
