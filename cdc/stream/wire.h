/*
 * The envelope inside CopyData (pgdoc: protocol-replication, "START_REPLICATION"): bytes to values
 * and back. Pure. Private to cdc/stream*.c.
 */
#pragma once

#include "cdc/stream/stream.h"

/* Reads one CopyData message of the server; `payload` points into `bytes`. RETRY for one that is
 * too short or of an unknown type: the connection is out of step and must be opened anew. */
int stream_wire_parse(struct slice bytes, struct stream_message *ret, struct error *err) MUST_CHECK;

enum { STREAM_STATUS_SIZE = 34 };

/* A standby status update. */
void stream_wire_status(uint64_t received, uint64_t confirmed, int64_t wall_us, bool reply_wanted,
                        char out[STREAM_STATUS_SIZE]);
