/*
 * Reads a piece of the table again, for `replay` and `tail`: the pages of position mode, with
 * conditions (table.c builds them into the statements). `replay` gives only rows up to the
 * frontier, so an event that the pipeline has not sent yet is not overtaken.
 */
#include "source/outbox_sqlite/internal.h"

/* --- asked before it is read --- */

static bool by_time(const struct source_range *range)
{
    return range->from_us != INT64_MIN || range->to_us != INT64_MAX;
}

static int has_time(struct outbox_sqlite *s, bool *ret, struct error *err)
{
    CLEANUP(buf_release) struct buf sql = {0};
    int64_t n;
    buf_add_str(&sql, "SELECT count(*) FROM pragma_table_info(");
    outbox_sqlite_add_text(&sql, s->table.name);
    buf_add_str(&sql, ") WHERE name = ");
    outbox_sqlite_add_text(&sql, s->conf->columns.created_at);
    buf_add_str(&sql, " COLLATE NOCASE");
    if (sqlite_query_int(s->db, buf_str(&sql), 0, &n, err)) {
        return RESULT_ERROR;
    }
    *ret = n > 0;
    return RESULT_DONE;
}

static void add_quoted(struct buf *sql, const char *before, const char *name, const char *after)
{
    buf_add_str(sql, before);
    sqlite_quote_name(sql, name);
    buf_add_str(sql, after);
}

static void survey_sql(const struct outbox_sqlite *s, const struct source_range *range, bool timed,
                       struct buf *sql)
{
    const char *key = s->table.key, *table = s->table.name;
    const char *created = s->conf->columns.created_at;
    struct source_range untimed = *range;
    untimed.from_us = INT64_MIN;
    untimed.to_us = INT64_MAX;
    buf_add_str(sql, "SELECT count(*) FILTER (WHERE d), min(s) FILTER (WHERE d),"
                     " max(s) FILTER (WHERE d), count(*) FILTER (WHERE NOT d)");
    add_quoted(sql, ", (SELECT min(", key, ")");
    add_quoted(sql, " FROM ", table, ")");
    if (timed) {
        add_quoted(sql, ", (SELECT ", created, "");
        add_quoted(sql, " FROM ", table, "");
        add_quoted(sql, " ORDER BY ", key, " LIMIT 1)");
    } else {
        buf_add_str(sql, ", NULL");
    }
    if (by_time(range)) {
        add_quoted(sql, ", (SELECT count(*) FROM ", table, " WHERE julianday(");
        sqlite_quote_name(sql, created);
        buf_add_str(sql, ") IS NULL");
        outbox_sqlite_add_range(s->conf, key, &untimed, false, sql);
        buf_add_char(sql, ')');
    } else {
        buf_add_str(sql, ", 0");
    }
    add_quoted(sql, " FROM (SELECT ", key, " AS s, ");
    add_quoted(sql, "", key, " <= ");
    outbox_sqlite_add_int(sql, outbox_sqlite_frontier_of(range));
    add_quoted(sql, " AS d FROM ", table, " WHERE true");
    outbox_sqlite_add_range(s->conf, key, range, false, sql);
    buf_add_char(sql, ')');
}

static int ask(struct outbox_sqlite *s, const char *sql, struct source_survey *ret,
               struct error *err)
{
    CLEANUP(sqlite_stmt_freep) struct sqlite_stmt *q = NULL;
    bool row;
    if (sqlite_prepare(s->db, sql, &q, err) || sqlite_step(q, &row, err)) {
        return RESULT_ERROR;
    }
    *ret = (struct source_survey){.count = sqlite_int(q, 0),
                                  .first = sqlite_int(q, 1),
                                  .last = sqlite_int(q, 2),
                                  .waiting = sqlite_int(q, 3),
                                  .lowest = INT64_MAX,
                                  .lowest_us = TIME_NONE,
                                  .untimed = sqlite_int(q, 6)};
    if (!slice_is_null(sqlite_value(q, 4))) {
        ret->lowest = sqlite_int(q, 4);
        (void)clock_parse_timestamp(sqlite_value(q, 5), &ret->lowest_us);
    }
    return RESULT_DONE;
}

