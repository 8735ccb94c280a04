/*
 * Which rows the pipeline has delivered, for `replay`: an event that it has not sent yet must not
 * be overtaken by its own repetition. The answer is kept as a text, the frontier, so that a replay
 * that goes on after an interruption sends the same rows.
 *
 *   position mode  the stored cursor: what s1 shows, and of the open window what is not above
 * `last` status mode    "done <time>": the rows that are marked done, and were until then
 */
#include "source/outbox_postgres/internal.h"

#define DONE "done "

/* Transaction numbers only grow. A stored one that the server has not reached means that the cursor
 * came from another server, or that this one was restored. */
int outbox_pg_demand_past(const struct outbox_pg *s, struct pg *c, struct slice snapshot,
                          struct error *err)
{
    struct pg_result *r = NULL;
    uint64_t xmin, stored, current;
    if (pg_query(c, "select pg_current_snapshot()", 0, NULL, &r, err)) {
        return RESULT_ERROR;
    }
    bool fine = outbox_pg_snapshot_parse(pg_value(r, 0, 0), &xmin, &current);
    pg_result_free(r);
    fine = fine && outbox_pg_snapshot_parse(snapshot, &xmin, &stored) && stored <= current;
    if (!fine) {
        return error_exit(
            err, ERROR_FATAL, EXIT_CODE_UNAVAILABLE, "postgres",
            "the stored cursor of pipeline %s is ahead of the server: its database was restored or is another one, and events may be missing from it; look at `position show`, then `position set ... --yes`",
            s->env->pipeline);
    }
    return RESULT_DONE;
}

static struct slice upper_end(const struct outbox_pg_cursor *c)
{
    return slice_is_null(c->s2) ? c->s1 : c->s2;
}

/* A bare snapshot is taken too: a change stream that has passed it has delivered all it shows. */
static bool parse(struct slice text, struct outbox_pg_cursor *ret)
{
    uint64_t xmin, xmax;
    *ret = (struct outbox_pg_cursor){.s1 = SLICE_LITERAL(OUTBOX_PG_NOTHING_VISIBLE)};
    if (slice_is_null(text) || outbox_pg_cursor_parse(text, ret)) {
        return true;
    }
    ret->s1 = text;
    return outbox_pg_snapshot_parse(text, &xmin, &xmax);
}

int outbox_pg_position_frontier(const struct outbox_pg *s, struct pg *c, struct slice cursor,
                                struct buf *out, struct error *err)
{
    struct outbox_pg_cursor parsed;
    if (!parse(cursor, &parsed)) {
        return error_exit(
            err, ERROR_FATAL, EXIT_CODE_UNAVAILABLE, "postgres",
            "the stored cursor of pipeline %s is not one of mode: position, so it does not say what was delivered (was the mode changed?); look at `position show`, then `position set ... --yes`",
            s->env->pipeline);
    }
    outbox_pg_cursor_text(&parsed, out);
    return outbox_pg_demand_past(s, c, upper_end(&parsed), err);
}

bool outbox_pg_position_delivered(const struct outbox_pg *s, struct slice frontier, struct buf *out)
{
    const char *seq = s->table.column[OUTBOX_PG_SEQ].quoted;
    const char *xid = s->table.column[OUTBOX_PG_XID].quoted;
    struct outbox_pg_cursor c;
    if (!outbox_pg_cursor_parse(frontier, &c)) {
        return false;
    }
    buf_printf(out, "(pg_visible_in_snapshot(t.%s, '%.*s'::pg_snapshot)", xid, SLICE_FMT(c.s1));
    if (!slice_is_null(c.s2)) {
        buf_printf(out, " or (pg_visible_in_snapshot(t.%s, '%.*s'::pg_snapshot) and t.%s <= ", xid,
                   SLICE_FMT(c.s2), seq);
        outbox_pg_add_literal(out, c.last);
        buf_add_char(out, ')');
    }
    buf_add_char(out, ')');
    return true;
}

int outbox_pg_status_frontier(const struct outbox_pg *s, struct pg *c, struct slice cursor,
                              struct buf *out, struct error *err)
{
    (void)s, (void)cursor;
    struct pg_result *r = NULL;
    if (pg_query(c, "select now()", 0, NULL, &r, err)) {
        return RESULT_ERROR;
    }
    buf_add_str(out, DONE);
    buf_add_slice(out, pg_value(r, 0, 0));
    pg_result_free(r);
    return RESULT_DONE;
}

/* A row that somebody sets back to pending, and that is delivered once more, needs no replay. */
bool outbox_pg_status_delivered(const struct outbox_pg *s, struct slice frontier, struct buf *out)
{
    (void)s;
    size_t skip = sizeof DONE - 1;
    if (frontier.len <= skip || memcmp(frontier.ptr, DONE, skip) != 0) {
        return false;
    }
    buf_add_str(out, "(t.status = 'done' and coalesce(t.published_at <= ");
    pg_quote_literal(out, (struct slice){frontier.ptr + skip, frontier.len - skip});
    buf_add_str(out, "::timestamptz, true))");
    return true;
}
