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
    int64_t letters;  /* rows without a copy that are dead letters, or wait behind one, or have no
                         id, so that no message can be theirs */
    int64_t replayed; /* further copies that a replay has sent */
    int64_t outside;  /* copies of events outside the range, or delivered since the command began */
    /* Copies of events of which it cannot be known whether their rows were there: rows of their age
     * were removed. */
    int64_t not_comparable;
};

/* Borrowed during the call. */
struct verify_difference {
    enum verify_what what;
    struct slice id;   /* null: the copy has none */
    int64_t position;  /* of the row; INT64_MIN: there is none */
    const char *where; /* its copies; "": there is none */
};

/* Which rows the table does not have any more. */
struct verify_removed {
    /* Those of events that were created before this time may be gone (wall clock). INT64_MIN: none
     * are; INT64_MAX: the table is empty, and nothing can be said of any event. */
    int64_t before_us;
    /* A prune has removed some: an event of which it is not known when it was created may have been
     * one of them, however late it was received. */
    bool pruned;
};

struct verify_judge {
    struct verify_sort *sort;
    const struct source_range *range;
    /* Asks the table which of these ids it has, in whatever range: ret_there[i], all false on
     * entry. The ids come in the order of strcmp, each once. */
    int (*find)(void *ctx, const char *const *ids, size_t n, bool *ret_there, struct error *err);
    /* Asks what was removed from the table. */
    int (*removed)(void *ctx, struct verify_removed *ret, struct error *err);
    /* Told of each difference. */
    int (*tell)(void *ctx, const struct verify_difference *d, struct error *err);
    void *ctx;
    int stop_fd; /* of interrupt_open */
};

/* Goes through all that was sorted. */
int verify_judge(const struct verify_judge *j, struct verify_counts *ret,
                 struct error *err) MUST_CHECK;
