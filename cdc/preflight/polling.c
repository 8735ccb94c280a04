/* The move from polling to CDC. A new slot begins where it is made. Rows that were committed before
 * that, and that polling has not sent yet, would never be sent. So a start that would make a slot
 * for a pipeline which has polled this outbox is refused. */
#include "cdc/preflight/internal.h"

/* Polling keeps its position in the database of the outbox, so it is looked for there, not in the
 * store of the change stream. A role that may not read that table has never polled. */
static const char there_sql[] =
    "select case when to_regclass('commitrelay.positions') is null then false"
    " else has_schema_privilege('commitrelay', 'usage')"
    " and has_table_privilege('commitrelay.positions', 'select') end";

static const char polled_sql[] =
    "select from commitrelay.positions where pipeline = $1 and cursor ~ '^(p1 |status|delete)'";

/* No check is needed where a snapshot reads those rows, or where start_from: now gives them up. */
static bool is_answered(const struct cdc_conf *c)
{
    return c->as != CDC_AS_OUTBOX || cdc_conf_snapshot(c) == CDC_SNAPSHOT_INITIAL ||
           (c->start_from_given && strcmp(c->start_from, "now") == 0);
}

int polling_judge(const struct preflight *p, struct fault *f, struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *there = NULL, *polled = NULL;
    f->class = ERROR_NONE;
    if (is_answered(p->conf)) {
        return RESULT_DONE;
    }
    if (pg_query(p->sql, there_sql, 0, NULL, &there, err) ||
        (pg_true(there, 0, 0) &&
         pg_query(p->sql, polled_sql, 1, (const char *const[]){p->pipeline}, &polled, err))) {
        return error_prefix(err, "the position of polling before");
    }
    if (!polled || pg_rows(polled) == 0) {
        return RESULT_DONE;
    }
    fault_set(
        f, ERROR_FATAL, EXIT_CODE_UNAVAILABLE,
        "pipeline %s has polled this database until now, and a new slot begins behind it: what was committed in between would never be sent",
        p->pipeline);
    return fault_mend(f,
                      "SELECT pg_create_logical_replication_slot('%s', 'pgoutput'); then let the"
                      " polling source send the rest (run --until-idle); then this one with"
                      " start_from: beginning (what was committed since the slot was made comes"
                      " twice, with the same id). Or start_from: now, to leave it out",
                      p->slot);
}
