/*
 * Compares what has one event id: a row of the outbox, dead letters, and the copies that were found
 * at the destination. Main thread.
 */
#pragma once

#include "cli/verify_sort.h"
#include "contract/source.h"

enum verify_what {
    VERIFY_MISSING,
    VERIFY_EXTRA,
    VERIFY_DUPLICATED,
    VERIFY_DIFFERENT,
    VERIFY_KINDS
};

extern const char *const verify_words[VERIFY_KINDS]; /* "missing" ... */

struct verify_counts {
    int64_t rows, copies;
    int64_t differences[VERIFY_KINDS];
    int64_t letters;  /* rows without a copy that are dead letters, or wait behind one */
    int64_t replayed; /* further copies that a replay has sent */
    int64_t outside;  /* copies of events outside the range, or delivered since the command began */
    int64_t older;    /* copies of events older than all that the table still has */
};

/* Borrowed during the call. */
struct verify_difference {
    enum verify_what what;
    struct slice id;   /* null: the copy has none */
    int64_t position;  /* of the row; INT64_MIN: there is none */
    const char *where; /* its copies; "": there is none */
};

struct verify_judge {
    struct verify_sort *sort;
    const struct source_range *range;
    /* Asks the table which of n events it has, in whatever range: *ret_count. It also says how old
     * its oldest event is (wall clock; TIME_NONE: unknown). */
    int (*count)(void *ctx, const char *const *ids, size_t n, int64_t *ret_count,
                 int64_t *ret_lowest_us, struct error *err);
    /* Told of each difference. */
    int (*tell)(void *ctx, const struct verify_difference *d, struct error *err);
    void *ctx;
    int stop_fd; /* of interrupt_open */
};

/* Goes through all that was sorted. */
int verify_judge(const struct verify_judge *j, struct verify_counts *ret,
                 struct error *err) MUST_CHECK;
