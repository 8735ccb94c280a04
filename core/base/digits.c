/* Reads decimal numbers that are written in the one way that digits.h allows. */
#include "base/digits.h"

bool digits_take(struct slice *rest, uint64_t *ret)
{
    uint64_t v = 0;
    size_t i = 0;
    for (; i < rest->len; i++) {
        unsigned digit = (unsigned)(unsigned char)rest->ptr[i] - '0';
        if (digit > 9) {
            break;
        }
        if (__builtin_mul_overflow(v, 10U, &v) || __builtin_add_overflow(v, digit, &v)) {
            return false;
        }
    }
    if (i == 0 || (i > 1 && rest->ptr[0] == '0')) {
        return false;
    }
    *rest = (struct slice){rest->ptr + i, rest->len - i};
    *ret = v;
    return true;
}

bool digits_parse(struct slice text, uint64_t *ret)
{
    uint64_t v;
    if (!digits_take(&text, &v) || text.len > 0) {
        return false;
    }
    *ret = v;
    return true;
}
