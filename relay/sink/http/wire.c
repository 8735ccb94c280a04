/*
 * libcurl's sockets in an epoll descriptor, its timer as a deadline.
 */
#include "sink/http/wire.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/* Rounds in one call: libcurl often wants to be called again at once. */
enum { ROUNDS = 16, EVENTS = 64 };

static int watch(CURL *easy, curl_socket_t fd, int what, void *ctx, void *known)
{
    struct http_wire *w = ctx;
    struct epoll_event e = {.data.fd = fd};
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        (void)epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, fd, NULL); /* closed ones are out already */
        return 0;
    }
    e.events = (what & CURL_POLL_IN ? EPOLLIN : 0u) | (what & CURL_POLL_OUT ? EPOLLOUT : 0u);
    if (epoll_ctl(w->epoll_fd, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &e) == 0) {
        curl_multi_assign(w->multi, fd, w);
    }
    return 0; /* one that could not be added ends with its timeout; -1 would end all of them */
}

static int set_timer(CURLM *multi, long ms, void *ctx)
{
    struct http_wire *w = ctx;
    (void)multi;
    w->timer_us = ms < 0 ? DEADLINE_NEVER : clock_mono_us() + ms * US_PER_MS;
    return 0;
}

int http_wire_open(struct http_wire *w, long connections, struct error *err)
{
    *w = (struct http_wire){.epoll_fd = epoll_create1(EPOLL_CLOEXEC), .timer_us = DEADLINE_NEVER};
    int why = errno;
    w->multi = curl_multi_init();
    if (w->epoll_fd < 0 || !w->multi) {
        return error_errno(err, "http", w->multi ? why : ENOMEM,
                           "cannot make the descriptor that watches connections");
    }
    curl_multi_setopt(w->multi, CURLMOPT_SOCKETFUNCTION, watch);
    curl_multi_setopt(w->multi, CURLMOPT_SOCKETDATA, w);
    curl_multi_setopt(w->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl_multi_setopt(w->multi, CURLMOPT_TIMERDATA, w);
    curl_multi_setopt(w->multi, CURLMOPT_MAXCONNECTS, connections);
    curl_multi_setopt(w->multi, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
    return RESULT_DONE;
}

void http_wire_close(struct http_wire *w)
{
    if (w->multi) {
        curl_multi_cleanup(w->multi);
    }
    if (w->epoll_fd >= 0) {
        close(w->epoll_fd);
    }
}

void http_wire_poll_fds(const struct http_wire *w, struct poll_set *set)
{
    poll_set_add(set, w->epoll_fd, POLLIN);
    poll_set_deadline(set, w->timer_us);
}

static int flags_of(uint32_t events)
{
    return (events & (EPOLLIN | EPOLLHUP) ? CURL_CSELECT_IN : 0) |
           (events & EPOLLOUT ? CURL_CSELECT_OUT : 0) | (events & EPOLLERR ? CURL_CSELECT_ERR : 0);
}

void http_wire_run(struct http_wire *w)
{
    struct epoll_event events[EVENTS];
    int running, n = EVENTS;
    for (int round = 0; round < ROUNDS; round++) {
        bool timer = w->timer_us <= clock_mono_us();
        n = epoll_wait(w->epoll_fd, events, EVENTS, 0);
        if (n <= 0 && !timer) {
            return;
        }
        for (int i = 0; i < n; i++) {
            curl_multi_socket_action(w->multi, events[i].data.fd, flags_of(events[i].events),
                                     &running);
        }
        if (timer) {
            w->timer_us = DEADLINE_NEVER; /* libcurl sets it again where it needs it */
            curl_multi_socket_action(w->multi, CURL_SOCKET_TIMEOUT, 0, &running);
        }
    }
}

CURL *http_wire_ended(struct http_wire *w, CURLcode *ret_code)
{
    int left;
    for (CURLMsg *m; (m = curl_multi_info_read(w->multi, &left));) {
        if (m->msg == CURLMSG_DONE) {
            CURL *easy = m->easy_handle;
            *ret_code = m->data.result;
            curl_multi_remove_handle(w->multi, easy);
            return easy;
        }
    }
    return NULL;
}
