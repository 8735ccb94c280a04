/*
 * Where an event goes: topic, key, partition and timestamp from templates with {column}
 * placeholders.
 *
 * Placeholders name either one of the event's own columns (id, aggregatetype, aggregateid, type,
 * created_at, position) or any other column of the outbox table; the others are listed by
 * route_columns and must be read by the source into event.columns in that order. "{{" and "}}" are
 * the braces themselves. A compiled route is immutable but for a memory of the last good topic; one
 * thread.
 */
#pragma once

#include "base/error.h"
#include "model/event.h"

struct route;

struct route_conf {
    const char *topic, *key;         /* templates; NULL with `changes`: the defaults below */
    const char *partition;           /* an int column, or "" */
    const char *timestamp;           /* "created_at" | "now" */
    const char *const *allow_topics; /* glob patterns, * and ?; none = any topic */
    size_t allow_topics_count;
    bool changes; /* the events are changes: every placeholder but {name} is the source's to fill
                     ({schema} {table} {op} and columns of the row), and in topics what {schema},
                     {table} and {name} bring outside [A-Za-z0-9._-] becomes "_" */
    const char *name;           /* of {name}, with `changes` */
    const char *const *columns; /* further columns that are wanted: route_column */
    size_t columns_count;
};

/* The defaults with `changes`: {name}.{schema}.{table} for a table's, {name}.message for a logical
 * message (as Debezium), outbox.event.{aggregatetype} for what has no event.change; the key is what
 * encode_change put there, or {aggregateid} without one. */

/* CONFIG when a template is malformed ("{" without "}", an empty name), when route.topic is empty,
 * has literal text that no topic may have, or is fixed and not allowed. Copies what it needs. */
int route_new(const struct route_conf *conf, struct route **ret, struct error *err) MUST_CHECK;
void route_free(struct route *r);

/* The further columns the source must read, in the order of event.columns. Borrowed from the route.
 */
size_t route_columns(const struct route *r, const char *const **ret_names);

/* The value of route_conf.columns[i], an event's own column or another one; null where it is null,
 * or not a column of this event's table. */
struct slice route_column(const struct route *r, size_t i, const struct event *e,
                          struct arena *arena);

/* The topics that can be known without an event (a template without placeholders), else NULL: for
 * `check` and the start. */
const char *route_fixed_topic(const struct route *r);

/* Whether the template of topics could give this one, whatever the columns hold, and it is allowed;
 * for `check`. */
bool route_may_give(const struct route *r, struct slice topic);

/* Fills topic, key, partition and timestamp_us; text goes into `arena`; encode_change has been
 * called for a change. A key template whose
 * placeholders are all null gives a null key, and so does an empty template; a single null among
 * others adds nothing. A key made of one placeholder is the event's own slice. A null partition
 * column leaves the choice to the sink (-1). POISON for: a null or empty topic value, a character
 * outside [A-Za-z0-9._-], more than 249 bytes,
 * "." or "..", a topic no pattern allows, a partition that is not an int32 >= 0. */
int route_apply(const struct route *r, struct event *e, struct arena *arena,
                struct error *err) MUST_CHECK;
