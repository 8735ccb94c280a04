/* Keeps the schemas of tables as they were when a change was read, and the numbers of schemas under
 * subjects. Both are looked up for every event: hashed, and compared without building a text. */
#include "message/schema/book.h"

#include "base/memory.h"
#include "message/schema/avro.h"
#include "message/schema/connect.h"
#include "message/schema/table.h"
#include <stdlib.h>

enum { SHAPE_BUCKETS = 256, SUBJECT_BUCKETS = 4096, FRAME_HEAD = 5 };

struct schema_text {
    char *text;               /* as it is registered; NULL: of a subject that was looked up */
    struct avro_schema *avro; /* NULL with VALUE_JSON_SCHEMA */
    char *record;             /* the name of its record; NULL: it is none */
    struct schema_text *next; /* all of the book */
};

/* A table as it was: a change with the same columns has the same schemas. */
struct shape {
    struct arena arena;
    uint32_t oid; /* 0: logical messages */
    struct change_table table;
    const struct schema_text *key, *value;
    struct shape *next;
};

enum half { HALF_KEY, HALF_VALUE };

struct schema_subject {
    struct slice name; /* the topic, or the record */
    enum half half;
    bool by_record;
    const struct schema_text *schema; /* NULL: the newest one; then `newest` */
    struct schema_text newest;
    uint32_t id;
    bool known, wanted;
    struct schema_subject *next; /* of the same bucket */
    struct schema_subject *next_wanted;
};

struct schema_book {
    struct schema_book_conf conf;
    struct schema_text *texts;
    const struct schema_text *of_text; /* of keys that are texts */
    struct shape *shapes[SHAPE_BUCKETS];
    struct schema_subject *subjects[SUBJECT_BUCKETS];
    struct schema_subject *first_wanted, *last_wanted;
};

struct schema_book *schema_book_new(const struct schema_book_conf *conf)
{
    struct schema_book *b = memory_need(calloc(1, sizeof *b));
    b->conf = *conf;
    return b;
}

void schema_book_free(struct schema_book *b)
{
    if (!b) {
        return;
    }
    for (size_t i = 0; i < SHAPE_BUCKETS; i++) {
        for (struct shape *s = b->shapes[i], *next; s; s = next) {
            next = s->next;
            arena_release(&s->arena);
            free(s);
        }
    }
    for (size_t i = 0; i < SUBJECT_BUCKETS; i++) {
        for (struct schema_subject *s = b->subjects[i], *next; s; s = next) {
            next = s->next;
            avro_schema_free(s->newest.avro);
            free((char *)(uintptr_t)s->name.ptr);
            free(s);
        }
    }
    for (struct schema_text *t = b->texts, *next; t; t = next) {
        next = t->next;
        avro_schema_free(t->avro);
        free(t->text);
        free(t->record);
        free(t);
    }
    free(b);
}

/* --- schemas --- */

static char *copy(struct slice s)
{
    char *text = memory_need(malloc(s.len + 1));
    memcpy(text, s.ptr, s.len);
    text[s.len] = '\0';
    return text;
}

static int text_new(struct schema_book *b, const struct connect_schema *schema,
                    const struct schema_text **ret, struct error *err)
{
    CLEANUP(buf_release) struct buf text = {0};
    struct avro_schema *avro = NULL;
    if (b->conf.encode->value != VALUE_AVRO) {
        if (schema_book_is_json(b) ? connect_json(&text, schema, err)
                                   : connect_native(&text, schema, err)) {
            return RESULT_ERROR;
        }
    } else if (connect_avro(&text, schema, err)) {
        return RESULT_ERROR;
    } else if (avro_schema_new(buf_slice(&text), &avro, err)) {
        err->class = ERROR_FATAL; /* we have made it ourselves */
        err->exit_code = EXIT_CODE_BUG;
        return RESULT_ERROR;
    }
    struct schema_text *t = memory_need(calloc(1, sizeof *t));
    t->text = copy(buf_slice(&text));
    t->avro = avro;
    t->record = slice_is_null(schema->name) ? NULL : copy(schema->name);
    t->next = b->texts;
    b->texts = t;
    *ret = t;
    return RESULT_DONE;
}

