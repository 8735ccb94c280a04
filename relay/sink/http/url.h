/*
 * A URL with placeholders. Example: https://hooks.example.com/{aggregatetype}/{key} gives for one
 * event https://hooks.example.com/order/a%2F7. A placeholder names a field of the event (id, type,
 * created_at, aggregatetype, aggregateid, position, topic, key); "{{" and "}}" stand for the braces
 * themselves. It may stand in the host's name, the path and the query; what it gives is
 * percent-encoded, so it never becomes a slash, a port or another host.
 *
 * A compiled URL never changes; any thread may read it. Functions give RESULT_DONE or RESULT_ERROR.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "model/field.h"

enum { HTTP_URL_PIECES = 32 };

struct http_url {
    struct http_url_piece {
        struct slice text;      /* in `memory`; null for a placeholder */
        enum event_field field; /* of a placeholder */
        bool in_host, in_path;
    } pieces[HTTP_URL_PIECES];
    size_t count;
    bool varies;      /* it has placeholders */
    bool host_varies; /* one of them is in the host's name */
    bool tls;
    struct buf memory; /* the literal text */
};

/* Takes one URL out of a list "URL, URL": *list is moved behind it. False at the end. */
bool http_url_next(const char **list, struct slice *ret);

/* Compiles it; the caller releases *ret, after an error too. CONFIG for what is no http or https
 * URL, for a user or password in it, an unknown placeholder, and one in a place where none may be.
 */
int http_url_compile(struct slice text, struct http_url *ret, struct error *err) MUST_CHECK;
void http_url_release(struct http_url *u);

/* Whether it holds {topic}. */
bool http_url_has_topic(const struct http_url *u);

/* Appends the URL for one event. POISON, and `out` as before, if a placeholder's value is null or
 * empty, makes no name of a host where one is needed, or a path of "." or "..". */
int http_url_expand(const struct http_url *u, const struct event *e, struct buf *out,
                    struct error *err) MUST_CHECK;
