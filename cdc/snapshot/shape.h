/*
 * Is a table still the one that was planned? The plan names it, and between planning and reading
 * another one may get the name, or its columns may be altered: rows read by a stale plan would come
 * under the wrong name or with values of other types, and what the stream says of the table would
 * not find them. So a shape is kept with the plan and compared behind the lock.
 */
#pragma once

#include "cdc/snapshot/plan.h"

/* SQL: what must not change of the table `c` of pg_class. The order of keys goes by collations; a
 * format may take defaults, and what is not null, into account. */
#define SNAPSHOT_SHAPE_SQL                                                                     \
    "concat_ws(' ', c.oid, c.relkind, c.relreplident, array(select (s.attname, s.atttypid,"    \
    " s.atttypmod, s.attcollation, s.attnotnull, (select md5(e.adbin::text) from pg_attrdef e" \
    " where e.adrelid = s.attrelid and e.adnum = s.attnum))::text from pg_attribute s"         \
    " where s.attrelid = c.oid and s.attnum > 0 and not s.attisdropped order by s.attnum),"    \
    " array(select i.indkey::text from pg_index i where i.indrelid = c.oid"                    \
    " and (i.indisprimary or i.indisreplident) order by 1))"

/* The statement behind the lock: the transaction's snapshot, and the shape that the table of this
 * name has in it. */
void snapshot_shape_statement(const struct snapshot_table *t, struct buf *ret_sql);

/* `now` is that shape, null if there is no such table. RETRY if it is another: the source begins
 * again, with a new plan. */
int snapshot_shape_judge(const struct snapshot_table *t, struct slice now,
                         struct error *err) MUST_CHECK;

/* A statement of the plan failed. That a table or a column of it is not there is no matter of
 * configuration: it was a moment ago, and the next plan will do without. Returns -1. */
int snapshot_shape_failed(struct error *err);

/* The same for a statement that reads one table; who held its lock for too long is named. */
int snapshot_statement_failed(struct pg *sql, const struct change_table *t, struct error *err);
