/* The payload of an outbox event as Debezium's router sends it with table.expand.json.payload and
 * Kafka Connect's JSON converter. JSON becomes a value with a schema, which is inferred from it,
 * and is written anew: members that are null or empty arrays are left out, elements of arrays have
 * one type, and objects in one array have the same members. What has no such schema, and what is no
 * object or array, stays a text: a JSON string. */
#include "message/debezium/debezium.h"

#include "base/arena.h"
#include "base/memory.h"
#include "message/internal.h"
#include <jansson.h>
#include <stdio.h>

enum kind { STRING, BOOLEAN, INT32, INT64, DOUBLE, ARRAY, STRUCT };

struct field;

/* The schema of a value. NULL stands for none, as of null and of an empty array. */
struct shape {
    enum kind kind;
    struct shape *element; /* ARRAY */
    struct field *fields;  /* STRUCT, in their sequence */
    struct field **end;    /* where the next one goes */
};

struct field {
    struct slice name;
    struct shape *shape;
    struct field *next;
};

/* Makes the shape of a value. False: it has none that Kafka Connect knows. */
static bool infer(json_t *v, struct arena *arena, struct shape **ret);

static struct shape *shape_of(enum kind kind, struct arena *arena)
{
    struct shape *s = arena_array(arena, 1, sizeof *s);
    s->kind = kind;
    s->end = &s->fields;
    return s;
}

static enum kind number_kind(json_t *v)
{
    json_int_t n = json_integer_value(v);
    return json_is_real(v) ? DOUBLE : n >= INT32_MIN && n <= INT32_MAX ? INT32 : INT64;
}

/* Adds the members of an object to the fields, but for those that `seen` holds: of two that differ
 * the first one counts. `seen` NULL: the object is the first. */
static bool infer_object(json_t *v, struct arena *arena, json_t *seen, struct shape *into)
{
    const char *name;
    size_t len;
    json_t *member;
    json_object_keylen_foreach(v, name, len, member)
    {
        struct shape *one = NULL;
        if (!infer(member, arena, &one)) {
            return false;
        }
        if (!one || (seen && json_object_getn(seen, name, len))) {
            continue;
        }
        if (len == 0) {
            return false; /* a field has a name */
        }
        struct field *f = *into->end = arena_array(arena, 1, sizeof *f);
        f->name = (struct slice){name, len};
        f->shape = one;
        into->end = &f->next;
        if (seen && json_object_setn_new_nocheck(seen, name, len, json_true())) {
            return false; /* memory ran out */
        }
    }
    return true;
}

/* The shape of all objects in an array. */
static bool infer_objects(json_t *v, struct arena *arena, struct shape *into)
{
    size_t i;
    json_t *e, *seen = memory_need(json_object());
    bool done = true;
    json_array_foreach(v, i, e)
    {
        done = done && (!json_is_object(e) || infer_object(e, arena, seen, into));
    }
    json_decref(seen);
    return done;
}

/* The first element that is not null; NULL if there is none. */
static json_t *first_of(json_t *v)
{
    size_t i = 0;
    while (i < json_array_size(v) && json_is_null(json_array_get(v, i))) {
        i++;
    }
    return json_array_get(v, i);
}

/* The shape of the first element has to fit the others: write_value finds that out. */
static bool infer_array(json_t *v, struct arena *arena, struct shape **ret)
{
    json_t *first = first_of(v);
    *ret = NULL;
    if (json_array_size(v) == 0) {
        return true;
    }
    if (!first) {
        return false;
    }
    *ret = shape_of(ARRAY, arena);
    if (!json_is_object(first)) {
        return infer(first, arena, &(*ret)->element) && (*ret)->element;
    }
    (*ret)->element = shape_of(STRUCT, arena);
    return infer_objects(v, arena, (*ret)->element);
}

