/* Puts a log line together and writes it to stderr. Example: stderr is a pipe into a program that
 * was stopped with ^Z, and the pipe is full. A write would block until that program runs again, and
 * the pipeline that logs would stand still. So put_line asks first whether stderr takes a line. If
 * not, the line is dropped and counted. */
#include "base/log.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/log_recent.h"
#include "base/shown.h"
#include "base/utf8.h"
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { VALUE_MAX = 3072 };

static _Atomic int current_level = LOG_INFO;
static _Atomic int current_format = LOG_LOGFMT;
static _Atomic uint64_t dropped, dropped_told; /* lines; of those, the ones a line told of */

static const char *const level_names[] = {"error", "warn", "info", "debug"};

enum field { TIME, LEVEL, PIPELINE, MESSAGE, CLASS, ORIGIN, CODE, TRACE, FIELDS };

static const char *const own_names[FIELDS] = {"ts",    "level",  "pipeline", "msg",
                                              "class", "origin", "code",     "traceparent"};
/* Version 9.4.0 of the schema. TRACE is written by add_trace. */
#define ECS_VERSION "9.4.0"
static const char *const ecs_names[FIELDS] = {
    "@timestamp", "log.level",  "labels.pipeline", "message",
    "error.type", "log.logger", "error.code",      ""};

void log_configure(enum log_level level, enum log_format format)
{
    atomic_store(&current_level, level);
    atomic_store(&current_format, format);
}

uint64_t log_dropped(void)
{
    return atomic_load(&dropped);
}

/* The inside of a quoted value. The escapes are those of JSON, in logfmt too; a byte that is no
 * UTF-8 becomes U+FFFD. Cut at VALUE_MAX: a line has to fit into PIPE_BUF, or only its beginning
 * could be written, and lines of two threads could mix. */
static void add_escaped(struct buf *b, const char *s)
{
    size_t start = b->len;
    uint32_t escaped;
    for (const char *end = s + strlen(s); s < end;) {
        unsigned char c = (unsigned char)*s;
        size_t n = utf8_sequence(s, end);
        if (b->len - start > VALUE_MAX) {
            buf_add_str(b, "...");
            return;
        }
        if (c == '"' || c == '\\') {
            buf_add_char(b, '\\');
            buf_add_char(b, (char)c);
        } else if (c == '\n') {
            buf_add_str(b, "\\n");
        } else if (n == 0) {
            buf_add_str(b, "\\ufffd");
        } else if (shown_escaped(s, n, &escaped)) {
            buf_printf(b, "\\u%04x", (unsigned)escaped);
        } else {
            buf_add(b, s, n);
        }
        s += n ? n : 1;
    }
}

static void add_named(struct buf *b, const char *name, const char *value, bool quote)
{
    if (atomic_load(&current_format) != LOG_LOGFMT) {
        buf_printf(b, "%s\"%s\":\"", b->len ? "," : "{", name);
        add_escaped(b, value);
        buf_add_char(b, '"');
        return;
    }
    buf_printf(b, "%s%s=%s", b->len ? " " : "", name, quote ? "\"" : "");
    add_escaped(b, value);
    buf_add_str(b, quote ? "\"" : "");
}

static void add_field(struct buf *b, enum field field, const char *value)
{
    bool ecs = atomic_load(&current_format) == LOG_ECS;
    add_named(b, (ecs ? ecs_names : own_names)[field], value, field == MESSAGE);
}

/* The ids of "00-<trace id>-<span id>-01". The span is the one that wrote the event. */
static void add_trace(struct buf *b, const char *trace)
{
    enum { TRACE_ID = 32, SPAN_ID = 16, BEHIND = 3 + TRACE_ID + 1 + SPAN_ID };
    char id[TRACE_ID + 1];
    if (atomic_load(&current_format) != LOG_ECS) {
        add_field(b, TRACE, trace);
    } else if (strlen(trace) > BEHIND) {
        snprintf(id, sizeof id, "%.*s", TRACE_ID, trace + 3);
        add_named(b, "trace.id", id, false);
        snprintf(id, sizeof id, "%.*s", SPAN_ID, trace + 3 + TRACE_ID + 1);
        add_named(b, "span.id", id, false);
    }
}

