/*
 * Puts a complete batch file in place. It appears under its final name only when it is whole and
 * after its manifest, and never replaces another file.
 */
#include "sink/file/batch.h"

#include "base/fault.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

void file_batch_release(struct file_batch *b)
{
    buf_release(&b->first_position);
    buf_release(&b->last_position);
    buf_release(&b->manifest);
    *b = (struct file_batch){0};
}

void file_temp_name(const char *pipeline, uint64_t first, const char *owner, const char *suffix,
                    char out[FILE_NAME_SIZE])
{
    /* Names made by version 1 have no owner. */
    snprintf(out, FILE_NAME_SIZE, ".tmp-%s-%020" PRIu64 "%s%s%s", pipeline, first,
             owner[0] ? "-" : "", owner, suffix);
}

void file_batch_names(const struct file_batch *b, const char *pipeline, struct file_names *ret)
{
    const char *extension = file_kind_extension(b->kind),
               *packed = file_compression_extension(b->compression);
    file_temp_name(pipeline, b->first, b->owner, "", ret->temp);
    snprintf(ret->data, sizeof ret->data, "%s-%020" PRIu64 "-%020" PRIu64 ".%s%s", pipeline,
             b->first, b->last, extension, packed);
    file_temp_name(pipeline, b->first, b->owner, ".manifest", ret->manifest_temp);
    snprintf(ret->manifest, sizeof ret->manifest,
             "%s-%020" PRIu64 "-%020" PRIu64 ".%s%s.manifest.json", pipeline, b->first, b->last,
             extension, packed);
}

static void cleanup_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
}

int file_batch_look(const struct file_batch *b, const struct file_dir *d, const char *name,
                    enum file_presence *ret, struct error *err)
{
    CLEANUP(cleanup_fd)
    int fd = openat(d->fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        *ret = FILE_ABSENT;
        return RESULT_DONE;
    }
    if (fd < 0 && errno == ELOOP) {
        *ret = FILE_OTHER;
        return RESULT_DONE;
    }
    struct stat st;
    if (fd < 0 || fstat(fd, &st)) {
        return file_dir_error(d, err, errno, "read %s", name);
    }
    if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != b->bytes) {
        *ret = FILE_OTHER;
        return RESULT_DONE;
    }
    char sha256[FILE_DIGEST_SIZE];
    int failed = file_digest_of_fd(fd, SLICE_NULL, sha256, NULL);
    if (failed) {
        return file_dir_error(d, err, failed, "read %s", name);
    }
    *ret = strcmp(sha256, b->sha256) == 0 ? FILE_SAME : FILE_OTHER;
    return RESULT_DONE;
}

int file_batch_has_manifest(const struct file_batch *b, const struct file_dir *d, bool *ret,
                            struct error *err)
{
    struct file_names names;
    char text[8192], digest[FILE_DIGEST_SIZE + 16];
    file_batch_names(b, d->pipeline, &names);
    *ret = false;
    CLEANUP(cleanup_fd)
    int fd = openat(d->fd, names.manifest, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : pread(fd, text, sizeof text - 1, 0);
    if (n < 0) {
        return errno == ENOENT ? RESULT_DONE
                               : file_dir_error(d, err, errno, "read %s", names.manifest);
    }
    text[n] = '\0';
    snprintf(digest, sizeof digest, "\"sha256\":\"%s\"", b->sha256);
    *ret = strstr(text, digest) != NULL;
    return RESULT_DONE;
}

int file_batch_refuse_other(const struct file_batch *b, const struct file_dir *d, struct error *err)
{
    struct file_names names;
    enum file_presence there = FILE_ABSENT;
    file_batch_names(b, d->pipeline, &names);
    if (file_batch_look(b, d, names.data, &there, err)) {
        return RESULT_ERROR;
    }
    if (there == FILE_OTHER) {
        return error_exit(
            err, ERROR_FATAL, EXIT_CODE_IO, "file",
            "refuse to overwrite %s in %s: it holds other content; find out who wrote it (another relay of this name, a restored database?), move it away and start again",
            names.data, d->path);
    }
    return RESULT_DONE;
}

/* A manifest of this name may be replaced: its data file is not in place, so it has no meaning. */
static int place_manifest(const struct file_batch *b, const struct file_dir *d,
                          const struct file_names *names, struct error *err)
{
    if (file_dir_write(d, d->fd, names->manifest_temp, 0640, buf_slice(&b->manifest), err)) {
        return RESULT_ERROR;
    }
    if (renameat(d->fd, names->manifest_temp, d->fd, names->manifest)) {
        file_dir_error(d, err, errno, "rename %s", names->manifest);
        unlinkat(d->fd, names->manifest_temp, 0);
        return RESULT_ERROR;
    }
    return RESULT_DONE;
}

int file_batch_place(const struct file_batch *b, const struct file_dir *d, bool *ret_placed,
                     struct error *err)
{
    struct file_names names;
    enum file_presence there = FILE_ABSENT;
    *ret_placed = false;
    file_batch_names(b, d->pipeline, &names);
    if (file_batch_refuse_other(b, d, err) || file_batch_look(b, d, names.data, &there, err)) {
        return RESULT_ERROR;
    }
    if (there == FILE_SAME) {
        *ret_placed = true;
        unlinkat(d->fd, names.temp, 0);
        return file_dir_sync(d, d->fd, err);
    }
    if (b->manifest.len > 0 && place_manifest(b, d, &names, err)) {
        return RESULT_ERROR;
    }
    fault_point("file_after_manifest");
    int failed = file_dir_place(d, names.temp, names.data);
    if (failed) {
        unlinkat(d->fd, names.manifest, 0);
        return file_dir_error(d, err, failed, "rename %s to %s", names.temp, names.data);
    }
    *ret_placed = true;
    fault_point("file_after_rename");
    return file_dir_sync(d, d->fd, err);
}
