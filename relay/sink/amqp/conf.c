/*
 * The keys of the sink amqp, its URLs, and which addresses are taken.
 */
#include "sink/amqp/conf.h"

#include "base/utf8.h"

#include <stdio.h>
#include <string.h>

enum { PORT_AMQP = 5672, PORT_AMQPS = 5671, SERVERS_MAX = 16, ADDRESS_MAX = 1024 };

static const char *const kinds[] = {"queue", "topic", NULL};
static const char *const kind_helps[] = {
    "each event is kept by a queue until somebody takes it",
    "each event goes to those who are subscribed: where nobody is, the broker drops it and says "
    "that it was accepted",
    NULL};

const struct conf_key amqp_conf_keys[] = {
    {.name = "url",
     .type = CONF_SECRET,
     .offset = offsetof(struct amqp_conf, url),
     .required = true,
     .help = "`amqp://HOST[:PORT]`, or `amqps:` with TLS; several with commas between them are "
             "tried in turn"},
    {.name = "address",
     .type = CONF_STRING,
     .offset = offsetof(struct amqp_conf, address),
     .fallback = "{topic}",
     .help = "template of the address to send to, a queue or a topic"},
    {.name = "kind",
     .type = CONF_ENUM,
     .offset = offsetof(struct amqp_conf, kind),
     .fallback = "queue",
     .choices = kinds,
     .choices_help = kind_helps,
     .help = "what the addresses are"},
    {.name = "durable",
     .type = CONF_BOOL,
     .offset = offsetof(struct amqp_conf, durable),
     .fallback = "true",
     .help = "the broker keeps events on disk; false: they are lost when it restarts"},
    {.name = "idle_timeout",
     .type = CONF_DURATION,
     .offset = offsetof(struct amqp_conf, idle_timeout_us),
     .fallback = "30s",
     .min = US_PER_SECOND,
     .max = INT64_C(3600) * US_PER_SECOND,
     .help = "a server that is silent for so long is gone"},
    NET_CONF_KEYS(struct amqp_conf, net),
    CONF_END,
};

/* amqp1 and amqps1 are the forms of `run --sink`, where amqp is another sink's. */
static const struct scheme {
    const char *text;
    bool tls;
} schemes[] = {{"amqp://", false}, {"amqps://", true}, {"amqp1://", false}, {"amqps1://", true}};

static const struct scheme *scheme_of(const char *url)
{
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        if (strncmp(url, schemes[i].text, strlen(schemes[i].text)) == 0) {
            return &schemes[i];
        }
    }
    return NULL;
}

static int bad_url(struct error *err, size_t number, const char *why)
{
    return error_set(err, ERROR_CONFIG, "amqp",
                     "sink.url: URL %zu of the list %s; a URL is amqp://HOST[:PORT]", number, why);
}

static int take_urls(const struct amqp_conf *c, struct amqp_servers *ret, struct error *err)
{
    for (const char *p = c->url;; p++) {
        size_t len = strcspn(p, ","), number = ret->count + 1;
        const struct scheme *scheme = scheme_of(p);
        if (!scheme) {
            return bad_url(err, number, "does not begin with amqp:// or amqps://");
        }
        if (ret->count == SERVERS_MAX) {
            return bad_url(err, number, "is one too many: 16 are enough");
        }
        if (number > 1 && ret->tls != scheme->tls) {
            return bad_url(err, number, "has another scheme than those before it: use one for all");
        }
        ret->tls = scheme->tls;
        size_t skip = strlen(scheme->text);
        struct net_server *s = &ret->items[ret->count];
        const char *why = net_server_read(p + skip, len - skip, ret->tls ? PORT_AMQPS : PORT_AMQP,
                                          &c->net, &ret->memory, s);
        if (why) {
            return bad_url(err, number, why);
        }
        if (s->path && *s->path) {
            return bad_url(err, number,
                           "has something behind the host: the address to send to is sink.address");
        }
        ret->count++;
        p += len;
        if (!*p) {
            return RESULT_DONE;
        }
    }
}

int amqp_conf_check(const struct amqp_conf *c, struct amqp_servers *ret, struct error *err)
{
    *ret = (struct amqp_servers){0};
    arena_init(&ret->memory);
    ret->items = arena_array(&ret->memory, SERVERS_MAX, sizeof *ret->items);
    return take_urls(c, ret, err) || net_conf_check(&c->net, ret->tls, "amqp", err) ? RESULT_ERROR
                                                                                    : RESULT_DONE;
}

void amqp_servers_release(struct amqp_servers *s)
{
    arena_wipe(&s->memory);
    arena_release(&s->memory);
}

/* --- addresses --- */

static int refused(struct slice address, const char *why, struct error *err)
{
    return error_set(err, ERROR_POISON, "amqp",
                     "the address \"%.*s\" %s; mend the column's value, or correct sink.address",
                     SLICE_FMT(((struct slice){address.ptr, address.len < 80 ? address.len : 80})),
                     why);
}

static bool has(struct slice text, const char *piece)
{
    return memmem(text.ptr, text.len, piece, strlen(piece)) != NULL;
}

static bool begins(struct slice text, const char *with)
{
    size_t n = strlen(with);
    return text.len >= n && memcmp(text.ptr, with, n) == 0;
}

int amqp_address_check(struct slice address, bool made, struct error *err)
{
    if (address.len == 0) {
        return refused(address, "is empty", err);
    }
    if (address.len > ADDRESS_MAX) {
        return refused(address, "is longer than 1024 bytes", err);
    }
    if (!utf8_valid(address)) {
        return refused(address, "is no text in UTF-8", err);
    }
    for (size_t i = 0; i < address.len; i++) {
        unsigned char c = (unsigned char)address.ptr[i];
        if (c <= ' ' || c == 127) {
            return refused(address, "has a blank or a control character", err);
        }
        if (strchr("*#>,", c)) {
            return refused(
                address, "has one of * # > , by which a broker understands several addresses", err);
        }
    }
    if (has(address, "://")) {
        return refused(address, "has a scheme: say with sink.kind what it is", err);
    }
    if (made && (has(address, "::") || begins(address, "$") || begins(address, "activemq.") ||
                 begins(address, "ActiveMQ."))) {
        return refused(address, "is the broker's own, and a value must not choose it", err);
    }
    return RESULT_DONE;
}

/* --- for sink_ops --- */

const char *amqp_conf_url_value(const char *url)
{
    bool ours = strncmp(url, "amqp1://", 8) == 0 || strncmp(url, "amqps1://", 9) == 0;
    return ours ? url : NULL;
}

int amqp_conf_url_check(const char *value, struct error *err)
{
    if (!strchr(value, '@')) {
        return RESULT_DONE;
    }
    return error_set(
        err, ERROR_CONFIG, "amqp",
        "amqp1://HOST[:PORT] takes no user and password on the command line, where everybody can see them; they go into a file (-c)");
}

/* The socket, the worker's eventfd, and files of certificates while they are read. */
size_t amqp_conf_descriptors(const void *conf)
{
    (void)conf;
    return 4;
}
