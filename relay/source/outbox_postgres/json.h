/*
 * Columns that are given as JSON (source_env.json_count). Private to this folder, as internal.h.
 * The pipeline's thread only; no I/O.
 */
#pragma once

#include "source/outbox_postgres/internal.h"

/* Whether the further column `i` can be given as env wants it: as JSON only if the type is
 * known. */
bool outbox_pg_says_json(const struct outbox_pg_found *column, const struct source_env *env,
                         size_t i);
/* Makes JSON of those columns of the event that are to be (source_env.json_count), in the batch's
 * arena. A value that has none makes the event poison. */
void outbox_pg_make_json(const struct outbox_pg_table *t, const struct source_env *env,
                         struct batch *batch, struct event *e);
