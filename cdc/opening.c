/* The thread that opens a snapshot. It owns all of struct opening until it has written done_fd. */
#include "cdc/opening.h"

#include "base/memory.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct opening {
    struct snapshot_options opt;
    struct snapshot_request request; /* copies */
    pthread_t thread;
    int done_fd;
    int rc;
    struct snapshot *snapshot;
    struct error err;
};

static void *thread_main(void *arg)
{
    struct opening *o = arg;
    o->rc = snapshot_open(&o->opt, &o->snapshot, &o->err);
    eventfd_write(o->done_fd, 1);
    return NULL;
}

static void release(struct opening *o)
{
    if (o->done_fd >= 0) {
        close(o->done_fd);
    }
    free(o->request.tables);
    free(o->request.id);
    free(o->request.where);
    free(o->request.place);
    free(o);
}

static int start_thread(struct opening *o)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&o->thread, NULL, thread_main, o);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return rc;
}

int opening_begin(const struct snapshot_options *opt, struct opening **ret, struct error *err)
{
    struct opening *o = memory_need(calloc(1, sizeof *o));
    o->opt = *opt;
    o->request = (struct snapshot_request){.tables = memory_need(strdup(opt->request->tables)),
                                           .id = memory_need(strdup(opt->request->id)),
                                           .where = memory_need(strdup(opt->request->where)),
                                           .place = memory_need(strdup(opt->request->place))};
    o->opt.request = &o->request;
    o->opt.state = slice_from(o->request.place);
    o->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (o->done_fd < 0 || start_thread(o)) {
        release(o);
        return error_set(err, ERROR_RETRY, "cdc",
                         "no thread or descriptor can be had to open a snapshot");
    }
    *ret = o;
    return RESULT_DONE;
}

int opening_take(struct opening **o, struct snapshot **ret, struct error *err)
{
    struct opening *mine = *o;
    eventfd_t n;
    if (eventfd_read(mine->done_fd, &n)) {
        return RESULT_AGAIN;
    }
    pthread_join(mine->thread, NULL);
    int rc = mine->rc;
    if (rc) {
        *err = mine->err;
    } else {
        *ret = mine->snapshot;
    }
    release(mine);
    *o = NULL;
    return rc;
}

void opening_poll_fds(const struct opening *o, struct poll_set *set)
{
    poll_set_add(set, o->done_fd, POLLIN);
}

void opening_end(struct opening *o)
{
    if (!o) {
        return;
    }
    pthread_join(o->thread, NULL);
    if (o->rc == RESULT_DONE) {
        snapshot_close(o->snapshot);
    }
    release(o);
}