/* The schema of a key that is a text: a plain string. */
static int text_of_strings(struct schema_book *b, struct error *err)
{
    static const struct connect_schema string = {.kind = CONNECT_STRING};
    return b->of_text ? RESULT_DONE : text_new(b, &string, &b->of_text, err);
}

/* --- tables --- */

static struct shape *shape_find(struct schema_book *b, const struct change_table *t)
{
    uint32_t oid = t ? t->oid : 0;
    struct shape *s = b->shapes[oid % SHAPE_BUCKETS];
    while (s && (s->oid != oid || (t && !table_same(&s->table, t)))) {
        s = s->next;
    }
    return s;
}

static int shape_new(struct schema_book *b, const struct change_table *t, struct shape **ret,
                     struct error *err)
{
    const struct encode_conf *conf = b->conf.encode;
    const struct connect_schema *key, *value;
    struct shape *s = memory_need(calloc(1, sizeof *s));
    s->oid = t ? t->oid : 0;
    conf->format->schemas(conf, t, &s->arena, &key, &value);
    if ((key && text_new(b, key, &s->key, err)) || text_new(b, value, &s->value, err)) {
        arena_release(&s->arena);
        free(s);
        return t ? error_prefix(err, "table %.*s.%.*s", SLICE_FMT(t->schema), SLICE_FMT(t->name))
                 : RESULT_ERROR;
    }
    if (t) {
        table_keep(&s->arena, t, &s->table);
    }
    s->next = b->shapes[s->oid % SHAPE_BUCKETS];
    b->shapes[s->oid % SHAPE_BUCKETS] = s;
    *ret = s;
    return RESULT_DONE;
}

int schema_book_change(struct schema_book *b, struct event *e, struct error *err)
{
    const struct change_table *t = e->change->table;
    struct shape *s = shape_find(b, t);
    if (!s && shape_new(b, t, &s, err)) {
        return RESULT_ERROR;
    }
    e->key_schema = s->key;
    e->value_schema = s->value;
    return RESULT_DONE;
}

/* {"schema":S,"payload":P}. A null stays one. */
static void embed(const struct schema_text *schema, struct slice *text, struct arena *arena)
{
    CLEANUP(buf_release) struct buf out = {0};
    if (slice_is_null(*text)) {
        return;
    }
    buf_reserve(&out, strlen(schema->text) + text->len + sizeof "{'schema':,'payload':}");
    buf_add_str(&out, "{\"schema\":");
    buf_add_str(&out, schema->text);
    buf_add_str(&out, ",\"payload\":");
    buf_add_slice(&out, *text);
    buf_add_char(&out, '}');
    *text = arena_copy(arena, buf_slice(&out));
}

int schema_book_embed(struct schema_book *b, struct event *e, struct arena *arena,
                      struct error *err)
{
    if (schema_book_change(b, e, err)) {
        return RESULT_ERROR;
    }
    embed(e->key_schema, &e->key, arena);
    embed(e->value_schema, &e->payload, arena);
    return RESULT_DONE;
}

/* --- subjects --- */

static size_t bucket_of(struct slice name, enum half half, const struct schema_text *schema)
{
    uint64_t hash = UINT64_C(14695981039346656037) ^ (uintptr_t)schema ^ (uint64_t)half << 32;
    for (size_t i = 0; i < name.len; i++) {
        hash = (hash ^ (unsigned char)name.ptr[i]) * UINT64_C(1099511628211);
    }
    return (size_t)(hash ^ hash >> 32) % SUBJECT_BUCKETS;
}

