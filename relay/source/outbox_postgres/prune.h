/*
 * Private to the prune of outbox_postgres: the statement of a step, and the names it is made of.
 */
#pragma once

#include "source/outbox_postgres/internal.h"

/* Parameters of the statement. */
enum {
    PRUNE_AFTER,    /* key of the last row that was looked at; null: begin with the first */
    PRUNE_BATCH,    /* rows to look at */
    PRUNE_AGE,      /* microseconds */
    PRUNE_PIPELINE, /* for which it is done */
    PRUNE_CLUSTER,  /* system identifier of the server; null: the role may not read it */
    PRUNE_PARAMS
};

/* Columns of the answer, which has a row for each pipeline of the table, and at least one. The
 * figures up to PRUNE_KNOWN are the same in each row. */
enum {
    PRUNE_LOOKED_AT,
    PRUNE_LAST_KEY,
    PRUNE_OLD,      /* rows that are old enough */
    PRUNE_READY,    /* of them those that may go */
    PRUNE_REMOVED,  /* of them those that are gone */
    PRUNE_FRONTIER, /* a row with a higher seq is not delivered by all pipelines of the whole table;
                       null: not known */
    PRUNE_KNOWN,    /* the store knows the pipeline for which it is done */
    PRUNE_READER,   /* a pipeline; null: there is none */
    PRUNE_HELD,     /* old rows that stay for it */
    PRUNE_WHY       /* "", or why time will not mend that */
};

struct prune_sql {
    const struct outbox_pg_table *table;
    const struct source_store *store;
    const struct outbox_pg_conf *conf;
    bool has_status, has_published_at; /* columns of status mode that the table has */
    bool dry_run;
};

/* Appends the statement. */
void outbox_pg_prune_sql(const struct prune_sql *p, struct buf *out);
