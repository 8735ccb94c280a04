/*
 * SHA-256, streamed: of a batch file while it is written, and of one that lies on disk. One thread
 * at a time.
 */
#pragma once

#include "base/error.h"
#include "base/slice.h"

enum { FILE_DIGEST_SIZE = 65 }; /* lower-case hex and a NUL */

struct file_digest;

struct file_digest *file_digest_new(void); /* aborts when memory runs out */
void file_digest_free(struct file_digest *d);
void file_digest_reset(struct file_digest *d);
void file_digest_add(struct file_digest *d, struct slice bytes);
void file_digest_hex(struct file_digest *d,
                     char out[FILE_DIGEST_SIZE]); /* then only _reset or _free */

void file_digest_of(struct slice bytes, char out[FILE_DIGEST_SIZE]);

/* The digest of all that `fd` holds, read from offset 0. 0, or an errno. */
int file_digest_of_fd(int fd, char out[FILE_DIGEST_SIZE]);
