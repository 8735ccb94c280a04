/*
 * A file without a name, which is appended to and read from the start. When it is closed, or the
 * process ends, nothing of it is left on disk. It is never synced, because nothing in it has to
 * survive.
 *
 * Private to this folder. Calls block for disk I/O. The pipeline's thread.
 */
#pragma once

#include "base/error.h"
#include "base/slice.h"
#include <stdint.h>

struct spool_file {
    int fd;
    uint64_t size;
};

/* Makes one in folder `dir`. RETRY/74, or CONFIG/77 where the folder may not be written. */
int spool_file_open(const char *dir, struct spool_file *ret, struct error *err) MUST_CHECK;
void spool_file_close(struct spool_file *f);

/* Appends all bytes. Errors as above; the usual one is a full disk (RETRY/74). */
int spool_file_append(struct spool_file *f, struct slice bytes, struct error *err) MUST_CHECK;

/* Reads from byte `offset`, which lies within the file: at least one byte, at most `size` bytes
 * (*ret_read). */
int spool_file_read(const struct spool_file *f, uint64_t offset, char *to, size_t size,
                    size_t *ret_read, struct error *err) MUST_CHECK;
