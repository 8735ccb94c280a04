/*
 * Reads sink.url: one or several URLs of servers. A URL is never shown, because it may hold a
 * password.
 */
#include "sink/redis/conf.h"

#include "base/digits.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <string.h>

enum { DB_MAX = 1000000, PORT_MAX = 65535 };

/* The URL that is read, for error texts. */
struct place {
    size_t number; /* of the URL in the list, from 1 */
    struct error *err;
};

static int wrong(const struct place *at, const char *why)
{
    return error_set(
        at->err, ERROR_CONFIG, "redis",
        "sink.url, server %zu: %s; a server is redis://[USER[:PASSWORD]@]HOST[:PORT][/DB] or unix:PATH[?db=DB], and several are separated by commas",
        at->number, why);
}

static int hex(char c)
{
    return c >= '0' && c <= '9'                     ? c - '0'
           : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10
                                                    : -1;
}

/* Copies a part of a URL with its %XX as bytes. */
static int decode(const struct place *at, struct arena *memory, struct slice part, const char **ret)
{
    char *out = arena_bytes(memory, part.len + 1);
    size_t n = 0;
    for (size_t i = 0; i < part.len; i++) {
        char c = part.ptr[i];
        if (c == '%') {
            int high = i + 2 < part.len ? hex(part.ptr[i + 1]) : -1;
            int low = i + 2 < part.len ? hex(part.ptr[i + 2]) : -1;
            if (high < 0 || low < 0 || high + low == 0) {
                return wrong(at, "a % is not followed by two hex digits of a byte (%25 is a %)");
            }
            c = (char)(high * 16 + low);
            i += 2;
        }
        out[n++] = c;
    }
    out[n] = '\0';
    *ret = out;
    return RESULT_DONE;
}

/* Cuts *rest at the first `c`: what is before it is returned, *rest is what is behind it. Without
 * `c` it returns null, and *rest stays. */
static struct slice cut(struct slice *rest, char c)
{
    const char *p = rest->len ? memchr(rest->ptr, c, rest->len) : NULL;
    if (!p) {
        return SLICE_NULL;
    }
    struct slice before = {rest->ptr, (size_t)(p - rest->ptr)};
    *rest = (struct slice){p + 1, rest->len - before.len - 1};
    return before;
}

/* USER, USER:PASSWORD or :PASSWORD. */
static int read_login(const struct place *at, struct arena *memory, struct slice login,
                      struct redis_server *s)
{
    struct slice password = login, user = cut(&password, ':');
    if (slice_is_null(user)) {
        user = login;
        password = (struct slice){"", 0};
    }
    return decode(at, memory, user, &s->user) || decode(at, memory, password, &s->password)
               ? RESULT_ERROR
               : RESULT_DONE;
}

static int read_db(const struct place *at, struct slice text, struct redis_server *s)
{
    uint64_t db = 0;
    if (text.len > 0 && (!digits_parse(text, &db) || db > DB_MAX)) {
        return wrong(at, "the database is not a number");
    }
    s->db = (int64_t)db;
    return RESULT_DONE;
}

/* HOST, HOST:PORT, [IPv6] or [IPv6]:PORT. */
static int read_host(const struct place *at, struct arena *memory, struct slice address,
                     struct redis_server *s)
{
    struct slice host, port = {"", 0};
    uint64_t number = 0;
    if (address.len > 0 && address.ptr[0] == '[') {
        port = (struct slice){address.ptr + 1, address.len - 1};
        host = cut(&port, ']');
        if (slice_is_null(host) || (port.len > 0 && port.ptr[0] != ':')) {
            return wrong(at, "an IPv6 address stands in brackets, with :PORT behind them");
        }
        port = port.len > 0 ? (struct slice){port.ptr + 1, port.len - 1} : port;
    } else {
        struct slice behind = address, before = cut(&behind, ':');
        host = slice_is_null(before) ? address : before;
        port = slice_is_null(before) ? port : behind;
    }
    if (host.len == 0) {
        return wrong(at, "it names no host");
    }
    port = port.len > 0 ? port : (struct slice)SLICE_LITERAL("6379");
    if (!digits_parse(port, &number) || number == 0 || number > PORT_MAX) {
        return wrong(at, "the port is not a number from 1 to 65535");
    }
    s->port = arena_copy(memory, port).ptr;
    if (decode(at, memory, host, &s->host)) {
        return RESULT_ERROR;
    }
    bool v6 = strchr(s->host, ':') != NULL;
    size_t size = strlen(s->host) + port.len + 4;
    char *shown = arena_bytes(memory, size);
    snprintf(shown, size, v6 ? "[%s]:%s" : "%s:%s", s->host, s->port);
    s->shown = shown;
    return RESULT_DONE;
}

