/*
 * A server in a URL: "[USER[:PASSWORD]@]HOST[:PORT][/PATH]", what stands behind the scheme. HOST is
 * a name or an address; one of IPv6 is in brackets. %XX stands for a byte.
 *
 * Plain values, any thread. A URL may hold a password, so no text shows one.
 */
#pragma once

#include "base/arena.h"
#include "sink/kit/net_conf.h"

/* No text is NULL except `path`. */
struct net_server {
    const char *name; /* a host name, or an address without brackets */
    int port;
    const char *user, *password; /* of the URL, else of the configuration; "": none */
    const char *path;            /* behind the "/", decoded; NULL: there is no "/" */
    const char *shown;           /* host:port, for people */
};

/* Reads text[0..len), what stands behind "scheme://". port: if the URL names none. All texts lie in
 * `memory` or in `conf`. NULL, or what is wrong with it, as "has no valid HOST[:PORT]". */
const char *net_server_read(const char *text, size_t len, int port, const struct net_conf *conf,
                            struct arena *memory, struct net_server *ret) MUST_CHECK;
