/*
 * Orders for pipelines (`pause`, `resume`, ...) that come over the socket for commands. Main thread
 * only.
 */
#pragma once

#include "daemon/admin.h"
#include "daemon/fleet.h"

/* Gives an order to its pipeline, appends the answer as JSON to `body`, and returns the HTTP
 * status. After 202 the pipeline will answer, and /status then shows the answer with the id. */
int orders_give(struct fleet *fleet, const struct admin_order *order, struct buf *body);
