/*
 * A borrowed piece of memory: pointer and length, no terminator, no ownership.
 * `ptr == NULL` means absent (SQL null); an empty string has a pointer and length 0.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct slice {
    const char *ptr;
    size_t len;
};

#define SLICE_NULL ((struct slice){NULL, 0})
#define SLICE_LITERAL(s) ((struct slice){"" s, sizeof(s) - 1})
/* For printf: "%.*s", SLICE_FMT(s). A null slice prints nothing. */
#define SLICE_FMT(s) (int)(s).len, ((s).ptr ? (s).ptr : "")

static inline struct slice slice_from(const char *str)
{
    return (struct slice){str, str ? strlen(str) : 0};
}

static inline bool slice_is_null(struct slice s)
{
    return s.ptr == NULL;
}

static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool slice_equal_str(struct slice a, const char *str)
{
    return slice_equal(a, slice_from(str));
}
