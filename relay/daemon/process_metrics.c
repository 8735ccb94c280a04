/* Memory and descriptors are read from /proc/self (proc(5)), the rest by system calls. */
#include "daemon/process_metrics.h"

#include "base/clock.h"
#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* What the kernel does not tell is negative. */
struct process {
    double cpu_s, open_fds, max_fds, resident_bytes, virtual_bytes, started_s;
};

static const struct {
    const char *name, *type, *help;
    size_t offset;
} fields[] = {
#define FIELD(name, type, field, help)                               \
    {                                                                \
        "process_" name, type, help, offsetof(struct process, field) \
    }
    FIELD("cpu_seconds_total", "counter", cpu_s, "CPU time used, user and system"),
    FIELD("open_fds", "gauge", open_fds, "Open file descriptors"),
    FIELD("max_fds", "gauge", max_fds, "Most file descriptors that may be open"),
    FIELD("resident_memory_bytes", "gauge", resident_bytes, "Memory that is in RAM"),
    FIELD("virtual_memory_bytes", "gauge", virtual_bytes, "Address space"),
    FIELD("start_time_seconds", "gauge", started_s, "When the process started (Unix time)"),
#undef FIELD
};

static double cpu_seconds(void)
{
    struct rusage used;
    if (getrusage(RUSAGE_SELF, &used)) {
        return -1;
    }
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / US_PER_SECOND;
}

static double most_descriptors(void)
{
    struct rlimit limit;
    bool limited = getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
    return limited ? (double)limit.rlim_cur : -1;
}

static double open_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    if (!dir) {
        return -1;
    }
    double entries = 0;
    while (readdir(dir)) {
        entries++;
    }
    closedir(dir);
    return entries - 3; /* "." and ".." and the one that reads */
}

static void read_memory(struct process *p)
{
    char line[256], *end;
    double page = (double)sysconf(_SC_PAGESIZE);
    FILE *f = fopen("/proc/self/statm", "re");
    if (f && fgets(line, sizeof line, f)) { /* "all resident ...", in pages */
        p->virtual_bytes = (double)strtoull(line, &end, 10) * page;
        p->resident_bytes = (double)strtoull(end, NULL, 10) * page;
    }
    if (f) {
        fclose(f);
    }
}

void process_metrics(struct buf *out, double started_s)
{
    struct process p = {.cpu_s = cpu_seconds(),
                        .open_fds = open_descriptors(),
                        .max_fds = most_descriptors(),
                        .resident_bytes = -1,
                        .virtual_bytes = -1,
                        .started_s = started_s};
    read_memory(&p);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        double value;
        memcpy(&value, (const char *)&p + fields[i].offset, sizeof value);
        if (value >= 0) {
            buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n%s %.17g\n", fields[i].name,
                       fields[i].help, fields[i].name, fields[i].type, fields[i].name, value);
        }
    }
}

void process_metrics_reference(struct buf *out)
{
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        buf_printf(out, "| `%s` | %s | %s |\n", fields[i].name, fields[i].type, fields[i].help);
    }
}
