/*
 * PostgreSQL's numeric text as an unscaled integer of any size and its scale.
 */
#pragma once

#include "base/buf.h"
#include "base/slice.h"
#include <stdint.h>

/* `whole` and `fraction` are the digits in front of and behind the point; both point into the
 * text. */
struct pg_numeric {
    bool negative;
    struct slice whole, fraction;
};

/* False for NaN, the infinities and anything else that is no plain decimal number. */
bool pg_numeric_parse(struct slice text, struct pg_numeric *ret);

/* Drops zeros at the end of the fraction. */
void pg_numeric_strip(struct pg_numeric *n);

/* Appends value * 10^scale as big-endian two's complement in as few bytes as hold it (zero is one
 * byte). False when the fraction is longer than the scale. */
bool pg_numeric_unscaled(const struct pg_numeric *n, size_t scale, struct buf *out);
