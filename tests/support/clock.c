/* Preloaded into a relay by clock.py: the wall clock runs ahead by as many seconds as stand in the
 * file that COMMITRELAY_TEST_CLOCK names (an int64_t), at every moment. The monotonic clock stays
 * as it is.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *ahead;

__attribute__((constructor)) static void find(void)
{
    const char *path = getenv("COMMITRELAY_TEST_CLOCK");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *map = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *ahead, PROT_READ, MAP_SHARED, fd, 0);
    ahead = map == MAP_FAILED ? NULL : map;
    if (fd >= 0) {
        close(fd);
    }
}

int clock_gettime(clockid_t id, struct timespec *ret_now)
{
    int rc = (int)syscall(SYS_clock_gettime, id, ret_now);
    if (rc == 0 && ahead && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) {
        ret_now->tv_sec += *ahead;
    }
    return rc;
}

int gettimeofday(struct timeval *restrict ret_now, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    int rc = clock_gettime(CLOCK_REALTIME, &now);
    *ret_now = (struct timeval){.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
    return rc;
}

time_t time(time_t *ret_now)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    if (ret_now) {
        *ret_now = now.tv_sec;
    }
    return now.tv_sec;
}
