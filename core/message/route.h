/*
 * Decides where an event goes. Topic and key come from templates with {column} placeholders;
 * partition and timestamp come from columns. Example: outbox.event.{aggregatetype} gives the topic
 * outbox.event.order.
 *
 * A placeholder names one of the event's own columns (id, aggregatetype, aggregateid, type,
 * created_at, position) or any other column of the outbox table. route_columns lists the others,
 * and the source must read them into event.columns in that sequence. "{{" and "}}" stand for the
 * braces themselves.
 *
 * A compiled route never changes, except that it remembers the last topic that it found good. So
 * only one thread may use a route: the pipeline's, or the main thread in `check`.
 */
#pragma once

#include "base/error.h"
#include "model/event.h"

struct route;

/* What the configuration says under `route`. route_new copies what it needs. */
struct route_conf {
    /* Templates. NULL is allowed with `changes` and means the defaults below. */
    const char *topic, *key;
    /* Another topic for topics that match (message/rewrite.h); rewrite_match NULL: none. */
    const char *rewrite_match, *rewrite_to, *rewrite_key_field;
    const char *partition; /* the bare name of an int column; "" or NULL: the sink chooses */
    const char *timestamp; /* "created_at" or "now"; NULL: created_at */
    const char *const *allow_topics; /* patterns with * and ?; none: any topic is allowed */
    size_t allow_topics_count;
    bool changes; /* the events are table changes: a placeholder other than {name} is filled by the
                     source ({schema}, {table}, {op}, columns of the row). In a topic, characters of
                     {schema}, {table} and {name} outside [A-Za-z0-9._-] become "_" */
    const char *name; /* the value of {name}, with `changes`; may be NULL */
    const char
        *heartbeat_topic; /* with `changes`: that of heartbeats; NULL or "": there are none */
    /* Further columns that the caller wants to read with route_column. */
    const char *const *columns;
    size_t columns_count;
    /* Columns whose values the caller wants as JSON; read with route_json. */
    const char *const *json;
    size_t json_count;
};

/* With `changes` and no template the topic is {name}.{schema}.{table} for a row, {name}.message for
 * a logical message (both as Debezium has them), and outbox.event.{aggregatetype} for an event
 * without event.change. The default key is the one that encode_change made, or {aggregateid} for an
 * event without event.change. */

/* Where a transaction begins and ends the topic is {name}.transaction, whatever the template is,
 * and the key is the one that encode_change made; so it is of a heartbeat, which goes to partition
 * 0 of heartbeat_topic. topic_rewrite holds for them, too. */

/* Compiles a route; free it with route_free. CONFIG when a template is malformed ("{" without "}",
 * an empty name), when route.topic_rewrite is none, when route.topic is empty or has literal text
 * that no topic may have, when it has no placeholder and is not allowed, when route.partition is a
 * template, and for an unknown timestamp. RESULT_DONE or RESULT_ERROR. */
int route_new(const struct route_conf *conf, struct route **ret, struct error *err) MUST_CHECK;
/* NULL is fine. */
void route_free(struct route *r);

/* How many further columns the source must read, and their names in the sequence of event.columns.
 * The names belong to the route. */
size_t route_columns(const struct route *r, const char *const **ret_names);
/* How many of them are those of route_conf.json, which the source has to give as JSON
 * (source_env.json_count). They stand at the end, also where one of them is there before as text.
 */
size_t route_json_count(const struct route *r);
/* The value of route_conf.json[i] for this event, whose columns must be there. */
struct slice route_json(const struct route *r, size_t i, const struct event *e);

/* The value of route_conf.columns[i] for this event. It is null where the column is null and where
 * the event's table has no such column. It points into the event or `arena`. */
struct slice route_column(const struct route *r, size_t i, const struct event *e,
                          struct arena *arena);

/* The topic, if it is the same for every event (a template without placeholders), else NULL. Lets
 * `check` and the start look at the topic before there is an event. Belongs to the route. */
const char *route_fixed_topic(const struct route *r);

/* Whether some event could get this topic: a template can give it, whatever the columns hold, and
 * it is allowed. For `check`. */
bool route_may_give(const struct route *r, struct slice topic);

/* Fills e->topic, key, partition and timestamp_us. For a change, encode_change must have been
 * called. A rewritten topic adds rewrite_key_field to the key of a change (not to one that
 * route.key makes). The texts lie in `arena`, the route or the event. A key template gives a null
 * key if it is empty or if all its placeholders are null; a single null among others adds nothing.
 * A key made of one placeholder is the event's own slice, not a copy. A null partition column gives
 * -1: the sink chooses. timestamp_us is in microseconds; TIME_NONE means now. POISON for a null or
 * empty value in the topic, and for a topic with a character outside [A-Za-z0-9._-], with more than
 * 249 bytes, that is "." or "..", or that no pattern allows; also for a partition that is not a
 * number from 0 to 2147483647. e->topic is set even for a refused topic, for the dead letter. */
int route_apply(const struct route *r, struct event *e, struct arena *arena,
                struct error *err) MUST_CHECK;

/* For an event whose topic, key and partition are known, a dead letter that is sent again: checks
 * the topic, which may have been edited or never been known, and fills timestamp_us. POISON. */
int route_again(const struct route *r, struct event *e, struct error *err) MUST_CHECK;
