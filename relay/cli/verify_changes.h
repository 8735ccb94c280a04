/*
 * `verify` of a pipeline that relays table changes: the rows of its tables against each row's last
 * event. The rows come first, as one moment of the database shows them; then it waits until the
 * pipeline has delivered what was committed before that moment; then the destination is read, and
 * events of later commits are left out. Main thread.
 */
#pragma once

#include "cli/verify_last.h"
#include "cli/verify_target.h"

struct verify_changes {
    const struct conf_pipeline *p;
    struct cli_store *store;
    const struct verify_target *target; /* opened; no inbox */
    const struct route *route;
    struct verify_sort *sort; /* empty */
    /* Told of each difference, and of what is not there any more at the destination. */
    int (*tell)(void *ctx, const struct verify_difference *d, struct error *err);
    void (*note)(void *ctx, const char *text);
    void *ctx;
    int stop_fd; /* of interrupt_open */
};

/* Can the changes of this pipeline be compared? CONFIG, with the reason. No I/O. */
int verify_changes_check(const struct conf_pipeline *p, struct error *err) MUST_CHECK;

/* Waits. CONFIG also for a table without a key. */
int verify_changes(const struct verify_changes *v, struct verify_counts *ret,
                   struct error *err) MUST_CHECK;
