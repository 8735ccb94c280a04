/*
 * The last log lines, for the console. They are kept in memory even if the reader of stderr was too
 * slow for them.
 *
 * Any thread. Bounded: LOG_RECENT_LINES texts, each of at most a few KB. Nothing fails.
 */
#pragma once

#include "base/log.h"

enum { LOG_RECENT_LINES = 200, LOG_RECENT_NAME = 48 };

/* One line. Passwords in its text are "***" already. Control characters are not escaped. */
struct log_line {
    uint64_t number; /* counts from 1, without a gap */
    int64_t at_us;   /* wall clock */
    enum log_level level;
    char pipeline[LOG_RECENT_NAME]; /* "": it is about none */
    const char *text;               /* borrowed during the call of `each` */
};

/* Called by log.c: keeps a copy of the line; the number is given here. `pipeline` may be NULL. */
void log_recent_add(enum log_level level, const char *pipeline, const char *text);

/* The number of the newest line, 0 before the first. */
uint64_t log_recent_newest(void);

/* Calls `each` for the lines that are kept and have a number above `after`, the oldest first. Other
 * threads that log wait meanwhile, so `each` only copies, and must not log. */
void log_recent_each(uint64_t after, void (*each)(void *ctx, const struct log_line *line),
                     void *ctx);
