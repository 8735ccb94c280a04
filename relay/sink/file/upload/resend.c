/* Picks the files by name, number or time, and gives each to the targets, in the order of the
 * numbers. */
#include "sink/file/upload/resend.h"

#include "base/clock.h"
#include "sink/file/listing.h"
#include "sink/file/upload/conf.h"
#include "sink/file/upload/sender.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

struct resend {
    const struct file_dir *dir;
    const struct sink_resend *what;
    struct upload_wait wait;
    struct {
        const char *name;
        struct upload_sender *sender;
    } to[SINK_TARGETS_MAX];
    size_t count;
};

static bool fits(const struct resend *r, const struct file_listed *f)
{
    const struct sink_resend *w = r->what;
    struct stat st;
    return slice_equal_str(f->name.pipeline, r->dir->pipeline) &&
           (!w->file || strcmp(w->file, f->data) == 0) && f->name.first <= w->to &&
           f->name.last >= w->from && fstatat(r->dir->fd, f->data, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           st.st_mtim.tv_sec * US_PER_SECOND + st.st_mtim.tv_nsec / 1000 >= w->since_us;
}

static int add(struct resend *r, const char *name, struct upload_to to, struct error *err)
{
    if (r->what->target && strcmp(r->what->target, name) != 0) {
        return RESULT_DONE;
    }
    if (upload_sender_new(to, r->dir, &r->wait, &r->to[r->count].sender, err)) {
        return RESULT_ERROR;
    }
    r->to[r->count++].name = name;
    return RESULT_DONE;
}

static int make_targets(struct resend *r, const struct file_conf *c, struct error *err)
{
    const struct upload_conf *uploads = c->upload.items;
    for (size_t i = 0; i < c->upload.count; i++) {
        if (add(r, uploads[i].name,
                (struct upload_to){.upload = &uploads[i], .manifests = c->manifest}, err)) {
            return RESULT_ERROR;
        }
    }
    if (c->on_complete.count > 0 &&
        add(r, UPLOAD_COMMAND, (struct upload_to){.command = &c->on_complete}, err)) {
        return RESULT_ERROR;
    }
    if (r->count > 0) {
        return RESULT_DONE;
    }
    return error_exit(err, ERROR_CONFIG, EXIT_CODE_USAGE, "upload",
                      r->what->target
                          ? "pipeline %s has no target %s; `status` lists them"
                          : "pipeline %s has neither sink.upload nor sink.on_complete%s",
                      r->dir->pipeline, r->what->target ? r->what->target : "");
}

static int send_one(struct resend *r, const struct file_listed *f, struct error *err)
{
    const struct upload_batch b = {.at = {f->name.first, f->name.last},
                                   .kind = (unsigned char)f->name.kind,
                                   .compression = (unsigned char)f->name.compression};
    for (size_t i = 0; i < r->count; i++) {
        char name[FILE_NAME_SIZE] = "";
        struct upload_temp temp = {.name = name};
        if (upload_sender_send(r->to[i].sender, &b, &temp, err)) {
            return RESULT_ERROR;
        }
        r->what->told(r->what->ctx, f->data, r->to[i].name);
    }
    return RESULT_DONE;
}

static int send_all(struct resend *r, size_t *ret_files, struct error *err)
{
    CLEANUP(file_listing_release) struct file_listing listing = {0};
    int rc = RESULT_DONE;
    if (file_listing_read(r->dir->fd, &listing)) {
        return file_dir_error(r->dir, err, errno, "list the directory");
    }
    for (size_t i = 0; i < listing.count; i++) {
        if (fits(r, &listing.items[i])) {
            rc = rc ? rc : send_one(r, &listing.items[i], err);
            (*ret_files)++;
        }
    }
    return rc;
}

int upload_resend(const struct file_conf *c, struct file_dir *d, const struct sink_resend *what,
                  size_t *ret_files, struct error *err)
{
    struct resend r = {.dir = d, .what = what};
    *ret_files = 0;
    if (file_dir_visit(d, err) || upload_wait_init(&r.wait, err)) {
        return RESULT_ERROR;
    }
    int rc = make_targets(&r, c, err);
    rc = rc ? rc : send_all(&r, ret_files, err);
    for (size_t i = 0; i < r.count; i++) {
        upload_sender_free(r.to[i].sender);
    }
    upload_wait_release(&r.wait);
    return rc;
}
