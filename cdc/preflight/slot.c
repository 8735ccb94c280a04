/* Asks the server about the slot, before a start and while it is read; creates the slot. */
#include "cdc/preflight/internal.h"

#include "schema/schema.h"

static const char *const wal_status_names[] = {
    [WAL_UNKNOWN] = "",          [WAL_RESERVED] = "reserved",
    [WAL_EXTENDED] = "extended", [WAL_UNRESERVED] = "unreserved",
    [WAL_LOST] = "lost",         [WAL_SLOT_MISSING] = "missing", /* what slot_state_send calls it */
};

const char *wal_status_name(enum wal_status status)
{
    return wal_status_names[status];
}

static enum wal_status wal_status_of(struct slice name)
{
    enum wal_status status = WAL_SLOT_MISSING;
    while (status > WAL_UNKNOWN && !slice_equal_str(name, wal_status_names[status])) {
        status--;
    }
    return status;
}

/* --- before a start --- */

/* Where the server's version lacks a column, a constant takes its place. */
static void look_sql(struct buf *sql, int version)
{
    buf_printf(sql,
               "select s.plugin, s.slot_type = 'logical', s.database, s.active,"
               " s.two_phase, %s, s.active_pid, coalesce(a.application_name, ''),"
               " coalesce(s.wal_status, ''), %s, s.confirmed_flush_lsn,"
               " pg_wal_lsn_diff(case when pg_is_in_recovery() then pg_last_wal_replay_lsn()"
               "  else pg_current_wal_lsn() end, s.restart_lsn)::bigint"
               " from pg_replication_slots s left join pg_stat_activity a on a.pid = s.active_pid"
               " where s.slot_name = $1",
               version >= 170000 ? "s.synced" : "false",
               version >= 170000 ? "coalesce(s.invalidation_reason, '')"
               : version >= 160000
                   ? "case when s.conflicting then 'conflict with recovery' else '' end"
                   : "''");
}

int slot_look(struct pg *sql, const char *slot, struct slot_facts *ret, struct error *err)
{
    CLEANUP(buf_release) struct buf text = {0};
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    look_sql(&text, pg_server_version(sql));
    if (pg_query(sql, buf_str(&text), 1, &slot, &r, err)) {
        return error_prefix(err, "replication slot %s", slot);
    }
    struct slot_facts s = {.there = pg_rows(r) > 0, .retained_bytes = -1};
    if (s.there) {
        s.logical = pg_true(r, 0, 1);
        s.active = pg_true(r, 0, 3);
        s.two_phase = pg_true(r, 0, 4);
        s.synced = pg_true(r, 0, 5);
        s.pid = (int)pg_int(r, 0, 6, 0);
        s.being_made = s.active && slice_is_null(pg_value(r, 0, 10));
        s.confirmed = value_lsn(r, 0, 10);
        s.retained_bytes = pg_int(r, 0, 11, -1);
        copy_value(r, 0, 0, s.plugin, sizeof s.plugin);
        copy_value(r, 0, 2, s.database, sizeof s.database);
        copy_value(r, 0, 7, s.application, sizeof s.application);
        s.wal_status = wal_status_of(pg_value(r, 0, 8));
        copy_value(r, 0, 9, s.reason, sizeof s.reason);
    }
    *ret = s;
    return RESULT_DONE;
}

/* --- making it --- */

/* Appends to the error the oldest transaction that the creation of the slot waits for. */
static void name_blocker(struct pg *sql, struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    struct error ignored;
    size_t used = strlen(err->text);
    if (pg_query(sql, schema_sql_slot_blocker, 0, NULL, &r, &ignored) || pg_rows(r) == 0) {
        return;
    }
    snprintf(err->text + used, sizeof err->text - used, "; the oldest is %.*s",
             SLICE_FMT(pg_value(r, 0, 0)));
}

/* The relay gave up waiting for the slot, but the command still runs in the server. It would create
 * a slot that nobody reads and that keeps WAL for ever. So the session is ended, if it is this
 * pipeline's and is still making the slot. */
static void end_making(const struct preflight *p)
{
    struct error ignored;
    char application[64];
    snprintf(application, sizeof application, "commitrelay %s", p->pipeline);
    const char *params[] = {p->slot, application};
    if (pg_query(p->sql,
                 "select pg_terminate_backend(s.active_pid) from pg_replication_slots s"
                 " join pg_stat_activity a on a.pid = s.active_pid where s.slot_name = $1"
                 " and s.confirmed_flush_lsn is null and a.application_name = $2",
                 2, params, NULL, &ignored)) {
        return; /* the next start finds the slot and says so */
    }
}

