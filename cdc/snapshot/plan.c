/* Makes the plan: asks the catalogs which tables, columns, row filters and keys are published, and
 * writes the parts of the SQL that reads them. statement.c puts the parts together. */
#include "cdc/snapshot/plan.h"

#include "cdc/decode/published.h"
#include "cdc/preflight/lock_holder.h"
#include "cdc/snapshot/shape.h"
#include "cdc/tables.h"
#include "value/pattern.h"
#include <stdio.h>

/* --- keys --- */

void snapshot_key_release(struct snapshot_key *k)
{
    buf_release(&k->text);
    k->count = 0;
}

void snapshot_key_clear(struct snapshot_key *k)
{
    buf_clear(&k->text);
    k->count = 0;
}

void snapshot_key_add(struct snapshot_key *k, struct slice value)
{
    buf_add_slice(&k->text, value);
    buf_add_char(&k->text, '\0');
    k->count++;
}

void snapshot_key_copy(struct snapshot_key *k, const struct snapshot_key *from)
{
    buf_clear(&k->text);
    buf_add_slice(&k->text, buf_slice(&from->text));
    k->count = from->count;
}

void snapshot_key_values(const struct snapshot_key *k, const char *ret[SNAPSHOT_KEY_MAX])
{
    const char *at = buf_str(&k->text);
    for (size_t i = 0; i < k->count; i++) {
        ret[i] = at;
        at += strlen(at) + 1;
    }
}

/* --- what is published --- */

/* For a partitioned table that has a foreign partition: its other partitions, as the list to lock
 * and as the query that reads them. Rows of a foreign partition are not in the stream, so they do
 * not belong in the snapshot either, and a foreign table cannot be locked. Null for any other
 * table. */
#define PARTS_SQL                                                                               \
    " left join lateral (with recursive part(oid) as (select c.oid union all select i.inhrelid" \
    " from part join pg_inherits i on i.inhparent = part.oid)"                                  \
    " select string_agg(format('only %I.%I', s.nspname, l.relname), ', ' order by l.oid)"       \
    " filter (where l.relkind <> 'f') as locks, string_agg(format('select %s from only"         \
    " %I.%I', (select string_agg(quote_ident(g.attname), ', ' order by g.attnum)"               \
    " from pg_attribute g where g.attrelid = c.oid and g.attnum > 0 and not g.attisdropped),"   \
    " s.nspname, l.relname), ' union all ' order by l.oid) filter (where l.relkind <> 'f')"     \
    " as rows from part join pg_class l on l.oid = part.oid join pg_namespace s"                \
    " on s.oid = l.relnamespace having bool_or(l.relkind = 'f')) parts on c.relkind = 'p'"

/* Answers one row for each column of each table; the table's shape is in its first row only. */
static const char plan_sql[] =
    " select c.oid, n.nspname, c.relname, c.relkind, c.relreplident, " PUBLISHED_FILTER ","
    " a.attname, a.atttypid, a.atttypmod, c.relreplident = 'f' or exists (select from pg_index"
    " i where i.indrelid = c.oid and (c.relreplident = 'i' and i.indisreplident"
    " or c.relreplident = 'd' and i.indisprimary and i.indimmediate)"
    " and a.attnum = any ((i.indkey::int2[])[0:i.indnkeyatts - 1])),"
    " case when row_number() over (partition by c.oid order by a.attnum) = 1 "
    "then " SNAPSHOT_SHAPE_SQL " end, parts.locks, parts.rows"
    " from published t join pg_class c on c.oid = t.oid"
    " join pg_namespace n on n.oid = c.relnamespace"
    " left join pg_attribute a on a.attrelid = c.oid and a.attnum > 0"
    " and not a.attisdropped and " PUBLISHED_COLUMN PARTS_SQL
    " order by n.nspname collate \"C\", c.relname collate \"C\", a.attnum";

enum {
    PLAN_OID,
    PLAN_SCHEMA,
    PLAN_NAME,
    PLAN_RELKIND,
    PLAN_IDENTITY,
    PLAN_FILTER,
    PLAN_COLUMN,
    PLAN_TYPE,
    PLAN_TYPMOD,
    PLAN_FLAG,
    PLAN_SHAPE,
    PLAN_LOCKS,
    PLAN_ROWS,
};

