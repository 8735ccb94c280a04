/* Makes tables. The scripts say "if not exists", which two processes that start at once get past
 * together; so one of them waits for the other. */
#include "db/pg.h"

/* The lock is the session's, and taken before the script's transaction begins: a transaction that
 * has looked for the tables before it waited would go on with what it saw then. */
int pg_make(struct pg *c, const char *script, struct error *err)
{
    static const char lock[] = "select pg_catalog.pg_advisory_lock(" PG_MAKE_LOCK ")";
#define UNLOCK "select pg_catalog.pg_advisory_unlock(" PG_MAKE_LOCK ")"
    if (pg_query(c, lock, 0, NULL, NULL, err)) {
        return RESULT_ERROR;
    }
    if (pg_query(c, script, 0, NULL, NULL, err)) {
        struct error ignored; /* a session that is lost has lost its lock, too */
        int ended UNUSED = pg_query(c, "rollback; " UNLOCK, 0, NULL, NULL, &ignored);
        return RESULT_ERROR;
    }
    return pg_query(c, UNLOCK, 0, NULL, NULL, err);
}
