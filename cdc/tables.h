/*
 * Which tables the source gives events of: those of source.tables, by name or by pattern
 * ("re:public\.part_\d+"), or with `as: outbox` the one of source.table.
 *
 * A pattern has to match all of "schema.table", and the case of letters does not count, as in
 * Debezium's table.include.list. One thread.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "cdc/conf.h"

struct pattern;

/* Owns all that it points to. Zeroed, it may be closed. */
struct cdc_tables {
    struct arena memory;
    struct slice *names; /* quoted: "schema"."table" */
    size_t names_count;
    struct pattern **patterns;
    size_t patterns_count;
    struct slice signal; /* source.signal_table, quoted; null: there is none */
    struct buf text;     /* scratch */
};

/* The pattern behind "re:"; NULL if the entry of source.tables is a name. Points into `entry`. */
const char *cdc_tables_pattern(const char *entry);

/* Reads the names and compiles the patterns. CONFIG: one of them cannot be read. No I/O. Close it
 * in any case. */
int cdc_tables_open(struct cdc_tables *t, const struct cdc_conf *conf,
                    struct error *err) MUST_CHECK;
void cdc_tables_close(struct cdc_tables *t);

/* Is this source.signal_table? */
bool cdc_tables_signal(struct cdc_tables *t, struct slice schema, struct slice name);

/* Whether events of this table are wanted. Without any entry all tables are, but never
 * source.signal_table. CONFIG: a pattern
 * takes too many steps on this name; *ret is then untouched. */
int cdc_tables_want(struct cdc_tables *t, struct slice schema, struct slice name, bool *ret,
                    struct error *err) MUST_CHECK;
