/*
 * One complete batch: what it is called, what its manifest says, and how it gets to its place.
 * Owner: whoever embeds it.
 */
#pragma once

#include "base/buf.h"
#include "sink/file/digest.h"
#include "sink/file/dir.h"
#include "sink/file/format.h"

struct file_batch {
    enum file_kind kind;
    char owner[FILE_OWNER_SIZE]; /* who made the temporary file */
    uint64_t first, last;        /* running delivery numbers; an event each */
    uint64_t bytes;
    char sha256[FILE_DIGEST_SIZE];
    struct buf first_position, last_position;
};

void file_batch_release(struct file_batch *b);

struct file_names {
    char temp[FILE_NAME_SIZE], data[FILE_NAME_SIZE];
    char manifest_temp[FILE_NAME_SIZE], manifest[FILE_NAME_SIZE];
};

/* From pipeline, numbers, kind and owner alone: no text that is read from disk becomes a name. */
void file_batch_names(const struct file_batch *b, const char *pipeline, struct file_names *ret);
void file_temp_name(const char *pipeline, uint64_t first, const char *owner, const char *suffix,
                    char out[FILE_NAME_SIZE]);

enum file_presence { FILE_ABSENT, FILE_SAME, FILE_OTHER };

/* Is there a file of this name, and does it hold this batch? */
int file_batch_look(const struct file_batch *b, const struct file_dir *d, const char *name,
                    enum file_presence *ret, struct error *err) MUST_CHECK;

/* Is its manifest in place? */
int file_batch_has_manifest(const struct file_batch *b, const struct file_dir *d, bool *ret,
                            struct error *err) MUST_CHECK;

/* FATAL/74 when the batch's name is taken by other content. */
int file_batch_refuse_other(const struct file_batch *b, const struct file_dir *d,
                            struct error *err) MUST_CHECK;

/* From temporary to final: manifest, data, directory. A file that is there with the same content
 * counts as done. *ret_placed (set on failure too): the data has its final name, so that there is
 * no way back. */
int file_batch_place(const struct file_batch *b, const struct file_dir *d, bool with_manifest,
                     bool *ret_placed, struct error *err) MUST_CHECK;
