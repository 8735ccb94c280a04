/* Checks, mends and writes UTF-8. The check follows the table of RFC 3629, section 4, so what
 * passes it is accepted by other strict decoders too: consumers, PostgreSQL, JSON libraries. */
#include "base/utf8.h"

#include <string.h>

/* Whether c may be the second or a later byte of a sequence. */
static bool continues(unsigned char c)
{
    return (c & 0xC0) == 0x80;
}

/* After some first bytes the second byte has a smaller range. This excludes overlong forms (E0,
 * F0), surrogates (ED) and values above U+10FFFF (F4). */
static bool second_fits(unsigned char first, unsigned char second)
{
    switch (first) {
    case 0xE0:
        return second >= 0xA0 && second <= 0xBF;
    case 0xED:
        return second >= 0x80 && second <= 0x9F;
    case 0xF0:
        return second >= 0x90 && second <= 0xBF;
    case 0xF4:
        return second >= 0x80 && second <= 0x8F;
    default:
        return continues(second);
    }
}

size_t utf8_sequence(const char *p, const char *end)
{
    const unsigned char *u = (const unsigned char *)p;
    size_t left = (size_t)(end - p);
    if (u[0] < 0x80) {
        return 1;
    }
    /* 0x80 to 0xBF continue a sequence; 0xC0 and 0xC1 would begin an overlong one. */
    size_t n = u[0] < 0xC2 ? 0 : u[0] < 0xE0 ? 2 : u[0] < 0xF0 ? 3 : u[0] < 0xF5 ? 4 : 0;
    if (n == 0 || left < n || !second_fits(u[0], u[1])) {
        return 0;
    }
    for (size_t i = 2; i < n; i++) {
        if (!continues(u[i])) {
            return 0;
        }
    }
    return n;
}

bool utf8_valid(struct slice text)
{
    const char *p = text.ptr, *end = text.ptr + text.len;
    for (size_t n; p < end; p += n) {
        n = utf8_sequence(p, end);
        if (n == 0) {
            return false;
        }
    }
    return true;
}

void utf8_mend(char *text)
{
    const char *end = text + strlen(text);
    for (char *p = text; p < end;) {
        size_t n = utf8_sequence(p, end);
        if (n == 0) {
            *p = '?';
            n = 1;
        }
        p += n;
    }
}

size_t utf8_put(char out[4], uint32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xC0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xE0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3F));
        out[2] = (char)(0x80 | (c & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3F));
    out[2] = (char)(0x80 | (c >> 6 & 0x3F));
    out[3] = (char)(0x80 | (c & 0x3F));
    return 4;
}
