/* The keys of `upload` and what a table cannot express of them: which ones belong to which kind of
 * URL. A password in a URL is refused; it comes from a file or the environment. */
#include "sink/file/upload/conf.h"

#include "base/clock.h"
#include <string.h>

#define FIELD(field) offsetof(struct upload_conf, field)
#define AUTH(field) .offset = FIELD(auth.field) - FIELD(auth)
#define ACKNOWLEDGE(field) .offset = FIELD(acknowledge.field) - FIELD(acknowledge)
#define RETRY(field) .offset = FIELD(retry.field) - FIELD(retry)

enum { SUFFIX_MAX = 20 };
static const char *const methods[] = {[UPLOAD_PUT] = "PUT", [UPLOAD_POST] = "POST", NULL};

static const struct conf_key auth_keys[] = {
    {"bearer", CONF_SECRET, AUTH(bearer), .help = "HTTPS: the token of `Authorization: Bearer`"},
    {"user", CONF_STRING, AUTH(user),
     .help = "HTTPS: the user of Basic authentication; S3: the access key id"},
    {"password", CONF_SECRET, AUTH(password),
     .help = "The password of the user (HTTPS, SFTP); S3: the secret access key"},
    CONF_END,
};

static const struct conf_key retry_keys[] = {
    {"initial", CONF_DURATION, RETRY(initial_us), "1s", .min = US_PER_MS,
     .max = 3600 * US_PER_SECOND,
     .help = "The first wait after a failure, with full jitter; doubled each time"},
    {"max", CONF_DURATION, RETRY(max_us), "1m", .min = US_PER_MS, .max = 24 * 3600 * US_PER_SECOND,
     .help = "The longest wait; after five failures in a row always this one, with one try each"},
    CONF_END,
};

static const struct conf_key acknowledge_keys[] = {
    {"suffix", CONF_STRING, ACKNOWLEDGE(suffix),
     .help =
         "The receiver confirms a file by another one beside it, whose name ends in this (`.ack`)"},
    {"resend_after", CONF_DURATION, ACKNOWLEDGE(resend_after_us), "1h",
     .given_offset = FIELD(acknowledge.resend_after_given) - FIELD(acknowledge),
     .min = US_PER_SECOND, .max = 3650 * 24 * 3600 * US_PER_SECOND,
     .help = "Send a file again that was not confirmed for so long, and again after that"},
    CONF_END,
};

const struct conf_key upload_conf_keys[] = {
    {"name", CONF_STRING, FIELD(name), .required = true,
     .help = "The target's name, 1 to 40 of `a-z 0-9 _ -`; what it has accepted is kept under it"},
    {"url", CONF_STRING, FIELD(url), .required = true,
     .help = "`https://HOST/PATH/`, `sftp://USER@HOST/DIR` or `s3://BUCKET/PREFIX`"},
    {"method", CONF_ENUM, FIELD(method), "PUT", .choices = methods,
     .given_offset = FIELD(method_given),
     .help = "HTTPS: PUT to the URL with the file's name behind it, or POST to the URL itself"},
    {"key_file", CONF_STRING, FIELD(key_file),
     .help = "SFTP: the private key, a file without a passphrase"},
    {"known_hosts", CONF_STRING, FIELD(known_hosts),
     .help = "SFTP, required: the file with the server's host key, as ssh has it"},
    {"ca_file", CONF_STRING, FIELD(ca_file),
     .help = "HTTPS, S3: certificates of the authorities that are trusted; the system's without "
             "it"},
    {"auth", CONF_GROUP, FIELD(auth), .group = auth_keys, .help = "Who we are"},
    {"region", CONF_STRING, FIELD(region), .help = "S3, required: the region, as `eu-central-1`"},
    {"endpoint", CONF_STRING, FIELD(endpoint),
     .help = "S3: `https://HOST[:PORT]` of another server than Amazon's"},
    {"connect_timeout", CONF_DURATION, FIELD(connect_timeout_us), "5s", .min = US_PER_MS,
     .max = 3600 * US_PER_SECOND, .help = "How long connecting and logging in may take"},
    {"timeout", CONF_DURATION, FIELD(timeout_us), "5m", .min = US_PER_SECOND,
     .max = 24 * 3600 * US_PER_SECOND,
     .help = "A transfer in which nothing moves for so long has failed"},
    {"retry", CONF_GROUP, FIELD(retry), .group = retry_keys, .help = "Waits between tries"},
    {"acknowledge", CONF_GROUP, FIELD(acknowledge), .group = acknowledge_keys,
     .help = "How the receiver confirms a file"},
    CONF_END,
};

