/*
 * The lease: a worker thread that keeps asking the server something. Only one thread at a time uses
 * the connection: the owner's until the worker runs, then the worker's until it has ended. What
 * both threads read is atomic.
 */
#include "store/postgres/lease.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/worker.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* So many questions (beats) are sent within a lease. */
enum { BEATS_PER_LEASE = 5 };
/* Without a lease the beats only notice that the connection was lost. */
static const int64_t BEAT_WITHOUT_LEASE_US = 10 * US_PER_SECOND;

struct pg_lease {
    struct pg *pg;
    struct worker *worker;
    int quit_fd; /* pg_lease_free writes to it to stop the worker */
    int64_t lease_us, beat_us;
    /* Only the worker uses it: when the last question was sent; monotonic. */
    int64_t asked_us;
    _Atomic int64_t proof_us; /* when the last question that was answered was sent; monotonic */
    atomic_bool lost;
};

int pg_lease_session(struct pg *pg, int64_t lease_us, struct error *err)
{
    char sql[320];
    long long ms = (long long)(lease_us / US_PER_MS);
    snprintf(sql, sizeof sql,
             "set idle_session_timeout = %lld; set idle_in_transaction_session_timeout = 0;"
             " set statement_timeout = 0; set tcp_keepalives_idle = 5;"
             " set tcp_keepalives_interval = 2; set tcp_keepalives_count = 3;"
             " set tcp_user_timeout = %lld",
             ms, ms);
    return pg_query(pg, sql, 0, NULL, NULL, err);
}

/* Receives what has come of the answer. ERROR: the connection cannot be used any more. The proof is
 * the time of sending, since the server's timeout may have begun right after that. */
static int take_answer(struct pg_lease *l, struct error *err)
{
    for (;;) {
        struct pg_result *r = NULL;
        int rc = pg_take(l->pg, &r, err);
        if (rc || !r) {
            if (rc == RESULT_DONE) {
                atomic_store(&l->proof_us, l->asked_us);
            }
            return rc;
        }
        pg_result_free(r);
    }
}

static int beat(struct pg_lease *l, struct error *err)
{
    if (pg_busy(l->pg)) {
        return take_answer(l, err);
    }
    if (!pg_alive(l->pg)) {
        return error_set(err, ERROR_RETRY, "postgres", "the connection was lost");
    }
    if (clock_mono_us() < l->asked_us + l->beat_us) {
        return RESULT_DONE;
    }
    l->asked_us = clock_mono_us();
    return pg_send(l->pg, "select 1", 0, NULL, false, err);
}

/* Waits until something is to be done. True: the owner wants the worker to end. */
static bool wait_for_news(struct pg_lease *l)
{
    struct poll_set set;
    poll_set_clear(&set);
    poll_set_add(&set, l->quit_fd, POLLIN);
    pg_poll_fds(l->pg, &set);
    if (!pg_alive(l->pg)) {
        poll_set_deadline(&set, clock_mono_us());
    } else if (!pg_busy(l->pg)) {
        poll_set_deadline(&set, l->asked_us + l->beat_us);
    }
    return poll_set_wait(&set) > 0 && set.fds[0].revents;
}

static void keep(void *arg)
{
    struct pg_lease *l = arg;
    struct error err;
    while (!wait_for_news(l)) {
        if (beat(l, &err) == RESULT_ERROR) {
            atomic_store(&l->lost, true);
            return;
        }
    }
}

int pg_lease_new(struct pg *locked, int64_t lease_us, struct pg_lease **ret, struct error *err)
{
    struct pg_lease *l = memory_need(calloc(1, sizeof *l));
    *l = (struct pg_lease){.pg = locked, .lease_us = lease_us, .asked_us = clock_mono_us()};
    l->beat_us = lease_us ? lease_us / BEATS_PER_LEASE : BEAT_WITHOUT_LEASE_US;
    atomic_init(&l->proof_us, l->asked_us);
    l->quit_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int rc = l->quit_fd < 0 ? error_errno(err, "postgres", errno, "cannot make an eventfd")
                            : pg_lease_session(locked, lease_us, err);
    if (rc == RESULT_DONE) {
        rc = worker_new(&l->worker, err);
    }
    if (rc) {
        pg_lease_free(l);
        return RESULT_ERROR;
    }
    worker_submit(l->worker, keep, l);
    *ret = l;
    return RESULT_DONE;
}

bool pg_lease_held(const struct pg_lease *l)
{
    return !atomic_load(&l->lost) &&
           (l->lease_us == 0 || clock_mono_us() < atomic_load(&l->proof_us) + l->lease_us);
}

void pg_lease_free(struct pg_lease *l)
{
    if (!l) {
        return;
    }
    if (l->worker) {
        uint64_t one = 1;
        ssize_t n UNUSED = write(l->quit_fd, &one, sizeof one);
        worker_free(l->worker);
    }
    if (l->quit_fd >= 0) {
        close(l->quit_fd);
    }
    pg_close(l->pg);
    free(l);
}
