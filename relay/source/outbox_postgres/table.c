/*
 * Looks up the table and its columns under the configured names before anything is read. What is
 * missing is reported by name, with the statement that adds it where there is one.
 */
#include "source/outbox_postgres/internal.h"
#include "source/outbox_postgres/json.h"

#include "schema/schema.h"

#include <stdio.h>

static const char *const column_keys[OUTBOX_PG_COLUMNS] = {
    "id", "aggregatetype", "aggregateid", "type", "payload", "headers", "created_at", "seq", "xid"};

/* The columns that status mode writes, and the types that a remedy gives them. */
static const struct {
    const char *name, *type;
} status_columns[OUTBOX_PG_STATUS_COLUMNS] = {{"status", "text not null default 'pending'"},
                                              {"attempts", "int not null default 0"},
                                              {"last_error", "text"},
                                              {"next_attempt_at", "timestamptz"},
                                              {"published_at", "timestamptz"}};

int outbox_pg_quote(struct arena *a, const char *name, const char **ret, struct error *err)
{
    CLEANUP(buf_release) struct buf text = {0};
    if (pg_quote_name(&text, slice_from(name), err)) {
        return RESULT_ERROR;
    }
    *ret = arena_copy(a, buf_slice(&text)).ptr;
    return RESULT_DONE;
}

static const char *copy(struct arena *a, const struct pg_result *r, size_t row, size_t col)
{
    return arena_copy(a, pg_value(r, row, col)).ptr;
}

static int find_relation(struct pg *c, const struct outbox_pg_conf *conf, struct outbox_pg_table *t,
                         struct error *err)
{
    CLEANUP(buf_release) struct buf quoted = {0};
    struct pg_result *r = NULL;
    if (pg_quote_table(&quoted, conf->table, err)) {
        return error_prefix(err, "source.table");
    }
    t->quoted = arena_copy(&t->arena, buf_slice(&quoted)).ptr;
    if (pg_query(c, schema_sql_outbox_table, 1, (const char *const[]){t->quoted}, &r, err)) {
        return error_prefix(err, "table %s (source.table)", t->quoted);
    }
    int rc = RESULT_DONE;
    if (pg_rows(r) == 0) {
        rc = error_set(
            err, ERROR_CONFIG, "postgres",
            "there is no table %s in this database: create it with `commitrelay init --source ...`, or name the right one in source.table",
            t->quoted);
    } else if (!strchr("rp", *pg_value(r, 0, 1).ptr)) {
        rc = error_set(
            err, ERROR_CONFIG, "postgres",
            "%s is no table (views and foreign tables cannot be relayed): name a table in source.table",
            t->quoted);
    } else {
        t->oid = copy(&t->arena, r, 0, 0);
        t->partitioned = slice_equal_str(pg_value(r, 0, 1), "p");
        t->user = copy(&t->arena, r, 0, 2);
        t->standby = pg_true(r, 0, 3);
        t->may_delete = pg_true(r, 0, 4);
        t->row_security = pg_true(r, 0, 5);
        t->to_partition = copy(&t->arena, r, 0, 6);
    }
    pg_result_free(r);
    return rc;
}

/* ret->name stays NULL when the table has no such column. */
static int find_column(const struct pg_result *r, const char *name, struct outbox_pg_table *t,
                       struct outbox_pg_found *ret, struct error *err)
{
    *ret = (struct outbox_pg_found){0};
    for (size_t i = 0; i < pg_rows(r); i++) {
        if (!slice_equal_str(pg_value(r, i, 0), name)) {
            continue;
        }
        *ret = (struct outbox_pg_found){.name = copy(&t->arena, r, i, 0),
                                        .type = copy(&t->arena, r, i, 1),
                                        .format = copy(&t->arena, r, i, 2),
                                        .fallback = copy(&t->arena, r, i, 3),
                                        .not_null = pg_true(r, i, 4),
                                        .may_select = pg_true(r, i, 5),
                                        .may_update = pg_true(r, i, 6),
                                        .unique = pg_true(r, i, 7),
                                        .indexed = pg_true(r, i, 8),
                                        .indexed_seq = pg_true(r, i, 9),
                                        .category = *pg_value(r, i, 10).ptr,
                                        .length = pg_int(r, i, 11, -1),
                                        .oid = (uint32_t)pg_int(r, i, 12, 0),
                                        .typmod = (int32_t)pg_int(r, i, 13, -1),
                                        .kind = *pg_value(r, i, 14).ptr};
        return outbox_pg_quote(&t->arena, name, &ret->quoted, err);
    }
    return RESULT_DONE;
}

