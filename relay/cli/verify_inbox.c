/* Reads pages by the primary key, so that no statement, lock or result is a large one. */
#include "cli/verify_inbox.h"

#include "base/clock.h"
#include "cli/kit/interrupt.h"
#include "db/pg.h"
#include "db/sqlite.h"
#include <stdlib.h>

enum { PAGE = 5000 };

static int give(const struct sink_reading *r, struct slice id, int64_t received_us,
                struct error *err)
{
    const struct sink_copy copy = {.id = id,
                                   .payload = SLICE_NULL,
                                   .created_us = TIME_NONE,
                                   .by_us = received_us,
                                   .place = "in the inbox",
                                   .number = SINK_NO_NUMBER};
    return r->take(r->ctx, &copy, err);
}

static int check_stop(const struct verify_inbox *from, struct error *err)
{
    return interrupted(from->stop_fd) ? error_set(err, ERROR_RETRY, "verify", "it was interrupted")
                                      : RESULT_DONE;
}

/* One page behind `last`, which becomes the last id of the page. */
static int page_postgres(const struct verify_inbox *from, struct pg *c,
                         const struct sink_reading *r, struct buf *last, size_t *ret_count,
                         struct error *err)
{
    static const char sql[] =
        "select event_id, (extract(epoch from received_at) * 1000000)::bigint from public.inbox "
        "where consumer = $1 and event_id > $2 order by event_id limit 5000";
    CLEANUP(pg_result_cleanup) struct pg_result *rows = NULL;
    const char *const params[] = {from->consumer, buf_str(last)};
    if (pg_query(c, sql, 2, params, &rows, err)) {
        return RESULT_ERROR;
    }
    *ret_count = pg_rows(rows);
    for (size_t i = 0; i < *ret_count; i++) {
        if (give(r, pg_value(rows, i, 0), pg_int(rows, i, 1, TIME_NONE), err)) {
            return RESULT_ERROR;
        }
    }
    if (*ret_count > 0) {
        buf_clear(last);
        buf_add_slice(last, pg_value(rows, *ret_count - 1, 0));
    }
    return RESULT_DONE;
}

static int read_postgres(const struct verify_inbox *from, const struct sink_reading *r,
                         struct error *err)
{
    const struct pg_options options = {.url = from->url,
                                       .pipeline = from->consumer,
                                       .connect_timeout_us = from->connect_timeout_us,
                                       .read_timeout_us = from->read_timeout_us,
                                       .stop_fd = from->stop_fd};
    CLEANUP(buf_release) struct buf last = {0};
    struct pg *c = NULL;
    size_t count = PAGE;
    int rc = pg_connect(&options, &c, err);
    while (rc == RESULT_DONE && count == PAGE) {
        rc = page_postgres(from, c, r, &last, &count, err) || check_stop(from, err) ? RESULT_ERROR
                                                                                    : RESULT_DONE;
    }
    pg_close(c);
    return rc;
}

static int page_sqlite(const struct verify_inbox *from, struct sqlite_stmt *q,
                       const struct sink_reading *r, struct buf *last, size_t *ret_count,
                       struct error *err)
{
    CLEANUP(buf_release) struct buf from_id = {0};
    bool row;
    buf_add_slice(&from_id, buf_slice(last));
    sqlite_bind_text(q, 1, slice_from(from->consumer));
    sqlite_bind_text(q, 2, buf_slice(&from_id));
    *ret_count = 0;
    for (;;) {
        if (sqlite_step(q, &row, err)) {
            return RESULT_ERROR;
        }
        if (!row) {
            return RESULT_DONE;
        }
        int64_t received;
        if (!clock_parse_timestamp(sqlite_value(q, 1), &received)) {
            received = TIME_NONE;
        }
        buf_clear(last);
        buf_add_slice(last, sqlite_value(q, 0));
        if (give(r, sqlite_value(q, 0), received, err)) {
            sqlite_reset(q);
            return RESULT_ERROR;
        }
        ++*ret_count;
    }
}

static int read_sqlite(const struct verify_inbox *from, const struct sink_reading *r,
                       struct error *err)
{
    static const char sql[] = "SELECT event_id, received_at FROM inbox WHERE consumer = ?1 AND "
                              "event_id > ?2 ORDER BY event_id LIMIT 5000";
    const struct sqlite_options options = {.path = sqlite_url_path(from->url),
                                           .patience_us = from->read_timeout_us,
                                           .stop_fd = from->stop_fd};
    CLEANUP(buf_release) struct buf last = {0};
    struct sqlite *db = NULL;
    struct sqlite_stmt *q = NULL;
    size_t count = PAGE;
    int rc = sqlite_open(&options, &db, err) || sqlite_prepare(db, sql, &q, err) ? RESULT_ERROR
                                                                                 : RESULT_DONE;
    while (rc == RESULT_DONE && count == PAGE) {
        rc = page_sqlite(from, q, r, &last, &count, err) || check_stop(from, err) ? RESULT_ERROR
                                                                                  : RESULT_DONE;
    }
    sqlite_stmt_free(q);
    sqlite_close(db);
    return rc;
}

int verify_inbox_read(const struct verify_inbox *from, const struct sink_reading *r,
                      struct error *err)
{
    int rc = sqlite_url_path(from->url) ? read_sqlite(from, r, err) : read_postgres(from, r, err);
    return rc ? error_prefix(err, "the inbox of consumer %s", from->consumer) : RESULT_DONE;
}
