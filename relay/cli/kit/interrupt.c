/* Turns SIGINT and SIGTERM into a readable descriptor, so that an interrupted command can finish
 * what it is doing and report it, instead of being ended in the middle. */
#include "cli/kit/interrupt.h"

#include "base/result.h"

#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/signalfd.h>
#include <unistd.h>

static sigset_t both(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    return set;
}

int interrupt_open(void)
{
    sigset_t set = both();
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd >= 0) {
        sigprocmask(SIG_BLOCK, &set, NULL);
    }
    return fd;
}

void interrupt_release(int fd)
{
    struct signalfd_siginfo taken;
    sigset_t set = both();
    ssize_t n UNUSED = read(fd, &taken, sizeof taken); /* else it would end the process now */
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

bool interrupted(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, 0) > 0;
}
