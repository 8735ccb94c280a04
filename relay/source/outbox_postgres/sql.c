/*
 * Builds the statements that read a page of rows, so that no page takes more memory than its
 * budget. An ordinary page leaves out payloads, headers and further columns that may be large. A
 * guarded page measures them and ends when the budget is spent.
 */
#include "source/outbox_postgres/internal.h"

#include <stdio.h>

/* In bytes. A larger or compressed value is measured before it is asked for. Smaller values are
 * never detoasted, and the page's LIMIT alone bounds their size. */
#define PLAIN_BYTES "2000"

/* In bytes. Escaping can make a value four times as large, so larger ones are left out of an
 * escaped row. */
#define ESCAPED_BYTES "16777216"

const char *outbox_pg_page_name(enum outbox_pg_form form, bool late)
{
    static const char *const names[FORM_COUNT][2] = {{"page", "late"},
                                                     {"page_guarded", "late_guarded"},
                                                     {"page_escaped", "late_escaped"},
                                                     {"page_bare", "late_bare"},
                                                     {"page_key", "late_key"}};
    return names[form][late];
}

static const char *column(const struct outbox_pg_table *t, enum outbox_pg_column which)
{
    return t->column[which].name ? t->column[which].quoted : NULL;
}

void outbox_pg_add_created_at(const struct outbox_pg_table *t, struct buf *out)
{
    buf_printf(out, "t.%s", t->column[OUTBOX_PG_CREATED_AT].quoted);
    if (t->zone) {
        buf_add_str(out, " at time zone ");
        pg_quote_literal(out, slice_from(t->zone));
    }
}

static void add_large(struct buf *out, const char *quoted)
{
    buf_printf(out,
               "pg_column_size(t.%s) > " PLAIN_BYTES " or pg_column_compression(t.%s) is not null",
               quoted, quoted);
}

static void add_inner_columns(const struct outbox_pg_table *t, size_t further, const char *due,
                              struct buf *out)
{
    static const enum outbox_pg_column order[] = {
        OUTBOX_PG_ID,      OUTBOX_PG_AGGREGATETYPE, OUTBOX_PG_AGGREGATEID, OUTBOX_PG_TYPE,
        OUTBOX_PG_PAYLOAD, OUTBOX_PG_HEADERS,       OUTBOX_PG_CREATED_AT};
    buf_printf(out, "select t.%s as c%d", t->key->quoted, PAGE_KEY);
    for (int i = 0; i < (int)(sizeof order / sizeof *order); i++) {
        const char *quoted = column(t, order[i]);
        buf_add_str(out, ", ");
        if (order[i] == OUTBOX_PG_CREATED_AT && quoted) {
            outbox_pg_add_created_at(t, out);
        } else {
            buf_printf(out, "%s%s", quoted ? "t." : "", quoted ? quoted : "null::text");
        }
        buf_printf(out, " as c%d", PAGE_ID + i);
    }
    for (size_t i = 0; i < further; i++) {
        buf_printf(out, ", t.%s as f%zu", t->further[i].quoted, i);
    }
    if (t->order_column.name) {
        buf_printf(out, ", t.%s as o", t->order_column.quoted);
    }
    buf_printf(out, ", %s as due, (", due);
    add_large(out, t->column[OUTBOX_PG_PAYLOAD].quoted);
    const char *headers = column(t, OUTBOX_PG_HEADERS);
    if (headers) {
        buf_add_str(out, " or ");
        add_large(out, headers);
    }
    for (size_t i = 0; i < further; i++) {
        buf_add_str(out, " or ");
        add_large(out, t->further[i].quoted);
    }
    buf_add_str(out, ") as large");
}

static void add_measure(const struct outbox_pg_table *t, size_t further, struct buf *out)
{
    bool bytes = outbox_pg_payload_kind(t->column[OUTBOX_PG_PAYLOAD].type) == PAYLOAD_BYTES;
    buf_printf(out, "case when large then coalesce(octet_length(c%d%s), 0)::bigint", PAGE_PAYLOAD,
               bytes ? "" : "::text");
    buf_printf(out, " + coalesce(octet_length(c%d::text), 0)", PAGE_HEADERS);
    for (size_t i = 0; i < further; i++) {
        buf_printf(out, " + coalesce(octet_length(f%zu::text), 0)", i);
    }
    buf_add_str(out, " end");
}

/* Appends the value as ASCII text, whatever bytes it has: bytes that are not valid text come as
 * escapes. */
static void add_escaped(struct buf *out, const char *name)
{
    buf_printf(out,
               ", case when octet_length(%s::text) <= " ESCAPED_BYTES " then encode(convert_to("
               "%s::text, getdatabaseencoding()), 'escape') end",
               name, name);
}

