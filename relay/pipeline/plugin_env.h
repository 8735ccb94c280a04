/*
 * What a pipeline of the configuration tells its source and its sink: the same whether the relay
 * opens them or a command that only looks. The caller adds what is its own: stop_fd (-1 here),
 * note, observe, stored.
 */
#pragma once

#include "config/config.h"
#include "contract/sink.h"
#include "contract/source.h"
#include "contract/store.h"
#include "message/encode.h"
#include "message/mask/mask.h"
#include "message/route.h"

/* `p`, `route` and `mask` outlive what is filled. `store` may keep its tables in the source's
 * database; NULL: it does not. */
void plugin_env_source(struct source_env *ret, const struct conf_pipeline *p,
                       const struct encode_conf *encode, const struct route *route,
                       const struct mask *mask, const struct store_ops *store);
void plugin_env_sink(struct sink_env *ret, const struct conf_pipeline *p,
                     const struct route *route);
