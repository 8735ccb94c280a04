/*
 * Writes and reads the intent. One that cannot be read back exactly as it was written is refused.
 */
#include "sink/file/intent.h"

#include "base/digits.h"
#include "value/digest.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* "sha256 64:" + 64 digits + newline */
enum { TRAILER_SIZE = 75 };
static const char version[] = "3";
static const char *const versions[] = {"1", "2", version}; /* 1 has no owner, 2 no manifest */

struct intent_names {
    char open[FILE_NAME_SIZE], fresh[FILE_NAME_SIZE], done[FILE_NAME_SIZE], last[FILE_NAME_SIZE];
};

static struct intent_names names_of(const struct file_dir *d)
{
    struct intent_names n;
    snprintf(n.open, sizeof n.open, "%s.intent", d->pipeline);
    snprintf(n.fresh, sizeof n.fresh, "%s.intent.new", d->pipeline);
    snprintf(n.done, sizeof n.done, "%s.done", d->pipeline);
    snprintf(n.last, sizeof n.last, "%s.last", d->pipeline);
    return n;
}

void file_intent_release(struct file_intent *i)
{
    file_batch_release(&i->batch);
    buf_release(&i->cursor);
    buf_release(&i->last_id);
    arena_release(&i->arena);
    *i = (struct file_intent){0};
}

static void add(struct buf *out, const char *name, struct slice value)
{
    buf_printf(out, "%s %zu:", name, value.len);
    buf_add_slice(out, value);
    buf_add_char(out, '\n');
}

static void add_number(struct buf *out, const char *name, uint64_t v)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%" PRIu64, v);
    add(out, name, slice_from(digits));
}

static void render(const struct file_intent *i, struct buf *out)
{
    add(out, "commitrelay-intent", slice_from(version));
    add(out, "format", slice_from(file_kind_name(i->batch.kind)));
    if (i->batch.compression != FILE_PLAIN) {
        add(out, "compression", slice_from(file_compression_name(i->batch.compression)));
    }
    add(out, "owner", slice_from(i->batch.owner));
    add_number(out, "first", i->batch.first);
    add_number(out, "last", i->batch.last);
    add_number(out, "bytes", i->batch.bytes);
    add(out, "data_sha256", slice_from(i->batch.sha256));
    add(out, "first_position", buf_slice(&i->batch.first_position));
    add(out, "last_position", buf_slice(&i->batch.last_position));
    add(out, "manifest", buf_slice(&i->batch.manifest));
    add(out, "last_id", buf_slice(&i->last_id));
    add(out, "cursor", buf_slice(&i->cursor));
    if (i->served > 0) {
        add_number(out, "served", (uint64_t)i->served);
    }
    if (i->dead_letter > 0) {
        add_number(out, "dead_letter", i->dead_letter);
    }
    for (size_t n = 0; n < i->keys_count; n++) {
        add(out, "key", i->keys[n]);
    }
    char sha256[FILE_DIGEST_SIZE];
    digest_sha256(buf_slice(out), sha256);
    add(out, "sha256", slice_from(sha256));
}

int file_intent_write(const struct file_intent *i, const struct file_dir *d, bool *ret_in_place,
                      struct error *err)
{
    CLEANUP(buf_release) struct buf text = {0};
    struct intent_names n = names_of(d);
    *ret_in_place = false;
    render(i, &text);
    if (file_dir_write(d, d->private_fd, n.fresh, 0600, buf_slice(&text), err)) {
        return RESULT_ERROR;
    }
    if (renameat(d->private_fd, n.fresh, d->private_fd, n.open)) {
        return file_dir_error(d, err, errno, "rename %s", n.fresh);
    }
    *ret_in_place = true;
    return file_dir_sync(d, d->private_fd, err);
}

int file_intent_undo(const struct file_dir *d, struct error *err)
{
    struct intent_names n = names_of(d);
    if (unlinkat(d->private_fd, n.open, 0)) {
        return file_dir_error(d, err, errno, "take back %s", n.open);
    }
    return file_dir_sync(d, d->private_fd, err);
}

/* This rename becomes durable with the next commit. Until then the batch itself, or its manifest,
 * shows that the commit is done. */
int file_intent_finish(const struct file_dir *d, struct error *err)
{
    struct intent_names n = names_of(d);
    return renameat(d->private_fd, n.open, d->private_fd, n.done)
               ? file_dir_error(d, err, errno, "rename %s", n.open)
               : RESULT_DONE;
}

void file_intent_retire(const struct file_dir *d)
{
    struct intent_names n = names_of(d);
    renameat(d->private_fd, n.done, d->private_fd, n.last);
}

/* Takes one field, "name length:bytes\n", off the front. */
static bool take_field(struct slice *rest, struct slice *ret_name, struct slice *ret_value)
{
    const char *blank = memchr(rest->ptr, ' ', rest->len);
    if (!blank) {
        return false;
    }
    *ret_name = (struct slice){rest->ptr, (size_t)(blank - rest->ptr)};
    struct slice value = {blank + 1, (size_t)(rest->ptr + rest->len - blank - 1)};
    uint64_t len;
    if (!digits_take(&value, &len) || value.len < 2 || value.ptr[0] != ':' || len > value.len - 2 ||
        value.ptr[1 + len] != '\n') {
        return false;
    }
    *ret_value = (struct slice){value.ptr + 1, len};
    *rest = (struct slice){value.ptr + len + 2, value.len - len - 2};
    return true;
}

static bool read_text(struct slice text, struct buf *ret)
{
    buf_add_slice(ret, text);
    return true;
}

static bool read_hex(struct slice text, char *out, size_t size)
{
    if (text.len != size - 1) {
        return false;
    }
    memcpy(out, text.ptr, text.len);
    out[text.len] = '\0';
    return strspn(out, "0123456789abcdef") == text.len;
}

