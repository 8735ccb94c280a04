/*
 * A session as its owner sees it: made, begun, stopped (session.h).
 */
#include "sink/rabbitmq/session.h"

#include "base/memory.h"
#include "sink/rabbitmq/connection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

/* How long a job may take to end by itself, and then by force. */
#define POLITE_US (2 * US_PER_SECOND)
#define FORCED_US (3 * US_PER_SECOND)

static size_t power_of_two(size_t n)
{
    size_t p = 1;
    while (p < n) {
        p *= 2;
    }
    return p;
}

static char *copy(struct arena *memory, const char *text)
{
    size_t size = strlen(text) + 1;
    return memcpy(arena_bytes(memory, size), text, size);
}

/* What the job reads of the configuration. */
static void copy_conf(struct rabbit_session *s, const struct rabbit_conf *conf)
{
    struct arena *memory = &s->hosts.memory;
    struct net_tls *tls = &s->conf.net.tls;
    s->conf = *conf;
    s->conf.url = s->conf.exchange = s->conf.routing_key = NULL;
    s->conf.net.username = s->conf.net.password = NULL;
    tls->ca_file = copy(memory, tls->ca_file);
    tls->cert_file = copy(memory, tls->cert_file);
    tls->key_file = copy(memory, tls->key_file);
    tls->server_name = copy(memory, tls->server_name);
    for (size_t i = 0; i < s->hosts.count; i++) {
        struct rabbit_host *h = &s->hosts.items[i];
        h->user = copy(memory, h->user);
        h->password = copy(memory, h->password);
    }
}

/* All but the worker. */
static void release(void *session)
{
    struct rabbit_session *s = session;
    for (size_t i = 0; i <= s->mask; i++) {
        rabbit_entry_clear(&s->ring[i]);
    }
    if (s->wake_fd >= 0) {
        close(s->wake_fd);
    }
    if (s->told_fd >= 0) {
        close(s->told_fd);
    }
    rabbit_hosts_release(&s->hosts);
    pthread_mutex_destroy(&s->lock);
    free(s->results);
    free(s->fates);
    free(s->ring);
    free(s);
}

int rabbit_session_new(const struct rabbit_conf *conf, struct rabbit_hosts take_hosts,
                       const char *pipeline, const char *exchange, size_t places,
                       struct rabbit_session **ret, struct error *err)
{
    struct rabbit_session *s = memory_need(calloc(1, sizeof *s));
    size_t n = power_of_two(places);
    s->hosts = take_hosts;
    copy_conf(s, conf);
    s->pipeline = copy(&s->hosts.memory, pipeline);
    s->exchange = exchange ? copy(&s->hosts.memory, exchange) : NULL;
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
        release(s);
        return RESULT_ERROR;
    }
    if (worker_new(&s->worker, err)) {
        release(s);
        return RESULT_ERROR;
    }
    *ret = s;
    return RESULT_DONE;
}

bool rabbit_session_end(struct rabbit_session *s)
{
    if (!s) {
        return true;
    }
    rabbit_session_stop(s, false);
    if (!worker_wait_at_most(s->worker, POLITE_US)) {
        rabbit_session_stop(s, true);
    }
    if (!worker_end(s->worker, FORCED_US, release)) {
        return false;
    }
    release(s);
    return true;
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
        rabbit_throw_away(s->fd);
        shutdown(s->fd, SHUT_RDWR); /* the worker closes it, under the lock */
    }
    pthread_mutex_unlock(&s->lock);
    rabbit_session_wake(s->wake_fd);
}

bool rabbit_session_runs(struct rabbit_session *s)
{
    return worker_busy(s->worker) && !worker_take_end(s->worker);
}
