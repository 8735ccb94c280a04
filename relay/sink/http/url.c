/*
 * Compiles and fills URLs with placeholders.
 */
#include "sink/http/url.h"

#include <curl/curl.h>
#include <string.h>

static const char hexes[] = "0123456789ABCDEF";

enum { LABEL_MAX = 63, HOST_MAX = 253 }; /* of a host's name (RFC 1035) */

static bool begins_url(const char *text)
{
    return strncmp(text, "http://", 7) == 0 || strncmp(text, "https://", 8) == 0;
}

/* A URL may hold commas itself: only one with another URL behind it separates. */
bool http_url_next(const char **list, struct slice *ret)
{
    const char *from = *list + strspn(*list, " \t\r\n"), *end = from;
    if (*from == '\0') {
        return false;
    }
    for (; *end; end++) {
        if (*end == ',' && begins_url(end + 1 + strspn(end + 1, " \t\r\n"))) {
            break;
        }
    }
    *list = *end ? end + 1 : end;
    while (end > from && strchr(" \t\r\n", end[-1])) {
        end--;
    }
    *ret = (struct slice){from, (size_t)(end - from)};
    return true;
}

static bool unreserved(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

static bool of_host(char c)
{
    return unreserved(c) && c != '_' && c != '~';
}

static int refuse(struct error *err, struct slice text, const char *why)
{
    const char *query = memchr(text.ptr, '?', text.len); /* may hold a secret */
    text.len = query ? (size_t)(query - text.ptr) : text.len;
    return error_set(err, ERROR_CONFIG, "http", "sink.url \"%.*s%s\": %s", SLICE_FMT(text),
                     query ? "?***" : "", why);
}

/* Where the host's name, the port and the path begin; ends behind the last of each. */
struct parts {
    size_t host, host_end, path, path_end;
};

static struct parts parts_of(struct slice text)
{
    size_t host = text.len > 5 && text.ptr[4] == 's' ? 8 : 7, end = host;
    struct parts p;
    while (end < text.len && !strchr("/?", text.ptr[end])) {
        end++;
    }
    const char *bracket = memrchr(text.ptr + host, ']', end - host);
    const char *after = bracket ? bracket : text.ptr + host;
    const char *colon = memchr(after, ':', (size_t)(text.ptr + end - after));
    const char *query = memchr(text.ptr, '?', text.len);
    p.host = host;
    p.host_end = colon ? (size_t)(colon - text.ptr) : end;
    p.path = end;
    p.path_end = query ? (size_t)(query - text.ptr) : text.len;
    return p;
}

static int add_piece(struct http_url *u, struct http_url_piece piece, struct slice text,
                     struct error *err)
{
    if (u->count == HTTP_URL_PIECES) {
        return refuse(err, text, "it has too many placeholders");
    }
    u->pieces[u->count++] = piece;
    return RESULT_DONE;
}

static int add_placeholder(struct http_url *u, struct slice name, size_t at, const struct parts *p,
                           struct slice text, struct error *err)
{
    char word[32] = "";
    struct http_url_piece piece = {.in_host = at >= p->host && at < p->host_end,
                                   .in_path = at >= p->path && at < p->path_end};
    if (name.len < sizeof word) {
        memcpy(word, name.ptr, name.len);
        word[name.len] = '\0';
    }
    piece.field = event_field_from(word);
    if (piece.field >= FIELD_HEADERS) {
        return error_set(
            err, ERROR_CONFIG, "http",
            "sink.url: {%.*s} is no field of an event; there are id, type, created_at, aggregatetype, aggregateid, position, topic and key",
            SLICE_FMT(name));
    }
    if (at < p->path && !piece.in_host) {
        return refuse(err, text,
                      "a placeholder may stand in the host's name, the path and the query only");
    }
    u->varies = true;
    u->host_varies = u->host_varies || piece.in_host;
    return add_piece(u, piece, text, err);
}

/* Where the next literal text ends, from `at`: at a brace. */
static size_t literal_end(struct slice text, size_t at)
{
    while (at < text.len && text.ptr[at] != '{' && text.ptr[at] != '}') {
        at++;
    }
    return at;
}

static int add_literal(struct http_url *u, struct slice s, bool in_path, struct slice text,
                       struct error *err)
{
    /* `memory` was reserved, so the pointer stays. */
    struct http_url_piece piece = {.in_path = in_path,
                                   .text = {u->memory.data + u->memory.len, s.len}};
    buf_add_slice(&u->memory, s);
    return add_piece(u, piece, text, err);
}

static int split(struct http_url *u, struct slice text, const struct parts *p, struct error *err)
{
    for (size_t at = 0; at < text.len;) {
        char c = text.ptr[at];
        bool twice = at + 1 < text.len && text.ptr[at + 1] == c;
        bool brace = c == '{' || c == '}';
        size_t end = brace ? at + 1 : literal_end(text, at);
        if (brace && !twice) {
            const char *close = memchr(text.ptr + at, '}', text.len - at);
            if (c == '}' || !close) {
                return refuse(err, text, "a brace stands alone; write {{ or }} for the character");
            }
            end = (size_t)(close - text.ptr) + 1;
            if (add_placeholder(u, (struct slice){text.ptr + at + 1, end - at - 2}, at, p, text,
                                err)) {
                return RESULT_ERROR;
            }
        } else if (add_literal(u, (struct slice){text.ptr + at, end - at},
                               at >= p->path && at < p->path_end, text, err)) {
            return RESULT_ERROR;
        } else {
            end += brace; /* the second of two */
        }
        at = end;
    }
    return RESULT_DONE;
}

/* What libcurl says of it, with an x in the place of each placeholder. */
static int check_form(const struct http_url *u, struct slice text, struct error *err)
{
    CLEANUP(buf_release) struct buf sample = {0};
    for (size_t i = 0; i < u->count; i++) {
        if (slice_is_null(u->pieces[i].text)) {
            buf_add_char(&sample, 'x');
        } else {
            buf_add_slice(&sample, u->pieces[i].text);
        }
    }
    char *user = NULL, *fragment = NULL;
    CURLU *parsed = curl_url();
    CURLUcode code = curl_url_set(parsed, CURLUPART_URL, buf_str(&sample), CURLU_PATH_AS_IS);
    bool has_user = !code && curl_url_get(parsed, CURLUPART_USER, &user, 0) == CURLUE_OK;
    bool has_fragment =
        !code && curl_url_get(parsed, CURLUPART_FRAGMENT, &fragment, 0) == CURLUE_OK;
    curl_free(user);
    curl_free(fragment);
    curl_url_cleanup(parsed);
    if (code) {
        return refuse(err, text, curl_url_strerror(code));
    }
    if (has_user) {
        return refuse(
            err, text,
            "it holds a user or password, which would be shown; use sink.username and sink.password_file");
    }
    return has_fragment ? refuse(err, text, "no server sees what follows #; remove it")
                        : RESULT_DONE;
}

int http_url_compile(struct slice text, struct http_url *ret, struct error *err)
{
    CLEANUP(buf_release) struct buf copy = {0};
    memset(ret, 0, sizeof *ret);
    buf_add_slice(&copy, text);
    if (!begins_url(buf_str(&copy))) {
        return refuse(err, text, "it begins with neither https:// nor http://");
    }
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.ptr[i] <= ' ' || (unsigned char)text.ptr[i] >= 0x7f) {
            return refuse(
                err, text,
                "a URL has no blanks, control characters and letters beyond ASCII; percent-encode them");
        }
    }
    struct parts p = parts_of(text);
    if (p.host_end == p.host) {
        return refuse(err, text, "it has no host");
    }
    ret->tls = p.host == 8;
    buf_reserve(&ret->memory, text.len + 1);
    if (split(ret, text, &p, err) || check_form(ret, text, err)) {
        return RESULT_ERROR;
    }
    return RESULT_DONE;
}

