/* The commands of a walsender connection. Names are checked or quoted before they go into a
 * command, and every field of an answer is checked before it is used. */
#include "cdc/stream/internal.h"

#include "base/clock.h"
#include "base/digits.h"
#include "cdc/stream/lsn.h"

#include <stdio.h>

static int fail_answer(const char *command, struct error *err)
{
    return error_set(err, ERROR_FATAL, "postgres",
                     "PostgreSQL's answer to %s is not what the protocol says", command);
}

/* One row with at least so many columns that are not null. */
static bool has_row(const struct pg_result *r, size_t columns)
{
    if (!r || pg_rows(r) != 1) {
        return false;
    }
    for (size_t i = 0; i < columns; i++) {
        if (slice_is_null(pg_value(r, 0, i))) {
            return false;
        }
    }
    return true;
}

static bool read_number(struct slice text, uint64_t max, uint64_t *ret)
{
    return digits_parse(text, ret) && *ret <= max;
}

/* --- who is there --- */

int stream_identify(struct stream *s, struct stream_identity *ret, struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    if (pg_query(s->pg, "IDENTIFY_SYSTEM", 0, NULL, &r, err)) {
        if (error_is(err, PG_SYNTAX_ERROR)) {
            return error_set(
                err, ERROR_CONFIG, "postgres",
                "this is no replication connection although one was asked for: a connection pooler lies in between; name PostgreSQL's own host and port in the URL");
        }
        return RESULT_ERROR;
    }
    struct stream_identity id = {.server_version = pg_server_version(s->pg)};
    uint64_t timeline;
    if (!has_row(r, 4) || !read_number(pg_value(r, 0, 0), UINT64_MAX, &id.system_id) ||
        !read_number(pg_value(r, 0, 1), UINT32_MAX, &timeline) ||
        !lsn_parse(pg_value(r, 0, 2), &id.flush_lsn) ||
        pg_value(r, 0, 3).len >= sizeof id.database) {
        return fail_answer("IDENTIFY_SYSTEM", err);
    }
    id.timeline = (uint32_t)timeline;
    snprintf(id.database, sizeof id.database, "%.*s", SLICE_FMT(pg_value(r, 0, 3)));
    s->server_lsn = id.flush_lsn;
    *ret = id;
    return RESULT_DONE;
}

/* A history file has lines of "<timeline>\t<lsn>\t<reason>": this timeline ended at this LSN. */
bool stream_history_find(struct slice history, uint32_t from, uint64_t *ret_lsn)
{
    const char *p = history.ptr, *end = p + history.len;
    while (p < end) {
        const char *line_end = memchr(p, '\n', (size_t)(end - p));
        line_end = line_end ? line_end : end;
        const char *tab = memchr(p, '\t', (size_t)(line_end - p));
        if (tab) {
            const char *second = memchr(tab + 1, '\t', (size_t)(line_end - tab - 1));
            second = second ? second : line_end;
            uint64_t timeline, lsn;
            if (read_number((struct slice){p, (size_t)(tab - p)}, UINT32_MAX, &timeline) &&
                lsn_parse((struct slice){tab + 1, (size_t)(second - tab - 1)}, &lsn) &&
                timeline == from) {
                *ret_lsn = lsn;
                return true;
            }
        }
        p = line_end + 1;
    }
    return false;
}

int stream_switch_point(struct stream *s, uint32_t timeline, uint32_t from, uint64_t *ret_lsn,
                        struct error *err)
{
    if (from >= timeline) {
        *ret_lsn = 0; /* a timeline descends only from smaller ones, and the first has no history */
        return RESULT_DONE;
    }
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    char sql[40];
    snprintf(sql, sizeof sql, "TIMELINE_HISTORY %u", (unsigned)timeline);
    if (pg_query(s->pg, sql, 0, NULL, &r, err)) {
        if (error_is(err, PG_UNDEFINED_FILE)) {
            return error_exit(
                err, ERROR_CONFIG, EXIT_CODE_UNAVAILABLE, "postgres",
                "the server has no history file of its timeline %u: whether what was delivered from timeline %u is in it cannot be told; put the .history file back into pg_wal, or choose with `position set`",
                (unsigned)timeline, (unsigned)from);
        }
        return RESULT_ERROR;
    }
    if (!has_row(r, 2)) {
        return fail_answer("TIMELINE_HISTORY", err);
    }
    uint64_t lsn = 0;
    (void)stream_history_find(pg_value(r, 0, 1), from, &lsn);
    *ret_lsn = lsn;
    return RESULT_DONE;
}

/* --- slots --- */

int stream_check_slot(const char *slot, struct error *err)
{
    size_t n = strspn(slot, "abcdefghijklmnopqrstuvwxyz0123456789_");
    if (n < 1 || n > 63 || slot[n]) {
        return error_set(
            err, ERROR_CONFIG, "postgres",
            "slot name \"%.80s\": a slot's name has 1 to 63 characters out of a-z, 0-9 and _",
            slot);
    }
    return RESULT_DONE;
}

/* What an error of CREATE_REPLICATION_SLOT means for the operator. 55000 (not in prerequisite
 * state): a setting, or that the server is a standby, forbids it; the server's text says which. */
