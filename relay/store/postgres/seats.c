/*
 * I4: a shard that a pipeline has claimed is unlocked only after the pipeline has left it. Without
 * that the next owner would read from a saved cursor while the events behind it are still in flight
 * here.
 */
#include "store/postgres/seats.h"

#include "base/clock.h"
#include "store/postgres/share.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Between two shards that are given away. */
static const int64_t GIVE_EVERY_US = US_PER_SECOND;

static void signal_fd(int fd)
{
    uint64_t one = 1;
    ssize_t n UNUSED = write(fd, &one, sizeof one);
}

/* --- life --- */

int pg_seats_init(struct pg_seats *s, int shards, int64_t lease_us, struct error *err)
{
    const int flags = EFD_CLOEXEC | EFD_NONBLOCK;
    *s = (struct pg_seats){.shards = shards, .lease_us = lease_us, .wake_fd = eventfd(0, flags)};
    pthread_mutex_init(&s->mutex, NULL);
    bool all = s->wake_fd >= 0;
    for (int i = 0; i < shards; i++) {
        s->seat[i].fd = eventfd(0, flags);
        all = all && s->seat[i].fd >= 0;
    }
    return all ? RESULT_DONE : error_errno(err, "postgres", errno, "cannot make an eventfd");
}

static void close_fd(int fd)
{
    if (fd >= 0) {
        close(fd);
    }
}

void pg_seats_release(struct pg_seats *s)
{
    close_fd(s->wake_fd);
    for (int i = 0; i < s->shards; i++) {
        close_fd(s->seat[i].fd);
    }
    pthread_mutex_destroy(&s->mutex);
}

/* --- the pipelines' --- */

/* With the mutex. I1: nobody feeds a shard longer than this is true. */
static bool proven(const struct pg_seats *s)
{
    return s->backend > 0 && (s->lease_us == 0 || clock_mono_us() < s->proof_us + s->lease_us);
}

static int not_ours(const struct pg_seats *s, int shard, struct error *err)
{
    if (s->why.class != ERROR_NONE) {
        *err = s->why;
        return RESULT_ERROR;
    }
    error_set(err, ERROR_RETRY, "postgres", "shard %d/%d is another relay's, or not taken yet",
              shard, s->shards);
    return RESULT_AGAIN;
}

int pg_seats_claim(struct pg_seats *s, int shard, uint64_t *ret_term, int64_t *ret_backend,
                   struct error *err)
{
    struct pg_seat *seat = &s->seat[shard];
    int rc = RESULT_DONE;
    pthread_mutex_lock(&s->mutex);
    bool news = !seat->wanted;
    seat->wanted = true;
    /* One that is asked back goes as soon as nobody feeds it. */
    bool ours = seat->lock == SEAT_LOCKED || (seat->lock == SEAT_ASKED_BACK && seat->fed);
    if (!ours || !proven(s)) {
        rc = not_ours(s, shard, err);
    } else {
        seat->fed = true;
        *ret_term = s->term;
        *ret_backend = s->backend;
    }
    pthread_mutex_unlock(&s->mutex);
    if (news) {
        signal_fd(s->wake_fd);
    }
    return rc;
}

bool pg_seats_hold(struct pg_seats *s, int shard, uint64_t term)
{
    pthread_mutex_lock(&s->mutex);
    bool hold = s->seat[shard].lock != SEAT_NO_LOCK && s->term == term && proven(s);
    pthread_mutex_unlock(&s->mutex);
    return hold;
}

enum store_seat pg_seats_ask(struct pg_seats *s, int shard)
{
    uint64_t n;
    ssize_t got UNUSED = read(s->seat[shard].fd, &n, sizeof n);
    pthread_mutex_lock(&s->mutex);
    bool asked_back = s->seat[shard].lock == SEAT_ASKED_BACK;
    bool ours = s->seat[shard].lock == SEAT_LOCKED || (asked_back && s->seat[shard].fed);
    ours = ours && proven(s);
    pthread_mutex_unlock(&s->mutex);
    return !ours ? STORE_SEAT_AWAY : asked_back ? STORE_SEAT_ASKED_BACK : STORE_SEAT_OURS;
}

void pg_seats_leave(struct pg_seats *s, int shard, bool for_good)
{
    pthread_mutex_lock(&s->mutex);
    s->seat[shard].fed = false;
    s->seat[shard].wanted = s->seat[shard].wanted && !for_good;
    pthread_mutex_unlock(&s->mutex);
    signal_fd(s->wake_fd);
}

/* --- the membership's --- */

