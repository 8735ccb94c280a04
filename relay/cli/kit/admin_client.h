/*
 * Sends one HTTP/1.0 request to a running daemon, over its Unix socket or its admin port. A request
 * takes at most two seconds in all (plus the lookup of a host name), so that a port where something
 * else listens cannot stop a command. Any thread may call; nothing is shared.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include <stdbool.h>
#include <sys/types.h>

struct admin_reply {
    int status;      /* of HTTP */
    struct buf body; /* the caller's; replaced when a complete reply came */
    bool local; /* it came over a Unix socket; uid and gid are those of the answering process */
    uid_t uid;
    gid_t gid;
};

/* `listen` as in admin.listen: HOST:PORT, [IPV6]:PORT or unix:PATH; `line`: "GET /status". DONE for
 * any complete reply, whatever its HTTP status. ERROR, class RETRY, when nothing or no HTTP server
 * answers there; its code is "EACCES" when this user may not open the socket. */
int admin_client_ask(const char *listen, const char *line, struct admin_reply *ret,
                     struct error *err) MUST_CHECK;

/* Status and body of a complete reply; the body points into `reply`. False: it is not HTTP/1.x. */
bool admin_client_body(struct slice reply, int *ret_status, struct slice *ret_body);

/* Appends `value` percent-encoded, for the query of a request to /orders. */
void admin_client_escape(struct buf *out, const char *value);

/* Appends host and port of a text like "[::1]:9480" (here ::1 and 9480). False: no such text, or
 * the port is 0. */
bool admin_client_split(const char *listen, struct buf *ret_host, struct buf *ret_port);
