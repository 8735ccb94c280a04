/*
 * Prunes the table of a pipeline from its first row to the last one that may go: for the command
 * and for the daemon. It has a connection of its own, and shares nothing with a pipeline that runs.
 * Any thread.
 */
#pragma once

#include "base/buf.h"
#include "config/config.h"
#include "contract/prune.h"

struct audit;

struct pruning {
    const struct config *config;
    const struct conf_pipeline *conf; /* its source has prune_ops */
    struct prune_order order;
    int64_t pause_us;                                                /* between two steps */
    int stop_fd;                                                     /* readable: end; -1: none */
    void (*progress)(void *ctx, int64_t looked_at, int64_t removed); /* may be NULL */
    void (*tell)(void *ctx, const char *what); /* a partition was made or dropped; may be NULL */
    void *ctx;
};

struct pruning_result {
    int64_t looked_at, removed;
    /* "pipeline a (12 rows or more); pipeline b (...)", for a prune ends where nothing may go any
     * more; empty: nothing is held back. `holders`: their names alone, for comparing. */
    struct buf held, holders;
    struct buf advice; /* what an operator should know of the table, or nothing */
};

void pruning_result_release(struct pruning_result *r); /* for CLEANUP: start from {0} */

/* DONE: all that may go is gone. AGAIN: stop_fd has ended it (err->text is empty), or another prune
 * is at work on the table (err->text says so). A failed step that changed nothing is tried a few
 * times. May wait; each statement ends within a second once stop_fd is readable. */
int pruning_run(const struct pruning *p, struct pruning_result *ret, struct error *err) MUST_CHECK;

/* Notes the run in the audit log (may be NULL). who: of audit_who; NULL: the daemon. */
void pruning_audit(const struct pruning *p, const struct pruning_result *r, const char *who,
                   struct audit *audit);
