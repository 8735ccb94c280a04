/*
 * Reads PostgreSQL's text of a numeric of any size and turns it into an integer and a scale, the
 * form that Debezium's messages and Java's BigDecimal have. Example: -12.50 with scale 2 is the
 * integer -1250.
 *
 * Any thread. Results point into the text, or are appended to the caller's buffer. Memory running
 * out aborts.
 */
#pragma once

#include "base/buf.h"
#include "base/slice.h"
#include <stdint.h>

/* `whole` and `fraction` are the digits before and after the point, borrowed from the text. */
struct pg_numeric {
    bool negative;
    struct slice whole, fraction;
};

/* False for NaN, the infinities and anything else that is no plain decimal number: an exponent, a
 * plus, no digit before the point. *ret is garbage then. */
bool pg_numeric_parse(struct slice text, struct pg_numeric *ret);

/* Drops the zeros at the end of the fraction: 1.50 becomes 1.5, 2.00 becomes 2. */
void pg_numeric_strip(struct pg_numeric *n);

/* Appends value * 10^scale to `out` as big-endian two's complement, in as few bytes as hold it
 * (zero is one byte). False, and nothing appended, when the fraction has more digits than `scale`.
 */
bool pg_numeric_unscaled(const struct pg_numeric *n, size_t scale, struct buf *out);
