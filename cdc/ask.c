/* Asks a pipeline's relay for a snapshot, through the stream: the request is committed with the
 * database's own changes, and the slot keeps it for the relay, also for one that does not run now.
 */
#include "cdc/internal.h"
#include "cdc/signal.h"
#include "db/pg.h"

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

static enum signal_type type_of(const struct source_signal *what)
{
    static const enum signal_type types[] = {[SOURCE_SNAPSHOT_EXECUTE] = SIGNAL_EXECUTE,
                                             [SOURCE_SNAPSHOT_STOP] = SIGNAL_STOP,
                                             [SOURCE_SNAPSHOT_PAUSE] = SIGNAL_PAUSE,
                                             [SOURCE_SNAPSHOT_RESUME] = SIGNAL_RESUME};
    return types[what->act];
}

static bool has_table(const struct cdc_source *s)
{
    return s->conf->signal_table && s->conf->signal_table[0];
}

static int emit(const struct cdc_source *s, struct pg *sql, const struct source_signal *what,
                struct buf *said, struct error *err)
{
    CLEANUP(buf_release) struct buf content = {0};
    struct pg_result *r = NULL;
    signal_write(s->slot, what->id, type_of(what), what->tables, &content);
    int rc = pg_query(
        sql, "select pg_catalog.pg_logical_emit_message(true, '" SIGNAL_PREFIX "', $1::text)", 1,
        (const char *const[]){buf_str(&content)}, &r, err);
    if (rc == RESULT_DONE) {
        buf_printf(said, "at %.*s of the WAL", SLICE_FMT(pg_value(r, 0, 0)));
    }
    pg_result_free(r);
    return rc ? error_prefix(err, "the request cannot be written to the WAL") : RESULT_DONE;
}

static int insert(const struct cdc_source *s, struct pg *sql, const struct source_signal *what,
                  struct buf *said, struct error *err)
{
    CLEANUP(buf_release) struct buf text = {0}, data = {0};
    buf_add_str(&text, "insert into ");
    if (pg_quote_table(&text, s->conf->signal_table, err)) {
        return RESULT_ERROR;
    }
    buf_add_str(&text, " (id, type, data) values ($1, $2, $3)");
    signal_write_data(what->tables, what->where, &data);
    if (pg_query(sql, buf_str(&text), 3,
                 (const char *const[]){what->id, signal_type_name(type_of(what)), buf_str(&data)},
                 NULL, err)) {
        return error_prefix(err, "the request cannot be written to source.signal_table %s",
                            s->conf->signal_table);
    }
    buf_printf(said, "by a row of %s", s->conf->signal_table);
    return RESULT_DONE;
}

/* Anybody who connects may write a message, so the relay takes no predicate from one (signal.h). */
static int refuse_predicate(const struct cdc_source *s, const struct source_signal *what,
                            struct error *err)
{
    if (!what->where[0] || has_table(s)) {
        return RESULT_DONE;
    }
    return error_set(err, ERROR_CONFIG, "cdc",
                     "a condition needs source.signal_table, whose grants say who may let the "
                     "relay's role evaluate one: CREATE TABLE signal (id text PRIMARY KEY, type "
                     "text NOT NULL, data text); ALTER PUBLICATION %s ADD TABLE signal; and "
                     "signal_table: public.signal",
                     s->publication);
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
    if (refuse_predicate(s, what, err) || cdc_connect_sql(s, &sql, err)) {
        return RESULT_ERROR;
    }
    int rc = look_at_slot(s, sql, &is_read, err);
    rc = rc || what->act != SOURCE_SNAPSHOT_EXECUTE ? rc : check(s, what, err);
    rc = rc             ? rc
         : has_table(s) ? insert(s, sql, what, ret_said, err)
                        : emit(s, sql, what, ret_said, err);
    pg_close(sql);
    if (rc == RESULT_DONE && !is_read) {
        buf_add_str(ret_said, "; no relay reads this pipeline now: it is obeyed when one does");
    }
    return rc;
}
