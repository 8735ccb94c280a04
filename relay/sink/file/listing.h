/*
 * The batch files of a folder, by pipeline and number. One thread.
 */
#pragma once

#include "base/arena.h"
#include "base/result.h"
#include "sink/file/names.h"

struct file_listed {
    const char *data, *manifest; /* the names; either file may be missing, but not both */
    struct file_name name;       /* of the data file */
};

/* All that it has lies in the arena. */
struct file_listing {
    struct file_listed *items;
    size_t count, pipelines; /* pipelines: how many different ones */
    uint64_t others;         /* names that are none of batch files; hidden ones are not counted */
    struct arena arena;
};

/* Reads the folder; `fd` stays open. *ret is zero before. 0, or -1 with errno. */
int file_listing_read(int fd, struct file_listing *ret) MUST_CHECK;
void file_listing_release(struct file_listing *l);
