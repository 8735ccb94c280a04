/*
 * SQL for what a publication sends and under which names: from the catalogs themselves, since
 * pg_publication_tables, pg_partition_tree and a deparsed expression of a table wait for locks on
 * the tables, and so for whoever alters one in a transaction that stays open.
 */
#pragma once

#include "base/buf.h"

/* The beginning of a statement: "with recursive pub as (...), member(oid, attrs, qual) as (...)".
 * `param` is the number of the parameter with the publication's name; `version` is the server's.
 * A member is what the publication itself names; attrs and qual are null without a column list or
 * row filter. */
void published_members(struct buf *sql, int version, int param);

/* The same with ", published(oid, attrs, qual, gencols) as (...)": the tables under whose names
 * changes come, as pg_publication_tables has them. */
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

/* The row filter of the table `c` of pg_class, listed as `t`, as SQL; takes a lock on the table. */
#define PUBLISHED_FILTER "pg_get_expr(t.qual, c.oid)"
