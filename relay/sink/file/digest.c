/*
 * SHA-256 and HMAC-SHA-256 through OpenSSL. If OpenSSL fails the process ends, because a wrong
 * digest must never be written.
 */
#include "sink/file/digest.h"

#include "base/memory.h"
#include "value/digest.h"
#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <unistd.h>

struct file_digest {
    EVP_MD_CTX *ctx;
    EVP_MAC_CTX *hmac; /* NULL: no key */
};

/* A context that keeps the key, so that each reset begins with it. */
static EVP_MAC_CTX *hmac_new(struct slice key)
{
    EVP_MAC *mac = EVP_MAC_fetch(NULL, OSSL_MAC_NAME_HMAC, NULL);
    EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(mac);
    char sha256[] = "SHA256";
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, sha256, 0),
                           OSSL_PARAM_construct_end()};
    digest_must(ctx && EVP_MAC_init(ctx, (const unsigned char *)key.ptr, key.len, params) == 1);
    EVP_MAC_free(mac);
    return ctx;
}

struct file_digest *file_digest_new(struct slice key)
{
    struct file_digest *d = memory_need(calloc(1, sizeof *d));
    d->ctx = EVP_MD_CTX_new();
    digest_must(d->ctx != NULL);
    d->hmac = slice_is_null(key) ? NULL : hmac_new(key);
    file_digest_reset(d);
    return d;
}

void file_digest_free(struct file_digest *d)
{
    if (d) {
        EVP_MD_CTX_free(d->ctx);
        EVP_MAC_CTX_free(d->hmac);
        free(d);
    }
}

void file_digest_reset(struct file_digest *d)
{
    digest_must(EVP_DigestInit_ex(d->ctx, EVP_sha256(), NULL) == 1 &&
                (!d->hmac || EVP_MAC_init(d->hmac, NULL, 0, NULL) == 1));
}

void file_digest_add(struct file_digest *d, struct slice bytes)
{
    digest_must(
        EVP_DigestUpdate(d->ctx, bytes.ptr, bytes.len) == 1 &&
        (!d->hmac || EVP_MAC_update(d->hmac, (const unsigned char *)bytes.ptr, bytes.len) == 1));
}

void file_digest_hex(struct file_digest *d, char sha256[FILE_DIGEST_SIZE],
                     char hmac[FILE_DIGEST_SIZE])
{
    unsigned char raw[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    size_t hmac_len = 0;
    digest_must(EVP_DigestFinal_ex(d->ctx, raw, &len) == 1 && len == 32);
    digest_hex(raw, len, sha256);
    if (!hmac) {
        return;
    }
    hmac[0] = '\0';
    if (d->hmac) {
        digest_must(EVP_MAC_final(d->hmac, raw, &hmac_len, sizeof raw) == 1 && hmac_len == 32);
        digest_hex(raw, hmac_len, hmac);
    }
}

static int add_all(struct file_digest *d, int fd)
{
    char bytes[64 * 1024];
    off_t at = 0;
    while (true) {
        ssize_t n = pread(fd, bytes, sizeof bytes, at);
        if (n == 0) {
            return 0;
        }
        if (n > 0) {
            file_digest_add(d, (struct slice){bytes, (size_t)n});
            at += n;
        } else if (errno != EINTR) {
            return errno;
        }
    }
}

int file_digest_of_fd(int fd, struct slice key, char sha256[FILE_DIGEST_SIZE],
                      char hmac[FILE_DIGEST_SIZE])
{
    struct file_digest *d = file_digest_new(key);
    int failed = add_all(d, fd);
    if (!failed) {
        file_digest_hex(d, sha256, hmac);
    }
    file_digest_free(d);
    return failed;
}
