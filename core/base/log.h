/*
 * Log lines on stderr, logfmt or JSON, one write(2) a line. Used by pipeline, daemon and cli only;
 * leaf code returns errors instead. Never payloads, never secrets. A reader of stderr that has
 * stopped reading never blocks delivery: a line that cannot be written at once is dropped and
 * counted, and the next one that can be written says how many. Any thread.
 */
#pragma once

#include "base/error.h"
#include "base/result.h"
#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_LOGFMT, LOG_JSON };

/* Before any thread starts, and at a reload from the main thread. */
void log_configure(enum log_level level, enum log_format format);

/* `pipeline` may be NULL. The message is one sentence without a full stop; control characters are
 * escaped. */
void log_write(enum log_level level, const char *pipeline, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* "<what>: <text>" with class, origin and code as fields. */
void log_error(enum log_level level, const char *pipeline, const char *what,
               const struct error *err);

uint64_t log_dropped(void); /* lines that could not be written */
