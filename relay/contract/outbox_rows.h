/*
 * Which rows of its database a pipeline needs until it has delivered them. The source says it, the
 * store keeps it beside the pipeline's position, and a prune of the table asks the store. So a
 * prune of one pipeline also knows what the others on the table need.
 */
#pragma once

/* The texts are borrowed from the configuration; "": there is no such column. All NULL: the
 * pipeline needs no rows, because it reads a replication stream. */
struct outbox_rows {
    const char *table;     /* as configured */
    const char *mode;      /* the word of source.mode */
    const char *seq, *xid; /* the columns behind a position */
    const char *shard_by;  /* the column by which it may be divided into shards */
};