static int read_tcp(const struct place *at, struct arena *memory, struct slice rest,
                    struct redis_server *s)
{
    const char *sign = rest.len ? memrchr(rest.ptr, '@', rest.len) : NULL;
    if (sign) {
        struct slice login = {rest.ptr, (size_t)(sign - rest.ptr)};
        rest = (struct slice){sign + 1, rest.len - login.len - 1};
        if (read_login(at, memory, login, s)) {
            return RESULT_ERROR;
        }
    }
    struct slice db = rest, address = cut(&db, '/');
    if (slice_is_null(address)) {
        address = rest;
        db = SLICE_NULL;
    }
    return read_db(at, db, s) || read_host(at, memory, address, s) ? RESULT_ERROR : RESULT_DONE;
}

/* unix:PATH, and unix://[USER[:PASSWORD]@]PATH as other clients have it. */
static int read_unix(const struct place *at, struct arena *memory, struct slice rest,
                     struct redis_server *s)
{
    struct slice query = rest, path = cut(&query, '?');
    if (slice_is_null(path)) {
        path = rest;
        query = SLICE_NULL;
    } else if (query.len < 3 || memcmp(query.ptr, "db=", 3) != 0) {
        return wrong(at, "only db=DB may stand behind the ?");
    } else {
        query = (struct slice){query.ptr + 3, query.len - 3};
    }
    if (path.len > 2 && memcmp(path.ptr, "//", 2) == 0) {
        path = (struct slice){path.ptr + 2, path.len - 2};
        struct slice behind = path, login = cut(&behind, '@');
        if (!slice_is_null(login) && read_login(at, memory, login, s)) {
            return RESULT_ERROR;
        }
        path = slice_is_null(login) ? path : behind;
    }
    if (path.len == 0 || decode(at, memory, path, &s->path)) {
        return path.len == 0 ? wrong(at, "it names no path") : RESULT_ERROR;
    }
    s->shown = s->path;
    return read_db(at, query, s);
}

static int read_one(const struct place *at, struct arena *memory, struct slice url,
                    struct redis_server *s)
{
    static const struct slice tcp = SLICE_LITERAL("redis://"), local = SLICE_LITERAL("unix:"),
                              tls = SLICE_LITERAL("rediss://");
    if (url.len >= tls.len && memcmp(url.ptr, tls.ptr, tls.len) == 0) {
        return error_set(
            at->err, ERROR_CONFIG, "redis",
            "sink.url, server %zu: rediss is not in this version, which hiredis %d.%d.%d without TLS serves; reach the server by a Unix socket or a TLS tunnel (stunnel)",
            at->number, HIREDIS_MAJOR, HIREDIS_MINOR, HIREDIS_PATCH);
    }
    if (url.len >= tcp.len && memcmp(url.ptr, tcp.ptr, tcp.len) == 0) {
        return read_tcp(at, memory, (struct slice){url.ptr + tcp.len, url.len - tcp.len}, s);
    }
    if (url.len >= local.len && memcmp(url.ptr, local.ptr, local.len) == 0) {
        return read_unix(at, memory, (struct slice){url.ptr + local.len, url.len - local.len}, s);
    }
    return wrong(at, "it begins neither with redis:// nor with unix:");
}

static void add_login(const struct redis_conf *conf, struct redis_server *s)
{
    s->user = s->user && *s->user ? s->user : conf->net.username;
    s->password = s->password && *s->password ? s->password : conf->net.password;
}

int redis_servers_read(const struct redis_conf *conf, struct arena *memory,
                       struct redis_server servers[REDIS_SERVERS_MAX], size_t *ret_count,
                       struct error *err)
{
    struct place at = {.number = 1, .err = err};
    struct slice rest = slice_from(conf->url);
    for (bool more = true; more; at.number++) {
        struct slice url = cut(&rest, ',');
        more = !slice_is_null(url);
        url = more ? url : rest;
        while (url.len > 0 && url.ptr[0] == ' ') {
            url = (struct slice){url.ptr + 1, url.len - 1};
        }
        if (at.number > REDIS_SERVERS_MAX) {
            return error_set(err, ERROR_CONFIG, "redis",
                             "sink.url names more than %d servers; leave some out",
                             REDIS_SERVERS_MAX);
        }
        struct redis_server *s = &servers[at.number - 1];
        *s = (struct redis_server){0};
        if (read_one(&at, memory, url, s)) {
            return RESULT_ERROR;
        }
        add_login(conf, s);
        if (*s->user && !*s->password) {
            return wrong(&at, "it has a user without a password; give sink.password_file");
        }
    }
    *ret_count = at.number - 1;
    return RESULT_DONE;
}
