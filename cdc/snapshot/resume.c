/* The steps of an interrupted snapshot: watermark, lock, snapshot S, chunk, watermark. resume.h
 * explains them, and why no row is missing or goes back to an older state. */
#include "cdc/snapshot/resume.h"

#include "base/fault.h"
#include "base/memory.h"
#include "cdc/snapshot/bare.h"
#include "cdc/snapshot/read.h"
#include "cdc/snapshot/shape.h"
#include "cdc/snapshot/standby.h"
#include "cdc/snapshot/visible.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

enum {
    CHUNK_ROWS_FIRST = 1000,
    CHUNK_ROWS_MIN = 10,
    CHUNK_ROWS_MAX = 50000,
    NONCE_SIZE = 17,
    WATERMARK_SIZE = 48
};

static const int64_t RETRY_US = 5 * US_PER_MS;         /* pause before S is taken again */
static const int64_t OLD_GRACE_US = 5 * US_PER_SECOND; /* see the header */

enum state {
    /* The stream goes on until it shows the watermark: */
    EMITTING,  /* the watermark is being written */
    STREAMING, /* it was written; wait until the stream shows it */
    /* From here on the stream stands still: */
    GIVING,      /* rows of the window are given out */
    BEGINNING,   /* the transaction of the next chunk begins */
    LOCKING,     /* its table is being locked */
    COMPARING,   /* S is taken, and compared with what was streamed */
    GIVING_BACK, /* S does not see all of it: the transaction is rolled back, then BEGINNING */
    BOUNDING,    /* with a predicate: the end of the next range of keys is asked for */
    READING,     /* rows come into the window */
    ENDING,      /* the transaction is ended, then EMITTING */
    OVER
};

struct snapshot_resume {
    const struct snapshot_options *opt;
    const struct snapshot_plan *plan;
    struct pg *sql;
    struct snapshot_bare *bare; /* the tables without a key; NULL when they are over */
    enum state state;
    struct snapshot_rest rest;
    struct pg_result *answer; /* of the statement under way */
    struct buf statement;

    char nonce[NONCE_SIZE];
    uint64_t number; /* of the newest watermark */
    bool shown;      /* the stream has shown that watermark */

    struct visible seen; /* what the last snapshot saw */
    bool seen_known;
    struct xids streamed; /* transactions streamed since then, which it does not see */
    uint32_t begun;       /* the transaction that the stream began last */
    uint32_t
        first; /* xid of our first watermark; the process before us may have streamed older ones */
    int64_t patient_until_us,
        retry_at_us; /* monotonic; patient_until_us 0: no S was compared yet */

    struct snapshot_window window;
    size_t limit;             /* rows of the next chunk */
    bool full;                /* the window took no more */
    bool bounded;             /* with a predicate: `upto` is the end of the range, which is not the
                                 end of the table */
    bool last_chunk;          /* of its table */
    struct snapshot_key upto; /* the chunk's last key: mostly of the window's last row as read */
};

/* --- opening --- */

/* Passes over tables without a key: they have no window, and bare.c has given them by now. The
 * state is OVER when no table is left. */
static bool any_left(struct snapshot_resume *r)
{
    while (r->rest.table < r->plan->count && r->plan->tables[r->rest.table].table->key_count == 0) {
        r->rest.table++;
        snapshot_key_clear(&r->rest.after);
    }
    r->state = r->rest.table == r->plan->count ? OVER : r->state;
    return r->state != OVER;
}

static int send_text(struct snapshot_resume *r, const char *sql, struct error *err)
{
    return pg_send(r->sql, sql, 0, NULL, false, err);
}

static int emit(struct snapshot_resume *r, struct error *err)
{
    char text[160];
    r->state = EMITTING;
    r->shown = false;
    r->number++;
    snprintf(text, sizeof text,
             "select pg_catalog.pg_logical_emit_message(true, '" SNAPSHOT_WATERMARK_PREFIX
             "', '%s:%llu')",
             r->nonce, (unsigned long long)r->number);
    return send_text(r, text, err);
}

/* Takes a first snapshot. Transactions that it sees need not be compared later. */
static int look_at_running(struct snapshot_resume *r, struct error *err)
{
    struct pg_result *now = NULL;
    if (pg_query(r->sql, "select pg_current_snapshot()", 0, NULL, &now, err)) {
        return RESULT_ERROR;
    }
    r->seen_known = pg_rows(now) == 1 && visible_parse(&r->seen, pg_value(now, 0, 0));
    pg_result_free(now);
    return RESULT_DONE;
}

static bool nothing_left(const struct snapshot_resume *r, bool bare_done)
{
    size_t i = r->rest.table;
    while (i < r->plan->count && bare_done && r->plan->tables[i].table->key_count == 0) {
        i++;
    }
    return i == r->plan->count;
}

