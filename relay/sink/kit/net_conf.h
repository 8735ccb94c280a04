/*
 * The keys that the sinks with a server have in common: timeouts, TLS, user and password. (The sink
 * kafka has librdkafka's properties instead.) Example, in a sink's table and struct:
 *
 *     struct x_conf {
 *         char *url;
 *         struct net_conf net;
 *     };
 *     const struct conf_key x_conf_keys[] = {
 *         {.name = "url", ...},
 *         NET_CONF_KEYS(struct x_conf, net),
 *         CONF_END,
 *     };
 *
 * `open` calls net_conf_check, and then net_conf_note_risks. Plain values, filled by the
 * configuration, which owns the texts. Any thread.
 */
#pragma once

#include "config/conf_key.h"
#include "contract/sink.h"

/* Times are microseconds. Texts are never NULL: "" if the key is absent. */
struct net_conf {
    int64_t connect_timeout_us; /* for a connection with its handshakes and login */
    int64_t stall_timeout_us;   /* the longest that an event may wait for its acknowledgement */
    struct net_tls {
        char *ca_file;              /* PEM; "": the system's certificate authorities */
        char *cert_file, *key_file; /* PEM, of the relay itself; both or neither */
        char *server_name;          /* expected in the certificate, in place of the URL's host */
        bool verify;
        bool insecure; /* says that verify: false is meant */
    } tls;
    char *username, *password;
};

extern const struct conf_key net_tls_keys[];

/* The rows of a key table: `net_field` is the struct net_conf in `owner`. */
#define NET_CONF_KEYS(owner, net_field)                                                         \
    {.name = "connect_timeout",                                                                 \
     .type = CONF_DURATION,                                                                     \
     .offset = offsetof(owner, net_field.connect_timeout_us),                                   \
     .fallback = "5s",                                                                          \
     .min = 1000,                                                                               \
     .max = INT64_C(600) * 1000000,                                                             \
     .help = "the longest wait for a connection, its handshakes and the login"},                \
        {.name = "stall_timeout",                                                               \
         .type = CONF_DURATION,                                                                 \
         .offset = offsetof(owner, net_field.stall_timeout_us),                                 \
         .fallback = "60s",                                                                     \
         .min = 1000,                                                                           \
         .max = INT64_C(86400) * 1000000,                                                       \
         .help = "the oldest unacknowledged event: past it the connection is made again and "   \
                 "the breaker counts"},                                                         \
        {.name = "tls",                                                                         \
         .type = CONF_GROUP,                                                                    \
         .offset = offsetof(owner, net_field.tls),                                              \
         .group = net_tls_keys,                                                                 \
         .help = "how the server's certificate is checked, and the relay's own; the URL says "  \
                 "whether TLS is used"},                                                        \
        {.name = "username",                                                                    \
         .type = CONF_STRING,                                                                   \
         .offset = offsetof(owner, net_field.username),                                         \
         .help = "the user to log in as"},                                                      \
    {                                                                                           \
        .name = "password", .type = CONF_SECRET, .offset = offsetof(owner, net_field.password), \
        .help = "the user's password"                                                           \
    }

/* What no key table can express. encrypted: whether TLS is used, as the URLs of the sink say.
 * Refused with CONFIG: verify: false without insecure: true, and insecure without it; a certificate
 * without its key; a file that cannot be read, or that everybody may write; a key that is
 * encrypted; TLS keys that would have no effect. `origin` is a string literal, for *err. */
int net_conf_check(const struct net_conf *c, bool encrypted, const char *origin,
                   struct error *err) MUST_CHECK;

/* CONFIG for a key_file that is encrypted: OpenSSL would ask the terminal for its passphrase. A
 * part of net_conf_check, for a library that cannot be told to ask nobody. */
int net_conf_check_key(const struct net_tls *tls, const char *origin, struct error *err) MUST_CHECK;

/* Logs risky settings, at each start: verification switched off, a key that everybody may read, a
 * password that is sent in clear. */
void net_conf_note_risks(const struct net_conf *c, bool encrypted, const struct sink_env *env);
