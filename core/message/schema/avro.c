/* Reads a schema into a tree. Names are looked up in the list of the records that were read before,
 * as full names: "Value" inside of shop.public.t.Envelope is shop.public.t.Value. */
#include "message/schema/avro_type.h"

#include "base/arena.h"
#include "base/memory.h"
#include <jansson.h>
#include <stdlib.h>

struct named {
    const char *full;
    const struct avro_type *type;
    const struct named *next;
};

struct avro_schema {
    struct arena arena;
    const struct avro_type *root;
    const struct named *named;
};

static const struct {
    const char *name;
    enum avro_kind kind;
} primitives[] = {{"null", AVRO_NULL},   {"boolean", AVRO_BOOLEAN}, {"int", AVRO_INT},
                  {"long", AVRO_LONG},   {"float", AVRO_FLOAT},     {"double", AVRO_DOUBLE},
                  {"bytes", AVRO_BYTES}, {"string", AVRO_STRING}};

static void refuse_text(struct error *err, const char *what, const char *name)
{
    error_set_text(err, ERROR_CONFIG, "avro",
                   "the Avro schema has %s%s%.80s, which is not known here", what, *name ? " " : "",
                   name);
}

#define refuse(...) ERROR_RETURN(refuse_text(__VA_ARGS__))

static struct avro_type *type_new(struct avro_schema *s, enum avro_kind kind)
{
    struct avro_type *t = arena_array(&s->arena, 1, sizeof *t);
    t->kind = kind;
    return t;
}

/* The full name: as it is if it has a dot, else in the namespace. */
static const char *full_name(struct avro_schema *s, const char *name, const char *space)
{
    CLEANUP(buf_release) struct buf full = {0};
    if (!strchr(name, '.') && *space) {
        buf_printf(&full, "%s.", space);
    }
    buf_add_str(&full, name);
    return arena_copy(&s->arena, buf_slice(&full)).ptr;
}

/* What stands before the last dot; "" without one. */
static const char *space_of(struct avro_schema *s, const char *full)
{
    const char *dot = strrchr(full, '.');
    return dot ? arena_copy(&s->arena, (struct slice){full, (size_t)(dot - full)}).ptr : "";
}

static int read_type(struct avro_schema *s, json_t *from, const char *space,
                     const struct avro_type **ret, struct error *err);

static int read_name(struct avro_schema *s, const char *name, const char *space,
                     const struct avro_type **ret, struct error *err)
{
    for (size_t i = 0; i < sizeof primitives / sizeof *primitives; i++) {
        if (strcmp(primitives[i].name, name) == 0) {
            *ret = type_new(s, primitives[i].kind);
            return RESULT_DONE;
        }
    }
    const char *full = full_name(s, name, space);
    for (const struct named *n = s->named; n; n = n->next) {
        if (strcmp(n->full, full) == 0 && n->type->whole) {
            *ret = n->type;
            return RESULT_DONE;
        }
    }
    return refuse(err, "the type", name);
}

static int read_union(struct avro_schema *s, json_t *from, const char *space,
                      const struct avro_type **ret, struct error *err)
{
    struct avro_type *t = type_new(s, AVRO_UNION);
    const struct avro_type *branches[2];
    if (json_array_size(from) != 2) {
        return refuse(err, "a union that is not of null and one type more", "");
    }
    for (size_t i = 0; i < 2; i++) {
        if (read_type(s, json_array_get(from, i), space, &branches[i], err)) {
            return RESULT_ERROR;
        }
    }
    t->null_branch = branches[0]->kind == AVRO_NULL ? 0 : 1;
    t->of = branches[1 - t->null_branch];
    if (branches[t->null_branch]->kind != AVRO_NULL || t->of->kind == AVRO_NULL ||
        t->of->kind == AVRO_UNION) {
        return refuse(err, "a union that is not of null and one type more", "");
    }
    *ret = t;
    return RESULT_DONE;
}

/* A default is encoded at once. That of a union is one of its first branch. */
static int read_default(struct avro_schema *s, json_t *from, struct avro_field *f,
                        struct error *err)
{
    CLEANUP(buf_release) struct buf out = {0};
    if (!from) {
        return RESULT_DONE;
    }
    char *text = memory_need(json_dumps(from, JSON_COMPACT | JSON_ENCODE_ANY));
    int rc = avro_put(&out, f->type, slice_from(text), AVRO_BYTES_CHARACTERS, err);
    free(text);
    if (rc) {
        err->class = ERROR_CONFIG;
        err->exit_code = EXIT_CODE_CONFIG;
        return error_prefix(err, "the default of field %.*s in the Avro schema",
                            SLICE_FMT(f->name));
    }
    f->fallback = arena_copy(&s->arena, buf_slice(&out));
    return RESULT_DONE;
}

