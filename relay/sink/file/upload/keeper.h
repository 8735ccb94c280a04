/*
 * Removes local files that are old enough (`keep_for`) and that every target has accepted. A thread
 * of its own does it. The newest file always stays: the recovery after a power failure may need it.
 *
 * The pipeline's thread calls all functions except upload_keeper_wake, which any thread may call.
 */
#pragma once

#include "base/buf.h"
#include "sink/file/upload/batch.h"
#include "sink/file/upload/wait.h"
#include <pthread.h>

struct upload_keeper {
    int64_t keep_us; /* 0: nothing is ever removed, and there is no thread */
    const struct file_dir *dir;
    /* Up to which batch all targets have accepted; false: nothing yet. Called by the keeper. */
    bool (*accepted)(void *ctx, struct upload_mark *ret);
    void *ctx;
    struct upload_wait wait;
    pthread_t thread;
    bool running;
    pthread_mutex_t lock;
    struct buf files; /* of struct upload_batch, in their order; under lock */
};

void upload_keeper_init(struct upload_keeper *k, int64_t keep_us,
                        bool (*accepted)(void *ctx, struct upload_mark *ret), void *ctx);
void upload_keeper_release(struct upload_keeper *k); /* stops it */

/* `d` is claimed and stays so until _stop. RETRY if no thread can be started. */
int upload_keeper_start(struct upload_keeper *k, const struct file_dir *d,
                        struct error *err) MUST_CHECK;
void upload_keeper_stop(struct upload_keeper *k);
void upload_keeper_add(struct upload_keeper *k, const struct upload_batch *b);
void upload_keeper_wake(struct upload_keeper *k);
