/*
 * Compares each row of the tables with what its last event says. Events of a row come in the order
 * in which they happened, wherever they lie. Main thread.
 */
#pragma once

#include "cli/verify_change.h"
#include "cli/verify_judge.h"
#include "contract/source.h"

/* What is known of a table. */
struct verify_seen_table {
    char *name;  /* "public.orders"; owned */
    bool learnt; /* blanks are set */
    struct verify_blanks blanks;
    char truncated[SOURCE_WHEN_SIZE]; /* when it was emptied last; "": never */
};

struct verify_seen {
    struct verify_seen_table *tables;
    size_t count, last; /* last: the one that was asked for last */
};
void verify_seen_release(struct verify_seen *s); /* for CLEANUP: start from {0} */
/* The table of this name, added if it is not there. Valid until the next call. */
struct verify_seen_table *verify_seen_table(struct verify_seen *s, struct slice name);

struct verify_last {
    struct verify_sort *sort;
    struct verify_seen *seen;
    /* Told of each difference. */
    int (*tell)(void *ctx, const struct verify_difference *d, struct error *err);
    void *ctx;
    int stop_fd; /* of interrupt_open */
};

/*
 * Goes through all that was sorted. Its items:
 *   VERIFY_ROW     id: the row (verify_change.row), digest: its columns; null: not known
 *   VERIFY_LETTER  id: a row of which an event is a dead letter
 *   VERIFY_COPY    id: the row, op: UPSERT with its columns in `digest`, or DELETE; when. With
 *                  NOTHING it is no event of this pipeline, and id is its own, or null
 * Adds to *ret all counts but `copies` and `outside`.
 */
int verify_last(const struct verify_last *v, struct verify_counts *ret,
                struct error *err) MUST_CHECK;
