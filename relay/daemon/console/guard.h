/*
 * Who may act over the admin port, and who may see payloads. Example of what is kept out: a web
 * page that its visitor's browser lets send a POST to
 * http://127.0.0.1:9480/api/v1/pipelines/orders/drop.
 *
 * Pure. Any thread.
 */
#pragma once

#include "daemon/admin_request.h"

#define GUARD_ELSEWHERE "the request comes from a page of another site (Origin)"

/* What the configuration says under `admin`. */
struct guard {
    bool actions;
    const char *token; /* "": there is none */
};

/* False: a browser sent it for a page of another site. */
bool guard_from_here(const struct admin_request *r);

/* May it see what events hold: over a Unix socket, or with the token, and not for another site. */
bool guard_sees(const struct guard *g, const struct admin_request *r);

/* May it act? 0: yes. Else the HTTP status, and *ret_why says what would help. `local` and `who`
 * count for a Unix socket, the token for TCP. */
int guard_acts(const struct guard *g, const struct admin_request *r, const char **ret_why);
