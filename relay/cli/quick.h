/*
 * `run --source URL --sink URL`: the same as a configuration file of one pipeline named "default".
 * Pure: text in, YAML out.
 */
#pragma once

#include "base/buf.h"
#include "cli/source_url.h"

/* Appends the YAML. `table` may be NULL. 0, or 64 after the message. */
int quick_config(const struct cli_command *command, const struct source_url *source,
                 const char *sink, const char *table, struct buf *ret_yaml);

/* A double-quoted YAML scalar that the loader reads back as exactly `text`. */
void quick_quote(struct buf *out, const char *text);
