/*
 * What the stream does not say about tables and types: read from the system catalogs over an
 * ordinary SQL connection. Keys in their own order, defaults, nullability; enums, domains, arrays.
 *
 * A snapshot asks for all published tables at once (waits, bounded). The stream asks for a table,
 * without waiting, each time that it describes one: also what a Relation message does not show may
 * have changed. The catalog tells how things are now, the stream how they were: columns are matched
 * by name and type, and what does not match counts as unknown.
 * One thread. Owns every struct column_type it hands out until catalog_free.
 */
#pragma once

#include "base/error.h"
#include "base/poll_set.h"
#include "cdc/decode/pgoutput.h"
#include "db/pg.h"

struct catalog;

struct catalog *catalog_new(void);
void catalog_free(struct catalog *c);

/* What is known of a table beside its Relation message. Borrowed until the next load of that table.
 */
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
    struct slice *key; /* column names: primary key, identity index or unique index, in its order */
    size_t key_count;
    int64_t rows; /* reltuples, for progress; -1 unknown */
};

/* SQL: a lateral join `k` with the index that is the key of the table `c` of pg_class: its columns
 * (attnum, from 1 on) and its operator classes (from 0 on). */
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

/* Loads all tables of a publication and the types of their columns. Waits. */
int catalog_load(struct catalog *c, struct pg *sql, const char *publication,
                 struct error *err) MUST_CHECK;

/* True when everything a relation needs is known: the table, and each column's type. Only until
 * catalog_table hands the answer out: the next relation has to be asked for again, because its
 * defaults, its nullability and its key may be others by then. */
bool catalog_has(const struct catalog *c, const struct pgoutput_message *relation);

/* Asks for what is missing, without waiting: AGAIN until the answer is there (poll pg_poll_fds of
 * `sql`), then DONE. What the catalog does not have is remembered as unknown, so that catalog_has
 * is true from then on. `sql` must be idle at the first call. */
int catalog_ask(struct catalog *c, struct pg *sql, const struct pgoutput_message *relation,
                struct error *err) MUST_CHECK;

const struct catalog_table *catalog_table(const struct catalog *c, uint32_t oid); /* NULL unknown */
const struct column_type *catalog_type(struct catalog *c, uint32_t oid);          /* never NULL */
