/* Compares rows with the table's columns. */
#include "consume/apply/target.h"

#include "base/fnv1a.h"
#include "message/encode.h"
#include "value/json.h"

#define TEXT "__debezium_unavailable_value"
#define BYTES "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ=="

/* How the placeholder is written for each type (core/message/debezium/toast.c): as a text, as
 * base64, as a map, as a map in a string, and as the only element of an array of texts, of bytes,
 * of numbers (the codes of its letters) and of UUIDs (a UUID made of it). `flat` has the first one.
 */
static const struct {
    enum json_kind type;
    const char *value;
} placeholders[] = {
    {JSON_IS_STRING, TEXT},
    {JSON_IS_STRING, BYTES},
    {JSON_IS_OBJECT, "{\"" TEXT "\":\"" TEXT "\"}"},
    {JSON_IS_STRING, "{\\\"" TEXT "\\\":\\\"" TEXT "\\\"}"},
    {JSON_IS_ARRAY, "[\"" TEXT "\"]"},
    {JSON_IS_ARRAY, "[\"" BYTES "\"]"},
    {JSON_IS_ARRAY, "[95,95,100,101,98,101,122,105,117,109,95,117,110,97,118,97,105,108,97,98,108,"
                    "101,95,118,97,108,117,101]"},
    {JSON_IS_ARRAY, "[\"b68a35a7-17ad-35b3-af2a-ae46edb4545a\"]"},
};

bool target_unsent(const struct target *t, const struct json_member *m)
{
    size_t all = sizeof placeholders / sizeof *placeholders;
    size_t known = t->placeholder == PLACEHOLDER_TYPED ? all : t->placeholder == PLACEHOLDER_TEXT;
    for (size_t i = 0; i < known; i++) {
        if (m->type == placeholders[i].type && slice_equal_str(m->value, placeholders[i].value)) {
            return true;
        }
    }
    return false;
}

void target_release(struct target *t)
{
    buf_release(&t->name);
    arena_release(&t->memory);
    *t = (struct target){0};
}

bool shape_has(const struct row_shape *s, size_t column)
{
    return s->set[column / 8] >> (column % 8) & 1;
}

bool shape_equal(const struct row_shape *a, const struct row_shape *b)
{
    return a->partial == b->partial && memcmp(a->set, b->set, sizeof a->set) == 0;
}

/* The name of a member, without escapes; `out` has room for a column's name. */
static struct slice plain_name(const struct json_member *m, struct buf *out)
{
    size_t n;
    if (!m->name_escaped) {
        return m->name;
    }
    buf_clear(out);
    buf_reserve(out, m->name.len);
    if (!json_unescape(m->name, out->data, &n)) {
        return SLICE_NULL;
    }
    return (struct slice){out->data, n};
}

/* The column of this name; count if there is none. Rows mostly have the columns in the table's
 * order, so it looks behind the last one first. */
static size_t find_column(const struct target *t, struct slice name, size_t after)
{
    for (size_t i = 0; i < t->count; i++) {
        size_t at = (after + i) % t->count;
        if (slice_equal_str(name, t->columns[at].name)) {
            return at;
        }
    }
    return t->count;
}

const struct target_column *target_column(const struct target *t, const struct json_member *m)
{
    CLEANUP(buf_release) struct buf name = {0};
    size_t at = find_column(t, plain_name(m, &name), 0);
    return at < t->count ? &t->columns[at] : NULL;
}

static int missing_key(const struct target *t, const char *column, struct error *err)
{
    return error_set(err, ERROR_POISON, "consume",
                     "its row has no value for the key column %s of table %s; is `format` right, "
                     "and has the table the source's key?",
                     column, t->shown);
}

int target_shape(const struct target *t, struct slice row, struct row_shape *ret, struct error *err)
{
    CLEANUP(buf_release) struct buf name = {0};
    struct json_members walk = json_members(row);
    struct json_member m;
    size_t at = 0;
    *ret = (struct row_shape){0};
    while (json_members_next(&walk, &m) == JSON_MEMBER) {
        at = find_column(t, plain_name(&m, &name), at);
        if (at == t->count) {
            at = 0;
            continue;
        }
        bool no_key = t->columns[at].key && m.type == JSON_IS_NULL; /* as if it were not there */
        if (target_unsent(t, &m)) {
            ret->partial = true;
        } else if (!t->columns[at].generated && !no_key) {
            ret->set[at / 8] = (unsigned char)(ret->set[at / 8] | 1u << at % 8);
        }
        at++;
    }
    for (size_t i = 0; i < t->count; i++) {
        if (t->columns[i].key && !shape_has(ret, i)) {
            return missing_key(t, t->columns[i].name, err);
        }
    }
    return RESULT_DONE;
}

uint64_t target_key_hash(const struct target *t, struct slice row)
{
    CLEANUP(buf_release) struct buf name = {0};
    struct json_members walk = json_members(row);
    struct json_member m;
    uint64_t sum = 0;
    size_t at = 0;
    while (json_members_next(&walk, &m) == JSON_MEMBER) {
        at = find_column(t, plain_name(&m, &name), at);
        if (at < t->count && t->columns[at].key) {
            sum += fnv1a_add(FNV1A_START + at, m.value);
        }
        at = at < t->count ? at + 1 : 0;
    }
    return sum;
}

/* Debezium's key with `schemas.enable` is {"schema": ..., "payload": ...}. */
static struct slice key_object(struct slice key)
{
    struct json_member schema, payload;
    return json_find(key, "schema", &schema) && json_find(key, "payload", &payload) &&
                   payload.type == JSON_IS_OBJECT
               ? json_member_text(&payload)
               : key;
}

bool target_key_fits(const struct target *t, struct slice key)
{
    enum json_kind kind;
    size_t fault;
    struct json_member m;
    if (slice_is_null(key) || !json_check(key, &kind, &fault) || kind != JSON_IS_OBJECT) {
        return false;
    }
    bool fits = t->keys > 0;
    for (size_t i = 0; i < t->count && fits; i++) {
        fits = !t->columns[i].key || json_find(key_object(key), t->columns[i].name, &m);
    }
    return fits;
}

int target_key_row(const struct target *t, const struct record *r, struct buf *out,
                   struct error *err)
{
    enum json_kind kind;
    size_t fault;
    bool json = json_check(r->key, &kind, &fault);
    /* The formats of changes write keys as JSON: there a null is no text. */
    if (slice_is_null(r->key) || (t->placeholder && json && kind == JSON_IS_NULL)) {
        return error_set(err, ERROR_POISON, "consume",
                         "it is to delete a row of table %s and has no key", t->shown);
    }
    if (json && kind == JSON_IS_OBJECT) {
        buf_add_slice(out, key_object(r->key));
        return RESULT_DONE;
    }
    if (t->keys != 1) {
        return error_set(
            err, ERROR_POISON, "consume",
            "it is to delete a row of table %s, whose key has %zu columns, and its own "
            "key is one text",
            t->shown, t->keys);
    }
    size_t at = 0;
    while (!t->columns[at].key) {
        at++;
    }
    buf_add_char(out, '{');
    (void)encode_json_string(out, slice_from(t->columns[at].name)); /* the server says it is text */
    buf_add_char(out, ':');
    if (!encode_json_string(out, r->key)) {
        return error_set(err, ERROR_POISON, "consume", "its key is not UTF-8 text");
    }
    buf_add_char(out, '}');
    return RESULT_DONE;
}
