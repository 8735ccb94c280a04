/* Prints LSNs as PostgreSQL does, and reads exactly what PostgreSQL's pg_lsn type accepts. */
#include "cdc/stream/lsn.h"

static char *add_hex(char *out, uint32_t half)
{
    static const char digits[] = "0123456789ABCDEF";
    int shift = 28;
    while (shift > 0 && half >> shift == 0) {
        shift -= 4;
    }
    for (; shift >= 0; shift -= 4) {
        *out++ = digits[half >> shift & 15];
    }
    return out;
}

/* Written by hand because snprintf is slower and every event needs several of these texts. */
size_t lsn_format(uint64_t lsn, char out[LSN_TEXT_SIZE])
{
    char *end = add_hex(out, (uint32_t)(lsn >> 32));
    *end++ = '/';
    end = add_hex(end, (uint32_t)lsn);
    *end = '\0';
    return (size_t)(end - out);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* One to eight digits, as pg_lsn_in takes them. */
static bool half(const char *digits, size_t n, uint64_t *ret)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++) {
        int d = hex_digit(digits[i]);
        if (d < 0) {
            return false;
        }
        v = v << 4 | (uint64_t)d;
    }
    *ret = v;
    return n >= 1 && n <= 8;
}

void lsn_add(struct buf *out, uint64_t lsn)
{
    char text[LSN_TEXT_SIZE];
    size_t length = lsn_format(lsn, text);
    buf_add(out, text, length);
}

bool lsn_parse(struct slice text, uint64_t *ret)
{
    const char *slash = text.len ? memchr(text.ptr, '/', text.len) : NULL;
    uint64_t high, low;
    if (!slash) {
        return false;
    }
    size_t before = (size_t)(slash - text.ptr);
    if (!half(text.ptr, before, &high) || !half(slash + 1, text.len - before - 1, &low)) {
        return false;
    }
    *ret = high << 32 | low;
    return true;
}
