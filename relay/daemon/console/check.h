/*
 * `check --connect` for the console: the program is run once more as a child, so that whatever a
 * check does (it opens sources and sinks) happens outside the relay. Called on the thread of
 * jobs.h.
 */
#pragma once

#include "base/buf.h"

/* Appends {"exit_code", "text"} and returns 200, or an error with 5xx. Ends early, and kills the
 * child, once stop_fd (-1: none) is readable, or after a minute. */
int check_answer(const char *file, int stop_fd, struct buf *out);
