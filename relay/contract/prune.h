/*
 * The contract of a prune: removes rows of an outbox table that every pipeline on the table has
 * delivered. It belongs to a source plugin, because only the plugin knows what its cursors say, but
 * it shares nothing with a source that runs: it has a connection and a thread of its own.
 *
 * A prune goes through the table in small steps, each a transaction of its own, so that it may be
 * stopped or killed at any time. Each step asks the store again which pipelines there are and how
 * far each one is.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "contract/source.h"

/* source.prune */
struct prune_settings {
    bool given; /* false: the daemon never prunes */
    int64_t older_than_us, every_us, batch, pause_us;
};

struct prune_order {
    int64_t older_than_us; /* by created_at */
    int64_t batch;         /* so many rows are looked at in a step, and removed at most */
    bool dry_run;          /* only count */
};

struct prune_step {
    int64_t looked_at, removed; /* dry_run: removed are those that would be */
    bool ended;                 /* there is nothing behind them that may go now */
    /* What was done to a partition, for people ("dropped partition p (12 rows)"); NULL: nothing.
     * Valid until the next step. */
    const char *told;
};

/* What of the rows that are old enough stays, for one pipeline. */
struct prune_held {
    const char *pipeline;
    int64_t rows;    /* that were looked at; there may be more behind them */
    const char *why; /* "" or a reason that time will not mend */
};

struct prune_ops {
    /* Asked of a configuration, without I/O. */
    void (*settings)(const void *conf, struct prune_settings *ret);
    /* NULL; or why this configuration leaves nothing to prune. Static. */
    const char *(*needless)(const void *conf);

    /* Connects, and looks at table and rights. CONFIG: it cannot be pruned. AGAIN: another prune is
     * at work on the table (who: err->text). Everything outlives the prune but `err`. May wait. */
    int (*open)(const void *conf, const struct source_env *env, const struct prune_order *order,
                void **ret, struct error *err);
    /* The next rows, or the next partition. RETRY: the step has changed nothing and may be tried
     * again. May wait. */
    int (*step)(void *prune, struct prune_step *ret, struct error *err);
    /* Calls `each` for every pipeline that has held rows back so far. */
    void (*held)(void *prune, void (*each)(void *ctx, const struct prune_held *held), void *ctx);
    /* Appends what an operator should know of the table after a prune, or nothing. May wait. NULL:
     * never anything. */
    int (*advise)(void *prune, struct buf *out, struct error *err);
    void (*close)(void *prune); /* NULL is fine */
};
