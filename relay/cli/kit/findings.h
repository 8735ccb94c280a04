/*
 * Collects what a plugin's `check` reports as lines for people, for example "FAULT pipeline x:
 * text" and the statement that mends it. One thread.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include <stdbool.h>

struct findings {
    struct buf out;       /* the lines so far */
    const char *pipeline; /* name in the lines; borrowed, set by the caller */
    const char *noun;     /* what has this name; NULL: pipeline */
    bool strict;          /* a note counts as a fault of the configuration */
    size_t faults;
    int exit_code; /* of the first fault; 0: none */
};

void findings_release(struct findings *f); /* for CLEANUP: start from {0} */

/* The report function of source_ops.check and sink_ops.check; ctx is the struct findings. */
void findings_report(void *ctx, int exit_code, const char *text, const char *remedy);

/* Adds a fault, with the error's exit code, for something that could not be checked at all. */
void findings_error(struct findings *f, const char *what, const struct error *err);
/* Adds an OK line: nothing is wrong with `what`. */
void findings_ok(struct findings *f, const char *what);
