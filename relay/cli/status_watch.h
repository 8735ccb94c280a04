/*
 * `status --watch`: the state of all pipelines again and again, as their daemon tells it. One
 * thread.
 */
#pragma once

#include "cli/status_row.h"

/* Prints every two seconds until SIGINT or SIGTERM, and then returns 0; 74 if stdout fails. A
 * daemon that was found is asked over the same address; without one, store and source are looked
 * at. */
int status_watch(const struct config *c, struct found_relay *f) MUST_CHECK;

/* What it prints, for tests. `time`: RFC 3339. */

/* A screen of `width` columns and at most `height` lines, which ends with what clears the rest. No
 * line is longer than the screen is wide. */
void status_watch_screen(struct buf *out, const struct status_row *rows, size_t n, const char *time,
                         size_t width, size_t height);
/* A line a pipeline: "TIME NAME state=... lag_seconds=...". */
void status_watch_lines(struct buf *out, const struct status_row *rows, size_t n, const char *time);