static bool infer(json_t *v, struct arena *arena, struct shape **ret)
{
    *ret = NULL;
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        *ret = shape_of(STRUCT, arena);
        return infer_object(v, arena, NULL, *ret);
    case JSON_ARRAY:
        return infer_array(v, arena, ret);
    case JSON_STRING:
        *ret = shape_of(STRING, arena);
        return true;
    case JSON_INTEGER:
    case JSON_REAL:
        *ret = shape_of(number_kind(v), arena);
        return true;
    case JSON_TRUE:
    case JSON_FALSE:
        *ret = shape_of(BOOLEAN, arena);
        return true;
    case JSON_NULL:
    default:
        return true;
    }
}

/* Whether the value is one of this shape, as far as that shows without its members. */
static bool fits(json_t *v, const struct shape *s)
{
    switch (s->kind) {
    case STRING:
        return json_is_string(v);
    case BOOLEAN:
        return json_is_boolean(v);
    case INT32:
    case INT64:
    case DOUBLE:
        return json_is_number(v) && number_kind(v) == s->kind;
    case ARRAY:
        return json_is_array(v);
    case STRUCT:
    default:
        return json_is_object(v);
    }
}

static bool write_value(struct buf *out, json_t *v, const struct shape *s);

static bool write_array(struct buf *out, json_t *v, const struct shape *s)
{
    size_t i;
    json_t *e;
    dbz_add_char(out, '[');
    json_array_foreach(v, i, e)
    {
        if (i > 0) {
            dbz_add_char(out, ',');
        }
        if (!write_value(out, e, s->element)) {
            return false;
        }
    }
    dbz_add_char(out, ']');
    return true;
}

static bool write_object(struct buf *out, json_t *v, const struct shape *s)
{
    char separator = '{';
    for (const struct field *f = s->fields; f; f = f->next) {
        dbz_add_char(out, separator);
        separator = ',';
        if (!dbz_string(out, f->name)) {
            return false;
        }
        dbz_add_char(out, ':');
        if (!write_value(out, json_object_getn(v, f->name.ptr, f->name.len), f->shape)) {
            return false;
        }
    }
    dbz_close(out, separator);
    return true;
}

static bool write_real(struct buf *out, double v)
{
    char text[64];
    int n = snprintf(text, sizeof text, "%.17g", v);
    return dbz_double(out, (struct slice){text, (size_t)n}, false) == DBZ_SAID;
}

/* `v` NULL: the member is not there. False: the value is not of this shape. */
static bool write_value(struct buf *out, json_t *v, const struct shape *s)
{
    if (!v || json_is_null(v)) {
        DBZ_LITERAL(out, "null");
        return true;
    }
    if (!fits(v, s)) {
        return false;
    }
    switch (s->kind) {
    case STRING:
        return dbz_string(out, (struct slice){json_string_value(v), json_string_length(v)});
    case BOOLEAN:
        buf_add_str(out, json_is_true(v) ? "true" : "false");
        return true;
    case INT32:
    case INT64:
        dbz_i64(out, json_integer_value(v));
        return true;
    case DOUBLE:
        return write_real(out, json_real_value(v));
    case ARRAY:
        return write_array(out, v, s);
    case STRUCT:
    default:
        return write_object(out, v, s);
    }
}

static bool expand(struct slice text, struct arena *arena, struct buf *out)
{
    json_error_t fault;
    struct shape *shape = NULL;
    if (text.len == 0 || (text.ptr[0] != '{' && text.ptr[0] != '[')) {
        return false; /* a blank before it is enough */
    }
    json_t *v = json_loadb(text.ptr, text.len, JSON_ALLOW_NUL | JSON_DISABLE_EOF_CHECK, &fault);
    bool done = v && infer(v, arena, &shape) && shape && write_value(out, v, shape);
    json_decref(v);
    return done;
}

int dbz_expand_payload(const struct event *e, struct buf *out, struct error *err)
{
    struct arena arena;
    if (e->payload_kind == PAYLOAD_BYTES) {
        dbz_base64(out, e->payload);
        return RESULT_DONE;
    }
    arena_init(&arena);
    bool done = expand(e->payload, &arena, out);
    arena_release(&arena);
    if (!done) {
        buf_clear(out);
        done = dbz_string(out, e->payload);
    }
    return done ? RESULT_DONE
                : error_set(err, ERROR_POISON, "encode",
                            "the payload is not UTF-8 text; mend the row, or keep bytes in a "
                            "bytea column");
}
