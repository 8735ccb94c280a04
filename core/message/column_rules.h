/*
 * Which columns a table shows in its events: those of the row (encode.include_columns,
 * encode.exclude_columns) and those of the message key (encode.key_columns). Debezium calls them
 * column.include.list, column.exclude.list and message.key.columns.
 *
 * Example: with exclude_columns ["public\\.users\\.password"] and key_columns {public.users:
 * [email]} a row of users has no password, and its key is {"email":...}.
 *
 * Rules are compiled once. They keep memory for their patterns, so one thread at a time may use
 * them: the pipeline's, or the main thread in `check`.
 */
#pragma once

#include "base/error.h"
#include "model/change.h"

enum { COLUMN_KEY_COLUMNS_MAX = 32 };

/* The key of one table. Borrowed from the configuration. */
struct column_key {
    const char *table;          /* schema.table */
    const char *const *columns; /* in the sequence that they have in the key */
    size_t columns_count;
};

struct column_rules_conf {
    const struct column_key *keys;
    size_t keys_count;
    /* Patterns of "schema.table.column"; at most one of the two lists is given. */
    const char *const *include, *const *exclude;
    size_t include_count, exclude_count;
};

struct column_rules;
struct pattern; /* value/pattern.h */

/* Compiles the rules; column_rules_free frees them. The texts must outlive them. *ret is NULL
 * without rules. CONFIG: a pattern is none, both lists are given, a table is not written as
 * schema.table, has too many columns or one of them twice. */
int column_rules_new(const struct column_rules_conf *conf, struct column_rules **ret,
                     struct error *err) MUST_CHECK;
void column_rules_free(struct column_rules *r); /* NULL is fine */

/* Fills *ret with the table as its events show it: `table` itself if no rule is about it, else a
 * copy in one block of memory that the caller frees with free(*ret_block). The copy has the same
 * columns in the same sequence; those that are left out of rows are `hidden`. It borrows the names.
 *
 * With `deletes` (a delete makes a message) the whole key must be in what the server sends of an
 * old row. CONFIG: it is not, a column of the key is not there, or a pattern takes too many steps.
 * `r` NULL is a set without rules. */
int column_rules_apply(struct column_rules *r, const struct change_table *table, bool deletes,
                       const struct change_table **ret, void **ret_block,
                       struct error *err) MUST_CHECK;

/* For the check of tables that the server knows: column `i` of all key columns, one after the
 * other. False: there are no more. */
bool column_rules_key_at(const struct column_rules *r, size_t i, const char **ret_table,
                         const char **ret_column);

/* Pattern `i` of encode.include_columns or exclude_columns, which *ret_key names; the rules own it.
 * NULL: there are no more. */
struct pattern *column_rules_pattern_at(const struct column_rules *r, size_t i,
                                        const char **ret_key);

/* What is wrong with a column of a key, for error texts. Arguments: column, schema, table. */
#define KEY_NO_COLUMN_TEXT "encode.key_columns: %.*s: table %.*s.%.*s has no such published column"
#define KEY_NO_COLUMN_REMEDY "mend the name, or remove it"
#define KEY_NOT_SENT_TEXT                                                                           \
    "encode.key_columns: %.*s of %.*s.%.*s is not part of the replica identity, so a delete would " \
    "not tell its key"
#define KEY_NOT_SENT_REMEDY                                                                        \
    "ALTER TABLE ... REPLICA IDENTITY FULL; or leave deletes out (encode.skipped_operations: [d, " \
    "t])"
