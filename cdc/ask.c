/* Asks a pipeline's relay for a snapshot, through the stream: the request is committed with the
 * database's own changes, and the slot keeps it for the relay, also for one that does not run now.
 */
#include "cdc/internal.h"
#include "cdc/signal.h"

/* The message would be lost where no slot keeps it. *ret_read: a relay reads the slot now. */
static int look_at_slot(const struct cdc_source *s, struct pg *sql, bool *ret_read,
                        struct error *err)
{
    struct pg_result *r = NULL;
    if (pg_query(sql,
                 "select active, coalesce(wal_status, '') from pg_catalog.pg_replication_slots"
                 " where slot_name = $1",
                 1, (const char *const[]){s->slot}, &r, err)) {
        return RESULT_ERROR;
    }
    bool there = pg_rows(r) > 0, lost = there && slice_equal_str(pg_value(r, 0, 1), "lost");
    *ret_read = there && pg_true(r, 0, 0);
    pg_result_free(r);
    if (lost) {
        return error_exit(
            err, ERROR_FATAL, EXIT_CODE_UNAVAILABLE, "cdc",
            "slot \"%s\" is lost, so no relay would see the request: see `commitrelay "
            "check --connect`",
            s->slot);
    }
    return there ? RESULT_DONE
                 : error_set(err, ERROR_CONFIG, "cdc",
                             "there is no slot \"%s\", which would keep the request: start the "
                             "pipeline first",
                             s->slot);
}

/* A snapshot that could not be read is refused now, not when the relay comes to it. */
static int check(struct cdc_source *s, const struct source_signal *what, struct error *err)
{
    struct snapshot_requests list = {0};
    struct snapshot_options opt = cdc_snapshot_options(s);
    if (!snapshot_requests_add(&list, slice_from(what->tables), slice_from(what->id),
                               slice_from(what->where), 0, 0)) {
        return error_set(err, ERROR_CONFIG, "cdc",
                         "the condition is longer than the %d bytes that a request may have",
                         SNAPSHOT_REQUESTS_BYTES / 3);
    }
    opt.request = &list.items[0];
    int rc = snapshot_check(&opt, err);
    snapshot_requests_release(&list);
    return rc;
}

static int emit(const struct cdc_source *s, struct pg *sql, const struct source_signal *what,
                struct buf *said, struct error *err)
{
    static const enum signal_type types[] = {[SOURCE_SNAPSHOT_EXECUTE] = SIGNAL_EXECUTE,
                                             [SOURCE_SNAPSHOT_STOP] = SIGNAL_STOP,
                                             [SOURCE_SNAPSHOT_PAUSE] = SIGNAL_PAUSE,
                                             [SOURCE_SNAPSHOT_RESUME] = SIGNAL_RESUME};
    CLEANUP(buf_release) struct buf content = {0};
    struct pg_result *r = NULL;
    signal_write(s->slot, what->id, types[what->act], what->tables, what->where, &content);
    int rc = pg_query(
        sql, "select pg_catalog.pg_logical_emit_message(true, '" SIGNAL_PREFIX "', $1::text)", 1,
        (const char *const[]){buf_str(&content)}, &r, err);
    if (rc == RESULT_DONE) {
        buf_add_slice(said, pg_value(r, 0, 0));
    }
    pg_result_free(r);
    return rc ? error_prefix(err, "the request cannot be written to the WAL") : RESULT_DONE;
}

int cdc_signal(void *source, const struct source_signal *what, struct buf *ret_said,
               struct error *err)
{
    struct cdc_source *s = source;
    struct pg *sql = NULL;
    bool is_read = false;
    if (s->conf->as != CDC_AS_CHANGES) {
        return error_set(
            err, ERROR_CONFIG, "cdc",
            "pipeline %s sends the rows of an outbox (as: outbox), of which no snapshot "
            "can be asked for: `commitrelay replay` sends them again",
            s->env->pipeline);
    }
    if (cdc_connect_sql(s, &sql, err)) {
        return RESULT_ERROR;
    }
    int rc = look_at_slot(s, sql, &is_read, err);
    rc = rc || what->act != SOURCE_SNAPSHOT_EXECUTE ? rc : check(s, what, err);
    rc = rc ? rc : emit(s, sql, what, ret_said, err);
    pg_close(sql);
    if (rc == RESULT_DONE && !is_read) {
        buf_add_str(ret_said, "; no relay reads this pipeline now: it is obeyed when one does");
    }
    return rc;
}
