/* Dates to day numbers and back, after Howard Hinnant, "chrono-Compatible Low-Level Date
 * Algorithms". The calendar repeats every 400 years (an era). Here a year begins in March, so the
 * leap day is the last day of a year and moves no other day. */
#include "base/civil.h"

enum {
    ERA_YEARS = 400,
    ERA_DAYS = 146097,
    EPOCH = 719468 /* days from 0000-03-01 to 1970-01-01 */
};

int64_t civil_days(int64_t y, int64_t m, int64_t d)
{
    /* Divisions round down here, also for years before 0. */
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - (ERA_YEARS - 1)) / ERA_YEARS;
    int64_t of_era = y - era * ERA_YEARS;
    int64_t of_year = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * ERA_DAYS + of_era * 365 + of_era / 4 - of_era / 100 + of_year - EPOCH;
}

void civil_date(int64_t days, int64_t *ret_year, unsigned *ret_month, unsigned *ret_day)
{
    days += EPOCH;
    int64_t era = (days >= 0 ? days : days - (ERA_DAYS - 1)) / ERA_DAYS;
    /* Day of the era, year of the era, day of the year, month from March = 0. */
    int64_t doe = days - era * ERA_DAYS;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    *ret_day = (unsigned)(doy - (153 * mp + 2) / 5 + 1);
    *ret_month = (unsigned)(mp + (mp < 10 ? 3 : -9));
    *ret_year = yoe + era * ERA_YEARS + (*ret_month <= 2);
}
