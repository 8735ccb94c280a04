/*
 * Where a snapshot stands, as the text that the cursor carries: behind which row of which table.
 *
 * Example: "s1,0/1A2B3C8,1764412800000000,1200,@16390-77.23,public.orders,id=1200": of table
 * public.orders (OID 16390, key column `id` of type 23, integer) the row with id 1200 was given
 * last.
 *
 * In general (one line):
 *   "s1,<lsn>,<started>,<rows>[,bare][,@<oid>-<before>[.<type>]...,<schema>.<table>[,done]
 *   [,<column>=<value>]...]"
 * In names and values every byte but letters, digits, _ and - is written as %XX. The types are the
 * OIDs of the key columns' types.
 *
 * All tables that sort before this one were given, provided that they are still the same tables:
 * <before> tells (snapshot_plan_before). With "bare" all tables without a key were given too.
 * Earlier versions did not write the word that begins with @.
 *
 * No I/O; any thread.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include <stdbool.h>
#include <stdint.h>

struct snapshot_place {
    uint64_t lsn;               /* the slot's consistent point; part of the rows' identity */
    int64_t started_us;         /* wall clock: when the first run began */
    uint64_t rows;              /* given so far */
    bool bare_done;             /* the tables without a key were all given, wherever they stand */
    struct slice schema, table; /* the table that was begun last; null: none */
    uint32_t oid;               /* of that table; 0: oid, before and types are not known */
    uint32_t before;            /* snapshot_plan_before of that table's index */
    bool done;                  /* all rows of that table were given */
    const struct slice *columns, *values; /* key of the row given last; key_count 0: begin anew */
    const uint32_t *types;                /* OIDs of the columns' types */
    size_t key_count;
};

/* Appends the text to `out`. */
void snapshot_place_format(const struct snapshot_place *p, struct buf *out);

/* Reads it back; what *ret points to lies in `arena`. FATAL/69: the text is not one that this
 * version understands. */
int snapshot_place_parse(struct slice text, struct arena *arena, struct snapshot_place *ret,
                         struct error *err) MUST_CHECK;

/* A text as it stands in a state: every byte but letters, digits, _ and - is written as %XX. _add
 * appends it. _take reads it back into `arena`, with a NUL behind it; false: it is none. */
void snapshot_text_add(struct buf *out, struct slice s);
bool snapshot_text_take(struct slice s, struct arena *arena, struct slice *ret) MUST_CHECK;