/* How a key column is compared. Example: a column of an extension's type is compared by
 * operator(public.<). The operators are those of the index, found by their btree strategy numbers:
 * they need not be named `<` and `>`, nor be in pg_catalog. A parameter is cast to the column's
 * base type, because an untyped one does not become a composite value. The type modifier is kept,
 * because `character` without one means character(1). */
#define OPERATOR(strategy)                                                                    \
    "(select format('operator(%I.%s)', n.nspname, o.oprname) from pg_opclass oc"              \
    " join pg_amop ao on ao.amopfamily = oc.opcfamily and ao.amoplefttype = oc.opcintype"     \
    " and ao.amoprighttype = oc.opcintype and ao.amopstrategy = " #strategy                   \
    " join pg_operator o on o.oid = ao.amopopr join pg_namespace n on n.oid = o.oprnamespace" \
    " where oc.oid = k.classes[array_position(k.columns, a.attnum) - 1])"

#define OPERATORS OPERATOR(1) ", " OPERATOR(2) ", " OPERATOR(3) ", " OPERATOR(4) ", " OPERATOR(5)

static const char operators_sql[] =
    " select c.oid, a.attname, (with recursive base(oid, typmod, below) as"
    " (select y.oid, a.atttypmod, y.typbasetype from pg_type y where y.oid = a.atttypid union all"
    " select y.oid, case when x.typbasetype <> 0 then x.typtypmod end, y.typbasetype from base"
    " join pg_type x on x.oid = base.oid join pg_type y on y.oid = base.below)"
    " select format_type(oid, typmod) from base where below = 0),"
    " " OPERATORS " from published t join pg_class c on c.oid = t.oid"
    " join pg_namespace n on n.oid = c.relnamespace" KEY_INDEX_SQL
    " join pg_attribute a on a.attrelid = c.oid and a.attnum = any (k.columns)"
    " order by n.nspname collate \"C\", c.relname collate \"C\"";

enum { OPERATORS_OID, OPERATORS_COLUMN, OPERATORS_TYPE, OPERATORS_FIRST };

struct planning {
    struct snapshot_plan *plan;
    const struct snapshot_options *opt;
    struct pg *sql;
    struct pg_result *rows, *operators;
    size_t operators_from; /* row of the table looked up last; both answers are sorted alike */
    struct cdc_tables tables;
    struct pattern *pattern; /* of the request; NULL: there is none, or it is a plain name */
    size_t chosen;           /* how many entries of source.snapshot_where belong to a table */
    struct buf text;
};

static void planning_release(struct planning *w)
{
    pg_result_free(w->rows);
    pg_result_free(w->operators);
    cdc_tables_close(&w->tables);
    pattern_free(w->pattern);
    buf_release(&w->text);
}

/* Sets `out` to "schema"."table", in the form in which pg_quote_table quotes a configured name. */
static int quote_pair(struct buf *out, struct slice schema, struct slice name, struct error *err)
{
    buf_clear(out);
    if (pg_quote_name(out, schema, err)) {
        return RESULT_ERROR;
    }
    buf_add_char(out, '.');
    return pg_quote_name(out, name, err);
}

static bool letter_is(const struct pg_result *r, size_t row, int col, char letter)
{
    struct slice s = pg_value(r, row, (size_t)col);
    return s.len == 1 && s.ptr[0] == letter;
}

/* The Relation message that the stream would send for it now. */
static struct pgoutput_message relation_of(struct planning *w, size_t from, size_t to)
{
    struct pgoutput_column *columns = arena_array(&w->plan->arena, to - from, sizeof *columns);
    struct pgoutput_message m = {.type = PGOUTPUT_RELATION};
    m.relation.oid = (uint32_t)pg_int(w->rows, from, PLAN_OID, 0);
    m.relation.schema = pg_value(w->rows, from, PLAN_SCHEMA);
    m.relation.name = pg_value(w->rows, from, PLAN_NAME);
    m.relation.identity = (enum replica_identity)pg_value(w->rows, from, PLAN_IDENTITY).ptr[0];
    m.relation.columns = columns;
    for (size_t row = from; row < to; row++) {
        if (!slice_is_null(pg_value(w->rows, row, PLAN_COLUMN))) {
            columns[m.relation.columns_count++] =
                (struct pgoutput_column){.identity = pg_true(w->rows, row, PLAN_FLAG),
                                         .name = pg_value(w->rows, row, PLAN_COLUMN),
                                         .type = (uint32_t)pg_int(w->rows, row, PLAN_TYPE, 0),
                                         .typmod = (int32_t)pg_int(w->rows, row, PLAN_TYPMOD, -1)};
        }
    }
    return m;
}

