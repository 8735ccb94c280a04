/* Makes an event of a row that was inserted into the outbox table. It is byte for byte the event
 * that a polling source makes of the same row, so that a pipeline can change from one to the other.
 */
#include "cdc/intake/intake.h"

#include "base/memory.h"
#include "message/encode.h"
#include "value/pg_bytea.h"
#include <stdio.h>
#include <stdlib.h>

enum outbox_column {
    OUTBOX_ID,
    OUTBOX_AGGREGATETYPE,
    OUTBOX_AGGREGATEID,
    OUTBOX_TYPE,
    OUTBOX_PAYLOAD,
    OUTBOX_HEADERS,
    OUTBOX_CREATED_AT,
    OUTBOX_COLUMNS
};

static const char *const keys[OUTBOX_COLUMNS] = {"id",      "aggregatetype", "aggregateid", "type",
                                                 "payload", "headers",       "created_at"};

/* Kinds of column types whose events look different. */
enum outbox_kind { KIND_MISSING, KIND_JSON, KIND_BYTES, KIND_TIME, KIND_LOCAL_TIME, KIND_TEXT };
static const char *const kind_names[] = {
    "missing", "json", "bytea", "a timestamp", "a timestamp without time zone", "text"};

struct outbox_types {
    enum outbox_kind kind[OUTBOX_COLUMNS];
};

struct outbox_map {
    int32_t column[OUTBOX_COLUMNS]; /* -1: the table has none */
    enum payload_kind payload_kind;
    int32_t *further;
    const struct change_column *columns; /* of the table */
    char wrong[512];                     /* why no event can be made of a row; "": all is well */
};

static enum outbox_kind kind_of(const struct column_type *type)
{
    static const struct {
        const char *name;
        enum outbox_kind kind;
    } known[] = {{"json", KIND_JSON},
                 {"jsonb", KIND_JSON},
                 {"bytea", KIND_BYTES},
                 {"timestamp", KIND_LOCAL_TIME},
                 {"timestamptz", KIND_TIME}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (slice_equal_str(type->base_name, known[i].name)) {
            return known[i].kind;
        }
    }
    return KIND_TEXT;
}

static int32_t find(const struct change_table *table, const char *name)
{
    for (size_t i = 0; i < table->columns_count; i++) {
        if (slice_equal_str(table->columns[i].name, name)) {
            return (int32_t)i;
        }
    }
    return -1;
}

static void set_wrong(struct outbox_map *m, const struct change_table *table, const char *column,
                      const char *why)
{
    snprintf(m->wrong, sizeof m->wrong, "table %.*s.%.*s, column \"%s\": %s",
             SLICE_FMT(table->schema), SLICE_FMT(table->name), column, why);
}

/* Compares the kinds of the columns with those that this process saw first. After an ALTER TABLE
 * events could suddenly look different (a payload as text instead of JSON); that is refused until
 * somebody restarts the relay. */
static void judge_kinds(struct intake *in, struct outbox_map *m, const struct change_table *table,
                        const char *const *names, const struct outbox_types *now)
{
    for (size_t i = 0; i < OUTBOX_COLUMNS; i++) {
        enum outbox_kind before = in->outbox_types->kind[i];
        if (now->kind[i] != before && before != KIND_MISSING && now->kind[i] != KIND_MISSING) {
            char why[200];
            snprintf(
                why, sizeof why,
                "it was %s and is %s now, so events would look different (source.columns.%s); restart the relay to accept that, or change the type back",
                kind_names[before], kind_names[now->kind[i]], keys[i]);
            set_wrong(m, table, names[i], why);
        }
    }
}

static void map_columns(struct intake *in, struct outbox_map *m, const struct change_table *table)
{
    const struct cdc_conf *c = in->conf;
    const char *const names[OUTBOX_COLUMNS] = {
        c->columns.id,      c->columns.aggregatetype, c->columns.aggregateid, c->columns.type,
        c->columns.payload, c->columns.headers,       c->columns.created_at};
    struct outbox_types now = {0};
    for (size_t i = 0; i < OUTBOX_COLUMNS; i++) {
        bool optional = (i == OUTBOX_HEADERS && !c->columns.headers_given) ||
                        (i == OUTBOX_CREATED_AT && !c->columns.created_at_given);
        m->column[i] = find(table, names[i]);
        if (m->column[i] >= 0) {
            now.kind[i] = kind_of(table->columns[m->column[i]].type);
        } else if (!optional) {
            char why[200];
            snprintf(
                why, sizeof why,
                "not in the table (or not published): map the right one with source.columns.%s, or add it again",
                keys[i]);
            set_wrong(m, table, names[i], why);
        }
    }
    if (!in->outbox_types && !m->wrong[0]) {
        in->outbox_types = malloc(sizeof now);
        if (in->outbox_types) {
            *in->outbox_types = now;
        }
    }
    if (in->outbox_types && !m->wrong[0]) {
        judge_kinds(in, m, table, names, &now);
    }
    m->payload_kind = now.kind[OUTBOX_PAYLOAD] == KIND_JSON    ? PAYLOAD_JSON
                      : now.kind[OUTBOX_PAYLOAD] == KIND_BYTES ? PAYLOAD_BYTES
                                                               : PAYLOAD_TEXT;
}

