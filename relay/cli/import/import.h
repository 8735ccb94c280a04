/*
 * Translates a Debezium configuration into one of ours. Which option is what stands in
 * config/conf_debezium.def.
 *
 * No I/O. One thread. Nothing that is written holds a secret of the input.
 */
#pragma once

#include "base/buf.h"
#include "cli/import/options.h"

struct import_result {
    struct buf yaml;   /* the configuration, with comments */
    struct buf report; /* for the operator: what changes messages, and so on */
    bool changes;      /* something that changes messages was left out */
};
void import_result_release(struct import_result *r); /* for CLEANUP */

/* Fills *ret, which is released by the caller in any case. `file` is for the text. CONFIG if the
 * options are not those of a PostgreSQL connector. */
int import_debezium(struct import_options *options, const char *file, struct import_result *ret,
                    struct error *err) MUST_CHECK;
