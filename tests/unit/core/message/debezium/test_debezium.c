/*
 * What Debezium Server sent for the scripts of tests/golden/debezium, byte for byte, but for the
 * differences that stand in differences.jsonl, each of which must be one.
 */
#include "formats.h"
#include "golden_schemas.h"

#include "message/encode.h"
#include "message/schema/avro.h"
#include "message/schema/connect.h"

enum { TYPES_MAX = 1000, TABLES_MAX = 100, COLUMNS_MAX = 100 };

/* The same sets as in tests/support/debezium.py. */
static const struct {
    const char *name;
    struct encode_conf conf;
} sets[] = {
    {"default", {.name = "gold"}},
    {"mixed",
     {.decimal = DECIMAL_DOUBLE,
      .time = TIME_ADAPTIVE_MICROSECONDS,
      .binary = BINARY_BASE64,
      .interval = INTERVAL_STRING,
      .hstore = HSTORE_MAP,
      .unavailable_placeholder = "gone"}},
    {"text", {.decimal = DECIMAL_STRING, .time = TIME_CONNECT, .binary = BINARY_BASE64_URL_SAFE}},
    {"hex", {.binary = BINARY_HEX, .hstore = HSTORE_MAP}},
    {"isostring", {.time = TIME_ISOSTRING}},
    {"microseconds", {.time = TIME_MICROSECONDS}},
    {"nanoseconds", {.time = TIME_NANOSECONDS}},
    {"snapshot", {.name = "gold"}},
};
enum { SETS = sizeof sets / sizeof *sets };

struct table {
    struct change_table table;
    struct change_column columns[COLUMNS_MAX];
    uint16_t key[COLUMNS_MAX];
    json_t *schemas; /* what Debezium sent, by set */
};

struct golden {
    const char *file;
    json_t *lines; /* owns every text below */
    json_t *differences, *schemas;
    struct column_type types[TYPES_MAX];
    size_t types_count;
    struct table *tables[TABLES_MAX];
    size_t tables_count, compared, differing, written;
    struct buf key, value, before;
};

static uint64_t number_at(json_t *o, const char *name)
{
    return (uint64_t)json_integer_value(json_object_get(o, name));
}

static const struct column_type *type_by_oid(const struct golden *g, uint64_t oid)
{
    for (size_t i = 0; i < g->types_count; i++) {
        if (g->types[i].oid == oid) {
            return &g->types[i];
        }
    }
    return NULL;
}

static enum type_kind kind_of(struct slice name)
{
    static const char *const names[] = {[TYPE_BASE] = "base",
                                        [TYPE_ENUM] = "enum",
                                        [TYPE_COMPOSITE] = "composite",
                                        [TYPE_RANGE] = "range",
                                        [TYPE_MULTIRANGE] = "multirange",
                                        [TYPE_ARRAY] = "array"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (slice_equal_str(name, names[i])) {
            return (enum type_kind)i;
        }
    }
    return TYPE_UNKNOWN;
}

static void add_type(struct golden *g, json_t *t)
{
    uint64_t element = number_at(t, "element");
    assert_true(g->types_count < TYPES_MAX);
    g->types[g->types_count++] = (struct column_type){
        .oid = (uint32_t)number_at(t, "oid"),
        .base_oid = (uint32_t)number_at(t, "base_oid"),
        .base_typmod = (int32_t)number_at(t, "base_typmod"),
        .kind = kind_of(text_at(t, "kind")),
        .schema = text_at(t, "schema"),
        .name = text_at(t, "name"),
        .base_name = text_at(t, "base_name"),
        .element = element ? type_by_oid(g, element) : NULL,
        .delimiter = text_at(t, "delimiter").ptr[0],
        .labels = text_at(t, "labels"),
    };
}

