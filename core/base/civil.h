/*
 * Dates of the proleptic Gregorian calendar as days since 1970-01-01, and back. Pure. Years beyond
 * what PostgreSQL knows (4713 BC to 5874897) are fine too: nothing overflows for |year| < 10^12.
 */
#pragma once

#include <stdint.h>

int64_t civil_days(int64_t year, int64_t month, int64_t day); /* month 1 to 12, day from 1 on */
void civil_date(int64_t days, int64_t *ret_year, unsigned *ret_month, unsigned *ret_day);
