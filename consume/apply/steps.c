/* Compares positions. The table has a fixed size, so memory is bounded. A key that shares its place
 * with another one may be forgotten. A step back of a forgotten key is not noticed. */
#include "consume/apply/steps.h"

/* Reads digits of the base; *text begins behind them. */
static bool take_number(struct slice *text, unsigned base, uint64_t *ret)
{
    size_t n = 0;
    uint64_t v = 0;
    for (; n < text->len; n++) {
        unsigned char c = (unsigned char)text->ptr[n];
        unsigned digit = c >= '0' && c <= '9'   ? c - (unsigned)'0'
                         : c >= 'A' && c <= 'F' ? c - (unsigned)'A' + 10
                                                : 99;
        if (digit >= base || __builtin_mul_overflow(v, (uint64_t)base, &v) ||
            __builtin_add_overflow(v, (uint64_t)digit, &v)) {
            break;
        }
    }
    *text = (struct slice){text->ptr + n, text->len - n};
    *ret = v;
    return n > 0;
}

bool steps_position(struct slice text, uint64_t *ret)
{
    struct slice rest = text;
    uint64_t high, low;
    if (slice_is_null(text)) {
        return false;
    }
    if (take_number(&rest, 10, ret) && rest.len == 0) {
        return true;
    }
    rest = text;
    if (!take_number(&rest, 16, &high) || rest.len == 0 || rest.ptr[0] != '/') {
        return false;
    }
    rest = (struct slice){rest.ptr + 1, rest.len - 1};
    if (!take_number(&rest, 16, &low) || (rest.len > 0 && rest.ptr[0] != ':') ||
        high > UINT32_MAX || low > UINT32_MAX) {
        return false;
    }
    *ret = high << 32 | low;
    return true;
}

bool steps_note(struct steps *s, const struct record *r)
{
    uint64_t position;
    if (slice_is_null(r->key) || !steps_position(r->position, &position)) {
        return false;
    }
    size_t at = r->order % STEPS_KEYS;
    bool back = s->last[at].key == r->order && position < s->last[at].position;
    if (!back) {
        s->last[at].key = r->order;
        s->last[at].position = position;
    }
    return back;
}
