/*
 * The temporary file that is being filled: buffered, counted, hashed on the way. Owned by one
 * thread at a time: the pipeline's while it fills, the worker's while it is completed.
 */
#pragma once

#include "base/buf.h"
#include "sink/file/digest.h"
#include "sink/file/dir.h"

struct file_writer {
    const struct file_dir *dir;
    char name[FILE_NAME_SIZE]; /* "" without a file */
    int fd;
    struct buf held; /* not yet written */
    uint64_t bytes;  /* written and held */
    struct file_digest *digest;
};

void file_writer_init(struct file_writer *w, const struct file_dir *d);
void file_writer_release(struct file_writer *w); /* leaves the file where it is */

int file_writer_create(struct file_writer *w, uint64_t first, struct error *err) MUST_CHECK;
int file_writer_add(struct file_writer *w, struct slice bytes, struct error *err) MUST_CHECK;

/* All of it on disk and closed, the name included. May wait for the disk. */
int file_writer_finish(struct file_writer *w, uint64_t *ret_bytes,
                       char ret_sha256[FILE_DIGEST_SIZE], struct error *err) MUST_CHECK;

void file_writer_discard(struct file_writer *w); /* closes and removes the file, if there is one */
void file_writer_leave(
    struct file_writer *w); /* closes and forgets it: it has been renamed, or an intent names it */
