/*
 * The shards of a pipeline as this process has them: which of them its pipelines want and feed, and
 * which of their locks it holds. The thread of the membership (member.c) tells what it did with the
 * locks; the pipelines' threads ask and tell what they do. Nothing here does I/O or waits.
 *
 * Private to relay/store/postgres. Any thread, unless it says "the membership's".
 */
#pragma once

#include "contract/shards.h"
#include <pthread.h>

struct pg_seat {
    bool wanted; /* a pipeline of this process would feed it */
    bool fed;    /* it was claimed and is not left */
    enum { SEAT_NO_LOCK, SEAT_LOCKED, SEAT_ASKED_BACK } lock;
    int fd; /* eventfd: something has changed */
};

struct pg_seats {
    int shards;
    int64_t lease_us;
    int wake_fd; /* eventfd: the membership has something to do */

    pthread_mutex_t mutex; /* protects what follows */
    struct pg_seat seat[PART_SHARDS_MAX];
    uint64_t term;      /* counts lock connections, from 1 */
    int64_t backend;    /* the server's process of it; 0: there is none */
    int64_t proof_us;   /* monotonic: when the last look that was answered was sent */
    int64_t give_at_us; /* monotonic: when one may be given away next */
    struct error why;   /* what keeps it from being a member; ERROR_NONE: nothing is known */
};

/* ERROR when no descriptor is left; to be released then, too. */
int pg_seats_init(struct pg_seats *s, int shards, int64_t lease_us, struct error *err) MUST_CHECK;
void pg_seats_release(struct pg_seats *s);

/* --- the pipelines' --- */

/* The shard is wanted from now on, until pg_seats_quit. DONE: its lock is ours; *ret_term names the
 * connection that has it, *ret_backend its process in the server, and the shard counts as fed until
 * it is left. AGAIN: it is another's, or not taken yet. ERROR: what keeps this process from being a
 * member. */
int pg_seats_claim(struct pg_seats *s, int shard, uint64_t *ret_term, int64_t *ret_backend,
                   struct error *err) MUST_CHECK;
/* Is the lock that was claimed still ours? False once the connection was lost, or once the last
 * look that was answered is older than the lease. */
bool pg_seats_hold(struct pg_seats *s, int shard, uint64_t term);
enum store_seat pg_seats_ask(struct pg_seats *s, int shard); /* see store_shards_ops.seat */
/* The shard is settled and not fed any more. for_good: it is not wanted any more either. */
void pg_seats_leave(struct pg_seats *s, int shard, bool for_good);

/* --- the membership's --- */

bool pg_seats_wanted(struct pg_seats *s); /* any shard is */
/* There is a new lock connection, of that process of the server. */
void pg_seats_joined(struct pg_seats *s, int64_t backend, int64_t asked_us);
/* It is gone, and all locks with it. why: for who asks; NULL: nothing is wrong. */
void pg_seats_lost(struct pg_seats *s, const struct error *why);
/* A shard whose lock is to be given up now, and counts as given up; -1: there is none. */
int pg_seats_to_unlock(struct pg_seats *s);
/* What the server has answered to a look (schema/sql/shards_view.sql). Returns the shard whose lock
 * is to be tried, -1: none. One may be asked back. free_ones: numbers with commas between. */
int pg_seats_looked(struct pg_seats *s, int members, int poorest, const char *free_ones,
                    int64_t asked_us);
void pg_seats_taken(struct pg_seats *s, int shard); /* its lock is ours now */
