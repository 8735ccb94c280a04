/*
 * Inspects the table and builds the statements for it. A table is refused if columns are missing
 * or, in position mode, if the number of a row could be given twice: the second row would be passed
 * over.
 */
#include "source/outbox_sqlite/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct column {
    const char *name, *type;
    int64_t pk;
};

/* The state of one inspection. */
struct look {
    struct sqlite *db;
    const struct outbox_sqlite_conf *conf;
    const struct source_env *env;
    bool has_positions; /* of the mode */
    struct outbox_sqlite_table *table;
    finding_report *report;
    void *ctx;
    unsigned faults;
    struct column *columns;
    size_t count;
    const char *key;   /* the column (or rowid) that identifies a row */
    const char *order; /* the column that gives the order; NULL: none */
};

/* Reports a fault and counts it; `remedy` says in words or SQL what mends it. */
static void fault(struct look *l, const char *remedy, const char *fmt, ...) PRINTF_LIKE(3, 4);

static void fault(struct look *l, const char *remedy, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    l->faults++;
    l->report(l->ctx, EXIT_CODE_CONFIG, text, remedy);
}

static const char *keep(struct look *l, struct slice s)
{
    return arena_copy(&l->table->arena, s).ptr;
}

static const struct column *find(const struct look *l, const char *name)
{
    for (size_t i = 0; i < l->count; i++) {
        if (strcasecmp(l->columns[i].name, name) == 0) {
            return &l->columns[i];
        }
    }
    return NULL;
}

/* Finds the table and its name as the schema spells it. *ret_found false (and a fault) if it is
 * missing or no ordinary table. */
static int find_table(struct look *l, bool *ret_found, struct error *err)
{
    CLEANUP(sqlite_stmt_freep) struct sqlite_stmt *s = NULL;
    bool row;
    if (sqlite_prepare(
            l->db,
            "SELECT name, type, wr FROM pragma_table_list WHERE schema = 'main' AND name = ?1 "
            "COLLATE NOCASE",
            &s, err)) {
        return RESULT_ERROR;
    }
    sqlite_bind_text(s, 1, slice_from(l->conf->table));
    if (sqlite_step(s, &row, err)) {
        return RESULT_ERROR;
    }
    *ret_found = false;
    if (!row) {
        fault(l, "make it with `commitrelay init`, or correct `table`",
              "table \"%s\" does not exist in \"%s\"", l->conf->table, l->conf->path);
    } else if (!slice_equal_str(sqlite_value(s, 1), "table")) {
        fault(l, "name the table behind it", "\"%s\" in \"%s\" is a %.*s, not a table",
              l->conf->table, l->conf->path, SLICE_FMT(sqlite_value(s, 1)));
    } else if (sqlite_int(s, 2) != 0) {
        fault(l, "re-create it as `commitrelay init --print` shows",
              "table \"%s\" in \"%s\" is WITHOUT ROWID", l->conf->table, l->conf->path);
    } else {
        l->table->name = keep(l, sqlite_value(s, 0));
        *ret_found = true;
    }
    return RESULT_DONE;
}

static int load_columns(struct look *l, struct error *err)
{
    CLEANUP(sqlite_stmt_freep) struct sqlite_stmt *s = NULL;
    CLEANUP(buf_release) struct buf all = {0};
    if (sqlite_prepare(l->db, "SELECT name, type, pk FROM pragma_table_xinfo(?1)", &s, err) !=
        RESULT_DONE) {
        return RESULT_ERROR;
    }
    sqlite_bind_text(s, 1, slice_from(l->table->name));
    for (bool row = true;;) {
        if (sqlite_step(s, &row, err)) {
            return RESULT_ERROR;
        }
        if (!row) {
            break;
        }
        struct column c = {keep(l, sqlite_value(s, 0)), keep(l, sqlite_value(s, 1)),
                           sqlite_int(s, 2)};
        buf_add(&all, &c, sizeof c);
    }
    l->count = all.len / sizeof *l->columns;
    l->columns = arena_array(&l->table->arena, l->count + 1, sizeof *l->columns);
    if (all.len > 0) {
        memcpy(l->columns, all.data, all.len);
    }
    return RESULT_DONE;
}

/* The column that is another name of the row id: INTEGER PRIMARY KEY. *ret stays as it was if there
 * is none. A column declared "INTEGER PRIMARY KEY DESC" looks like one but has an index of its own.
 */
