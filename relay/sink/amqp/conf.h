/*
 * The configuration of the sink amqp (AMQP 1.0), and the servers that its URLs name. Checked when
 * the sink is opened; then nothing changes it. The pipeline's thread only.
 */
#pragma once

#include "sink/kit/server.h"

enum { AMQP_QUEUE, AMQP_TOPIC }; /* amqp_conf.kind, in the order of its words */

/* Filled by the configuration, which outlives the sink. */
struct amqp_conf {
    char *url; /* amqp://[USER[:PASSWORD]@]HOST[:PORT], several with "," between them */
    struct net_conf net;
    char *address; /* a template */
    int kind;
    bool durable;
    int64_t idle_timeout_us;
};

extern const struct conf_key amqp_conf_keys[];

struct amqp_servers {
    struct net_server *items; /* at least one */
    size_t count;
    bool tls;            /* amqps; the same for all */
    struct arena memory; /* of all that is above */
};

/* Checks what no key table can express, and takes the URLs apart. CONFIG; no text shows a URL,
 * which may hold a password. *ret is released by amqp_servers_release, after an error too. */
int amqp_conf_check(const struct amqp_conf *c, struct amqp_servers *ret,
                    struct error *err) MUST_CHECK;
void amqp_servers_release(struct amqp_servers *s);

/* Whether an address can be one of the application's own: UTF-8 without blanks and control
 * characters, and nothing by which a broker does something else than store a message there. POISON:
 * why not. made: it was made of an event's values, which must not choose a broker's queue either.
 */
int amqp_address_check(struct slice address, bool made, struct error *err) MUST_CHECK;

/* See url_form and sink_ops.descriptors. */
const char *amqp_conf_url_value(const char *url);
int amqp_conf_url_check(const char *value, struct error *err) MUST_CHECK;
size_t amqp_conf_descriptors(const void *conf);
