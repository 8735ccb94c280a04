/*
 * A borrowed piece of memory: a pointer and a length. It is not followed by a NUL, and it does not
 * own the memory: who hands out a slice says how long it is valid.
 *
 * `ptr == NULL` means absent (SQL null); an empty string has a pointer and length 0.
 * Plain values: any thread, nothing is allocated, nothing fails.
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
/* Of a string literal, without its NUL. */
#define SLICE_LITERAL(s) ((struct slice){"" s, sizeof(s) - 1})
/* For printf: "%.*s", SLICE_FMT(s). A null slice prints nothing. The length is cut to an int, and
 * printf stops at a NUL byte. */
#define SLICE_FMT(s) (int)(s).len, ((s).ptr ? (s).ptr : "")

/* Of a C string, without its NUL; NULL gives a null slice. */
static inline struct slice slice_from(const char *str)
{
    return (struct slice){str, str ? strlen(str) : 0};
}

static inline bool slice_is_null(struct slice s)
{
    return s.ptr == NULL;
}

/* Whether the bytes are equal. A null slice and an empty one are equal here. */
static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool slice_equal_str(struct slice a, const char *str)
{
    return slice_equal(a, slice_from(str));
}
