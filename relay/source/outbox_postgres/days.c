/*
 * A table that is partitioned by day (init --partitioned day): sees whether there is a partition
 * for tomorrow. Without one the rows of tomorrow go to the default partition, and where there is
 * none the application's inserts fail. Partitions are made and dropped by a prune (prune_days.c).
 */
#include "source/outbox_postgres/internal.h"

#include "base/log.h"
#include "schema/schema.h"

#include <stdio.h>

void outbox_pg_days_params(const struct outbox_pg_table *t, const char *age, const char **ret)
{
    ret[0] = t->oid;
    ret[1] = t->column[OUTBOX_PG_CREATED_AT].name;
    ret[2] = age;
}

bool outbox_pg_days_any(const struct pg_result *days)
{
    for (size_t i = 0; i < pg_rows(days); i++) {
        if (pg_true(days, i, DAY_IS_DAY)) {
            return true;
        }
    }
    return false;
}

static bool has_tomorrow(const struct pg_result *days)
{
    for (size_t i = 0; i < pg_rows(days); i++) {
        if (pg_true(days, i, DAY_HAS_TOMORROW)) {
            return true;
        }
    }
    return false;
}

/* False: there is a partition for tomorrow, or the table has none that hold a day. */
static bool tell(const struct outbox_pg_table *t, const struct pg_result *days,
                 finding_report *report, void *ctx)
{
    CLEANUP(buf_release) struct buf text = {0}, remedy = {0};
    if (!outbox_pg_days_any(days) || has_tomorrow(days)) {
        return false;
    }
    buf_printf(&text, "%s has no partition for tomorrow (UTC): %s", t->quoted,
               pg_true(days, 0, DAY_HAS_DEFAULT)
                   ? "its rows will go to the default partition"
                   : "inserts will fail then, as there is no default partition");
    buf_add_slice(&remedy, pg_value(days, 0, DAY_MAKE));
    report(ctx, 0, buf_str(&text), buf_str(&remedy));
    return true;
}

/* For the log and the status. */
static void warn(void *ctx, int exit_code UNUSED, const char *text, const char *remedy)
{
    struct outbox_pg *s = ctx;
    char was[sizeof s->warning];
    memcpy(was, s->warning, sizeof was);
    snprintf(s->warning, sizeof s->warning, "%s", text);
    if (strcmp(was, s->warning) != 0 && s->env->note) {
        CLEANUP(buf_release) struct buf line = {0};
        buf_printf(&line, "%s; let the owner of the table run: %s", text, remedy);
        s->env->note(s->env->note_ctx, LOG_WARN, buf_str(&line));
    }
}

/* A prune that may make partitions makes them, and says so if it cannot. */
static bool is_made_by_prune(const struct outbox_pg *s)
{
    return s->conf->prune.given && !s->table.to_partition[0];
}

void outbox_pg_days_taken(struct outbox_pg *s, const struct pg_result *days)
{
    if (is_made_by_prune(s) || !tell(&s->table, days, warn, s)) {
        s->warning[0] = '\0';
    }
}

int outbox_pg_days_look(struct outbox_pg *s, struct pg *c, finding_report *report, void *ctx,
                        struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *days = NULL;
    const char *params[OUTBOX_PG_DAYS_PARAMS];
    if (!s->table.partitioned) {
        return RESULT_DONE;
    }
    outbox_pg_days_params(&s->table, "0", params);
    if (pg_query(c, schema_sql_day_partitions, OUTBOX_PG_DAYS_PARAMS, params, &days, err)) {
        return error_prefix(err, "partitions of %s", s->table.quoted);
    }
    if (!report) {
        outbox_pg_days_taken(s, days);
    } else if (!is_made_by_prune(s)) {
        (void)tell(&s->table, days, report, ctx);
    }
    return RESULT_DONE;
}
