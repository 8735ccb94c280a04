/*
 * The thread of a membership: connects, looks, takes and gives up locks. It may wait for the
 * server, since nothing else is on its connection.
 */
#include "store/postgres/member.h"

#include "base/memory.h"
#include "base/worker.h"
#include "schema/schema.h"
#include "store/postgres/internal.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* So many looks fall into a lease, and one at least in LOOK_MOST_US. */
enum { LOOKS_PER_LEASE = 5 };
static const int64_t LOOK_MOST_US = US_PER_SECOND / 2;
/* After a shard was taken the next look comes soon: another one may be free. */
static const int64_t LOOK_SOON_US = 100 * US_PER_MS;
static const int64_t TRY_EVERY_US = US_PER_SECOND; /* to connect */

struct store_member {
    struct store_pg home; /* with the lock connection; the thread's alone once that runs */
    struct pg_seats seats;
    int quit_fd;                             /* eventfd: the thread is to end */
    int64_t key, shard_key[PART_SHARDS_MAX]; /* of the locks */
    struct buf keys;                         /* shard_key as an array */
    pthread_mutex_t mutex;                   /* protects `worker` */
    struct worker *worker;                   /* NULL: not begun */
};

/* --- joining --- */

/* The lock of the whole pipeline, in shared mode: a relay that does not divide it has it alone. */
static int join(struct store_member *m, struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    char key[24];
    snprintf(key, sizeof key, "%lld", (long long)m->key);
    if (pg_query(m->home.pg, "select pg_try_advisory_lock_shared($1::bigint)", 1,
                 (const char *const[]){key}, &r, err)) {
        return RESULT_ERROR;
    }
    return pg_true(r, 0, 0)
               ? RESULT_DONE
               : error_set(
                     err, ERROR_RETRY, "postgres",
                     "a relay that does not divide pipeline %s into shards has its lock; stop it",
                     m->home.pipeline);
}

/* By another column a key would change its shard, and its events be passed over or sent out of
 * order. */
static int demand_column(const struct store_member *m, struct slice stored, struct error *err)
{
    const char *by = m->home.rows.shard_by;
    return !by || stored.len == 0 || slice_equal_str(stored, by)
               ? RESULT_DONE
               : error_exit(
                     err, ERROR_FATAL, EXIT_CODE_UNAVAILABLE, "postgres",
                     "pipeline %s is divided by column %.*s, and source.shard_by names %s: a key would change its shard; set it back",
                     m->home.pipeline, SLICE_FMT(stored), by);
}

/* I3: the number of shards and their column are written once, and every member has the same. */
static int divide(struct store_member *m, struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    char shards[12];
    snprintf(shards, sizeof shards, "%d", m->seats.shards);
    const char *const params[] = {m->home.pipeline, shards, m->home.rows.shard_by};
    if (pg_query(m->home.pg, schema_sql_shards_divide, 3, params, NULL, err) ||
        pg_query(m->home.pg,
                 "select max(shards) filter (where part = ''),"
                 " max(shard_column) filter (where part <> '')"
                 " from commitrelay.positions where pipeline = $1",
                 1, params, &r, err)) {
        return RESULT_ERROR;
    }
    int64_t stored = pg_int(r, 0, 0, 1);
    if (stored == 1) {
        return error_exit(
            err, ERROR_FATAL, EXIT_CODE_UNAVAILABLE, "postgres",
            "pipeline %s has a position of its own and is not divided into shards, and this version cannot divide what has begun: remove source.shards, or let `commitrelay position forget --pipeline %s --yes` make it begin again, with every row",
            m->home.pipeline, m->home.pipeline);
    }
    return stored == m->seats.shards
               ? demand_column(m, pg_value(r, 0, 1), err)
               : error_exit(
                     err, ERROR_FATAL, EXIT_CODE_UNAVAILABLE, "postgres",
                     "pipeline %s is divided into %lld shards, and source.shards says %d: set it to %lld; this version cannot change the number",
                     m->home.pipeline, (long long)stored, m->seats.shards, (long long)stored);
}

static int connect_lock(struct store_member *m, int64_t *ret_backend, struct error *err)
{
    struct store_pg *s = &m->home;
    store_pg_disconnect(s);
    if (store_pg_connect(s, &s->pg, err) || store_pg_refuse_standby(s, err) ||
        store_pg_refuse_pooling(s, err) || store_pg_tables(s, err) ||
        pg_lease_session(s->pg, s->lease_us, err) || join(m, err) || divide(m, err)) {
        return RESULT_ERROR;
    }
    return store_pg_backend(s->pg, ret_backend, err);
}

static int become_member(struct store_member *m, struct error *err)
{
    int64_t backend, asked_us = clock_mono_us();
    if (connect_lock(m, &backend, err)) {
        return RESULT_ERROR;
    }
    pg_seats_joined(&m->seats, backend, asked_us);
    return RESULT_DONE;
}

/* --- looking, and moving --- */

static int ask_lock(struct store_member *m, const char *sql, int shard, bool *ret,
                    struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    char key[24];
    snprintf(key, sizeof key, "%lld", (long long)m->shard_key[shard]);
    if (pg_query(m->home.pg, sql, 1, (const char *const[]){key}, &r, err)) {
        return RESULT_ERROR;
    }
    *ret = pg_true(r, 0, 0);
    return RESULT_DONE;
}

static int unlock_left(struct store_member *m, struct error *err)
{
    for (int i = pg_seats_to_unlock(&m->seats); i >= 0; i = pg_seats_to_unlock(&m->seats)) {
        bool was_ours;
        if (ask_lock(m, "select pg_advisory_unlock($1::bigint)", i, &was_ours, err)) {
            return RESULT_ERROR;
        }
    }
    return RESULT_DONE;
}