static void add_table(struct golden *g, json_t *t)
{
    json_t *columns = json_object_get(t, "columns"), *key = json_object_get(t, "key");
    struct table *n = calloc(1, sizeof *n);
    assert_true(n && g->tables_count < TABLES_MAX && json_array_size(columns) <= COLUMNS_MAX);
    for (size_t i = 0; i < json_array_size(columns); i++) {
        json_t *c = json_array_get(columns, i);
        n->columns[i] = (struct change_column){
            .name = text_at(c, "name"),
            .typmod = (int32_t)number_at(c, "typmod"),
            .identity = json_is_true(json_object_get(c, "identity")),
            .not_null = json_is_true(json_object_get(c, "not_null")),
            .type = type_by_oid(g, number_at(c, "type")),
            .default_text = text_at(c, "default"),
        };
        assert_non_null(n->columns[i].type);
    }
    for (size_t i = 0; i < json_array_size(key); i++) {
        n->key[i] = (uint16_t)json_integer_value(json_array_get(key, i));
    }
    n->table = (struct change_table){
        .oid = (uint32_t)number_at(t, "oid"),
        .schema = text_at(t, "schema"),
        .name = text_at(t, "name"),
        .identity = (enum replica_identity)text_at(t, "identity").ptr[0],
        .columns = n->columns,
        .columns_count = json_array_size(columns),
        .key = n->key,
        .key_count = json_array_size(key),
    };
    n->schemas = json_object_get(t, "schemas");
    g->tables[g->tables_count++] = n;
}

/* The latest description of a table is the one that holds. */
static const struct change_table *table_by_oid(const struct golden *g, uint64_t oid)
{
    for (size_t i = g->tables_count; i-- > 0;) {
        if (g->tables[i]->table.oid == oid) {
            return &g->tables[i]->table;
        }
    }
    return NULL;
}

/* A text, null, 0 for an unchanged TOAST value, false for what is not in the tuple. */
static const struct cell *cells_of(json_t *a, struct cell *out)
{
    for (size_t i = 0; i < json_array_size(a); i++) {
        json_t *v = json_array_get(a, i);
        out[i] = (struct cell){json_is_string(v)    ? CELL_TEXT
                               : json_is_null(v)    ? CELL_NULL
                               : json_is_integer(v) ? CELL_UNCHANGED
                                                    : CELL_ABSENT,
                               text_of(v)};
    }
    return json_is_array(a) ? out : NULL;
}

static enum snapshot_mark mark_of(struct slice name)
{
    static const char *const names[] = {
        "false", "first", "first_in_data_collection", "true", "last_in_data_collection", "last"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (slice_equal_str(name, names[i])) {
            return (enum snapshot_mark)i;
        }
    }
    return SNAPSHOT_NO;
}

static void unhex(struct slice hex, struct buf *out)
{
    for (size_t i = 0; i + 1 < hex.len; i += 2) {
        char two[3] = {hex.ptr[i], hex.ptr[i + 1], 0};
        buf_add_char(out, (char)strtol(two, NULL, 16));
    }
}

/* ours: the golden files name the version so that they outlive it. */
static void with_version(struct slice text, struct buf *out)
{
    static const char mark[] = "\"version\":\"VERSION\"";
    const char *at = memmem(text.ptr, text.len, mark, sizeof mark - 1);
    buf_clear(out);
    if (!at) {
        buf_add_slice(out, text);
        return;
    }
    buf_add(out, text.ptr, (size_t)(at - text.ptr));
    buf_add_str(out, "\"version\":\"" COMMITRELAY_VERSION "\"");
    at += sizeof mark - 1;
    buf_add(out, at, (size_t)(text.ptr + text.len - at));
}

static json_t *difference(const struct golden *g, size_t n, const char *set)
{
    size_t i;
    json_t *d;
    json_array_foreach(g->differences, i, d)
    {
        if (slice_equal_str(text_at(d, "file"), g->file) && json_object_get(d, "n") &&
            number_at(d, "n") == n && slice_equal_str(text_at(d, "set"), set)) {
            return d;
        }
    }
    return NULL;
}

