/* The sink of docs/ADD-A-SINK.md: appends each event as one JSON line to a file. Delivered means
 * that the line is on the disk, so nothing is reported before fdatasync has returned, and that runs
 * on a thread of its own, because it may block. */
#include "base/worker.h"
#include "contract/sink.h"
#include "message/encode.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_EVENTS = SINK_REPORT_MAX, MOST_BYTES = 64 * 1024 };

struct example_conf {
    char *path;
    int64_t events;
};

struct example {
    const struct example_conf *conf;
    struct worker *worker;
    int fd;
    off_t size;                   /* of what is on the disk */
    struct buf text;              /* lines to write; the worker's while it is busy */
    uint64_t tokens[MOST_EVENTS]; /* of those lines */
    size_t count;
    bool flushed;        /* write what there is, nothing more comes for now */
    struct error result; /* of the worker's job; class NONE: done */
};

/* --- on the worker's thread --- */

static void append(void *arg)
{
    struct example *s = arg;
    error_clear(&s->result);
    for (size_t done = 0; done < s->text.len;) {
        ssize_t n = write(s->fd, s->text.data + done, s->text.len - done);
        if (n < 0 && errno != EINTR) {
            error_errno(&s->result, "example", errno, "cannot append to %s", s->conf->path);
            return;
        }
        done += n > 0 ? (size_t)n : 0;
    }
    if (fdatasync(s->fd)) {
        error_errno(&s->result, "example", errno, "cannot sync %s", s->conf->path);
    }
}

/* --- on the pipeline's thread --- */

static int example_open(const void *conf, const struct sink_env *env UNUSED, void **ret_sink,
                        size_t *ret_max_event, struct error *err)
{
    struct example *s = calloc(1, sizeof *s);
    if (!s) {
        return error_errno(err, "example", ENOMEM, "cannot open the example sink");
    }
    s->conf = conf;
    s->fd = -1;
    *ret_sink = s;
    *ret_max_event = 0;
    return RESULT_DONE;
}

static void example_close(void *sink)
{
    struct example *s = sink;
    if (!s) {
        return;
    }
    worker_free(s->worker); /* waits for its job */
    if (s->fd >= 0) {
        close(s->fd);
    }
    buf_release(&s->text);
    free(s);
}

static int open_file(struct example *s, struct error *err)
{
    s->fd = open(s->conf->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (s->fd < 0) {
        return error_errno(err, "example", errno, "cannot open %s", s->conf->path);
    }
    s->size = lseek(s->fd, 0, SEEK_END);
    return RESULT_DONE;
}

static void forget_lines(struct example *s)
{
    buf_clear(&s->text);
    s->count = 0;
    s->flushed = false;
}

/* *ret_ended: the worker's job has ended since the last call. An error is the job's. */
static int take_end(struct example *s, bool *ret_ended, struct error *err)
{
    *ret_ended = worker_busy(s->worker) && worker_take_end(s->worker);
    if (*ret_ended && s->result.class != ERROR_NONE) {
        *err = s->result;
        return RESULT_ERROR;
    }
    s->size += *ret_ended ? (off_t)s->text.len : 0;
    return RESULT_DONE;
}

/* What was put and not reported comes again. A line that a failed write left half there is cut. */
static int example_start(void *sink, uint64_t next_number UNUSED, struct error *err)
{
    struct example *s = sink;
    struct error ignored;
    bool ended;
    if ((s->fd < 0 && open_file(s, err)) || (!s->worker && worker_new(&s->worker, err))) {
        return RESULT_ERROR;
    }
    (void)!take_end(s, &ended, &ignored);
    if (worker_busy(s->worker)) {
        return RESULT_AGAIN; /* it still reads `text` */
    }
    forget_lines(s);
    if (ftruncate(s->fd, s->size)) {
        return error_errno(err, "example", errno, "cannot cut %s", s->conf->path);
    }
    return RESULT_DONE;
}

static void example_poll_fds(void *sink, struct poll_set *set)
{
    struct example *s = sink;
    if (worker_busy(s->worker)) {
        poll_set_add(set, worker_fd(s->worker), POLLIN);
    } else if (s->flushed) {
        poll_set_deadline(set, 0); /* `collect` has something to begin */
    }
}

static bool is_full(const struct example *s)
{
    return s->count >= (size_t)s->conf->events || s->text.len >= MOST_BYTES;
}

static int example_put(void *sink, const struct batch *batch, size_t from, size_t to,
                       uint64_t first_token, size_t *ret_taken, struct error *err)
{
    struct example *s = sink;
    *ret_taken = 0;
    while (from + *ret_taken < to && !worker_busy(s->worker) && !is_full(s)) {
        if (encode_json_line(&s->text, &batch->events[from + *ret_taken], err)) {
            return RESULT_ERROR; /* POISON of this event; `text` is as it was */
        }
        buf_add_char(&s->text, '\n');
        s->tokens[s->count++] = first_token + (*ret_taken)++;
    }
    s->flushed = s->flushed || is_full(s);
    return RESULT_DONE;
}

static void example_flush(void *sink)
{
    struct example *s = sink;
    s->flushed = s->count > 0;
}

static int example_collect(void *sink, struct sink_report *report, struct error *err)
{
    struct example *s = sink;
    bool ended;
    if (take_end(s, &ended, err)) {
        return RESULT_ERROR;
    }
    if (ended) {
        for (size_t i = 0; i < s->count; i++) {
            report->results[report->count++] = (struct sink_result){s->tokens[i], SINK_DELIVERED};
        }
        forget_lines(s);
    } else if (s->flushed && !worker_busy(s->worker)) {
        worker_submit(s->worker, append, s);
    }
    return RESULT_DONE;
}

static const struct conf_key example_keys[] = {
    {"path", CONF_STRING, offsetof(struct example_conf, path), .required = true,
     .help = "The file to append to; made if it is missing"},
    {"events", CONF_INT, offsetof(struct example_conf, events), "1000", .min = 1,
     .max = MOST_EVENTS, .help = "Events in one write, at most"},
    CONF_END};

static const char *url_value(const char *url)
{
    static const char scheme[] = "example:";
    size_t n = sizeof scheme - 1;
    return strncmp(url, scheme, n) == 0 && url[n] ? url + n : NULL;
}

const struct sink_ops sink_example = {
    .name = "example",
    .help = "Appends JSON lines to a file",
    .keys = example_keys,
    .conf_size = sizeof(struct example_conf),
    .url = {.shown = "example:FILE", .value = url_value, .key = "path"},
    .caps = SINK_SINGLE_FAULT,
    .open = example_open,
    .start = example_start,
    .poll_fds = example_poll_fds,
    .put = example_put,
    .collect = example_collect,
    .close = example_close,
    .flush = example_flush,
};
