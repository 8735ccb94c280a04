/* Reads what an event does to a row, in each format. Values are not looked at: the row stays the
 * text that it is, and the database casts it. */
#include "consume/decode/decode.h"

#include "value/json.h"
#include <stdio.h>

/* The payload of an application is the row. Without one, or with `__deleted`, the row goes. */
void decode_plain(struct record *r, struct slice value)
{
    struct json_member m;
    enum json_kind kind;
    size_t fault;
    if (slice_is_null(value)) {
        r->op = RECORD_DELETE;
        if (slice_is_null(r->key)) {
            record_fault(r, "it has neither a payload nor a key: nothing says which row goes");
        }
        return;
    }
    if (!json_check(value, &kind, &fault) || kind != JSON_IS_OBJECT) {
        record_fault(r,
                     "its payload is no JSON object, so it has no columns for `into`; use `call` "
                     "or `exec`");
        return;
    }
    bool gone = json_find(value, "__deleted", &m) && slice_equal_str(m.value, "true");
    r->row = value;
    r->op = gone ? RECORD_DELETE : RECORD_UPSERT;
}

static bool own_member(struct slice row, const char *prefix, const char *name,
                       struct json_member *ret)
{
    char full[64];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    return json_find(row, full, ret);
}

/* Takes an operation as flat and debezium write it. */
static void take_op(struct record *r, const struct json_member *m)
{
    char c = m->type == JSON_IS_STRING && m->value.len == 1 ? m->value.ptr[0] : '\0';
    switch (c) {
    case 'c':
    case 'r':
    case 'u':
        r->op = RECORD_UPSERT;
        return;
    case 'd':
        r->op = RECORD_DELETE;
        return;
    case 't':
        r->op = RECORD_TRUNCATE;
        r->alone = true;
        return;
    case 'm':
        r->op = RECORD_NOTHING;
        return;
    default:
        record_fault(r, "its operation \"%.*s\" is none of c, r, u, d, t and m",
                     m->value.len < 20 ? (int)m->value.len : 20, m->value.ptr);
    }
}

void decode_flat(struct record *r, struct slice value, const char *prefix)
{
    struct json_member m;
    if (slice_is_null(value)) {
        r->op = RECORD_NOTHING; /* a tombstone behind a delete */
        return;
    }
    if (!own_member(value, prefix, "op", &m)) {
        record_fault(r,
                     "it has no member `%.40sop`: it is no flat row; set `format` to that of the "
                     "pipeline that sent it, or flat_prefix",
                     prefix);
        return;
    }
    take_op(r, &m);
    r->row = value;
    if (own_member(value, prefix, "lsn", &m) && m.type == JSON_IS_STRING) {
        r->position = m.value;
    }
    if (own_member(value, prefix, "old_key", &m) && m.type == JSON_IS_OBJECT) {
        r->old_key = json_member_text(&m);
        r->alone = true;
    }
    r->partial = own_member(value, prefix, "unchanged", &m);
}

/* With `schemas.enable` the message is {"schema": ..., "payload": ...}. */
static struct slice without_schema(struct slice value)
{
    struct json_member schema, payload;
    return json_find(value, "schema", &schema) && json_find(value, "payload", &payload)
               ? json_member_text(&payload)
               : value;
}

static struct slice object_of(struct slice value, const char *name)
{
    struct json_member m;
    return json_find(value, name, &m) && m.type == JSON_IS_OBJECT ? json_member_text(&m)
                                                                  : SLICE_NULL;
}

void decode_debezium(struct record *r, struct slice value)
{
    struct json_member m;
    value = slice_is_null(value) ? value : without_schema(value);
    if (slice_is_null(value)) {
        r->op = RECORD_NOTHING; /* a tombstone behind a delete */
        return;
    }
    if (!json_find(value, "op", &m)) {
        record_fault(r,
                     "it has no member `op`: it is no Debezium envelope; set `format` to that of "
                     "the pipeline that sent it");
        return;
    }
    take_op(r, &m);
    struct slice source = object_of(value, "source");
    if (!slice_is_null(source) && json_find(source, "lsn", &m) && m.type == JSON_IS_NUMBER) {
        r->position = json_member_text(&m);
    }
    r->row = object_of(value, r->op == RECORD_DELETE ? "before" : "after");
    if (r->op == RECORD_UPSERT && slice_is_null(r->row)) {
        record_fault(r, "it has no `after`, the row behind the change");
    }
    if (r->op == RECORD_DELETE && slice_is_null(r->row) && slice_is_null(r->key)) {
        record_fault(r, "it has neither `before` nor a key: nothing says which row goes");
    }
}
