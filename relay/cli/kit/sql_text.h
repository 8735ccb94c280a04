/*
 * Makes the SQL that `init` runs or prints, from the scripts of schema/. No I/O; any thread.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include <stdbool.h>

enum sql_mode { SQL_POSITION, SQL_STATUS, SQL_DELETE };

struct sql_request {
    const char *table; /* schema.table or table, not quoted; not used with `inbox` */
    enum sql_mode mode;
    const char *channel; /* NULL: no trigger */
    bool by_day;         /* a table that is partitioned by day; mode position only */
    int by_hash;         /* one with so many partitions by hash; 0: not; mode position only */
    bool inbox;          /* the inbox and nothing else */
};

/* Appends one transaction that psql (or sqlite3) can run as it is. ERROR, class CONFIG: the table's
 * name cannot be quoted, or SQLite does not have what is asked (mode status, partitions, a
 * channel). */
int sql_text_postgres(struct buf *out, const struct sql_request *r, struct error *err) MUST_CHECK;
int sql_text_sqlite(struct buf *out, const struct sql_request *r, struct error *err) MUST_CHECK;

/* Appends `script`, with `quoted` in place of each "outbox" (the double quotes belong to it). */
void sql_text_rename(struct buf *out, const char *script, const char *quoted);
