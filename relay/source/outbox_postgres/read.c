/*
 * Reads the table one page of rows at a time and turns pages into batches. The next page is asked
 * for as soon as the keys of the current one are counted as given: the server works on it while the
 * rows become events and the pipeline works on them. The server gives a row once; only a page that
 * cannot be used as it came is asked for again.
 */
#include "source/outbox_postgres/internal.h"
#include "source/outbox_postgres/json.h"

#include <stdio.h>

enum {
    BUDGET_LEAST = 64 * 1024,
    BUDGET_MOST = 4 * 1024 * 1024,
    GOOD_PAGES = 64,
    PAGE_GROWTH_MOST = 2
};

int outbox_pg_send(struct outbox_pg *s, enum outbox_pg_sent what, const char *name, size_t n,
                   const char *const *params, struct error *err)
{
    if (pg_send_prepared(s->reader, name, n, params, false, err)) {
        return RESULT_ERROR;
    }
    s->sent = what;
    s->sent_us = clock_mono_us();
    return RESULT_DONE;
}

void outbox_pg_limits(struct outbox_pg *s, struct outbox_pg_limits *ret)
{
    /* In status and delete modes every page statement first passes the rows in flight. With many in
     * flight a page grows, up to PAGE_GROWTH_MOST times, so that this cost per row stays about the
     * same. */
    int64_t held = (int64_t)s->held.live, most = s->limit_cap * PAGE_GROWTH_MOST;
    int64_t limit = held <= s->limit_cap ? s->limit_cap : held < most ? held : most;
    size_t row = s->largest_row ? s->largest_row : 1;
    int64_t fits = (int64_t)(s->budget / row) + 1;
    limit = fits < limit ? fits : limit;
    s->form = s->spoilt != FORM_ORDINARY ? s->spoilt
              : s->guarded_limit > 0     ? FORM_GUARDED
                                         : FORM_ORDINARY;
    s->page_guarded = s->form == FORM_GUARDED;
    limit = s->one_by_one ? 1 : limit;
    if (s->page_guarded && s->guarded_limit < limit) {
        limit = s->guarded_limit;
    }
    int64_t max = s->env->max_event_bytes ? (int64_t)s->env->max_event_bytes : INT64_MAX;
    s->page_limit = limit;
    s->page_budget = s->budget;
    s->page_sum = 0;
    s->page_big = s->page_full = false;
    snprintf(ret->limit, sizeof ret->limit, "%lld", (long long)limit);
    snprintf(ret->largest, sizeof ret->largest, "%lld", (long long)max);
    snprintf(ret->budget, sizeof ret->budget, "%zu", s->page_budget);
}

static int take_result(struct outbox_pg *s, struct pg_result *r, struct error *err)
{
    bool page = s->sent == SENT_PAGE;
    int rc = page || s->sent == SENT_NOTHING ? RESULT_DONE : s->mode->answered(s, r, &page, err);
    if (page && !rc) {
        s->page = r; /* kept */
        s->row = 0;
    } else {
        pg_result_free(r);
    }
    return rc;
}

/* The server cancelled the page (statement_timeout, for example): the next one asks for half as
 * many rows. */
static int read_failed(struct outbox_pg *s, struct error *err)
{
    if (error_is(err, PG_QUERY_CANCELED)) {
        s->limit_cap = s->limit_cap > 1 ? s->limit_cap / 2 : 1;
        s->good_pages = 0;
    }
    return error_prefix(err, "reading %s", s->table.quoted);
}

/* Receives what has come. DONE: the statement is over and its result is taken. AGAIN: not yet. */
static int take_in(struct outbox_pg *s, struct error *err)
{
    while (pg_busy(s->reader)) {
        struct pg_result *r = NULL;
        int rc = pg_take(s->reader, &r, err);
        if (rc == RESULT_AGAIN) {
            return rc;
        }
        if (rc == RESULT_DONE && r) {
            rc = take_result(s, r, err);
        }
        if (rc && !outbox_pg_look_closer(s, err)) {
            return read_failed(s, err);
        }
    }
    s->sent = SENT_NOTHING;
    outbox_pg_watch_end(s, s->reader);
    return RESULT_DONE;
}

