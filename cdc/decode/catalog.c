/* Reads tables and types from the system catalogs and keeps them. A table is asked for each time
 * that the stream describes it, because a Relation message shows neither defaults nor which columns
 * may be null. A type is asked for once. What the catalogs do not have is remembered as unknown, so
 * that it is not asked for again and again. */
#include "cdc/decode/catalog.h"

#include "base/buf.h"
#include "base/memory.h"
#include "cdc/decode/published.h"
#include "schema/schema.h"
#include <stdio.h>
#include <stdlib.h>

/* A vector of things sorted by oid. */
struct by_oid {
    struct by_oid_item {
        uint32_t oid;
        void *thing;
    } * items;
    size_t count, cap;
};

struct type_entry {
    struct column_type type;
    uint32_t based_on; /* of a domain: the type it is made of; else 0 */
    int32_t typmod;    /* of a domain: the modifier it gives to that type */
    uint32_t element;  /* of an array: the type of its elements; else 0 */
    bool asked;        /* the catalogs were asked: if it is unknown now, it stays unknown */
};

struct table_entry {
    struct catalog_table table;
    void *memory; /* one block with all that the table points to */
    bool known;   /* the catalogs have the table */
    bool fresh;   /* catalog_table has not handed this answer out yet */
};

enum asking { ASKING_NOTHING, ASKING_TABLE, ASKING_TYPES };

struct catalog {
    struct by_oid types, tables;
    struct arena arena; /* of the types */
    enum asking asking;
    struct pg_result *answer;
};

/* All columns of each table of `from`, one in a row, and the key by KEY_INDEX_SQL. A default is
 * deparsed without its table (it cannot name a column): with the table, pg_get_expr would wait for
 * whoever has locked it. */
#define TABLES_SQL(from)                                                                      \
    "select c.oid, n.nspname, c.relname,"                                                     \
    " case when c.relkind = 'p'"                                                              \
    " then (with recursive part(oid) as (select c.oid union all select i.inhrelid from part"  \
    " join pg_inherits i on i.inhparent = part.oid) select sum(nullif(l.reltuples, -1))"      \
    " from part join pg_class l on l.oid = part.oid where l.relkind <> 'p')::bigint"          \
    " else c.reltuples::bigint end,"                                                          \
    " a.attname, a.atttypid, a.atttypmod, a.attnotnull,"                                      \
    " case when a.attgenerated = '' then pg_get_expr(d.adbin, 0) end,"                        \
    " array_position(k.columns, a.attnum)"                                                    \
    " from " from " t join pg_class c on c.oid = t.oid"                                       \
    " join pg_namespace n on n.oid = c.relnamespace"                                          \
    " left join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped" \
    " left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum" KEY_INDEX_SQL       \
    " order by c.oid, a.attnum"

static const char published_sql[] = " " TABLES_SQL("published");
static const char table_by_oid[] = TABLES_SQL("(select $1::oid as oid)");

enum {
    TABLE_OID,
    TABLE_SCHEMA,
    TABLE_NAME,
    TABLE_ROWS,
    COLUMN_NAME,
    COLUMN_TYPE,
    COLUMN_TYPMOD,
    COLUMN_NOT_NULL,
    COLUMN_DEFAULT,
    COLUMN_KEY,
};

/* The columns of schema/sql/types.sql. */
enum {
    TYPE_OID,
    TYPE_SCHEMA,
    TYPE_NAME,
    TYPE_LETTER,
    TYPE_BASED_ON,
    TYPE_TYPMOD,
    TYPE_ELEMENT,
    TYPE_DELIMITER,
    TYPE_LABELS,
};

/* --- the vectors --- */

