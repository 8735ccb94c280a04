/*
 * SQL for what a publication sends, and under which table names.
 *
 * It reads the system catalogs themselves. pg_publication_tables, pg_partition_tree and deparsed
 * expressions of a table would wait for locks on the tables: somebody who alters one in a
 * transaction that stays open would stop the relay. No I/O here; any thread.
 */
#pragma once

#include "base/buf.h"

/* Appends the beginning of a statement: "with recursive pub as (...), member(oid, attrs, qual) as
 * (...)". `param` is the number of the parameter with the publication's name, `version` the
 * server's (150020). `member` has the tables that the publication itself names; attrs is its column
 * list, qual its row filter, null if there is none. */
void published_members(struct buf *sql, int version, int param);

/* The same, followed by ", published(oid, attrs, qual, gencols) as (...)": the tables under whose
 * names changes come, as in pg_publication_tables. gencols: stored generated columns are sent. */
void published_tables(struct buf *sql, int version, int param);

/* A condition: is attribute `a` of pg_attribute sent for the table `t` of `published`? */
#define PUBLISHED_COLUMN                                                                        \
    "(case when t.attrs is null then a.attgenerated = '' or a.attgenerated = 's' and t.gencols" \
    " else a.attnum = any (t.attrs) end)"

/* A condition: is attribute `a` of pg_attribute of this type, or of a domain over it? */
#define COLUMN_IS(type)                                                              \
    "exists (with recursive b(oid) as (select a.atttypid union select y.typbasetype" \
    " from b join pg_type y on y.oid = b.oid where y.typbasetype <> 0)"              \
    " select from b where oid = '" type "'::regtype)"

/* The row filter, as SQL, of the table `c` of pg_class that is `t` in `published`. Takes a lock on
 * the table, so it may wait. */
#define PUBLISHED_FILTER "pg_get_expr(t.qual, c.oid)"