static struct schema_subject *subject_find(struct schema_book *b, struct slice name, enum half half,
                                           const struct schema_text *schema)
{
    struct schema_subject *s = b->subjects[bucket_of(name, half, schema)];
    while (s && (s->schema != schema || s->half != half || !slice_equal(s->name, name))) {
        s = s->next;
    }
    return s;
}

static struct schema_subject *subject_get(struct schema_book *b, struct slice name, enum half half,
                                          const struct schema_text *schema, bool by_record)
{
    struct schema_subject *s = subject_find(b, name, half, schema);
    if (!s) {
        size_t at = bucket_of(name, half, schema);
        s = memory_need(calloc(1, sizeof *s));
        *s = (struct schema_subject){.name = {copy(name), name.len},
                                     .half = half,
                                     .by_record = by_record,
                                     .schema = schema,
                                     .next = b->subjects[at]};
        b->subjects[at] = s;
    }
    return s;
}

/* The name of the record of a dead letter's table ("public.orders"). The format makes it, of a
 * table with that name; so the rule for such names stands in one place. */
static struct slice record_of_letter(struct schema_book *b, const struct event *e, enum half half,
                                     struct arena *arena)
{
    const struct encode_conf *conf = b->conf.encode;
    const struct connect_schema *key, *value;
    static const struct column_type text = {.oid = 25, .base_oid = 25, .kind = TYPE_BASE};
    static const struct change_column column = {.name = SLICE_LITERAL("id"), .type = &text};
    static const uint16_t first[] = {0};
    const char *dot =
        e->aggregatetype.len > 0 ? memchr(e->aggregatetype.ptr, '.', e->aggregatetype.len) : NULL;
    if (!dot) {
        return e->topic; /* a logical message */
    }
    size_t len = (size_t)(dot - e->aggregatetype.ptr);
    const struct change_table table = {.schema = {e->aggregatetype.ptr, len},
                                       .name = {dot + 1, e->aggregatetype.len - len - 1},
                                       .columns = &column,
                                       .columns_count = 1,
                                       .key = first,
                                       .key_count = 1};
    conf->format->schemas(conf, &table, arena, &key, &value);
    return half == HALF_KEY ? key->name : value->name;
}

static struct schema_subject *subject_of(struct schema_book *b, const struct event *e,
                                         enum half half, struct arena *arena)
{
    bool text = half == HALF_KEY && b->conf.key_is_text;
    const struct schema_text *schema = text               ? b->of_text
                                       : half == HALF_KEY ? e->key_schema
                                                          : e->value_schema;
    if (!b->conf.by_record || text) {
        return subject_get(b, e->topic, half, schema, false);
    }
    struct slice record = schema ? slice_from(schema->record) : record_of_letter(b, e, half, arena);
    return subject_get(b, record, half, schema, true);
}

static bool known(struct schema_book *b, struct schema_subject *s)
{
    if (!s || s->known) {
        return true;
    }
    if (!s->wanted) {
        s->wanted = true;
        s->next_wanted = NULL;
        *(b->last_wanted ? &b->last_wanted->next_wanted : &b->first_wanted) = s;
        b->last_wanted = s;
    }
    return false;
}

/* --- frames --- */

/* Appends the frame of a JSON text, and copies it into the arena. */
static int frame(const struct schema_subject *s, struct slice json, struct arena *arena,
                 struct slice *ret, struct error *err)
{
    CLEANUP(buf_release) struct buf out = {0};
    const struct schema_text *schema = s->schema ? s->schema : &s->newest;
    char head[FRAME_HEAD] = {0, (char)(s->id >> 24), (char)(s->id >> 16), (char)(s->id >> 8),
                             (char)s->id};
    buf_reserve(&out, json.len + sizeof head);
    buf_add(&out, head, sizeof head);
    if (!schema->avro) {
        buf_add_slice(&out, json);
    } else if (avro_encode(schema->avro, json, &out, err)) {
        return RESULT_ERROR;
    }
    *ret = arena_copy(arena, buf_slice(&out));
    return RESULT_DONE;
}

