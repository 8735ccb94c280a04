/*
 * What the owner of a connection calls (link.h).
 */
#include "sink/nats/internal.h"

#include "base/memory.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

/* With all signals blocked, which libnats' threads inherit: they must end nowhere but in the main
 * thread. */
static int start_thread(struct nats_link *l)
{
    pthread_t thread;
    pthread_attr_t attr;
    sigset_t all, old;
    sigfillset(&all);
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&thread, &attr, link_run, l);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    return rc;
}

int link_new(const struct nats_conf *c, const struct nats_servers *servers, const char *pipeline,
             struct nats_link **ret, struct error *err)
{
    struct nats_link *l = memory_need(calloc(1, sizeof *l));
    pthread_mutex_init(&l->lock, NULL);
    snprintf(l->where, sizeof l->where, "%s", c->servers);
    l->fd = -1;
    l->refs = 1;
    l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    l->news_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (l->wake_fd < 0 || l->news_fd < 0) {
        error_errno(err, "nats", errno, "cannot make the wake-up descriptors of a connection");
    } else if (!nats_dial_options(c, servers, pipeline, &l->options, err) &&
               !link_callbacks(l, err)) {
        link_retain(l); /* for the thread */
        int rc = start_thread(l);
        if (!rc) {
            *ret = l;
            return RESULT_DONE;
        }
        link_release(l);
        error_errno(err, "nats", rc, "cannot start a connection's thread");
    }
    link_release(l);
    return RESULT_ERROR;
}

int link_fd(const struct nats_link *l)
{
    return l->news_fd;
}

void link_clear(struct nats_link *l)
{
    link_unring(l->news_fd);
}

enum link_state link_state(struct nats_link *l, struct error *err)
{
    pthread_mutex_lock(&l->lock);
    enum link_state state = l->state;
    *err = l->error;
    pthread_mutex_unlock(&l->lock);
    return state;
}

const char *link_url(const struct nats_link *l)
{
    return l->url;
}

int64_t link_max_payload(const struct nats_link *l)
{
    return l->max_payload;
}

void link_reply(const struct nats_link *l, uint64_t token, bool apart, char out[LINK_REPLY_SIZE])
{
    snprintf(out, LINK_REPLY_SIZE, "%s.%llu%s", l->inbox, (unsigned long long)token,
             apart ? LINK_APART : "");
}

void link_stage(struct nats_link *l, natsMsg *take_msg)
{
    link_queue_add(&l->staged, take_msg);
}

void link_send(struct nats_link *l)
{
    struct nats_queue *s = &l->staged;
    if (s->count == 0) {
        return;
    }
    pthread_mutex_lock(&l->lock);
    bool idle = l->queue.count == 0;
    for (; s->at < s->count; s->at++) {
        link_queue_add(&l->queue, s->items[s->at]);
    }
    pthread_mutex_unlock(&l->lock);
    s->at = s->count = 0;
    if (idle) {
        link_ring(l->wake_fd);
    }
}

void link_forget(struct nats_link *l)
{
    link_queue_clear(&l->staged);
    pthread_mutex_lock(&l->lock);
    link_queue_clear(&l->queue);
    pthread_mutex_unlock(&l->lock);
}

void link_answers(struct nats_link *l, struct nats_answers *into)
{
    link_answers_clear(into);
    pthread_mutex_lock(&l->lock);
    struct nats_answers come = l->answers;
    l->answers = *into;
    pthread_mutex_unlock(&l->lock);
    *into = come;
}

void link_end(struct nats_link *l)
{
    pthread_mutex_lock(&l->lock);
    l->ending = true;
    if (l->fd >= 0) {
        shutdown(l->fd, SHUT_RDWR); /* frees the thread from a write or a handshake that waits */
    }
    pthread_mutex_unlock(&l->lock);
    link_ring(l->wake_fd);
}

bool link_gone(struct nats_link *l)
{
    pthread_mutex_lock(&l->lock);
    bool gone = l->gone;
    pthread_mutex_unlock(&l->lock);
    return gone;
}
