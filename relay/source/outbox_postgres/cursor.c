/*
 * Parses and writes the cursor text of position mode. Parsing is strict: a text that is not exactly
 * a cursor is refused, because a guess could skip or repeat events.
 */
#include "source/outbox_postgres/cursor.h"

#include "base/digits.h"

static bool skip(struct slice *rest, char c)
{
    bool is = rest->len > 0 && rest->ptr[0] == c;
    *rest = (struct slice){rest->ptr + is, rest->len - is};
    return is;
}

bool outbox_pg_snapshot_parse(struct slice text, uint64_t *ret_xmin, uint64_t *ret_xmax)
{
    uint64_t xmin, xmax, xip, before = 0;
    if (!digits_take(&text, &xmin) || !skip(&text, ':') || !digits_take(&text, &xmax) ||
        !skip(&text, ':') || xmin == 0 || xmin > xmax) {
        return false;
    }
    for (bool more = text.len > 0; more; before = xip) {
        if (!digits_take(&text, &xip) || xip < xmin || xip >= xmax || xip <= before) {
            return false;
        }
        more = skip(&text, ',');
    }
    *ret_xmin = xmin;
    *ret_xmax = xmax;
    return text.len == 0;
}

bool outbox_pg_number(struct slice text, int64_t *ret)
{
    bool negative = skip(&text, '-');
    uint64_t v;
    if (!digits_parse(text, &v) || v > (uint64_t)INT64_MAX + (negative ? 1U : 0U)) {
        return false;
    }
    *ret = negative ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

int outbox_pg_check_position(const char *text, struct error *err)
{
    int64_t seq;
    if (strcmp(text, "beginning") == 0 || strcmp(text, "now") == 0 ||
        outbox_pg_number(slice_from(text), &seq)) {
        return RESULT_DONE;
    }
    return error_set(
        err, ERROR_CONFIG, "postgres",
        "\"%s\" is no position of an outbox table: give beginning, now or the seq of an event",
        text);
}

static struct slice take_field(struct slice *rest)
{
    const char *blank = memchr(rest->ptr, ' ', rest->len);
    size_t len = blank ? (size_t)(blank - rest->ptr) : rest->len;
    struct slice field = {rest->ptr, len};
    size_t skip = blank ? len + 1 : len;
    *rest = (struct slice){rest->ptr + skip, rest->len - skip};
    return field;
}

bool outbox_pg_cursor_parse(struct slice text, struct outbox_pg_cursor *ret)
{
    if (slice_is_null(text)) {
        return false;
    }
    struct outbox_pg_cursor c;
    struct slice rest = text;
    uint64_t xmin, xmax, next;
    if (!slice_equal_str(take_field(&rest), "p1")) {
        return false;
    }
    c.s1 = take_field(&rest);
    c.s2 = take_field(&rest);
    if (!outbox_pg_snapshot_parse(c.s1, &xmin, &xmax)) {
        return false;
    }
    if (slice_equal_str(c.s2, "-")) {
        c.s2 = SLICE_NULL;
    } else if (!outbox_pg_snapshot_parse(c.s2, &xmin, &next) || next < xmax) {
        return false;
    }
    if (!outbox_pg_number(take_field(&rest), &c.high) ||
        !outbox_pg_number(take_field(&rest), &c.hi) || !outbox_pg_number(rest, &c.last)) {
        return false;
    }
    *ret = c;
    return true;
}

void outbox_pg_add_int(struct buf *out, int64_t v)
{
    if (v < 0) {
        buf_add_char(out, '-');
    }
    buf_add_u64(out, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

void outbox_pg_add_literal(struct buf *out, int64_t v)
{
    buf_add_char(out, '\'');
    outbox_pg_add_int(out, v);
    buf_add_str(out, "'::bigint");
}

void outbox_pg_cursor_prefix(const struct outbox_pg_cursor *c, struct buf *out)
{
    buf_add_str(out, "p1 ");
    buf_add_slice(out, c->s1);
    buf_add_char(out, ' ');
    buf_add_slice(out, slice_is_null(c->s2) ? SLICE_LITERAL("-") : c->s2);
    buf_add_char(out, ' ');
    outbox_pg_add_int(out, c->high);
    buf_add_char(out, ' ');
    outbox_pg_add_int(out, c->hi);
    buf_add_char(out, ' ');
}

void outbox_pg_cursor_text(const struct outbox_pg_cursor *c, struct buf *out)
{
    outbox_pg_cursor_prefix(c, out);
    outbox_pg_add_int(out, c->last);
}

void outbox_pg_cursor_describe(struct slice cursor, struct buf *out)
{
    struct outbox_pg_cursor c;
    if (!outbox_pg_cursor_parse(cursor, &c)) {
        buf_add_slice(out, cursor); /* "status", "delete": the rows themselves are the position */
    } else if (c.last == OUTBOX_PG_LOWEST) {
        bool all = slice_equal_str(c.s1, OUTBOX_PG_NOTHING_VISIBLE);
        buf_add_str(out, all ? "beginning" : "now");
    } else {
        outbox_pg_add_int(out, c.last);
    }
}
