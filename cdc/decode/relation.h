/*
 * The relations of the stream: each Relation message replaces what was known of that table; rows
 * are read by the version that was current when they were written. Dropped on reconnect.
 *
 * A replaced version is kept until relations_sweep, because changes that were just handed out may
 * still point to it. One thread.
 */
#pragma once

#include "cdc/decode/catalog.h"

struct relations;

struct relations *relations_new(void);
void relations_free(struct relations *r);
void relations_clear(struct relations *r); /* reconnect */

/* Takes a RELATION message; catalog_has must be true for it. Copies what it keeps. `user` is the
 * source's own mark for the table (relations_user), NULL at first. */
const struct change_table *relations_put(struct relations *r, struct catalog *catalog,
                                         const struct pgoutput_message *relation);

/* NULL: a change came for a relation that was never described: a protocol error. */
const struct change_table *relations_get(const struct relations *r, uint32_t oid);

/* What the source hangs onto the current version of a relation (its column mapping); freed by
 * `release` when the version goes. */
void *relations_user(const struct relations *r, uint32_t oid);
void relations_set_user(struct relations *r, uint32_t oid, void *user, void (*release)(void *user));

/* Frees replaced versions: nothing handed out before may be in use any more. */
void relations_sweep(struct relations *r);
