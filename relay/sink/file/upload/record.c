/* Writes and reads the record of a target. One that cannot be read back as it was written is
 * refused. */
#include "sink/file/upload/record.h"

#include "base/buf.h"
#include "base/digits.h"
#include "value/digest.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

/* A record is shorter: a line of an open batch has less than 100 bytes. */
enum { RECORD_MAX = 1024 + 100 * UPLOAD_OPEN_MAX };

void upload_record_release(struct upload_record *r)
{
    buf_release(&r->open);
    *r = (struct upload_record){0};
}

static void name_of(const struct file_dir *d, const char *target, const char *suffix,
                    char out[FILE_NAME_SIZE])
{
    snprintf(out, FILE_NAME_SIZE, "%s.upload.%s%s", d->pipeline, target, suffix);
}

static void render(const struct upload_record *r, struct buf *out)
{
    char sha256[DIGEST_HEX_SIZE];
    buf_printf(out, "commitrelay-upload 1\nfirst %" PRIu64 "\nlast %" PRIu64 "\ntemp %s\n",
               r->accepted.first, r->accepted.last, r->temp);
    for (size_t at = 0; at < r->open.len; at += sizeof(struct upload_open)) {
        struct upload_open o;
        memcpy(&o, r->open.data + at, sizeof o);
        buf_printf(out, "open %" PRIu64 " %" PRIu64 " %u %u %" PRId64 "\n", o.batch.at.first,
                   o.batch.at.last, o.batch.kind, o.batch.compression, o.sent_us);
    }
    digest_sha256(buf_slice(out), sha256);
    buf_printf(out, "sha256 %s\n", sha256);
}

int upload_record_write(const struct file_dir *d, const char *target, const struct upload_record *r,
                        struct error *err)
{
    char name[FILE_NAME_SIZE], fresh[FILE_NAME_SIZE];
    CLEANUP(buf_release) struct buf text = {0};
    name_of(d, target, "", name);
    name_of(d, target, ".new", fresh);
    render(r, &text);
    if (file_dir_write(d, d->private_fd, fresh, 0600, buf_slice(&text), err)) {
        return RESULT_ERROR;
    }
    if (renameat(d->private_fd, fresh, d->private_fd, name)) {
        return file_dir_error(d, err, errno, "rename %s", fresh);
    }
    return file_dir_sync(d, d->private_fd, err);
}

/* Takes "word value\n" off the front. */
static bool take_line(struct slice *rest, const char *word, struct slice *ret)
{
    size_t n = strlen(word);
    const char *end = rest->len > n ? memchr(rest->ptr, '\n', rest->len) : NULL;
    if (!end || memcmp(rest->ptr, word, n) != 0 || rest->ptr[n] != ' ') {
        return false;
    }
    *ret = (struct slice){rest->ptr + n + 1, (size_t)(end - rest->ptr) - n - 1};
    *rest = (struct slice){end + 1, (size_t)(rest->ptr + rest->len - end) - 1};
    return true;
}

/* "first last kind compression sent" */
static bool parse_open(struct slice line, struct buf *out)
{
    uint64_t n[5];
    for (int i = 0; i < 5; i++) {
        if ((i > 0 && (line.len == 0 || line.ptr[0] != ' '))) {
            return false;
        }
        line = i > 0 ? (struct slice){line.ptr + 1, line.len - 1} : line;
        if (!digits_take(&line, &n[i])) {
            return false;
        }
    }
    struct upload_open o = {{{n[0], n[1]}, (unsigned char)n[2], (unsigned char)n[3]},
                            (int64_t)n[4]};
    buf_add(out, &o, sizeof o);
    return n[2] < FILE_KINDS && n[3] < FILE_COMPRESSIONS;
}

/* Whatever it reads, writing that again must give the same text, its digest included. */
static bool parse(struct slice text, struct upload_record *ret)
{
    struct slice rest = text, version, first, last, temp, open;
    CLEANUP(buf_release) struct buf again = {0};
    if (!take_line(&rest, "commitrelay-upload", &version) || !take_line(&rest, "first", &first) ||
        !take_line(&rest, "last", &last) || !take_line(&rest, "temp", &temp) ||
        !digits_parse(first, &ret->accepted.first) || !digits_parse(last, &ret->accepted.last) ||
        temp.len >= sizeof ret->temp) {
        return false;
    }
    memcpy(ret->temp, temp.ptr, temp.len);
    while (take_line(&rest, "open", &open)) {
        if (!parse_open(open, &ret->open)) {
            return false;
        }
    }
    render(ret, &again);
    return slice_equal(text, buf_slice(&again));
}

int upload_record_read(const struct file_dir *d, const char *target, struct upload_record *ret,
                       struct error *err)
{
    char name[FILE_NAME_SIZE];
    CLEANUP(buf_release) struct buf text = {0};
    CLEANUP(upload_record_release) struct upload_record r = {0};
    name_of(d, target, "", name);
    int fd = openat(d->private_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        *ret = r;
        return RESULT_DONE;
    }
    buf_reserve(&text, RECORD_MAX);
    ssize_t n = fd < 0 ? -1 : read(fd, text.data, RECORD_MAX);
    int failed = errno;
    if (fd >= 0) {
        close(fd);
    }
    if (n < 0) {
        return file_dir_error(d, err, failed, "read .commitrelay/%s", name);
    }
    if (!parse((struct slice){text.data, (size_t)n}, &r)) {
        return error_exit(
            err, ERROR_FATAL, EXIT_CODE_UNAVAILABLE, "upload",
            "%s/.commitrelay/%s is damaged or of a newer version, so that it is not known what the target %s has accepted; remove it, and all files that lie in the folder are sent again, under the same names",
            d->path, name, target);
    }
    *ret = r;
    r = (struct upload_record){0};
    return RESULT_DONE;
}
