/* Removes old claims from the inbox step by step. A step of PostgreSQL is a range of pages, one of
 * SQLite a range of the key, so each row is read once, and neither claims nor readers wait for
 * longer than a step takes. */
#include "cli/prune_inbox.h"

#include "base/clock.h"
#include "base/poll_set.h"
#include "cli/columns.h"
#include "cli/kit/interrupt.h"
#include "cli/kit/shell_text.h"
#include "cli/kit/source_url.h"
#include "db/pg.h"
#include "db/sqlite.h"
#include "schema/schema.h"
#include <inttypes.h>
#include <stdio.h>

/* A page of 8 KiB has no more rows than this (MaxHeapTuplesPerPage). A step is one page at least.
 */
enum { ROWS_OF_PAGE = 291 };
static const int64_t CONNECT_TIMEOUT_US = 5 * US_PER_SECOND;
static const int64_t READ_TIMEOUT_US = 30 * US_PER_SECOND;
static const int64_t PATIENCE_US = 10 * US_PER_SECOND; /* SQLite: for other writers, each step */

struct run {
    const struct prune_inbox *order;
    struct source_url url;
    int stop_fd;
    int64_t removed, looked_at;
    const char *unit; /* of looked_at */
    struct cli_progress progress;
    struct pg *pg;
    struct sqlite *db;
};

static void run_release(struct run *r)
{
    cli_progress_end(&r->progress);
    pg_close(r->pg);
    sqlite_close(r->db);
}

static const char *done(const struct run *r)
{
    return r->order->dry_run ? "would remove" : "removed";
}

/* After a step that removed so many claims; pauses if it did. True: a signal came. */
static bool step_ended(struct run *r, int64_t removed)
{
    int64_t until = clock_mono_us() + (removed > 0 && !r->order->dry_run ? r->order->pause_us : 0);
    r->removed += removed;
    cli_progress(&r->progress, "%s %" PRId64 " claims, looked at %" PRId64 " %s", done(r),
                 r->removed, r->looked_at, r->unit);
    while (!interrupted(r->stop_fd) && clock_mono_us() < until) {
        struct poll_set set;
        poll_set_clear(&set);
        poll_set_deadline(&set, until);
        poll_set_add(&set, r->stop_fd, POLLIN);
        poll_set_wait(&set);
    }
    return interrupted(r->stop_fd);
}

/* --- PostgreSQL --- */

static int take_pages(struct run *r, int64_t first, int64_t end, int64_t *ret_removed,
                      struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *answer = NULL;
    char from[24], to[24], age[24];
    const char *const params[] = {from, to, age, r->order->consumer};
    snprintf(from, sizeof from, "%" PRId64, first);
    snprintf(to, sizeof to, "%" PRId64, end);
    snprintf(age, sizeof age, "%" PRId64, r->order->older_than_us);
    if (pg_query(r->pg, r->order->dry_run ? schema_sql_inbox_count : schema_sql_inbox_prune, 4,
                 params, &answer, err)) {
        return RESULT_ERROR;
    }
    *ret_removed = r->order->dry_run ? pg_int(answer, 0, 0, 0) : (int64_t)pg_affected(answer);
    return RESULT_DONE;
}

/* *ret_pages: how many the table has. It may grow meanwhile, but what is added is new. */
static int open_postgres(struct run *r, int64_t *ret_pages, struct error *err)
{
    const struct pg_options options = {.url = r->url.text,
                                       .pipeline = "prune",
                                       .connect_timeout_us = CONNECT_TIMEOUT_US,
                                       .read_timeout_us = READ_TIMEOUT_US,
                                       .stop_fd = r->stop_fd};
    CLEANUP(pg_result_cleanup) struct pg_result *answer = NULL;
    if (pg_connect(&options, &r->pg, err) ||
        pg_query(r->pg, schema_sql_inbox_pages, 0, NULL, &answer, err)) {
        return RESULT_ERROR;
    }
    r->unit = "pages";
    *ret_pages = pg_int(answer, 0, 0, -1);
    return *ret_pages >= 0 ? RESULT_DONE
                           : error_set(err, ERROR_CONFIG, "postgres",
                                       "there is no table public.inbox: `commitrelay init "
                                       "--inbox` makes it");
}

static int run_postgres(struct run *r, struct error *err)
{
    int64_t step = r->order->batch / ROWS_OF_PAGE + 1, pages, removed;
    if (open_postgres(r, &pages, err)) {
        return RESULT_ERROR;
    }
    while (r->looked_at < pages) {
        int64_t end = r->looked_at + step < pages ? r->looked_at + step : pages;
        if (take_pages(r, r->looked_at, end, &removed, err)) {
            return RESULT_ERROR;
        }
        r->looked_at = end;
        if (step_ended(r, removed)) {
            return RESULT_AGAIN;
        }
    }
    return RESULT_DONE;
}

/* --- SQLite --- */

/* Where a step begins. */
struct place {
    struct buf consumer, event_id;
};

static void place_release(struct place *p)
{
    buf_release(&p->consumer);
    buf_release(&p->event_id);
}

static int open_sqlite(struct run *r, struct error *err)
{
    const struct sqlite_options options = {.path = r->url.text,
                                           .need_write = !r->order->dry_run,
                                           .patience_us = PATIENCE_US,
                                           .stop_fd = r->stop_fd};
    bool there;
    r->unit = "rows";
    if (sqlite_open(&options, &r->db, err) || sqlite_has_table(r->db, "inbox", &there, err)) {
        return RESULT_ERROR;
    }
    return there ? RESULT_DONE
                 : error_set(err, ERROR_CONFIG, "sqlite",
                             "\"%s\" has no table inbox: `commitrelay init --inbox` makes it",
                             r->url.text);
}

