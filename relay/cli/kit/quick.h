/*
 * Turns the options of `run --source URL --sink URL` into the YAML of a configuration with one
 * pipeline named "default", so that both ways to start a relay go through the same loader. No I/O,
 * but mistakes are printed on stderr. Main thread.
 */
#pragma once

#include "base/buf.h"
#include "cli/kit/source_url.h"

/* The settings that are not in the two URLs. */
struct quick {
    const char *table; /* NULL: the default */
    bool cdc;          /* from the replication stream: the outbox `table`, or without one all
                          changes of the publication, as flat rows */
};

/* Appends the YAML. Returns 0, or 64 after the message. `sink` NULL: for a command that only reads;
 * such YAML has to be parsed with registry_conf_sources. */
int quick_config(const struct cli_command *command, const struct source_url *source,
                 const char *sink, const struct quick *quick, struct buf *ret_yaml) MUST_CHECK;

/* Appends the line `sink: {...}` of such YAML. Returns 0, or 64 after the message. */
int quick_sink(const struct cli_command *command, const char *sink, struct buf *out);

/* The forms of --sink, with `last` before the last one. Every call overwrites the same storage. */
const char *quick_sinks(const char *last);
