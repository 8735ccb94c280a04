/*
 * Which question of the console a path asks:
 *
 *   GET  /                                               the page
 *   GET  /events                                         server-sent events
 *   GET  /api/v1/pipelines | log | config | check
 *   GET  /api/v1/pipelines/NAME/graph | positions | parked | dead-letters[/ID]
 *   POST /api/v1/pipelines/NAME/pause | resume | position | retry | drop
 *   POST /api/v1/pipelines/NAME/dead-letters/ID
 *
 * Pure. Any thread.
 */
#pragma once

#include "base/slice.h"
#include <stdint.h>

enum route_what {
    ROUTE_NONE, /* there is no such path */
    ROUTE_PAGE,
    ROUTE_EVENTS,
    ROUTE_PIPELINES,
    ROUTE_LOG,
    ROUTE_CONFIG,
    ROUTE_CHECK,
    ROUTE_GRAPH,
    ROUTE_POSITIONS,
    ROUTE_PARKED,
    ROUTE_LETTERS,
    ROUTE_LETTER,
    /* acts */
    ROUTE_PAUSE,
    ROUTE_RESUME,
    ROUTE_POSITION,
    ROUTE_RETRY,
    ROUTE_DROP,
    ROUTE_EDIT,
};

struct console_route {
    enum route_what what;
    bool wrong_method; /* the path is one of another method */
    char pipeline[48]; /* "": it is about none */
    int64_t letter;
};

struct console_route console_route_of(const char *method, const char *path);

static inline bool console_route_acts(const struct console_route *r)
{
    return r->what >= ROUTE_PAUSE;
}
