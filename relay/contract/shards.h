/*
 * The contract of a store that can divide a pipeline into shards. Such a pipeline has a store for
 * each of its parts (contract/part.h), and each process one membership for all of them: the one
 * connection that has the locks. It takes shards as they become free, so that all processes have
 * about as many, and asks one back when another process has too few.
 *
 * The pipeline of a shard calls `start` as always, which is AGAIN while the shard is another
 * process's. When the seat says ASKED_BACK, it reads no more, settles and saves all it has read,
 * and calls `leave`. Then it may call `start` again.
 */
#pragma once

#include "contract/store.h"

enum store_seat {
    STORE_SEAT_AWAY, /* the shard is another process's, or nobody's */
    STORE_SEAT_OURS,
    STORE_SEAT_ASKED_BACK, /* ours, and to be given away */
};

struct store_shards_ops {
    /* Makes a membership. No I/O: it begins when `start` of a shard is called first. `env` says
     * which pipeline, its part and member are not used, its texts are copied; shards: 2 to
     * PART_SHARDS_MAX, as all processes have to say (`start`: FATAL/69). RETRY when no descriptor
     * is left. */
    int (*member_new)(const struct store_env *env, int shards, struct store_member **ret,
                      struct error *err);
    /* Once all stores with it are closed. May wait for a statement under way. NULL is fine. */
    void (*member_free)(struct store_member *m);

    /* The others are for the store of a shard that has a membership, on the thread of that store.
     * None of them waits. */

    /* How the shard stands. The descriptor is the store's; it is readable when the answer may have
     * changed, until `seat` is called. */
    enum store_seat (*seat)(void *store);
    int (*seat_fd)(const void *store);
    /* Gives the shard up: nothing of it is in flight, and all is saved. */
    void (*leave)(void *store);
};
