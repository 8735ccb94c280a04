/*
 * The keys of the RabbitMQ sink, and its URLs. librabbitmq's own amqp_parse_url is not used: it
 * takes "amqp://host/" for the vhost "", which then does not exist, and knows one URL only.
 */
#include "sink/rabbitmq/conf.h"

#include "base/log.h"
#include "sink/kit/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PORT_AMQP = 5672, PORT_AMQPS = 5671, HOSTS_MAX = 16 };

const struct conf_key rabbit_conf_keys[] = {
    {.name = "url",
     .type = CONF_SECRET,
     .offset = offsetof(struct rabbit_conf, url),
     .required = true,
     .help = "amqp://HOST[:PORT][/VHOST], or amqps: with TLS; several with commas between them are "
             "tried in turn"},
    {.name = "exchange",
     .type = CONF_STRING,
     .offset = offsetof(struct rabbit_conf, exchange),
     .fallback = "\"\"",
     .help = "template of the exchange to publish to; \"\" is the default one, whose routing keys "
             "are names of queues"},
    {.name = "routing_key",
     .type = CONF_STRING,
     .offset = offsetof(struct rabbit_conf, routing_key),
     .fallback = "{topic}",
     .help = "template of the routing key"},
    {.name = "mandatory",
     .type = CONF_BOOL,
     .offset = offsetof(struct rabbit_conf, mandatory),
     .fallback = "true",
     .help =
         "an event that no queue takes is poison; false: the broker drops it, and nobody knows"},
    {.name = "persistent",
     .type = CONF_BOOL,
     .offset = offsetof(struct rabbit_conf, persistent),
     .fallback = "true",
     .help = "the broker keeps events on disk; false: they are lost when it restarts"},
    {.name = "heartbeat",
     .type = CONF_DURATION,
     .offset = offsetof(struct rabbit_conf, heartbeat_us),
     .fallback = "10s",
     .min = US_PER_SECOND,
     .max = INT64_C(3600) * US_PER_SECOND,
     .help = "a server that is silent for twice as long is gone; whole seconds"},
    NET_CONF_KEYS(struct rabbit_conf, net),
    CONF_END,
};

static int bad_url(struct error *err, size_t number, const char *why)
{
    return error_set(err, ERROR_CONFIG, "rabbitmq", "sink.url: URL %zu of the list %s", number,
                     why);
}

/* What follows the scheme. */
static int take_rest(const struct rabbit_conf *c, const char *text, size_t len, size_t number,
                     struct rabbit_hosts *all, struct error *err)
{
    struct net_server s;
    const char *slash = memchr(text, '/', len);
    const char *why =
        net_server_read(text, len, all->tls ? PORT_AMQPS : PORT_AMQP, &c->net, &all->memory, &s);
    if (why) {
        return bad_url(err, number, why);
    }
    if (slash && !*s.path) {
        return bad_url(
            err, number,
            "ends with \"/\", which means the vhost with the empty name; leave the \"/\" away for "
            "the vhost \"/\", or write /%2f");
    }
    if (slash && memchr(slash + 1, '/', len - (size_t)(slash + 1 - text))) {
        return bad_url(err, number, "has a vhost with \"/\"; write %2f for \"/\"");
    }
    bool anonymous = !*s.user; /* then the user that a new broker has */
    all->items[number - 1] = (struct rabbit_host){.name = s.name,
                                                  .port = s.port,
                                                  .user = anonymous ? "guest" : s.user,
                                                  .password = anonymous ? "guest" : s.password,
                                                  .vhost = slash ? s.path : "/",
                                                  .shown = s.shown};
    return RESULT_DONE;
}

static int take_urls(const struct rabbit_conf *c, struct rabbit_hosts *ret, struct error *err)
{
    for (const char *p = c->url;; p++) {
        size_t len = strcspn(p, ","), skip = strncmp(p, "amqps://", 8) == 0 ? 8 : 7;
        size_t number = ret->count + 1;
        if (skip == 7 && strncmp(p, "amqp://", 7) != 0) {
            return bad_url(err, number, "does not begin with amqp:// or amqps://");
        }
        if (ret->count == HOSTS_MAX) {
            return bad_url(err, number, "is one too many; 16 are enough");
        }
        if (number > 1 && ret->tls != (skip == 8)) {
            return bad_url(err, number, "has another scheme than those before it; use one for all");
        }
        ret->tls = skip == 8;
        if (take_rest(c, p + skip, len - skip, number, ret, err)) {
            return RESULT_ERROR;
        }
        ret->count++;
        p += len;
        if (!*p) {
            return RESULT_DONE;
        }
    }
}

int rabbit_conf_check(const struct rabbit_conf *c, struct rabbit_hosts *ret, struct error *err)
{
    *ret = (struct rabbit_hosts){0};
    arena_init(&ret->memory);
    ret->items = arena_array(&ret->memory, HOSTS_MAX, sizeof *ret->items);
    if (take_urls(c, ret, err) || net_conf_check(&c->net, ret->tls, "rabbitmq", err)) {
        return RESULT_ERROR;
    }
    if (c->heartbeat_us % US_PER_SECOND != 0) {
        return error_set(err, ERROR_CONFIG, "rabbitmq",
                         "sink.heartbeat must be whole seconds: AMQP counts in them");
    }
    return RESULT_DONE;
}

void rabbit_hosts_release(struct rabbit_hosts *h)
{
    arena_wipe(&h->memory);
    arena_release(&h->memory);
}

void rabbit_conf_note_risks(const struct rabbit_conf *c, bool tls, const struct sink_env *env)
{
    net_conf_note_risks(&c->net, tls, env);
    if (env->note && !c->mandatory) {
        env->note(
            env->note_ctx, LOG_WARN,
            "sink.mandatory is off: an event that no queue takes is dropped by the broker and "
            "counts as delivered");
    }
    if (env->note && !c->persistent) {
        env->note(env->note_ctx, LOG_WARN,
                  "sink.persistent is off: events that are not consumed yet are lost when the "
                  "broker restarts");
    }
}

const char *rabbit_conf_url_value(const char *url)
{
    return strncmp(url, "amqp://", 7) == 0 || strncmp(url, "amqps://", 8) == 0 ? url : NULL;
}

int rabbit_conf_url_check(const char *value, struct error *err)
{
    if (!strchr(value, '@')) {
        return RESULT_DONE;
    }
    return error_set(
        err, ERROR_CONFIG, "rabbitmq",
        "amqp://HOST[:PORT][/VHOST] takes no user and password on the command line, where everybody can see them; they go into a file (-c)");
}

/* The socket twice, three eventfds, and one more connection while an old one is being ended. */
size_t rabbit_conf_descriptors(const void *conf)
{
    (void)conf;
    return 8;
}
