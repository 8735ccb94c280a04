/*
 * A pipeline as its source or its sink is asked about it before anything is opened: whether two of
 * them can run side by side (source_ops.clash, sink_ops.clash). Borrowed; any thread.
 */
#pragma once

struct pipeline_of {
    const char *name;
    const void *conf; /* of the plugin that is asked */
};