void http_url_release(struct http_url *u)
{
    buf_release(&u->memory);
}

static int bad_value(struct error *err, const struct http_url_piece *p, const char *why)
{
    static const char *const more[] = {[FIELD_TOPIC - FIELD_OWN_COUNT] = "topic",
                                       [FIELD_KEY - FIELD_OWN_COUNT] = "key"};
    const char *name =
        p->field < FIELD_OWN_COUNT ? event_own_fields[p->field] : more[p->field - FIELD_OWN_COUNT];
    return error_set(err, ERROR_POISON, "http", "sink.url: {%s} %s; mend the row", name, why);
}

static int add_value(struct buf *out, const struct http_url_piece *p, struct slice value,
                     struct error *err)
{
    if (value.len == 0) {
        return bad_value(err, p, "is empty");
    }
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];
        if (p->in_host && !of_host((char)c)) {
            return bad_value(err, p, "holds a character that no host name may have");
        }
        if (unreserved((char)c)) {
            buf_add_char(out, (char)c);
        } else {
            char encoded[3] = {'%', hexes[c >> 4], hexes[c & 15]};
            buf_add(out, encoded, sizeof encoded);
        }
    }
    return RESULT_DONE;
}

/* A server would take "." and ".." in a path as "here" and "one up". */
static bool has_dot_segment(const char *url)
{
    const char *p = strstr(url, "://") + 3;
    p += strcspn(p, "/?");
    while (*p == '/') {
        size_t n = strcspn(p + 1, "/?");
        if ((n == 1 && p[1] == '.') || (n == 2 && p[1] == '.' && p[2] == '.')) {
            return true;
        }
        p += 1 + n;
    }
    return false;
}

/* No name service knows a name that cannot be one, and the event would be tried for ever. */
static bool has_host(const char *url)
{
    const char *p = strstr(url, "://") + 3;
    size_t all = strcspn(p, ":/?"), label = 0;
    for (size_t i = 0; i < all; i++) {
        if (p[i] == '.' && label == 0) {
            return false;
        }
        label = p[i] == '.' ? 0 : label + 1;
        if (label > LABEL_MAX) {
            return false;
        }
    }
    return all <= HOST_MAX;
}

bool http_url_has_topic(const struct http_url *u)
{
    for (size_t i = 0; i < u->count; i++) {
        if (slice_is_null(u->pieces[i].text) && u->pieces[i].field == FIELD_TOPIC) {
            return true;
        }
    }
    return false;
}

int http_url_expand(const struct http_url *u, const struct event *e, struct buf *out,
                    struct error *err)
{
    char time[CLOCK_RFC3339_SIZE];
    size_t before = out->len;
    for (size_t i = 0; i < u->count; i++) {
        const struct http_url_piece *p = &u->pieces[i];
        if (!slice_is_null(p->text)) {
            buf_add_slice(out, p->text);
        } else if (add_value(out, p, event_field(e, p->field, time), err)) {
            buf_truncate(out, before);
            return RESULT_ERROR;
        }
    }
    if (u->host_varies && !has_host(buf_str(out) + before)) {
        buf_truncate(out, before);
        return error_set(
            err, ERROR_POISON, "http",
            "sink.url: a value makes no name of a host (a part of it is empty, or it is too long); mend the row");
    }
    if (u->varies && has_dot_segment(buf_str(out) + before)) {
        buf_truncate(out, before);
        return error_set(
            err, ERROR_POISON, "http",
            "sink.url: a value makes \".\" or \"..\" of a part of the path, which would lead elsewhere; mend the row");
    }
    return RESULT_DONE;
}
