/*
 * The membership of this process in a pipeline that is divided into shards: one connection for all
 * locks of that pipeline, and a thread of its own that keeps it. What it has is in its seats
 * (seats.h).
 *
 * The thread looks at all members several times within the lease. Such a look is the heartbeat of
 * the connection: a shard's own connection may be silent for as long as it likes.
 *
 * Private to relay/store/postgres. member_new and member_free: see store_shards_ops.
 */
#pragma once

#include "contract/shards.h"
#include "store/postgres/seats.h"

int store_pg_member_new(const struct store_env *env, int shards, struct store_member **ret,
                        struct error *err) MUST_CHECK;
void store_pg_member_free(struct store_member *m);

struct pg_seats *store_pg_member_seats(struct store_member *m); /* lives as long as *m */

/* Starts the thread, if it was not started yet. Any thread. ERROR: of worker_new. */
int store_pg_member_begin(struct store_member *m, struct error *err) MUST_CHECK;
