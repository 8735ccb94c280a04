/*
 * The socket over which the commands find this process, ask it and give it their orders. It never
 * keeps a relay from starting unless the configuration names it: a relay without it still works,
 * and commands look into the store instead. Main thread only.
 */
#pragma once

#include "config/config.h"
#include "daemon/admin.h"

struct control_socket {
    struct admin *admin; /* NULL: not listening */
    struct buf path;     /* "": none is wanted */
    const struct admin_ops *ops;
    void *ctx;
    bool told; /* why it does not listen was logged */
};

/* Listens where the configuration says, and logs where; `ops` and `ctx` are set, the rest is {0}.
 * CONFIG/78 for a place that the file names; one that another relay uses, or that is the default,
 * is no error: control_socket_tend tries again. */
int control_socket_open(struct control_socket *s, const struct config *c,
                        struct error *err) MUST_CHECK;
void control_socket_close(struct control_socket *s);

bool control_socket_fits(const struct control_socket *s,
                         const struct config *c); /* the same path */

/* Every now and then: takes the place of a relay that is gone, makes a removed file anew. */
void control_socket_tend(struct control_socket *s);

void control_socket_poll(struct control_socket *s, struct poll_set *set);
void control_socket_run(struct control_socket *s);
