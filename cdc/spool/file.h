/*
 * A file without a name that is only appended to and read from the start. Private to
 * this folder. Writing goes to the page cache: nothing in it has to survive.
 */
#pragma once

#include "base/error.h"
#include "base/slice.h"
#include <stdint.h>

struct spool_file {
    int fd;
    uint64_t size;
};

int spool_file_open(const char *dir, struct spool_file *ret, struct error *err) MUST_CHECK;
void spool_file_close(struct spool_file *f);

int spool_file_append(struct spool_file *f, struct slice bytes, struct error *err) MUST_CHECK;

/* At least one byte and at most `size` from `offset`, which lies within the file. */
int spool_file_read(const struct spool_file *f, uint64_t offset, char *to, size_t size,
                    size_t *ret_read, struct error *err) MUST_CHECK;
