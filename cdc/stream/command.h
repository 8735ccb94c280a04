/*
 * The texts of a walsender's commands and answers, as far as they need no connection. Plain
 * functions; any thread.
 */
#pragma once

#include "base/buf.h"
#include "cdc/stream/stream.h"

/* Appends the START_REPLICATION command for this server's version (150020) to `out`. CONFIG: a bad
 * slot name, or a server before 14. */
int stream_start_text(const struct stream_start *start, int server_version, struct buf *out,
                      struct error *err) MUST_CHECK;

/* Finds in the text of a history file the LSN where timeline `from` ended. False: it is not there.
 */
bool stream_history_find(struct slice history, uint32_t from, uint64_t *ret_lsn);
