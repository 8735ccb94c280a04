/*
 * Compression of a batch file while it is written: gzip (zlib) or zstd (libzstd). The same bytes,
 * however they were cut into pieces, and the same level give the same file with the same version of
 * the library. Memory running out ends the process. A compressor is used by one thread at a time.
 */
#pragma once

#include "base/buf.h"
#include <stdbool.h>

enum file_compression { FILE_PLAIN, FILE_GZIP, FILE_ZSTD, FILE_COMPRESSIONS };

const char *file_compression_name(enum file_compression c); /* as in the configuration */
/* What it adds to a file's name: ".gz"; "" for FILE_PLAIN. */
const char *file_compression_extension(enum file_compression c);
/* The compression of this name; false if there is none. */
bool file_compression_from(struct slice name, enum file_compression *ret);
/* Its highest level; the lowest is 1, the level 0 stands for the library's default. */
int file_compression_level_max(enum file_compression c);

struct file_compressor;

/* Ready for the first file; the caller frees it. NULL for FILE_PLAIN. */
struct file_compressor *file_compressor_new(enum file_compression c, int level);
void file_compressor_free(struct file_compressor *c); /* NULL is fine */

/* Begins a new file, whatever became of the one before. */
void file_compressor_reset(struct file_compressor *c);
/* Takes more of the file and appends to `out` what is compressed by now, which may be nothing. */
void file_compressor_add(struct file_compressor *c, struct slice bytes, struct buf *out);
/* Appends the rest: the file is whole. */
void file_compressor_end(struct file_compressor *c, struct buf *out);
