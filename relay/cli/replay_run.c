/* The pipeline is the relay's own: same delivery, retries and breaker. Only its source reads a
 * range, and its progress is in the row of the replay. */
#include "cli/replay_run.h"

#include "cli/cli.h"
#include "cli/kit/interrupt.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { LOOK_EVERY_MS = 200 };

struct run {
    struct pipeline *pipeline;
    pthread_t thread;
    int end_fd; /* readable once the thread has ended */
    int exit_code;
};

static void *thread_main(void *arg)
{
    struct run *r = arg;
    uint64_t one = 1;
    r->exit_code = pipeline_run(r->pipeline);
    ssize_t n UNUSED = write(r->end_fd, &one, sizeof one);
    return NULL;
}

static void show(struct cli_progress *progress, const struct run *r, const char *id, int64_t total)
{
    struct pipeline_status now;
    pipeline_status(r->pipeline, &now);
    cli_progress(progress, "replay %s: %llu of %lld events%s%s, %.0f/s%s%s", id,
                 (unsigned long long)now.delivered, (long long)total,
                 now.position[0] ? ", at position " : "", now.position, now.rate,
                 now.detail[0] ? ", waits: " : "", now.detail);
}

/* Until the thread has ended. The first signal asks it to settle what is in flight; a second one
 * ends the process. */
static bool wait_for_end(struct run *r, const char *id, int64_t total, int stop_fd)
{
    struct cli_progress progress = {.next_us = clock_mono_us() + US_PER_SECOND};
    bool asked = false;
    struct pollfd fds[2] = {{.fd = r->end_fd, .events = POLLIN}, {.fd = stop_fd, .events = POLLIN}};
    while (poll(fds, asked ? 1 : 2, LOOK_EVERY_MS) < 0 || !(fds[0].revents & POLLIN)) {
        if (!asked && interrupted(stop_fd)) {
            asked = true;
            pipeline_request_stop(r->pipeline);
            interrupt_release(stop_fd);
        }
        show(&progress, r, id, total);
    }
    cli_progress_end(&progress);
    return asked;
}

static int start(struct run *r, const char *id, struct error *err)
{
    r->end_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int rc = r->end_fd < 0 ? errno : pthread_create(&r->thread, NULL, thread_main, r);
    return rc ? error_exit(err, ERROR_FATAL, EXIT_CODE_BUG, "replay",
                           "cannot start a thread for replay %s: %s", id, strerror(rc))
              : RESULT_DONE;
}

int replay_run(const struct pipeline_parts *parts, int64_t total, int stop_fd,
               struct replay_end *ret, struct error *err)
{
    struct metrics metrics;
    struct pipeline_parts own = *parts;
    struct run r = {.end_fd = -1};
    const char *id = parts->replay->id;
    metrics_init(&metrics);
    own.metrics = &metrics;
    if (pipeline_new(&own, &r.pipeline, err)) {
        return RESULT_ERROR;
    }
    int rc = start(&r, id, err);
    if (rc == RESULT_DONE) {
        ret->interrupted = wait_for_end(&r, id, total, stop_fd);
        pthread_join(r.thread, NULL);
        pipeline_status(r.pipeline, &ret->status);
        ret->exit_code = r.exit_code;
        ret->dead_letters = metrics_get(&metrics.failures[ERROR_POISON]);
        ret->left_out = metrics_get(&metrics.parked_events);
    }
    pipeline_free(r.pipeline);
    if (r.end_fd >= 0) {
        close(r.end_fd);
    }
    return rc;
}