/* A null text in `want` stands for no bytes at all. */
static bool same(struct golden *g, json_t *want, const char *name, const struct buf *got,
                 bool prefix)
{
    struct slice text = text_at(want, name), have = buf_slice(got);
    if (slice_is_null(text)) {
        return got->len == 0;
    }
    with_version(text, &g->before);
    if (prefix && have.len > g->before.len) {
        have.len = g->before.len;
    }
    return slice_equal(have, buf_slice(&g->before));
}

static bool all_same(struct golden *g, json_t *want)
{
    bool row = json_object_get(want, "row") != NULL;
    return json_is_object(want) && same(g, want, "key", &g->key, false) &&
           same(g, want, row ? "row" : "value", &g->value, row);
}

static void say_difference(const struct golden *g, size_t n, const char *set)
{
    json_t *d = json_pack("{s:s, s:I, s:s, s:s#, s:s#}", "file", g->file, "n", (json_int_t)n, "set",
                          set, "key", buf_str(&g->key), (int)g->key.len, "value",
                          buf_str(&g->value), (int)g->value.len);
    char *line = json_dumps(d, JSON_COMPACT);
    fprintf(stderr, "difference: %s\n", line);
    free(line);
    json_decref(d);
}

static void check_header(struct golden *g, const struct encode_conf *conf, const struct change *c,
                         json_t *want)
{
    struct error err;
    struct buf key = {0};
    json_t *headers = json_object_get(want, "headers");
    const char *name = c->op == CHANGE_CREATE ? "__debezium.oldkey" : "__debezium.newkey";
    if (json_is_object(headers)) {
        assert_non_null(c->other_key);
        assert_int_equal(format_debezium.change_key(conf, c, c->other_key, &key, &err),
                         RESULT_DONE);
        assert_true(same(g, headers, name, &key, false));
    } else if (c->other_key && text_at(want, "key").ptr) {
        fail_msg("%s: Debezium has no header for a key change", g->file);
    }
    buf_release(&key);
}

/* What no schema of Debezium can hold; docs/DEBEZIUM.md says so. */
static bool is_known_limit(const char *why)
{
    static const char *const limits[] = {
        "Avro allows no field named",       /* a column's name */
        "it is null, and the schema wants", /* no placeholder for an unchanged value */
        "an element: its value is not",     /* an array of more than one dimension */
    };
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        if (strstr(why, limits[i])) {
            return true;
        }
    }
    return false;
}

/* The schema of a column and its value are made in different files: each value that Debezium sent
 * has to fit the schema that it is registered with. */
static void fits(struct golden *g, const char *set, const struct connect_schema *schema,
                 const struct buf *json)
{
    struct buf text = {0}, out = {0};
    struct avro_schema *avro = NULL;
    struct error err = {0};
    if (json->len == 0) {
        return;
    }
    int rc = connect_avro(&text, schema, &err);
    if (rc == RESULT_DONE && avro_schema_new(buf_slice(&text), &avro, &err)) {
        fail_msg("%s: %s", buf_str(&text), err.text);
    }
    rc = rc ? rc : avro_encode(avro, buf_slice(json), &out, &err);
    if (rc && !is_known_limit(err.text)) {
        fail_msg("%s, %s: %s\n%s\n%s", g->file, set, err.text, buf_str(json), buf_str(&text));
    }
    g->written += rc == RESULT_DONE;
    avro_schema_free(avro);
    buf_release(&text);
    buf_release(&out);
}

static json_t *schema_difference(const struct golden *g, struct slice table, const char *set)
{
    size_t i;
    json_t *d;
    json_array_foreach(g->differences, i, d)
    {
        if (json_object_get(d, "table") && slice_equal_str(text_at(d, "file"), g->file) &&
            slice_equal(text_at(d, "table"), table) && slice_equal_str(text_at(d, "set"), set)) {
            return d;
        }
    }
    return NULL;
}

