/*
 * The listening socket of the admin port.
 */
#pragma once

#include "base/error.h"

struct listen_socket {
    int fd;
    bool local;             /* loopback or Unix socket */
    char address[128];      /* as it really is: with the port the system chose */
    char unix_path[108];    /* "" for TCP */
    uint64_t device, inode; /* of the socket file, so that only our own is removed */
};

/* Which key of `admin` names the address; its socket file is for the group too, or for the relay's
 * own user alone. */
enum listen_use { LISTEN_PAGES, LISTEN_ORDERS };

/* CONFIG/78 naming the address and the key. A Unix socket's file that is left over is replaced only
 * if nobody listens on it. */
int listen_open(const char *listen, enum listen_use use, struct listen_socket *ret,
                struct error *err) MUST_CHECK;
bool listen_is_ours(const struct listen_socket *s); /* the socket file still is the one we made */
void listen_close(
    struct listen_socket *s); /* removes the socket file if it still is ours; keeps fd */
