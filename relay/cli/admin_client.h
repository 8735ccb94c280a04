/*
 * Asks a running daemon's admin port for /status: a small HTTP/1.0 GET with an end to its patience.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include <stdbool.h>

/* `listen` as in admin.listen: HOST:PORT, [IPV6]:PORT or unix:PATH. RETRY when nothing (or nothing
 * like our daemon) answers there. */
int admin_client_status(const char *listen, struct buf *ret_body, struct error *err) MUST_CHECK;

/* The body of a complete reply with status 200. Points into it. */
bool admin_client_body(struct slice reply, struct slice *ret_body);

/* "[::1]:9480" as host and port; false when it is no such text or the port is 0. */
bool admin_client_split(const char *listen, struct buf *ret_host, struct buf *ret_port);