/* `name`: which of the schemas of the table, or of logical messages. */
static void compare_text(struct golden *g, const struct change *c, const char *set,
                         const struct encode_conf *conf, json_t *all, const char *name,
                         const struct connect_schema *schema)
{
    struct slice table = c->table ? c->table->name : SLICE_LITERAL(""), text = text_at(all, name);
    json_t *ours = schema_difference(g, table, set);
    struct buf have = {0}, want = {0};
    if (slice_is_null(text)) {
        return; /* the table has no key */
    }
    printed(&have, schema);
    mend_elements(&want, text, conf->time == TIME_CONNECT);
    bool same = slice_equal(buf_slice(&have), buf_slice(&want));
    if (ours && text_at(ours, name).ptr) {
        if (same) {
            fail_msg("%s, %.*s, %s: no difference any more", g->file, SLICE_FMT(table), set);
        }
        same = slice_equal(buf_slice(&have), text_at(ours, name));
    }
    if (!same) {
        json_t *d = json_pack("{s:s, s:s#, s:s, s:s}", "file", g->file, "table", table.ptr,
                              (int)table.len, "set", set, name, buf_str(&have));
        char *line = json_dumps(d, JSON_COMPACT);
        fprintf(stderr, "difference: %s\nwanted: %s\n", line, buf_str(&want));
        free(line);
        json_decref(d);
        g->differing++;
    }
    buf_release(&have);
    buf_release(&want);
}

static void compare_schemas(struct golden *g, const char *set, const struct change *c,
                            const struct encode_conf *conf, const struct connect_schema *key,
                            const struct connect_schema *value)
{
    struct table *t = (struct table *)(uintptr_t)c->table;
    json_t *want = schemas_of_set(t ? t->schemas : json_object_get(g->schemas, "message"), set);
    bool is_newer = strcmp(set, "isostring") == 0 || strstr(set, "seconds");
    if (!want) {
        return;
    }
    compare_text(g, c, set, conf, want, "key", key);
    if (!t) {
        compare_text(g, c, set, conf, want, "value", value);
        return;
    }
    compare_text(g, c, set, conf, want, "row", value->fields[0].schema);
    if (!is_newer) {
        same_envelope(value, text_at(g->schemas, "envelope"));
    }
}

static void check_schemas(struct golden *g, const char *set, const struct encode_conf *conf,
                          const struct change *c)
{
    struct arena arena = {0};
    const struct connect_schema *key, *value;
    format_debezium.schemas(conf, c->table, &arena, &key, &value);
    compare_schemas(g, set, c, conf, key, value);
    fits(g, set, key, &g->key);
    fits(g, set, value, &g->value);
    arena_release(&arena);
}

static void compare(struct golden *g, size_t n, size_t set, const struct change *c, json_t *expect)
{
    struct error err = {0};
    struct encode_conf conf = sets[set].conf;
    const char *name = sets[set].name;
    json_t *want = json_object_get(expect, name), *ours = difference(g, n, name);
    want = want ? want : json_object_get(expect, "default");
    conf.name = "gold";
    conf.unavailable_placeholder = conf.unavailable_placeholder ? conf.unavailable_placeholder
                                                                : "__debezium_unavailable_value";
    buf_clear(&g->key);
    buf_clear(&g->value);
    int rc = format_debezium.change_key(&conf, c, c->after ? c->after : c->before, &g->key, &err);
    if (rc == RESULT_DONE && c->op != CHANGE_TOMBSTONE) {
        rc = format_debezium.change_value(&conf, c, &g->value, &err);
    }
    if (rc != RESULT_DONE) {
        fail_msg("%s, change %zu, %s: %s", g->file, n, name, err.text);
    }
    g->compared++;
    check_schemas(g, name, &conf, c);
    if (ours) {
        if (all_same(g, want)) {
            fail_msg("%s, change %zu, %s: no difference any more", g->file, n, name);
        }
        want = ours;
    }
    if (!all_same(g, want)) {
        say_difference(g, n, name);
        g->differing++;
    } else if (!ours) {
        check_header(g, &conf, c, want);
    }
}

