/*
 * What Debezium's options are here. One table (conf_debezium.def) answers for each of them:
 * `import-debezium` translates by it, docs/FROM-DEBEZIUM.md lists it, and the error about an
 * unknown key says from it what Debezium's name is called here.
 *
 * Constant data and functions without state; any thread.
 */
#pragma once

#include "base/buf.h"

/* Where an option stands. In a transform's options the name is that behind `transforms.<name>.`. */
enum debezium_where {
    DEBEZIUM_CONNECTOR, /* of the PostgreSQL connector */
    DEBEZIUM_CONNECT,   /* of Kafka Connect: any connector, and the worker */
    DEBEZIUM_SERVER,    /* of Debezium Server, whole name */
    DEBEZIUM_ROUTER,    /* of the transform EventRouter */
    DEBEZIUM_UNWRAP,    /* of ExtractNewRecordState */
    DEBEZIUM_TOPICS,    /* of RegexRouter and ByLogicalTableRouter */
    DEBEZIUM_TRANSFORM, /* no option: the class of a transform */
    DEBEZIUM_WHERES
};

enum debezium_effect {
    DEBEZIUM_KEY,       /* its value is the value of `ours` */
    DEBEZIUM_CODE,      /* translated into `ours` by code of its own */
    DEBEZIUM_MESSAGES,  /* has no counterpart, and messages change without it */
    DEBEZIUM_OPERATION, /* has no counterpart, and messages stay as they are */
    DEBEZIUM_NOTHING    /* is not needed */
};

struct debezium_option {
    enum debezium_where where;
    const char *name;     /* `*` stands for any text */
    const char *fallback; /* Debezium's default, with which it says nothing; NULL: none */
    enum debezium_effect effect;
    const char *ours; /* a key of ours, "encode.decimal"; "" if there is none */
    const char *text; /* why it has no counterpart, and what takes its place */
};

/* The answer for an option: the first of the table that fits. NULL: it is not known. */
const struct debezium_option *debezium_option_find(enum debezium_where where, struct slice name);

/* All answers, in the order of the table; NULL behind the last one. */
const struct debezium_option *debezium_option_at(size_t i);

/* Appends what to write instead of a key of this name, for an error text: "; it is Debezium's name:
 * here it is `encode.decimal`". Appends nothing and answers false for a name that is not
 * Debezium's. Names without a dot or a blank are too common to be sure, so they never are. */
bool debezium_hint(struct buf *out, struct slice name);

/* Appends the table as Markdown, a heading of the third level for each place. */
void debezium_reference(struct buf *out);
