/*
 * Turns rows into events. The values are copied once, into the batch's arena, because SQLite's own
 * end with the next step. A statement is finished before the function returns, so that no read
 * stays open.
 */
#include "source/outbox_sqlite/internal.h"

#include <stdio.h>
#include <string.h>

/* Prints the key at the end of out[20 + 1]; row ids of SQLite may be negative. */
static struct slice print_key(int64_t key, char out[21])
{
    char *end = out + 21, *p = end;
    uint64_t v = key < 0 ? 0 - (uint64_t)key : (uint64_t)key;
    do {
        *--p = (char)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    if (key < 0) {
        *--p = '-';
    }
    return (struct slice){p, (size_t)(end - p)};
}

static const char *poison_size(struct batch *batch, size_t size, size_t limit)
{
    char text[160];
    int n = snprintf(text, sizeof text,
                     "the payload has %zu bytes, more than the %zu of delivery.max_event_bytes",
                     size, limit);
    return arena_copy(&batch->arena, (struct slice){text, (size_t)n}).ptr;
}

static struct slice put(char **at, struct slice s)
{
    if (slice_is_null(s)) {
        return s;
    }
    struct slice copy = {*at, s.len};
    memcpy(*at, s.ptr, s.len);
    *at += s.len;
    return copy;
}

/* The values of a row. They point into SQLite's memory until its next step. */
struct row {
    int64_t key;
    struct slice id, type, aggregatetype, aggregateid, created_at, headers, payload;
    bool payload_blob, id_blob, too_large;
    size_t payload_size;
    size_t bytes; /* of all values, the id twice (it is in the row key too) */
};

static void load(struct outbox_sqlite *s, struct sqlite_stmt *stmt, struct row *r)
{
    r->key = sqlite_int(stmt, COL_KEY);
    r->id = sqlite_value(stmt, COL_ID);
    r->id_blob = sqlite_is_blob(stmt, COL_ID);
    r->type = sqlite_value(stmt, COL_TYPE);
    r->aggregatetype = sqlite_value(stmt, COL_AGGREGATETYPE);
    r->aggregateid = sqlite_value(stmt, COL_AGGREGATEID);
    r->created_at = sqlite_value(stmt, COL_CREATED_AT);
    r->headers = sqlite_value(stmt, COL_HEADERS);
    r->payload = sqlite_value(stmt, COL_PAYLOAD);
    r->payload_blob = sqlite_is_blob(stmt, COL_PAYLOAD);
    r->payload_size = r->payload.len;
    size_t limit = s->env->max_event_bytes;
    r->too_large = limit > 0 && r->payload_size > limit;
    if (r->too_large) {
        r->payload = SLICE_NULL;
    }
    r->bytes = r->id.len * 2 + r->type.len + r->aggregatetype.len + r->aggregateid.len +
               r->created_at.len + r->headers.len + r->payload.len;
    for (size_t i = 0; i < s->env->columns_count; i++) {
        r->bytes += sqlite_value(stmt, COL_FURTHER + (int)i).len;
    }
}

static const char *why_poison(struct outbox_sqlite *s, struct batch *batch, const struct row *r,
                              bool slim)
{
    if (slim) {
        return "a value of the row is larger than delivery.max_event_bytes";
    }
    if (r->too_large) {
        return poison_size(batch, r->payload_size, s->env->max_event_bytes);
    }
    if (r->id.len == 0) {
        return "the id column is null or empty; consumers could not recognise a repetition";
    }
    return r->id_blob ? "the row's id is a blob; it must be text" : NULL;
}

static const struct slice *further(struct outbox_sqlite *s, struct sqlite_stmt *stmt,
                                   struct batch *batch, char **at)
{
    size_t n = s->env->columns_count;
    if (n == 0) {
        return NULL;
    }
    struct slice *values = arena_array(&batch->arena, n, sizeof *values);
    for (size_t i = 0; i < n; i++) {
        values[i] = put(at, sqlite_value(stmt, COL_FURTHER + (int)i));
    }
    return values;
}

/* The row key is "<key> <id>", or "<key>" for a row without an id. Deleting needs both, because a
 * row id alone can be given to a new row. */
static struct slice put_row_key(char **at, struct slice key, struct slice id)
{
    char *start = *at;
    put(at, key);
    if (!slice_is_null(id)) {
        *(*at)++ = ' ';
        put(at, id);
    }
    return (struct slice){start, (size_t)(*at - start)};
}

static void fill(struct outbox_sqlite *s, struct event *e, const struct row *r, char **at)
{
    char digits[21];
    struct slice key = print_key(r->key, digits);
    e->position = put(at, key);
    if (s->mode->caps & SOURCE_ACK_KEYS) {
        e->row_key = put_row_key(at, key, r->id);
    }
    e->id = put(at, r->id);
    e->type = put(at, r->type);
    e->aggregatetype = put(at, r->aggregatetype);
    e->aggregateid = put(at, r->aggregateid);
    e->headers = put(at, event_headers(r->headers));
    e->payload = put(at, r->payload);
    e->created_at = put(at, r->created_at);
    if (!slice_is_null(e->created_at)) {
        /* If this fails, the event has the text only. */
        (void)clock_parse_timestamp(e->created_at, &e->created_at_us);
    }
    e->payload_kind = r->payload_blob         ? PAYLOAD_BYTES
                      : s->table.payload_json ? PAYLOAD_JSON
                                              : PAYLOAD_TEXT;
}

enum { ROW_OVERHEAD = sizeof(struct event) + 64 };

static void given_out(struct outbox_sqlite *s, int64_t key)
{
    if (s->mode->caps & SOURCE_ACK_KEYS) {
        outbox_sqlite_held_add(&s->held, key);
    }
    if (key > s->last) {
        s->last = key;
    }
    s->shown = key;
}

void outbox_sqlite_add_row(struct outbox_sqlite *s, struct sqlite_stmt *stmt, struct batch *batch,
                           size_t max_bytes, bool slim, bool *ret_full)
{
    struct row r;
    load(s, stmt, &r);
    size_t bytes = r.bytes + ROW_OVERHEAD;
    *ret_full = batch->count > 0 &&
                bytes > max_bytes - (batch->bytes < max_bytes ? batch->bytes : max_bytes);
    if (*ret_full) {
        return;
    }
    struct event *e = batch_add(batch);
    /* 64: room for the digits in position and row key */
    char *at = arena_bytes(&batch->arena, r.bytes + 64);
    fill(s, e, &r, &at);
    e->columns = further(s, stmt, batch, &at);
    e->poison = why_poison(s, batch, &r, slim);
    e->partial = slim || r.too_large || r.id_blob;
    e->bytes = bytes;
    batch->bytes += bytes;
    given_out(s, r.key);
}

/* Even the small columns of the row cannot be loaded: the event has only its position. */
static void add_bare(struct outbox_sqlite *s, int64_t key, struct batch *batch)
{
    struct row r = {.key = key};
    struct event *e = batch_add(batch);
    char *at = arena_bytes(&batch->arena, 64);
    fill(s, e, &r, &at);
    e->poison = why_poison(s, batch, &r, true);
    e->partial = true;
    e->bytes = ROW_OVERHEAD;
    batch->bytes += e->bytes;
    given_out(s, key);
}

static int fetch_with(struct outbox_sqlite *s, struct sqlite_stmt *stmt, int64_t key,
                      struct batch *batch, size_t max_bytes, bool slim, bool *ret_full,
                      struct error *err)
{
    bool row;
    sqlite_bind_int(stmt, 1, key);
    if (sqlite_step(stmt, &row, err)) {
        return RESULT_ERROR;
    }
    *ret_full = false;
    if (row) {
        outbox_sqlite_add_row(s, stmt, batch, max_bytes, slim, ret_full);
        sqlite_reset(stmt);
    }
    return RESULT_DONE;
}

int outbox_sqlite_fetch(struct outbox_sqlite *s, int64_t key, struct batch *batch, size_t max_bytes,
                        bool *ret_full, struct error *err)
{
    int r = fetch_with(s, s->fetch, key, batch, max_bytes, false, ret_full, err);
    if (r == RESULT_ERROR && sqlite_is_too_big(err)) {
        r = fetch_with(s, s->fetch_slim, key, batch, max_bytes, true, ret_full, err);
        if (r == RESULT_ERROR && sqlite_is_too_big(err)) {
            add_bare(s, key, batch);
            *ret_full = false;
            r = RESULT_DONE;
        }
    }
    return r;
}

/* The page stopped at a row with a value too large to load: adds that row by itself. */
static int page_over_large(struct outbox_sqlite *s, struct batch *batch, size_t max_bytes,
                           bool *ret_full, struct error *err)
{
    bool row;
    sqlite_bind_int(s->next_key, 1, s->last);
    if (sqlite_step(s->next_key, &row, err)) {
        return RESULT_ERROR;
    }
    if (!row) {
        *ret_full = false;
        return RESULT_DONE;
    }
    int64_t key = sqlite_int(s->next_key, 0);
    sqlite_reset(s->next_key);
    return outbox_sqlite_fetch(s, key, batch, max_bytes, ret_full, err);
}

int outbox_sqlite_page(struct outbox_sqlite *s, struct batch *batch, size_t max_events,
                       size_t max_bytes, struct error *err)
{
    sqlite_bind_int(s->page, 1, s->last);
    sqlite_bind_int(s->page, 2, (int64_t)(max_events - batch->count));
    bool full = false, row = true;
    while (!full && batch->count < max_events) {
        if (sqlite_step(s->page, &row, err)) {
            return sqlite_is_too_big(err) ? page_over_large(s, batch, max_bytes, &full, err)
                                          : RESULT_ERROR;
        }
        if (!row) {
            return RESULT_DONE;
        }
        outbox_sqlite_add_row(s, s->page, batch, max_bytes, false, &full);
    }
    sqlite_reset(s->page);
    return RESULT_DONE;
}