/* Rows of the snapshot are only in the set that has one. */
static void compare_sets(struct golden *g, size_t n, json_t *names, const struct change *c,
                         json_t *expect)
{
    for (size_t i = 0; i < json_array_size(names); i++) {
        for (size_t set = 0; set < SETS; set++) {
            bool is_snapshot = strcmp(sets[set].name, "snapshot") == 0;
            if (slice_equal_str(text_of(json_array_get(names, i)), sets[set].name) &&
                (is_snapshot || c->op != CHANGE_READ)) {
                compare(g, n, set, c, expect);
            }
        }
    }
}

static void try_change(struct golden *g, size_t n, json_t *names, json_t *line)
{
    json_t *j = json_object_get(line, "change");
    struct cell before[COLUMNS_MAX], after[COLUMNS_MAX], other[COLUMNS_MAX];
    struct buf content = {0};
    char database[64];
    snprintf(database, sizeof database, "g_%s", g->file);
    unhex(text_at(j, "content"), &content);
    struct change c = {
        .op = (enum change_op)text_at(j, "op").ptr[0],
        .table = table_by_oid(g, number_at(j, "table")),
        .before = cells_of(json_object_get(j, "before"), before),
        .after = cells_of(json_object_get(j, "after"), after),
        .other_key = cells_of(json_object_get(j, "other"), other),
        .database = slice_from(database),
        .lsn = number_at(j, "lsn"),
        .commit_lsn = number_at(j, "commit_lsn"),
        .last_commit_lsn = number_at(j, "last"),
        .xid = (uint32_t)number_at(j, "xid"),
        .commit_us = (int64_t)number_at(j, "commit_us"),
        .snapshot = mark_of(text_at(j, "snapshot")),
        .prefix = text_at(j, "prefix"),
        .content = buf_slice(&content),
        .transactional = true,
        .cascade = json_is_true(json_object_get(j, "cascade")),
        .restart_identity = json_is_true(json_object_get(j, "restart_identity")),
    };
    compare_sets(g, n, names, &c, json_object_get(line, "expect"));
    buf_release(&content);
}

static void golden_release(struct golden *g)
{
    for (size_t i = 0; i < g->tables_count; i++) {
        free(g->tables[i]);
    }
    buf_release(&g->key);
    buf_release(&g->value);
    buf_release(&g->before);
    json_decref(g->lines);
    json_decref(g->differences);
}

static void try_file(const char *file)
{
    struct golden g = {
        .file = file, .lines = load_lines(file), .differences = load_lines("differences")};
    json_t *names = json_object_get(json_array_get(g.lines, 0), "sets"), *line;
    size_t i, n = 0;
    g.schemas = json_object_get(json_array_get(g.lines, 0), "schemas");
    json_array_foreach(g.lines, i, line)
    {
        json_t *type = json_object_get(line, "type"), *table = json_object_get(line, "table");
        if (type) {
            add_type(&g, type);
        } else if (table) {
            add_table(&g, table);
        } else if (json_object_get(line, "change")) {
            try_change(&g, n++, names, line);
        }
    }
    size_t compared = g.compared, differing = g.differing, written = g.written;
    golden_release(&g);
    assert_true(compared > 0 && written > compared / 2);
    assert_int_equal(differing, 0);
}

static void types(void **state UNUSED)
{
    try_file("types");
}

static void values_at_the_edge(void **state UNUSED)
{
    try_file("risky");
}

static void changes(void **state UNUSED)
{
    try_file("changes");
}

static void snapshot(void **state UNUSED)
{
    try_file("snapshot");
}

static void every_type_in_every_change(void **state UNUSED)
{
    try_file("matrix");
}

static void newer_time_modes(void **state UNUSED)
{
    try_file("times");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types),
        cmocka_unit_test(values_at_the_edge),
        cmocka_unit_test(changes),
        cmocka_unit_test(snapshot),
        cmocka_unit_test(newer_time_modes),
        cmocka_unit_test(every_type_in_every_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
