/*
 * Dates of the proleptic Gregorian calendar as days since 1970-01-01, and back.
 *
 * The year before year 1 is year 0, so 1 BC is 0 and 4714 BC is -4713. Nothing overflows for
 * |year| < 10^12; PostgreSQL's dates go from 4714-11-24 BC to the year 5874897.
 *
 * Plain computing: any thread, no memory, nothing fails and nothing is checked.
 */
#pragma once

#include <stdint.h>

/* Days from 1970-01-01 to this date, negative before it. month: 1 to 12. A day past the end of the
 * month counts on into the next one. */
int64_t civil_days(int64_t year, int64_t month, int64_t day);

/* The date that lies so many days after 1970-01-01. */
void civil_date(int64_t days, int64_t *ret_year, unsigned *ret_month, unsigned *ret_day);
