/*
 * The header inside each CopyData message (PostgreSQL documentation: protocol-replication,
 * "START_REPLICATION"): bytes to values and back. No I/O, any thread. Private to cdc/stream/.
 */
#pragma once

#include "cdc/stream/stream.h"

/* Reads one CopyData message of the server; `payload` points into `bytes`. RETRY for one that is
 * too short or of an unknown type: the connection is out of step and must be opened anew. */
int stream_wire_parse(struct slice bytes, struct stream_message *ret, struct error *err) MUST_CHECK;

enum { STREAM_STATUS_SIZE = 34 };

/* Writes a standby status update. `confirmed`: everything before it is delivered and saved.
 * `reply_wanted`: the server should answer at once. */
void stream_wire_status(uint64_t received, uint64_t confirmed, int64_t wall_us, bool reply_wanted,
                        char out[STREAM_STATUS_SIZE]);