/* Receives notifications, also while the pipeline does not read: a server that cannot send them
 * keeps a transaction open meanwhile. */
static int take_notified(struct outbox_pg *s, struct error *err)
{
    bool called = false;
    int rc = s->conf->notify_channel[0] ? pg_notified(s->reader, &called, err) : RESULT_DONE;
    s->notified = s->notified || called;
    return rc;
}

void outbox_pg_take_in(struct outbox_pg *s)
{
    if (s->reader && !s->failed) {
        s->failed = (s->sent == SENT_NOTHING ? take_notified(s, &s->deferred)
                                             : take_in(s, &s->deferred)) < 0;
    }
}

/* The rest of a page, or a page behind a full one. Nobody waits for it: the server has had the
 * statement since the page before was handed out. While the server itself waits (for a lock, say),
 * more is not coming soon, so what was put is to leave. */
bool outbox_pg_behind(void *source)
{
    const struct outbox_pg *s = source;
    bool comes = s->more && s->sent != SENT_NOTHING && !s->held_up[0];
    return !s->failed && (s->page || comes);
}

/* --- handing out --- */

static int send_next(struct outbox_pg *s, struct error *err)
{
    s->page_given = 0;
    return s->mode->send(s, err);
}

/* The page was gone through. Decides how the next one is asked for. The caller frees the page
 * itself. */
static void page_ended(struct outbox_pg *s)
{
    size_t rows = pg_rows(s->page);
    outbox_pg_look_on(s);
    bool cut = s->page_guarded && s->page_sum >= s->page_budget;
    bool exhausted = (int64_t)rows < s->page_limit && !cut;
    s->page = NULL;
    s->more = !exhausted;
    if (s->page_guarded) {
        int64_t next = cut ? (int64_t)rows + 1 : s->page_limit * 2;
        s->guarded_limit = s->page_big ? next : 0;
    }
    if (++s->good_pages >= GOOD_PAGES) {
        s->good_pages = 0;
        s->limit_cap =
            s->limit_cap * 2 < s->conf->batch_size ? s->limit_cap * 2 : s->conf->batch_size;
        /* The estimate of a row's size begins again, without large rows of long ago. */
        s->largest_row = 0;
    }
    s->mode->page_ended(s, rows, exhausted);
}

/* A row of an ordinary page came without its large payload. The page is dropped from this row on,
 * and the rest is asked for again as a guarded page. */
static void turn_guarded(struct outbox_pg *s, size_t size)
{
    /* `size` is what is stored, perhaps compressed; the text may be several times larger. */
    size_t fits = s->budget / (4 * size + 1) + 1;
    s->guarded_limit = fits < (size_t)s->limit_cap ? (int64_t)fits : s->limit_cap;
    pg_result_free(s->page);
    s->page = NULL;
}

static enum payload_kind payload_kind(const struct outbox_pg *s)
{
    return outbox_pg_payload_kind(s->table.column[OUTBOX_PG_PAYLOAD].type);
}

static void note_size(struct outbox_pg *s, size_t row_bytes)
{
    s->largest_row = row_bytes > s->largest_row ? row_bytes : s->largest_row;
}

/* Makes an event of a row that counts as given already. Touches nothing that decides about the next
 * statement, which may be on its way. */
static struct event *add_event(struct outbox_pg *s, struct batch *batch,
                               const struct pg_result *page, size_t row, size_t copy)
{
    struct event *e = outbox_pg_row_event(page, row, s->env->columns_count, payload_kind(s),
                                          s->env->max_event_bytes, copy, batch);
    outbox_pg_make_json(&s->table, s->env, batch, e);
    if (batch->count == 1) {
        s->oldest_us = e->created_at_us;
    }
    note_size(s, e->bytes - OUTBOX_PG_EVENT_BYTES);
    return e;
}

