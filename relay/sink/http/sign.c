/*
 * Signatures through OpenSSL's HMAC.
 */
#include "sink/http/sign.h"

#include "value/base64.h"
#include "value/digest.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

/* Bytes of the key, or -1. EVP_DecodeBlock takes blanks at the ends and counts the padding. */
static int decode(const char *text, size_t len, unsigned char *out)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t plain = strspn(text, letters), padding = len - plain;
    if (len == 0 || len % 4 || padding > 2 || strspn(text + plain, "=") != padding) {
        return -1;
    }
    int n = EVP_DecodeBlock(out, (const unsigned char *)text, (int)len);
    return n < 0 ? -1 : n - (int)padding;
}

int http_secret_read(const char *text, const char *name, struct http_secret *ret, struct error *err)
{
    static const char prefix[] = "whsec_";
    unsigned char raw[HTTP_KEY_MAX + 3];
    const char *base64 =
        strncmp(text, prefix, sizeof prefix - 1) == 0 ? text + sizeof prefix - 1 : text;
    size_t len = strlen(base64);
    int n = len / 4 * 3 <= sizeof raw ? decode(base64, len, raw) : -1;
    if (n < HTTP_KEY_MIN || n > HTTP_KEY_MAX) {
        return error_set(
            err, ERROR_CONFIG, "http",
            "sink.%s is no secret of Standard Webhooks: it must be whsec_ and the base64 of %d to %d bytes; make one with: echo whsec_$(openssl rand -base64 32)",
            name, HTTP_KEY_MIN, HTTP_KEY_MAX);
    }
    memcpy(ret->key, raw, (size_t)n);
    ret->len = (size_t)n;
    return RESULT_DONE;
}

void http_sign(struct buf *out, const struct http_secret *secrets, size_t n, struct slice id,
               int64_t timestamp_s, struct slice body, struct buf *scratch)
{
    buf_clear(scratch);
    buf_add_slice(scratch, id);
    buf_printf(scratch, ".%" PRId64 ".", timestamp_s);
    buf_add_slice(scratch, body);
    for (size_t i = 0; i < n; i++) {
        unsigned char mac[EVP_MAX_MD_SIZE];
        unsigned size = 0;
        if (secrets[i].len == 0) {
            continue;
        }
        digest_must(HMAC(EVP_sha256(), secrets[i].key, (int)secrets[i].len,
                         (const unsigned char *)scratch->data, scratch->len, mac, &size) &&
                    size == 32);
        buf_add_str(out, i > 0 ? " v1," : "v1,");
        base64_add(out, (struct slice){(const char *)mac, size});
    }
}
