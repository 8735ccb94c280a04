/*
 * A time zone from the system's database, for schedules. The C library's own functions keep the
 * zone in a global variable, which threads cannot share; this reads the same files (TZif, RFC 8536)
 * into a value of its own.
 *
 * All times are seconds since 1970-01-01 UTC. A zone does not change once it is read; any thread.
 */
#pragma once

#include "base/error.h"
#include "base/slice.h"
#include <stdint.h>

struct zone;

/* Reads the zone of this name, such as "Europe/Berlin", from /usr/share/zoneinfo; "UTC" needs no
 * file. The caller frees *ret. CONFIG for a name that is none, and for a damaged file. */
int zone_open(const char *name, struct zone **ret, struct error *err) MUST_CHECK;

/* The same from the bytes of a file. `name` is for error texts. */
int zone_from(struct slice tzif, const char *name, struct zone **ret, struct error *err) MUST_CHECK;

void zone_free(struct zone *z); /* NULL is fine */

/* A stretch of time in which the clock of the zone is not changed: from `start`, inclusive, to
 * `end`, exclusive. */
struct zone_stretch {
    int64_t start, end;     /* INT64_MIN, INT64_MAX: without a bound */
    int64_t offset, before; /* local time minus UTC in seconds, and what it was before `start` */
};

/* The stretch that holds the time. */
struct zone_stretch zone_stretch_at(const struct zone *z, int64_t time);
