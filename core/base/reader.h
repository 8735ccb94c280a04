/*
 * Reads big-endian numbers and strings from bytes that came from outside. The first underflow
 * sticks: every later read gives zero or a null slice, and `failed` tells at the end, so that a
 * decoder checks once a message instead of once a field. Lengths are compared with what remains,
 * never added to a pointer first.
 */
#pragma once

#include "base/slice.h"
#include <stdbool.h>
#include <stdint.h>

struct reader {
    const char *start, *pos, *end;
    bool failed;
};

static inline struct reader reader_from(struct slice s)
{
    return (struct reader){s.ptr, s.ptr, s.ptr ? s.ptr + s.len : NULL, false};
}

static inline size_t reader_left(const struct reader *r)
{
    return (size_t)(r->end - r->pos);
}

/* Where the reader stands, counted from the first byte: for error texts. */
static inline size_t reader_offset(const struct reader *r)
{
    return (size_t)(r->pos - r->start);
}

uint8_t reader_u8(struct reader *r);
uint16_t reader_u16(struct reader *r);
uint32_t reader_u32(struct reader *r);
uint64_t reader_u64(struct reader *r);

/* n bytes, borrowed from the input. */
struct slice reader_bytes(struct reader *r, size_t n);

/* A NUL-terminated string, without its NUL, borrowed. */
struct slice reader_cstring(struct reader *r);
