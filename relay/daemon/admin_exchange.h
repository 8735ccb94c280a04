/*
 * A request and its connection, between admin.c, which has the connections, and admin_request.c,
 * which deals with the requests for a site. Main thread only.
 */
#pragma once

#include "daemon/admin_request.h"
#include <microhttpd.h>

struct exchange;

/* All that are open on one admin port; zeroes: none. */
struct exchanges {
    struct exchange *first;
    bool woken;         /* one goes on: the library has to run, which its timeout does not tell */
    int64_t look_at_us; /* when to see whether those who are held are still there; 0: nobody is */
};

/* When the headers of a request have come. Ended with exchange_end. */
struct exchange *exchange_new(struct exchanges *all, struct MHD_Connection *c, const char *path,
                              const char *method);
/* To fill in what only the admin port knows: local, who. */
struct admin_request *exchange_request(struct exchange *e);

/* For all further calls of the library's handler. */
enum MHD_Result exchange_go_on(struct exchange *e, const char *data, size_t *size,
                               const struct admin_site *site, void *ctx);
/* The request has been answered, or its connection has ended. */
void exchange_end(struct exchange *e, const struct admin_site *site, void *ctx);

/* The connection was shut down: its request, if there is one, ends now. Without this one that
 * sleeps would be noticed only when it goes on. */
void exchanges_cut(struct exchanges *all, const struct MHD_Connection *c);

/* Ends the requests that are held and whose clients have gone, once look_at_us has come. */
void exchanges_look(struct exchanges *all);

/* Wakes all that sleep, before the library is stopped: it must not be while one does. */
void exchanges_wake(struct exchanges *all);
