/*
 * What a message says of a row of a table, in a form in which the row itself and the events about
 * it can be compared: which row it is, and a hash of each column's value.
 *
 * Example: {"id":7,"note":"x","__op":"u","__table":"public.orders",...} with the key {"id":7} is an
 * UPSERT of "public.orders\n{"id":7}" with two columns. What an event says beside the row (when,
 * how) is left out, so the row as the table has it gives the same columns.
 *
 * Formats: those whose payload is a flat row, and Debezium's envelope. No I/O; any thread.
 */
#pragma once

#include "base/buf.h"
#include "message/encode.h"

enum verify_op {
    VERIFY_NOTHING, /* it is about no row: a logical message, a tombstone */
    VERIFY_UPSERT,
    VERIFY_DELETE,
    VERIFY_TRUNCATE
};

/* `value` is even, so that its lowest bit can say: or null. */
struct verify_column {
    uint64_t name, value;
};
enum {
    VERIFY_UNSENT = 0, /* the server did not send it, and it is not known from before */
    VERIFY_OR_NULL = 1
};

/* All zero is empty; verify_change_release frees it. */
struct verify_change {
    enum verify_op op;
    struct buf table;   /* "public.orders" */
    struct buf row;     /* the table, a line end and the key; empty: it has no key */
    struct buf old_row; /* the same with the key that the row had before; empty: no other */
    struct buf columns; /* of struct verify_column, sorted by name */
};
void verify_change_release(struct verify_change *c); /* for CLEANUP */

/* Reads a change. Key and payload as they were sent, or a null slice; the payload without what the
 * format puts around it (encode_payload_in). False: it is none of the format's. */
bool verify_change_read(const struct encode_conf *conf, struct slice key, struct slice payload,
                        struct verify_change *ret);

/* How an event shows a value that the server did not send (unchanged TOAST), by column, sorted by
 * name. `sure`: the placeholder, which stands for nothing else. `unsure`: what a null looks like,
 * too, where the column's JSON type has no room for the placeholder (Debezium's numeric and
 * arrays). A column that is always sent is in neither. All zero: nothing is known. */
struct verify_blanks {
    struct buf sure, unsure; /* of struct verify_column */
};
void verify_blanks_release(struct verify_blanks *b);

/* Those of the change's table; *ret is all zero before. */
void verify_change_blanks(const struct encode_conf *conf, const struct change *change,
                          struct verify_blanks *ret);

/* Of an UPSERT: fills in the values that were not sent, from the columns of the same row before it
 * (empty: not known). Where a null may stand for one, it becomes that value or null. `blanks`: of
 * its table. */
void verify_columns_fill(struct buf *columns, struct slice before,
                         const struct verify_blanks *blanks);

/* Does the row say the same as the event? A column that the event lacks counts as null, and one
 * that the row lacks (it was dropped) as nothing. *ret_unsent: a value was not there to compare. */
bool verify_columns_equal(struct slice row, struct slice event, bool *ret_unsent);
