/*
 * A session as its owner sees it: made, begun, stopped (session.h).
 */
#include "sink/rabbitmq/session.h"

#include "base/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

static size_t power_of_two(size_t n)
{
    size_t p = 1;
    while (p < n) {
        p *= 2;
    }
    return p;
}

int rabbit_session_new(const struct rabbit_conf *conf, const struct rabbit_hosts *hosts,
                       const char *pipeline, size_t places, struct rabbit_session **ret,
                       struct error *err)
{
    struct rabbit_session *s = memory_need(calloc(1, sizeof *s));
    size_t n = power_of_two(places);
    s->conf = conf;
    s->hosts = hosts;
    s->pipeline = pipeline;
    s->ring = memory_need(calloc(n, sizeof *s->ring));
    s->fates = memory_need(calloc(n, 1));
    s->results = memory_need(calloc(n, sizeof *s->results));
    s->mask = n - 1;
    s->fd = -1;
    s->state = RABBIT_ENDED;
    pthread_mutex_init(&s->lock, NULL);
    s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    s->told_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->wake_fd < 0 || s->told_fd < 0) {
        error_errno(err, "rabbitmq", errno, "cannot make the wake-up descriptors of the sink");
        rabbit_session_free(s);
        return RESULT_ERROR;
    }
    if (worker_new(&s->worker, err)) {
        rabbit_session_free(s);
        return RESULT_ERROR;
    }
    *ret = s;
    return RESULT_DONE;
}

void rabbit_session_free(struct rabbit_session *s)
{
    if (!s) {
        return;
    }
    worker_free(s->worker);
    for (size_t i = 0; i <= s->mask; i++) {
        rabbit_entry_clear(&s->ring[i]);
    }
    if (s->wake_fd >= 0) {
        close(s->wake_fd);
    }
    if (s->told_fd >= 0) {
        close(s->told_fd);
    }
    pthread_mutex_destroy(&s->lock);
    free(s->results);
    free(s->fates);
    free(s->ring);
    free(s);
}

void rabbit_session_begin(struct rabbit_session *s)
{
    rabbit_session_hush(s->wake_fd);
    s->stop = s->hold = s->quiet = s->blocked = false;
    s->put = s->sent = s->low = s->given = 0;
    s->window = 1;
    s->results_count = 0;
    s->state = RABBIT_CONNECTING;
    error_clear(&s->poison);
    error_clear(&s->failure);
    worker_submit(s->worker, rabbit_session_serve, s);
}

void rabbit_session_stop(struct rabbit_session *s, bool now)
{
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    if (now && s->fd >= 0) {
        shutdown(s->fd, SHUT_RDWR); /* the worker closes it, under the lock */
    }
    pthread_mutex_unlock(&s->lock);
    rabbit_session_wake(s->wake_fd);
}

bool rabbit_session_runs(struct rabbit_session *s)
{
    return worker_busy(s->worker) && !worker_take_end(s->worker);
}
