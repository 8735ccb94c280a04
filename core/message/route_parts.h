/*
 * What a compiled route is made of: shared by the files that compile it (route.c) and apply it
 * (route_apply.c). Nobody else includes this.
 *
 * The functions keep no state. The thread that uses the route calls them.
 */
#pragma once

#include "message/route.h"
#include "message/topic.h"
#include "model/field.h"

struct rewrite;

/* A field is an int that says where a value comes from: an enum event_field below FIELD_OWN_COUNT,
 * or COLUMN_FIRST + index in event.columns, or one of the two below. */
enum { COLUMN_FIRST = FIELD_OWN_COUNT };

/* LITERAL: a piece of text, not a value of the event. NO_FIELD: nothing is configured. */
enum { LITERAL = -1, NO_FIELD = -2 };

/* One piece of a template: literal text, or a placeholder. */
struct segment {
    int field; /* where the value comes from; LITERAL: it is `text` */
    struct slice text;
    bool mend; /* the value goes through topic_mend */
};

struct template
{
    struct segment *segments;
    size_t count;
    size_t placeholders;
};

/* The last topic that was found good. Most events have the topic of the event before, and need no
 * check then. */
struct last_topic {
    size_t len; /* 0: none yet */
    char text[TOPIC_MAX];
};

struct route {
    struct arena memory; /* all texts and arrays below */
    struct template topic, key;
    /* For table changes without a configured template: logical messages and outbox events come in
     * between and get other defaults. */
    struct template message_topic, outbox_topic, outbox_key;
    /* The default depends on the kind of event: nothing is configured. */
    bool topic_by_kind, key_by_kind;
    const char *name; /* the value of {name} with `changes`; NULL: "" */
    bool changes;
    int partition; /* a field, or NO_FIELD */
    int *wanted;   /* the fields of route_conf.columns */
    bool timestamp_now;
    const char **columns; /* what route_columns gives */
    size_t columns_count;
    size_t json_from; /* from here on the values are JSON */
    const char **allow;
    size_t allow_count;
    struct slice transaction_topic, heartbeat_topic; /* with `changes` */
    struct slice fixed_topic;                        /* null if the topic depends on the event */
    struct rewrite *rewrite;                         /* NULL: topics stay */
    /* The only thing that route_apply changes. It is behind a pointer because the route is const
     * there. */
    struct last_topic *last;
};

/* Joins the pieces of a template in the arena. A null value adds nothing. `e` may be NULL for a
 * template without placeholders. */
struct slice route_render(const struct template *t, const struct event *e, struct arena *arena);
