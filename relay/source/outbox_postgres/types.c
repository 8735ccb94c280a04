/*
 * Refuses, at the start, columns whose type cannot hold what the relay reads or writes there.
 * Otherwise the first mark would fail.
 */
#include "source/outbox_postgres/internal.h"

static int wrong_type(const struct outbox_pg_table *t, const struct outbox_pg_found *column,
                      const char *want, struct error *err)
{
    return error_set(
        err, ERROR_CONFIG, "postgres",
        "column %s of %s is %s, and must be %s: alter table %s alter column %s type %s, or map another one",
        column->quoted, t->quoted, column->format, want, t->quoted, column->quoted, want);
}

static bool is_one_of(const char *type, const char *const *list)
{
    for (; *list; list++) {
        if (strcmp(type, *list) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_number(const struct outbox_pg_found *column)
{
    static const char *const list[] = {"int2", "int4", "int8", "numeric", NULL};
    return is_one_of(column->type, list);
}

/* The column status must be a text that is long enough for its words, or an enum that has them all.
 */
static int demand_status(struct pg *c, const struct outbox_pg_table *t, struct error *err)
{
    enum { LONGEST_WORD = 7 }; /* length of "pending" */
    const struct outbox_pg_found *column = &t->status[OUTBOX_PG_STATUS_STATUS];
    if (column->category == 'S') {
        return column->length < 0 || column->length >= LONGEST_WORD
                   ? RESULT_DONE
                   : wrong_type(t, column, "text", err);
    }
    if (column->category != 'E') {
        return wrong_type(t, column, "text", err);
    }
    struct pg_result *r = NULL;
    if (pg_query(c,
                 "select count(*) from pg_enum e join pg_attribute a on a.atttypid = e.enumtypid"
                 " where a.attrelid = $1::oid and a.attname = $2"
                 " and e.enumlabel in ('pending', 'done', 'failed')",
                 2, (const char *const[]){t->oid, column->name}, &r, err)) {
        return RESULT_ERROR;
    }
    bool all = pg_int(r, 0, 0, 0) == 3;
    pg_result_free(r);
    return all ? RESULT_DONE
               : wrong_type(t, column, "text (or an enum with pending, done and failed)", err);
}

static int demand_status_columns(struct pg *c, const struct outbox_pg_table *t, struct error *err)
{
    const struct outbox_pg_found *attempts = &t->status[OUTBOX_PG_STATUS_ATTEMPTS];
    const struct outbox_pg_found *last_error = &t->status[OUTBOX_PG_STATUS_LAST_ERROR];
    if (demand_status(c, t, err)) {
        return RESULT_ERROR;
    }
    if (!is_number(attempts)) {
        return wrong_type(t, attempts, "int", err);
    }
    if (last_error->category != 'S') {
        return wrong_type(t, last_error, "text", err);
    }
    for (int i = OUTBOX_PG_STATUS_NEXT_ATTEMPT_AT; i <= OUTBOX_PG_STATUS_PUBLISHED_AT; i++) {
        if (strcmp(t->status[i].type, "timestamptz") != 0) {
            return wrong_type(t, &t->status[i], "timestamptz", err);
        }
    }
    return RESULT_DONE;
}

int outbox_pg_demand_types(struct pg *c, const struct outbox_pg_conf *conf,
                           const struct outbox_pg_table *t, struct error *err)
{
    static const char *const json[] = {"json", "jsonb", NULL};
    const struct outbox_pg_found *headers = &t->column[OUTBOX_PG_HEADERS];
    if (headers->name && headers->category != 'S' && !is_one_of(headers->type, json)) {
        return wrong_type(t, headers, "jsonb", err);
    }
    return outbox_pg_mode(conf)->has_status ? demand_status_columns(c, t, err) : RESULT_DONE;
}
