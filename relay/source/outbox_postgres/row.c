/*
 * Turns a row into an event. Its values are copied at most once. A row that cannot be sent becomes
 * a poison event, which says why.
 */
#include "source/outbox_postgres/internal.h"

#include "value/pg_bytea.h"
#include <assert.h>
#include <stdio.h>

enum payload_kind outbox_pg_payload_kind(const char *type)
{
    if (strcmp(type, "json") == 0 || strcmp(type, "jsonb") == 0) {
        return PAYLOAD_JSON;
    }
    return strcmp(type, "bytea") == 0 ? PAYLOAD_BYTES : PAYLOAD_TEXT;
}

/* The row being turned into an event, and where the next copy goes. */
struct taking {
    const struct pg_result *r;
    size_t row;
    /* Where the next copy goes, in space reserved for the whole row; NULL: nothing is copied. */
    char *at;
    size_t bytes; /* bytes of all values so far, a NUL for each */
};

size_t outbox_pg_row_bytes(const struct pg_result *r, size_t row, size_t further)
{
    size_t bytes = PAGE_FURTHER + further; /* a NUL for each value */
    for (size_t col = 0; col < PAGE_FURTHER + further; col++) {
        bytes += pg_value(r, row, col).len;
    }
    return bytes;
}

static struct slice take(struct taking *t, size_t col)
{
    struct slice value = pg_value(t->r, t->row, col);
    t->bytes += value.len + 1;
    if (slice_is_null(value) || !t->at) {
        return value;
    }
    char *copy = t->at;
    memcpy(copy, value.ptr, value.len + 1); /* libpq ends every value with a NUL */
    t->at += value.len + 1;
    return (struct slice){copy, value.len};
}

static void take_payload(struct event *e, struct taking *t, enum payload_kind kind)
{
    e->payload_kind = kind;
    struct slice value = kind == PAYLOAD_BYTES ? pg_value(t->r, t->row, PAGE_PAYLOAD) : SLICE_NULL;
    if (!slice_is_null(value)) {
        if (pg_bytea_parse(value, t->at)) {
            e->payload = (struct slice){t->at, value.len / 2 - 1};
            t->at += value.len;
            t->bytes += value.len + 1;
            return;
        }
        e->poison = "the bytea payload did not come in hex form";
    }
    e->payload = take(t, PAGE_PAYLOAD);
}

static void take_further(struct event *e, struct taking *t, struct arena *arena, size_t further)
{
    if (further == 0) {
        return;
    }
    struct slice *columns = arena_array(arena, further, sizeof *columns);
    for (size_t i = 0; i < further; i++) {
        columns[i] = take(t, PAGE_FURTHER + i);
    }
    e->columns = columns;
}

/* Poisons an event that cannot be sent: one larger than may be sent (the server then left out
 * payload, headers and large further columns), or one without an id. */
static void judge(struct event *e, const struct pg_result *r, size_t row, size_t max_event,
                  struct arena *arena)
{
    int64_t big = pg_int(r, row, PAGE_BIG, 0);
    if (max_event > 0 && big > 0 && (uint64_t)big > max_event) {
        enum { TEXT_MAX = 160 };
        char *text = arena_bytes(arena, TEXT_MAX);
        snprintf(
            text, TEXT_MAX,
            "payload of %lld bytes (with headers and further columns): more than the %zu of delivery.max_event_bytes",
            (long long)big, max_event);
        e->poison = text;
        e->partial = true;
    } else if (e->id.len == 0) {
        e->poison = "the id column is null or empty; consumers could not recognise a repetition";
    }
}

struct event *outbox_pg_row_event(const struct pg_result *r, size_t row, size_t further,
                                  enum payload_kind kind, size_t max_event, size_t copy,
                                  struct batch *batch)
{
    assert(copy || kind != PAYLOAD_BYTES);
    struct event *e = batch_add(batch);
    struct taking t = {.r = r, .row = row, .at = copy ? arena_bytes(&batch->arena, copy) : NULL};
    e->row_key = e->position = take(&t, PAGE_KEY);
    e->id = take(&t, PAGE_ID);
    e->aggregatetype = take(&t, PAGE_AGGREGATETYPE);
    e->aggregateid = take(&t, PAGE_AGGREGATEID);
    e->type = take(&t, PAGE_TYPE);
    take_payload(e, &t, kind);
    e->headers = event_headers(take(&t, PAGE_HEADERS));
    e->created_at = take(&t, PAGE_CREATED_AT);
    take_further(e, &t, &batch->arena, further);
    if (!slice_is_null(e->created_at) && !clock_parse_timestamp(e->created_at, &e->created_at_us)) {
        e->created_at_us = TIME_NONE;
    }
    judge(e, r, row, max_event, &batch->arena);
    e->bytes = t.bytes + OUTBOX_PG_EVENT_BYTES;
    batch->bytes += e->bytes;
    return e;
}