/* The index where oid is, or where it has to be inserted. */
static size_t by_oid_place(const struct by_oid *v, uint32_t oid)
{
    size_t low = 0, high = v->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (v->items[mid].oid < oid) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

static void *by_oid_find(const struct by_oid *v, uint32_t oid)
{
    size_t i = by_oid_place(v, oid);
    return i < v->count && v->items[i].oid == oid ? v->items[i].thing : NULL;
}

static void by_oid_add(struct by_oid *v, uint32_t oid, void *thing)
{
    size_t i = by_oid_place(v, oid);
    if (v->count == v->cap) {
        v->cap = v->cap ? v->cap * 2 : 64;
        v->items = memory_need(reallocarray(v->items, v->cap, sizeof *v->items));
    }
    memmove(v->items + i + 1, v->items + i, (v->count - i) * sizeof *v->items);
    v->items[i] = (struct by_oid_item){oid, thing};
    v->count++;
}

/* --- the catalog --- */

struct catalog *catalog_new(void)
{
    struct catalog *c = memory_need(calloc(1, sizeof *c));
    arena_init(&c->arena);
    return c;
}

void catalog_free(struct catalog *c)
{
    if (!c) {
        return;
    }
    for (size_t i = 0; i < c->tables.count; i++) {
        struct table_entry *e = c->tables.items[i].thing;
        free(e->memory);
        free(e);
    }
    free(c->tables.items);
    free(c->types.items);
    arena_release(&c->arena);
    pg_result_free(c->answer);
    free(c);
}

static struct type_entry *type_of(struct catalog *c, uint32_t oid)
{
    struct type_entry *e = by_oid_find(&c->types, oid);
    if (!e) {
        e = arena_array(&c->arena, 1, sizeof *e);
        e->type = (struct column_type){.oid = oid,
                                       .base_oid = oid,
                                       .base_typmod = -1,
                                       .kind = TYPE_UNKNOWN,
                                       .schema = SLICE_LITERAL(""),
                                       .name = SLICE_LITERAL(""),
                                       .base_name = SLICE_LITERAL(""),
                                       .delimiter = ','};
        by_oid_add(&c->types, oid, e);
    }
    return e;
}

const struct column_type *catalog_type(struct catalog *c, uint32_t oid)
{
    return &type_of(c, oid)->type;
}

static struct table_entry *table_of(struct catalog *c, uint32_t oid)
{
    struct table_entry *e = by_oid_find(&c->tables, oid);
    if (!e) {
        e = memory_need(calloc(1, sizeof *e));
        by_oid_add(&c->tables, oid, e);
    }
    return e;
}

static const struct catalog_table *known_table(const struct catalog *c, uint32_t oid)
{
    const struct table_entry *e = by_oid_find(&c->tables, oid);
    return e && e->known ? &e->table : NULL;
}

const struct catalog_table *catalog_table(const struct catalog *c, uint32_t oid)
{
    struct table_entry *e = by_oid_find(&c->tables, oid);
    if (e) {
        e->fresh = false;
    }
    return known_table(c, oid);
}

/* --- types taken from an answer --- */

static uint32_t oid_value(const struct pg_result *r, size_t row, size_t col)
{
    return (uint32_t)pg_int(r, row, col, 0);
}

static enum type_kind kind_of(char letter, bool array)
{
    switch (letter) {
    case 'b':
        return array ? TYPE_ARRAY : TYPE_BASE;
    case 'c':
        return TYPE_COMPOSITE;
    case 'e':
        return TYPE_ENUM;
    case 'r':
        return TYPE_RANGE;
    case 'm':
        return TYPE_MULTIRANGE;
    default:
        return TYPE_UNKNOWN;
    }
}

static void take_type(struct catalog *c, const struct pg_result *r, size_t row)
{
    struct type_entry *e = type_of(c, oid_value(r, row, TYPE_OID));
    if (e->asked) {
        return; /* the answer has it a second time, as a component of another type */
    }
    struct slice delimiter = pg_value(r, row, TYPE_DELIMITER);
    e->based_on = oid_value(r, row, TYPE_BASED_ON);
    e->typmod = (int32_t)pg_int(r, row, TYPE_TYPMOD, -1);
    e->element = oid_value(r, row, TYPE_ELEMENT);
    e->type.schema = arena_copy(&c->arena, pg_value(r, row, TYPE_SCHEMA));
    e->type.name = e->type.base_name = arena_copy(&c->arena, pg_value(r, row, TYPE_NAME));
    e->type.kind = kind_of(pg_value(r, row, TYPE_LETTER).ptr[0], e->element != 0);
    e->type.delimiter = delimiter.len == 1 ? delimiter.ptr[0] : ',';
    e->type.labels = arena_copy(&c->arena, pg_value(r, row, TYPE_LABELS));
}

/* Sets the pointers to the base and the element type, now that all types of the answer are there. A
 * domain may be made of another domain; of their modifiers the one next to the base type counts. */
static void resolve(struct catalog *c, struct type_entry *e)
{
    const struct type_entry *base = e;
    int32_t typmod = -1;
    while (base->based_on) {
        typmod = base->typmod >= 0 ? base->typmod : typmod;
        base = type_of(c, base->based_on);
    }
    if (base != e) {
        e->type.base_oid = base->type.oid;
        e->type.base_typmod = typmod;
        e->type.base_name = base->type.name;
        e->type.kind = base->type.kind;
        e->type.delimiter = base->type.delimiter;
        e->type.labels = base->type.labels;
    }
    if (base->element) {
        e->type.element = &type_of(c, base->element)->type;
    }
    e->asked = true;
}

static void take_types(struct catalog *c, const struct pg_result *r)
{
    for (size_t row = 0; row < pg_rows(r); row++) {
        take_type(c, r, row);
    }
    for (size_t row = 0; row < pg_rows(r); row++) {
        struct type_entry *e = type_of(c, oid_value(r, row, TYPE_OID));
        if (!e->asked) {
            resolve(c, e);
        }
    }
}

/* "{23,25}": types not yet asked for. */
static void add_wanted_type(struct catalog *c, uint32_t oid, struct buf *list)
{
    if (!type_of(c, oid)->asked) {
        buf_add_char(list, list->len ? ',' : '{');
        buf_add_u64(list, oid);
    }
}

/* --- tables taken from an answer --- */

struct table_memory {
    struct catalog_column *columns;
    struct slice *keys;
    char *text;
};

/* One block for all that a table points to. */
static struct table_memory allocate_table(struct table_entry *e, const struct pg_result *r,
                                          size_t from, size_t to)
{
    size_t text = pg_value(r, from, TABLE_SCHEMA).len + pg_value(r, from, TABLE_NAME).len;
    for (size_t row = from; row < to; row++) {
        text += pg_value(r, row, COLUMN_NAME).len + pg_value(r, row, COLUMN_DEFAULT).len;
    }
    size_t n = to - from;
    char *p =
        memory_need(malloc(n * (sizeof(struct catalog_column) + sizeof(struct slice)) + text));
    free(e->memory);
    e->memory = p;
    return (struct table_memory){
        .columns = (struct catalog_column *)(void *)p,
        .keys = (struct slice *)(void *)(p + n * sizeof(struct catalog_column)),
        .text = p + n * (sizeof(struct catalog_column) + sizeof(struct slice))};
}

static struct slice keep(struct table_memory *m, struct slice s)
{
    if (s.len) {
        memcpy(m->text, s.ptr, s.len);
    }
    struct slice copy = {s.ptr ? m->text : NULL, s.len};
    m->text += s.len;
    return copy;
}

static void take_column(struct catalog_table *t, struct table_memory *m, const struct pg_result *r,
                        size_t row)
{
    struct slice name = pg_value(r, row, COLUMN_NAME);
    if (slice_is_null(name)) {
        return; /* a table without columns has one row without a name */
    }
    struct catalog_column *column = &t->columns[t->columns_count++];
    *column = (struct catalog_column){.name = keep(m, name),
                                      .type = oid_value(r, row, COLUMN_TYPE),
                                      .typmod = (int32_t)pg_int(r, row, COLUMN_TYPMOD, -1),
                                      .not_null = pg_true(r, row, COLUMN_NOT_NULL),
                                      .default_text = keep(m, pg_value(r, row, COLUMN_DEFAULT))};
    int64_t place = pg_int(r, row, COLUMN_KEY, 0);
    if (place > 0) {
        t->key[place - 1] = column->name;
        t->key_count++;
    }
}

/* The rows from..to of the answer are one table. Replaces what was known of it. */
static void take_table(struct catalog *c, const struct pg_result *r, size_t from, size_t to)
{
    uint32_t oid = oid_value(r, from, TABLE_OID);
    struct table_entry *e = table_of(c, oid);
    struct table_memory m = allocate_table(e, r, from, to);
    e->known = e->fresh = true;
    e->table = (struct catalog_table){.oid = oid,
                                      .schema = keep(&m, pg_value(r, from, TABLE_SCHEMA)),
                                      .name = keep(&m, pg_value(r, from, TABLE_NAME)),
                                      .columns = m.columns,
                                      .key = m.keys,
                                      .rows = pg_int(r, from, TABLE_ROWS, -1)};
    for (size_t row = from; row < to; row++) {
        take_column(&e->table, &m, r, row);
    }
}

static void take_tables(struct catalog *c, const struct pg_result *r)
{
    for (size_t from = 0, to; from < pg_rows(r); from = to) {
        uint32_t oid = oid_value(r, from, TABLE_OID);
        for (to = from + 1; to < pg_rows(r) && oid_value(r, to, TABLE_OID) == oid; to++) {
        }
        take_table(c, r, from, to);
    }
}

/* --- asking for all --- */

int catalog_load(struct catalog *c, struct pg *sql, const char *publication, struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *tables = NULL, *types = NULL;
    CLEANUP(buf_release) struct buf wanted = {0}, statement = {0};
    published_tables(&statement, pg_server_version(sql), 1);
    buf_add_str(&statement, published_sql);
    if (pg_query(sql, buf_str(&statement), 1, &publication, &tables, err)) {
        return error_prefix(err, "the tables of publication %s cannot be looked up", publication);
    }
    take_tables(c, tables);
    for (size_t row = 0; row < pg_rows(tables); row++) {
        add_wanted_type(c, oid_value(tables, row, COLUMN_TYPE), &wanted);
    }
    if (wanted.len == 0) {
        return RESULT_DONE;
    }
    buf_add_char(&wanted, '}');
    if (pg_query(sql, schema_sql_types, 1, &(const char *){buf_str(&wanted)}, &types, err)) {
        return error_prefix(err, "the column types of publication %s cannot be looked up",
                            publication);
    }
    take_types(c, types);
    return RESULT_DONE;
}

/* --- asking for one --- */

bool catalog_has(const struct catalog *c, const struct pgoutput_message *relation)
{
    const struct table_entry *e = by_oid_find(&c->tables, relation->relation.oid);
    if (!e || !e->fresh) {
        return false;
    }
    for (size_t i = 0; i < relation->relation.columns_count; i++) {
        const struct type_entry *t = by_oid_find(&c->types, relation->relation.columns[i].type);
        if (!t || !t->asked) {
            return false;
        }
    }
    return true;
}

static int send_table(struct catalog *c, struct pg *sql, uint32_t oid, struct error *err)
{
    char text[16];
    snprintf(text, sizeof text, "%u", oid);
    pg_result_free(c->answer);
    c->answer = NULL;
    c->asking = ASKING_TABLE;
    return pg_send(sql, table_by_oid, 1, &(const char *){text}, false, err);
}

/* Lists the types that are not known yet: those of the Relation message, and those that the table's
 * columns have now. */
static void wanted_types(struct catalog *c, const struct pgoutput_message *relation,
                         struct buf *list)
{
    for (size_t i = 0; i < relation->relation.columns_count; i++) {
        add_wanted_type(c, relation->relation.columns[i].type, list);
    }
    const struct catalog_table *t = known_table(c, relation->relation.oid);
    for (size_t i = 0; t && i < t->columns_count; i++) {
        add_wanted_type(c, t->columns[i].type, list);
    }
}

/* Takes the answer about types. Types that it does not have count as unknown from now on. */
static void take_asked_types(struct catalog *c, const struct pgoutput_message *relation)
{
    if (c->answer) {
        take_types(c, c->answer);
    }
    for (size_t i = 0; i < relation->relation.columns_count; i++) {
        type_of(c, relation->relation.columns[i].type)->asked = true;
    }
}

/* The statement under way is complete: takes its answer and sends the next one. DONE: there is no
 * next one. */
static int ask_on(struct catalog *c, struct pg *sql, const struct pgoutput_message *relation,
                  struct error *err)
{
    if (c->asking == ASKING_TABLE) {
        if (c->answer) {
            take_tables(c, c->answer); /* of a dropped table, what was known before stays */
        }
        CLEANUP(buf_release) struct buf list = {0};
        wanted_types(c, relation, &list);
        if (list.len > 0) {
            buf_add_char(&list, '}');
            c->asking = ASKING_TYPES;
            int rc = pg_send(sql, schema_sql_types, 1, &(const char *){buf_str(&list)}, false, err);
            return rc ? rc : RESULT_AGAIN;
        }
    } else {
        take_asked_types(c, relation);
    }
    c->asking = ASKING_NOTHING;
    table_of(c, relation->relation.oid)->fresh = true;
    return RESULT_DONE;
}

int catalog_ask(struct catalog *c, struct pg *sql, const struct pgoutput_message *relation,
                struct error *err)
{
    int rc = RESULT_AGAIN;
    if (!pg_busy(sql)) {
        /* The first call; or a new connection, after the one with the earlier query was lost. */
        rc = send_table(c, sql, relation->relation.oid, err) ? RESULT_ERROR : RESULT_AGAIN;
    }
    while (rc == RESULT_AGAIN) {
        struct pg_result *r = NULL;
        int taken = pg_take(sql, &r, err);
        if (taken) {
            rc = taken;
            break;
        }
        if (r) {
            pg_result_free(c->answer);
            c->answer = r;
            continue;
        }
        rc = ask_on(c, sql, relation, err);
        pg_result_free(c->answer);
        c->answer = NULL;
    }
    return rc < 0 ? error_prefix(err, "table %.*s.%.*s cannot be looked up",
                                 SLICE_FMT(relation->relation.schema),
                                 SLICE_FMT(relation->relation.name))
                  : rc;
}
