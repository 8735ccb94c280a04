/* Converts decimal digits to a binary integer without a limit of size, so that no digit is lost.
 * The integer is an array of 32-bit limbs, the lowest one first. Nine digits at a time are added to
 * it, because 10^9 is the largest power of ten that fits into a limb. */
#include "value/pg_numeric.h"

#include "base/memory.h"

#include <stdlib.h>

static size_t run_of_digits(const char *p, const char *end)
{
    const char *start = p;
    while (p < end && *p >= '0' && *p <= '9') {
        p++;
    }
    return (size_t)(p - start);
}

bool pg_numeric_parse(struct slice text, struct pg_numeric *ret)
{
    const char *p = text.ptr, *end = p + text.len;
    ret->negative = p < end && *p == '-';
    p += ret->negative;
    ret->whole = (struct slice){p, run_of_digits(p, end)};
    p += ret->whole.len;
    ret->fraction = (struct slice){p, 0};
    if (p < end && *p == '.') {
        p++;
        ret->fraction = (struct slice){p, run_of_digits(p, end)};
        p += ret->fraction.len;
    }
    return p == end && ret->whole.len > 0;
}

void pg_numeric_strip(struct pg_numeric *n)
{
    while (n->fraction.len > 0 && n->fraction.ptr[n->fraction.len - 1] == '0') {
        n->fraction.len--;
    }
}

/* Digit i of the whole number with the fraction behind it; zeros follow up to the scale. */
static char digit_at(const struct pg_numeric *n, size_t i)
{
    if (i < n->whole.len) {
        return n->whole.ptr[i];
    }
    i -= n->whole.len;
    return i < n->fraction.len ? n->fraction.ptr[i] : '0';
}

/* limbs = limbs * by + add. Returns how many limbs are in use now. */
static size_t multiply_add(uint32_t *limbs, size_t used, uint32_t by, uint32_t add)
{
    uint64_t carry = add;
    for (size_t i = 0; i < used; i++) {
        carry += (uint64_t)limbs[i] * by;
        limbs[i] = (uint32_t)carry;
        carry >>= 32;
    }
    if (carry) {
        limbs[used++] = (uint32_t)carry;
    }
    return used;
}

/* The first `digits` digits of the number; returns how many limbs they take. */
static size_t to_limbs(const struct pg_numeric *n, size_t digits, uint32_t *limbs)
{
    size_t used = 0, i = 0;
    while (i < digits) {
        uint32_t by = 1, add = 0;
        for (unsigned k = 0; k < 9 && i < digits; k++, i++) {
            by *= 10;
            add = add * 10 + (uint32_t)(digit_at(n, i) - '0');
        }
        used = multiply_add(limbs, used, by, add);
    }
    return used;
}

/* Two's complement: inverts all bits and adds 1. */
static void negate(uint32_t *limbs, size_t used)
{
    uint64_t carry = 1;
    for (size_t i = 0; i < used; i++) {
        carry += (uint32_t)~limbs[i];
        limbs[i] = (uint32_t)carry;
        carry >>= 32;
    }
}

/* The limbs as bytes, highest first, without those at the front that only repeat the sign. */
static void add_bytes(struct buf *out, const uint32_t *limbs, size_t used)
{
    bool started = false;
    uint8_t sign = limbs[used - 1] >> 31 ? 0xff : 0;
    for (size_t i = used * 4; i-- > 0;) {
        uint8_t b = (uint8_t)(limbs[i / 4] >> (i % 4 * 8));
        uint8_t next = 0;
        if (i > 0) {
            next = (uint8_t)(limbs[(i - 1) / 4] >> ((i - 1) % 4 * 8));
        }
        /* The next byte has the same sign bit, so this one is not needed. */
        if (!started && i > 0 && b == sign && (next & 0x80) == (sign & 0x80)) {
            continue;
        }
        started = true;
        buf_add_char(out, (char)b);
    }
}

bool pg_numeric_unscaled(const struct pg_numeric *n, size_t scale, struct buf *out)
{
    enum { ON_STACK = 32 };
    uint32_t few[ON_STACK], *limbs = few;
    if (n->fraction.len > scale) {
        return false;
    }
    size_t digits = n->whole.len + scale;
    size_t room = digits / 9 + 2; /* 9 digits need less than 30 bits; one limb more for the sign */
    if (room > ON_STACK) {
        limbs = memory_need(malloc(room * sizeof *limbs));
    }
    size_t used = to_limbs(n, digits, limbs);
    limbs[used++] = 0;
    if (n->negative) {
        negate(limbs, used);
    }
    add_bytes(out, limbs, used);
    if (limbs != few) {
        free(limbs);
    }
    return true;
}
