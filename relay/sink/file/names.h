/*
 * Reads the name of a batch file or a manifest back into its parts. Pure; any thread.
 */
#pragma once

#include "pack/compress.h"
#include "sink/file/format.h"

#define FILE_MANIFEST_EXTENSION ".manifest.json"

struct file_name {
    struct slice pipeline;
    uint64_t first, last; /* delivery numbers */
    enum file_kind kind;
    enum file_compression compression;
    struct slice data; /* the name of the data file; points into the text */
    bool manifest;     /* the text is the name of its manifest */
};

/* False: no file or manifest of a batch has such a name. *ret points into `name`. */
bool file_name_read(const char *name, struct file_name *ret);