static const char LETTERS[] = "abcdefghijklmnopqrstuvwxyz";
static const char UPPER[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/* Whether the text has only letters of both cases, digits and those of `more`. */
static bool only(struct slice text, const char *more)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (!c || !(strchr(LETTERS, c) || strchr(UPPER, c) || (c >= '0' && c <= '9') ||
                    strchr(more, c))) {
            return false;
        }
    }
    return true;
}

static int mistake(const struct upload_conf *c, struct error *err, const char *key, const char *why)
{
    return error_set(err, ERROR_CONFIG, "upload", "sink.upload %s: %s %s", c->name, key, why);
}

/* A URL in its parts; all point into it. `path` begins with its slash or is empty. */
struct parts {
    struct slice user, host, path;
};

static int take_apart(const struct upload_conf *c, const char *rest, struct parts *ret,
                      struct error *err)
{
    size_t n = strcspn(rest, "/?#");
    const char *at = memrchr(rest, '@', n);
    ret->user = at ? (struct slice){rest, (size_t)(at - rest)} : (struct slice){rest, 0};
    const char *host = at ? at + 1 : rest;
    ret->host = (struct slice){host, (size_t)(rest + n - host)};
    ret->path = slice_from(rest + n);
    if (memchr(ret->user.ptr, ':', ret->user.len)) {
        return mistake(c, err, "url", "holds a password; remove it, and set auth.password_file");
    }
    if (ret->host.len == 0 || !only(ret->host, ".-:[]") || !only(ret->user, "._-")) {
        return mistake(c, err, "url",
                       "has no host, or signs in user or host that they cannot have");
    }
    return RESULT_DONE;
}

static int check_path(const struct upload_conf *c, const struct parts *p, struct error *err)
{
    return only(p->path, "/._~-+=,@")
               ? RESULT_DONE
               : mistake(
                     c, err, "url",
                     "has a path with other signs than letters, digits and /._~-+=,@; use a path without them");
}

/* Is a part between slashes one that programs on the way take out? */
static bool has_dots(struct slice path)
{
    for (size_t i = 0, n; i < path.len; i += n + 1) {
        const char *slash = memchr(path.ptr + i, '/', path.len - i);
        n = slash ? (size_t)(slash - path.ptr) - i : path.len - i;
        if ((n == 1 || n == 2) && memcmp(path.ptr + i, "..", n) == 0) {
            return true;
        }
    }
    return false;
}

/* An object's key may have nearly any sign. Those with a meaning in a URL are left out, since it
 * would have to be guessed which one is meant. */
static int check_key(const struct upload_conf *c, struct slice key, struct error *err)
{
    for (size_t i = 0; i < key.len; i++) {
        unsigned char sign = (unsigned char)key.ptr[i];
        if (sign < 0x20 || sign == 0x7f || strchr("?#%\\", sign)) {
            return mistake(
                c, err, "url",
                "has a prefix with a control character, ?, #, % or \\; the prefix stands in it as it is, not percent-encoded");
        }
    }
    return has_dots(key) ? mistake(c, err, "url", "has a prefix with a part . or ..; remove it")
                         : RESULT_DONE;
}

/* As AWS encodes the canonical URI of a signature: all but the unreserved characters of RFC 3986
 * and the slash. What is sent is what is signed. */
static void add_encoded(struct buf *out, struct slice key)
{
    for (size_t i = 0; i < key.len; i++) {
        struct slice sign = {key.ptr + i, 1};
        if (only(sign, "/-._~")) {
            buf_add_slice(out, sign);
        } else {
            buf_printf(out, "%%%02X", (unsigned char)key.ptr[i]);
        }
    }
}

static void add_dir(struct buf *out, struct slice path)
{
    buf_add_slice(out, path);
    if (path.len == 0 || path.ptr[path.len - 1] != '/') {
        buf_add_char(out, '/');
    }
}