/* Prepares a statement whose first parameters say where the step begins and how long it is. */
static int prepare_step(struct run *r, const char *sql, const struct place *at,
                        struct sqlite_stmt **ret, struct error *err)
{
    if (sqlite_prepare(r->db, sql, ret, err)) {
        return RESULT_ERROR;
    }
    sqlite_bind_text(*ret, 1, buf_slice(&at->consumer));
    sqlite_bind_text(*ret, 2, buf_slice(&at->event_id));
    sqlite_bind_int(*ret, 3, r->order->batch);
    return RESULT_DONE;
}

static int take_rows(struct run *r, const struct place *at, int64_t *ret_removed, struct error *err)
{
    CLEANUP(sqlite_stmt_freep) struct sqlite_stmt *q = NULL;
    bool dry_run = r->order->dry_run, row;
    const char *sql = dry_run ? schema_sql_sqlite_inbox_count : schema_sql_sqlite_inbox_prune;
    if (prepare_step(r, sql, at, &q, err)) {
        return RESULT_ERROR;
    }
    sqlite_bind_int(q, 4, r->order->older_than_us);
    sqlite_bind_text(q, 5, slice_from(r->order->consumer));
    if (sqlite_step(q, &row, err)) {
        return RESULT_ERROR;
    }
    *ret_removed = dry_run ? sqlite_int(q, 0) : sqlite_changes(r->db);
    return RESULT_DONE;
}

/* *ret_more: there is something behind the step, and *ret is where it begins. */
static int find_next(struct run *r, const struct place *at, struct place *ret, bool *ret_more,
                     struct error *err)
{
    CLEANUP(sqlite_stmt_freep) struct sqlite_stmt *q = NULL;
    if (prepare_step(r, schema_sql_sqlite_inbox_next, at, &q, err) ||
        sqlite_step(q, ret_more, err)) {
        return RESULT_ERROR;
    }
    if (*ret_more) {
        buf_add_slice(&ret->consumer, sqlite_value(q, 0));
        buf_add_slice(&ret->event_id, sqlite_value(q, 1));
        *ret_more =
            !r->order->consumer || slice_equal_str(buf_slice(&ret->consumer), r->order->consumer);
    }
    return RESULT_DONE;
}

/* `at` moves to the next step, which is looked for while the rows of this one are still there. */
static int take_step(struct run *r, struct place *at, int64_t *ret_removed, bool *ret_more,
                     struct error *err)
{
    CLEANUP(place_release) struct place next = {0};
    bool writes = !r->order->dry_run;
    if ((writes && sqlite_begin(r->db, err)) || find_next(r, at, &next, ret_more, err) ||
        take_rows(r, at, ret_removed, err) || (writes && sqlite_commit(r->db, err))) {
        sqlite_rollback(r->db);
        return RESULT_ERROR;
    }
    struct place done_with = *at;
    *at = next;
    next = done_with;
    return RESULT_DONE;
}

static int run_sqlite(struct run *r, struct error *err)
{
    CLEANUP(place_release) struct place at = {0};
    bool more = true;
    if (open_sqlite(r, err)) {
        return RESULT_ERROR;
    }
    buf_add_str(&at.consumer, r->order->consumer ? r->order->consumer : "");
    while (more) {
        int64_t removed;
        if (take_step(r, &at, &removed, &more, err)) {
            return RESULT_ERROR;
        }
        r->looked_at += r->order->batch;
        if (step_ended(r, removed)) {
            return RESULT_AGAIN;
        }
    }
    return RESULT_DONE;
}

/* --- what is printed --- */

static int print_result(const struct run *r)
{
    CLEANUP(buf_release) struct buf out = {0};
    buf_printf(&out, "inbox: %s %" PRId64 " claims%s%s that are older than %s\n", done(r),
               r->removed, r->order->consumer ? " of consumer " : "",
               r->order->consumer ? r->order->consumer : "", r->order->older_than);
    return cli_show(buf_slice(&out));
}

static int print_interrupted(const struct run *r)
{
    CLEANUP(buf_release) struct buf out = {0}, command = {0};
    buf_printf(&out, "inbox: interrupted, %s %" PRId64 " claims. To go on:\n", done(r), r->removed);
    buf_add_str(&command, "commitrelay prune");
    shell_add_option(&command, "source", r->order->source);
    buf_add_str(&command, " --inbox");
    shell_add_option(&command, "consumer", r->order->consumer);
    shell_add_option(&command, "older-than", r->order->older_than);
    buf_printf(&command, " --batch %" PRId64, r->order->batch);
    shell_add_option(&command, "pause", r->order->pause);
    buf_add_str(&command, r->order->dry_run ? " --dry-run" : "");
    columns_command(&out, 4, buf_slice(&command));
    int rc = cli_show(buf_slice(&out));
    return rc ? rc : EXIT_CODE_GAVE_UP;
}

int prune_inbox(const struct cli_command *command, const struct prune_inbox *order)
{
    CLEANUP(run_release) struct run r = {.order = order, .stop_fd = -1};
    struct error err = {0};
    int rc = source_url_take(command, order->source, &r.url);
    if (rc) {
        return rc;
    }
    r.stop_fd = interrupt_open();
    rc = r.url.kind == SOURCE_KIND_POSTGRES ? run_postgres(&r, &err) : run_sqlite(&r, &err);
    cli_progress_end(&r.progress);
    if (rc && interrupted(r.stop_fd)) {
        return print_interrupted(&r);
    }
    if (rc && r.removed > 0 && !order->dry_run) {
        cli_warning("%" PRId64 " claims were removed before it failed", r.removed);
    }
    return rc ? cli_fail(&err) : print_result(&r);
}
