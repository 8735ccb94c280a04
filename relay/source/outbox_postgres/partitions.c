/*
 * Position mode of a partitioned table: notices partitions that were attached with rows in them.
 * The transactions of those rows may be older than the position, and then the rows are not sent.
 * The relay cannot send them, so it reports them.
 */
#include "source/outbox_postgres/internal.h"

#include "base/log.h"
#include "schema/schema.h"

enum { LOOK_EVERY_US = 5000000, LOOK_TIMEOUT_US = 1000000 };

int outbox_pg_partitions_prepare(struct outbox_pg *s, struct error *err)
{
    return s->table.partitioned &&
                   (pg_prepare(s->reader, "partitions", schema_sql_attached_partitions, 2, err) ||
                    pg_prepare(s->reader, "days", schema_sql_day_partitions, OUTBOX_PG_DAYS_PARAMS,
                               err))
               ? RESULT_ERROR
               : RESULT_DONE;
}

bool outbox_pg_partitions_due(const struct outbox_pg *s)
{
    return s->table.partitioned && !s->window.open &&
           clock_mono_us() - s->partitions_us >= LOOK_EVERY_US;
}

int outbox_pg_partitions_send(struct outbox_pg *s, struct error *err)
{
    const char *const params[] = {s->table.oid, buf_str(&s->partitions_seen)};
    s->partitions_us = clock_mono_us();
    s->days_next = !s->days_next;
    if (!s->days_next) {
        const char *days[OUTBOX_PG_DAYS_PARAMS];
        outbox_pg_days_params(&s->table, "0", days);
        return outbox_pg_send(s, SENT_DAYS, "days", OUTBOX_PG_DAYS_PARAMS, days, err);
    }
    return outbox_pg_send(s, SENT_PARTITIONS, "partitions", 2, params, err);
}

/* Does the partition have rows that are older than its attachment and visible in the snapshot
 * `passed`? True also if this cannot be found out. It is read through its table, because the role
 * may have no rights on the partition itself; `rows` is the condition that its rows meet. */
static bool has_passed_rows(const struct outbox_pg *s, struct pg *c, struct slice rows,
                            struct slice attached, const char *passed)
{
    CLEANUP(buf_release) struct buf sql = {0}, xid = {0};
    struct pg_result *r = NULL;
    struct error ignored;
    const char *column = s->table.column[OUTBOX_PG_XID].quoted;
    buf_add_slice(&xid, attached);
    buf_printf(&sql,
               "select exists (select from %s where %s < $1::xid8 and"
               " pg_visible_in_snapshot(%s, $2::pg_snapshot) and %.*s)",
               s->table.quoted, column, column,
               SLICE_FMT(slice_is_null(rows) ? SLICE_LITERAL("true") : rows));
    const char *const params[] = {buf_str(&xid), passed};
    if (!c || pg_query(c, buf_str(&sql), 2, params, &r, &ignored)) {
        return true;
    }
    bool some = pg_true(r, 0, 0);
    pg_result_free(r);
    return some;
}

/* Reports each partition in the result. Row 0 is skipped: it holds the snapshot of the look. */
static void tell_each(const struct outbox_pg *s, struct pg *c, const struct pg_result *r,
                      const char *passed, finding_report *report, void *ctx)
{
    for (size_t i = 1; i < pg_rows(r); i++) {
        struct slice name = pg_value(r, i, 0);
        if (!has_passed_rows(s, c, pg_value(r, i, 2), pg_value(r, i, 1), passed)) {
            continue;
        }
        CLEANUP(buf_release) struct buf text = {0}, remedy = {0};
        buf_printf(
            &text,
            "partition %.*s was attached to %s with rows in it that are older than the position: those that were not delivered before are not sent",
            SLICE_FMT(name), s->table.quoted);
        buf_printf(&remedy, "update %.*s set %s = pg_current_xact_id() for the rows to be sent",
                   SLICE_FMT(name), s->table.column[OUTBOX_PG_XID].quoted);
        report(ctx, 0, buf_str(&text), buf_str(&remedy));
    }
}

static void note(void *ctx, int exit_code UNUSED, const char *text, const char *remedy)
{
    const struct outbox_pg *s = ctx;
    CLEANUP(buf_release) struct buf line = {0};
    buf_printf(&line, "%s; %s", text, remedy);
    if (s->env->note) {
        s->env->note(s->env->note_ctx, LOG_WARN, buf_str(&line));
    }
}

/* Takes the result of a look. If something was attached, which is rare, a connection of its own
 * examines it: each wait is a second at most, and statements under way are not disturbed. */
void outbox_pg_partitions_taken(struct outbox_pg *s, const struct pg_result *r)
{
    struct slice seen = pg_value(r, 0, 1);
    if (pg_rows(r) > 1) {
        struct pg *c = NULL;
        struct error ignored;
        if (outbox_pg_connect(s, LOOK_TIMEOUT_US, &c, &ignored)) {
            c = NULL; /* reported all the same */
        }
        tell_each(s, c, r, buf_str(&s->window.s1), note, s);
        pg_close(c);
    }
    buf_clear(&s->partitions_seen);
    buf_add_slice(&s->partitions_seen, seen);
}

int outbox_pg_partitions_check(struct outbox_pg *s, struct pg *c, finding_report *report, void *ctx,
                               struct error *err)
{
    struct outbox_pg_cursor cursor;
    CLEANUP(buf_release) struct buf seen = {0}, passed = {0};
    struct pg_result *r = NULL;
    if (!s->mode->has_positions || !s->table.partitioned || !s->env->stored ||
        !outbox_pg_cursor_parse(*s->env->stored, &cursor)) {
        return RESULT_DONE;
    }
    /* An open window may be delivered only in part, and the rows of the new partition may lie in
     * the rest or before it. So attachments are looked for since s1, and s2 is what the position
     * has passed. */
    buf_add_slice(&seen, cursor.s1);
    buf_add_slice(&passed, slice_is_null(cursor.s2) ? cursor.s1 : cursor.s2);
    if (pg_query(c, schema_sql_attached_partitions, 2,
                 (const char *const[]){s->table.oid, buf_str(&seen)}, &r, err)) {
        return RESULT_ERROR;
    }
    tell_each(s, c, r, buf_str(&passed), report, ctx);
    pg_result_free(r);
    return RESULT_DONE;
}
