/*
 * The tables as the stream has described them. Each Relation message replaces the version of its
 * table, and the rows behind it are read by that version: ALTER TABLE comes at the right place. All
 * are dropped on reconnect, because the server then describes each table again.
 *
 * A replaced version is kept until relations_sweep, because changes that were just handed out may
 * still point to it. One thread.
 */
#pragma once

#include "cdc/decode/catalog.h"

struct relations;

struct relations *relations_new(void);
void relations_free(struct relations *r);
/* For a reconnect: forgets all tables. Their memory stays until relations_sweep. */
void relations_clear(struct relations *r);

/* Takes a RELATION message, for which catalog_has has to be true. Copies what it keeps. The result
 * is valid until the sweep after it was replaced. Its `user` (relations_user) is NULL at first. */
const struct change_table *relations_put(struct relations *r, struct catalog *catalog,
                                         const struct pgoutput_message *relation);

/* The current version. NULL: the stream has not described the table, which is an error of the
 * protocol if a change of it comes. */
const struct change_table *relations_get(const struct relations *r, uint32_t oid);

/* What the source attaches to the current version of a table, such as its column mapping. The
 * relations own it: `release` frees it together with the version. */
void *relations_user(const struct relations *r, uint32_t oid);
void relations_set_user(struct relations *r, uint32_t oid, void *user, void (*release)(void *user));

/* Frees replaced versions. No change that was handed out before may be in use any more. */
void relations_sweep(struct relations *r);
