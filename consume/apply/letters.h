/*
 * The dead letters of a consumer, for commands: they are shown, edited, applied after all, or given
 * up, and then what waits behind them is applied, in order. A consumer may run meanwhile.
 *
 * A struct apply of its own is used (apply_new), on one thread; these functions wait. Errors: as of
 * apply_batch. CONFIG also where no consumer has made its tables yet.
 */
#pragma once

#include "consume/apply/apply.h"

/* As apply_new, for these functions: makes no tables. look_only: nothing is applied, so the table
 * or function is not looked at either. */
int apply_new_for_letters(const struct conf_consumer *conf, bool look_only,
                          struct apply_counts *counts, struct apply **ret,
                          struct error *err) MUST_CHECK;

/* One of them. Null slices for what is absent; all is borrowed for the call. */
struct kept_letter {
    int64_t id, number, waiting; /* waiting: how many wait behind it */
    struct slice state;          /* "dead" (open), "retried" or "dropped" */
    struct slice event_id, stream, key, reason;
    struct slice event;           /* as it came, as far as it is text; null with `bare` */
    struct slice edited;          /* what a retry applies in its place */
    struct slice created, closed; /* RFC 3339 */
    bool parks;                   /* its key: also while what waits is still to be applied */
};

struct letters_pick {
    int64_t id; /* this one, whatever became of it; 0: see below */
    bool all;   /* false: open ones, and those behind which something still waits */
    bool bare;  /* without the events */
    const char *key, *reason, *since; /* filters; NULL: any. since: RFC 3339 */
};

typedef void kept_letter_each(void *ctx, const struct kept_letter *l);

/* In the order of their numbers. */
int kept_letters_list(struct apply *a, const struct letters_pick *which, kept_letter_each *each,
                      void *ctx, struct error *err) MUST_CHECK;

/* These change an open letter only; *ret_done is false if there is none of that number. */

/* `event`: the line that a retry applies in the place of what came. */
int kept_letter_edit(struct apply *a, int64_t id, const char *event, bool *ret_done,
                     struct error *err) MUST_CHECK;
int kept_letter_drop(struct apply *a, int64_t id, bool *ret_done, struct error *err) MUST_CHECK;
/* Applies the event, or finds that it was applied. POISON: it cannot be applied, stays open, and
 * says why. */
int kept_letter_retry(struct apply *a, int64_t id, bool *ret_done, struct error *err) MUST_CHECK;

/* Applies what waits behind a letter that is not open any more, in order; then its key is free.
 * *ret_applied: how many. *ret_stopped: one of them cannot be applied and is a dead letter now,
 * behind which the rest waits. It may be called again after an error, or a crash. */
int kept_letter_release(struct apply *a, int64_t id, int64_t *ret_applied, bool *ret_stopped,
                        struct error *err) MUST_CHECK;
