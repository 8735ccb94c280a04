/*
 * Recovery after the relay died at any point: afterwards the directory shows only complete batches,
 * and the last of them is known.
 */
#include "sink/file/recover.h"

#include "sink/file/manifest.h"
#include "sink/file/names.h"
#include "value/digest.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

enum fate { FATE_PLACED, FATE_GIVEN_UP };

/* The temporary file is there and damaged, so the data was never in place. The intent is removed,
 * and the events are read again. */
static int give_up_batch(const struct file_dir *d, const char *temp, enum fate *ret,
                         struct error *err)
{
    *ret = FATE_GIVEN_UP;
    if (file_intent_undo(d, err)) {
        return RESULT_ERROR;
    }
    unlinkat(d->fd, temp, 0);
    return RESULT_DONE;
}

static int ask(const struct file_dir *d, const struct file_batch *b, struct error *err)
{
    return error_exit(
        err, ERROR_FATAL, EXIT_CODE_UNAVAILABLE, "file",
        "it is not known what became of the events %" PRIu64 " to %" PRIu64
        " of pipeline %s, up to position %s: %s/.commitrelay/%s.intent promises a batch file, but neither the file nor its manifest nor its temporary file is there. If a partner has the file, remove the intent and set the position behind it (`position set`); if nobody has it, remove the intent, and the events are sent again",
        b->first, b->last, d->pipeline, buf_str(&b->last_position), d->path, d->pipeline);
}

/* The temporary file is gone. A rename to its final name is one reason, but not the only one. So
 * the data file or its manifest must show that the batch was in place; a partner may have taken the
 * data file since. */
static int look_for_evidence(const struct file_dir *d, const struct file_batch *b,
                             const struct file_names *names, struct error *err)
{
    enum file_presence data = FILE_ABSENT;
    bool told = false;
    if (file_batch_refuse_other(b, d, err) || file_batch_look(b, d, names->data, &data, err) ||
        file_batch_has_manifest(b, d, &told, err)) {
        return RESULT_ERROR;
    }
    if (data != FILE_SAME && !told) {
        return ask(d, b, err);
    }
    return file_dir_sync(d, d->fd, err); /* the rename may not be durable yet */
}

/* Finishes the commit of the open intent, or takes it back. */
static int settle(const struct file_dir *d, const struct file_batch *b, enum fate *ret,
                  struct error *err)
{
    struct file_names names;
    enum file_presence temp = FILE_ABSENT;
    bool placed;
    file_batch_names(b, d->pipeline, &names);
    *ret = FATE_PLACED;
    if (file_batch_look(b, d, names.temp, &temp, err)) {
        return RESULT_ERROR;
    }
    switch (temp) {
    case FILE_ABSENT:
        return look_for_evidence(d, b, &names, err);
    case FILE_SAME:
        return file_batch_place(b, d, &placed, err);
    case FILE_OTHER:
        break;
    }
    return give_up_batch(d, names.temp, ret, err);
}

static void hand_over(const struct file_intent *i, struct sink_recovery *ret)
{
    ret->delivered = i->batch.last;
    buf_add_slice(&ret->cursor, buf_slice(&i->cursor));
    buf_add_slice(&ret->last_position, buf_slice(&i->batch.last_position));
    buf_add_slice(&ret->last_id, buf_slice(&i->last_id));
    ret->keys = arena_array(&ret->arena, i->keys_count ? i->keys_count : 1, sizeof *ret->keys);
    ret->keys_count = i->keys_count;
    ret->dead_letter = (int64_t)i->dead_letter;
    for (size_t n = 0; n < i->keys_count; n++) {
        ret->keys[n] = arena_copy(&ret->arena, i->keys[n]);
    }
}

/* Takes `prefix` off the front; false if it is not there. */
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

/* The owner in the name, whoever it is, if there is one: names of version 1 have none. */
static bool skip_owner(const char **p)
{
    const char *rest = *p;
    if (skip(&rest, "-") && strspn(rest, "0123456789abcdef") >= FILE_OWNER_SIZE - 1) {
        *p = rest + FILE_OWNER_SIZE - 1;
    }
    return true;
}

/* Is it a temporary file of exactly this pipeline? "orders" must not touch the files of
 * "orders-eu". */
static bool is_stale_temp(const char *name, const char *pipeline)
{
    return skip(&name, ".tmp-") && skip(&name, pipeline) && skip(&name, "-") &&
           skip_number(&name) && skip_owner(&name) && (!*name || strcmp(name, ".manifest") == 0);
}

static void cleanup_dir(DIR **dir)
{
    if (*dir) {
        closedir(*dir);
    }
}

/* True if the file may be removed: a temporary file, or a manifest without its data. *highest:
 * raised to the last number of a batch that is here. */
