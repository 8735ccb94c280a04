/*
 * Turns the configuration of a pipeline into what pipeline_new and the commands need: its plugins,
 * and where its cursor, control row and dead letters are. Daemon and commands both use it. If each
 * decided for itself, a command could look into another store than the one that the daemon writes.
 *
 * Only assembly_check_clash can fail: the configuration was checked when it was loaded. Any thread.
 */
#pragma once

#include "base/buf.h"
#include "config/config.h"
#include "pipeline/pipeline.h"

/* CONFIG if c->pipelines[index] needs something that only one pipeline may have and one before it
 * in the file has already: a replication slot, a transactional id, rows that are deleted. */
int assembly_check_clash(const struct config *c, size_t index, struct error *err) MUST_CHECK;

/* Fills *ret, except `metrics` and `until_idle`, which the caller sets. `url` is an empty buffer of
 * the caller's; the store's URL is written into it, and it must outlive the pipeline. */
void assembly_parts(struct pipeline_parts *ret, struct buf *url, const struct config *c,
                    const struct conf_pipeline *p);

/* The store alone, for commands. *ret has no lease, since a command has the lock only for a moment.
 * `url` as above. */
const struct store_ops *assembly_store(struct store_env *ret, struct buf *url,
                                       const struct config *c, const struct conf_pipeline *p);

/* Appends the store's URL: the database of the outbox, or, if the source says nothing, the `store`
 * of the configuration (a relative SQLite path begins at $STATE_DIRECTORY). May contain a password.
 */
void assembly_store_url(struct buf *out, const struct config *c, const struct conf_pipeline *p);

/* The plugin of a store that is in the source's own database; NULL: the source has none there, or
 * its address is none of a store (the source reports that when it is opened). */
const struct store_ops *assembly_store_in_source(const struct conf_pipeline *p);

/* Appends the same URL without a password and with an absolute path, to be shown and compared. */
void assembly_store_shown(struct buf *out, const char *store_url);

/* How long the relay, and a command in its place, waits for the source's server. */
void assembly_timeouts(const struct conf_pipeline *p, int64_t *ret_connect_us,
                       int64_t *ret_read_us);

/* Does its source give table changes? Known before the source is opened, because the route must be
 * made first and depends on it. */
bool assembly_changes(const struct conf_pipeline *p);
