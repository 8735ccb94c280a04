/*
 * Where a snapshot stands, as the text that the cursor carries: behind which row of which table.
 *
 * "s1,<lsn>,<started>,<rows>[,bare][,@<oid>-<before>[.<type>]...,<schema>.<table>[,done]
 * [,<column>=<value>]...]"; in names and values every byte but letters, digits, _ and - is written
 * as %XX. Tables that come before by their names are over, if they still are the same ones (by
 * <before>); with "bare" all those without a key are. The types, by OID, are those of the key's
 * columns. Earlier versions wrote nothing behind an @.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include <stdbool.h>
#include <stdint.h>

struct snapshot_place {
    uint64_t lsn;               /* identity of the rows: the slot's consistent point */
    int64_t started_us;         /* wall clock */
    uint64_t rows;              /* given so far */
    bool bare_done;             /* the tables without a key were all given, wherever they stand */
    struct slice schema, table; /* the table that was begun last; null: none */
    uint32_t oid;               /* its; 0: neither it, nor `before` and `types` are known */
    uint32_t before;            /* snapshot_plan_before */
    bool done;                  /* and all of its rows were given */
    const struct slice *columns, *values; /* the key of its row given last; none: it begins anew */
    const uint32_t *types;                /* of the columns */
    size_t key_count;
};

void snapshot_place_format(const struct snapshot_place *p, struct buf *out);

/* What is kept lies in `arena`. FATAL/69 for a text that is none of ours. */
int snapshot_place_parse(struct slice text, struct arena *arena, struct snapshot_place *ret,
                         struct error *err) MUST_CHECK;