static bool is_stale(const struct file_dir *d, const char *name, uint64_t *highest)
{
    char data[FILE_NAME_SIZE];
    struct file_name n;
    if (!file_name_read(name, &n) || !slice_equal_str(n.pipeline, d->pipeline)) {
        return is_stale_temp(name, d->pipeline);
    }
    snprintf(data, sizeof data, "%.*s", SLICE_FMT(n.data));
    bool there = faccessat(d->fd, data, F_OK, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
    *highest = there && n.last > *highest ? n.last : *highest;
    return !there;
}

static int sweep(const struct file_dir *d, uint64_t *highest, struct error *err)
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
        if (is_stale(d, e->d_name, highest) && unlinkat(d->fd, e->d_name, 0) && errno != ENOENT) {
            return file_dir_error(d, err, errno, "remove the stale %s", e->d_name);
        }
    }
    return errno ? file_dir_error(d, err, errno, "list the directory") : RESULT_DONE;
}

/* Deals with the open intent, so that none is left. AGAIN: there was none. An intent that goes no
 * further than `saved` is done, whatever the directory shows: what is saved was delivered. */
static int settle_open(const struct file_dir *d, bool with_manifest, uint64_t saved,
                       struct error *err)
{
    static const struct file_seal none = {.id = ""};
    CLEANUP(file_intent_release) struct file_intent intent = {0};
    enum fate fate = FATE_PLACED;
    int rc = file_intent_read(d, FILE_INTENT_OPEN, &intent, err);
    if (rc) {
        return rc;
    }
    /* An intent of version 2 has no manifest yet. */
    if (with_manifest && intent.batch.manifest.len == 0 &&
        file_manifest_make(&intent.batch, d->pipeline, &none, err)) {
        return RESULT_ERROR;
    }
    if (intent.batch.last > saved && settle(d, &intent.batch, &fate, err)) {
        return RESULT_ERROR;
    }
    if (fate == FATE_GIVEN_UP) {
        return RESULT_DONE;
    }
    /* The rename must be durable before the manifest, which shows that the batch was in place, may
     * be swept away. */
    return file_intent_finish(d, err) ? RESULT_ERROR : file_dir_sync(d, d->private_fd, err);
}

/* There are files of events that were never delivered according to the stored position: the events
 * could come again in other files. */
static int refuse_files_ahead(const struct file_dir *d, uint64_t known, uint64_t highest,
                              struct error *err)
{
    return error_exit(
        err, ERROR_FATAL, EXIT_CODE_UNAVAILABLE, "file",
        "%s holds batch files of pipeline %s up to number %" PRIu64
        ", but the stored position knows of %" PRIu64
        " deliveries: its database was restored, or its store is another one, and the events may be in two files. Put the right store back; or move the files of higher numbers away and look which of their events come again",
        d->path, d->pipeline, highest, known);
}

void file_chain_follow(struct file_chain *chain, const struct file_intent *i)
{
    *chain = (struct file_chain){.last = i->batch.last, .served = i->served};
    if (i->batch.manifest.len > 0) {
        digest_sha256(buf_slice(&i->batch.manifest), chain->sha256);
    }
}

static int follow_last(const struct file_dir *d, struct file_chain *chain, struct error *err)
{
    CLEANUP(file_intent_release) struct file_intent last = {0};
    int rc = file_intent_read(d, FILE_INTENT_LAST, &last, err);
    if (rc == RESULT_DONE) {
        file_chain_follow(chain, &last);
    }
    return rc < 0 ? RESULT_ERROR : RESULT_DONE;
}

/* The intents are read before anything is removed, because the files are the evidence. */
int file_recover(const struct file_dir *d, bool with_manifest, uint64_t saved,
                 struct sink_recovery *ret, struct file_chain *chain, struct error *err)
{
    CLEANUP(file_intent_release) struct file_intent done = {0};
    *chain = (struct file_chain){0};
    uint64_t known = saved, highest = 0;
    if (settle_open(d, with_manifest, saved, err) < 0) {
        return RESULT_ERROR;
    }
    int rc = file_intent_read(d, FILE_INTENT_DONE, &done, err);
    if (rc < 0) {
        return RESULT_ERROR;
    }
    if (rc == RESULT_DONE) {
        hand_over(&done, ret);
        known = ret->delivered > known ? ret->delivered : known;
        file_chain_follow(chain, &done);
    } else if (follow_last(d, chain, err)) {
        return RESULT_ERROR;
    }
    if (sweep(d, &highest, err)) {
        return RESULT_ERROR;
    }
    return highest > known ? refuse_files_ahead(d, known, highest, err) : RESULT_DONE;
}
