/*
 * The configuration of the RabbitMQ sink, and the servers that its URLs name. Checked by the
 * pipeline's thread or that of a command; then nothing changes it, and the worker reads it too.
 */
#pragma once

#include "base/arena.h"
#include "sink/kit/net_conf.h"

/* Filled by the configuration, which outlives the sink. */
struct rabbit_conf {
    char *url; /* amqp://[USER[:PASSWORD]@]HOST[:PORT][/VHOST], several with "," between them */
    struct net_conf net;
    char *exchange, *routing_key; /* templates */
    bool mandatory, persistent;
    int64_t heartbeat_us; /* whole seconds */
};

extern const struct conf_key rabbit_conf_keys[];

/* One server. Texts are never NULL. */
struct rabbit_host {
    const char *name; /* a host name, or an address without brackets */
    int port;
    const char *user, *password, *vhost;
    const char *shown; /* host:port, for people */
};

struct rabbit_hosts {
    struct rabbit_host *items; /* at least one */
    size_t count;
    bool tls;            /* amqps; the same for all */
    struct arena memory; /* of all that is above */
};

/* Checks what no key table can express, and takes the URLs apart. CONFIG; no text shows a URL,
 * which may hold a password. *ret is released by rabbit_hosts_release, after an error too. */
int rabbit_conf_check(const struct rabbit_conf *c, struct rabbit_hosts *ret,
                      struct error *err) MUST_CHECK;
void rabbit_hosts_release(struct rabbit_hosts *h);

/* Logs risky settings, at each start. */
void rabbit_conf_note_risks(const struct rabbit_conf *c, bool tls, const struct sink_env *env);

/* See url_form and sink_ops.descriptors. */
const char *rabbit_conf_url_value(const char *url);
int rabbit_conf_url_check(const char *value, struct error *err) MUST_CHECK;
size_t rabbit_conf_descriptors(const void *conf);
