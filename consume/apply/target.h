/*
 * The table of `into`, and the statements that change it. Which columns a statement names depends
 * on the row, as a row may lack some, so rows of one shape are changed by one statement. No I/O;
 * the caller owns what it passes.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "consume/record.h"

enum { TARGET_COLUMNS_MAX = 1600 }; /* PostgreSQL's limit */

struct target_column {
    const char *name; /* as it is */
    bool key;         /* of the primary key */
    bool generated;   /* computed by the database: never written */
    /* How its values come from Debezium: enum column_kind, of an array its elements'. */
    int kind;
    bool array;
    int32_t typmod;
};

struct target {
    const char *shown; /* as configured, for messages */
    struct buf name;   /* quoted */
    struct target_column *columns;
    size_t count, keys; /* keys: how many columns are of the primary key */
    struct arena memory;
    bool sqlite;                 /* speaks SQLite's dialect */
    bool debezium, decimal_text; /* rows are as debezium.h has them */
};

void target_release(struct target *t);

/* Which columns a row has. */
struct row_shape {
    unsigned char set[(TARGET_COLUMNS_MAX + 7) / 8];
    bool partial; /* it lacks values that the server did not send */
};
bool shape_has(const struct row_shape *s, size_t column);
bool shape_equal(const struct row_shape *a, const struct row_shape *b);

/* Is the event's own key an object that has each column of the table's primary key? */
bool target_key_fits(const struct target *t, struct slice key);

/* Looks which of the table's columns the object has. Others of its members are passed over; a value
 * that is Debezium's placeholder counts as not sent. A key column that is missing is POISON. */
int target_shape(const struct target *t, struct slice row, struct row_shape *ret,
                 struct error *err) MUST_CHECK;

/* The column that a member of a row is for; NULL: none. */
struct json_member;
const struct target_column *target_column(const struct target *t, const struct json_member *m);
/* Whether the member is Debezium's placeholder for a value that the server did not send. */
bool target_unsent(const struct json_member *m);

/* Hash of the key's values as the row writes them. */
uint64_t target_key_hash(const struct target *t, struct slice row);

/* Appends a row that has only a key: of an event whose row is not there, from its message key,
 * which is a JSON object with the columns, or the value of the only column. POISON. */
int target_key_row(const struct target *t, const struct record *r, struct buf *out,
                   struct error *err) MUST_CHECK;

/* Append a statement. Its parameter 1 is a JSON array of rows that all have this shape.
 * upsert: inserts or, where the key is there, updates. update: of rows that must be there.
 * delete: by key. move: parameter 1 is an array with one row, parameter 2 one with its old key. */
void target_upsert(const struct target *t, const struct row_shape *s, struct buf *out);
void target_update(const struct target *t, const struct row_shape *s, struct buf *out);
void target_delete(const struct target *t, struct buf *out);
void target_move(const struct target *t, const struct row_shape *s, struct buf *out);
void target_truncate(const struct target *t, struct buf *out);
