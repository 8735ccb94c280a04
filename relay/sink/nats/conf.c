/*
 * The keys of the NATS sink, and what can be said of them without a server.
 */
#include "sink/nats/conf.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const struct conf_key nats_conf_keys[] = {
    {.name = "servers",
     .type = CONF_STRING,
     .offset = offsetof(struct nats_conf, servers),
     .required = true,
     .help = "nats://HOST:PORT or tls://HOST:PORT, several separated by commas: tried in turn"},
    {.name = "subject",
     .type = CONF_STRING,
     .offset = offsetof(struct nats_conf, subject),
     .fallback = "\"{topic}\"",
     .help = "the subject of each message: a template with {topic}, {key} and the event's own "
             "columns"},
    {.name = "credentials_file",
     .type = CONF_STRING,
     .offset = offsetof(struct nats_conf, credentials_file),
     .help = "a .creds file with the user's JWT and seed; read again at each connection"},
    {.name = "expect_stream",
     .type = CONF_STRING,
     .offset = offsetof(struct nats_conf, expect_stream),
     .help = "the stream that must store the messages; another one refuses them"},
    NET_CONF_KEYS(struct nats_conf, net),
    CONF_END,
};

static int bad_server(struct error *err, const char *all, const char *one, size_t len,
                      const char *what)
{
    return error_set(
        err, ERROR_CONFIG, "nats",
        "sink.servers \"%s\": \"%.*s\" %s; write nats://HOST:PORT or tls://HOST:PORT, several separated by commas",
        all, (int)len, one, what);
}

static bool is_port(const char *text, size_t len)
{
    long port = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9' || (port = port * 10 + (text[i] - '0')) > 65535) {
            return false;
        }
    }
    return port > 0;
}

/* "host", "host:port", "[v6]:port". */
static bool is_address(const char *text, size_t len)
{
    const char *bracket = memchr(text, ']', len);
    const char *colon = memrchr(text, ':', len);
    bool port = colon && (!bracket || colon > bracket);
    size_t host = port ? (size_t)(colon - text) : len;
    for (size_t i = 0; i < len; i++) {
        if (text[i] <= ' ' || strchr("/?#\"\\", text[i])) {
            return false;
        }
    }
    return host > 0 && (!port || is_port(colon + 1, len - host - 1)) &&
           (bracket || !memchr(text, ':', host));
}

static int add_server(struct nats_servers *s, const char *all, const char *one, size_t len,
                      struct error *err)
{
    bool tls = len > 6 && memcmp(one, "tls://", 6) == 0;
    bool plain = len > 7 && memcmp(one, "nats://", 7) == 0;
    size_t scheme = tls ? 6 : 7;
    if (strchr(all, '@')) { /* of any of them: no message shows it */
        return error_set(
            err, ERROR_CONFIG, "nats",
            "sink.servers holds a user or a password; put them into sink.username and sink.password_file, or into sink.credentials_file");
    }
    if (!tls && !plain) {
        return bad_server(err, all, one, len, "has no scheme");
    }
    if (s->count > 0 && tls != s->tls) {
        return bad_server(err, all, one, len, "has another scheme than the one before it");
    }
    if (!is_address(one + scheme, len - scheme)) {
        return bad_server(err, all, one, len, "is no address");
    }
    if (s->count == NATS_SERVERS_MAX || len >= NATS_SERVER_SIZE) {
        return bad_server(err, all, one, len, "is one too many, or too long");
    }
    /* libnats is told of TLS by an option, and both schemes mean the same to it. */
    snprintf(s->texts[s->count], NATS_SERVER_SIZE, "nats://%.*s", (int)(len - scheme),
             one + scheme);
    s->items[s->count] = s->texts[s->count];
    s->count++;
    s->tls = tls;
    return RESULT_DONE;
}

int nats_conf_servers(const char *text, struct nats_servers *ret, struct error *err)
{
    const char *p = text;
    ret->count = 0;
    ret->tls = false;
    do {
        p += strspn(p, " ");
        size_t len = strcspn(p, ",");
        size_t used = len;
        while (used > 0 && p[used - 1] == ' ') {
            used--;
        }
        if (add_server(ret, text, p, used, err)) {
            return RESULT_ERROR;
        }
        p += len;
    } while (*p++ == ',');
    return RESULT_DONE;
}

static int check_login(const struct nats_conf *c, struct error *err)
{
    if (*c->credentials_file && (*c->net.username || *c->net.password)) {
        return error_set(
            err, ERROR_CONFIG, "nats",
            "sink.credentials_file and sink.username are two ways to log in; remove one of them");
    }
    if (!*c->net.username && *c->net.password) {
        return error_set(err, ERROR_CONFIG, "nats",
                         "sink.password has no user; set sink.username too");
    }
    if (*c->credentials_file && access(c->credentials_file, R_OK) < 0) {
        int cause = errno;
        return error_set(
            err, ERROR_CONFIG, "nats",
            "sink.credentials_file: %s cannot be read: %s; correct the path or its permissions",
            c->credentials_file, strerror(cause));
    }
    return RESULT_DONE;
}

int nats_conf_check(const struct nats_conf *c, struct nats_servers *ret, struct error *err)
{
    if (nats_conf_servers(c->servers, ret, err) || check_login(c, err)) {
        return RESULT_ERROR;
    }
    if (strpbrk(c->expect_stream, ".*> \t\r\n/\\")) {
        return error_set(
            err, ERROR_CONFIG, "nats",
            "sink.expect_stream \"%s\" is no name of a stream: it has a blank, or one of . * > / \\; correct it",
            c->expect_stream);
    }
    return net_conf_check(&c->net, ret->tls, "nats", err);
}

const char *nats_conf_url_value(const char *url)
{
    return strncmp(url, "nats://", 7) == 0 ? url : NULL;
}

int nats_conf_url_check(const char *value, struct error *err)
{
    if (!strpbrk(value, "@?")) {
        return RESULT_DONE;
    }
    return error_set(
        err, ERROR_CONFIG, "nats",
        "nats://HOST:PORT[,nats://HOST:PORT] takes servers only; users, passwords and options go into a file (-c)");
}

/* A socket, and the descriptors by which two threads wake each other; as much again for connections
 * that are being ended. */
size_t nats_conf_descriptors(const void *conf UNUSED)
{
    return 12;
}