static bool put_line(struct buf *b)
{
    buf_add_str(b, atomic_load(&current_format) == LOG_LOGFMT ? "\n" : "}\n");
    struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
    /* A pipe that is writable for poll takes PIPE_BUF bytes at once. This is not exact: two threads
     * may both see room for one line, and then one of them waits for the reader. */
    return poll(&p, 1, 0) == 1 && (p.revents & POLLOUT) &&
           write(STDERR_FILENO, b->data, b->len) == (ssize_t)b->len;
}

static void begin_line(struct buf *b, enum log_level level, const char *pipeline,
                       const char *message)
{
    char ts[CLOCK_RFC3339_SIZE];
    clock_format_rfc3339(clock_wall_us(), ts);
    add_field(b, TIME, ts);
    add_field(b, LEVEL, level_names[level]);
    if (pipeline) {
        add_field(b, PIPELINE, pipeline);
    }
    add_field(b, MESSAGE, message);
    if (atomic_load(&current_format) == LOG_ECS) {
        buf_printf(b,
                   ",\"ecs.version\":\"" ECS_VERSION "\",\"service.name\":\"commitrelay\","
                   "\"service.version\":\"" COMMITRELAY_VERSION "\","
                   "\"event.dataset\":\"commitrelay.log\",\"process.pid\":%ld",
                   (long)getpid());
    }
}

/* After lines were dropped: writes a line that says how many. Only one thread does so, the one that
 * moves dropped_told on; if its line is dropped as well, it moves it back. */
static void tell_gap(void)
{
    uint64_t lost = atomic_load(&dropped), told = atomic_load(&dropped_told);
    if (lost == told || atomic_load(&current_level) < LOG_WARN ||
        !atomic_compare_exchange_strong(&dropped_told, &told, lost)) {
        return;
    }
    char text[96];
    snprintf(text, sizeof text,
             "%" PRIu64 " log lines are missing here: the reader of stderr was too slow",
             lost - told);
    CLEANUP(buf_release) struct buf line = {0};
    begin_line(&line, LOG_WARN, NULL, text);
    if (!put_line(&line)) {
        atomic_fetch_sub(&dropped_told, lost - told);
    }
}

static void write_line(struct buf *b)
{
    tell_gap();
    if (!put_line(b)) {
        atomic_fetch_add(&dropped, 1);
    }
}

static void PRINTF_LIKE(4, 0) write_text(enum log_level level, const char *pipeline,
                                         const char *trace, const char *fmt, va_list ap)
{
    char text[2048];
    vsnprintf(text, sizeof text, fmt, ap);
    CLEANUP(buf_release) struct buf line = {0}, msg = {0};
    shown_redact(&msg, slice_from(text));
    begin_line(&line, level, pipeline, buf_str(&msg));
    if (trace[0]) {
        add_trace(&line, trace);
    }
    write_line(&line);
    log_recent_add(level, pipeline, buf_str(&msg));
}

void log_write(enum log_level level, const char *pipeline, const char *fmt, ...)
{
    va_list ap;
    if ((int)level <= atomic_load(&current_level)) {
        va_start(ap, fmt);
        write_text(level, pipeline, "", fmt, ap);
        va_end(ap);
    }
}

void log_write_traced(enum log_level level, const char *pipeline, const char *trace,
                      const char *fmt, ...)
{
    va_list ap;
    if ((int)level <= atomic_load(&current_level)) {
        va_start(ap, fmt);
        write_text(level, pipeline, trace, fmt, ap);
        va_end(ap);
    }
}

void log_error(enum log_level level, const char *pipeline, const char *what,
               const struct error *err)
{
    log_error_traced(level, pipeline, "", what, err);
}

void log_error_traced(enum log_level level, const char *pipeline, const char *trace,
                      const char *what, const struct error *err)
{
    if ((int)level > atomic_load(&current_level)) {
        return;
    }
    char text[2048];
    snprintf(text, sizeof text, "%s: %s", what, err->text);
    CLEANUP(buf_release) struct buf line = {0};
    begin_line(&line, level, pipeline, text);
    add_field(&line, CLASS, error_class_name(err->class));
    add_field(&line, ORIGIN, err->origin ? err->origin : "none");
    if (err->code[0]) {
        add_field(&line, CODE, err->code);
    }
    if (trace[0]) {
        add_trace(&line, trace);
    }
    write_line(&line);
    log_recent_add(level, pipeline, text);
}
