/*
 * Time. Timers and deadlines use the monotonic clock; the wall clock appears only in output.
 * All times are int64_t microseconds. Any thread.
 */
#pragma once

#include "base/slice.h"
#include <stdbool.h>
#include <stdint.h>

#define US_PER_MS INT64_C(1000)
#define US_PER_SECOND INT64_C(1000000)
#define TIME_NONE INT64_MIN /* no time known */
#define DEADLINE_NEVER INT64_MAX

int64_t clock_mono_us(void);
int64_t clock_wall_us(void); /* since 1970-01-01 UTC */

/* RFC 3339 with microseconds in UTC, "2026-11-21T10:00:00.123456Z". */
enum { CLOCK_RFC3339_SIZE = 32 };
void clock_format_rfc3339(int64_t wall_us, char out[CLOCK_RFC3339_SIZE]);

/* Reads "2026-11-21 10:00:00[.ffffff][+00[:mm[:ss]]|Z]" with blank or T between (PostgreSQL's ISO
 * style, SQLite's, RFC 3339). Without an offset it is UTC. False for anything else: infinity, BC,
 * garbage. */
bool clock_parse_timestamp(struct slice text, int64_t *ret_wall_us);
