/*
 * The lines that a pipeline writes into the audit log (audit/audit.h), one for each act. Who gave
 * the command is in `control`, which the order filled.
 *
 * Private to relay/pipeline, used by the pipeline's thread only. Nothing fails: a line that cannot
 * be written is told to the owner of the log.
 */
#pragma once

#include "base/buf.h"
#include "contract/source.h"
#include <stdbool.h>
#include <stdint.h>

struct pipeline;

/* It was ordered to pause or to go on. */
void acts_paused(const struct pipeline *p, bool was, bool is);

/* Puts a cursor as the audit log shows it into *ret. */
void acts_describe(const struct pipeline *p, struct slice cursor, struct buf *ret);
/* Its position was set to progress.cursor. `was`: the one before, of acts_describe. */
void acts_position_set(const struct pipeline *p, const char *was);

/* It was ordered to take a snapshot, or to stop, pause or resume one. `done`: what the source says
 * of it, without the condition, which may hold values. */
void acts_snapshot(const struct pipeline *p, const char *done);

/* An open dead letter was sent again or dropped, and is in `state` now (STORE_LETTER_*). */
void acts_letter(const struct pipeline *p, const char *event, const char *who, int64_t letter,
                 const char *state);

/* source_env.did, with the pipeline as ctx. */
void acts_of_source(void *ctx, enum source_deed deed, const char *name, const char *at);
