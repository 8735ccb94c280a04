/*
 * Fills the environments with which a source and a sink are opened (contract/source.h,
 * contract/sink.h) from the configuration of a pipeline. The running pipeline and the commands
 * that open plugins (check and verify, for example) use this, so that all open them in the same
 * way.
 *
 * All other fields stay zero and are the caller's to set: of both note and note_ctx; of a source
 * did, observe, stored, range and lease_us; of a sink beside and metrics. stop_fd is -1 until the
 * caller sets it. No I/O; these cannot fail; any thread.
 */
#pragma once

#include "config/config.h"
#include "contract/sink.h"
#include "contract/source.h"
#include "contract/store.h"
#include "message/encode.h"
#include "message/mask/mask.h"
#include "message/route.h"

/* *ret points into `p`, `route`, `mask` and `columns`, which must outlive it. `store`: its tables
 * of positions and dead letters are named to the source, which may find them in its own database;
 * NULL: they are not there. */
void plugin_env_source(struct source_env *ret, const struct conf_pipeline *p,
                       const struct encode_conf *encode, const struct route *route,
                       const struct mask *mask, struct column_rules *columns,
                       const struct store_ops *store);
void plugin_env_sink(struct sink_env *ret, const struct conf_pipeline *p,
                     const struct route *route);
