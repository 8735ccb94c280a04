/*
 * The page /metrics as OpenMetrics 1.0, which Prometheus asks for. It is made from the text of
 * format 0.0.4 (report.h), so both show the same. What differs:
 *   - a counter's family is named without `_total`, which its samples keep
 *   - `commitrelay_build_info` is of type info
 *   - units are said: a family whose name ends in _seconds or _bytes has that unit
 *   - `le` is a canonical number: "1.0" for "1"
 *   - the text ends with `# EOF`
 *
 * No state. Any thread.
 */
#pragma once

#include "base/buf.h"
#include <stdbool.h>

#define OPENMETRICS_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

/* Whether this value of the header Accept wants OpenMetrics at least as much as the plain text.
 * NULL: the request has no such header. */
bool openmetrics_wanted(const char *accept);

/* Appends the text as OpenMetrics. `text` is a whole page of format 0.0.4 in which each family has
 * its line HELP, then TYPE, then all its samples. */
void openmetrics_add(struct buf *out, struct slice text);