/* The first key that is given and that this kind does not use; NULL: none. */
static const char *unused_key(const struct upload_conf *c, enum upload_kind kind)
{
    const struct {
        const char *name;
        bool given, used;
    } keys[] = {
        {"method", c->method_given, kind == UPLOAD_HTTPS},
        {"key_file", c->key_file[0], kind == UPLOAD_SFTP},
        {"known_hosts", c->known_hosts[0], kind == UPLOAD_SFTP},
        {"ca_file", c->ca_file[0], kind != UPLOAD_SFTP},
        {"auth.bearer", c->auth.bearer[0], kind == UPLOAD_HTTPS},
        {"auth.user", c->auth.user[0], kind != UPLOAD_SFTP},
        {"region", c->region[0], kind == UPLOAD_S3},
        {"endpoint", c->endpoint[0], kind == UPLOAD_S3},
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        if (keys[i].given && !keys[i].used) {
            return keys[i].name;
        }
    }
    return NULL;
}

static int https_address(const struct upload_conf *c, const struct parts *p,
                         struct upload_address *ret, struct error *err)
{
    if (p->user.len > 0) {
        return mistake(c, err, "url", "names a user; remove it, and set auth.user");
    }
    if (check_path(c, p, err)) {
        return RESULT_ERROR;
    }
    if (c->auth.bearer[0] ? c->auth.user[0] || c->auth.password[0]
                          : !c->auth.user[0] != !c->auth.password[0]) {
        return mistake(c, err, "auth", "is either bearer, or user and password");
    }
    buf_printf(&ret->base, "https://%.*s", SLICE_FMT(p->host));
    if (c->method == UPLOAD_POST) {
        buf_add_slice(&ret->base, p->path.len ? p->path : slice_from("/"));
    } else {
        add_dir(&ret->base, p->path);
    }
    return RESULT_DONE;
}

static int sftp_address(const struct upload_conf *c, const struct parts *p,
                        struct upload_address *ret, struct error *err)
{
    if (p->user.len == 0) {
        return mistake(c, err, "url", "names no user; write sftp://USER@HOST/DIR");
    }
    if (!c->known_hosts[0]) {
        return mistake(
            c, err, "known_hosts",
            "is missing; without the server's host key anybody could take the files. Set it to a file as ssh has it");
    }
    if (!c->key_file[0] == !c->auth.password[0]) {
        return mistake(c, err, "key_file", "or auth.password_file is needed, and only one of them");
    }
    if (check_path(c, p, err)) {
        return RESULT_ERROR;
    }
    if (p->path.len > 1 && p->path.ptr[1] == '~') {
        return mistake(c, err, "url", "begins in a home directory; name the whole path");
    }
    buf_add_slice(&ret->user, p->user);
    add_dir(&ret->dir, p->path);
    buf_printf(&ret->base, "sftp://%.*s%s", SLICE_FMT(p->host), buf_str(&ret->dir));
    return RESULT_DONE;
}

static int s3_address(const struct upload_conf *c, const struct parts *p,
                      struct upload_address *ret, struct error *err)
{
    static const char scheme[] = "https://";
    struct slice prefix = p->path.len ? (struct slice){p->path.ptr + 1, p->path.len - 1} : p->path;
    const char *endpoint = c->endpoint;
    if (p->user.len > 0 || !c->auth.user[0] || !c->auth.password[0]) {
        return mistake(c, err, "auth",
                       "needs user (the access key id) and password (the secret access key)");
    }
    if (check_key(c, p->path, err)) {
        return RESULT_ERROR;
    }
    if (!c->region[0] || !only(slice_from(c->region), "-")) {
        return mistake(c, err, "region",
                       "is missing or no name of a region; set it, as eu-central-1");
    }
    if (endpoint[0]) {
        size_t n = sizeof scheme - 1;
        if (strncmp(endpoint, scheme, n) != 0 || !endpoint[n] ||
            !only(slice_from(endpoint + n), ".-:[]")) {
            return mistake(c, err, "endpoint", "is https://HOST or https://HOST:PORT");
        }
        buf_printf(&ret->base, "%s/%.*s/", endpoint, SLICE_FMT(p->host));
    } else {
        buf_printf(&ret->base, "https://%.*s.s3.%s.amazonaws.com/", SLICE_FMT(p->host), c->region);
    }
    if (prefix.len > 0) {
        CLEANUP(buf_release) struct buf dir = {0};
        add_dir(&dir, prefix);
        add_encoded(&ret->base, buf_slice(&dir));
    }
    return RESULT_DONE;
}

