/*
 * What the files of this folder share: the state of one import. Private to this folder.
 *
 * A file takes the options that it knows (`import_take`) and writes lines of YAML for them
 * (`import_put`). What nobody has taken is answered by the table in the end. Everything lies in the
 * import's arena; nothing fails.
 */
#pragma once

#include "cli/import/import.h"
#include "cli/import/names.h"
#include "config/conf_debezium.h"

/* The maps of a pipeline, in the order of the file. */
enum import_map {
    IMPORT_SOURCE,
    IMPORT_ROUTE,
    IMPORT_ENCODE,
    IMPORT_SINK,
    IMPORT_DELIVERY,
    IMPORT_MAPS
};

struct import {
    struct arena *memory;
    struct import_options *options;
    struct import_result *result;
    bool outbox;    /* the outbox router is among the transforms */
    bool routed;    /* one outbox router is translated */
    bool templated; /* a rewriting of topics is translated into route.topic */
    bool rewritten; /* one is translated into route.topic_rewrite, which comes behind it */
    bool unwrapped; /* ExtractNewRecordState is translated */
    bool described; /* messages have schemas, in themselves or in a registry */
    struct import_option *heartbeats; /* heartbeat.interval.ms, if there are some; or NULL */
    bool debezium;                    /* encode.format is debezium, so its keys mean something */
    bool server;                      /* of Debezium Server, else of Kafka Connect */
    const char *prefix;               /* topic.prefix, "" if absent */
    const char *pipeline;
    struct import_names tables; /* that are named; none: all of the publication */
    struct buf maps[IMPORT_MAPS], headers, mask;
    struct buf envelope; /* the inside of encode.envelope */
    struct buf messages, operation, comments, todo, nothing, variables;
};

/* The value of an option, which is taken then; NULL: it is not there. */
const char *import_take(struct import *im, const char *name);
/* That of `transforms.<alias>.<name>`. */
const char *import_take_of(struct import *im, const char *alias, const char *name);
struct import_option *import_find(struct import *im, const char *name);
struct import_option *import_find_of(struct import *im, const char *alias, const char *name);
/* Whether the class of some transform holds this text. */
bool import_has_transform(struct import *im, const char *class);
bool import_is(const char *value, const char *word); /* regardless of case; NULL is no word */

/* Writes `key: yaml` into a map, and behind it which option it is from (NULL: none). A key that is
 * there already stays, and the other value is noted. */
void import_put(struct import *im, enum import_map map, const char *key, const char *yaml,
                const char *from);
/* The same with a text that is quoted where it has to be. */
void import_put_text(struct import *im, enum import_map map, const char *key, const char *option,
                     const char *value);

/* Says what becomes of an option that is left out: MESSAGES, OPERATION or NOTHING. Takes it. */
void import_note(struct import *im, enum debezium_effect effect, struct import_option *o,
                 const char *fmt, ...) PRINTF_LIKE(4, 5);
/* The same of something that is no option of the file: `what` is shown. */
void import_say(struct import *im, enum debezium_effect effect, const char *what, const char *fmt,
                ...) PRINTF_LIKE(4, 5);
/* An option that nobody knows changes messages, perhaps. Its value is not shown: it may be a
 * secret. */
void import_unknown(struct import *im, struct import_option *o);
/* What the operator has to do. */
void import_todo(struct import *im, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Appends a value as YAML, with Debezium's ${...} as ours. */
void import_text(struct import *im, struct buf *out, const char *option, const char *value);
/* Appends a text as YAML in which ${...} is no variable: that of a regular expression. */
void import_literal(struct buf *out, const char *value);
/* Appends a value as a part of a URL: percent-encoded, with ${...} as ours. */
void import_url_part(struct import *im, struct buf *out, const char *option, const char *value);
/* Appends "${VAR}", and says what it has to hold. */
void import_variable(struct import *im, struct buf *out, const char *variable, const char *what);
/* Appends it in the place of a secret, and says of which. A variable that the secret already comes
 * from is kept. */
void import_secret(struct import *im, struct buf *out, const struct import_option *o,
                   const char *variable);
char *import_copy(struct import *im, const struct buf *b);

/* Each takes its part of the options. */
void import_source(struct import *im);
void import_snapshot(struct import *im);
void import_columns(struct import *im);
void import_keys(struct import *im);
/* Writes route.topic_rewrite. False, and nothing is written: they are no expression and replacement
 * that the relay takes, or one is there already. `from`: the option. */
bool import_topic_rewrite(struct import *im, const char *regex, const char *replacement,
                          const char *key_field, const char *from);
void import_format(struct import *im);
/* Writes encode.value (`value`) and encode.registry. Returns why it does not; NULL: it has. `from`:
 * the option that asks for it. */
const char *import_registry(struct import *im, const char *value, const char *from);
/* Messages that are about no row: of transactions, and heartbeats. After import_format. */
void import_apart(struct import *im);
void import_transforms(struct import *im);
void import_router(struct import *im, const char *alias);
void import_sink(struct import *im);
/* Whether the messages go to the first of sinks.def, to which keys and values may be any bytes. */
bool import_to_first_sink(struct import *im);
