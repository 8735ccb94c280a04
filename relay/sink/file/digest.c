/*
 * SHA-256 through OpenSSL. If OpenSSL fails the process ends, because a wrong digest must never be
 * written.
 */
#include "sink/file/digest.h"

#include "base/memory.h"
#include "value/digest.h"
#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <unistd.h>

struct file_digest {
    EVP_MD_CTX *ctx;
};

struct file_digest *file_digest_new(void)
{
    struct file_digest *d = memory_need(calloc(1, sizeof *d));
    d->ctx = EVP_MD_CTX_new();
    digest_must(d->ctx != NULL);
    file_digest_reset(d);
    return d;
}

void file_digest_free(struct file_digest *d)
{
    if (d) {
        EVP_MD_CTX_free(d->ctx);
        free(d);
    }
}

void file_digest_reset(struct file_digest *d)
{
    digest_must(EVP_DigestInit_ex(d->ctx, EVP_sha256(), NULL) == 1);
}

void file_digest_add(struct file_digest *d, struct slice bytes)
{
    digest_must(EVP_DigestUpdate(d->ctx, bytes.ptr, bytes.len) == 1);
}

void file_digest_hex(struct file_digest *d, char out[FILE_DIGEST_SIZE])
{
    unsigned char raw[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    digest_must(EVP_DigestFinal_ex(d->ctx, raw, &len) == 1 && len == 32);
    digest_hex(raw, len, out);
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

int file_digest_of_fd(int fd, char out[FILE_DIGEST_SIZE])
{
    struct file_digest *d = file_digest_new();
    int failed = add_all(d, fd);
    if (!failed) {
        file_digest_hex(d, out);
    }
    file_digest_free(d);
    return failed;
}
