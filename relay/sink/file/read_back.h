/*
 * Reads the events of a pipeline back from its batch files (sink_ops.read_back). One thread.
 */
#pragma once

#include "contract/sink.h"
#include "sink/file/record.h"

/* Whose files, in which folder, and in which format they are written. Borrowed during the call. */
struct file_read_back {
    const char *dir, *pipeline;
    const struct file_format *format;
    int stop_fd;
};

/* As sink_ops.read_back; r->at stands for `dir`. */
int file_read_back(const struct file_read_back *from, const struct sink_reading *r,
                   struct error *err) MUST_CHECK;

/* As sink_ops.payload_of. */
int file_payload_of(const struct file_format *format, const struct event *e, struct buf *out,
                    struct error *err) MUST_CHECK;
