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
