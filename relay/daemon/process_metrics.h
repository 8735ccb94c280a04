/*
 * What the kernel says of this process: CPU, memory, descriptors, start. The metrics have the names
 * that Prometheus' client libraries use (process_resident_memory_bytes and so on), so dashboards
 * that were made for other programs show this one too. Any thread.
 */
#pragma once

#include "base/buf.h"
#include <stdint.h>

/* Appends the metrics. started_s: when the process began, in seconds since 1970-01-01 UTC. Leaves
 * out what the kernel does not tell: memory and open descriptors need /proc, and a free descriptor
 * to read it. */
void process_metrics(struct buf *out, double started_s);

/* Appends a line of the Markdown table of all metrics for each. */
void process_metrics_reference(struct buf *out);
