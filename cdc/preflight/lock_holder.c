/* Asks the server who holds the lock that a statement gave up waiting for, and puts it into the
 * error's text. */
#include "cdc/preflight/lock_holder.h"

#include "schema/schema.h"
#include <stdio.h>
#include <string.h>

int lock_holder_name(struct pg *sql, const char *tables, struct error *err)
{
    struct pg_result *r = NULL;
    struct error ignored;
    if (!error_is(err, PG_LOCK_NOT_AVAILABLE)) {
        return RESULT_ERROR;
    }
    if (pg_query(sql, "rollback", 0, NULL, NULL, &ignored) == RESULT_DONE &&
        pg_query(sql, schema_sql_lock_holder, 1, &tables, &r, &ignored) == RESULT_DONE &&
        pg_rows(r) == 1) {
        error_set(err, ERROR_RETRY, "postgres", "table %.*s", SLICE_FMT(pg_value(r, 0, 0)));
        error_code(err, PG_LOCK_NOT_AVAILABLE);
    }
    pg_result_free(r);
    return RESULT_ERROR;
}
