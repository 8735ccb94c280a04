/* A helper thread that runs one job at a time. The owner puts a job under the lock and wakes the
 * thread; the thread runs it and writes to an eventfd, which the owner polls. */
#include "base/worker.h"
#include "base/clock.h"
#include "base/memory.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* The longest wait in one go: poll counts in an int of milliseconds. */
static const int64_t LOOK_US = 60 * US_PER_SECOND;

struct worker {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    void (*fn)(void *); /* under lock: the job that waits or runs */
    void *arg;
    bool quit;            /* under lock: end when no job waits */
    void (*drop)(void *); /* under lock: the job was left behind, and nobody waits for the thread */
    int done_fd;          /* written by the worker's thread */
    bool busy;            /* only the owner's thread uses it */
};

static void release(struct worker *w)
{
    close(w->done_fd);
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

/* The worker's thread. `quit` is looked at only when no job waits, so a job that was submitted
 * always runs to its end. */
static void *run(void *arg)
{
    struct worker *w = arg;
    pthread_mutex_lock(&w->lock);
    while (true) {
        while (!w->fn && !w->quit) {
            pthread_cond_wait(&w->wake, &w->lock);
        }
        if (!w->fn) {
            break;
        }
        void (*fn)(void *) = w->fn;
        pthread_mutex_unlock(&w->lock);
        fn(w->arg);
        pthread_mutex_lock(&w->lock);
        w->fn = NULL;
        uint64_t one = 1;
        ssize_t n UNUSED = write(w->done_fd, &one, sizeof one);
        assert(n == (ssize_t)sizeof one);
    }
    void (*drop)(void *) = w->drop;
    pthread_mutex_unlock(&w->lock);
    if (drop) {
        drop(w->arg);
        release(w);
    }
    return NULL;
}

/* Signals are blocked before the thread exists, because it inherits the mask. Otherwise SIGTERM
 * could be delivered to this thread and kill the process, instead of waiting in the main thread's
 * signalfd. */
static int start_thread(struct worker *w)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&w->thread, NULL, run, w);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return rc;
}

int worker_new(struct worker **ret, struct error *err)
{
    struct worker *w = memory_need(calloc(1, sizeof *w));
    w->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (w->done_fd < 0) {
        error_errno(err, "worker", errno, "cannot make a helper thread's eventfd");
        free(w);
        return RESULT_ERROR;
    }
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->wake, NULL);
    int rc = start_thread(w);
    if (rc) {
        error_errno(err, "worker", rc, "cannot start a helper thread");
        close(w->done_fd);
        free(w);
        return RESULT_ERROR;
    }
    *ret = w;
    return RESULT_DONE;
}

void worker_submit(struct worker *w, void (*fn)(void *arg), void *arg)
{
    assert(!w->busy);
    w->busy = true;
    pthread_mutex_lock(&w->lock);
    w->fn = fn;
    w->arg = arg;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
}

bool worker_busy(const struct worker *w)
{
    return w->busy;
}

int worker_fd(const struct worker *w)
{
    return w->busy ? w->done_fd : -1;
}

bool worker_take_end(struct worker *w)
{
    uint64_t n;
    if (!w->busy || read(w->done_fd, &n, sizeof n) != (ssize_t)sizeof n) {
        return false;
    }
    w->busy = false;
    return true;
}

void worker_wait(struct worker *w)
{
    (void)worker_wait_at_most(w, DEADLINE_NEVER);
}

bool worker_wait_at_most(struct worker *w, int64_t wait_us)
{
    int64_t begun_us = clock_mono_us();
    while (w && w->busy && !worker_take_end(w)) {
        int64_t left_us = wait_us - (clock_mono_us() - begun_us);
        if (left_us <= 0) {
            return false;
        }
        struct pollfd p = {.fd = w->done_fd, .events = POLLIN};
        poll(&p, 1,
             left_us < LOOK_US ? (int)(left_us / US_PER_MS) + 1 : (int)(LOOK_US / US_PER_MS));
    }
    return true;
}

void worker_free(struct worker *w)
{
    if (!w) {
        return;
    }
    pthread_mutex_lock(&w->lock);
    w->quit = true;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    release(w);
}

bool worker_end(struct worker *w, int64_t wait_us, void (*drop)(void *arg))
{
    if (worker_wait_at_most(w, wait_us)) {
        worker_free(w);
        return true;
    }
    pthread_mutex_lock(&w->lock);
    bool runs = w->fn != NULL;
    if (runs) {
        w->quit = true;
        w->drop = drop;
        pthread_detach(w->thread);
    }
    pthread_mutex_unlock(&w->lock);
    if (!runs) { /* it has ended just now */
        worker_free(w);
    }
    return !runs;
}
