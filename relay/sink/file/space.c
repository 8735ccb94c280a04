/* Looks at how much room is left on a disk. */
#include "sink/file/space.h"

#include "base/clock.h"
#include <sys/statvfs.h>

static const int64_t LOOK_EVERY_US = 250 * US_PER_MS;
/* It looks when one of so many pieces of the reserve was written. */
enum { PIECES = 16 };
#define MIB (1024.0 * 1024.0)

bool file_space_low(struct file_space *s, const struct file_dir *d, uint64_t bytes, int64_t now_us)
{
    struct statvfs v;
    uint64_t reserve = (uint64_t)s->reserve;
    s->unseen += bytes;
    bool due = now_us >= s->look_at_us || s->unseen >= reserve / PIECES;
    if (reserve == 0 || !due || fstatvfs(d->fd, &v)) {
        return s->low;
    }
    s->unseen = 0;
    s->look_at_us = now_us + LOOK_EVERY_US;
    s->free = (uint64_t)v.f_bavail * v.f_frsize;
    s->low = s->free < (s->low ? reserve + reserve / 4 : reserve);
    return s->low;
}

int file_space_error(const struct file_space *s, const struct file_dir *d, struct error *err)
{
    error_set(
        err, ERROR_RETRY, "file",
        "disk nearly full: %.1f MiB are free in %s, and sink.reserve keeps %.1f MiB; free space there, the relay then goes on",
        (double)s->free / MIB, d->path, (double)s->reserve / MIB);
    err->exit_code = EXIT_CODE_IO;
    return error_code(err, "ENOSPC");
}
