/*
 * Prints what a `verify` finds: a line for each difference while it goes on, and a summary at the
 * end; or both as one JSON object at the end. Main thread.
 */
#pragma once

#include "cli/verify_judge.h"
#include <jansson.h>

struct verify_show {
    const char *pipeline, *against; /* against: where the copies are, for people */
    bool json, digests;             /* digests: payloads are compared, too */
    bool changes;                   /* rows of tables are compared with their last events */
    int64_t most;                   /* differences to show */
    int64_t shown;
    json_t *list; /* of the JSON; freed by verify_show_release */
};

void verify_show_release(struct verify_show *s); /* for CLEANUP */

/* Returns 0, or 74 after a message. */
int verify_show_difference(struct verify_show *s, const struct verify_difference *d);
int verify_show_summary(struct verify_show *s, const struct verify_counts *n);

/* How many differences there are. */
int64_t verify_show_total(const struct verify_counts *n);
