/* What the names of a batch file are made from, in few bytes: many may wait. Any thread. */
#pragma once

#include "sink/file/batch.h"

/* A batch by its numbers. Batches are ordered by `first`, then `last`: an empty file (last = first
 * - 1) stands before the file that begins with the same number. */
struct upload_mark {
    uint64_t first, last;
};

static inline bool upload_mark_before(struct upload_mark a, struct upload_mark b)
{
    return a.first != b.first ? a.first < b.first : a.last < b.last;
}

struct upload_batch {
    struct upload_mark at;
    unsigned char kind, compression; /* enum file_kind, file_compression */
};

/* What file_batch_names and file_batch_has_manifest want to know of it. *ret holds no memory. */
static inline void upload_batch_of(const struct upload_batch *b, struct file_batch *ret)
{
    *ret = (struct file_batch){.kind = (enum file_kind)b->kind,
                               .compression = (enum file_compression)b->compression,
                               .first = b->at.first,
                               .last = b->at.last};
}
