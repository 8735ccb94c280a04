/*
 * The options of a Debezium configuration as they stand in its files, and the two readers of them.
 *
 * All texts belong to the arena that the caller puts in. One thread. The readers return RESULT_DONE
 * or RESULT_ERROR with CONFIG and "file:line: ..." in the text; no error text shows a value.
 */
#pragma once

#include "base/arena.h"
#include "base/error.h"

struct import_option {
    const char *name;  /* without `debezium.source.`, and `transforms...` without `debezium.` */
    const char *shown; /* as it stands in the file */
    const char *value; /* without the blanks around it */
    bool taken;        /* it was translated, or noted */
    bool hidden;       /* only a pattern knows it, which others fill: its value may be a secret */
};

struct import_options {
    struct arena *memory;
    struct import_option *items;
    size_t count, room;
    size_t file; /* where those of the file that is being read begin */
};

/* Says that another file begins. What files before it said stays; within a file the last one of a
 * name counts. So the connector's file comes before the worker's. */
void import_next_file(struct import_options *options);
void import_set(struct import_options *options, struct slice name, struct slice value);

/* Reads Java's properties: comments (#, !), continued lines, =, : or a blank behind the name,
 * \t \n \r \f \uXXXX. The text has to be UTF-8. */
int import_read_properties(struct import_options *options, const char *file, struct slice text,
                           struct error *err) MUST_CHECK;

/* Reads the JSON of a connector: {"name": N, "config": {...}}, or the options alone. */
int import_read_json(struct import_options *options, const char *file, struct slice text,
                     struct error *err) MUST_CHECK;