static int open_all(struct snapshot_resume *r, bool bare_done, struct error *err)
{
    uint64_t random;
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random) {
        random = (uint64_t)clock_mono_us() ^ (uint64_t)clock_wall_us() << 20;
    }
    snprintf(r->nonce, sizeof r->nonce, "%016llx", (unsigned long long)random);
    if (snapshot_connect(r->opt, &r->sql, err) || look_at_running(r, err) ||
        (!nothing_left(r, bare_done) && snapshot_standby_judge(r->opt, r->sql, err)) ||
        (!bare_done && snapshot_bare_open(r->opt, r->plan, r->rest.table, &r->bare, err))) {
        return RESULT_ERROR;
    }
    return r->bare || any_left(r) ? emit(r, err) : RESULT_DONE;
}

int snapshot_resume_open(const struct snapshot_options *opt, const struct snapshot_plan *plan,
                         const struct snapshot_rest *rest, bool bare_done,
                         struct snapshot_resume **ret, struct error *err)
{
    struct snapshot_resume *r = memory_need(calloc(1, sizeof *r));
    r->opt = opt;
    r->plan = plan;
    r->rest.table = rest->table;
    r->limit = CHUNK_ROWS_FIRST;
    snapshot_key_copy(&r->rest.after, &rest->after);
    window_init(&r->window);
    if (open_all(r, bare_done, err)) {
        snapshot_resume_close(r);
        return RESULT_ERROR;
    }
    *ret = r;
    return RESULT_DONE;
}

void snapshot_resume_close(struct snapshot_resume *r)
{
    if (!r) {
        return;
    }
    pg_close(r->sql);
    snapshot_bare_close(r->bare);
    pg_result_free(r->answer);
    snapshot_key_release(&r->rest.after);
    snapshot_key_release(&r->upto);
    buf_release(&r->statement);
    visible_release(&r->seen);
    xids_release(&r->streamed);
    window_release(&r->window);
    free(r);
}

/* --- the snapshot S --- */

static const struct snapshot_table *table_now(const struct snapshot_resume *r)
{
    return &r->plan->tables[r->rest.table];
}

/* Does S see every transaction that was streamed, also by the process before us? If so, the list of
 * streamed transactions is emptied: later ones are compared with S. */
static bool sees_all(struct snapshot_resume *r)
{
    int64_t now = clock_mono_us();
    r->patient_until_us = r->patient_until_us ? r->patient_until_us : now + OLD_GRACE_US;
    for (size_t i = 0; i < r->streamed.count; i++) {
        if (!visible_has(&r->seen, r->streamed.items[i])) {
            return false;
        }
    }
    for (size_t i = 0; now < r->patient_until_us && i < r->seen.count; i++) {
        if (xid_before(r->seen.running[i], r->first)) {
            return false;
        }
    }
    r->streamed.count = 0;
    return true;
}

static int begin(struct snapshot_resume *r, struct error *err)
{
    r->state = BEGINNING;
    return send_text(r, "begin isolation level repeatable read read only", err);
}

static int lock(struct snapshot_resume *r, struct error *err)
{
    r->state = LOCKING;
    buf_clear(&r->statement);
    buf_printf(&r->statement, "lock table %.*s in access share mode",
               SLICE_FMT(table_now(r)->name));
    return send_text(r, buf_str(&r->statement), err);
}

static int take_snapshot(struct snapshot_resume *r, struct error *err)
{
    r->state = COMPARING;
    snapshot_shape_statement(table_now(r), &r->statement);
    return send_text(r, buf_str(&r->statement), err);
}

/* Rows that a predicate wants may be rare: looking for a chunk full of them could read the whole
 * table while the stream stands still. So the chunk is a range of keys that holds `limit` rows,
 * wanted or not. */
static int find_bound(struct snapshot_resume *r, struct error *err)
{
    const char *params[SNAPSHOT_KEY_MAX];
    r->state = BOUNDING;
    snapshot_key_values(&r->rest.after, params);
    snapshot_plan_bound(table_now(r), &r->rest.after, r->limit, &r->statement);
    return pg_send(r->sql, buf_str(&r->statement), r->rest.after.count, params, false, err);
}

static void take_bound(struct snapshot_resume *r)
{
    snapshot_key_clear(&r->upto);
    r->bounded = r->answer && pg_rows(r->answer) > 0;
    for (size_t i = 0; r->bounded && i < table_now(r)->table->key_count; i++) {
        snapshot_key_add(&r->upto, pg_value(r->answer, 0, i));
    }
}

