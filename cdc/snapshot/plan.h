/*
 * What a snapshot has to read: the published tables in the order they are given out (by schema and
 * name), and the statements that read them in chunks by key.
 *
 * A table is described exactly as the stream would describe it (the same code makes a change_table
 * of it), and read as it is published: its column list, its row filter, with its partitions but
 * without its inheritance children, which are published by themselves. One thread.
 */
#pragma once

#include "cdc/decode/relation.h"
#include "cdc/snapshot/snapshot.h"

enum { SNAPSHOT_KEY_MAX = 32 }; /* PostgreSQL's INDEX_MAX_KEYS */

/* The key of a row: texts one behind the other, each ended by a NUL. */
struct snapshot_key {
    struct buf text;
    size_t count; /* 0: none */
};
void snapshot_key_release(struct snapshot_key *k);
void snapshot_key_clear(struct snapshot_key *k);
void snapshot_key_add(struct snapshot_key *k, struct slice value);
void snapshot_key_copy(struct snapshot_key *k, const struct snapshot_key *from);
/* Its texts, valid until the key changes. */
void snapshot_key_values(const struct snapshot_key *k, const char *ret[SNAPSHOT_KEY_MAX]);

/* By the numbers that a btree index has for them, less one. */
enum snapshot_operator {
    SNAPSHOT_LESS,
    SNAPSHOT_NOT_MORE,
    SNAPSHOT_EQUAL,
    SNAPSHOT_NOT_LESS,
    SNAPSHOT_MORE,
    SNAPSHOT_OPERATORS
};

/* SQL of one. */
struct snapshot_key_column {
    struct slice name; /* quoted */
    struct slice type; /* what its values are cast to; null: nothing */
    struct slice operators[SNAPSHOT_OPERATORS];
};

struct snapshot_table {
    const struct change_table *table;
    int64_t rows;                    /* about; -1 unknown */
    struct slice shape;              /* as it was planned; see shape.h */
    struct slice name;               /* SQL: "only" and the quoted name */
    struct slice columns;            /* SQL: what is selected */
    struct slice from;               /* SQL: " from ... where (filter)"; always with a where */
    struct snapshot_key_column *key; /* as many as table->key_count */
    bool plain_operators; /* all operators are PostgreSQL's own, under their usual names */
};

struct snapshot_plan {
    struct snapshot_table *tables;
    size_t count;
    struct arena arena;
    struct relations *relations;
    struct catalog *catalog; /* the stream's is asked anew for each relation */
};

/* What is left to be given: from `table` on, of that one the rows behind `after` (all of them, if
 * it has no texts). table == plan->count: nothing. */
struct snapshot_rest {
    size_t table;
    struct snapshot_key after;
};

/* In the order of schema and name, bytewise, as Debezium reads them. `sql` is any connection to the
 * database. Waits. */
int snapshot_plan_load(struct snapshot_plan *p, struct pg *sql, const struct snapshot_options *opt,
                       struct error *err) MUST_CHECK;
void snapshot_plan_release(struct snapshot_plan *p);

/* The first table that is not before this name; `count` if none. */
size_t snapshot_plan_find(const struct snapshot_plan *p, struct slice schema, struct slice name);

/* A number that tells whether the first n tables are the same ones (by OID) as at another time. */
uint32_t snapshot_plan_before(const struct snapshot_plan *p, size_t n);

/* Rows behind `after` (all, if it has no texts) up to and with `upto` (to the end), by key; at most
 * `limit` (0: all). Parameters: after's texts, then upto's. */
void snapshot_plan_rows(const struct snapshot_table *t, const struct snapshot_key *after,
                        const struct snapshot_key *upto, size_t limit, struct buf *ret_sql);

/* The key of the n-th row behind `after`; no row if there are fewer. */
void snapshot_plan_bound(const struct snapshot_table *t, const struct snapshot_key *after, size_t n,
                         struct buf *ret_sql);

/* The cells of a row that was read, copied. */
struct cell *snapshot_plan_cells(const struct snapshot_table *t, const struct pg_result *r,
                                 size_t row, struct arena *arena);

/* The key of a row that was read, in the order of `table->key`. */
void snapshot_plan_key(const struct snapshot_table *t, const struct pg_result *r, size_t row,
                       struct snapshot_key *ret);
