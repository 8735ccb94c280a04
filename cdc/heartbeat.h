/*
 * A sign of life in the WAL when the slot does not move by itself, so that an idle published set in
 * a busy cluster keeps no WAL: a transactional logical message, which needs no table.
 *
 * (A non-transactional one does not move what the slot requires.) Pure timing; the caller sends.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define HEARTBEAT_PREFIX "commitrelay_heartbeat"
#define HEARTBEAT_SQL "select pg_catalog.pg_logical_emit_message(true, '" HEARTBEAT_PREFIX "', '')"

struct heartbeat {
    int64_t interval_us;
    uint64_t confirmed; /* where the slot was when it last moved */
    int64_t moved_us;   /* monotonic; when that was, or when the last heartbeat was sent */
    bool refused;       /* this server takes no writes: no more are tried */
};

void heartbeat_start(struct heartbeat *h, int64_t interval_us, int64_t now_us);

/* What the slot's state shows: true when a heartbeat should be sent now. Nothing is sent while the
 * slot has nothing to move on to. */
bool heartbeat_due(struct heartbeat *h, uint64_t confirmed, uint64_t current, int64_t now_us);