static int read_fields(struct avro_schema *s, json_t *list, const char *space, struct avro_type *t,
                       struct error *err)
{
    size_t n = json_array_size(list);
    struct avro_field *fields = arena_array(&s->arena, n + 1, sizeof *fields);
    for (size_t i = 0; i < n; i++) {
        json_t *from = json_array_get(list, i);
        const char *name = json_string_value(json_object_get(from, "name"));
        if (!name) {
            return refuse(err, "a field without a name", "");
        }
        fields[i].name = arena_copy(&s->arena, slice_from(name));
        if (read_type(s, json_object_get(from, "type"), space, &fields[i].type, err) ||
            read_default(s, json_object_get(from, "default"), &fields[i], err)) {
            return RESULT_ERROR;
        }
    }
    t->fields = fields;
    t->fields_count = n;
    t->whole = true;
    return RESULT_DONE;
}

static int read_record(struct avro_schema *s, json_t *from, const char *space,
                       const struct avro_type **ret, struct error *err)
{
    const char *name = json_string_value(json_object_get(from, "name"));
    const char *own = json_string_value(json_object_get(from, "namespace"));
    if (!name) {
        return refuse(err, "a record without a name", "");
    }
    struct avro_type *t = type_new(s, AVRO_RECORD);
    struct named *n = arena_array(&s->arena, 1, sizeof *n);
    *n = (struct named){.full = full_name(s, name, own ? own : space), .type = t, .next = s->named};
    s->named = n;
    *ret = t;
    return read_fields(s, json_object_get(from, "fields"), space_of(s, n->full), t, err);
}

static int read_object(struct avro_schema *s, json_t *from, const char *space,
                       const struct avro_type **ret, struct error *err)
{
    json_t *type = json_object_get(from, "type");
    const char *name = json_string_value(type);
    if (!name) {
        return read_type(s, type, space, ret, err);
    }
    if (strcmp(name, "record") == 0) {
        return read_record(s, from, space, ret, err);
    }
    bool array = strcmp(name, "array") == 0;
    if (!array && strcmp(name, "map") != 0) {
        return read_name(s, name, space, ret, err);
    }
    struct avro_type *t = type_new(s, array ? AVRO_ARRAY : AVRO_MAP);
    *ret = t;
    return read_type(s, json_object_get(from, array ? "items" : "values"), space, &t->of, err);
}

static int read_type(struct avro_schema *s, json_t *from, const char *space,
                     const struct avro_type **ret, struct error *err)
{
    switch (from ? json_typeof(from) : JSON_NULL) {
    case JSON_STRING:
        return read_name(s, json_string_value(from), space, ret, err);
    case JSON_ARRAY:
        return read_union(s, from, space, ret, err);
    case JSON_OBJECT:
        return read_object(s, from, space, ret, err);
    default:
        return refuse(err, "a type that is no text, list or object", "");
    }
}

int avro_schema_new(struct slice text, struct avro_schema **ret, struct error *err)
{
    json_error_t why;
    json_t *from = json_loadb(text.ptr, text.len,
                              JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &why);
    if (!from) {
        return error_set(err, ERROR_CONFIG, "avro", "the Avro schema is no JSON (byte %d): %s",
                         why.position, why.text);
    }
    struct avro_schema *s = memory_need(calloc(1, sizeof *s));
    int rc = read_type(s, from, "", &s->root, err);
    json_decref(from);
    if (rc) {
        avro_schema_free(s);
        return RESULT_ERROR;
    }
    *ret = s;
    return RESULT_DONE;
}

void avro_schema_free(struct avro_schema *s)
{
    if (s) {
        arena_release(&s->arena);
        free(s);
    }
}

int avro_encode(const struct avro_schema *s, struct slice json, struct buf *out, struct error *err)
{
    size_t start = out->len;
    if (avro_put(out, s->root, json, AVRO_BYTES_BASE64, err)) {
        buf_truncate(out, start);
        return RESULT_ERROR;
    }
    return RESULT_DONE;
}
