/*
 * Is a table still the one that was planned?
 *
 * Example: a table is planned, then renamed, and another one gets its name before it is read. Rows
 * that are read by the old plan would come under the wrong name or with values of other types, and
 * a change in the stream would not find the row it changes. So the plan keeps the table's shape
 * (its OID, columns and keys, as one text). Once the table is locked, its shape is read again and
 * compared.
 *
 * All calls on the pipeline's thread.
 */
#pragma once

#include "cdc/snapshot/plan.h"

/* SQL: the shape of the table `c` of pg_class, all of which must stay. Collations are in it because
 * keys are sorted by them. Defaults and NOT NULL are in it because a format may use them. */
#define SNAPSHOT_SHAPE_SQL                                                                     \
    "concat_ws(' ', c.oid, c.relkind, c.relreplident, array(select (s.attname, s.atttypid,"    \
    " s.atttypmod, s.attcollation, s.attnotnull, (select md5(e.adbin::text) from pg_attrdef e" \
    " where e.adrelid = s.attrelid and e.adnum = s.attnum))::text from pg_attribute s"         \
    " where s.attrelid = c.oid and s.attnum > 0 and not s.attisdropped order by s.attnum),"    \
    " array(select i.indkey::text from pg_index i where i.indrelid = c.oid"                    \
    " and (i.indisprimary or i.indisreplident) order by 1))"

/* Writes the statement that is run once the table is locked. Its only row is the transaction's
 * snapshot (pg_current_snapshot()) and the shape that the table of this name has in it. */
void snapshot_shape_statement(const struct snapshot_table *t, struct buf *ret_sql);

/* Compares `now`, the shape that statement answered (null: there is no such table), with the
 * planned one. RETRY if they differ: the source starts over, with a new plan. */
int snapshot_shape_judge(const struct snapshot_table *t, struct slice now,
                         struct error *err) MUST_CHECK;

/* For a statement of the plan that failed with *err. If a table, column or schema is missing, the
 * class is changed from CONFIG to RETRY: it was there when the plan was made, and the next plan
 * does without it. Always RESULT_ERROR. */
int snapshot_shape_failed(struct error *err);

/* The same for a statement that reads table `t`. If it waited for a lock too long, the text also
 * names the process that holds the lock; `sql` is asked for it (waits). Always RESULT_ERROR. */
int snapshot_statement_failed(struct pg *sql, const struct change_table *t, struct error *err);
