/*
 * Time, always as int64_t microseconds. Timers and deadlines use the monotonic clock, which nobody
 * can set back or forth; the wall clock is for what people and messages are told. The two must not
 * be compared.
 *
 * Any thread. Nothing is allocated; texts are written into the caller's memory.
 */
#pragma once

#include "base/slice.h"
#include <stdbool.h>
#include <stdint.h>

#define US_PER_MS INT64_C(1000)
#define US_PER_SECOND INT64_C(1000000)
#define TIME_NONE INT64_MIN      /* no time known */
#define DEADLINE_NEVER INT64_MAX /* a deadline that does not come */

/* Now. The monotonic clock counts from some moment in the past, the wall clock from 1970-01-01 UTC.
 */
int64_t clock_mono_us(void);
int64_t clock_wall_us(void);

/* Writes a wall clock time as RFC 3339 with microseconds in UTC: "2026-11-21T10:00:00.123456Z". For
 * a year outside 0 to 9999, which RFC 3339 cannot write, it writes the number and "us". */
enum { CLOCK_RFC3339_SIZE = 32 };
void clock_format_rfc3339(int64_t wall_us, char out[CLOCK_RFC3339_SIZE]);

/* Reads a time as PostgreSQL (DateStyle ISO), SQLite and RFC 3339 write it, such as
 * "2026-11-21 10:00:00.25+01:30". Between date and time stands a blank or a T. A fraction may have
 * any number of digits; those past the sixth are dropped. The offset is "Z", "+hh", "+hhmm",
 * "+hh:mm" or "+hh:mm:ss", or the same with "-"; without one the time is UTC. Second 60 is read as
 * the first of the next minute, 24:00:00 as the first of the next day.
 * False, and *ret_wall_us untouched, for anything else: infinity, BC, a year that has not four
 * digits, 31 April. */
bool clock_parse_timestamp(struct slice text, int64_t *ret_wall_us);
