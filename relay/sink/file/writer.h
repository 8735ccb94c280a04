/*
 * The temporary file that is being filled. Writes are buffered, compressed and hashed. Used by one
 * thread at a time: the pipeline's while the file is filled, the worker while it is completed.
 * Functions with `err` return RESULT_DONE, or RESULT_ERROR as file_dir_error says; the file is then
 * of no use any more, and the caller discards it.
 */
#pragma once

#include "base/buf.h"
#include "pack/compress.h"
#include "sink/file/digest.h"
#include "sink/file/dir.h"

struct file_writer {
    const struct file_dir *dir;
    char name[FILE_NAME_SIZE]; /* "": there is no file */
    int fd;
    struct buf held;    /* bytes not yet compressed and written */
    struct buf packed;  /* the same compressed; empty between calls */
    uint64_t bytes;     /* given to it so far, before compression */
    uint64_t file_size; /* written so far */
    struct file_digest *digest;
    struct file_compressor *compressor; /* NULL: none */
};

/* `d` is borrowed. `level`: as file_compressor_new takes it; `key`: as file_digest_new does. */
void file_writer_init(struct file_writer *w, const struct file_dir *d, enum file_compression c,
                      int level, struct slice key);
void file_writer_release(struct file_writer *w); /* frees the memory; the file stays */

/* Makes the temporary file for a batch that begins with delivery number `first`. */
int file_writer_create(struct file_writer *w, uint64_t first, struct error *err) MUST_CHECK;
/* Appends bytes. They are compressed and written 128 KiB at a time; more at once is not copied. */
int file_writer_add(struct file_writer *w, struct slice bytes, struct error *err) MUST_CHECK;

/* What a complete file is like: its size, and its digests as file_digest_hex gives them. */
struct file_written {
    uint64_t bytes;
    char sha256[FILE_DIGEST_SIZE], hmac[FILE_DIGEST_SIZE];
};

/* Completes the file: everything is on disk, its name too, and it is closed. Waits for the disk. */
int file_writer_finish(struct file_writer *w, struct file_written *ret,
                       struct error *err) MUST_CHECK;

void file_writer_discard(struct file_writer *w); /* closes and removes the file, if there is one */
void file_writer_leave(
    struct file_writer *w); /* closes and forgets it: it has been renamed, or an intent names it */
