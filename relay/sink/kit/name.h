/*
 * Names that a sink makes of an event: a routing key, a stream, a subject. Example: "{type}.{key}"
 * gives "order.42". A placeholder is topic, key, or one of the event's own fields (id, type,
 * aggregatetype, aggregateid, created_at, position); "{{" and "}}" stand for the braces themselves.
 *
 * A template never changes: any thread may use it.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "model/event.h"

struct name_template;

/* Compiles `text`, which outlives the template. CONFIG for a malformed one and for a placeholder
 * that is none of the above; `key` is the sink's key ("routing_key"), for the error, and `origin` a
 * string literal. Free it with name_template_free. */
int name_template_new(const char *text, const char *key, const char *origin,
                      struct name_template **ret, struct error *err) MUST_CHECK;
void name_template_free(struct name_template *t); /* NULL is fine */

/* The name, if it is the same for every event, else NULL. Lives as long as the template. */
const char *name_template_fixed(const struct name_template *t);

/* Whether it holds {topic}. */
bool name_template_has_topic(const struct name_template *t);

/* Appends the name that all events have whose topic is `topic` (NULL: their topics differ). Returns
 * false and leaves `out` as it was if their names differ. */
bool name_template_of_topic(const struct name_template *t, const char *topic, struct buf *out);

/* The event's name in *ret. A template of one placeholder gives the event's own bytes, any other
 * puts the name into `out`, which is cleared first. POISON if a placeholder has no value, or an
 * empty one. */
int name_template_make(const struct name_template *t, const struct event *e, struct buf *out,
                       struct slice *ret, struct error *err) MUST_CHECK;