/* Makes a change_table of the Relation message. The catalog was loaded by an earlier statement, so
 * it may lack a table that was published in between: then the plan is made again. */
static int describe(struct planning *w, const struct pgoutput_message *relation,
                    const struct change_table **ret, struct error *err)
{
    if (!catalog_has(w->plan->catalog, relation)) {
        return error_set(err, ERROR_RETRY, "cdc", "the publication was altered just then");
    }
    *ret = relations_put(w->plan->relations, w->plan->catalog, relation);
    return RESULT_DONE;
}

/* --- the SQL of a table --- */

/* A copy of `text` that lives as long as the plan. */
static struct slice keep(struct planning *w)
{
    return arena_copy(&w->plan->arena, buf_slice(&w->text));
}

static int write_columns(struct planning *w, struct snapshot_table *t, struct error *err)
{
    buf_clear(&w->text);
    for (size_t i = 0; i < t->table->columns_count; i++) {
        buf_add_str(&w->text, i > 0 ? ", " : "");
        if (pg_quote_name(&w->text, t->table->columns[i].name, err)) {
            return RESULT_ERROR;
        }
    }
    t->columns = keep(w);
    return RESULT_DONE;
}

/* Appends what source.snapshot_where says of the table. Without a key a snapshot that was
 * interrupted leaves out changes of rows that it is going to read (bare.h), and so would lose those
 * of rows that it does not read. */
static int add_choice(struct planning *w, const struct change_table *t, const char *quoted,
                      struct error *err)
{
    const struct conf_map *map = &w->opt->conf->snapshot_where;
    CLEANUP(buf_release) struct buf name = {0};
    for (size_t i = 0; !w->opt->request && i < map->count; i++) {
        buf_clear(&name);
        if (pg_quote_table(&name, map->pairs[i].name, err)) {
            return error_prefix(err, "source.snapshot_where");
        }
        if (strcmp(buf_str(&name), quoted) != 0) {
            continue;
        }
        if (t->key_count == 0) {
            return error_set(err, ERROR_CONFIG, "cdc",
                             "source.snapshot_where names table %s, which has no primary key: give "
                             "it one, or take it out there",
                             quoted);
        }
        w->chosen++;
        /* The line break ends a comment in the condition. */
        buf_printf(&w->text, " and (%s\n)", map->pairs[i].value);
        return RESULT_DONE;
    }
    return RESULT_DONE;
}

static int write_from(struct planning *w, struct snapshot_table *t, size_t row, struct error *err)
{
    CLEANUP(buf_release) struct buf name = {0};
    struct slice filter = pg_value(w->rows, row, PLAN_FILTER);
    struct slice rows = pg_value(w->rows, row, PLAN_ROWS);
    if (quote_pair(&name, t->table->schema, t->table->name, err)) {
        return RESULT_ERROR;
    }
    buf_clear(&w->text);
    if (slice_is_null(rows)) {
        buf_printf(&w->text, "%s%s", letter_is(w->rows, row, PLAN_RELKIND, 'p') ? "" : "only ",
                   buf_str(&name));
    } else {
        buf_add_slice(&w->text, pg_value(w->rows, row, PLAN_LOCKS));
    }
    t->name = keep(w);
    buf_clear(&w->text);
    if (slice_is_null(rows)) {
        buf_printf(&w->text, " from %.*s where ", SLICE_FMT(t->name));
    } else {
        buf_printf(&w->text, " from (%.*s) as rows where ", SLICE_FMT(rows));
    }
    if (slice_is_null(filter)) {
        buf_add_str(&w->text, "true");
    } else {
        buf_printf(&w->text, "(%.*s)", SLICE_FMT(filter));
    }
    if (add_choice(w, t->table, buf_str(&name), err)) {
        return RESULT_ERROR;
    }
    t->from = keep(w);
    return RESULT_DONE;
}

