/*
 * Opens a listening socket, TCP or Unix, for the admin port and for the commands. Any thread,
 * with its own struct.
 */
#pragma once

#include "base/error.h"

struct listen_socket {
    int fd;
    bool local;             /* loopback or Unix socket */
    char address[128];      /* for people, with the port that the system chose */
    char unix_path[108];    /* "" for TCP */
    uint64_t device, inode; /* of the socket file, so that another process's is not removed */
};

/* What the socket is for. PAGES: named by `admin.listen`; a socket file may be used by the group
 * too. ORDERS: named by `admin.socket`; only the relay's own user may use the file. */
enum listen_use { LISTEN_PAGES, LISTEN_ORDERS };

/* Listens. A socket file that is there already is replaced only if nobody listens on it. The caller
 * closes ret->fd. CONFIG/78 with address and key if the address is wrong, in use or not allowed;
 * FATAL/70 without descriptors or memory. May wait a second for another relay that starts. */
int listen_open(const char *listen, enum listen_use use, struct listen_socket *ret,
                struct error *err) MUST_CHECK;
/* True if the socket file is still the one that listen_open made. False for TCP. */
bool listen_is_ours(const struct listen_socket *s);
/* Removes the socket file if it is still ours. Does not close s->fd. */
void listen_close(struct listen_socket *s);
