/* The schemas that Debezium 3.0.8 gives keys and values: which type of Kafka Connect a column has
 * (Debezium's own ones are io.debezium.time.Date and the like), its default, and the envelope
 * around the row. The values themselves are made in the other files of this folder; a type here
 * and a value there have to fit each other. */
#include "message/debezium/debezium.h"

#include "message/internal.h"
#include "message/schema/connect.h"

/* Versions of schemas: of Debezium's types, and of its envelope since ts_us and ts_ns are in it. */
enum { TYPE_VERSION = 1, ENVELOPE_VERSION = 2 };

/* What the driver takes for the length of a bit string without one. */
#define NO_LENGTH "2147483647"

enum { ROW_EXTRA = 7 }; /* our own members of a flat row */

struct maker {
    const struct encode_conf *conf;
    struct arena *arena;
};

/* A type with a name of Debezium, or a plain one (name NULL). */
static struct connect_schema typed(enum connect_kind kind, const char *name)
{
    return (struct connect_schema){
        .kind = kind, .name = slice_from(name), .version = name ? TYPE_VERSION : 0};
}

static const struct connect_schema *keep(struct maker *m, struct connect_schema s, bool optional)
{
    struct connect_schema *kept = arena_array(m->arena, 1, sizeof *kept);
    *kept = s;
    kept->optional = optional;
    return kept;
}

static void add_parameter(struct connect_schema *s, const char *name, struct slice value)
{
    s->parameters[s->parameters_count++] = (struct connect_parameter){name, value};
}

static struct slice number(struct maker *m, unsigned n)
{
    CLEANUP(buf_release) struct buf text = {0};
    buf_add_u64(&text, n);
    return arena_copy(m->arena, buf_slice(&text));
}

/* --- structs --- */

struct fields {
    struct connect_field *items;
    size_t count;
};

static struct fields fields_new(struct maker *m, size_t most)
{
    return (struct fields){.items = arena_array(m->arena, most + 1, sizeof(struct connect_field))};
}

static void add_field(struct fields *f, struct slice name, const struct connect_schema *schema)
{
    f->items[f->count++] = (struct connect_field){name, schema};
}

/* A field of a plain type. */
static void add_plain(struct maker *m, struct fields *f, const char *name, enum connect_kind kind,
                      bool optional)
{
    add_field(f, slice_from(name), keep(m, typed(kind, NULL), optional));
}

static struct connect_schema struct_of(struct slice name, int version, const struct fields *f)
{
    return (struct connect_schema){.kind = CONNECT_STRUCT,
                                   .name = name,
                                   .version = version,
                                   .fields = f->items,
                                   .fields_count = f->count};
}

/* --- types --- */

static struct connect_schema variable_decimal(struct maker *m)
{
    struct fields f = fields_new(m, 2);
    add_plain(m, &f, "scale", CONNECT_INT32, false);
    add_plain(m, &f, "value", CONNECT_BYTES, false);
    struct connect_schema s =
        struct_of(SLICE_LITERAL("io.debezium.data.VariableScaleDecimal"), TYPE_VERSION, &f);
    s.doc = "Variable scaled decimal";
    return s;
}

static struct connect_schema decimal(struct maker *m, unsigned scale, const unsigned *precision)
{
    struct connect_schema s = typed(CONNECT_BYTES, CONNECT_DECIMAL);
    add_parameter(&s, "scale", number(m, scale));
    if (precision) {
        add_parameter(&s, "connect.decimal.precision", number(m, *precision));
    }
    return s;
}

static struct connect_schema numeric(struct maker *m, const struct dbz_type *t)
{
    unsigned precision, scale;
    if (m->conf->decimal != DECIMAL_PRECISE) {
        return typed(m->conf->decimal == DECIMAL_DOUBLE ? CONNECT_FLOAT64 : CONNECT_STRING, NULL);
    }
    if (t->kind == DBZ_MONEY) {
        return decimal(m, 2, NULL);
    }
    return dbz_numeric_size(t->typmod, &precision, &scale) ? decimal(m, scale, &precision)
                                                           : variable_decimal(m);
}

