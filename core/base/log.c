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

static void add_field(struct buf *b, const char *name, const char *value, bool quote)
{
    if (atomic_load(&current_format) == LOG_JSON) {
        buf_printf(b, "%s\"%s\":\"", b->len ? "," : "{", name);
        add_escaped(b, value);
        buf_add_char(b, '"');
        return;
    }
    buf_printf(b, "%s%s=%s", b->len ? " " : "", name, quote ? "\"" : "");
    add_escaped(b, value);
    buf_add_str(b, quote ? "\"" : "");
}

static bool put_line(struct buf *b)
{
    buf_add_str(b, atomic_load(&current_format) == LOG_JSON ? "}\n" : "\n");
    struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
    /* A pipe that is writable for poll takes PIPE_BUF bytes at once. This is not exact: two threads
     * may both see room for one line, and then one of them waits for the reader. */
    return poll(&p, 1, 0) == 1 && (p.revents & POLLOUT) &&
           write(STDERR_FILENO, b->data, b->len) == (ssize_t)b->len;
}

static void begin_line(struct buf *b, enum log_level level, const char *pipeline)
{
    char ts[CLOCK_RFC3339_SIZE];
    clock_format_rfc3339(clock_wall_us(), ts);
    add_field(b, "ts", ts, false);
    add_field(b, "level", level_names[level], false);
    if (pipeline) {
        add_field(b, "pipeline", pipeline, false);
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
    begin_line(&line, LOG_WARN, NULL);
    add_field(&line, "msg", text, true);
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

void log_write(enum log_level level, const char *pipeline, const char *fmt, ...)
{
    if ((int)level > atomic_load(&current_level)) {
        return;
    }
    char text[2048];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    CLEANUP(buf_release) struct buf line = {0}, msg = {0};
    shown_redact(&msg, slice_from(text));
    begin_line(&line, level, pipeline);
    add_field(&line, "msg", buf_str(&msg), true);
    write_line(&line);
    log_recent_add(level, pipeline, buf_str(&msg));
}

void log_error(enum log_level level, const char *pipeline, const char *what,
               const struct error *err)
{
    if ((int)level > atomic_load(&current_level)) {
        return;
    }
    char text[2048];
    snprintf(text, sizeof text, "%s: %s", what, err->text);
    CLEANUP(buf_release) struct buf line = {0};
    begin_line(&line, level, pipeline);
    add_field(&line, "msg", text, true);
    add_field(&line, "class", error_class_name(err->class), false);
    add_field(&line, "origin", err->origin ? err->origin : "none", false);
    if (err->code[0]) {
        add_field(&line, "code", err->code, false);
    }
    write_line(&line);
    log_recent_add(level, pipeline, text);
}
