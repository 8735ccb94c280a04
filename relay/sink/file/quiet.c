/* Serves a time of the schedule at which there was nothing to send. */
#include "sink/file/quiet.h"

#include "base/clock.h"
#include "base/digits.h"
#include "base/fault.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

void file_quiet_release(struct file_quiet *q)
{
    file_batch_release(&q->batch);
    buf_release(&q->header);
    *q = (struct file_quiet){0};
}

static void name_of(const struct file_dir *d, const char *suffix, char out[FILE_NAME_SIZE])
{
    snprintf(out, FILE_NAME_SIZE, "%s.schedule%s", d->pipeline, suffix);
}

static int keep_served(const struct file_quiet *q, struct error *err)
{
    char name[FILE_NAME_SIZE], fresh[FILE_NAME_SIZE], text[32];
    name_of(q->dir, "", name);
    name_of(q->dir, ".new", fresh);
    snprintf(text, sizeof text, "%" PRId64, q->served);
    if (file_dir_write(q->dir, q->dir->private_fd, fresh, 0600, slice_from(text), err)) {
        return RESULT_ERROR;
    }
    if (renameat(q->dir->private_fd, fresh, q->dir->private_fd, name)) {
        return file_dir_error(q->dir, err, errno, "rename %s", fresh);
    }
    return file_dir_sync(q->dir, q->dir->private_fd, err);
}

int64_t file_quiet_served(const struct file_dir *d)
{
    char name[FILE_NAME_SIZE], text[32];
    uint64_t served = 0;
    name_of(d, "", name);
    int fd = openat(d->private_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text);
    if (fd >= 0) {
        close(fd);
    }
    bool whole = n > 0 && digits_parse((struct slice){text, (size_t)n}, &served);
    return whole && served < INT64_MAX / US_PER_SECOND ? (int64_t)served : 0;
}

static int write_file(struct file_quiet *q, struct error *err)
{
    struct file_batch *b = &q->batch;
    struct file_written written;
    if (file_writer_create(q->writer, b->first, err) ||
        file_writer_add(q->writer, buf_slice(&q->header), err) ||
        file_writer_finish(q->writer, &written, err)) {
        return RESULT_ERROR;
    }
    b->bytes = written.bytes;
    memcpy(b->sha256, written.sha256, sizeof b->sha256);
    memcpy(b->hmac_sha256, written.hmac, sizeof b->hmac_sha256);
    return q->seal ? file_manifest_make(b, q->dir->pipeline, q->seal, err) : RESULT_DONE;
}

static int make_empty_file(struct file_quiet *q, struct error *err)
{
    struct file_names names;
    bool placed;
    file_batch_names(&q->batch, q->dir->pipeline, &names);
    if (faccessat(q->dir->fd, names.data, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
        return RESULT_DONE;
    }
    if (write_file(q, err) || file_batch_place(&q->batch, q->dir, &placed, err)) {
        file_writer_discard(q->writer);
        return RESULT_ERROR;
    }
    file_writer_leave(q->writer);
    fault_point("file_after_empty");
    return RESULT_DONE;
}

void file_quiet_run(void *quiet)
{
    struct file_quiet *q = quiet;
    q->rc = file_dir_enter(q->dir, &q->error);
    if (q->rc) {
        return;
    }
    q->rc = q->empty_file ? make_empty_file(q, &q->error) : RESULT_DONE;
    q->rc = q->rc ? q->rc : keep_served(q, &q->error);
    file_dir_leave(q->dir);
}
