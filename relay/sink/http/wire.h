/*
 * Drives libcurl's multi interface from the pipeline's poll: the sockets of all transfers stand in
 * one epoll descriptor. The pipeline's thread only.
 */
#pragma once

#include "base/error.h"
#include "base/poll_set.h"

#include <curl/curl.h>

struct http_wire {
    CURLM *multi;
    int epoll_fd;
    int64_t timer_us; /* when libcurl wants to be called; DEADLINE_NEVER */
};

/* connections: how many are kept open, at most. ERROR: RETRY, when descriptors are short. The
 * caller closes it, after an error too; before that all transfers must be taken out. */
int http_wire_open(struct http_wire *w, long connections, struct error *err) MUST_CHECK;
void http_wire_close(struct http_wire *w);

void http_wire_poll_fds(const struct http_wire *w, struct poll_set *set);

/* Lets libcurl do what can be done now. */
void http_wire_run(struct http_wire *w);

/* The next transfer that has ended, taken out; NULL if there is none. *ret_code: how it ended. */
CURL *http_wire_ended(struct http_wire *w, CURLcode *ret_code);
