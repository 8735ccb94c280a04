/*
 * Reads TZif files: a list of the times at which the clock was changed, and behind it a rule in
 * POSIX notation for the time after the last of them ("CET-1CEST,M3.5.0,M10.5.0/3").
 */
#include "value/zone.h"

#include "base/civil.h"
#include "base/memory.h"
#include "value/posix_zone.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FOLDER "/usr/share/zoneinfo/"
enum { HEADER_SIZE = 44, FILE_MAX = 256 * 1024 };

struct zone {
    int64_t *times;   /* when the clock was changed, ascending */
    int64_t *offsets; /* since then; one for each of `times` */
    size_t count;
    int64_t first_offset;   /* before the first of `times` */
    struct posix_zone rule; /* behind the last of them */
    bool has_rule;
};

/* The counts of a TZif header, in the order of the file. */
struct header {
    uint32_t utc_local, standard, leaps, times, types, chars;
};

static uint64_t big_endian(const char *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++) {
        v = v << 8 | (unsigned char)p[i];
    }
    return v;
}

static bool take(struct slice *rest, size_t n, const char **ret)
{
    if (rest->len < n) {
        return false;
    }
    *ret = rest->ptr;
    *rest = (struct slice){rest->ptr + n, rest->len - n};
    return true;
}

static bool take_header(struct slice *rest, struct header *ret)
{
    const char *p;
    uint32_t *counts[] = {&ret->utc_local, &ret->standard, &ret->leaps,
                          &ret->times,     &ret->types,    &ret->chars};
    if (!take(rest, HEADER_SIZE, &p) || memcmp(p, "TZif", 4) != 0 || p[4] < '2') {
        return false;
    }
    for (size_t i = 0; i < 6; i++) {
        *counts[i] = (uint32_t)big_endian(p + 20 + 4 * i, 4);
        if (*counts[i] > FILE_MAX) {
            return false;
        }
    }
    return ret->types > 0;
}

/* The size of what follows a header, with times of so many bytes. */
static size_t body_size(const struct header *h, size_t time_size)
{
    return h->times * (time_size + 1) + h->types * (size_t)6 + h->chars +
           h->leaps * (time_size + 4) + h->standard + h->utc_local;
}

/* The times of the file, with the offset of each. */
static bool read_times(const struct header *h, const char *body, struct zone *z)
{
    const char *kinds = body + (size_t)8 * h->times, *types = kinds + h->times;
    z->times = memory_need(calloc(h->times + 1, sizeof *z->times));
    z->offsets = memory_need(calloc(h->times + 1, sizeof *z->offsets));
    z->first_offset = (int32_t)(uint32_t)big_endian(types, 4);
    for (; z->count < h->times; z->count++) {
        size_t i = z->count;
        unsigned kind = (unsigned char)kinds[i];
        z->times[i] = (int64_t)big_endian(body + 8 * i, 8);
        if (kind >= h->types || (i > 0 && z->times[i] <= z->times[i - 1])) {
            return false;
        }
        z->offsets[i] = (int32_t)(uint32_t)big_endian(types + 6 * (size_t)kind, 4);
    }
    return true;
}

/* The part of version 1 is passed over; the one of version 2 behind it has times of 64 bits. */
static bool parse(struct slice rest, struct zone *z)
{
    struct header h;
    const char *body;
    if (!take_header(&rest, &h) || !take(&rest, body_size(&h, 4), &body) ||
        !take_header(&rest, &h) || !take(&rest, body_size(&h, 8), &body) ||
        !read_times(&h, body, z)) {
        return false;
    }
    if (rest.len < 2 || rest.ptr[0] != '\n' || rest.ptr[rest.len - 1] != '\n') {
        return false;
    }
    struct slice rule = {rest.ptr + 1, rest.len - 2};
    z->has_rule = rule.len > 0;
    return !z->has_rule || posix_zone_read(rule, &z->rule);
}

void zone_free(struct zone *z)
{
    if (z) {
        free(z->times);
        free(z->offsets);
        free(z);
    }
}

int zone_from(struct slice tzif, const char *name, struct zone **ret, struct error *err)
{
    struct zone *z = memory_need(calloc(1, sizeof *z));
    if (!parse(tzif, z)) {
        zone_free(z);
        return error_set(
            err, ERROR_CONFIG, "zone",
            "the file of the time zone %s is damaged; install the package tzdata again", name);
    }
    *ret = z;
    return RESULT_DONE;
}

/* A name must not lead out of the folder. */
static bool is_name(const char *name)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-/";
    return name[0] && name[0] != '/' && strspn(name, allowed) == strlen(name) &&
           strlen(name) <= 100;
}

static void cleanup_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
}

static void cleanup_text(char **text)
{
    free(*text);
}

int zone_open(const char *name, struct zone **ret, struct error *err)
{
    if (strcmp(name, "UTC") == 0) {
        *ret = memory_need(calloc(1, sizeof **ret));
        return RESULT_DONE;
    }
    char path[sizeof FOLDER + 100];
    snprintf(path, sizeof path, FOLDER "%.100s", name);
    CLEANUP(cleanup_fd) int fd = is_name(name) ? open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC) : -1;
    CLEANUP(cleanup_text) char *bytes = memory_need(malloc(FILE_MAX));
    ssize_t n = fd < 0 ? -1 : read(fd, bytes, FILE_MAX);
    if (n < 0) {
        return error_set(err, ERROR_CONFIG, "zone",
                         "there is no time zone `%.100s`: name one of " FOLDER
                         " (package tzdata), such as Europe/Berlin, or UTC",
                         name);
    }
    return zone_from((struct slice){bytes, (size_t)n}, name, ret, err);
}

/* Behind the last of the times: what the rule says, not before `since`. */
static struct zone_stretch by_rule(const struct zone *z, int64_t time, int64_t since,
                                   int64_t before)
{
    struct zone_stretch s = posix_zone_stretch(&z->rule, time);
    if (s.start <= since) {
        s.start = since;
        s.before = before;
    }
    return s;
}

struct zone_stretch zone_stretch_at(const struct zone *z, int64_t time)
{
    size_t from = 0, to = z->count; /* the first of the times behind `time` */
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (z->times[middle] <= time) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    int64_t offset = from ? z->offsets[from - 1] : z->first_offset;
    int64_t before = from > 1 ? z->offsets[from - 2] : z->first_offset;
    int64_t start = from ? z->times[from - 1] : INT64_MIN;
    if (from == z->count && z->has_rule) {
        return by_rule(z, time, start, from ? before : offset);
    }
    return (struct zone_stretch){.start = start,
                                 .end = from < z->count ? z->times[from] : INT64_MAX,
                                 .offset = offset,
                                 .before = before};
}
