/*
 * One complete batch file: its names, and how it gets its final name. Functions with
 * `err` return RESULT_DONE, or RESULT_ERROR as file_dir_error says; they may wait for the disk. The
 * thread that owns the struct: the pipeline's, or the worker while a commit runs.
 */
#pragma once

#include "base/buf.h"
#include "pack/compress.h"
#include "sink/file/digest.h"
#include "sink/file/dir.h"
#include "sink/file/format.h"

struct file_batch {
    enum file_kind kind;
    enum file_compression compression;
    char owner[FILE_OWNER_SIZE]; /* the claim that made the temporary file (dir.h) */
    uint64_t first, last;        /* running delivery numbers of its events */
    /* Size of the data file as it lies there; the digests are of the same bytes. */
    uint64_t bytes;
    char sha256[FILE_DIGEST_SIZE];
    char hmac_sha256[FILE_DIGEST_SIZE];     /* "": no key */
    char previous_sha256[FILE_DIGEST_SIZE]; /* of the manifest before; "": there is none */
    struct buf first_position, last_position;
    struct buf manifest; /* the text of the manifest file (manifest.h); empty: there is none */
};

/* Frees its buffers and sets it to zero. */
void file_batch_release(struct file_batch *b);

/* Names within the directory: of the data and of the manifest, each temporary and final. */
struct file_names {
    char temp[FILE_NAME_SIZE], data[FILE_NAME_SIZE];
    char manifest_temp[FILE_NAME_SIZE], manifest[FILE_NAME_SIZE];
};

/* The names follow from pipeline, numbers, kind and owner. No text read from disk becomes a name,
 * so a damaged intent cannot lead outside the directory. */
void file_batch_names(const struct file_batch *b, const char *pipeline, struct file_names *ret);
void file_temp_name(const char *pipeline, uint64_t first, const char *owner, const char *suffix,
                    char out[FILE_NAME_SIZE]);

enum file_presence { FILE_ABSENT, FILE_SAME, FILE_OTHER };

/* Is there a file of this name, and is it this batch (size and SHA-256)? Reads the whole file. */
int file_batch_look(const struct file_batch *b, const struct file_dir *d, const char *name,
                    enum file_presence *ret, struct error *err) MUST_CHECK;

/* Is its manifest in place, with the same SHA-256? */
int file_batch_has_manifest(const struct file_batch *b, const struct file_dir *d, bool *ret,
                            struct error *err) MUST_CHECK;

/* FATAL/74 if a file with the batch's final name has other content. */
int file_batch_refuse_other(const struct file_batch *b, const struct file_dir *d,
                            struct error *err) MUST_CHECK;

/* Puts the batch in place: writes the manifest, if there is one, renames the data file, syncs the
 * directory. A file with the same content that is there already counts as done. *ret_placed (set
 * also on failure): the data has its final name, so that the batch cannot be taken back any more.
 */
int file_batch_place(const struct file_batch *b, const struct file_dir *d, bool *ret_placed,
                     struct error *err) MUST_CHECK;