static int find_alias(struct look *l, const char **ret, struct error *err)
{
    const struct column *alias = NULL;
    for (size_t i = 0; i < l->count; i++) {
        if (l->columns[i].pk > 0) {
            if (alias) {
                return RESULT_DONE;
            }
            alias = &l->columns[i];
        }
    }
    if (!alias || strcasecmp(alias->type, "INTEGER") != 0) {
        return RESULT_DONE;
    }
    CLEANUP(sqlite_stmt_freep) struct sqlite_stmt *s = NULL;
    bool row;
    if (sqlite_prepare(l->db, "SELECT 1 FROM pragma_index_list(?1) WHERE origin = 'pk'", &s, err) !=
        RESULT_DONE) {
        return RESULT_ERROR;
    }
    sqlite_bind_text(s, 1, slice_from(l->table->name));
    if (sqlite_step(s, &row, err)) {
        return RESULT_ERROR;
    }
    if (!row) {
        *ret = alias->name;
    }
    return RESULT_DONE;
}

static void check_order(struct look *l)
{
    const char *wanted = l->conf->order_by;
    if (strcmp(wanted, "seq") == 0) {
        wanted = l->conf->columns.seq;
    }
    if (wanted[0] == '\0') {
        return;
    }
    const struct column *c = find(l, wanted);
    if (!c) {
        fault(l,
              "map it with columns.seq, name another column with order_by, or give order_by: \"\" "
              "with "
              "delivery.ordered: false",
              "table \"%s\" has no column \"%s\" to order its events by", l->conf->table, wanted);
        return;
    }
    l->order = c->name;
}

static int check_key(struct look *l, struct error *err)
{
    static const char *const rowid_names[] = {"rowid", "_rowid_", "oid"};
    const char *alias = NULL;
    if (find_alias(l, &alias, err)) {
        return RESULT_ERROR;
    }
    l->key = alias;
    for (size_t i = 0; !l->key && i < sizeof rowid_names / sizeof *rowid_names; i++) {
        l->key = find(l, rowid_names[i]) ? NULL : rowid_names[i];
    }
    if (!l->key) {
        fault(l, "rename one of them",
              "table \"%s\" has columns named rowid, _rowid_ and oid: its row id is hidden",
              l->conf->table);
        return RESULT_DONE;
    }
    l->table->by_key = !l->order || (alias && strcasecmp(alias, l->order) == 0);
    if (l->env->ordered && !l->table->by_key) {
        fault(
            l,
            "order by the INTEGER PRIMARY KEY, which grows with each insert, or set "
            "delivery.ordered: false",
            "table \"%s\": \"%s\" is not its INTEGER PRIMARY KEY, so ordering by it does not keep "
            "the order of a key",
            l->conf->table, l->order);
    }
    if (l->has_positions && l->faults == 0 &&
        !(l->order && sqlite_is_autoincrement(l->db, l->table->name, l->order))) {
        fault(
            l,
            "use mode: delete, or re-create the table with `seq integer primary key autoincrement` "
            "(`commitrelay init --print` shows it)",
            "table \"%s\": \"%s\" is not INTEGER PRIMARY KEY AUTOINCREMENT, so the number of a "
            "deleted row may be "
            "given again and an event be passed over",
            l->conf->table, l->order ? l->order : "order_by");
    }
    return RESULT_DONE;
}

static void add_column(struct look *l, struct buf *sql, const char *name, bool required)
{
    const struct column *c = name[0] ? find(l, name) : NULL;
    buf_add_str(sql, ", ");
    if (c) {
        sqlite_quote_name(sql, c->name);
        return;
    }
    buf_add_str(sql, "NULL");
    if (required) {
        fault(l, "map it in `columns` (route or encode.headers: correct the name)",
              "table \"%s\" has no column \"%s\"", l->conf->table, name);
    }
}

/* Appends the columns of COL_* and the further ones; slim leaves out those that may be large. */
static void refuse_json(struct look *l)
{
    if (l->env->json_count > 0) {
        fault(l, "take the columns into the payload, or into headers (encode.headers)",
              "encode.envelope needs columns with PostgreSQL's types, and SQLite has others");
    }
}

static void add_row_columns(struct look *l, struct buf *sql, bool slim)
{
    const struct outbox_sqlite_columns *c = &l->conf->columns;
    sqlite_quote_name(sql, l->key);
    add_column(l, sql, c->id, true);
    add_column(l, sql, c->type, true);
    add_column(l, sql, c->aggregatetype, true);
    add_column(l, sql, c->aggregateid, true);
    add_column(l, sql, c->created_at, c->created_at_given && c->created_at[0]);
    add_column(l, sql, slim ? "" : c->headers, !slim && c->headers_given && c->headers[0]);
    add_column(l, sql, slim ? "" : c->payload, !slim);
    for (size_t i = 0; i < l->env->columns_count; i++) {
        add_column(l, sql, slim ? "" : l->env->columns[i], !slim);
    }
}

