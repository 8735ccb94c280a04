/* Digests through OpenSSL. */
#include "value/digest.h"

#include <limits.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>

void digest_must(bool ok)
{
    if (!ok) {
        fputs("commitrelay: OpenSSL cannot compute SHA-256\n", stderr);
        abort();
    }
}

void digest_hex(const unsigned char *bytes, size_t n, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * n] = '\0';
}

void digest_sha256(struct slice text, char out[DIGEST_HEX_SIZE])
{
    unsigned char raw[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    digest_must(EVP_Digest(text.ptr, text.len, raw, &n, EVP_sha256(), NULL) == 1 && n == 32);
    digest_hex(raw, n, out);
}

void digest_hmac_sha256(struct slice key, struct slice text, char out[DIGEST_HEX_SIZE])
{
    unsigned char raw[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    digest_must(key.len <= INT_MAX &&
                HMAC(EVP_sha256(), key.ptr, (int)key.len, (const unsigned char *)text.ptr, text.len,
                     raw, &n) &&
                n == 32);
    digest_hex(raw, n, out);
}

bool digest_known(const char *name)
{
    EVP_MD *md = EVP_MD_fetch(NULL, name, NULL);
    bool known = md != NULL;
    EVP_MD_free(md);
    return known;
}

void digest_named(const char *name, const struct slice *texts, size_t n, char out[DIGEST_ANY_SIZE])
{
    unsigned char raw[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    EVP_MD *md = EVP_MD_fetch(NULL, name, NULL);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    digest_must(md && ctx && EVP_DigestInit_ex2(ctx, md, NULL) == 1);
    for (size_t i = 0; i < n; i++) {
        digest_must(EVP_DigestUpdate(ctx, texts[i].ptr, texts[i].len) == 1);
    }
    digest_must(EVP_DigestFinal_ex(ctx, raw, &len) == 1);
    EVP_MD_CTX_free(ctx);
    EVP_MD_free(md);
    digest_hex(raw, len, out);
}