struct outbox_map *outbox_map_new(struct intake *in, const struct change_table *table)
{
    struct outbox_map *m = memory_need(calloc(1, sizeof *m));
    int32_t *further = memory_need(calloc(in->env->columns_count + 1, sizeof *further));
    m->further = further;
    m->columns = table->columns;
    map_columns(in, m, table);
    for (size_t i = 0; i < in->env->columns_count; i++) {
        further[i] = find(table, in->env->columns[i]);
        if (further[i] >= 0 && source_gives_json(in->env, i) && !m->wrong[0] &&
            !encode_column_known(&table->columns[further[i]])) {
            set_wrong(m, table, in->env->columns[i],
                      "Debezium does not know its type, so encode.envelope cannot show it; take it "
                      "out there");
        }
        if (further[i] < 0 && !m->wrong[0]) {
            set_wrong(
                m, table, in->env->columns[i],
                "route or encode names it, and it is not in the table (or not published): correct route.topic, route.key, route.partition, encode.headers or encode.envelope");
        }
    }
    return m;
}

void outbox_map_free(struct outbox_map *map)
{
    if (map) {
        free(map->further);
        free(map);
    }
}

static struct slice value(const struct cell *cells, int32_t column)
{
    return column >= 0 && cells[column].kind == CELL_TEXT ? cells[column].text : SLICE_NULL;
}

static void take_payload(struct event *e, const struct outbox_map *map, const struct cell *cells,
                         struct arena *arena)
{
    struct slice text = value(cells, map->column[OUTBOX_PAYLOAD]);
    e->payload_kind = map->payload_kind;
    e->payload = text;
    if (map->payload_kind != PAYLOAD_BYTES || slice_is_null(text)) {
        return;
    }
    char *bytes = arena_bytes(arena, text.len / 2 + 1);
    if (pg_bytea_parse(text, bytes)) {
        e->payload = (struct slice){bytes, text.len / 2 - 1};
    } else {
        e->poison = "the bytea payload did not come in hex form";
    }
}

/* The value of a column as JSON. One that has none makes the event poison. */
static struct slice json_of(struct intake *in, struct event *e, const struct outbox_map *map,
                            const struct cell *cells, int32_t column, struct arena *arena)
{
    CLEANUP(buf_release) struct buf text = {0};
    struct error err;
    if (column < 0) {
        return SLICE_NULL;
    }
    if (encode_column_value(in->env->encode, &map->columns[column], &cells[column], &text, &err)) {
        e->poison = arena_copy(arena, slice_from(err.text)).ptr;
        return SLICE_NULL;
    }
    return arena_copy(arena, buf_slice(&text));
}

static void take_further(struct intake *in, struct event *e, const struct outbox_map *map,
                         const struct cell *cells, struct arena *arena)
{
    if (in->env->columns_count == 0) {
        return;
    }
    struct slice *columns = arena_array(arena, in->env->columns_count, sizeof *columns);
    for (size_t i = 0; i < in->env->columns_count; i++) {
        columns[i] = source_gives_json(in->env, i)
                         ? json_of(in, e, map, cells, map->further[i], arena)
                         : value(cells, map->further[i]);
    }
    e->columns = columns;
}

int intake_outbox_row(struct intake *in, const struct outbox_map *map, const struct cell *cells,
                      size_t bytes, struct batch *batch, struct event **ret, struct error *err)
{
    if (map->wrong[0]) {
        return error_set(err, ERROR_CONFIG, "cdc", "%s; the position does not move meanwhile",
                         map->wrong);
    }
    struct event *e = batch_add(batch);
    const int32_t *column = map->column;
    e->id = value(cells, column[OUTBOX_ID]);
    e->aggregatetype = value(cells, column[OUTBOX_AGGREGATETYPE]);
    e->aggregateid = value(cells, column[OUTBOX_AGGREGATEID]);
    e->type = value(cells, column[OUTBOX_TYPE]);
    take_payload(e, map, cells, &batch->arena);
    e->headers = event_headers(value(cells, column[OUTBOX_HEADERS]));
    e->created_at = value(cells, column[OUTBOX_CREATED_AT]);
    take_further(in, e, map, cells, &batch->arena);
    if (!slice_is_null(e->created_at) && !clock_parse_timestamp(e->created_at, &e->created_at_us)) {
        e->created_at_us = TIME_NONE;
    }
    if (e->id.len == 0) {
        e->id = SLICE_NULL; /* intake_place makes one of the place in the stream */
        e->poison = "the id column is null or empty; consumers could not recognise a repetition";
    }
    e->bytes = bytes;
    batch->bytes += bytes;
    *ret = e;
    return RESULT_DONE;
}
