/*
 * Debezium's lists of tables, columns and prefixes, and its rewriting of topics: regular
 * expressions, of which those are understood that say no more than names. No state; one thread for
 * each arena.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"

struct import_names {
    const char **items;
    size_t count;
};

/* Fills *item with the next item of a list of Debezium's and moves *list behind it: without the
 * blanks around it, and with `\,` as the comma that it stands for. False: there is none. */
bool import_item(const char **list, struct buf *item);

/* Splits a list. *plain: names, with `\.` and (a|b) resolved, so that one item may give several.
 * *patterns: the items that say more. Both are appended to, and lie in `memory`. */
void import_split(struct arena *memory, const char *list, struct import_names *plain,
                  struct import_names *patterns);

/* What the topics are made of: prefix.schema.table, for these tables; none: it is not known which.
 */
struct import_topics {
    const char *prefix;
    struct import_names tables;
};

/* Appends the template of route.topic that stands for a rewriting of these topics. A topic that
 * does not fit `regex` would keep its name, so each has to. False: it cannot be told; *out is
 * garbage. */
bool import_topic(struct buf *out, const struct import_topics *topics, const char *regex,
                  const char *replacement);
