/*
 * Reads URLs and connection strings: checks them, finds passwords, and shows them without. Error
 * texts go to logs and screens, so they name the wrong key and never show a value: it may be the
 * password, or a piece of one.
 */
#include "db/internal.h"

#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Keys that later versions of libpq know. With an old library the error then says which version is
 * needed, and not that the key is misspelt. */
static const struct {
    const char *name;
    int since;
} later_keys[] = {
    {"require_auth", 16},        {"sslcertmode", 16},          {"load_balance_hosts", 16},
    {"sslnegotiation", 17},      {"min_protocol_version", 18}, {"max_protocol_version", 18},
    {"sslkeylogfile", 18},       {"servicefile", 18},          {"scram_client_key", 18},
    {"scram_server_key", 18},    {"oauth_issuer", 18},         {"oauth_client_id", 18},
    {"oauth_client_secret", 18}, {"oauth_scope", 18},
};

const char *pg_library_version(void)
{
    static _Thread_local char text[16];
    int v = PQlibVersion();
    snprintf(text, sizeof text, "%d.%d", v / 10000, v % 10000);
    return text;
}

/* Finds the wrong key in libpq's error message. libpq quotes what it could not read, and that may
 * be a piece of the password. So a word is taken only from messages about keys, and only if it
 * looks like a key. */
static bool named_key(const char *message, char key[48])
{
    static const char *const forms[] = {"invalid connection option \"",
                                        "invalid URI query parameter: \""};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        const char *at = strstr(message, forms[i]);
        if (at) {
            at += strlen(forms[i]);
            size_t n = strspn(at, "abcdefghijklmnopqrstuvwxyz_");
            if (n > 0 && n < 48 && at[n] == '"') {
                memcpy(key, at, n);
                key[n] = '\0';
                return true;
            }
        }
    }
    return false;
}

static int fail_unreadable(struct error *err)
{
    return error_set(
        err, ERROR_CONFIG, "postgres",
        "this is neither a postgresql:// URL nor a libpq connection string (its text is not shown, it may hold a password): write postgresql://user@host:port/database and percent-encode special characters");
}

static int fail_parse(const char *message, struct error *err)
{
    char key[48];
    if (!named_key(message, key)) {
        return fail_unreadable(err);
    }
    for (size_t i = 0; i < sizeof later_keys / sizeof *later_keys; i++) {
        if (strcmp(later_keys[i].name, key) == 0) {
            return error_set(
                err, ERROR_CONFIG, "postgres",
                "the connection option %s needs libpq %d, this is libpq %s: leave it out or install a newer libpq",
                key, later_keys[i].since, pg_library_version());
        }
    }
    return error_set(err, ERROR_CONFIG, "postgres",
                     "unknown connection option \"%s\" (libpq %s): check its spelling", key,
                     pg_library_version());
}

/* True for a password with an unescaped slash: postgresql://user:pass/word@host. libpq would take
 * "user" for the host, "pass" for the port and "word@host" for the database, and show them in its
 * errors. */
static bool is_torn(const char *url)
{
    const char *start = strstr(url, "://");
    if (!start || strcspn(url, ": ='") != (size_t)(start - url)) {
        return false; /* no URL, but key=value pairs, one of which may contain a URL */
    }
    const char *path = start + 3 + strcspn(start + 3, "/?");
    return *path == '/' && memchr(path, '@', strcspn(path, "?"));
}

static bool are_ports(const char *list)
{
    return strspn(list, "0123456789,") == strlen(list);
}

static int check_values(const PQconninfoOption *options, struct error *err)
{
    for (const PQconninfoOption *o = options; o->keyword; o++) {
        if (o->val && strcmp(o->keyword, "sslrootcert") == 0 && strcmp(o->val, "system") == 0 &&
            PQlibVersion() < 160000) {
            return error_set(
                err, ERROR_CONFIG, "postgres",
                "sslrootcert=system needs libpq 16, this is libpq %s: name the file of the system's certificates (/etc/ssl/certs/ca-certificates.crt)",
                pg_library_version());
        }
        if (o->val && strcmp(o->keyword, "host") == 0 && strchr(o->val, '@')) {
            /* The host begins with the rest of a password that has an @ in it. libpq would show it
             * as a host name. */
            return error_set(
                err, ERROR_CONFIG, "postgres",
                "the connection URL has more than one @ before its host: write an @ inside a password as %%40");
        }
        if (o->val && strcmp(o->keyword, "port") == 0 && !are_ports(o->val)) {
            return fail_unreadable(err);
        }
        if (o->val && strcmp(o->keyword, "replication") == 0) {
            return error_set(
                err, ERROR_CONFIG, "postgres",
                "the connection option replication is set by commitrelay itself: leave it out");
        }
    }
    return RESULT_DONE;
}

