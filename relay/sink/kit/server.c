/*
 * Takes URLs of servers apart (server.h).
 */
#include "sink/kit/server.h"

#include <stdio.h>
#include <string.h>

enum { PORT_MAX = 65535 };

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
static int take_login(const struct net_conf *conf, struct arena *memory, const char *text,
                      size_t len, struct net_server *s)
{
    const char *colon = memchr(text, ':', len);
    size_t user = colon ? (size_t)(colon - text) : len;
    s->user = decode(memory, text, user);
    s->password = colon ? decode(memory, colon + 1, len - user - 1) : conf->password;
    return s->user && s->password ? RESULT_DONE : RESULT_ERROR;
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
static int take_address(struct arena *memory, const char *text, size_t len, struct net_server *s)
{
    bool bracketed = len > 0 && *text == '[';
    const char *end = text + len, *bracket = bracketed ? memchr(text, ']', len) : NULL;
    const char *after = bracket ? bracket + 1 : memchr(text, ':', len);
    after = after ? after : end;
    const char *first = text + bracketed, *last = bracket ? bracket : after;
    if ((bracketed && !bracket) || last == first || (after < end && *after != ':')) {
        return RESULT_ERROR;
    }
    if (after < end && (s->port = take_port(after + 1, (size_t)(end - after - 1))) == 0) {
        return RESULT_ERROR;
    }
    s->name = decode(memory, first, (size_t)(last - first));
    if (!s->name || strpbrk(s->name, " /@?#")) {
        return RESULT_ERROR;
    }
    char *shown = arena_bytes(memory, strlen(s->name) + 16);
    snprintf(shown, strlen(s->name) + 16, bracketed ? "[%s]:%d" : "%s:%d", s->name, s->port);
    s->shown = shown;
    return RESULT_DONE;
}

const char *net_server_read(const char *text, size_t len, int port, const struct net_conf *conf,
                            struct arena *memory, struct net_server *ret)
{
    const char *slash = memchr(text, '/', len);
    size_t left = slash ? (size_t)(slash - text) : len;
    const char *at = memrchr(text, '@', left);
    const char *address = at ? at + 1 : text;
    *ret = (struct net_server){.port = port, .user = conf->username, .password = conf->password};
    if (at && *conf->username) {
        return "names a user, and so does sink.username; keep one of them";
    }
    if (at && take_login(conf, memory, text, (size_t)(at - text), ret)) {
        return "has a %XX in user or password that is malformed";
    }
    if (take_address(memory, address, left - (size_t)(address - text), ret)) {
        return "has no valid HOST[:PORT]";
    }
    if (slash && !(ret->path = decode(memory, slash + 1, len - left - 1))) {
        return "has a malformed %XX behind the \"/\"";
    }
    return !*ret->user && *ret->password ? "has a password without a user; set sink.username too"
                                         : NULL;
}