static struct connect_schema point(struct maker *m)
{
    struct fields f = fields_new(m, 4);
    add_plain(m, &f, "x", CONNECT_FLOAT64, false);
    add_plain(m, &f, "y", CONNECT_FLOAT64, false);
    add_plain(m, &f, "wkb", CONNECT_BYTES, true);
    add_plain(m, &f, "srid", CONNECT_INT32, true);
    struct connect_schema s =
        struct_of(SLICE_LITERAL("io.debezium.data.geometry.Point"), TYPE_VERSION, &f);
    s.doc = "Geometry (POINT)";
    return s;
}

static struct connect_schema bits(struct maker *m, const struct dbz_type *t)
{
    if (t->typmod == 1) {
        return typed(CONNECT_BOOLEAN, NULL);
    }
    struct connect_schema s = typed(CONNECT_BYTES, "io.debezium.data.Bits");
    add_parameter(&s, "length",
                  t->typmod > 0 ? number(m, (unsigned)t->typmod) : SLICE_LITERAL(NO_LENGTH));
    return s;
}

static struct connect_schema date(const struct encode_conf *c)
{
    switch (c->time) {
    case TIME_CONNECT:
        return typed(CONNECT_INT32, "org.apache.kafka.connect.data.Date");
    case TIME_ISOSTRING:
        return typed(CONNECT_STRING, "io.debezium.time.IsoDate");
    default:
        return typed(CONNECT_INT32, "io.debezium.time.Date");
    }
}

static struct connect_schema time_of_day(const struct encode_conf *c, const struct dbz_type *t)
{
    switch (c->time) {
    case TIME_CONNECT:
        return typed(CONNECT_INT32, "org.apache.kafka.connect.data.Time");
    case TIME_ISOSTRING:
        return typed(CONNECT_STRING, "io.debezium.time.IsoTime");
    case TIME_NANOSECONDS:
        return typed(CONNECT_INT64, "io.debezium.time.NanoTime");
    default:
        return dbz_in_millis(c, t) ? typed(CONNECT_INT32, "io.debezium.time.Time")
                                   : typed(CONNECT_INT64, "io.debezium.time.MicroTime");
    }
}

static struct connect_schema timestamp(const struct encode_conf *c, const struct dbz_type *t)
{
    switch (c->time) {
    case TIME_CONNECT:
        return typed(CONNECT_INT64, "org.apache.kafka.connect.data.Timestamp");
    case TIME_ISOSTRING:
        return typed(CONNECT_STRING, "io.debezium.time.IsoTimestamp");
    case TIME_NANOSECONDS:
        return typed(CONNECT_INT64, "io.debezium.time.NanoTimestamp");
    default:
        return typed(CONNECT_INT64, dbz_in_millis(c, t) ? "io.debezium.time.Timestamp"
                                                        : "io.debezium.time.MicroTimestamp");
    }
}

static struct connect_schema integer(const struct dbz_type *t)
{
    struct slice name = t->type->base_name;
    return typed(slice_equal_str(name, "int2")   ? CONNECT_INT16
                 : slice_equal_str(name, "int4") ? CONNECT_INT32
                                                 : CONNECT_INT64,
                 NULL);
}

/* Types that are text have a name where Debezium gives them one. */
static struct connect_schema text(const struct dbz_type *t)
{
    static const char *const names[][2] = {{"json", "io.debezium.data.Json"},
                                           {"jsonb", "io.debezium.data.Json"},
                                           {"uuid", "io.debezium.data.Uuid"},
                                           {"xml", "io.debezium.data.Xml"},
                                           {"ltree", "io.debezium.data.Ltree"}};
    if (t->type->kind == TYPE_ENUM) {
        struct connect_schema s = typed(CONNECT_STRING, "io.debezium.data.Enum");
        struct slice labels = t->type->labels;
        add_parameter(&s, "allowed", slice_is_null(labels) ? SLICE_LITERAL("") : labels);
        return s;
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (slice_equal_str(t->type->base_name, names[i][0])) {
            return typed(CONNECT_STRING, names[i][1]);
        }
    }
    return typed(CONNECT_STRING, NULL);
}

