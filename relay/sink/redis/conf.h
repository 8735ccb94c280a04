/*
 * The configuration of the sink redis: its keys, and the servers that sink.url names.
 * The pipeline's thread calls these functions; nothing is connected to.
 */
#pragma once

#include "base/arena.h"
#include "config/conf_key.h"
#include "contract/sink.h"
#include "sink/kit/net_conf.h"

enum { REDIS_STREAM, REDIS_PUBSUB }; /* redis_conf.mode, in the order of its words */

/* Filled by the configuration, which outlives the sink. */
struct redis_conf {
    char *url;
    int mode;
    char *stream;
    int64_t maxlen; /* 0: streams are not trimmed */
    struct redis_wait {
        int64_t replicas, timeout_us;
    } wait;
    struct net_conf net;
};

extern const struct conf_key redis_conf_keys[];

/* One server of sink.url. Texts end with a NUL and lie in the arena given to redis_servers_read. */
struct redis_server {
    const char *shown; /* "HOST:PORT" or the path, for people; never a password */
    const char *host;  /* NULL: `path` is a Unix socket */
    const char *port;  /* digits */
    const char *path;
    const char *user, *password; /* of the URL; "": none */
    int64_t db;
};

enum { REDIS_SERVERS_MAX = 16 };

/* Reads the URLs of a list separated by commas. A user and password that the URL does not have are
 * those of the keys. CONFIG for a malformed URL, which is named by its number because it may hold a
 * password, and for rediss. */
int redis_servers_read(const struct redis_conf *conf, struct arena *memory,
                       struct redis_server servers[REDIS_SERVERS_MAX], size_t *ret_count,
                       struct error *err) MUST_CHECK;

/* What no key table can express. CONFIG. Logs what is risky, if env->note is there. */
int redis_conf_check(const struct redis_conf *conf, const struct sink_env *env,
                     struct error *err) MUST_CHECK;

/* See url_form. */
const char *redis_conf_url_value(const char *url);
int redis_conf_url_check(const char *value, struct error *err) MUST_CHECK;
