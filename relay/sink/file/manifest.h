/*
 * The manifest of a batch file: one line of JSON that says what the file is, with its digest and
 * that of the manifest before. With a key both file and manifest are sealed by an HMAC. Pure; any
 * thread.
 */
#pragma once

#include "sink/file/batch.h"

/* A manifest with a seal ends in this member, which holds the HMAC of all that stands before it. */
#define FILE_MANIFEST_SEAL ",\"manifest_hmac_sha256\":\""

struct file_seal {
    struct slice key; /* null: no seal */
    const char *id;   /* of the key, for who checks; "": none */
};

/* Fills b->manifest; all else of `b` is set. FATAL/70 for a position that is not UTF-8. */
int file_manifest_make(struct file_batch *b, const char *pipeline, const struct file_seal *seal,
                       struct error *err) MUST_CHECK;
