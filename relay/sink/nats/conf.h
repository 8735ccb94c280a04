/*
 * The configuration of the NATS sink. The pipeline's thread calls these functions; none waits for
 * the network.
 */
#pragma once

#include "sink/kit/net_conf.h"

/* Filled by the configuration, which outlives the sink. Texts are never NULL. */
struct nats_conf {
    char *servers; /* "nats://HOST:PORT,..." */
    char *subject; /* a template, see subject.h */
    char *credentials_file;
    char *expect_stream;
    struct net_conf net;
};

extern const struct conf_key nats_conf_keys[];

/* Servers and the longest text of one, with its NUL. */
enum { NATS_SERVERS_MAX = 32, NATS_SERVER_SIZE = 300 };

struct nats_servers {
    char texts[NATS_SERVERS_MAX][NATS_SERVER_SIZE]; /* "nats://host:port" */
    const char *items[NATS_SERVERS_MAX];            /* the same, as libnats wants them */
    int count;
    bool tls;
};

/* Takes `servers` apart. CONFIG for a text that is no list of nats:// or tls:// addresses, for both
 * schemes in one list, and for a user or password in it. *ret points into itself: do not copy it.
 */
int nats_conf_servers(const char *text, struct nats_servers *ret, struct error *err) MUST_CHECK;

/* Checks all keys but the subject: servers, one way of login, a credentials file that can be read,
 * a stream name, TLS. CONFIG. */
int nats_conf_check(const struct nats_conf *c, struct nats_servers *ret,
                    struct error *err) MUST_CHECK;

/* See url_form and sink_ops.descriptors. */
const char *nats_conf_url_value(const char *url);
int nats_conf_url_check(const char *value, struct error *err) MUST_CHECK;
size_t nats_conf_descriptors(const void *conf);
