/*
 * The temporary file of a batch. Size and digest are those of exactly the bytes that were written.
 */
#include "sink/file/writer.h"

#include "sink/file/batch.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* In bytes: what is written at a time, and how large the memory for compressed bytes may stay. */
enum { WRITE_SIZE = 128 * 1024, PACKED_KEPT = 1024 * 1024 };

void file_writer_init(struct file_writer *w, const struct file_dir *d, enum file_compression c,
                      int level, struct slice key)
{
    *w = (struct file_writer){.dir = d,
                              .fd = -1,
                              .digest = file_digest_new(key),
                              .compressor = file_compressor_new(c, level)};
}

void file_writer_release(struct file_writer *w)
{
    file_writer_leave(w);
    buf_release(&w->held);
    buf_release(&w->packed);
    file_digest_free(w->digest);
    file_compressor_free(w->compressor);
    w->digest = NULL;
    w->compressor = NULL;
}

int file_writer_create(struct file_writer *w, uint64_t first, struct error *err)
{
    char name[FILE_NAME_SIZE];
    if (file_dir_gone(w->dir)) {
        return file_dir_error(w->dir, err, ENOENT, "create a batch file");
    }
    file_temp_name(w->dir->pipeline, first, w->dir->owner, "", name);
    int fd = openat(w->dir->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
    if (fd < 0) {
        return file_dir_error(w->dir, err, errno, "create %s", name);
    }
    memcpy(w->name, name, sizeof name);
    w->fd = fd;
    w->bytes = w->file_size = 0;
    buf_clear(&w->held);
    file_digest_reset(w->digest);
    if (w->compressor) {
        file_compressor_reset(w->compressor);
    }
    return RESULT_DONE;
}

static int write_bytes(struct file_writer *w, struct slice bytes, struct error *err)
{
    int failed = file_write_all(w->fd, bytes);
    if (failed) {
        return file_dir_error(w->dir, err, failed, "write %s", w->name);
    }
    file_digest_add(w->digest, bytes);
    w->file_size += bytes.len;
    return RESULT_DONE;
}

/* Writes bytes, compressed where they are to be. `last`: nothing comes behind them. */
static int pack_and_write(struct file_writer *w, struct slice bytes, bool last, struct error *err)
{
    if (!w->compressor) {
        return write_bytes(w, bytes, err);
    }
    file_compressor_add(w->compressor, bytes, &w->packed);
    if (last) {
        file_compressor_end(w->compressor, &w->packed);
    }
    int rc = write_bytes(w, buf_slice(&w->packed), err);
    buf_trim(&w->packed, PACKED_KEPT);
    return rc;
}

static int write_held(struct file_writer *w, bool last, struct error *err)
{
    int rc = pack_and_write(w, buf_slice(&w->held), last, err);
    buf_clear(&w->held);
    return rc;
}

int file_writer_add(struct file_writer *w, struct slice bytes, struct error *err)
{
    w->bytes += bytes.len;
    if (bytes.len < WRITE_SIZE) {
        buf_add_slice(&w->held, bytes);
        return w->held.len >= WRITE_SIZE ? write_held(w, false, err) : RESULT_DONE;
    }
    /* A large record is written from where it is: a copy would hold it in memory twice. */
    return write_held(w, false, err) || pack_and_write(w, bytes, false, err) ? RESULT_ERROR
                                                                             : RESULT_DONE;
}

int file_writer_finish(struct file_writer *w, struct file_written *ret, struct error *err)
{
    if (write_held(w, true, err)) {
        return RESULT_ERROR;
    }
    if (fsync(w->fd)) {
        return file_dir_error(w->dir, err, errno, "sync %s", w->name);
    }
    int closed = close(w->fd);
    w->fd = -1;
    if (closed) {
        return file_dir_error(w->dir, err, errno, "close %s", w->name);
    }
    /* The name must be durable too: after a crash there must be no intent without its temporary
     * file. */
    if (file_dir_sync(w->dir, w->dir->fd, err)) {
        return RESULT_ERROR;
    }
    ret->bytes = w->file_size;
    file_digest_hex(w->digest, ret->sha256, ret->hmac);
    return RESULT_DONE;
}

void file_writer_leave(struct file_writer *w)
{
    if (w->fd >= 0) {
        close(w->fd);
        w->fd = -1;
    }
    w->name[0] = '\0';
    buf_clear(&w->held);
}

void file_writer_discard(struct file_writer *w)
{
    if (w->name[0]) {
        unlinkat(w->dir->fd, w->name, 0);
    }
    file_writer_leave(w);
}