/* The columns of a page in the forms ESCAPED, BARE and KEY. */
static void add_spoilt_columns(const struct outbox_pg_table *t, size_t further,
                               enum outbox_pg_form form, struct buf *out)
{
    bool bare = form != FORM_ESCAPED;
    bool bytes = outbox_pg_payload_kind(t->column[OUTBOX_PG_PAYLOAD].type) == PAYLOAD_BYTES;
    char name[24];
    buf_printf(out, "select c%d", PAGE_KEY);
    for (int i = PAGE_ID; i < PAGE_BIG; i++) {
        snprintf(name, sizeof name, "c%d", i);
        if (form == FORM_KEY || (bare && (i == PAGE_PAYLOAD || i == PAGE_HEADERS))) {
            buf_add_str(out, ", null::text");
        } else if (i == PAGE_PAYLOAD && bytes) {
            buf_printf(out, ", %s", name);
        } else {
            add_escaped(out, name);
        }
    }
    buf_add_str(out, ", null::bigint, due");
    for (size_t i = 0; i < further; i++) {
        snprintf(name, sizeof name, "f%zu", i);
        if (bare) {
            buf_add_str(out, ", null::text");
        } else {
            add_escaped(out, name);
        }
    }
}

/* The stored size is enough to decide where an ordinary page stops. Measuring the text here would
 * cost as much as in the guarded page, which measures it again. */
static void add_stored_size(size_t further, struct buf *out)
{
    buf_printf(
        out,
        "case when large then coalesce(pg_column_size(c%d), 0)::bigint + coalesce(pg_column_size(c%d), 0)",
        PAGE_PAYLOAD, PAGE_HEADERS);
    for (size_t i = 0; i < further; i++) {
        buf_printf(out, " + coalesce(pg_column_size(f%zu), 0)", i);
    }
    buf_add_str(out, " end");
}

static void add_outer_columns(const struct outbox_pg_table *t, size_t further,
                              enum outbox_pg_form form, int largest_param, struct buf *out)
{
    if (form != FORM_ORDINARY && form != FORM_GUARDED) {
        add_spoilt_columns(t, further, form, out);
        return;
    }
    char when_large[40] = "case when large";
    if (form == FORM_GUARDED) {
        snprintf(when_large, sizeof when_large, "case when big > $%d", largest_param);
    }
    for (int i = PAGE_KEY; i < PAGE_BIG; i++) {
        const char *comma = i ? ", " : "select ";
        if (i != PAGE_PAYLOAD && i != PAGE_HEADERS) {
            buf_printf(out, "%sc%d", comma, i);
        } else {
            buf_printf(out, "%s%s then null else c%d end", comma, when_large, i);
        }
    }
    buf_add_str(out, ", ");
    if (form == FORM_GUARDED) {
        buf_add_str(out, "big");
    } else {
        add_stored_size(further, out);
    }
    buf_add_str(out, ", due");
    /* A guarded page gives small ones in any case: topic and key may be made of them. */
    for (size_t i = 0; i < further; i++) {
        buf_printf(out, ", %s", when_large);
        if (form == FORM_GUARDED) {
            buf_printf(out, " and pg_column_size(f%zu) > " PLAIN_BYTES, i);
        }
        buf_printf(out, " then null else f%zu end", i);
    }
}

/* The page's order again, in the column names of the inner query: LIMIT ran there, and the outer
 * query may change the order. */
static void add_order(const struct outbox_pg_table *t, struct buf *out)
{
    if (t->order_column.name) {
        buf_printf(out, "order by o%s", strchr(t->order, ',') ? ", c1" : "");
    }
}

static void add_inner(const struct outbox_pg_table *t, size_t further,
                      const struct outbox_pg_page_sql *sql, struct buf *out)
{
    add_inner_columns(t, further, sql->due, out);
    buf_printf(out, " from %s where %s%s%s limit $%d::bigint", sql->from, sql->where,
               sql->order[0] ? " order by " : "", sql->order, sql->limit_param);
}

void outbox_pg_page_sql(const struct outbox_pg_table *t, size_t further,
                        const struct outbox_pg_page_sql *sql, enum outbox_pg_form form,
                        struct buf *out)
{
    buf_clear(out);
    buf_add_str(out, sql->with);
    add_outer_columns(t, further, form, sql->limit_param + 1, out);
    if (form != FORM_GUARDED) {
        buf_add_str(out, " from (");
        add_inner(t, further, sql, out);
        buf_add_str(out, ") x ");
        add_order(t, out);
        return;
    }
    /* `before` is the sum of the rows before this one; null for the first, which is therefore
     * always given. A value larger than may be sent counts 0, because it is left out. */
    buf_printf(out,
               " from (select y.*, sum(case when big > $%d::bigint then 0 else big end) over (",
               sql->limit_param + 1);
    add_order(t, out);
    buf_printf(out,
               " rows between unbounded preceding and 1 preceding) as before from (select x.*, ");
    add_measure(t, further, out);
    buf_add_str(out, " as big from (");
    add_inner(t, further, sql, out);
    buf_printf(out, ") x offset 0) y) z where before is null or before < $%d::bigint ",
               sql->limit_param + 2);
    add_order(t, out);
}

const char *outbox_pg_pending_where(const struct outbox_pg *s)
{
    return s->mode->has_status ? "t.status = 'pending'" : "true";
}