static struct connect_schema hstore(struct maker *m)
{
    if (m->conf->hstore == HSTORE_JSON) {
        return typed(CONNECT_STRING, "io.debezium.data.Json");
    }
    return (struct connect_schema){.kind = CONNECT_MAP,
                                   .of = keep(m, typed(CONNECT_STRING, NULL), true)};
}

static struct connect_schema describe(struct maker *m, const struct dbz_type *t);

/* Elements may be null. */
static struct connect_schema array(struct maker *m, const struct dbz_type *t)
{
    struct dbz_type of = dbz_element_of(t);
    return (struct connect_schema){.kind = CONNECT_ARRAY, .of = keep(m, describe(m, &of), true)};
}

/* int2vector, oidvector, and arrays of them. The values are always null. */
static struct connect_schema vector(struct maker *m, const struct column_type *t)
{
    bool small = slice_equal_str(t->base_name, "int2vector");
    struct connect_schema element =
        t->element ? vector(m, t->element) : typed(small ? CONNECT_INT16 : CONNECT_INT64, NULL);
    return (struct connect_schema){.kind = CONNECT_ARRAY, .of = keep(m, element, false)};
}

static struct connect_schema describe(struct maker *m, const struct dbz_type *t)
{
    const struct encode_conf *c = m->conf;
    switch (t->kind) {
    case DBZ_BOOL:
        return typed(CONNECT_BOOLEAN, NULL);
    case DBZ_INTEGER:
        return integer(t);
    case DBZ_FLOAT4:
        return typed(CONNECT_FLOAT32, NULL);
    case DBZ_FLOAT8:
        return typed(CONNECT_FLOAT64, NULL);
    case DBZ_NUMERIC:
    case DBZ_MONEY:
        return numeric(m, t);
    case DBZ_BYTES:
        return typed(c->binary == BINARY_BYTES ? CONNECT_BYTES : CONNECT_STRING, NULL);
    case DBZ_BITS:
        return bits(m, t);
    case DBZ_DATE:
        return date(c);
    case DBZ_TIME:
        return time_of_day(c, t);
    case DBZ_TIMESTAMP:
        return timestamp(c, t);
    case DBZ_TIMETZ:
        return typed(CONNECT_STRING, "io.debezium.time.ZonedTime");
    case DBZ_TIMESTAMPTZ:
        return typed(CONNECT_STRING, "io.debezium.time.ZonedTimestamp");
    case DBZ_INTERVAL:
        return c->interval == INTERVAL_NUMERIC
                   ? typed(CONNECT_INT64, "io.debezium.time.MicroDuration")
                   : typed(CONNECT_STRING, "io.debezium.time.Interval");
    case DBZ_POINT:
        return point(m);
    case DBZ_HSTORE:
        return hstore(m);
    case DBZ_ARRAY:
        return array(m, t);
    case DBZ_NULL: /* bit[], for which Debezium has the schema of a bit, int2vector, oidvector */
        return t->type->element && slice_equal_str(t->type->element->base_name, "bit")
                   ? bits(m, t)
                   : vector(m, t->type);
    case DBZ_STRING:
    case DBZ_OMIT:
    default:
        return text(t);
    }
}

/* --- tables --- */

static struct slice default_of(struct maker *m, const struct change_column *c,
                               const struct dbz_type *t)
{
    CLEANUP(buf_release) struct buf out = {0};
    struct dbz d = {.conf = m->conf, .out = &out};
    struct slice text = SLICE_NULL;
    if (!slice_is_null(c->default_text) && dbz_default(&d, t, c->default_text) == DBZ_SAID) {
        text = arena_copy(m->arena, buf_slice(&out));
    }
    dbz_scratch_release(&d.scratch);
    return text;
}

