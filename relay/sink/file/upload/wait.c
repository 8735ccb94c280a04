/* Sleeping in poll on an eventfd, so that a descriptor can be waited for at the same time. */
#include "sink/file/upload/wait.h"

#include "base/clock.h"
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

int upload_wait_init(struct upload_wait *w, struct error *err)
{
    atomic_init(&w->stop, false);
    w->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return w->fd < 0
               ? error_errno(err, "upload", errno, "cannot make the eventfd of an upload's thread")
               : RESULT_DONE;
}

void upload_wait_release(struct upload_wait *w)
{
    if (w->fd >= 0) {
        close(w->fd);
    }
    w->fd = -1;
}

void upload_wait_wake(struct upload_wait *w)
{
    uint64_t one = 1;
    ssize_t n UNUSED = write(w->fd, &one, sizeof one);
}

void upload_wait_stop(struct upload_wait *w)
{
    atomic_store(&w->stop, true);
    upload_wait_wake(w);
}

bool upload_wait_stopped(struct upload_wait *w)
{
    return atomic_load(&w->stop);
}

bool upload_wait_for(struct upload_wait *w, int fd, int64_t us)
{
    struct pollfd fds[] = {{.fd = w->fd, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
    int64_t ms = us == DEADLINE_NEVER ? -1 : us <= 0 ? 0 : us / US_PER_MS + 1;
    uint64_t n;
    if (upload_wait_stopped(w)) {
        return true;
    }
    poll(fds, 2, ms > INT_MAX ? INT_MAX : (int)ms);
    return read(w->fd, &n, sizeof n) == sizeof n;
}
