/*
 * A request to the admin port that is for none of its own pages, as a site (the console) gets it.
 * The site answers at once, or holds the request and answers later, or makes a stream of it that it
 * feeds from time to time. admin.c calls the site, and only this file's .c knows the HTTP library.
 *
 * Main thread only. A request belongs to the admin port; a site that holds or streams one may use
 * it until `gone` is called.
 */
#pragma once

#include "audit/audit.h"
#include "base/buf.h"

enum { ADMIN_BODY_MAX = 1 << 20 };

struct admin_request {
    const char *method, *path; /* the path is decoded, and without its query */
    /* Headers; NULL: not sent. `fetch_site` is Sec-Fetch-Site, `type` Content-Type. */
    const char *host, *origin, *fetch_site, *type, *authorization;
    bool local; /* it came over a Unix socket */
    char
        who[AUDIT_WHO_SIZE]; /* the process at the other end of that socket, as audit_who writes it;
                                "": unknown, or TCP */
    struct slice body;       /* of a POST; empty if it was not wanted */
};

struct admin_site {
    /* Is the body of this request wanted? It is asked before the body comes. One that is not wanted
     * is read and left out, so that not everybody can fill the memory. */
    bool (*wants)(void *ctx, const struct admin_request *r);
    /* A whole request. It has to be answered, held, or made a stream before this returns. */
    void (*take)(void *ctx, struct admin_request *r);
    /* The connection of a request that was held or is a stream has ended: it must not be used any
     * more. */
    void (*gone)(void *ctx, struct admin_request *r);
};

/* A value of the query, decoded; "" if it is not there. Lives as long as the request. */
const char *admin_request_argument(const struct admin_request *r, const char *name);

struct admin_reply_text {
    unsigned status;    /* of HTTP */
    const char *type;   /* Content-Type; a constant */
    const char *policy; /* Content-Security-Policy; lives as long as the process. NULL: the one of a
                           text that is no page */
    struct slice body;  /* copied */
};
void admin_request_answer(struct admin_request *r, const struct admin_reply_text *reply);

/* The answer comes later, from outside `take`. */
void admin_request_hold(struct admin_request *r);

/* A text that several streams send. */
struct admin_text;
/* With one user, the caller; the buffer is empty afterwards. */
struct admin_text *admin_text_new(struct buf *take);
void admin_text_drop(struct admin_text *t); /* the last user frees it; NULL is fine */

/* Begins a stream of server-sent events, which ends with its connection. */
void admin_request_stream(struct admin_request *r);
/* Sends the text, which the stream uses until it is sent. False: the one before is still being
 * sent, because the other end reads slowly; nothing happens then. */
bool admin_request_push(struct admin_request *r, struct admin_text *text);
