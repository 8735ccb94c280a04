/*
 * The socket over which commands (status, pause, ...) find this process, ask it, and give it
 * orders. A relay works without it too: commands then look into the store. So if it cannot listen
 * at the default path, that is logged and tried again; only a path that the configuration names is
 * an error. Main thread only.
 */
#pragma once

#include "config/config.h"
#include "daemon/admin.h"

struct control_socket {
    struct admin *admin; /* NULL: not listening */
    struct buf path;     /* absolute; "": none is wanted */
    const struct admin_ops *ops;
    void *ctx; /* for ops */
    bool told; /* it was logged why it does not listen */
};

/* Listens at the path of the configuration and logs where. The caller sets `ops` and `ctx`, and
 * zeroes the rest. ERROR (of admin_new) only if the configuration names the path and no other relay
 * listens there; in all other cases control_socket_tend tries again. */
int control_socket_open(struct control_socket *s, const struct config *c,
                        struct error *err) MUST_CHECK;
void control_socket_close(struct control_socket *s); /* one that is {0} or closed is fine */

/* Does this configuration want the same path? */
bool control_socket_fits(const struct control_socket *s, const struct config *c);

/* To be called from time to time: listens if it does not yet, because another relay had the path,
 * and again if the socket file was removed. */
void control_socket_tend(struct control_socket *s);

/* As admin_poll and admin_run. */
void control_socket_poll(struct control_socket *s, struct poll_set *set);
void control_socket_run(struct control_socket *s);