static void count_given(struct outbox_pg *s, struct batch *batch, const struct pg_result *page,
                        size_t row)
{
    s->page_given++;
    s->mode->given(s, batch, pg_value(page, row, PAGE_KEY));
}

static bool is_null(const struct pg_result *r, size_t row, size_t col)
{
    return slice_is_null(pg_value(r, row, col));
}

/* A page that fits into the batch whole need not be copied: the batch owns the result and its
 * events point into it. Other pages are copied, because a few events would keep the whole page in
 * memory. */
static bool may_lend(const struct outbox_pg *s, size_t max_events, size_t max_bytes)
{
    size_t rows = pg_rows(s->page);
    if (s->row > 0 || rows == 0 || rows > max_events || s->form != FORM_ORDINARY ||
        s->blocked.count > 0 || payload_kind(s) == PAYLOAD_BYTES ||
        pg_result_bytes(s->page) + rows * OUTBOX_PG_EVENT_BYTES > max_bytes) {
        return false;
    }
    bool waits = s->mode->may_give != NULL; /* else PAGE_DUE is null in each row */
    for (size_t row = 0; row < rows; row++) {
        if (!is_null(s->page, row, PAGE_BIG) || (waits && !is_null(s->page, row, PAGE_DUE))) {
            return false;
        }
    }
    return true;
}

static void free_page(void *page)
{
    pg_result_free(page);
}

/* Asks for the next page before the pipeline works on this one, so that server and relay work at
 * the same time. Only ordinary pages: a guarded page may fill the whole budget, and two of them
 * would be in memory. The rows that were found are fine if this fails: they are given now, and the
 * next read returns the failure to send. */
static void read_ahead(struct outbox_pg *s)
{
    s->interval_us = OUTBOX_PG_POLL_SHORTEST_US;
    if (s->failed || s->page || pg_busy(s->reader) || s->guarded_limit > 0 ||
        clock_mono_us() < s->next_poll_us) {
        return;
    }
    s->failed = send_next(s, &s->deferred) < 0;
}

/* In bytes: about what the values of a row have on average, without what libpq adds: OF_RESULT for
 * any result, OF_VALUE for each value. */
static size_t average_row(const struct pg_result *page, size_t further)
{
    enum { OF_RESULT = 4096, OF_VALUE = 16 };
    size_t rows = pg_rows(page), bytes = pg_result_bytes(page);
    size_t libpq = OF_RESULT + rows * (PAGE_FURTHER + further) * OF_VALUE;
    return bytes > libpq ? (bytes - libpq) / rows : 0;
}

/* The next page is asked for before this one's rows become events. That is safe because a statement
 * depends on its predecessor's rows by their keys alone: position mode goes on behind the last one,
 * the others leave out those in flight. All keys are counted as given first, and what follows
 * cannot fail, so no row is passed over and none is asked for twice. The batch's cursor context is
 * kept by the first count, before the end of the page may close the window. */
static void lend(struct outbox_pg *s, struct batch *batch)
{
    struct pg_result *page = s->page;
    size_t rows = pg_rows(page);
    batch->resource = page;
    batch->release_resource = free_page;
    batch_reserve(batch, rows);
    for (; s->row < rows; s->row++) {
        count_given(s, batch, page, s->row);
    }
    /* How large the largest row is shows later. The average will do for one page: the next rows are
     * about like these, and these have fitted. */
    note_size(s, average_row(page, s->env->columns_count));
    page_ended(s);
    read_ahead(s);
    for (size_t row = 0; row < rows; row++) {
        add_event(s, batch, page, row, 0);
    }
}