static int explain_create(const char *slot, int64_t waited_us, struct error *err)
{
    if (error_is(err, PG_TIMEOUT)) {
        error_set(
            err, ERROR_RETRY, "postgres",
            "creating slot %s waits for all transactions that write right now, and one did not end within %lld s (read_timeout): wait, or end it (pg_stat_activity, oldest xact_start)",
            slot, (long long)(waited_us / US_PER_SECOND));
        return error_code(err, PG_TIMEOUT);
    }
    if (error_is(err, PG_DUPLICATE_OBJECT)) { /* the next preflight finds out whose it is */
        error_set(err, ERROR_RETRY, "postgres",
                  "slot %s was made by somebody else since it was looked at", slot);
        return error_code(err, PG_DUPLICATE_OBJECT);
    }
    if (error_is(err, PG_NOT_IN_PREREQUISITE_STATE) || error_is(err, PG_FEATURE_NOT_SUPPORTED)) {
        err->class = ERROR_CONFIG;
        err->exit_code = EXIT_CODE_CONFIG;
    }
    return error_prefix(err, "cannot create slot %s", slot);
}

int stream_create_slot(struct stream *s, const char *slot, bool export_snapshot, bool temporary,
                       struct stream_slot *ret, struct error *err)
{
    if (stream_check_slot(slot, err)) {
        return RESULT_ERROR;
    }
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    CLEANUP(buf_release) struct buf sql = {0};
    bool parentheses = pg_server_version(s->pg) >= 150000;
    buf_printf(&sql, "CREATE_REPLICATION_SLOT \"%s\" %sLOGICAL pgoutput ", slot,
               temporary ? "TEMPORARY " : "");
    buf_add_str(&sql, parentheses ? export_snapshot ? "(SNAPSHOT 'export')" : "(SNAPSHOT 'nothing')"
                      : export_snapshot ? "EXPORT_SNAPSHOT"
                                        : "NOEXPORT_SNAPSHOT");
    if (pg_query(s->pg, buf_str(&sql), 0, NULL, &r, err)) {
        /* A CREATE_REPLICATION_SLOT that goes on would make its slot later, when nobody knows of
         * it. */
        pg_abandon(s->pg);
        return explain_create(slot, s->read_timeout_us, err);
    }
    struct stream_slot made = {0};
    struct slice snapshot = has_row(r, 2) ? pg_value(r, 0, 2) : SLICE_NULL;
    if (!has_row(r, 2) || !lsn_parse(pg_value(r, 0, 1), &made.consistent_lsn) ||
        snapshot.len >= sizeof made.snapshot || (export_snapshot && snapshot.len == 0)) {
        return fail_answer("CREATE_REPLICATION_SLOT", err);
    }
    snprintf(made.snapshot, sizeof made.snapshot, "%.*s", SLICE_FMT(snapshot));
    *ret = made;
    return RESULT_DONE;
}

int stream_drop_slot(struct stream *s, const char *slot, struct error *err)
{
    if (stream_check_slot(slot, err)) {
        return RESULT_ERROR;
    }
    char sql[100];
    snprintf(sql, sizeof sql, "DROP_REPLICATION_SLOT \"%s\"", slot);
    if (pg_query(s->pg, sql, 0, NULL, NULL, err)) {
        return error_prefix(err, "cannot drop slot %s", slot);
    }
    return RESULT_DONE;
}

/* --- start --- */

/* Protocol version 1 is the same in 14 to 18; version 2 adds transactions in progress. Not asked
 * for: two_phase (after a crash the server might send COMMIT PREPARED without the changes), binary
 * values, and a filter by origin. */
int stream_start_text(const struct stream_start *start, int server_version, struct buf *out,
                      struct error *err)
{
    CLEANUP(buf_release) struct buf name = {0};
    char lsn[LSN_TEXT_SIZE];
    if (stream_check_slot(start->slot, err) ||
        pg_quote_name(&name, slice_from(start->publication), err)) {
        return RESULT_ERROR;
    }
    if (server_version < 140000) {
        return error_set(err, ERROR_CONFIG, "postgres",
                         "PostgreSQL %d is too old: commitrelay needs version 14 or later",
                         server_version / 10000);
    }
    lsn_format(start->lsn, lsn);
    buf_printf(out, "START_REPLICATION SLOT \"%s\" LOGICAL %s (proto_version '%d'", start->slot,
               lsn, start->streaming ? 2 : 1);
    buf_add_str(out, ", publication_names ");
    pg_quote_literal(out, buf_slice(&name));
    buf_add_str(out, start->messages ? ", messages 'true'" : "");
    buf_add_str(out, start->streaming ? ", streaming 'on'" : "");
    buf_add_char(out, ')');
    return RESULT_DONE;
}

/* transaction_timeout (since 17) is switched off: a role's setting would end the decoding of a
 * large transaction. libpq's input buffer stays at 16 KiB: with more than 32 KiB, pqReadData goes
 * on reading for as long as anything comes, a packet at a time, and each packet wakes the server.
 * (A large message makes the buffer grow all the same.) */
int stream_prepare(struct stream *s, int64_t *ret_timeout_us, struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    bool has_timeout = pg_server_version(s->pg) >= 170000;
    CLEANUP(buf_release) struct buf sql = {0};
    buf_add_str(&sql, has_timeout ? "SET transaction_timeout = 0; " : "");
    buf_add_str(&sql,
                "SELECT setting FROM pg_catalog.pg_settings WHERE name = 'wal_sender_timeout'");
    if (pg_query(s->pg, buf_str(&sql), 0, NULL, &r, err)) {
        return error_prefix(err, "cannot prepare the replication session");
    }
    uint64_t ms;
    if (!has_row(r, 1) || !read_number(pg_value(r, 0, 0), INT32_MAX, &ms)) {
        return fail_answer("SELECT wal_sender_timeout", err);
    }
    *ret_timeout_us = (int64_t)ms * US_PER_MS;
    return RESULT_DONE;
}
