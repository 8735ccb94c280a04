/* Gives an event to a program and waits for its answer. */
#include "consume/apply/command.h"

#include "base/buf.h"
#include "base/memory.h"
#include "consume/apply/process.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EX_TEMPFAIL = 75, ANSWER_MAX = 4096 };

static int stopped(struct error *err)
{
    return error_set(err, ERROR_RETRY, "consume", "the program was ended, because we stop");
}

/* Writes as much as the program takes. True: there is nothing left to write. A program that closed
 * its stdin has heard enough. (SIGPIPE is ignored while this process runs.) */
static bool write_some(int fd, struct slice *left)
{
    while (left->len > 0) {
        ssize_t n = write(fd, left->ptr, left->len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return errno != EAGAIN;
        }
        *left = (struct slice){left->ptr + n, left->len - (size_t)n};
    }
    return true;
}

/* Waits for the descriptors. False: we are to stop. */
static bool wait_for(struct pollfd *fds, nfds_t n)
{
    while (poll(fds, n, -1) < 0 && errno == EINTR) {
    }
    return !fds[0].revents;
}

/* --- exec --- */

static int judge(const char *program, int status, struct error *err)
{
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return RESULT_DONE;
    }
    if (WIFEXITED(status)) {
        bool later = WEXITSTATUS(status) == EX_TEMPFAIL;
        return error_set(err, later ? ERROR_RETRY : ERROR_POISON, "consume",
                         "the program %s ended with %d", program, WEXITSTATUS(status));
    }
    return error_set(err, ERROR_POISON, "consume", "the program %s was killed by signal %d",
                     program, WIFSIGNALED(status) ? WTERMSIG(status) : 0);
}

static int feed(struct process *p, const char *program, struct slice text, int stop_fd,
                struct error *err)
{
    for (;;) {
        if (p->in >= 0 && write_some(p->in, &text)) {
            close(p->in);
            p->in = -1;
        }
        struct pollfd fds[] = {{.fd = stop_fd, .events = POLLIN},
                               {.fd = p->end, .events = POLLIN},
                               {.fd = p->in, .events = POLLOUT}};
        if (!wait_for(fds, 3)) {
            return stopped(err);
        }
        if (fds[1].revents) {
            return judge(program, process_take_end(p), err);
        }
    }
}

int command_run(const struct conf_list *argv, struct slice id, struct slice line, int stop_fd,
                struct error *err)
{
    CLEANUP(buf_release) struct buf text = {0}, name = {0};
    CLEANUP(process_kill) struct process p = {.in = -1, .out = -1, .end = -1};
    buf_add_slice(&text, line);
    buf_add_char(&text, '\n');
    buf_add_slice(&name, id);
    return process_start(&p, argv, buf_str(&name), false, err)
               ? RESULT_ERROR
               : feed(&p, argv->items[0], buf_slice(&text), stop_fd, err);
}

/* --- exec_stream --- */

struct command_stream {
    const struct conf_list *argv;
    int stop_fd;
    struct process process;
    struct buf answer; /* what has come of it */
    bool served;       /* the process has had an event before this one */
    bool left;         /* it ended with 0 instead of an answer */
};

struct command_stream *command_stream_new(const struct conf_list *argv, int stop_fd)
{
    struct command_stream *s = memory_need(calloc(1, sizeof *s));
    *s = (struct command_stream){
        .argv = argv, .stop_fd = stop_fd, .process = {.in = -1, .out = -1, .end = -1}};
    return s;
}

void command_stream_free(struct command_stream *s)
{
    if (s) {
        process_kill(&s->process);
        buf_release(&s->answer);
        free(s);
    }
}

/* Reads what has come. False: the program has closed its stdout. */
static bool read_some(struct command_stream *s)
{
    char bytes[1024];
    for (;;) {
        ssize_t n = read(s->process.out, bytes, sizeof bytes);
        if (n > 0) {
            buf_add(&s->answer, bytes, (size_t)n);
        } else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
            return false;
        } else if (errno == EAGAIN) {
            return true;
        }
    }
}

/* A program that is out of step is started anew with the next try. */
static int out_of_step(struct command_stream *s, enum error_class class, const char *what,
                       struct error *err)
{
    process_kill(&s->process);
    return error_set(err, class, "consume", "the program %s %s; it is started anew",
                     s->argv->items[0], what);
}

