/* A row becomes an event whose bytes are the columns' own, copied once, or an event that says why
 * it cannot be sent. */
#include "source/outbox_postgres.h"

#include <stdio.h>

enum payload_kind outbox_pg_payload_kind(const char *type)
{
    if (strcmp(type, "json") == 0 || strcmp(type, "jsonb") == 0) {
        return PAYLOAD_JSON;
    }
    return strcmp(type, "bytea") == 0 ? PAYLOAD_BYTES : PAYLOAD_TEXT;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool outbox_pg_unhex(struct slice text, char *out)
{
    if (text.len < 2 || text.len % 2 != 0 || text.ptr[0] != '\\' || text.ptr[1] != 'x') {
        return false;
    }
    for (size_t i = 2; i < text.len; i += 2) {
        int high = hex_digit(text.ptr[i]), low = hex_digit(text.ptr[i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        *out++ = (char)(high * 16 + low);
    }
    return true;
}

size_t outbox_pg_row_bytes(const struct pg_result *r, size_t row, size_t further)
{
    size_t bytes = PAGE_FURTHER + further; /* a NUL each */
    for (size_t col = 0; col < PAGE_FURTHER + further; col++) {
        bytes += pg_value(r, row, col).len;
    }
    return bytes;
}

/* Copies into the space that was taken for the whole row. */
static struct slice put(char **at, struct slice value)
{
    if (slice_is_null(value)) {
        return value;
    }
    char *copy = *at;
    memcpy(copy, value.ptr, value.len);
    copy[value.len] = '\0';
    *at += value.len + 1;
    return (struct slice){copy, value.len};
}

static void put_payload(struct event *e, char **at, struct slice value, enum payload_kind kind)
{
    e->payload_kind = kind;
    if (kind == PAYLOAD_BYTES && !slice_is_null(value)) {
        if (outbox_pg_unhex(value, *at)) {
            e->payload = (struct slice){*at, value.len / 2 - 1};
            *at += value.len;
            return;
        }
        e->poison = "the bytea payload did not come in hex form";
    }
    e->payload = put(at, value);
}

static void put_further(struct event *e, char **at, struct arena *arena, const struct pg_result *r,
                        size_t row, size_t further)
{
    if (further == 0) {
        return;
    }
    struct slice *columns = arena_array(arena, further, sizeof *columns);
    for (size_t i = 0; i < further; i++) {
        columns[i] = put(at, pg_value(r, row, PAGE_FURTHER + i));
    }
    e->columns = columns;
}

/* The server held payload and headers back when they are larger than may be sent. */
static void judge(struct event *e, const struct pg_result *r, size_t row, size_t max_event,
                  struct arena *arena)
{
    int64_t big = pg_int(r, row, PAGE_BIG, 0);
    if (max_event > 0 && big > 0 && (uint64_t)big > max_event) {
        enum { TEXT_MAX = 160 };
        char *text = arena_bytes(arena, TEXT_MAX);
        snprintf(text, TEXT_MAX,
                 "payload of %lld bytes (with headers) is larger than the %zu the sink takes",
                 (long long)big, max_event);
        e->poison = text;
    } else if (slice_is_null(e->id)) {
        e->poison = "the id column is null; consumers could not recognise a repetition";
    }
}

struct event *outbox_pg_row_event(const struct pg_result *r, size_t row, size_t further,
                                  enum payload_kind kind, size_t max_event, struct batch *batch)
{
    struct event *e = batch_add(batch);
    size_t text = outbox_pg_row_bytes(r, row, further);
    char *at = arena_bytes(&batch->arena, text);
    e->row_key = e->position = put(&at, pg_value(r, row, PAGE_KEY));
    e->id = put(&at, pg_value(r, row, PAGE_ID));
    e->aggregatetype = put(&at, pg_value(r, row, PAGE_AGGREGATETYPE));
    e->aggregateid = put(&at, pg_value(r, row, PAGE_AGGREGATEID));
    e->type = put(&at, pg_value(r, row, PAGE_TYPE));
    put_payload(e, &at, pg_value(r, row, PAGE_PAYLOAD), kind);
    e->headers = put(&at, pg_value(r, row, PAGE_HEADERS));
    e->created_at = put(&at, pg_value(r, row, PAGE_CREATED_AT));
    put_further(e, &at, &batch->arena, r, row, further);
    if (!slice_is_null(e->created_at) && !clock_parse_timestamp(e->created_at, &e->created_at_us)) {
        e->created_at_us = TIME_NONE;
    }
    judge(e, r, row, max_event, &batch->arena);
    e->bytes = text + OUTBOX_PG_EVENT_BYTES;
    batch->bytes += e->bytes;
    return e;
}