static int read_chunk(struct snapshot_resume *r, struct error *err)
{
    const char *params[2 * SNAPSHOT_KEY_MAX];
    size_t n = r->rest.after.count;
    r->state = READING;
    r->full = false;
    window_open(&r->window, table_now(r));
    snapshot_key_values(&r->rest.after, params);
    if (r->bounded) {
        snapshot_key_values(&r->upto, params + n);
        n += r->upto.count;
    }
    snapshot_plan_rows(table_now(r), &r->rest.after, r->bounded ? &r->upto : NULL, r->limit,
                       &r->statement);
    return pg_send(r->sql, buf_str(&r->statement), n, params, true, err);
}

static int compare(struct snapshot_resume *r, struct error *err)
{
    bool answered = r->answer && pg_rows(r->answer) == 1;
    struct slice text = answered ? pg_value(r->answer, 0, 0) : SLICE_NULL;
    r->seen_known = visible_parse(&r->seen, text);
    if (!r->seen_known) {
        return error_set(err, ERROR_FATAL, "cdc",
                         "pg_current_snapshot() answered what is no snapshot");
    }
    if (sees_all(r)) {
        if (snapshot_shape_judge(table_now(r), pg_value(r->answer, 0, 1), err)) {
            return RESULT_ERROR;
        }
        r->bounded = false;
        return slice_is_null(table_now(r)->where) ? read_chunk(r, err) : find_bound(r, err);
    }
    r->state = GIVING_BACK;
    r->retry_at_us = clock_mono_us() + RETRY_US;
    return send_text(r, "rollback", err);
}

/* --- the chunk --- */

static void adapt_limit(struct snapshot_resume *r)
{
    size_t count = r->window.count;
    if (count == 0 && slice_is_null(table_now(r)->where)) {
        return;
    }
    size_t n = count ? WINDOW_BYTES / 4 * 3 / (r->window.bytes / count + 1) : CHUNK_ROWS_MAX;
    n = n > 4 * r->limit ? 4 * r->limit : n;
    r->limit = n < CHUNK_ROWS_MIN ? CHUNK_ROWS_MIN : n > CHUNK_ROWS_MAX ? CHUNK_ROWS_MAX : n;
}

static int end_chunk(struct snapshot_resume *r, struct error *err)
{
    struct snapshot_window *w = &r->window;
    r->last_chunk = !r->full && !r->bounded && w->count < r->limit;
    if (w->count > 0 && (r->full || !r->bounded)) {
        snapshot_key_copy(&r->upto, &w->rows[w->count - 1].key);
    }
    adapt_limit(r);
    r->state = ENDING;
    fault_point("snapshot_chunk_read");
    return send_text(r, "commit", err);
}

/* All rows of the window were given out. The next chunk begins behind its last row; if the window
 * was useless, the chunk is read again, half as large. */
static int leave_window(struct snapshot_resume *r, struct error *err)
{
    bool read = r->window.table != NULL;
    if (read && r->window.useless) {
        r->limit = r->limit > 2 * CHUNK_ROWS_MIN ? r->limit / 2 : CHUNK_ROWS_MIN;
    } else if (read && r->last_chunk) {
        r->rest.table++;
        snapshot_key_clear(&r->rest.after);
    } else if (read) {
        snapshot_key_copy(&r->rest.after, &r->upto);
    }
    window_open(&r->window, NULL);
    return any_left(r) ? begin(r, err) : RESULT_DONE;
}

/* --- steps --- */

/* The statement under way has ended: begins the next step. */
static int next_step(struct snapshot_resume *r, struct error *err)
{
    switch (r->state) {
    case EMITTING:
        r->state = STREAMING;
        return RESULT_DONE;
    case BEGINNING:
        return lock(r, err);
    case LOCKING:
        return take_snapshot(r, err);
    case COMPARING:
        return compare(r, err);
    case BOUNDING:
        take_bound(r);
        return read_chunk(r, err);
    case READING:
        return end_chunk(r, err);
    case ENDING:
        return emit(r, err);
    default:
        return RESULT_DONE;
    }
}

/* Takes what has come of the statement under way; DONE once it is over. */
static int take_answer(struct snapshot_resume *r, struct error *err)
{
    for (;;) {
        struct pg_result *part = NULL;
        int rc = pg_take(r->sql, &part, err);
        if (rc || !part) {
            return rc;
        }
        if (r->state == READING) {
            r->full = r->full || (pg_rows(part) > 0 && !window_add(&r->window, part));
            pg_result_free(part);
        } else {
            pg_result_free(r->answer);
            r->answer = part;
        }
    }
}

static int fail(const struct snapshot_resume *r, struct error *err)
{
    if (r->rest.table == r->plan->count) {
        return RESULT_ERROR;
    }
    (void)snapshot_statement_failed(r->sql, table_now(r)->table, err);
    return error_prefix(err, "the snapshot of %.*s.%.*s goes on",
                        SLICE_FMT(table_now(r)->table->schema),
                        SLICE_FMT(table_now(r)->table->name));
}