static int frame_key(struct schema_book *b, const struct schema_subject *s, struct event *e,
                     struct arena *arena, struct error *err)
{
    CLEANUP(buf_release) struct buf text = {0};
    if (!s) {
        return RESULT_DONE;
    }
    if (b->conf.key_is_text && !encode_json_string(&text, e->key)) {
        return error_set(err, ERROR_POISON, "encode",
                         "its key is not UTF-8, which a schema of strings needs; mend the column");
    }
    struct slice json = b->conf.key_is_text ? buf_slice(&text) : e->key;
    return frame(s, json, arena, &e->wire_key, err) ? error_prefix(err, "the key") : RESULT_DONE;
}

int schema_frame(struct schema_book *b, struct event *e, struct arena *arena, struct error *err)
{
    if (!e->of_change) {
        return error_set(
            err, ERROR_POISON, "encode",
            "it is no change of a table, and nothing else has a schema here; leave `messages` out, or use encode.format: debezium");
    }
    if (b->conf.key_is_text && text_of_strings(b, err)) {
        return RESULT_ERROR;
    }
    struct schema_subject *key = slice_is_null(e->key) ? NULL : subject_of(b, e, HALF_KEY, arena);
    struct schema_subject *value =
        slice_is_null(e->payload) ? NULL : subject_of(b, e, HALF_VALUE, arena);
    bool key_known = known(b, key), value_known = known(b, value); /* both are asked for at once */
    e->unframed = !key_known || !value_known;
    if (e->unframed) {
        return RESULT_AGAIN;
    }
    if (frame_key(b, key, e, arena, err)) {
        return RESULT_ERROR;
    }
    e->value = SLICE_NULL;
    return value ? frame(value, e->payload, arena, &e->value, err) : RESULT_DONE;
}

/* --- for the one who asks the registry --- */

bool schema_book_is_json(const struct schema_book *b)
{
    return b->conf.encode->value == VALUE_JSON_SCHEMA;
}

struct schema_subject *schema_book_wanted(struct schema_book *b)
{
    return b->first_wanted;
}

void schema_subject_name(const struct schema_subject *s, struct buf *out)
{
    buf_add_slice(out, s->name);
    if (!s->by_record) {
        buf_add_str(out, s->half == HALF_KEY ? "-key" : "-value");
    }
}

const char *schema_subject_text(const struct schema_subject *s)
{
    return s->schema ? s->schema->text : NULL;
}

static void not_wanted(struct schema_book *b, struct schema_subject *s)
{
    struct schema_subject **at = &b->first_wanted, *before = NULL;
    while (*at && *at != s) {
        before = *at;
        at = &(*at)->next_wanted;
    }
    if (*at) {
        *at = s->next_wanted;
        b->last_wanted = b->last_wanted == s ? before : b->last_wanted;
    }
    s->wanted = false;
}

int schema_subject_known(struct schema_book *b, struct schema_subject *s, uint32_t id,
                         struct slice text, struct error *err)
{
    if (!s->schema && !schema_book_is_json(b)) {
        struct avro_schema *avro;
        if (avro_schema_new(text, &avro, err)) {
            return RESULT_ERROR;
        }
        avro_schema_free(s->newest.avro);
        s->newest.avro = avro;
    }
    s->id = id;
    s->known = true;
    not_wanted(b, s);
    /* The newest one of the subject is this one now, or is looked up again. */
    struct schema_subject *newest = s->schema ? subject_find(b, s->name, s->half, NULL) : NULL;
    if (newest) {
        newest->known = false;
    }
    return RESULT_DONE;
}

void schema_book_forget_wanted(struct schema_book *b)
{
    for (struct schema_subject *s = b->first_wanted; s; s = s->next_wanted) {
        s->wanted = false;
    }
    b->first_wanted = b->last_wanted = NULL;
}
