/*
 * SHA-256 and, with a key, HMAC-SHA-256 of a batch file, computed piece by piece while it is
 * written, or of a file on disk. The process ends if OpenSSL cannot compute it or memory runs out.
 * A struct is used by one thread at a time.
 */
#pragma once

#include "base/error.h"
#include "base/slice.h"

enum { FILE_DIGEST_SIZE = 65 }; /* lower-case hex and a NUL */

struct file_digest;

/* Ready for the first bytes; the caller frees it. `key` is copied; null: no HMAC is computed. */
struct file_digest *file_digest_new(struct slice key);
void file_digest_free(struct file_digest *d);
/* Begins a new digest; adds bytes to it. */
void file_digest_reset(struct file_digest *d);
void file_digest_add(struct file_digest *d, struct slice bytes);
/* Ends the digest and writes it as hex, and the HMAC, which is "" without a key; `hmac` may be
 * NULL. After this only _reset or _free may be called. */
void file_digest_hex(struct file_digest *d, char sha256[FILE_DIGEST_SIZE],
                     char hmac[FILE_DIGEST_SIZE]);

/* The digests of all that `fd` holds, from offset 0; its file position stays. `hmac` may be NULL.
 * 0, or an errno. */
int file_digest_of_fd(int fd, struct slice key, char sha256[FILE_DIGEST_SIZE],
                      char hmac[FILE_DIGEST_SIZE]) MUST_CHECK;
