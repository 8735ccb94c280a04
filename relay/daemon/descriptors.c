/* Estimates how many descriptors the pipelines need, so that a limit that is too low is reported at
 * the start, together with the number that is enough. */
#include "daemon/descriptors.h"

#include "base/log.h"
#include "daemon/registry.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* The numbers were counted on running relays. OF_PROCESS: standard streams, signals, end of
 * threads, two listening sockets with epoll and spare descriptor, and some connections to them.
 * OF_PIPELINE: connections (or database files) for source, store and marks, and the stop eventfd;
 * the sink's are added. LEAST: below these nothing works. */
enum { OF_PROCESS = 24, OF_PIPELINE = 6, LEAST_OF_PROCESS = 8, LEAST_OF_PIPELINE = 3 };

static bool chosen(const char *name, const char *const *only, size_t only_count)
{
    bool found = only_count == 0;
    for (size_t i = 0; i < only_count; i++) {
        found = found || strcmp(only[i], name) == 0;
    }
    return found;
}

static size_t of_sink(const struct conf_pipeline *p)
{
    const struct sink_ops *ops = registry_sink(p->sink->name);
    return ops->descriptors ? ops->descriptors(p->sink_conf) : SINK_DESCRIPTORS;
}

static rlim_t raise_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit)) {
        return RLIM_INFINITY;
    }
    if (limit.rlim_cur < limit.rlim_max) {
        struct rlimit raised = {limit.rlim_max, limit.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &raised) == 0) {
            return raised.rlim_cur;
        }
    }
    return limit.rlim_cur;
}

int descriptors_prepare(const struct config *c, const char *const *only, size_t only_count,
                        struct error *err)
{
    size_t pipelines = 0, needed = OF_PROCESS;
    for (size_t i = 0; i < c->pipelines_count; i++) {
        if (chosen(c->pipelines[i].name, only, only_count)) {
            pipelines++;
            needed += OF_PIPELINE + of_sink(&c->pipelines[i]);
        }
    }
    rlim_t limit = raise_limit();
    if (limit < LEAST_OF_PROCESS + LEAST_OF_PIPELINE * pipelines) {
        return error_exit(
            err, ERROR_FATAL, EXIT_CODE_BUG, "daemon",
            "the limit of open files is %llu, and no descriptors would be left for %zu pipelines, which need about %zu: raise the hard limit (LimitNOFILE, ulimit -Hn)",
            (unsigned long long)limit, pipelines, needed);
    }
    if (limit < needed) {
        log_write(
            LOG_WARN, NULL,
            "the limit of open files is %llu, and %zu pipelines need about %zu: some of them may wait for a descriptor; raise the hard limit (LimitNOFILE, ulimit -Hn)",
            (unsigned long long)limit, pipelines, needed);
    }
    return RESULT_DONE;
}

int descriptors_spare(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

bool descriptors_used_up(void)
{
    int fd = descriptors_spare();
    bool none = fd < 0 && (errno == EMFILE || errno == ENFILE);
    if (fd >= 0) {
        close(fd);
    }
    return none;
}
