/* Makes the targets, and gives each what lies in the folder. */
#include "sink/file/upload/uploads.h"

#include "base/memory.h"
#include "sink/file/listing.h"
#include "sink/file/upload/conf.h"
#include "sink/file/upload/keeper.h"
#include "sink/file/upload/target.h"
#include "sink/file/upload/transfer.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static_assert(UPLOADS_MAX + 1 == SINK_TARGETS_MAX, "the command of on_complete is one more target");

struct file_uploads {
    struct upload_target *targets[SINK_TARGETS_MAX];
    size_t count;
    struct upload_keeper keeper;
};

static void wake_keeper(void *uploads)
{
    struct file_uploads *u = uploads;
    upload_keeper_wake(&u->keeper);
}

/* What every target has accepted: the least of them. Without targets there is nothing to wait for.
 */
static bool accepted_by_all(void *uploads, struct upload_mark *ret)
{
    struct file_uploads *u = uploads;
    *ret = (struct upload_mark){UINT64_MAX, UINT64_MAX};
    for (size_t i = 0; i < u->count; i++) {
        struct upload_mark at = upload_target_settled(u->targets[i]);
        *ret = upload_mark_before(at, *ret) ? at : *ret;
    }
    return ret->first > 0;
}

struct file_uploads *file_uploads_new(const struct file_conf *c, const struct sink_env *env)
{
    const struct upload_conf *uploads = c->upload.items;
    if (c->upload.count == 0 && c->on_complete.count == 0 && c->keep_for_us == 0) {
        return NULL;
    }
    struct file_uploads *u = memory_need(calloc(1, sizeof *u));
    upload_keeper_init(&u->keeper, c->keep_for_us, accepted_by_all, u);
    for (size_t i = 0; i < c->upload.count; i++) {
        u->targets[u->count++] = upload_target_new(
            uploads[i].name, (struct upload_to){.upload = &uploads[i], .manifests = c->manifest},
            env, wake_keeper, u);
    }
    if (c->on_complete.count > 0) {
        u->targets[u->count++] = upload_target_new(
            UPLOAD_COMMAND, (struct upload_to){.command = &c->on_complete}, env, wake_keeper, u);
    }
    return u;
}

void file_uploads_stop(struct file_uploads *u)
{
    if (!u) {
        return;
    }
    for (size_t i = 0; i < u->count; i++) {
        upload_target_stop(u->targets[i]);
    }
    for (size_t i = 0; i < u->count; i++) {
        upload_target_join(u->targets[i]);
    }
    upload_keeper_stop(&u->keeper);
}

void file_uploads_free(struct file_uploads *u)
{
    if (u) {
        file_uploads_stop(u);
        for (size_t i = 0; i < u->count; i++) {
            upload_target_free(u->targets[i]);
        }
        upload_keeper_release(&u->keeper);
        free(u);
    }
}

static void add(struct file_uploads *u, const struct upload_batch *b)
{
    for (size_t i = 0; i < u->count; i++) {
        upload_target_add(u->targets[i], b);
    }
    upload_keeper_add(&u->keeper, b);
}

/* A manifest without its file is left out: the file was taken away, or is not in place yet. */
static void add_listed(struct file_uploads *u, const struct file_dir *d,
                       const struct file_listing *l)
{
    for (size_t i = 0; i < l->count; i++) {
        const struct file_name *n = &l->items[i].name;
        if (slice_equal_str(n->pipeline, d->pipeline) &&
            faccessat(d->fd, l->items[i].data, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
            add(u, &(struct upload_batch){.at = {n->first, n->last},
                                          .kind = (unsigned char)n->kind,
                                          .compression = (unsigned char)n->compression});
        }
    }
}

int file_uploads_start(struct file_uploads *u, const struct file_dir *d, uint64_t known,
                       struct error *err)
{
    CLEANUP(file_listing_release) struct file_listing listing = {0};
    if (!u) {
        return RESULT_DONE;
    }
    file_uploads_stop(u);
    if (file_listing_read(d->fd, &listing)) {
        return file_dir_error(d, err, errno, "list the directory");
    }
    /* The keeper first: the threads of the targets wake it. */
    int rc = upload_keeper_start(&u->keeper, d, err);
    for (size_t i = 0; i < u->count && !rc; i++) {
        rc = upload_target_start(u->targets[i], d, known, err);
    }
    if (rc) {
        file_uploads_stop(u);
        return RESULT_ERROR;
    }
    add_listed(u, d, &listing);
    return RESULT_DONE;
}

void file_uploads_placed(struct file_uploads *u, const struct file_batch *b)
{
    if (u) {
        add(u, &(struct upload_batch){.at = {b->first, b->last},
                                      .kind = (unsigned char)b->kind,
                                      .compression = (unsigned char)b->compression});
    }
}

static int greet(const struct upload_conf *c, struct upload_wait *wait, struct error *err)
{
    CLEANUP(upload_address_release) struct upload_address at = {0};
    if (upload_address_of(c, &at, err)) {
        return RESULT_ERROR;
    }
    struct upload_transfer *t = upload_transfer_new(c, &at, wait);
    int rc = upload_transfer_greet(t, err);
    upload_transfer_free(t);
    return rc;
}

void file_uploads_check(const struct file_conf *c, finding_report *report, void *ctx)
{
    const struct upload_conf *uploads = c->upload.items;
    struct upload_wait never = {.fd = -1};
    struct error err;
    for (size_t i = 0; i < c->upload.count; i++) {
        if (greet(&uploads[i], &never, &err)) {
            report(ctx, err.exit_code, err.text, "");
        }
    }
}

size_t file_uploads_targets(struct file_uploads *u, struct sink_target out[SINK_TARGETS_MAX])
{
    size_t count = u ? u->count : 0;
    for (size_t i = 0; i < count; i++) {
        upload_target_standing(u->targets[i], &out[i]);
    }
    return count;
}
