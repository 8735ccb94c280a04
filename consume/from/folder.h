/*
 * The batch files of a folder, by pipeline and number. One thread.
 */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include <stddef.h>
#include <stdint.h>

struct folder_file {
    const char *name; /* of the file */
    const char *pipeline;
    int64_t first, last;   /* delivery numbers */
    const char *extension; /* behind the numbers: ".jsonl" */
};

/* All that it has lies in the arena. Ordered by pipeline, then by number. */
struct folder {
    struct folder_file *files;
    size_t count;
    struct arena memory;
};

/* Reads the folder anew. Hidden names, manifests and other files are passed over. *f is zero or
 * was filled by this. */
int folder_read(struct folder *f, const char *dir, struct error *err) MUST_CHECK;
void folder_release(struct folder *f);

/* Reads a file's name. False: it is none of a batch file. The texts lie in the arena. */
bool folder_name(const char *name, struct arena *memory, struct folder_file *ret);
