/*
 * Log lines on stderr, as logfmt or JSON, one write(2) a line. Only pipeline, daemon and cli log;
 * all other code returns errors. A line never holds a payload; passwords in it become "***".
 * LOG_ECS is JSON whose fields have the names of the Elastic Common Schema.
 *
 * Any thread. Nothing fails, and texts are only borrowed for the call. If the reader of stderr is
 * slow, a line that does not fit into the pipe at once is dropped and counted. The next line that
 * does fit is preceded by a warning that says how many are missing (not at level LOG_ERROR). If
 * logging waited for the reader instead, one stuck terminal would stop delivery. put_line in log.c
 * names the one case in which a line may still wait.
 */
#pragma once

#include "base/error.h"
#include "base/result.h"
#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_LOGFMT, LOG_JSON, LOG_ECS };

/* Lines above `level` are not written. Called by the main thread, at the start and at a reload.
 * Until then it is LOG_INFO and LOG_LOGFMT. */
void log_configure(enum log_level level, enum log_format format);

/* Writes one line. `pipeline` is its name, NULL if the line is about none. The message is one
 * sentence without a full stop, at most 2047 bytes, the rest is cut; control characters in it are
 * escaped. */
void log_write(enum log_level level, const char *pipeline, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Writes an error as one line: the message is "<what>: <text>", and class, origin and code are
 * fields of their own. */
void log_error(enum log_level level, const char *pipeline, const char *what,
               const struct error *err);

/* The same, for a line about one event. `trace` is the event's traceparent, as trace_of
 * (core/message/trace.h) gives it; "" if it has none. In ECS it becomes trace.id and span.id. */
void log_write_traced(enum log_level level, const char *pipeline, const char *trace,
                      const char *fmt, ...) PRINTF_LIKE(4, 5);
void log_error_traced(enum log_level level, const char *pipeline, const char *trace,
                      const char *what, const struct error *err);

/* How many lines were dropped since the process started. */
uint64_t log_dropped(void);