/* Collects all faults for `check`. A NULL pointer to it means: stop at the first fault. */
struct outbox_pg_faults {
    finding_report *each;
    void *ctx;
    size_t count;
};

/* Called after a fault. DONE: the fault was reported and the inspection continues. ERROR: stop.
 * `remedy` is SQL that can be run as it is, or "". */
static int go_on(struct outbox_pg_faults *all, const struct error *err, const char *remedy)
{
    if (!all || err->class != ERROR_CONFIG) {
        return RESULT_ERROR;
    }
    all->count++;
    all->each(all->ctx, err->exit_code, err->text, remedy);
    return RESULT_DONE;
}

static bool is_needed(const struct outbox_pg_conf *conf, enum outbox_pg_column which)
{
    switch (which) {
    case OUTBOX_PG_XID:
        return outbox_pg_mode(conf)->has_positions; /* other modes do not use it */
    case OUTBOX_PG_SEQ:
        return outbox_pg_mode(conf)->has_positions || conf->columns.given[which];
    case OUTBOX_PG_HEADERS:
    case OUTBOX_PG_CREATED_AT:
        return conf->columns.given[which];
    default:
        return true;
    }
}

/* Appends the statement that adds the column; nothing if the type is "". The name comes from the
 * configuration and may need quotes. */
static int mend_column(struct outbox_pg_table *t, const char *name, const char *type,
                       struct buf *out, struct error *err)
{
    const char *quoted;
    if (!type[0]) {
        return RESULT_DONE;
    }
    if (outbox_pg_quote(&t->arena, name, &quoted, err)) {
        return RESULT_ERROR;
    }
    buf_printf(out, "alter table %s add column %s %s", t->quoted, quoted, type);
    return RESULT_DONE;
}

static int miss_mapped(const struct outbox_pg_conf *conf, enum outbox_pg_column i,
                       struct outbox_pg_table *t, struct outbox_pg_faults *all, struct error *err)
{
    CLEANUP(buf_release) struct buf remedy = {0};
    const char *type = i == OUTBOX_PG_XID   ? "xid8 not null default pg_current_xact_id()"
                       : i == OUTBOX_PG_SEQ ? "bigint not null generated always as identity unique"
                                            : "";
    if (mend_column(t, conf->columns.name[i], type, &remedy, err)) {
        return RESULT_ERROR;
    }
    error_set(
        err, ERROR_CONFIG, "postgres",
        "table %s has no column \"%s\": map the right one with source.columns.%s%s", t->quoted,
        conf->columns.name[i], column_keys[i],
        type[0]
            ? ", or add it (`commitrelay init -c FILE --pipeline NAME --print` shows how), or use mode: status or delete"
            : "");
    return go_on(all, err, buf_str(&remedy));
}

static int find_mapped(const struct pg_result *r, const struct outbox_pg_conf *conf,
                       struct outbox_pg_table *t, struct outbox_pg_faults *all, struct error *err)
{
    for (enum outbox_pg_column i = 0; i < OUTBOX_PG_COLUMNS; i++) {
        if (find_column(r, conf->columns.name[i], t, &t->column[i], err) ||
            (!t->column[i].name && is_needed(conf, i) && miss_mapped(conf, i, t, all, err))) {
            return RESULT_ERROR;
        }
    }
    return RESULT_DONE;
}

