/*
 * Private to the prune of outbox_postgres: the statement of a step, and the names it is made of.
 */
#pragma once

#include "source/outbox_postgres/internal.h"

/* Parameters of the statement. */
enum {
    PRUNE_PIPELINE,     /* for which it is done */
    PRUNE_CLUSTER,      /* system identifier of the server; null: the role may not read it */
    PRUNE_WHOLE_PARAMS, /* the statement for a whole partition has these only */
    PRUNE_AFTER = PRUNE_WHOLE_PARAMS, /* key of the last row that was looked at; null: begin with
                                         the first */
    PRUNE_BATCH,                      /* rows to look at */
    PRUNE_AGE,                        /* microseconds */
    PRUNE_SPARED,                     /* oid[]: partitions whose rows stay, because they go whole */
    PRUNE_PARAMS
};

/* Columns of the answer, which has a row for each pipeline of the table, and at least one. The
 * figures up to PRUNE_KNOWN are the same in each row. */
enum {
    PRUNE_LOOKED_AT,
    PRUNE_LAST_KEY,
    PRUNE_AGED,     /* rows that are old enough */
    PRUNE_OLD,      /* of them those that are not in a spared partition */
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
    bool daily; /* it is partitioned by day: rows age by whole days (UTC), so that they go together
                 */
    bool dry_run;
};

/* Appends the statement. */
void outbox_pg_prune_sql(const struct prune_sql *p, struct buf *out);

/* Columns of the answer for a whole partition: one row. */
enum {
    PRUNE_WHOLE_READY, /* every row is delivered by every pipeline of the table: it may go */
    PRUNE_WHOLE_ROWS   /* how many it has; null if it may not go */
};
/* Appends the statement that judges all rows of a partition, by the same rule. */
void outbox_pg_prune_whole_sql(const struct prune_sql *p, const char *oid, const char *quoted,
                               struct buf *out);

/* What one pipeline has held back so far. */
struct prune_holder {
    char *pipeline, *why;
    int64_t rows;
};

/* Where the work on the partitions of a table that is partitioned by day stands. */
struct prune_days {
    struct pg_result *list; /* schema/sql/day_partitions.sql */
    size_t next;            /* row of the list */
    bool made, done;
    int tries;         /* at this partition, or at making the coming ones */
    struct buf spared; /* oids between commas */
    struct buf told;
};

/* A prune under way. */
struct prune {
    const struct outbox_pg_conf *conf;
    const struct source_env *env;
    struct prune_order order;
    struct pg *pg;
    struct outbox_pg_table table;
    struct prune_sql how;
    struct buf sql;
    char cluster[24]; /* "" if the role may not read it */
    struct buf after; /* key of the last row that was looked at */
    struct prune_holder *holders;
    size_t holders_count;
    struct prune_days days;
};

/* prune_days.c: drops whole partitions and makes the coming ones. */
/* Looks at the partitions; how.daily is set from it. May wait. */
int outbox_pg_prune_days_open(struct prune *p, struct error *err) MUST_CHECK;
/* As prune_ops.step, until days.done: then the rows follow. */
int outbox_pg_prune_days_step(struct prune *p, struct prune_step *ret,
                              struct error *err) MUST_CHECK;
/* Appends what the role lacks for it, or nothing. */
void outbox_pg_prune_days_advise(const struct prune *p, struct buf *out);
void outbox_pg_prune_days_close(struct prune *p);
