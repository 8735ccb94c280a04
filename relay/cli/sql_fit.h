/*
 * Makes the SQL of `init -c FILE`: it adds to an existing outbox table what the pipeline that reads
 * it needs, namely the columns and indexes of its mode, under the names that the configuration
 * maps. The SQL may be run twice; it never changes a column that exists. PostgreSQL only. No I/O;
 * any thread.
 */
#pragma once

#include "cli/kit/sql_text.h"

struct sql_fit {
    const char *table; /* schema.table or table, not quoted */
    enum sql_mode mode;
    bool mapped;                /* the configuration names a column, or order_by */
    const char *id, *seq, *xid; /* their names in the table */
    const char *order_by;       /* a column; NULL: not given, seq is used; "": no order */
};

/* Appends one transaction for psql. It makes a missing table too, but only if nothing is mapped:
 * for other names it does not know the table's columns. ERROR, class CONFIG: a name cannot be
 * quoted. */
int sql_fit(struct buf *out, const struct sql_fit *request, struct error *err) MUST_CHECK;
