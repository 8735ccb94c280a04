/* Snapshots that are asked for while the stream goes on: takes the signals of each transaction,
 * obeys them at its end, and opens one snapshot after the other.
 *
 * A cursor within the transaction does not have what its signals ask for, because the transaction
 * comes again from there; a cursor behind it has. So a signal is obeyed once, whenever the process
 * is killed. */
#include "base/fault.h"
#include "base/log.h"
#include "base/memory.h"
#include "cdc/internal.h"
#include "cdc/opening.h"
#include "cdc/signal.h"

#include <stdio.h>
#include <stdlib.h>

enum { SIGNALS_MAX = 1000 }; /* of one transaction */

static void say(void *ctx, bool wrong, const char *text)
{
    const struct cdc_source *s = ctx;
    if (s->env->note) {
        s->env->note(s->env->note_ctx, wrong ? LOG_WARN : LOG_INFO, text);
    }
}

/* --- taking signals --- */

void cdc_signals_clear(struct cdc_source *s)
{
    for (size_t i = 0; i < s->signals_count; i++) {
        signal_release(&s->signals[i]);
    }
    free(s->signals);
    s->signals = NULL;
    s->signals_count = 0;
}

/* Keeps what was read: rc as of signal_read. */
static void keep(struct cdc_source *s, int rc, struct signal *signal, const struct error *err)
{
    if (rc == RESULT_DONE && s->signals_count < SIGNALS_MAX) {
        s->signals =
            memory_need(reallocarray(s->signals, s->signals_count + 1, sizeof *s->signals));
        s->signals[s->signals_count++] = *signal;
        return;
    }
    if (rc < 0) {
        say(s, true, err->text);
    } else if (rc == RESULT_DONE) {
        say(s, true, "more than a thousand signals in one transaction: the others are not obeyed");
    }
    signal_release(signal);
}

static struct slice column(const struct change_table *t, const struct cell *cells, const char *name)
{
    for (size_t i = 0; i < t->columns_count; i++) {
        if (slice_equal_str(t->columns[i].name, name)) {
            return cells[i].kind == CELL_TEXT ? cells[i].text : SLICE_NULL;
        }
    }
    return SLICE_NULL;
}

void cdc_signal_row(struct cdc_source *s, const struct cell *cells)
{
    const struct change_table *t = s->last_table;
    struct signal signal = {0};
    struct error err;
    if (!s->env->observe) {
        int rc = signal_read(column(t, cells, "id"), column(t, cells, "type"),
                             column(t, cells, "data"), &signal, &err);
        keep(s, rc, &signal, &err);
    }
}

/* --- obeying --- */

/* Is the first request still the one whose snapshot is being read? */
static bool is_wanted(const struct cdc_source *s, uint64_t number)
{
    return s->requests.count > 0 && !s->requests.paused && s->requests.items[0].number == number;
}

bool cdc_signals_obey(struct cdc_source *s)
{
    if (s->signals_count == 0) {
        return false;
    }
    bool working = s->requested || s->opening;
    uint64_t number = working ? s->requests.items[0].number : 0;
    uint64_t lsn = s->txn.commit;
    cdc_snapshot_note(s); /* how far it is, before it may be closed */
    for (size_t i = 0; i < s->signals_count; i++) {
        signal_obey(&s->signals[i], &s->requests, &lsn, s->txn.commit_us, say, s);
    }
    cdc_signals_clear(s);
    s->disowned = s->disowned || (working && !is_wanted(s, number));
    s->unsaved = true;
    s->given_up[0] = '\0';
    cdc_snapshot_note(s);
    fault_point("snapshot_signal");
    return true;
}

/* --- opening and ending --- */

static void drop_first(struct cdc_source *s)
{
    snapshot_requests_drop(&s->requests, 0);
    s->snapshot_ended = s->snapshot != NULL;
    s->unsaved = s->more = true;
    cdc_snapshot_note(s);
}

void cdc_ad_hoc_ended(struct cdc_source *s)
{
    char text[600];
    snprintf(text, sizeof text, "the requested snapshot is complete: %s (signal %s)",
             s->requests.items[0].tables, s->requests.items[0].id);
    say(s, false, text);
    drop_first(s);
}

int cdc_ad_hoc_failed(struct cdc_source *s, struct error *err)
{
    if (err->class != ERROR_CONFIG && err->class != ERROR_POISON) {
        return RESULT_ERROR;
    }
    snprintf(s->given_up, sizeof s->given_up, "snapshot of %.60s given up: %.160s",
             s->requests.items[0].tables, err->text);
    (void)error_prefix(err,
                       "the requested snapshot of %s (signal %s) is given up, ask for it again",
                       s->requests.items[0].tables, s->requests.items[0].id);
    if (s->env->note) {
        s->env->note(s->env->note_ctx, LOG_ERROR, err->text);
    }
    drop_first(s);
    return RESULT_DONE;
}

static int begin(struct cdc_source *s, struct error *err)
{
    struct snapshot_options opt = cdc_snapshot_options(s);
    opt.request = &s->requests.items[0];
    return opening_begin(&opt, &s->opening, err);
}

/* AGAIN: it is not open yet. */
static int take_opened(struct cdc_source *s, struct error *err)
{
    int rc = opening_take(&s->opening, &s->snapshot, err);
    if (rc == RESULT_DONE) {
        s->requested = true;
        s->progress_at_us = clock_mono_us() + US_PER_SECOND;
        fault_point("snapshot_asked_open");
    } else if (rc < 0) {
        rc = cdc_ad_hoc_failed(s, err);
    }
    return rc;
}

int cdc_ad_hoc_settle(struct cdc_source *s, struct error *err)
{
    if (s->disowned) {
        opening_end(s->opening);
        s->opening = NULL;
        cdc_snapshot_close(s);
    }
    while (!s->snapshot && s->requests.count > 0 && !s->requests.paused && !s->env->observe) {
        int rc = s->opening ? RESULT_DONE : begin(s, err);
        rc = rc ? rc : take_opened(s, err);
        if (rc) {
            return rc;
        }
    }
    return RESULT_DONE;
}