int upload_address_of(const struct upload_conf *c, struct upload_address *ret, struct error *err)
{
    static const char *const schemes[] = {
        [UPLOAD_HTTPS] = "https://", [UPLOAD_SFTP] = "sftp://", [UPLOAD_S3] = "s3://"};
    static int (*const address_of[])(const struct upload_conf *, const struct parts *,
                                     struct upload_address *, struct error *) = {
        [UPLOAD_HTTPS] = https_address, [UPLOAD_SFTP] = sftp_address, [UPLOAD_S3] = s3_address};
    size_t kind = 0, n = sizeof schemes / sizeof *schemes;
    while (kind < n && strncmp(c->url, schemes[kind], strlen(schemes[kind])) != 0) {
        kind++;
    }
    if (kind == n) {
        return mistake(c, err, "url", "must begin with https://, sftp:// or s3://");
    }
    struct parts parts;
    const char *unused = unused_key(c, (enum upload_kind)kind);
    if (unused) {
        return error_set(err, ERROR_CONFIG, "upload",
                         "sink.upload %s: a URL of %s does not use the key %s; remove the key",
                         c->name, schemes[kind], unused);
    }
    CLEANUP(upload_address_release) struct upload_address a = {.kind = (enum upload_kind)kind};
    if (take_apart(c, c->url + strlen(schemes[kind]), &parts, err) ||
        address_of[kind](c, &parts, &a, err)) {
        return RESULT_ERROR;
    }
    *ret = a;
    a = (struct upload_address){0};
    return RESULT_DONE;
}

void upload_address_release(struct upload_address *a)
{
    buf_release(&a->base);
    buf_release(&a->dir);
    buf_release(&a->user);
}

static int check_name(const struct upload_conf *c, struct error *err)
{
    size_t n = strlen(c->name);
    if (strcmp(c->name, UPLOAD_COMMAND) == 0) {
        return error_set(err, ERROR_CONFIG, "upload",
                         "sink.upload: the name %s stands for the command; choose another",
                         c->name);
    }
    return n <= UPLOAD_NAME_MAX && strspn(c->name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == n
               ? RESULT_DONE
               : error_set(err, ERROR_CONFIG, "upload",
                           "sink.upload: the name %.60s must be 1 to %d of a-z 0-9 _ -", c->name,
                           UPLOAD_NAME_MAX);
}

static int check_acknowledge(const struct upload_conf *c, struct error *err)
{
    const char *suffix = c->acknowledge.suffix;
    if (!suffix[0]) {
        return c->acknowledge.resend_after_given
                   ? mistake(c, err, "acknowledge.resend_after", "needs acknowledge.suffix; set it")
                   : RESULT_DONE;
    }
    if (!only(slice_from(suffix), ".-_") || strlen(suffix) > SUFFIX_MAX) {
        return mistake(c, err, "acknowledge.suffix", "is at most 20 letters, digits and .-_");
    }
    return c->method == UPLOAD_POST
               ? mistake(c, err, "acknowledge",
                         "looks for a file beside the one that was PUT; it has no place for POST")
               : RESULT_DONE;
}

int upload_conf_check(const struct conf_groups *uploads, struct error *err)
{
    const struct upload_conf *all = uploads->items;
    for (size_t i = 0; i < uploads->count; i++) {
        CLEANUP(upload_address_release) struct upload_address a = {0};
        if (check_name(&all[i], err) || upload_address_of(&all[i], &a, err) ||
            check_acknowledge(&all[i], err)) {
            return RESULT_ERROR;
        }
        for (size_t j = 0; j < i; j++) {
            if (strcmp(all[i].name, all[j].name) == 0) {
                return error_set(err, ERROR_CONFIG, "upload",
                                 "sink.upload has two targets called %s; rename one", all[i].name);
            }
        }
    }
    return RESULT_DONE;
}
