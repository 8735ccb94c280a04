/* A file without a name (O_TMPFILE), appended to and read at an offset. It disappears with its
 * descriptor, also when the process is killed. */
#include "cdc/spool/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int fail_open(const char *dir, struct error *err)
{
    return error_errno(
        err, "spool", errno,
        "cannot make a file for a transaction in progress in \"%s\" (STATE_DIRECTORY names another folder; streaming: false needs none)",
        dir);
}

/* For file systems without O_TMPFILE: makes a file with a name and removes the name at once. */
static int open_named(const char *dir, struct error *err)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/.commitrelay-spool-XXXXXX", dir);
    if (n < 0 || (size_t)n >= sizeof path) {
        errno = ENAMETOOLONG;
        return fail_open(dir, err);
    }
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0) {
        return fail_open(dir, err);
    }
    (void)unlink(path);
    return fd;
}

int spool_file_open(const char *dir, struct spool_file *ret, struct error *err)
{
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)) {
        fd = open_named(dir, err);
    } else if (fd < 0) {
        return fail_open(dir, err);
    }
    if (fd < 0) {
        return RESULT_ERROR;
    }
    *ret = (struct spool_file){.fd = fd};
    return RESULT_DONE;
}

void spool_file_close(struct spool_file *f)
{
    if (f->fd >= 0) {
        close(f->fd);
    }
    f->fd = -1;
}

int spool_file_append(struct spool_file *f, struct slice bytes, struct error *err)
{
    while (bytes.len > 0) {
        ssize_t n = pwrite(f->fd, bytes.ptr, bytes.len, (off_t)f->size);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            errno = n < 0 ? errno : ENOSPC;
            return error_errno(
                err, "spool", errno,
                "cannot write the file of a transaction in progress, behind %llu bytes; make room in the state folder",
                (unsigned long long)f->size);
        }
        f->size += (uint64_t)n;
        bytes = (struct slice){bytes.ptr + n, bytes.len - (size_t)n};
    }
    return RESULT_DONE;
}

int spool_file_read(const struct spool_file *f, uint64_t offset, char *to, size_t size,
                    size_t *ret_read, struct error *err)
{
    ssize_t n;
    do {
        n = pread(f->fd, to, size, (off_t)offset);
    } while (n < 0 && errno == EINTR);
    if (n <= 0) {
        errno = n < 0 ? errno : EIO;
        return error_errno(err, "spool", errno,
                           "cannot read the file of a transaction in progress at byte %llu",
                           (unsigned long long)offset);
    }
    *ret_read = (size_t)n;
    return RESULT_DONE;
}
