/* Writes bytes as base64, with OpenSSL's encoder. */
#include "value/base64.h"

#include <openssl/evp.h>

/* OpenSSL takes an int as length, so a large value is encoded in pieces. A piece is a multiple of 3
 * bytes; otherwise padding would stand between the pieces. */
enum { PIECE = 3 * 16384 };

void base64_add(struct buf *out, struct slice bytes)
{
    for (size_t at = 0; at < bytes.len;) {
        size_t n = bytes.len - at < PIECE ? bytes.len - at : PIECE;
        buf_reserve(out, (n + 2) / 3 * 4);
        int written = EVP_EncodeBlock((unsigned char *)out->data + out->len,
                                      (const unsigned char *)bytes.ptr + at, (int)n);
        out->len += (size_t)written;
        at += n;
    }
}

static int digit_of(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

bool base64_parse(struct buf *out, struct slice text)
{
    size_t start = out->len;
    unsigned bits = 0, count = 0;
    for (int pads = 0; text.len > 0 && text.ptr[text.len - 1] == '=' && pads < 2; pads++) {
        text.len--;
    }
    for (size_t i = 0; i < text.len; i++) {
        int digit = digit_of(text.ptr[i]);
        if (digit < 0) {
            buf_truncate(out, start);
            return false;
        }
        bits = (bits << 6 | (unsigned)digit) & 0xffff;
        count += 6;
        if (count >= 8) {
            count -= 8;
            buf_add_char(out, (char)(bits >> count));
        }
    }
    if (count >= 6) { /* one digit alone is no byte */
        buf_truncate(out, start);
        return false;
    }
    return true;
}
