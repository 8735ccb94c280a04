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

/* CONFIG/78 naming the address. A Unix socket's file gets mode 0660; one that is left over is
 * replaced only if nobody listens on it. */
int listen_open(const char *listen, struct listen_socket *ret, struct error *err) MUST_CHECK;
void listen_close(
    struct listen_socket *s); /* removes the socket file if it still is ours; keeps fd */
