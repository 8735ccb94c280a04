/*
 * Asks a running daemon over its socket or admin port: a small HTTP/1.0 request with an end to its
 * patience.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include <stdbool.h>
#include <sys/types.h>

struct admin_reply {
    int status;      /* of HTTP */
    struct buf body; /* cleared first */
    bool local;      /* it came over a Unix socket, from a process of this user and group: */
    uid_t uid;
    gid_t gid;
};

/* `listen` as in admin.listen: HOST:PORT, [IPV6]:PORT or unix:PATH; `line`: "GET /status". RETRY
 * when nothing (or nothing like our daemon) answers there; code "EACCES": this user may not ask. */
int admin_client_ask(const char *listen, const char *line, struct admin_reply *ret,
                     struct error *err) MUST_CHECK;

/* Status and body of a complete reply. The body points into it. */
bool admin_client_body(struct slice reply, int *ret_status, struct slice *ret_body);

/* Appends a value of a query, as /orders takes them. */
void admin_client_escape(struct buf *out, const char *value);

/* "[::1]:9480" as host and port; false when it is no such text or the port is 0. */
bool admin_client_split(const char *listen, struct buf *ret_host, struct buf *ret_port);
