/*
 * What a `verify` asks the outbox table while it judges: which ids are in it, and of what age rows
 * were removed. Main thread.
 */
#pragma once

#include "cli/replay_source.h"
#include "cli/verify_judge.h"

/* Borrowed during the calls. */
struct verify_table {
    const struct cli_source *reads; /* a source with `survey` and `holds` */
    struct cli_store *store;
    const char *name;     /* of the table, as its source's configuration has it */
    const char *frontier; /* as source_range has it */
    bool never_ran;       /* nothing is stored of the pipeline */
};

/* As verify_judge.find and .removed say. May wait. */
int verify_table_find(const struct verify_table *t, const char *const *ids, size_t n,
                      bool *ret_there, struct error *err) MUST_CHECK;
int verify_table_removed(const struct verify_table *t, struct verify_removed *ret,
                         struct error *err) MUST_CHECK;
