/*
 * What a Relation message of the stream does not say about a table, read from the system catalogs
 * over an ordinary SQL connection: the order of the key's columns, defaults, nullability, and what
 * enums, domains and arrays are made of.
 *
 * A snapshot asks for all published tables at once, and waits. The stream asks for a table each
 * time that a Relation message describes it, without waiting: defaults, nullability and the key may
 * have changed although the message is the same. The catalogs tell how a table is now, the stream
 * how it was when the change was written. So columns are matched by name and type, and what does
 * not match counts as unknown. One thread. Every struct column_type that is handed out belongs to
 * the catalog until catalog_free.
 */
#pragma once

#include "base/error.h"
#include "base/poll_set.h"
#include "cdc/decode/pgoutput.h"
#include "db/pg.h"

struct catalog;

struct catalog *catalog_new(void);
void catalog_free(struct catalog *c); /* NULL is fine */

/* What is known of a table beside its Relation message. Borrowed: valid until the table is asked
 * for again. */
struct catalog_table {
    uint32_t oid;
    struct slice schema, name;
    struct catalog_column {
        struct slice name;
        uint32_t type;
        int32_t typmod;
        bool not_null;
        struct slice default_text;
    } * columns;
    size_t columns_count;
    struct slice *key; /* names of the key's columns in the order of the index (KEY_INDEX_SQL) */
    size_t key_count;
    int64_t rows; /* the planner's estimate (reltuples), for progress; -1 unknown */
};

/* SQL: a lateral join `k` with the index that counts as the key of the table `c` of pg_class: the
 * one of REPLICA IDENTITY USING INDEX, else the primary key, else the oldest unique index without
 * nullable columns. k.columns are its attnums (an array from 1), k.classes its operator classes (an
 * array from 0). */
#define KEY_INDEX_SQL                                                                             \
    " left join lateral (select array(select u.attnum from unnest(i.indkey::int2[])"              \
    " with ordinality u(attnum, n) where u.n <= i.indnkeyatts order by u.n) as columns,"          \
    " i.indclass::oid[] as classes"                                                               \
    " from pg_index i where i.indrelid = c.oid and i.indisunique and i.indisvalid"                \
    " and i.indpred is null and i.indexprs is null"                                               \
    " and (i.indisprimary or i.indimmediate and not exists (select from unnest(i.indkey::int2[])" \
    " with ordinality u(attnum, n) join pg_attribute ka on ka.attrelid = c.oid"                   \
    " and ka.attnum = u.attnum where u.n <= i.indnkeyatts and not ka.attnotnull))"                \
    " order by (c.relreplident = 'i' and i.indisreplident) desc, i.indisprimary desc,"            \
    " i.indexrelid limit 1) k on true"

/* Loads all tables of a publication and the types of their columns. Waits, at most `sql`'s
 * read_timeout for each statement. RETRY or CONFIG, as db/pg.h says. */
int catalog_load(struct catalog *c, struct pg *sql, const char *publication,
                 struct error *err) MUST_CHECK;

/* True when everything that a relation needs is known: the table, and each column's type. An answer
 * for a table counts only once: after catalog_table has handed it out this is false again, because
 * the next Relation message may come after a change of its defaults, nullability or key. */
bool catalog_has(const struct catalog *c, const struct pgoutput_message *relation);

/* Asks for what is missing, without waiting. AGAIN until the answer is there (poll by pg_poll_fds
 * of `sql`, then call again with the same relation), then DONE, and catalog_has is true. What the
 * catalogs do not have is remembered as unknown and is no error. `sql` has to be idle at the first
 * call. RETRY: the connection is lost. */
int catalog_ask(struct catalog *c, struct pg *sql, const struct pgoutput_message *relation,
                struct error *err) MUST_CHECK;

/* A table, NULL if it is not known. A type: never NULL; one that is not known says so. */
const struct catalog_table *catalog_table(const struct catalog *c, uint32_t oid);
const struct column_type *catalog_type(struct catalog *c, uint32_t oid);
