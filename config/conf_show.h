/*
 * The settings of a loaded configuration, defaults included, with secrets hidden. Any thread.
 */
#pragma once

#include "config/config.h"

/* Called for each setting: key "pipelines.orders.source.mode", value "position". Both are valid
 * during the call. A secret is "***", and of a URL only scheme, host and port are shown: the rest
 * may be a secret too. Values of maps (`properties`) and all but the first word of a command are
 * hidden as well. */
typedef void conf_show_each(void *ctx, const char *key, const char *value);

void conf_show(const struct config *c, conf_show_each *each, void *ctx);
