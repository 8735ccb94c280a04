/*
 * When to write a heartbeat into the WAL.
 *
 * Example: the published tables are idle while other databases of the server write a lot. Nothing
 * comes through the slot, so it does not move, and the server keeps all that WAL. A heartbeat is a
 * transactional logical message (it needs no table) that comes through the slot and moves it. A
 * message that is not transactional would not move what the slot requires.
 *
 * Timing only: the caller sends HEARTBEAT_SQL. Times are in microseconds (monotonic). One thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Its content is the slot, so that pipelines of one database tell their heartbeats apart. */
#define HEARTBEAT_PREFIX "commitrelay_heartbeat"
#define HEARTBEAT_SQL \
    "select pg_catalog.pg_logical_emit_message(true, '" HEARTBEAT_PREFIX "', $1::text)"

struct heartbeat {
    int64_t interval_us;
    uint64_t confirmed; /* the slot's confirmed LSN when it last moved */
    int64_t moved_us;   /* monotonic; when that was, or when the last heartbeat was sent */
    bool always;        /* one each interval, whether the slot moves or not: they are events, too */
    bool refused; /* the server did not take one (a standby, a read-only role): send no more */
};

/* The first heartbeat is due interval_us from now at the earliest. */
void heartbeat_start(struct heartbeat *h, int64_t interval_us, int64_t now_us);

/* `confirmed` is the slot's confirmed LSN, `current` the end of the server's WAL. True: send a
 * heartbeat now (it counts as sent). False while the slot is at the end of the WAL already, unless
 * h->always is set. */
bool heartbeat_due(struct heartbeat *h, uint64_t confirmed, uint64_t current, int64_t now_us);