static void add_column(struct maker *m, struct fields *f, const struct change_column *c)
{
    struct dbz_type t = dbz_type_of(c->type, c->typmod);
    if (t.kind == DBZ_OMIT) {
        return;
    }
    struct connect_schema s = describe(m, &t);
    s.fallback = default_of(m, c, &t);
    add_field(f, arena_copy(m->arena, c->name), keep(m, s, !c->not_null));
}

/* "shop.public.orders.Value", with what a topic allows in it, or Avro. Avro's rule is
 * schema.name.adjustment.mode=avro, which is not Debezium's default. */
static struct slice name_of(struct maker *m, const struct change_table *t, const char *last)
{
    CLEANUP(buf_release) struct buf name = {0};
    buf_printf(&name, "%s.%.*s.%.*s.%s", m->conf->name, SLICE_FMT(t->schema), SLICE_FMT(t->name),
               last);
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        bool other = (c >= '0' && c <= '9') || c == '.';
        bool topic = m->conf->value == VALUE_JSON && (other || c == '-');
        name.data[i] = letter || topic || (i > 0 && other) ? c : '_';
    }
    return arena_copy(m->arena, buf_slice(&name));
}

static const struct connect_schema *key_of(struct maker *m, const struct change_table *t)
{
    struct fields f = fields_new(m, t->key_count);
    if (t->key_count == 0) {
        return NULL;
    }
    for (size_t i = 0; i < t->key_count; i++) {
        add_column(m, &f, &t->columns[t->key[i]]);
    }
    return keep(m, struct_of(name_of(m, t, "Key"), 0, &f), false);
}

static struct fields row_of(struct maker *m, const struct change_table *t)
{
    struct fields f = fields_new(m, t->columns_count + ROW_EXTRA);
    for (size_t i = 0; i < t->columns_count; i++) {
        if (!t->columns[i].hidden) {
            add_column(m, &f, &t->columns[i]);
        }
    }
    return f;
}

/* --- the envelope --- */

static const struct connect_schema *source(struct maker *m)
{
    struct fields f = fields_new(m, 14);
    struct connect_schema snapshot = typed(CONNECT_STRING, "io.debezium.data.Enum");
    add_parameter(&snapshot, "allowed",
                  SLICE_LITERAL("true,first,first_in_data_collection,last_in_data_collection,last,"
                                "false,incremental"));
    snapshot.fallback = SLICE_LITERAL("\"false\"");
    add_plain(m, &f, "version", CONNECT_STRING, false);
    add_plain(m, &f, "connector", CONNECT_STRING, false);
    add_plain(m, &f, "name", CONNECT_STRING, false);
    add_plain(m, &f, "ts_ms", CONNECT_INT64, false);
    add_field(&f, SLICE_LITERAL("snapshot"), keep(m, snapshot, true));
    add_plain(m, &f, "db", CONNECT_STRING, false);
    add_plain(m, &f, "sequence", CONNECT_STRING, true);
    add_plain(m, &f, "ts_us", CONNECT_INT64, true);
    add_plain(m, &f, "ts_ns", CONNECT_INT64, true);
    add_plain(m, &f, "schema", CONNECT_STRING, false);
    add_plain(m, &f, "table", CONNECT_STRING, false);
    add_plain(m, &f, "txId", CONNECT_INT64, true);
    add_plain(m, &f, "lsn", CONNECT_INT64, true);
    add_plain(m, &f, "xmin", CONNECT_INT64, true);
    return keep(m, struct_of(SLICE_LITERAL("io.debezium.connector.postgresql.Source"), 0, &f),
                false);
}

static const struct connect_schema *transaction(struct maker *m)
{
    struct fields f = fields_new(m, 3);
    add_plain(m, &f, "id", CONNECT_STRING, false);
    add_plain(m, &f, "total_order", CONNECT_INT64, false);
    add_plain(m, &f, "data_collection_order", CONNECT_INT64, false);
    return keep(m, struct_of(SLICE_LITERAL("event.block"), 1, &f), true);
}