static void hand_out(struct outbox_pg *s, struct batch *batch, size_t max_events, size_t max_bytes)
{
    if (may_lend(s, max_events, max_bytes)) {
        lend(s, batch);
        return;
    }
    struct pg_result *page = s->page;
    size_t rows = pg_rows(page), further = s->env->columns_count;
    for (; s->row < rows; s->row++) {
        int64_t big = pg_int(s->page, s->row, PAGE_BIG, -1);
        if (big >= 0 && !s->page_guarded) {
            turn_guarded(s, (size_t)big);
            return;
        }
        if (s->mode->may_give && !s->mode->may_give(s, s->page, s->row)) {
            continue;
        }
        size_t bytes = outbox_pg_row_bytes(s->page, s->row, further);
        if (batch->count >= max_events ||
            (batch->count > 0 && batch->bytes + bytes + OUTBOX_PG_EVENT_BYTES > max_bytes)) {
            return;
        }
        if (big >= 0) {
            bool kept = s->env->max_event_bytes > 0 && (size_t)big > s->env->max_event_bytes;
            s->page_big = true;
            s->page_sum += kept ? 0 : (size_t)big;
        }
        count_given(s, batch, page, s->row);
        struct event *e = add_event(s, batch, page, s->row, bytes);
        outbox_pg_tell_unreadable(s, e, &batch->arena);
    }
    page_ended(s);
    pg_result_free(page);
}

/* --- polling --- */

static int may_poll(struct outbox_pg *s, bool *ret, struct error *err)
{
    int64_t now = clock_mono_us();
    *ret = s->window.open || now >= s->next_poll_us;
    if (!*ret && s->conf->notify_channel[0]) {
        if (take_notified(s, err)) {
            return RESULT_ERROR;
        }
        *ret = s->notified && now >= s->sent_us + OUTBOX_PG_NOTIFIED_US;
        s->next_poll_us = s->notified ? s->sent_us + OUTBOX_PG_NOTIFIED_US : s->next_poll_us;
    }
    if (*ret) {
        s->next_poll_us = 0; /* the next polls follow at once until one finds nothing */
        s->notified = false;
    }
    return RESULT_DONE;
}

/* The longest time between two polls: poll_interval, or a second where a channel calls and the file
 * does not say poll_interval. */
static int64_t longest_wait(const struct outbox_pg_conf *conf)
{
    bool called = conf->notify_channel[0] && !conf->poll_interval_given;
    return called ? US_PER_SECOND : conf->poll_interval_us;
}

static void caught_up(struct outbox_pg *s)
{
    int64_t now = clock_mono_us(), most = longest_wait(s->conf);
    s->found_nothing = false;
    s->oldest_us = TIME_NONE;
    int64_t wait = s->interval_us < most ? s->interval_us : most;
    /* The interval counts from one poll to the next. A slow server still gets a rest of at least
     * half the interval. */
    s->next_poll_us = s->sent_us + wait > now + wait / 2 ? s->sent_us + wait : now + wait / 2;
    s->interval_us = s->interval_us * 2 < most ? s->interval_us * 2 : most;
    int64_t due = outbox_pg_blocked_next(&s->blocked);
    s->next_poll_us = due < s->next_poll_us ? due : s->next_poll_us;
}

static void set_budget(struct outbox_pg *s, size_t max_bytes)
{
    s->budget = max_bytes < BUDGET_LEAST  ? BUDGET_LEAST
                : max_bytes > BUDGET_MOST ? BUDGET_MOST
                                          : max_bytes;
}

int outbox_pg_read(void *source, struct batch *batch, size_t max_events, size_t max_bytes,
                   struct error *err)
{
    struct outbox_pg *s = source;
    set_budget(s, max_bytes);
    for (;;) {
        if (s->failed) {
            s->failed = false;
            *err = s->deferred;
            return RESULT_ERROR;
        }
        int rc = take_in(s, err);
        if (rc == RESULT_AGAIN) {
            outbox_pg_watch(s, s->reader, s->sent_us);
        }
        if (rc) {
            return rc;
        }
        if (s->page) {
            hand_out(s, batch, max_events, max_bytes);
            if (batch->count > 0) {
                read_ahead(s);
                return RESULT_DONE;
            }
        }
        if (s->found_nothing) {
            caught_up(s);
            return RESULT_DONE;
        }
        bool may = false;
        if (may_poll(s, &may, err)) {
            return RESULT_ERROR;
        }
        if (!may) {
            return RESULT_AGAIN;
        }
        if (send_next(s, err)) {
            return read_failed(s, err);
        }
    }
}
