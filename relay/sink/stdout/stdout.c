/*
 * The sink stdout: writes each event as one line of JSON. An event is delivered once its line is
 * written. A slow reader slows the relay down (back-pressure).
 */
#include "contract/sink.h"

#include "base/memory.h"
#include "message/encode.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Bytes per write. A pipe, socket or terminal that polls as writable takes STREAM_CHUNK without
 * blocking. A pipe takes it in one piece (PIPE_BUF), so that a kill never tears a line up to this
 * size. O_NONBLOCK would also do, but it is a property of the open file, which the shell and other
 * processes share. */
enum { STREAM_CHUNK = 4096, FILE_CHUNK = 64 * 1024 };
enum { HELD_BYTES = 64 * 1024, HELD_LINES = SINK_REPORT_MAX };
/* A line may be larger than HELD_BYTES. The memory of much larger ones is freed once they are
 * written. */
enum { BYTES_KEPT = 1024 * 1024 };

struct line {
    uint64_t token;
    size_t end; /* offset in text behind its newline */
};

struct stdout_sink {
    struct buf text;
    size_t written; /* bytes of text that are written */
    struct line lines[HELD_LINES];
    size_t count, reported; /* lines; they and text are emptied once all is written and reported */
    size_t chunk;
};

static int stdout_open(const void *conf UNUSED, const struct sink_env *env UNUSED, void **ret_sink,
                       size_t *ret_max_event, struct error *err)
{
    int flags = fcntl(STDOUT_FILENO, F_GETFL);
    if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY) {
        return error_exit(
            err, ERROR_FATAL, EXIT_CODE_IO, "stdout",
            "standard output is closed, or open for reading only, so that no event can be written to it; redirect it to a file or a pipe");
    }
    struct stdout_sink *s = memory_need(calloc(1, sizeof *s));
    struct stat st;
    bool file = fstat(STDOUT_FILENO, &st) == 0 && S_ISREG(st.st_mode);
    s->chunk = file ? FILE_CHUNK : STREAM_CHUNK;
    *ret_sink = s;
    *ret_max_event = 0;
    return RESULT_DONE;
}

static void stdout_close(void *sink)
{
    struct stdout_sink *s = sink;
    if (s) {
        buf_release(&s->text);
        free(s);
    }
}

/* A line that was begun is finished, because what was written cannot be taken back. The reader then
 * sees a whole event, perhaps twice, instead of half of one with another behind it. */
static int stdout_start(void *sink, uint64_t next_number UNUSED, struct error *err UNUSED)
{
    struct stdout_sink *s = sink;
    size_t end = s->written;
    bool begun = s->written > 0 && s->text.data[s->written - 1] != '\n';
    if (begun) {
        const char *newline = memchr(s->text.data + s->written, '\n', s->text.len - s->written);
        end = (size_t)(newline - s->text.data) + 1;
        memmove(s->text.data, s->text.data + s->written, end - s->written);
    }
    s->text.len = end - s->written;
    s->written = 0;
    s->count = s->reported = 0;
    return RESULT_DONE;
}

static size_t lines_written(const struct stdout_sink *s)
{
    size_t n = s->reported;
    while (n < s->count && s->lines[n].end <= s->written) {
        n++;
    }
    return n;
}

static void stdout_poll_fds(void *sink, struct poll_set *set)
{
    struct stdout_sink *s = sink;
    if (s->written < s->text.len) {
        poll_set_add(set, STDOUT_FILENO, POLLOUT);
    }
    if (lines_written(s) > s->reported) {
        poll_set_deadline(set, 0); /* there are reports for `collect` */
    }
}

static bool writable(void)
{
    struct pollfd p = {.fd = STDOUT_FILENO, .events = POLLOUT};
    return poll(&p, 1, 0) > 0; /* also true for an error: write will return it */
}

/* The size of the next write: whole lines, if one fits. */
static size_t next_chunk(const struct stdout_sink *s)
{
    const char *from = s->text.data + s->written;
    size_t left = s->text.len - s->written;
    if (left <= s->chunk) {
        return left;
    }
    const char *newline = memrchr(from, '\n', s->chunk);
    return newline ? (size_t)(newline - from) + 1 : s->chunk;
}

static int write_some(struct stdout_sink *s, struct error *err)
{
    while (s->written < s->text.len && writable()) {
        ssize_t n = write(STDOUT_FILENO, s->text.data + s->written, next_chunk(s));
        if (n >= 0) {
            s->written += (size_t)n;
        } else if (errno == EPIPE) {
            return error_exit(
                err, ERROR_FATAL, EXIT_CODE_IO, "stdout",
                "the reader of standard output is gone; start the relay again with a reader, it goes on where this one stopped");
        } else if (errno == EAGAIN) {
            return RESULT_DONE; /* somebody else made the descriptor non-blocking */
        } else if (errno != EINTR) {
            return error_errno(err, "stdout", errno,
                               "cannot write to standard output; look at where it is redirected");
        }
    }
    return RESULT_DONE;
}

static int stdout_put(void *sink, const struct batch *batch, size_t from, size_t to,
                      uint64_t first_token, size_t *ret_taken, struct error *err)
{
    struct stdout_sink *s = sink;
    size_t taken = 0;
    *ret_taken = 0;
    while (from + taken < to && s->count < HELD_LINES && s->text.len < HELD_BYTES) {
        size_t before = s->text.len;
        if (encode_json_line(&s->text, &batch->events[from + taken], err)) {
            s->text.len = before;
            *ret_taken = taken;
            return RESULT_ERROR;
        }
        buf_add_char(&s->text, '\n');
        s->lines[s->count++] = (struct line){first_token + taken, s->text.len};
        taken++;
    }
    *ret_taken = taken;
    return write_some(s, err);
}

static int stdout_collect(void *sink, struct sink_report *report, struct error *err)
{
    struct stdout_sink *s = sink;
    if (write_some(s, err)) {
        return RESULT_ERROR;
    }
    for (size_t n = lines_written(s); s->reported < n; s->reported++) {
        report->results[report->count++] =
            (struct sink_result){s->lines[s->reported].token, SINK_DELIVERED};
    }
    if (s->written == s->text.len && s->reported == s->count) {
        buf_trim(&s->text, BYTES_KEPT);
        s->written = s->count = s->reported = 0;
    }
    return RESULT_DONE;
}

static int stdout_healthy(void *sink UNUSED, struct error *err)
{
    struct pollfd p = {.fd = STDOUT_FILENO};
    if (poll(&p, 1, 0) > 0 && (p.revents & (POLLERR | POLLHUP | POLLNVAL))) {
        return error_exit(
            err, ERROR_FATAL, EXIT_CODE_IO, "stdout",
            "the reader of standard output is gone; start the relay again with a reader");
    }
    return RESULT_DONE;
}

static const struct conf_key stdout_keys[] = {CONF_END};

static const char *url_value(const char *url)
{
    return strcmp(url, "stdout:") == 0 ? url : NULL;
}

const struct sink_ops sink_stdout = {
    .name = "stdout",
    .help = "JSON lines on standard output",
    .keys = stdout_keys,
    .conf_size = 0,
    .url = {.shown = "stdout:", .value = url_value},
    .caps = SINK_SINGLE_FAULT,
    .open = stdout_open,
    .start = stdout_start,
    .poll_fds = stdout_poll_fds,
    .put = stdout_put,
    .collect = stdout_collect,
    .close = stdout_close,
    .healthy = stdout_healthy,
};