/* One look at all members, and at most one move. *ret_soon: the next look is to come soon. */
static int turn(struct store_member *m, bool *ret_soon, struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    char key[24];
    snprintf(key, sizeof key, "%lld", (long long)m->key);
    if (unlock_left(m, err)) {
        return RESULT_ERROR;
    }
    int64_t asked_us = clock_mono_us();
    if (pg_query(m->home.pg, schema_sql_shards_view, 2,
                 (const char *const[]){key, buf_str(&m->keys)}, &r, err)) {
        return RESULT_ERROR;
    }
    if (!pg_true(r, 0, 3)) {
        return error_set(err, ERROR_RETRY, "postgres",
                         "the session of pipeline %s does not hold its own lock any more",
                         m->home.pipeline);
    }
    int shard = pg_seats_looked(&m->seats, (int)pg_int(r, 0, 0, 0), (int)pg_int(r, 0, 1, 0),
                                pg_value(r, 0, 2).ptr, asked_us);
    if (shard < 0) {
        return RESULT_DONE;
    }
    if (ask_lock(m, "select pg_try_advisory_lock($1::bigint)", shard, ret_soon, err)) {
        return RESULT_ERROR;
    }
    if (*ret_soon) {
        pg_seats_taken(&m->seats, shard);
    }
    return RESULT_DONE;
}

/* Also until the server ends the session. False: the membership ends. */
static bool rest(struct store_member *m, int64_t until_us)
{
    struct poll_set set;
    uint64_t n;
    poll_set_clear(&set);
    poll_set_add(&set, m->quit_fd, POLLIN);
    poll_set_add(&set, m->seats.wake_fd, POLLIN);
    if (m->home.pg) {
        pg_poll_fds(m->home.pg, &set);
    }
    bool lost = m->home.pg && !pg_alive(m->home.pg);
    poll_set_deadline(&set, lost ? clock_mono_us() : until_us);
    poll_set_wait(&set);
    ssize_t got UNUSED = read(m->seats.wake_fd, &n, sizeof n);
    return !set.fds[0].revents;
}

static int64_t look_every(const struct store_member *m)
{
    int64_t of_lease = m->home.lease_us / LOOKS_PER_LEASE;
    return of_lease > 0 && of_lease < LOOK_MOST_US ? of_lease : LOOK_MOST_US;
}

/* The locks are gone with the connection, so the seats come first: nobody here feeds a shard that
 * another process may take. */
static void disconnect(struct store_member *m, const struct error *why)
{
    pg_seats_lost(&m->seats, why);
    store_pg_disconnect(&m->home);
}

static void keep(void *arg)
{
    struct store_member *m = arg;
    struct error err;
    int64_t next_us;
    do {
        bool soon = false;
        int64_t now = clock_mono_us();
        if (!pg_seats_wanted(&m->seats)) {
            disconnect(m, NULL);
            next_us = DEADLINE_NEVER;
        } else if ((m->home.pg || become_member(m, &err) == RESULT_DONE) &&
                   turn(m, &soon, &err) == RESULT_DONE) {
            next_us = now + (soon ? LOOK_SOON_US : look_every(m));
        } else {
            disconnect(m, &err);
            next_us = now + TRY_EVERY_US;
        }
    } while (rest(m, next_us));
    disconnect(m, NULL);
}

/* --- life --- */

struct pg_seats *store_pg_member_seats(struct store_member *m)
{
    return &m->seats;
}

int store_pg_member_begin(struct store_member *m, struct error *err)
{
    pthread_mutex_lock(&m->mutex);
    int rc = m->worker ? RESULT_DONE : worker_new(&m->worker, err);
    if (rc == RESULT_DONE && !worker_busy(m->worker)) {
        worker_submit(m->worker, keep, m);
    }
    pthread_mutex_unlock(&m->mutex);
    return rc;
}

static void set_keys(struct store_member *m)
{
    char text[24], part[PART_SIZE];
    m->key = store_pg_lock_key(m->home.pipeline, PART_WHOLE);
    buf_add_char(&m->keys, '{');
    for (int i = 0; i < m->seats.shards; i++) {
        part_text((struct part){i, m->seats.shards}, part);
        m->shard_key[i] = store_pg_lock_key(m->home.pipeline, part);
        snprintf(text, sizeof text, "%lld", (long long)m->shard_key[i]);
        pg_array_element(&m->keys, slice_from(text));
    }
    buf_add_char(&m->keys, '}');
}

int store_pg_member_new(const struct store_env *env, int shards, struct store_member **ret,
                        struct error *err)
{
    struct store_member *m = memory_need(calloc(1, sizeof *m));
    pthread_mutex_init(&m->mutex, NULL);
    store_pg_copy_env(&m->home, env, PART_WHOLE);
    int rc = pg_seats_init(&m->seats, shards, env->lease_us, err);
    set_keys(m);
    m->quit_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (rc == RESULT_DONE && m->quit_fd < 0) {
        rc = error_errno(err, "postgres", errno, "cannot make an eventfd");
    }
    if (rc) {
        store_pg_member_free(m);
        return RESULT_ERROR;
    }
    m->home.stop_fd = m->quit_fd;
    *ret = m;
    return RESULT_DONE;
}

void store_pg_member_free(struct store_member *m)
{
    if (!m) {
        return;
    }
    if (m->worker) {
        uint64_t one = 1;
        ssize_t n UNUSED = write(m->quit_fd, &one, sizeof one);
        worker_free(m->worker);
    }
    if (m->quit_fd >= 0) {
        close(m->quit_fd);
    }
    pg_seats_release(&m->seats);
    store_pg_release(&m->home);
    buf_release(&m->keys);
    pthread_mutex_destroy(&m->mutex);
    free(m);
}
