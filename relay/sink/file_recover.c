/* After a death at any instant the directory shows complete batches only, and the relay knows the
 * last of them. */
#include "sink/file_recover.h"

#include "sink/file_intent.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* Damage after the fsync, before anything was promised: the events are read again. */
static int give_up_batch(const struct file_dir *d, const char *temp, struct error *err)
{
    if (file_intent_undo(d, err)) {
        return RESULT_ERROR;
    }
    unlinkat(d->fd, temp, 0);
    return RESULT_DONE;
}

/* Makes the intent true. *ret_done false: it could not be, and is gone. An intent whose temporary
 * file is gone was finished, even if a partner has taken the batch away since: a temporary file is
 * durable before its intent, and after that it goes only by the rename, or once the intent is taken
 * back. */
static int finish(const struct file_dir *d, const struct file_batch *b, bool with_manifest,
                  bool *ret_done, struct error *err)
{
    struct file_names names;
    enum file_presence temp = FILE_ABSENT;
    bool placed;
    file_batch_names(b, d->pipeline, &names);
    if (file_batch_look(b, d, names.temp, &temp, err)) {
        return RESULT_ERROR;
    }
    *ret_done = temp != FILE_OTHER;
    switch (temp) {
    case FILE_ABSENT:
        return file_dir_sync(d, d->fd, err); /* the rename may not be durable yet */
    case FILE_SAME:
        return file_batch_place(b, d, with_manifest, &placed, err);
    case FILE_OTHER:
        break;
    }
    return give_up_batch(d, names.temp, err);
}

static void hand_over(const struct file_intent *i, struct sink_recovery *ret)
{
    ret->delivered = i->batch.last;
    buf_add_slice(&ret->cursor, buf_slice(&i->cursor));
    buf_add_slice(&ret->last_position, buf_slice(&i->batch.last_position));
    buf_add_slice(&ret->last_id, buf_slice(&i->last_id));
    ret->keys = arena_array(&ret->arena, i->keys_count ? i->keys_count : 1, sizeof *ret->keys);
    ret->keys_count = i->keys_count;
    for (size_t n = 0; n < i->keys_count; n++) {
        ret->keys[n] = arena_copy(&ret->arena, i->keys[n]);
    }
}

/* Takes `prefix` off the front. */
static bool skip(const char **p, const char *prefix)
{
    size_t n = strlen(prefix);
    if (strncmp(*p, prefix, n) != 0) {
        return false;
    }
    *p += n;
    return true;
}

static bool skip_number(const char **p)
{
    size_t n = strspn(*p, "0123456789");
    *p += n;
    return n == 20;
}

/* Exactly ours: "orders" must not touch what belongs to "orders-eu". */
static bool is_stale_temp(const char *name, const char *pipeline)
{
    return skip(&name, ".tmp-") && skip(&name, pipeline) && skip(&name, "-") &&
           skip_number(&name) && (!*name || strcmp(name, ".manifest") == 0);
}

static bool is_manifest(const char *name, const char *pipeline, char ret_data[FILE_NAME_SIZE])
{
    const char *p = name;
    if (!skip(&p, pipeline) || !skip(&p, "-") || !skip_number(&p) || !skip(&p, "-") ||
        !skip_number(&p) || !skip(&p, ".")) {
        return false;
    }
    for (int k = 0; k < FILE_KINDS; k++) {
        const char *rest = p;
        if (skip(&rest, file_kind_extension((enum file_kind)k)) &&
            strcmp(rest, ".manifest.json") == 0) {
            snprintf(ret_data, FILE_NAME_SIZE, "%.*s", (int)(rest - name), name);
            return true;
        }
    }
    return false;
}

static void cleanup_dir(DIR **dir)
{
    if (*dir) {
        closedir(*dir);
    }
}

static bool is_stale(const struct file_dir *d, const char *name)
{
    char data[FILE_NAME_SIZE];
    return is_stale_temp(name, d->pipeline) ||
           (is_manifest(name, d->pipeline, data) &&
            faccessat(d->fd, data, F_OK, AT_SYMLINK_NOFOLLOW) && errno == ENOENT);
}

static int sweep(const struct file_dir *d, struct error *err)
{
    int fd = openat(d->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP(cleanup_dir) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        file_dir_error(d, err, errno, "list the directory");
        if (fd >= 0) {
            close(fd);
        }
        return RESULT_ERROR;
    }
    for (struct dirent *e; (errno = 0, e = readdir(dir));) {
        if (is_stale(d, e->d_name) && unlinkat(d->fd, e->d_name, 0) && errno != ENOENT) {
            return file_dir_error(d, err, errno, "remove the stale %s", e->d_name);
        }
    }
    return errno ? file_dir_error(d, err, errno, "list the directory") : RESULT_DONE;
}

/* Giving a batch up brings back the intent of the one before, which then counts. */
static int finish_intent(const struct file_dir *d, bool with_manifest, struct sink_recovery *ret,
                         struct error *err)
{
    bool done = false;
    while (!done) {
        CLEANUP(file_intent_release) struct file_intent intent = {0};
        int rc = file_intent_read(d, &intent, err);
        if (rc) {
            return rc;
        }
        if (finish(d, &intent.batch, with_manifest, &done, err)) {
            return RESULT_ERROR;
        }
        if (done) {
            hand_over(&intent, ret);
        }
    }
    return RESULT_DONE;
}

int file_recover(const struct file_dir *d, bool with_manifest, struct sink_recovery *ret,
                 struct error *err)
{
    return finish_intent(d, with_manifest, ret, err) < 0 ? RESULT_ERROR : sweep(d, err);
}