static bool begins_with(struct slice line, const char *word, struct slice *ret_rest)
{
    size_t n = strlen(word);
    if (line.len < n || memcmp(line.ptr, word, n) != 0 || (line.len > n && line.ptr[n] != ' ')) {
        return false;
    }
    *ret_rest = line.len > n ? (struct slice){line.ptr + n + 1, line.len - n - 1} : SLICE_NULL;
    return true;
}

static int take_answer(struct command_stream *s, struct slice id, size_t len, struct error *err)
{
    struct slice line = {s->answer.data, len}, rest;
    if (s->answer.len > len + 1) {
        return out_of_step(s, ERROR_POISON, "answered more than one line to one event", err);
    }
    if (begins_with(line, "ok", &rest)) {
        return slice_is_null(rest) || slice_equal(rest, id)
                   ? RESULT_DONE
                   : out_of_step(s, ERROR_POISON, "answered with the id of another event", err);
    }
    bool later = begins_with(line, "retry", &rest);
    return error_set(err, later ? ERROR_RETRY : ERROR_POISON, "consume",
                     "the program %s answered: %.*s", s->argv->items[0], len < 300 ? (int)len : 300,
                     line.ptr);
}

/* The program has ended without an answer. The event may be the cause, so this counts as a try of
 * the event. An end with 75 does not count, as with exec. */
static int no_answer(struct command_stream *s, struct error *err)
{
    const char *program = s->argv->items[0];
    int status = process_kill_end(&s->process);
    s->left = WIFEXITED(status) && WEXITSTATUS(status) == 0 && s->answer.len == 0;
    if (WIFEXITED(status)) {
        bool later = WEXITSTATUS(status) == EX_TEMPFAIL;
        return error_set(err, later ? ERROR_RETRY : ERROR_POISON, "consume",
                         "the program %s ended with %d before it answered", program,
                         WEXITSTATUS(status));
    }
    return error_set(err, ERROR_POISON, "consume",
                     "the program %s was killed by a signal, closed its stdout, or wrote more than "
                     "%d bytes, and gave no answer",
                     program, ANSWER_MAX);
}

static int exchange(struct command_stream *s, struct slice id, struct slice text, struct error *err)
{
    bool written = false;
    for (;;) {
        written = written || write_some(s->process.in, &text);
        bool open = read_some(s);
        const char *end = s->answer.len ? memchr(s->answer.data, '\n', s->answer.len) : NULL;
        if (end) {
            return take_answer(s, id, (size_t)(end - s->answer.data), err);
        }
        if (!open || s->answer.len > ANSWER_MAX) {
            return no_answer(s, err);
        }
        struct pollfd fds[] = {{.fd = s->stop_fd, .events = POLLIN},
                               {.fd = s->process.out, .events = POLLIN},
                               {.fd = written ? -1 : s->process.in, .events = POLLOUT}};
        if (!wait_for(fds, 3)) {
            process_kill(&s->process);
            return stopped(err);
        }
    }
}

/* A line that the program has printed since its last answer belongs to no event. If the program has
 * ended meanwhile, the next event is not the cause. */
static int look_before(struct command_stream *s, struct error *err)
{
    struct pollfd end = {.fd = s->process.end, .events = POLLIN};
    buf_clear(&s->answer);
    if (s->process.pid == 0 || (read_some(s) && !s->answer.len && poll(&end, 1, 0) == 0)) {
        return RESULT_DONE;
    }
    if (s->answer.len > 0) {
        return out_of_step(s, ERROR_RETRY, "has printed a line that answers no event", err);
    }
    process_kill(&s->process);
    return RESULT_DONE;
}

static int give(struct command_stream *s, struct slice id, struct slice text, struct error *err)
{
    s->left = false;
    if (s->process.pid == 0) {
        s->served = false;
        if (process_start(&s->process, s->argv, NULL, true, err)) {
            return RESULT_ERROR;
        }
    }
    int rc = exchange(s, id, text, err);
    bool leaves = s->left && s->served;
    s->served = true;
    return rc && leaves ? RESULT_AGAIN : rc;
}

/* A program that ends with 0 between two events may do so just when it is given one. That is no
 * try of the event: another process gets it at once. */
int command_stream_run(struct command_stream *s, struct slice id, struct slice line,
                       struct error *err)
{
    CLEANUP(buf_release) struct buf text = {0};
    if (look_before(s, err)) {
        return RESULT_ERROR;
    }
    buf_add_slice(&text, line);
    buf_add_char(&text, '\n');
    int rc = give(s, id, buf_slice(&text), err);
    if (rc == RESULT_AGAIN) {
        buf_clear(&s->answer);
        rc = give(s, id, buf_slice(&text), err);
    }
    return rc;
}