static void add_part(struct look *l, struct buf *sql, char part)
{
    switch (part) {
    case 'k':
        sqlite_quote_name(sql, l->key);
        break;
    case 't':
        sqlite_quote_name(sql, l->table->name);
        break;
    case 'i':
        sqlite_quote_name(sql, l->conf->columns.id);
        break;
    case 'c':
        sqlite_quote_name(sql, l->conf->columns.created_at);
        break;
    case 'o':
        sqlite_quote_name(sql, l->order ? l->order : l->key);
        break;
    case 'w':
        if (l->env->range) {
            outbox_sqlite_add_range(l->conf, l->key, l->env->range, true, sql);
        }
        break;
    default:
        add_row_columns(l, sql, part == 's');
        break;
    }
}

/* Fills a template: %k key, %t table, %i id, %c created_at, %o order, %w the conditions of
 * env->range, %r the columns of a row, %s only the small ones. */
static const char *expand(struct look *l, const char *template)
{
    CLEANUP(buf_release) struct buf sql = {0};
    for (const char *p = template; *p; p++) {
        if (*p == '%') {
            add_part(l, &sql, *++p);
        } else {
            buf_add_char(&sql, *p);
        }
    }
    return keep(l, buf_slice(&sql));
}

static void make_sql(struct look *l)
{
    struct outbox_sqlite_table *t = l->table;
    t->key = keep(l, slice_from(l->key));
    t->fetch = expand(l, "SELECT %r FROM %t WHERE %k = ?1");
    if (l->faults > 0) {
        return; /* a missing column is reported once, not for each statement */
    }
    t->fetch_slim = expand(l, "SELECT %s FROM %t WHERE %k = ?1");
    t->page = expand(l, "SELECT %r FROM %t WHERE %k > ?1%w ORDER BY %k LIMIT ?2");
    t->next_key = expand(l, "SELECT %k FROM %t WHERE %k > ?1%w ORDER BY %k LIMIT 1");
    t->list = expand(l, t->by_key ? "SELECT %k FROM %t WHERE %k <= ?1 ORDER BY %k"
                                  : "SELECT %k FROM %t ORDER BY %o, %i LIMIT ?1");
    /* Compares the id too, because the row id may belong to another row by now. */
    t->remove =
        expand(l, "DELETE FROM %t WHERE %k = ?1 AND (?2 IS NULL OR CAST(%i AS TEXT) IS ?2)");
    t->left =
        expand(l, "SELECT 1 FROM %t WHERE %k = ?1 AND (?2 IS NULL OR CAST(%i AS TEXT) IS ?2)");
    t->count = expand(l, "SELECT count(*) FROM (SELECT 1 FROM %t WHERE %k > ?1 LIMIT ?2)");
    t->lowest = expand(l, "SELECT min(%k) FROM %t");
    t->highest = expand(l, "SELECT max(%k) FROM %t");
    const char *created_at = l->conf->columns.created_at;
    t->aged = created_at[0] && find(l, created_at)
                  ? expand(l, "SELECT %k, %c FROM %t WHERE %k > ?1 ORDER BY %k LIMIT ?2")
                  : NULL;
}

static int inspect(struct look *l, struct error *err)
{
    bool found;
    if (find_table(l, &found, err)) {
        return RESULT_ERROR;
    }
    if (!found) {
        return RESULT_DONE;
    }
    if (load_columns(l, err)) {
        return RESULT_ERROR;
    }
    check_order(l);
    refuse_json(l);
    if (check_key(l, err)) {
        return RESULT_ERROR;
    }
    if (l->key) {
        make_sql(l);
    }
    const struct column *payload = find(l, l->conf->columns.payload);
    l->table->payload_json = payload && (strcasecmp(payload->type, "JSON") == 0 ||
                                         strcasecmp(payload->type, "JSONB") == 0);
    return RESULT_DONE;
}

int outbox_sqlite_inspect(const struct outbox_sqlite *s, struct sqlite *db,
                          struct outbox_sqlite_table *table, finding_report *report, void *ctx,
                          unsigned *ret_faults, struct error *err)
{
    arena_reset(&table->arena);
    struct look l = {.db = db,
                     .conf = s->conf,
                     .env = s->env,
                     .has_positions = s->mode->has_positions,
                     .table = table,
                     .report = report,
                     .ctx = ctx};
    if (inspect(&l, err)) {
        return RESULT_ERROR;
    }
    *ret_faults = l.faults;
    return RESULT_DONE;
}