static int explain_full(struct error *err)
{
    error_set(
        err, ERROR_RETRY, "postgres",
        "all replication slots are in use (max_replication_slots): drop one that nobody needs (SELECT slot_name, active FROM pg_replication_slots; SELECT pg_drop_replication_slot('...')), or raise it (ALTER SYSTEM SET max_replication_slots = ..., then restart the server)");
    return error_code(err, PG_CONFIGURATION_LIMIT_EXCEEDED);
}

int slot_make(const struct preflight *p, bool export_snapshot, struct stream_slot *ret,
              struct error *err)
{
    if (stream_create_slot(p->stream, p->slot, export_snapshot, false, ret, err) == RESULT_DONE) {
        return RESULT_DONE;
    }
    if (error_is(err, PG_CONFIGURATION_LIMIT_EXCEEDED)) {
        return explain_full(err);
    }
    if (error_is(err, PG_TIMEOUT)) {
        name_blocker(p->sql, err);
    }
    if (error_is(err, PG_TIMEOUT) || error_is(err, PG_STOPPED)) {
        end_making(p);
    }
    return RESULT_ERROR;
}

/* --- while it is read --- */

int slot_state_send(struct pg *sql, const char *slot, const char *publication, struct error *err)
{
    CLEANUP(buf_release) struct buf text = {0};
    int version = pg_server_version(sql);
    buf_printf(&text,
               "select coalesce(pg_wal_lsn_diff(c.lsn, s.restart_lsn)::bigint, 0),"
               " (select case when setting::bigint < 0 then -1 else setting::bigint * 1048576 end"
               "  from pg_settings where name = 'max_slot_wal_keep_size'),"
               " coalesce(s.wal_status, case when s.slot_name is null then"
               "  'missing' else '' end), %s, s.confirmed_flush_lsn, c.lsn,"
               " exists (select from pg_publication where pubname = $2),"
               " case when pg_is_in_recovery() then 0"
               "  else ('x' || substr(pg_walfile_name(c.lsn), 1, 8))::bit(32)::bigint end"
               " from (select case when pg_is_in_recovery() then pg_last_wal_replay_lsn()"
               "  else pg_current_wal_flush_lsn() end as lsn) c"
               " left join pg_replication_slots s on s.slot_name = $1",
               version >= 170000   ? "coalesce(s.invalidation_reason, '')"
               : version >= 160000 ? "case when s.conflicting then 'conflict with recovery'"
                                     " else '' end"
                                   : "''");
    return pg_send(sql, buf_str(&text), 2, (const char *const[]){slot, publication}, false, err);
}

enum { END_WAIT_US = 500000 };

/* Mostly the end of a statement comes in the same packet as its row. If not, it is waited for here,
 * so that the connection is idle again when the answer is used. */
int answer_end(struct pg *sql, struct error *err)
{
    int64_t until = clock_mono_us() + END_WAIT_US;
    while (pg_busy(sql)) {
        CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
        int rc = pg_take(sql, &r, err);
        if (rc == RESULT_ERROR) {
            return RESULT_ERROR;
        }
        if (rc == RESULT_AGAIN) {
            if (clock_mono_us() >= until) {
                return error_set(err, ERROR_RETRY, "postgres",
                                 "PostgreSQL sent half an answer and then nothing");
            }
            struct poll_set set;
            poll_set_clear(&set);
            pg_poll_fds(sql, &set);
            poll_set_deadline(&set, until);
            (void)poll_set_wait(&set);
        }
    }
    return RESULT_DONE;
}

int slot_state_take(struct pg *sql, struct slot_state *ret, struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    int rc = pg_take(sql, &r, err);
    if (rc < 0 && pg_alive(sql)) {
        struct error ignored; /* the failure of the statement is told, whatever its end brings */
        (void)!answer_end(sql, &ignored);
    }
    if (rc) {
        return rc;
    }
    if (!r || pg_rows(r) != 1) {
        return error_set(err, ERROR_FATAL, "postgres",
                         "asked about the slot, PostgreSQL answered with no row");
    }
    struct slot_state s = {.retained_bytes = pg_int(r, 0, 0, 0),
                           .limit_bytes = pg_int(r, 0, 1, -1),
                           .wal_status = wal_status_of(pg_value(r, 0, 2)),
                           .confirmed = value_lsn(r, 0, 4),
                           .current = value_lsn(r, 0, 5),
                           .publication_there = pg_true(r, 0, 6),
                           .timeline = (uint32_t)pg_int(r, 0, 7, 0)};
    copy_value(r, 0, 3, s.invalidation, sizeof s.invalidation);
    if (answer_end(sql, err)) {
        return RESULT_ERROR;
    }
    *ret = s;
    return RESULT_DONE;
}
