/*
 * `position history`, and finding the position of a time. Main thread.
 */
#pragma once

#include "cli/cli.h"
#include "contract/source.h"

/* Prints the history from that time on. Returns the exit code. */
int position_history(const struct cli_store *s, const struct source_ops *source, int64_t since_us,
                     bool json);

/* The newest position saved at or before the time, and when that was. Returns 0, or 69 after a
 * message that says what there is. */
int position_history_find(const struct cli_store *s, const char *pipeline, int64_t at_us,
                          struct buf *ret_cursor, int64_t *ret_at_us);