/* The row of `operators` for this column; pg_rows() of it if that index is not the stream's key. */
static size_t operators_of(struct planning *w, uint32_t table, struct slice column)
{
    size_t row = w->operators_from, n = pg_rows(w->operators);
    while (row < n && pg_int(w->operators, row, OPERATORS_OID, 0) != (int64_t)table) {
        row++;
    }
    w->operators_from = row < n ? row : w->operators_from;
    while (row < n && pg_int(w->operators, row, OPERATORS_OID, 0) == (int64_t)table) {
        if (slice_equal(pg_value(w->operators, row, OPERATORS_COLUMN), column)) {
            return row;
        }
        row++;
    }
    return n;
}

static int write_key(struct planning *w, struct snapshot_table *t, struct error *err)
{
    static const char *const plain[SNAPSHOT_OPERATORS] = {
        "operator(pg_catalog.<)", "operator(pg_catalog.<=)", "operator(pg_catalog.=)",
        "operator(pg_catalog.>=)", "operator(pg_catalog.>)"};
    size_t n = t->table->key_count;
    t->key = arena_array(&w->plan->arena, n, sizeof *t->key);
    t->plain_operators = true;
    for (size_t i = 0; i < n; i++) {
        struct slice column = t->table->columns[t->table->key[i]].name;
        struct snapshot_key_column *key = &t->key[i];
        size_t row = operators_of(w, t->table->oid, column);
        bool found = row < pg_rows(w->operators);
        buf_clear(&w->text);
        if (pg_quote_name(&w->text, column, err)) {
            return RESULT_ERROR;
        }
        key->name = keep(w);
        key->type = found ? arena_copy(&w->plan->arena, pg_value(w->operators, row, OPERATORS_TYPE))
                          : SLICE_NULL;
        for (size_t k = 0; k < SNAPSHOT_OPERATORS; k++) {
            struct slice op =
                found ? pg_value(w->operators, row, OPERATORS_FIRST + k) : slice_from(plain[k]);
            t->plain_operators = t->plain_operators && slice_equal_str(op, plain[k]);
            key->operators[k] = arena_copy(&w->plan->arena, op);
        }
    }
    return RESULT_DONE;
}

/* The line break ends a comment in the predicate. */
static struct slice where_of(struct planning *w)
{
    const struct snapshot_request *r = w->opt->request;
    if (!r || !r->where[0]) {
        return SLICE_NULL;
    }
    buf_clear(&w->text);
    buf_printf(&w->text, " and (%s\n)", r->where);
    return keep(w);
}

static int plan_table(struct planning *w, size_t from, size_t to, struct error *err)
{
    struct slice schema = pg_value(w->rows, from, PLAN_SCHEMA);
    struct slice name = pg_value(w->rows, from, PLAN_NAME);
    bool wanted = false;
    if (cdc_tables_want(&w->tables, schema, name, &wanted, err)) {
        return RESULT_ERROR;
    }
    if (wanted && w->opt->request &&
        snapshot_request_names(w->opt->request, w->pattern, schema, name, &wanted, err)) {
        return RESULT_ERROR;
    }
    if (!wanted) {
        return RESULT_DONE;
    }
    struct pgoutput_message relation = relation_of(w, from, to);
    struct snapshot_table *t = &w->plan->tables[w->plan->count];
    if (describe(w, &relation, &t->table, err) || write_columns(w, t, err) ||
        write_from(w, t, from, err) || write_key(w, t, err)) {
        return error_prefix(err, "the snapshot of %.*s.%.*s cannot be planned", SLICE_FMT(schema),
                            SLICE_FMT(name));
    }
    const struct catalog_table *known = catalog_table(w->plan->catalog, t->table->oid);
    t->rows = known ? known->rows : -1;
    t->shape = arena_copy(&w->plan->arena, pg_value(w->rows, from, PLAN_SHAPE));
    t->where = where_of(w);
    w->plan->count++;
    return RESULT_DONE;
}

