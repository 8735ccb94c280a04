/* Removes old files, the oldest first. The data file goes before its manifest: a manifest alone is
 * swept away at the next start, a file alone would look as if somebody had taken its manifest. */
#include "sink/file/upload/keeper.h"

#include "base/clock.h"
#include "base/fault.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

/* What cannot be removed now is tried again after so long. */
static const int64_t AGAIN_US = 60 * US_PER_SECOND;

void upload_keeper_init(struct upload_keeper *k, int64_t keep_us,
                        bool (*accepted)(void *ctx, struct upload_mark *ret), void *ctx)
{
    *k = (struct upload_keeper){
        .keep_us = keep_us, .accepted = accepted, .ctx = ctx, .wait = {.fd = -1}};
    pthread_mutex_init(&k->lock, NULL);
}

void upload_keeper_release(struct upload_keeper *k)
{
    upload_keeper_stop(k);
    pthread_mutex_destroy(&k->lock);
    buf_release(&k->files);
}

/* The oldest file, unless it is the newest too. */
static bool oldest(struct upload_keeper *k, struct upload_batch *ret)
{
    pthread_mutex_lock(&k->lock);
    bool any = k->files.len > sizeof *ret;
    if (any) {
        memcpy(ret, k->files.data, sizeof *ret);
    }
    pthread_mutex_unlock(&k->lock);
    return any;
}

static void forget_oldest(struct upload_keeper *k)
{
    size_t size = sizeof(struct upload_batch);
    pthread_mutex_lock(&k->lock);
    memmove(k->files.data, k->files.data + size, k->files.len - size);
    buf_truncate(&k->files, k->files.len - size);
    pthread_mutex_unlock(&k->lock);
}

static bool gone(const struct upload_keeper *k, const char *name)
{
    return unlinkat(k->dir->fd, name, 0) == 0 || errno == ENOENT;
}

/* Removes it if its age is over. Else how long to wait; 0: it is gone. */
static int64_t remove_old(const struct upload_keeper *k, const struct upload_batch *b)
{
    struct file_batch batch;
    struct file_names names;
    struct stat st;
    upload_batch_of(b, &batch);
    file_batch_names(&batch, k->dir->pipeline, &names);
    if (fstatat(k->dir->fd, names.data, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        int64_t age_us = clock_wall_us() - st.st_mtim.tv_sec * US_PER_SECOND;
        if (age_us < k->keep_us) {
            return k->keep_us - age_us;
        }
    }
    if (!file_dir_owned(k->dir) || !gone(k, names.data)) {
        return AGAIN_US;
    }
    fault_point("upload_after_removal");
    return gone(k, names.manifest) ? 0 : AGAIN_US;
}

static void *run(void *keeper)
{
    struct upload_keeper *k = keeper;
    struct upload_batch b;
    struct upload_mark accepted;
    while (!upload_wait_stopped(&k->wait)) {
        int64_t wait_us = DEADLINE_NEVER;
        if (oldest(k, &b) && k->accepted(k->ctx, &accepted) &&
            !upload_mark_before(accepted, b.at)) {
            wait_us = remove_old(k, &b);
        }
        if (wait_us == 0) {
            forget_oldest(k);
        } else {
            upload_wait_for(&k->wait, -1, wait_us);
        }
    }
    return NULL;
}

int upload_keeper_start(struct upload_keeper *k, const struct file_dir *d, struct error *err)
{
    sigset_t all, old;
    if (k->keep_us == 0) {
        return RESULT_DONE;
    }
    k->dir = d;
    if (upload_wait_init(&k->wait, err)) {
        return RESULT_ERROR;
    }
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int failed = pthread_create(&k->thread, NULL, run, k);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (failed) {
        upload_wait_release(&k->wait);
        return error_errno(err, "upload", failed, "cannot start the thread of keep_for");
    }
    k->running = true;
    return RESULT_DONE;
}

void upload_keeper_stop(struct upload_keeper *k)
{
    if (k->running) {
        upload_wait_stop(&k->wait);
        pthread_join(k->thread, NULL);
        upload_wait_release(&k->wait);
        k->running = false;
    }
    buf_clear(&k->files);
}

/* Whether the newest file is this one, or a later one: an empty file that still lies there is told
 * again. */
static bool known(const struct upload_keeper *k, const struct upload_batch *b)
{
    struct upload_batch newest;
    if (k->files.len == 0) {
        return false;
    }
    memcpy(&newest, k->files.data + k->files.len - sizeof newest, sizeof newest);
    return !upload_mark_before(newest.at, b->at);
}

void upload_keeper_add(struct upload_keeper *k, const struct upload_batch *b)
{
    if (k->keep_us == 0) {
        return;
    }
    pthread_mutex_lock(&k->lock);
    if (!known(k, b)) {
        buf_add(&k->files, b, sizeof *b);
    }
    pthread_mutex_unlock(&k->lock);
    upload_keeper_wake(k);
}

void upload_keeper_wake(struct upload_keeper *k)
{
    if (k->running) {
        upload_wait_wake(&k->wait);
    }
}