int outbox_sqlite_survey(void *source, const struct source_range *range, struct source_survey *ret,
                         struct error *err)
{
    struct outbox_sqlite *s = source;
    CLEANUP(buf_release) struct buf sql = {0};
    bool timed;
    if (outbox_sqlite_connect(s, err) || has_time(s, &timed, err)) {
        return RESULT_ERROR;
    }
    if (by_time(range) && !timed) {
        return error_set(
            err, ERROR_CONFIG, "sqlite",
            "a time means created_at, and table \"%s\" has no such column; map it with source.columns.created_at, or give positions (--from-position, --to-position)",
            s->conf->table);
    }
    survey_sql(s, range, timed, &sql);
    return ask(s, buf_str(&sql), ret, err);
}

int outbox_sqlite_holds(void *source, const char *const *ids, size_t n,
                        int (*each)(void *ctx, struct slice id), void *ctx, struct error *err)
{
    struct outbox_sqlite *s = source;
    struct source_range range = SOURCE_RANGE_ALL;
    CLEANUP(sqlite_stmt_freep) struct sqlite_stmt *q = NULL;
    CLEANUP(buf_release) struct buf sql = {0};
    bool row = true;
    range.ids = ids;
    range.ids_count = n;
    if (outbox_sqlite_connect(s, err)) {
        return RESULT_ERROR;
    }
    add_quoted(&sql, "SELECT ", s->conf->columns.id, "");
    add_quoted(&sql, " FROM ", s->table.name, " WHERE true");
    outbox_sqlite_add_range(s->conf, s->table.key, &range, false, &sql);
    if (sqlite_prepare(s->db, buf_str(&sql), &q, err)) {
        return RESULT_ERROR;
    }
    while (row) {
        if (sqlite_step(q, &row, err)) {
            return RESULT_ERROR;
        }
        int rc = row ? each(ctx, sqlite_value(q, 0)) : RESULT_DONE;
        if (rc) {
            return rc;
        }
    }
    return RESULT_DONE;
}

int outbox_sqlite_recent(void *source, int64_t n, struct buf *ret_cursor, struct error *err)
{
    struct outbox_sqlite *s = source;
    CLEANUP(buf_release) struct buf sql = {0};
    int64_t last;
    if (outbox_sqlite_connect(s, err)) {
        return RESULT_ERROR;
    }
    add_quoted(&sql, "SELECT ", s->table.key, "");
    add_quoted(&sql, " FROM ", s->table.name, "");
    add_quoted(&sql, " ORDER BY ", s->table.key, " DESC LIMIT 1 OFFSET ");
    outbox_sqlite_add_int(&sql, n);
    if (sqlite_query_int(s->db, buf_str(&sql), INT64_MIN, &last, err)) {
        return RESULT_ERROR;
    }
    outbox_sqlite_cursor_text(s, last, ret_cursor);
    return RESULT_DONE;
}

/* --- reading --- */

static int go_on(struct outbox_sqlite *s, char letter, int64_t last, struct error *err)
{
    (void)letter, (void)err;
    s->shown = s->last = last;
    return RESULT_DONE;
}

/* Rows may be deleted while `tail` runs (delete mode), and a table without AUTOINCREMENT then gives
 * their numbers to new rows. */
static int step_back(struct outbox_sqlite *s, struct error *err)
{
    int64_t highest;
    if (sqlite_query_int(s->db, s->table.highest, INT64_MIN, &highest, err)) {
        return RESULT_ERROR;
    }
    s->last = highest < s->last ? highest : s->last;
    return RESULT_DONE;
}

static int read_rows(struct outbox_sqlite *s, int64_t version, struct batch *batch,
                     size_t max_events, size_t max_bytes, struct error *err)
{
    (void)version;
    if (s->env->range->every && step_back(s, err)) {
        return RESULT_ERROR;
    }
    return outbox_sqlite_page(s, batch, max_events, max_bytes, err);
}

/* has_positions is false: the end of the range may lie above every number that the table has given
 * out. */
const struct outbox_sqlite_mode outbox_sqlite_range_mode = {
    .letter = 's', .go_on = go_on, .read = read_rows};