/* Runs all catalog queries in one transaction, so that they see the same tables. */
static int ask_all(struct planning *w, struct error *err)
{
    CLEANUP(buf_release) struct buf statement = {0}, operators = {0};
    published_tables(&statement, pg_server_version(w->sql), 1);
    buf_add_slice(&operators, buf_slice(&statement));
    buf_add_str(&statement, plan_sql);
    buf_add_str(&operators, operators_sql);
    if (pg_query(w->sql, "begin isolation level repeatable read read only", 0, NULL, NULL, err) ||
        catalog_load(w->plan->catalog, w->sql, w->opt->publication, err) ||
        pg_query(w->sql, buf_str(&statement), 1, &w->opt->publication, &w->rows, err) ||
        pg_query(w->sql, buf_str(&operators), 1, &w->opt->publication, &w->operators, err) ||
        pg_query(w->sql, "commit", 0, NULL, NULL, err)) {
        (void)lock_holder_name(w->sql, "{}", err); /* of a table with a row filter */
        return error_prefix(err, "the tables of publication %s cannot be looked up",
                            w->opt->publication);
    }
    return RESULT_DONE;
}

int snapshot_plan_load(struct snapshot_plan *p, struct pg *sql, const struct snapshot_options *opt,
                       struct error *err)
{
    CLEANUP(planning_release) struct planning w = {.plan = p, .opt = opt, .sql = sql};
    arena_init(&p->arena);
    p->relations = relations_new();
    p->catalog = catalog_new();
    if (cdc_tables_open(&w.tables, opt->conf, err) ||
        (opt->request && snapshot_request_pattern(opt->request, &w.pattern, err)) ||
        ask_all(&w, err)) {
        return RESULT_ERROR;
    }
    size_t n = pg_rows(w.rows);
    p->tables = arena_array(&p->arena, n, sizeof *p->tables);
    for (size_t from = 0, to; from < n; from = to) {
        int64_t oid = pg_int(w.rows, from, PLAN_OID, 0);
        for (to = from + 1; to < n && pg_int(w.rows, to, PLAN_OID, 0) == oid; to++) {
        }
        if (plan_table(&w, from, to, err)) {
            return RESULT_ERROR;
        }
    }
    if (!opt->request && w.chosen < opt->conf->snapshot_where.count) {
        return error_set(
            err, ERROR_CONFIG, "cdc",
            "source.snapshot_where names a table that the snapshot does not read, or one twice: it reads those of publication %s that source.tables wants; correct the names (schema.table)",
            opt->publication);
    }
    return RESULT_DONE;
}

void snapshot_plan_release(struct snapshot_plan *p)
{
    relations_free(p->relations);
    catalog_free(p->catalog);
    arena_release(&p->arena);
    *p = (struct snapshot_plan){0};
}

static int compare(struct slice a, struct slice b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int c = n ? memcmp(a.ptr, b.ptr, n) : 0;
    return c ? c : (a.len > b.len) - (a.len < b.len);
}

size_t snapshot_plan_find(const struct snapshot_plan *p, struct slice schema, struct slice name)
{
    size_t i = 0;
    for (; i < p->count; i++) {
        int c = compare(p->tables[i].table->schema, schema);
        if (c > 0 || (c == 0 && compare(p->tables[i].table->name, name) >= 0)) {
            break;
        }
    }
    return i;
}

uint32_t snapshot_plan_before(const struct snapshot_plan *p, size_t n)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t mixed = p->tables[i].table->oid * UINT32_C(2654435761);
        sum += mixed ^ mixed >> 15;
    }
    return sum;
}

struct cell *snapshot_plan_cells(const struct snapshot_table *t, const struct pg_result *r,
                                 size_t row, struct arena *arena)
{
    size_t n = t->table->columns_count;
    struct cell *cells = arena_array(arena, n, sizeof *cells);
    for (size_t i = 0; i < n; i++) {
        struct slice v = pg_value(r, row, i);
        cells[i] = slice_is_null(v) ? (struct cell){CELL_NULL, SLICE_NULL}
                                    : (struct cell){CELL_TEXT, arena_copy(arena, v)};
    }
    return cells;
}

void snapshot_plan_key(const struct snapshot_table *t, const struct pg_result *r, size_t row,
                       struct snapshot_key *ret)
{
    snapshot_key_clear(ret);
    for (size_t i = 0; i < t->table->key_count; i++) {
        snapshot_key_add(ret, pg_value(r, row, t->table->key[i]));
    }
}