static const struct connect_schema *envelope(struct maker *m, const struct change_table *t)
{
    struct fields row = row_of(m, t), f = fields_new(m, 8);
    const struct connect_schema *value = keep(m, struct_of(name_of(m, t, "Value"), 0, &row), true);
    add_field(&f, SLICE_LITERAL("before"), value);
    add_field(&f, SLICE_LITERAL("after"), value);
    add_field(&f, SLICE_LITERAL("source"), source(m));
    add_field(&f, SLICE_LITERAL("transaction"), transaction(m));
    add_plain(m, &f, "op", CONNECT_STRING, false);
    add_plain(m, &f, "ts_ms", CONNECT_INT64, true);
    add_plain(m, &f, "ts_us", CONNECT_INT64, true);
    add_plain(m, &f, "ts_ns", CONNECT_INT64, true);
    return keep(m, struct_of(name_of(m, t, "Envelope"), ENVELOPE_VERSION, &f), false);
}

/* A flat row: the columns, and our own members (encode_flat.c). Two of them are not always there.
 */
static const struct connect_schema *flat_row(struct maker *m, const struct change_table *t,
                                             const struct connect_schema *key)
{
    static const struct {
        const char *name;
        enum connect_kind kind;
    } own[] = {{"op", CONNECT_STRING}, {"table", CONNECT_STRING},    {"lsn", CONNECT_STRING},
               {"ts", CONNECT_STRING}, {"deleted", CONNECT_BOOLEAN}, {"unchanged", CONNECT_ARRAY}};
    struct fields f = row_of(m, t);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        CLEANUP(buf_release) struct buf name = {0};
        struct connect_schema s = typed(own[i].kind, NULL);
        bool list = own[i].kind == CONNECT_ARRAY;
        s.of = list ? keep(m, typed(CONNECT_STRING, NULL), false) : NULL;
        buf_printf(&name, "%s%s", m->conf->flat_prefix, own[i].name);
        add_field(&f, arena_copy(m->arena, buf_slice(&name)), keep(m, s, list));
    }
    if (key) {
        CLEANUP(buf_release) struct buf name = {0};
        buf_printf(&name, "%sold_key", m->conf->flat_prefix);
        add_field(&f, arena_copy(m->arena, buf_slice(&name)), keep(m, *key, true));
    }
    return keep(m, struct_of(name_of(m, t, "Value"), 0, &f), false);
}

/* --- logical messages --- */

static const struct connect_schema *message_key(struct maker *m)
{
    struct fields f = fields_new(m, 1);
    add_plain(m, &f, "prefix", CONNECT_STRING, true);
    return keep(m, struct_of(SLICE_LITERAL("io.debezium.connector.postgresql.MessageKey"), 1, &f),
                false);
}

static const struct connect_schema *message_value(struct maker *m)
{
    struct fields f = fields_new(m, 5), block = fields_new(m, 2);
    bool bytes = m->conf->binary == BINARY_BYTES;
    add_plain(m, &block, "prefix", CONNECT_STRING, true);
    add_plain(m, &block, "content", bytes ? CONNECT_BYTES : CONNECT_STRING, true);
    add_plain(m, &f, "op", CONNECT_STRING, false);
    add_plain(m, &f, "ts_ms", CONNECT_INT64, true);
    add_field(&f, SLICE_LITERAL("source"), source(m));
    add_field(&f, SLICE_LITERAL("transaction"), transaction(m));
    add_field(&f, SLICE_LITERAL("message"),
              keep(m,
                   struct_of(SLICE_LITERAL("io.debezium.connector.postgresql.Message"), 1, &block),
                   false));
    return keep(m, struct_of(SLICE_LITERAL("io.debezium.connector.postgresql.MessageValue"), 1, &f),
                false);
}

void dbz_schemas(const struct encode_conf *conf, const struct change_table *table, bool flat,
                 struct arena *arena, const struct connect_schema **ret_key,
                 const struct connect_schema **ret_value)
{
    struct maker m = {.conf = conf, .arena = arena};
    *ret_key = table ? key_of(&m, table) : message_key(&m);
    *ret_value = !table ? message_value(&m)
                 : flat ? flat_row(&m, table, *ret_key)
                        : envelope(&m, table);
}