static int step(struct snapshot_resume *r, struct error *err)
{
    int rc = take_answer(r, err);
    if (rc == RESULT_DONE) {
        rc = next_step(r, err);
        pg_result_free(r->answer);
        r->answer = NULL;
    }
    return rc < 0 ? fail(r, err) : rc;
}

/* A row that is left of the window; cells NULL: none. */
static void give(struct snapshot_resume *r, struct arena *arena, struct snapshot_resume_row *ret)
{
    bool last = false;
    const struct window_row *row = r->window.table ? window_next(&r->window, &last) : NULL;
    *ret = (struct snapshot_resume_row){.table = r->rest.table};
    if (!row) {
        return;
    }
    size_t n = table_now(r)->table->columns_count;
    struct cell *cells = arena_array(arena, n, sizeof *cells);
    for (size_t i = 0; i < n; i++) {
        cells[i] = (struct cell){row->cells[i].kind, arena_copy(arena, row->cells[i].text)};
    }
    snapshot_key_copy(&r->rest.after, &row->key);
    ret->cells = cells;
    ret->last = last && r->last_chunk && r->rest.table + 1 == r->plan->count;
}

static int next_bare(struct snapshot_resume *r, struct arena *arena,
                     struct snapshot_resume_row *ret, struct error *err)
{
    int rc = snapshot_bare_next(r->bare, arena, ret, err);
    if (rc == RESULT_DONE && !ret->cells) {
        snapshot_bare_close(r->bare);
        r->bare = NULL;
        (void)any_left(r);
    }
    return rc;
}

int snapshot_resume_next(struct snapshot_resume *r, struct arena *arena,
                         struct snapshot_resume_row *ret, struct error *err)
{
    for (;;) {
        int rc = RESULT_DONE;
        if (r->bare && snapshot_bare_holds(r->bare)) {
            rc = next_bare(r, arena, ret, err);
            if (rc || ret->cells) {
                return rc;
            }
        }
        switch (r->state) {
        case OVER:
            *ret = (struct snapshot_resume_row){0};
            return RESULT_DONE;
        case STREAMING:
            if (!r->shown) {
                return RESULT_AGAIN;
            }
            r->state = GIVING;
            break;
        case GIVING:
            give(r, arena, ret);
            if (ret->cells) {
                return RESULT_DONE;
            }
            rc = leave_window(r, err);
            break;
        case GIVING_BACK:
            rc = take_answer(r, err);
            if (rc == RESULT_DONE && clock_mono_us() < r->retry_at_us) {
                return RESULT_AGAIN;
            }
            rc = rc ? rc : begin(r, err);
            break;
        default:
            rc = step(r, err);
            break;
        }
        if (rc) {
            return rc;
        }
    }
}

void snapshot_resume_poll_fds(struct snapshot_resume *r, struct poll_set *set)
{
    if (r->bare && snapshot_bare_holds(r->bare)) {
        snapshot_bare_poll_fds(r->bare, set);
    }
    if (pg_busy(r->sql)) {
        pg_poll_fds(r->sql, set);
    } else if (r->state == GIVING_BACK) {
        poll_set_deadline(set, r->retry_at_us);
    } else if (r->state != STREAMING || r->shown) {
        poll_set_deadline(set, clock_mono_us());
    }
}

const struct snapshot_rest *snapshot_resume_rest(const struct snapshot_resume *r)
{
    return &r->rest;
}

bool snapshot_resume_bare_done(const struct snapshot_resume *r)
{
    return !r->bare;
}

/* --- what the stream tells --- */

bool snapshot_resume_holds(const struct snapshot_resume *r)
{
    if (r->bare && snapshot_bare_holds(r->bare)) {
        return true;
    }
    return r->state == EMITTING || r->state == STREAMING ? r->shown : true;
}

void snapshot_resume_begin(struct snapshot_resume *r, uint32_t xid, uint64_t commit_lsn)
{
    r->begun = xid;
    if (!r->seen_known || !visible_has(&r->seen, xid)) {
        xids_add(&r->streamed, xid);
    }
    if (r->bare) {
        snapshot_bare_begin(r->bare, commit_lsn);
    }
}

void snapshot_resume_watermark(struct snapshot_resume *r, struct slice content)
{
    char text[WATERMARK_SIZE];
    snprintf(text, sizeof text, "%s:%llu", r->nonce, (unsigned long long)r->number);
    if ((r->state == EMITTING || r->state == STREAMING) && slice_equal_str(content, text)) {
        r->shown = true;
        r->first = r->number == 1 ? r->begun : r->first;
        fault_point("snapshot_watermark");
    }
}

bool snapshot_resume_covers(const struct snapshot_resume *r, const struct change_table *t)
{
    return r->bare && snapshot_bare_covers(r->bare, t);
}

struct snapshot_window *snapshot_resume_window(struct snapshot_resume *r)
{
    return &r->window;
}
