/* Compares a table with the one that was planned, and tells a statement that failed because the
 * table changed (RETRY) from a mistake of the configuration. */
#include "cdc/snapshot/shape.h"

#include "cdc/preflight/lock_holder.h"
#include <stdio.h>

void snapshot_shape_statement(const struct snapshot_table *t, struct buf *ret_sql)
{
    buf_clear(ret_sql);
    buf_add_str(ret_sql, "select pg_current_snapshot(), (select " SNAPSHOT_SHAPE_SQL
                         " from pg_class c join pg_namespace n on n.oid = c.relnamespace"
                         " where n.nspname = ");
    pg_quote_literal(ret_sql, t->table->schema);
    buf_add_str(ret_sql, " and c.relname = ");
    pg_quote_literal(ret_sql, t->table->name);
    buf_add_char(ret_sql, ')');
}

int snapshot_shape_judge(const struct snapshot_table *t, struct slice now, struct error *err)
{
    if (slice_equal(now, t->shape)) {
        return RESULT_DONE;
    }
    return error_set(
        err, ERROR_RETRY, "cdc",
        "the table was altered, or another one has its name now: its rows are read by a new plan");
}

int snapshot_shape_failed(struct error *err)
{
    static const char *const gone[] = {PG_UNDEFINED_TABLE, PG_UNDEFINED_COLUMN,
                                       PG_INVALID_SCHEMA_NAME};
    for (size_t i = 0; err->class == ERROR_CONFIG && i < sizeof gone / sizeof *gone; i++) {
        if (strcmp(err->code, gone[i]) == 0) {
            err->class = ERROR_RETRY;
            err->exit_code = EXIT_CODE_GAVE_UP;
            return error_prefix(err,
                                "the table was altered or dropped meanwhile, and is planned anew");
        }
    }
    return RESULT_ERROR;
}

int snapshot_statement_failed(struct pg *sql, const struct change_table *t, struct error *err)
{
    char oid[16];
    snprintf(oid, sizeof oid, "{%u}", t->oid);
    (void)lock_holder_name(sql, oid, err);
    return snapshot_shape_failed(err);
}
