/*
 * Which stream or channel an event goes to: a template such as "events:{topic}".
 *
 * A placeholder is {topic}, {key} or one of the event's own fields; "{{" and "}}" stand for the
 * braces. Other columns of the row belong into route.topic. Plain values; the texts lie in the
 * arena given to redis_name_compile and in the template. The pipeline's thread.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "model/field.h"

struct redis_name {
    struct redis_name_part {
        struct slice text; /* literal text; null: the value of `field` */
        enum event_field field;
        struct slice name; /* of the field, in the template */
    } * parts;
    size_t count;
};

/* CONFIG for a malformed template and an unknown placeholder. */
int redis_name_compile(const char *template, struct arena *memory, struct redis_name *ret,
                       struct error *err) MUST_CHECK;

/* Puts the event's name into `out`, in the place of what was there. POISON where a placeholder has
 * no value: such events would all meet in one place. */
int redis_name_of(const struct redis_name *name, const struct event *e, struct buf *out,
                  struct error *err) MUST_CHECK;

/* The name if it is the same for every event: of a template that names nothing of an event, or only
 * the topic, which is the same for all (fixed_topic; else NULL). False: it is not. */
bool redis_name_fixed(const struct redis_name *name, const char *fixed_topic, struct buf *out);
