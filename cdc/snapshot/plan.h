/*
 * What a snapshot has to read: the published tables, in the order in which their rows are given out
 * (by schema and name), and the statements that read them in chunks by key.
 *
 * A table is described exactly as the stream would describe it: the same code makes a change_table
 * of it. It is read as it is published: with its column list, its row filter and its partitions.
 * Inheritance children are not read with it, because they are published by themselves.
 *
 * All calls on the pipeline's thread.
 */
#pragma once

#include "cdc/decode/relation.h"
#include "cdc/snapshot/snapshot.h"

enum { SNAPSHOT_KEY_MAX = 32 }; /* PostgreSQL's INDEX_MAX_KEYS */

/* The key of a row: the values of its key columns as texts, one after the other, each ended by a
 * NUL. All zero is the empty key; snapshot_key_release frees it. */
struct snapshot_key {
    struct buf text;
    size_t count; /* of values; 0: no key, which stands for "from the beginning" or "to the end" */
};
void snapshot_key_release(struct snapshot_key *k);
void snapshot_key_clear(struct snapshot_key *k);
void snapshot_key_add(struct snapshot_key *k, struct slice value);
void snapshot_key_copy(struct snapshot_key *k, const struct snapshot_key *from);
/* Fills ret[0..k->count) with the texts, NUL-terminated. They are the key's own: valid until it
 * changes. */
void snapshot_key_values(const struct snapshot_key *k, const char *ret[SNAPSHOT_KEY_MAX]);

/* The comparisons of a key column. The value plus one is the strategy number of a btree index. */
enum snapshot_operator {
    SNAPSHOT_LESS,
    SNAPSHOT_NOT_MORE,
    SNAPSHOT_EQUAL,
    SNAPSHOT_NOT_LESS,
    SNAPSHOT_MORE,
    SNAPSHOT_OPERATORS
};

/* A key column, as SQL. */
struct snapshot_key_column {
    struct slice name;                          /* quoted */
    struct slice type;                          /* parameters are cast to it; null: no cast */
    struct slice operators[SNAPSHOT_OPERATORS]; /* "operator(schema.<)" and so on */
};

struct snapshot_table {
    const struct change_table *table;
    int64_t rows;                    /* the server's estimate; -1 unknown */
    struct slice shape;              /* when it was planned; see shape.h */
    struct slice name;               /* SQL for `lock table`: mostly "only" and the quoted name */
    struct slice columns;            /* SQL: what is selected */
    struct slice from;               /* SQL: " from ... where (filter)"; always with a where */
    struct slice where;              /* SQL of the request: " and (predicate)"; null: all rows */
    struct snapshot_key_column *key; /* as many as table->key_count */
    bool plain_operators; /* all operators are PostgreSQL's own, under their usual names */
};

/* Owns all that its tables point to. */
struct snapshot_plan {
    struct snapshot_table *tables;
    size_t count;
    struct arena arena;
    struct relations *relations;
    struct catalog *catalog; /* of its own: the stream's catalog is asked anew for each relation */
};

/* What is left to be given out: of plan->tables[table] the rows behind the key `after` (all rows,
 * if `after` is empty), and then all tables behind it. table == plan->count: nothing is left. */
struct snapshot_rest {
    size_t table;
    struct snapshot_key after;
};

/* Plans the tables that the source wants of the publication, and with opt->request only those that
 * it names, by schema and name, compared bytewise (Debezium's order). `sql` is any idle connection
 * to the database. Waits. The caller calls snapshot_plan_release in any case. ERROR: RETRY also
 * when the publication was altered meanwhile or a table with a row filter is locked; else as
 * db/pg.h says. */
int snapshot_plan_load(struct snapshot_plan *p, struct pg *sql, const struct snapshot_options *opt,
                       struct error *err) MUST_CHECK;
void snapshot_plan_release(struct snapshot_plan *p);

/* Index of the first table that does not sort before this name; plan->count if there is none. */
size_t snapshot_plan_find(const struct snapshot_plan *p, struct slice schema, struct slice name);

/* A checksum over the OIDs of the first n tables. If it differs from the one of an earlier time,
 * they are not the same tables any more. */
uint32_t snapshot_plan_before(const struct snapshot_plan *p, size_t n);

/* Writes the statement for the rows behind `after` up to and including `upto`, sorted by key, at
 * most `limit` rows. An empty `after` means from the beginning; an empty or NULL `upto` means to
 * the end; limit 0 means all. Rows that the request's predicate does not want are left out. The
 * statement's parameters are the texts of `after`, then those of
 * `upto`. */
void snapshot_plan_rows(const struct snapshot_table *t, const struct snapshot_key *after,
                        const struct snapshot_key *upto, size_t limit, struct buf *ret_sql);

/* Writes the statement for the key of the n-th row behind `after` (n from 1), whether the predicate
 * wants it or not. It answers no row if there are fewer. Its parameters are the texts of `after`.
 */
void snapshot_plan_bound(const struct snapshot_table *t, const struct snapshot_key *after, size_t n,
                         struct buf *ret_sql);

/* The cells of row `row` of `r`, as many as the table has columns, copied into `arena`. */
struct cell *snapshot_plan_cells(const struct snapshot_table *t, const struct pg_result *r,
                                 size_t row, struct arena *arena);

/* Sets *ret to the key of row `row` of `r`, its columns in the order of t->table->key. */
void snapshot_plan_key(const struct snapshot_table *t, const struct pg_result *r, size_t row,
                       struct snapshot_key *ret);
