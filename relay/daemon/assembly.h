/*
 * The one place that puts a configured pipeline together: its plugins, and where its cursor,
 * control row and dead letters are. The relay and every command take them from here, so that both
 * look at the same store and wait for it equally long. Any thread.
 */
#pragma once

#include "base/buf.h"
#include "config/config.h"
#include "pipeline/pipeline.h"

/* All but `metrics` and `until_idle`, which are the caller's. `url` is an empty buffer that gets
 * the store's address; it must outlive the pipeline. */
void assembly_parts(struct pipeline_parts *ret, struct buf *url, const struct config *c,
                    const struct conf_pipeline *p);

/* The store alone, for commands: `ret` without a lease, since a command holds the lock only while
 * it works. `url` as above. */
const struct store_ops *assembly_store(struct store_env *ret, struct buf *url,
                                       const struct config *c, const struct conf_pipeline *p);

/* Appends the store's address: the outbox's own database, else the `store` of the file (a relative
 * SQLite path starts at $STATE_DIRECTORY). May hold a password. */
void assembly_store_url(struct buf *out, const struct config *c, const struct conf_pipeline *p);

/* The plugin of a store that is in the source's own database; NULL: the source has none there, or
 * its address is none of a store (the source reports that when it is opened). */
const struct store_ops *assembly_store_in_source(const struct conf_pipeline *p);

/* Appends the store's address for people, and for comparing: no password, a file by its absolute
 * path. */
void assembly_store_shown(struct buf *out, const char *store_url);

/* How long a command waits that talks to the source's server itself, as the relay would. */
void assembly_timeouts(const struct conf_pipeline *p, int64_t *ret_connect_us,
                       int64_t *ret_read_us);

/* Does its source give table changes? Asked before the source is opened, because its route depends
 * on it. */
bool assembly_changes(const struct conf_pipeline *p);
