/*
 * `run --source URL --sink URL`: the same as a configuration file of one pipeline named "default".
 * Pure: text in, YAML out, by the plugins' forms of URL.
 */
#pragma once

#include "base/buf.h"
#include "cli/kit/source_url.h"

/* What the two URLs leave open. */
struct quick {
    const char *table; /* NULL: the default */
    bool cdc;          /* from the replication stream: the outbox `table`, or without one all
                          changes of the publication, as flat rows */
};

/* Appends the YAML. `sink` NULL: for a command that only reads, to be parsed with
 * registry_conf_sources. 0, or 64 after the message. */
int quick_config(const struct cli_command *command, const struct source_url *source,
                 const char *sink, const struct quick *quick, struct buf *ret_yaml);

/* The forms of --sink, with `last` before the last one; the same storage at each call. */
const char *quick_sinks(const char *last);

/* A double-quoted YAML scalar that the loader reads back as exactly `text`. */
void quick_quote(struct buf *out, const char *text);
