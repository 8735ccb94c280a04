/*
 * What the console orders a pipeline to do. Main thread.
 */
#pragma once

#include "daemon/console/route.h"
#include "daemon/fleet.h"

/* Gives the order of a route that acts (but EDIT) and appends the answer as JSON. Returns the HTTP
 * status: 202 {"id"}, and the pipeline's record shows the answer under this id; or an error.
 *
 * body: nothing for pause and resume; {"to": "beginning" | "now" | a position | "time " and a time
 * of the history} for position; {"ids": [1, 2]}, at most ACTS_IDS_MAX, for retry and drop. */
enum { ACTS_IDS_MAX = 20 };
int acts_order(struct fleet *fleet, const struct console_route *route, struct slice body,
               const char *who, struct buf *out);

/* The argument of the order, from the body: for acts_order and its test. False: the body is not
 * what it has to be, and *ret_why says so. */
bool acts_argument(const struct console_route *route, struct slice body, struct buf *argument,
                   const char **ret_why);
