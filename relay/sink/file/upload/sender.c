/* Hands a batch over. The local file is read twice: once for its digest, which goes ahead of it and
 * must be that of the manifest, and once to send it. */
#include "sink/file/upload/sender.h"

#include "base/fault.h"
#include "base/memory.h"
#include "sink/file/names.h"
#include "sink/file/upload/command.h"
#include "sink/file/upload/transfer.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

struct upload_sender {
    struct upload_to to;
    const struct file_dir *dir;
    struct upload_wait *wait;
    struct upload_address at;
    struct upload_transfer *transfer; /* NULL: a command */
};

int upload_sender_new(struct upload_to to, const struct file_dir *d, struct upload_wait *wait,
                      struct upload_sender **ret, struct error *err)
{
    struct upload_address at = {0};
    if (to.upload && upload_address_of(to.upload, &at, err)) {
        return RESULT_ERROR;
    }
    struct upload_sender *s = memory_need(calloc(1, sizeof *s));
    *s = (struct upload_sender){.to = to, .dir = d, .wait = wait, .at = at};
    s->transfer = to.upload ? upload_transfer_new(to.upload, &s->at, wait) : NULL;
    *ret = s;
    return RESULT_DONE;
}

void upload_sender_free(struct upload_sender *s)
{
    if (s) {
        upload_transfer_free(s->transfer);
        upload_address_release(&s->at);
        free(s);
    }
}

static const char *type_of(const struct file_batch *b)
{
    static const char *const types[] = {[FILE_JSONL] = "application/x-ndjson",
                                        [FILE_DELIMITED] = "text/csv",
                                        [FILE_KEY_VALUE] = "text/plain"};
    return b->compression == FILE_GZIP   ? "application/gzip"
           : b->compression == FILE_ZSTD ? "application/zstd"
                                         : types[b->kind];
}

static int send_sftp(struct upload_sender *s, const struct upload_file *f, struct upload_temp *temp,
                     struct error *err)
{
    uint32_t random;
    if (temp->name[0] && upload_transfer_remove(s->transfer, temp->name, err)) {
        return RESULT_ERROR;
    }
    if (getrandom(&random, sizeof random, 0) != sizeof random) {
        return error_errno(err, "upload", errno, "no random numbers for the names of files");
    }
    /* A new name for each try: a server that hung may still rename the one of the last. */
    snprintf(temp->name, FILE_NAME_SIZE, ".tmp-%s-%08" PRIx32, f->name, random);
    if (temp->keep && temp->keep(temp->ctx, err)) {
        return RESULT_ERROR;
    }
    fault_point("upload_after_temp");
    if (upload_transfer_sftp(s->transfer, f, temp->name, err)) {
        struct error ignored;
        if (!temp->keep && upload_transfer_remove(s->transfer, temp->name, &ignored) == 0) {
            temp->name[0] = '\0';
        }
        return RESULT_ERROR;
    }
    temp->name[0] = '\0';
    return RESULT_DONE;
}

static void cleanup_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
}

static int missing(const struct upload_sender *s, const char *name, struct error *err)
{
    error_set(err, ERROR_CONFIG, "upload",
              "%s: %s/%s was removed before it was sent; put it back, it is then sent",
              s->to.upload ? s->to.upload->name : "on_complete", s->dir->path, name);
    return error_code(err, UPLOAD_NOT_HERE);
}

static int send_file(struct upload_sender *s, const char *name, const char *type,
                     struct file_batch *check, struct upload_temp *temp, struct error *err)
{
    struct upload_file f = {.name = name, .type = type};
    struct stat st;
    CLEANUP(cleanup_fd)
    int fd = openat(s->dir->fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        return missing(s, name, err);
    }
    if (fd < 0 || fstat(fd, &st)) {
        return file_dir_error(s->dir, err, errno, "read %s", name);
    }
    int failed = file_digest_of_fd(fd, SLICE_NULL, f.sha256, NULL);
    if (failed) {
        return file_dir_error(s->dir, err, failed, "read %s", name);
    }
    if (check) {
        bool told = false;
        memcpy(check->sha256, f.sha256, sizeof f.sha256);
        if (file_batch_has_manifest(check, s->dir, &told, err)) {
            return RESULT_ERROR;
        }
        if (!told) {
            error_set(
                err, ERROR_CONFIG, "upload",
                "%s: %s/%s is not what its manifest says: it was changed after it was written, and is not sent; put the right one back",
                s->to.upload->name, s->dir->path, name);
            return error_code(err, UPLOAD_NOT_HERE);
        }
    }
    f.fd = fd;
    f.bytes = (uint64_t)st.st_size;
    return s->at.kind == UPLOAD_SFTP ? send_sftp(s, &f, temp, err)
                                     : upload_transfer_http(s->transfer, &f, err);
}

static int run_command(struct upload_sender *s, const struct file_names *names, bool manifest,
                       struct error *err)
{
    CLEANUP(buf_release) struct buf file = {0}, beside = {0};
    buf_printf(&file, "%s/%s", s->dir->path, names->data);
    if (manifest) {
        buf_printf(&beside, "%s/%s", s->dir->path, names->manifest);
    }
    if (faccessat(s->dir->fd, names->data, F_OK, AT_SYMLINK_NOFOLLOW) && errno == ENOENT) {
        return missing(s, names->data, err);
    }
    return upload_command_run(s->to.command, buf_str(&file), buf_str(&beside), s->wait, err);
}

int upload_sender_send(struct upload_sender *s, const struct upload_batch *b,
                       struct upload_temp *temp, struct error *err)
{
    struct file_batch batch;
    struct file_names names;
    upload_batch_of(b, &batch);
    file_batch_names(&batch, s->dir->pipeline, &names);
    bool manifest = faccessat(s->dir->fd, names.manifest, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    if (!s->transfer) {
        return run_command(s, &names, manifest, err);
    }
    if (!manifest && s->to.manifests) {
        error_set(
            err, ERROR_CONFIG, "upload",
            "%s: %s/%s has no manifest, which shows that it is as it was written; put it back beside it, or set sink.manifest: false for a while",
            s->to.upload->name, s->dir->path, names.data);
        return error_code(err, UPLOAD_NOT_HERE);
    }
    if (manifest && send_file(s, names.manifest, "application/json", NULL, temp, err)) {
        return RESULT_ERROR;
    }
    fault_point("upload_after_manifest");
    return send_file(s, names.data, type_of(&batch), manifest ? &batch : NULL, temp, err);
}

int upload_sender_acknowledged(struct upload_sender *s, const struct upload_batch *b, bool *ret,
                               struct error *err)
{
    struct file_batch batch;
    struct file_names names;
    CLEANUP(buf_release) struct buf name = {0};
    upload_batch_of(b, &batch);
    file_batch_names(&batch, s->dir->pipeline, &names);
    buf_printf(&name, "%s%s", names.data, s->to.upload->acknowledge.suffix);
    return s->at.kind == UPLOAD_SFTP
               ? upload_transfer_sftp_has(s->transfer, buf_str(&name), ret, err)
               : upload_transfer_http_has(s->transfer, buf_str(&name), ret, err);
}