bool pg_seats_wanted(struct pg_seats *s)
{
    bool any = false;
    pthread_mutex_lock(&s->mutex);
    for (int i = 0; i < s->shards; i++) {
        any = any || s->seat[i].wanted || s->seat[i].fed;
    }
    pthread_mutex_unlock(&s->mutex);
    return any;
}

void pg_seats_joined(struct pg_seats *s, int64_t backend, int64_t asked_us)
{
    pthread_mutex_lock(&s->mutex);
    s->term++;
    s->backend = backend;
    s->proof_us = asked_us;
    s->why.class = ERROR_NONE;
    pthread_mutex_unlock(&s->mutex);
}

void pg_seats_lost(struct pg_seats *s, const struct error *why)
{
    pthread_mutex_lock(&s->mutex);
    s->backend = 0;
    s->why.class = ERROR_NONE;
    if (why) {
        s->why = *why;
    }
    for (int i = 0; i < s->shards; i++) {
        s->seat[i].fed = false;
        s->seat[i].lock = SEAT_NO_LOCK;
        signal_fd(s->seat[i].fd);
    }
    pthread_mutex_unlock(&s->mutex);
}

/* I4 is kept here. */
static bool may_unlock(const struct pg_seat *seat)
{
    bool goes = seat->lock == SEAT_ASKED_BACK || (seat->lock == SEAT_LOCKED && !seat->wanted);
    return goes && !seat->fed;
}

int pg_seats_to_unlock(struct pg_seats *s)
{
    int found = -1;
    pthread_mutex_lock(&s->mutex);
    for (int i = 0; i < s->shards && found < 0; i++) {
        if (may_unlock(&s->seat[i])) {
            found = i;
            s->seat[i].lock = SEAT_NO_LOCK; /* before it is free: nobody here claims it any more */
            signal_fd(s->seat[i].fd);
        }
    }
    pthread_mutex_unlock(&s->mutex);
    return found;
}

/* One that is free and wanted here, beginning at a random place, so that members seldom want the
 * same; -1: there is none. *ret_count counts such ones only: what nobody here would feed is not
 * ours to take. */
static int find_free(const struct pg_seats *s, const char *numbers, int *ret_count)
{
    bool is_free[PART_SHARDS_MAX] = {false};
    for (const char *p = numbers; *p; p += strspn(p, ",")) {
        long i = strtol(p, NULL, 10);
        if (i >= 0 && i < s->shards) {
            is_free[i] = s->seat[i].wanted;
        }
        p += strcspn(p, ",");
    }
    int found = -1, from = (int)(clock_mono_us() % s->shards);
    *ret_count = 0;
    for (int n = 0; n < s->shards; n++) {
        int i = (from + n) % s->shards;
        *ret_count += is_free[i];
        found = found < 0 && is_free[i] ? i : found;
    }
    return found;
}

/* Asks one back that nobody feeds; if there is none, the last one. */
static void ask_back(struct pg_seats *s)
{
    struct pg_seat *chosen = NULL;
    for (int i = 0; i < s->shards; i++) {
        if (s->seat[i].lock == SEAT_LOCKED && (!chosen || chosen->fed)) {
            chosen = &s->seat[i];
        }
    }
    if (chosen) {
        chosen->lock = SEAT_ASKED_BACK;
        signal_fd(chosen->fd);
    }
}

int pg_seats_looked(struct pg_seats *s, int members, int poorest, const char *free_ones,
                    int64_t asked_us)
{
    struct share_view v = {.shards = s->shards, .members = members, .poorest = poorest};
    bool giving = false;
    pthread_mutex_lock(&s->mutex);
    s->proof_us = asked_us;
    for (int i = 0; i < s->shards; i++) {
        v.own += s->seat[i].lock != SEAT_NO_LOCK;
        giving = giving || s->seat[i].lock == SEAT_ASKED_BACK;
    }
    int found = find_free(s, free_ones, &v.free);
    enum share_move move = share_move(&v);
    if (move == SHARE_GIVE && !giving && clock_mono_us() >= s->give_at_us) {
        s->give_at_us = clock_mono_us() + GIVE_EVERY_US;
        ask_back(s);
    }
    pthread_mutex_unlock(&s->mutex);
    return move == SHARE_TAKE ? found : -1;
}

void pg_seats_taken(struct pg_seats *s, int shard)
{
    pthread_mutex_lock(&s->mutex);
    s->seat[shard].lock = SEAT_LOCKED;
    pthread_mutex_unlock(&s->mutex);
    signal_fd(s->seat[shard].fd);
}