static int find_status(const struct pg_result *r, size_t i, struct outbox_pg_table *t,
                       bool *ret_may, struct outbox_pg_faults *all, struct error *err)
{
    struct outbox_pg_found *column = &t->status[i];
    if (find_column(r, status_columns[i].name, t, column, err)) {
        return RESULT_ERROR;
    }
    *ret_may = *ret_may && (!column->name || (column->may_select && column->may_update));
    if (column->name) {
        return RESULT_DONE;
    }
    CLEANUP(buf_release) struct buf remedy = {0};
    if (mend_column(t, status_columns[i].name, status_columns[i].type, &remedy, err)) {
        return RESULT_ERROR;
    }
    error_set(
        err, ERROR_CONFIG, "postgres",
        "table %s has no column \"%s\", which mode: status writes: add it as `commitrelay init -c FILE --pipeline NAME --print` shows",
        t->quoted, status_columns[i].name);
    return go_on(all, err, buf_str(&remedy));
}

static int find_status_columns(const struct pg_result *r, struct outbox_pg_table *t,
                               struct outbox_pg_faults *all, struct error *err)
{
    bool may = true;
    for (size_t i = 0; i < OUTBOX_PG_STATUS_COLUMNS; i++) {
        if (find_status(r, i, t, &may, all, err)) {
            return RESULT_ERROR;
        }
    }
    if (may) {
        return RESULT_DONE;
    }
    CLEANUP(buf_release) struct buf grant = {0};
    buf_printf(
        &grant,
        "grant select, update (status, attempts, last_error, next_attempt_at, published_at) on %s to \"%s\"",
        t->quoted, t->user);
    error_exit(err, ERROR_CONFIG, EXIT_CODE_PERMISSION, "postgres", "role %s may not mark rows: %s",
               t->user, buf_str(&grant));
    return go_on(all, err, buf_str(&grant));
}

static int find_further(const struct pg_result *r, const struct source_env *env,
                        struct outbox_pg_table *t, struct outbox_pg_faults *all, struct error *err)
{
    t->further = arena_array(&t->arena, env->columns_count + 1, sizeof *t->further);
    t->further_count = env->columns_count;
    for (size_t i = 0; i < env->columns_count; i++) {
        if (find_column(r, env->columns[i], t, &t->further[i], err)) {
            return RESULT_ERROR;
        }
        if (t->further[i].name && outbox_pg_says_json(&t->further[i], env, i)) {
            continue;
        }
        error_set(
            err, ERROR_CONFIG, "postgres",
            t->further[i].name
                ? "column \"%2$s\" of %1$s is of a type that encode.envelope cannot write: take it out there, or read the table with CDC (as: outbox), where arrays can be had"
                : "table %1$s has no column \"%2$s\", which route or encode names: correct route.topic, route.key, route.partition, encode.headers or encode.envelope",
            t->quoted, env->columns[i]);
        if (go_on(all, err, "")) {
            return RESULT_ERROR;
        }
    }
    return RESULT_DONE;
}

