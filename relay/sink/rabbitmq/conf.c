/*
 * The keys of the RabbitMQ sink, and its URLs. librabbitmq's own amqp_parse_url is not used: it
 * takes "amqp://host/" for the vhost "", which then does not exist, and knows one URL only.
 */
#include "sink/rabbitmq/conf.h"

#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PORT_AMQP = 5672, PORT_AMQPS = 5671, PORT_MAX = 65535, HOSTS_MAX = 16 };

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

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Copies text with its %XX decoded. NULL if one is malformed or stands for a NUL. */
static const char *decode(struct arena *memory, const char *text, size_t len)
{
    char *out = arena_bytes(memory, len + 1), *p = out;
    for (size_t i = 0; i < len; i++) {
        int c = (unsigned char)text[i];
        if (c == '%') {
            int high = i + 2 < len ? hex(text[i + 1]) : -1;
            int low = i + 2 < len ? hex(text[i + 2]) : -1;
            c = high * 16 + low;
            if (high < 0 || low < 0 || c == 0) {
                return NULL;
            }
            i += 2;
        }
        *p++ = (char)c;
    }
    *p = '\0';
    return out;
}

/* "user:password", which is in front of the "@". Either may be missing. */
static int take_login(const struct rabbit_conf *c, struct arena *memory, const char *text,
                      size_t len, struct rabbit_host *h)
{
    const char *colon = memchr(text, ':', len);
    size_t user = colon ? (size_t)(colon - text) : len;
    h->user = decode(memory, text, user);
    h->password = colon ? decode(memory, colon + 1, len - user - 1) : c->net.password;
    return h->user && h->password ? RESULT_DONE : RESULT_ERROR;
}

/* The number behind the colon, 0 for anything else. */
static int take_port(const char *text, size_t len)
{
    int port = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9' || (port = port * 10 + (text[i] - '0')) > PORT_MAX) {
            return 0;
        }
    }
    return port;
}

/* "host:port", "host", "[::1]:port". */
static int take_address(struct arena *memory, const char *text, size_t len, bool tls,
                        struct rabbit_host *h)
{
    bool bracketed = len > 0 && *text == '[';
    const char *end = text + len, *bracket = bracketed ? memchr(text, ']', len) : NULL;
    const char *after = bracket ? bracket + 1 : memchr(text, ':', len);
    after = after ? after : end;
    const char *first = text + bracketed, *last = bracket ? bracket : after;
    if ((bracketed && !bracket) || last == first || (after < end && *after != ':')) {
        return RESULT_ERROR;
    }
    h->port = tls ? PORT_AMQPS : PORT_AMQP;
    if (after < end && (h->port = take_port(after + 1, (size_t)(end - after - 1))) == 0) {
        return RESULT_ERROR;
    }
    h->name = decode(memory, first, (size_t)(last - first));
    if (!h->name || strpbrk(h->name, " /@?#")) {
        return RESULT_ERROR;
    }
    char *shown = arena_bytes(memory, strlen(h->name) + 16);
    snprintf(shown, strlen(h->name) + 16, bracketed ? "[%s]:%d" : "%s:%d", h->name, h->port);
    h->shown = shown;
    return RESULT_DONE;
}

/* What follows the scheme. */
static int take_rest(const struct rabbit_conf *c, const char *text, size_t len, size_t number,
                     struct rabbit_hosts *all, struct error *err)
{
    struct rabbit_host *h = &all->items[number - 1];
    const char *slash = memchr(text, '/', len);
    size_t left = slash ? (size_t)(slash - text) : len;
    const char *at = memrchr(text, '@', left);
    *h = (struct rabbit_host){.user = c->net.username, .password = c->net.password, .vhost = "/"};
    if (at && *c->net.username) {
        return bad_url(err, number, "names a user, and so does sink.username; keep one of them");
    }
    if (at && take_login(c, &all->memory, text, (size_t)(at - text), h)) {
        return bad_url(err, number, "has a %XX in user or password that is malformed");
    }
    const char *address = at ? at + 1 : text;
    if (take_address(&all->memory, address, left - (size_t)(address - text), all->tls, h)) {
        return bad_url(err, number, "has no valid HOST[:PORT]; write amqp://HOST:PORT/VHOST");
    }
    if (slash && left + 1 == len) {
        return bad_url(
            err, number,
            "ends with \"/\", which means the vhost with the empty name; leave the \"/\" away for "
            "the vhost \"/\", or write /%2f");
    }
    if (slash && (memchr(slash + 1, '/', len - left - 1) ||
                  !(h->vhost = decode(&all->memory, slash + 1, len - left - 1)))) {
        return bad_url(err, number,
                       "has a vhost with \"/\" or a malformed %XX; write %2f for \"/\"");
    }
    if (!*h->user && *h->password) {
        return bad_url(err, number, "has a password without a user; set sink.username too");
    }
    if (!*h->user) { /* the user that a new broker has */
        h->user = h->password = "guest";
    }
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
