/*
 * What a table lacks for the pipeline that reads it: the columns and indexes of its mode, under the
 * names that the pipeline maps. The SQL may be run again, and changes nothing that is there. Pure.
 */
#pragma once

#include "cli/kit/sql_text.h"

struct sql_fit {
    const char *table;
    enum sql_mode mode;
    bool mapped; /* a column has another name than that of `init`, or another order */
    const char *id, *seq, *xid; /* their names in the table */
    const char *order_by;       /* NULL: not given; "": none */
};

/* Appends one transaction for psql. A missing table is made only if no column is mapped to another
 * name. ERROR, class CONFIG: a name cannot be quoted. */
int sql_fit(struct buf *out, const struct sql_fit *request, struct error *err) MUST_CHECK;
