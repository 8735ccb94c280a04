/*
 * What `status` prints of a consumer. Only the daemon that runs it knows its state: `told` is what
 * that daemon's /status says of it; NULL: it runs in no daemon that was found, and its state is
 * "unknown". Pure; any thread.
 */
#pragma once

#include "cli/status_row.h"

json_t *status_consumer_json(const char *name, const json_t *told); /* the caller's */
/* Appends the text; `file` as in status_row_text. */
void status_consumer_text(const char *name, const json_t *told, const char *file, struct buf *out);
enum status_level status_consumer_level(const json_t *told);