/* Chooses the column by which rows are marked (t->key), and the order in which they are read. */
static int choose_key(const struct pg_result *r, const struct outbox_pg_conf *conf,
                      struct outbox_pg_table *t, struct error *err)
{
    const struct outbox_pg_found *seq = &t->column[OUTBOX_PG_SEQ], *id = &t->column[OUTBOX_PG_ID];
    const char *order = conf->order_by_given ? conf->order_by : conf->columns.name[OUTBOX_PG_SEQ];
    t->key = seq->name && (seq->unique || !id->unique) ? seq : id;
    if (!t->key->unique) {
        return error_set(
            err, ERROR_CONFIG, "postgres",
            "column %s of %s is not unique, so rows cannot be told apart: create unique index on %s (%s)",
            t->key->quoted, t->quoted, t->quoted, t->key->quoted);
    }
    t->order = "";
    if (!order[0]) {
        return RESULT_DONE;
    }
    if (find_column(r, order, t, &t->order_column, err)) {
        return RESULT_ERROR;
    }
    if (!t->order_column.name) {
        return error_set(
            err, ERROR_CONFIG, "postgres",
            "table %s has no column \"%s\" to order by: set source.order_by to a column that grows, or to \"\" together with delivery.ordered: false",
            t->quoted, order);
    }
    CLEANUP(buf_release) struct buf text = {0};
    buf_printf(&text, "t.%s", t->order_column.quoted);
    if (!t->order_column.unique) {
        buf_printf(&text, ", t.%s", id->quoted);
    }
    t->order = arena_copy(&t->arena, buf_slice(&text)).ptr;
    return RESULT_DONE;
}

/* A timestamp without a zone was written in the zone of the writing session, which is not known.
 * The best guess is the TimeZone of role and database, with which this session began (reset_val).
 */
static int find_zone(struct pg *c, struct outbox_pg_table *t, struct error *err)
{
    const struct outbox_pg_found *created = &t->column[OUTBOX_PG_CREATED_AT];
    struct pg_result *r = NULL;
    if (!created->name || strcmp(created->type, "timestamp") != 0) {
        return RESULT_DONE;
    }
    if (pg_query(c, "select reset_val from pg_settings where name = 'TimeZone'", 0, NULL, &r,
                 err)) {
        return RESULT_ERROR;
    }
    t->zone = copy(&t->arena, r, 0, 0);
    pg_result_free(r);
    return RESULT_DONE;
}

static int inspect(struct pg *c, const struct outbox_pg_conf *conf, const struct source_env *env,
                   struct outbox_pg_table *t, struct outbox_pg_faults *all, struct error *err)
{
    arena_release(&t->arena);
    *t = (struct outbox_pg_table){.shard = "", .shards = 1};
    arena_init(&t->arena);
    struct pg_result *r = NULL;
    if (find_relation(c, conf, t, err)) {
        return go_on(all, err, "");
    }
    const char *const params[] = {t->oid, conf->columns.name[OUTBOX_PG_SEQ]};
    if (pg_query(c, schema_sql_outbox_columns, 2, params, &r, err)) {
        return RESULT_ERROR;
    }
    int rc = find_mapped(r, conf, t, all, err);
    rc = rc || !outbox_pg_mode(conf)->has_status ? rc : find_status_columns(r, t, all, err);
    rc = rc ? rc : find_further(r, env, t, all, err);
    if (rc == RESULT_DONE && outbox_pg_find_shard(conf, env, t, err)) {
        rc = go_on(all, err, "");
    }
    /* If id or seq is missing, the key cannot be judged. */
    bool mapped = !all || (t->column[OUTBOX_PG_ID].name &&
                           (t->column[OUTBOX_PG_SEQ].name || !is_needed(conf, OUTBOX_PG_SEQ)));
    if (rc == RESULT_DONE && mapped && choose_key(r, conf, t, err)) {
        rc = go_on(all, err, "");
    }
    pg_result_free(r);
    return rc ? rc : find_zone(c, t, err);
}

int outbox_pg_inspect(struct pg *c, const struct outbox_pg_conf *conf, const struct source_env *env,
                      struct outbox_pg_table *t, struct error *err)
{
    return inspect(c, conf, env, t, NULL, err);
}

int outbox_pg_inspect_all(struct pg *c, const struct outbox_pg_conf *conf,
                          const struct source_env *env, struct outbox_pg_table *t,
                          finding_report *each, void *ctx, size_t *ret_faults, struct error *err)
{
    struct outbox_pg_faults all = {each, ctx, 0};
    int rc = inspect(c, conf, env, t, &all, err);
    *ret_faults = all.count;
    return rc;
}
