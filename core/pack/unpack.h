/*
 * Reads a batch file piece by piece, unpacked if it is compressed. One thread. Memory running out
 * ends the process.
 */
#pragma once

#include "base/buf.h"
#include "pack/compress.h"

struct file_unpacker;

/* `fd` stays the caller's, and is read from where it stands. The caller frees it. */
struct file_unpacker *file_unpacker_new(int fd, enum file_compression compression);
void file_unpacker_free(struct file_unpacker *u); /* NULL is fine */

/* Appends some more of the content, at most about 256 KiB. *ret_end: nothing was appended, because
 * all of it was given. 0, or an errno: EBADMSG if what is there is damaged or cut off. */
int file_unpacker_read(struct file_unpacker *u, struct buf *out, bool *ret_end);