static bool is_version(struct slice text)
{
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        if (slice_equal_str(text, versions[i])) {
            return true;
        }
    }
    return false;
}

/* A field that this version does not know makes the intent unreadable: it is safer to stop than to
 * ignore it. */
static bool read_field(struct file_intent *i, struct slice name, struct slice value)
{
    if (slice_equal_str(name, "commitrelay-intent")) {
        return is_version(value);
    }
    if (slice_equal_str(name, "owner")) {
        return read_hex(value, i->batch.owner, sizeof i->batch.owner);
    }
    if (slice_equal_str(name, "format")) {
        return file_kind_from(value, &i->batch.kind);
    }
    if (slice_equal_str(name, "compression")) {
        return file_compression_from(value, &i->batch.compression);
    }
    if (slice_equal_str(name, "first")) {
        return digits_parse(value, &i->batch.first);
    }
    if (slice_equal_str(name, "last")) {
        return digits_parse(value, &i->batch.last);
    }
    if (slice_equal_str(name, "bytes")) {
        return digits_parse(value, &i->batch.bytes);
    }
    if (slice_equal_str(name, "data_sha256")) {
        return read_hex(value, i->batch.sha256, sizeof i->batch.sha256);
    }
    if (slice_equal_str(name, "first_position")) {
        return read_text(value, &i->batch.first_position);
    }
    if (slice_equal_str(name, "last_position")) {
        return read_text(value, &i->batch.last_position);
    }
    if (slice_equal_str(name, "manifest")) {
        return read_text(value, &i->batch.manifest);
    }
    if (slice_equal_str(name, "last_id")) {
        return read_text(value, &i->last_id);
    }
    if (slice_equal_str(name, "cursor")) {
        return read_text(value, &i->cursor);
    }
    if (slice_equal_str(name, "served")) {
        uint64_t served;
        bool whole = digits_parse(value, &served) && served < INT64_MAX;
        i->served = whole ? (int64_t)served : 0;
        return whole;
    }
    if (slice_equal_str(name, "dead_letter")) {
        return digits_parse(value, &i->dead_letter);
    }
    return false;
}

static bool parse_body(struct slice rest, struct file_intent *i)
{
    size_t cap = 0;
    CLEANUP(buf_release) struct buf keys = {0}; /* of struct slice */
    while (rest.len > 0) {
        struct slice name, value;
        if (!take_field(&rest, &name, &value)) {
            return false;
        }
        if (slice_equal_str(name, "key")) {
            struct slice key = arena_copy(&i->arena, value);
            buf_add(&keys, &key, sizeof key);
            cap++;
        } else if (!read_field(i, name, value)) {
            return false;
        }
    }
    i->keys = arena_array(&i->arena, cap ? cap : 1, sizeof *i->keys);
    memcpy(i->keys, buf_str(&keys), cap * sizeof *i->keys);
    i->keys_count = cap;
    return i->batch.first > 0 && i->batch.last >= i->batch.first && i->batch.sha256[0] &&
           i->cursor.len > 0;
}

static bool parse(struct slice text, struct file_intent *i)
{
    if (text.len <= TRAILER_SIZE) {
        return false;
    }
    struct slice body = {text.ptr, text.len - TRAILER_SIZE};
    struct slice rest = {text.ptr + body.len, TRAILER_SIZE}, name, value;
    char sha256[FILE_DIGEST_SIZE];
    digest_sha256(body, sha256);
    return take_field(&rest, &name, &value) && slice_equal_str(name, "sha256") &&
           slice_equal_str(value, sha256) && parse_body(body, i);
}

static void cleanup_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
}

static int read_all(const struct file_dir *d, int fd, struct buf *out, struct error *err)
{
    while (true) {
        char bytes[16384];
        ssize_t n = read(fd, bytes, sizeof bytes);
        if (n == 0) {
            return RESULT_DONE;
        }
        if (n > 0) {
            buf_add(out, bytes, (size_t)n);
        } else if (errno != EINTR) {
            return file_dir_error(d, err, errno, "read the intent of pipeline %s", d->pipeline);
        }
    }
}

int file_intent_read(const struct file_dir *d, enum file_intent_stage stage,
                     struct file_intent *ret, struct error *err)
{
    struct intent_names n = names_of(d);
    const char *name = stage == FILE_INTENT_OPEN   ? n.open
                       : stage == FILE_INTENT_DONE ? n.done
                                                   : n.last;
    unlinkat(d->private_fd, n.fresh, 0);
    CLEANUP(cleanup_fd)
    int fd = openat(d->private_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 && errno != ELOOP) {
        return errno == ENOENT ? RESULT_AGAIN
                               : file_dir_error(d, err, errno, "read .commitrelay/%s", name);
    }
    CLEANUP(buf_release) struct buf text = {0};
    struct stat st;
    bool regular = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    if (regular && read_all(d, fd, &text, err)) {
        return RESULT_ERROR;
    }
    struct file_intent i = {0};
    if (!parse(buf_slice(&text), &i)) {
        file_intent_release(&i);
        if (stage == FILE_INTENT_LAST) {
            return error_exit(
                err, ERROR_FATAL, EXIT_CODE_UNAVAILABLE, "file",
                "%s/.commitrelay/%s is damaged or of a newer version, so that the next manifest cannot name the one before; remove it, and the chain of manifests begins anew",
                d->path, name);
        }
        return error_exit(
            err, ERROR_FATAL, EXIT_CODE_UNAVAILABLE, "file",
            "%s/.commitrelay/%s is damaged or of a newer version, so that it is not known how far the files got; compare the last batch file with `position show`, set the position behind it, and remove the intent",
            d->path, name);
    }
    *ret = i;
    return RESULT_DONE;
}