int pg_parse_conninfo(const char *url, PQconninfoOption **ret, struct error *err)
{
    char *message = NULL;
    if (is_torn(url)) {
        return fail_unreadable(err);
    }
    PQconninfoOption *options = PQconninfoParse(url, &message);
    if (!options) {
        fail_parse(memory_need(message), err); /* without memory there is none */
        PQfreemem(message);
        return RESULT_ERROR;
    }
    if (check_values(options, err)) {
        PQconninfoFree(options);
        return RESULT_ERROR;
    }
    *ret = options;
    return RESULT_DONE;
}

static bool is_secret(const char *keyword)
{
    return strcmp(keyword, "password") == 0 || strcmp(keyword, "sslpassword") == 0;
}

const char *pg_url(const char *text)
{
    static const char *const schemes[] = {"postgresql://", "postgres://"};
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        if (strncmp(text, schemes[i], strlen(schemes[i])) == 0) {
            return text;
        }
    }
    const char *equals = strchr(text, '=');
    /* A colon before the = means a URL of another scheme, such as sqlite:a=b.db. */
    return equals && !memchr(text, ':', (size_t)(equals - text)) ? text : NULL;
}

int pg_has_password(const char *url, bool *ret, struct error *err)
{
    PQconninfoOption *options;
    if (pg_parse_conninfo(url, &options, err)) {
        return RESULT_ERROR;
    }
    *ret = false;
    for (const PQconninfoOption *o = options; o->keyword; o++) {
        *ret = *ret || (o->val && o->val[0] && is_secret(o->keyword));
    }
    PQconninfoFree(options);
    return RESULT_DONE;
}

/* The n-th item (from 0) of a comma-separated list. The last one if the list is shorter: libpq uses
 * a single port for all hosts. */
static struct slice nth(const char *list, size_t n)
{
    size_t len = strcspn(list, ",");
    while (n > 0 && list[len] == ',') {
        list += len + 1;
        len = strcspn(list, ",");
        n--;
    }
    return (struct slice){list, len};
}

static void add_hosts(struct buf *out, const char *hosts, const char *ports)
{
    for (size_t i = 0;; i++) {
        struct slice host = nth(hosts, i);
        bool v6 = memchr(host.ptr, ':', host.len) != NULL;
        buf_add_str(out, v6 ? "[" : "");
        buf_add_slice(out, host);
        buf_add_str(out, v6 ? "]" : "");
        if (ports[0]) {
            buf_add_char(out, ':');
            buf_add_slice(out, nth(ports, i));
        }
        if (host.ptr[host.len] == '\0') {
            return;
        }
        buf_add_char(out, ',');
    }
}

void pg_redact(const char *url, struct buf *out)
{
    struct error ignored;
    PQconninfoOption *options;
    if (pg_parse_conninfo(url, &options, &ignored)) {
        buf_add_str(out, "postgresql://(unreadable)");
        return;
    }
    const char *user = NULL, *host = NULL, *port = NULL, *database = NULL;
    for (const PQconninfoOption *o = options; o->keyword; o++) {
        user = strcmp(o->keyword, "user") == 0 ? o->val : user;
        host = strcmp(o->keyword, "host") == 0 ? o->val : host;
        port = strcmp(o->keyword, "port") == 0 ? o->val : port;
        database = strcmp(o->keyword, "dbname") == 0 ? o->val : database;
    }
    bool socket = host && host[0] == '/';
    buf_printf(out, "postgresql://%s%s", user ? user : "", user ? "@" : "");
    add_hosts(out, host && !socket ? host : "", port ? port : "");
    buf_printf(out, "/%s", database ? database : "");
    char separator = '?';
    for (const PQconninfoOption *o = options; o->keyword; o++) {
        bool shown =
            o->val == user || (o->val == host && !socket) || o->val == port || o->val == database;
        if (o->val && !shown && !is_secret(o->keyword)) {
            buf_printf(out, "%c%s=%s", separator, o->keyword, o->val);
            separator = '&';
        }
    }
    PQconninfoFree(options);
}

static const char *option(const PQconninfoOption *o, const char *keyword, const char *fallback)
{
    for (; o->keyword; o++) {
        if (strcmp(o->keyword, keyword) == 0 && o->val && o->val[0]) {
            return o->val;
        }
    }
    return fallback;
}

bool pg_same_server(const char *url, const char *other, bool database)
{
    static const char *const keys[][2] = {
        {"service", ""}, {"host", ""}, {"hostaddr", ""}, {"port", "5432"}, {"dbname", ""}};
    size_t n = sizeof keys / sizeof *keys - !database, same = 0;
    struct error ignored;
    PQconninfoOption *a = NULL, *b = NULL;
    if (!pg_parse_conninfo(url, &a, &ignored) && !pg_parse_conninfo(other, &b, &ignored)) {
        while (same < n && strcmp(option(a, keys[same][0], keys[same][1]),
                                  option(b, keys[same][0], keys[same][1])) == 0) {
            same++;
        }
    }
    PQconninfoFree(a);
    PQconninfoFree(b);
    return same == n;
}
