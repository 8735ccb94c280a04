/*
 * Reads big-endian numbers and strings from bytes that came from outside, such as a message of the
 * replication stream.
 *
 * When a read asks for more bytes than are left, `failed` is set, and every later read gives zero
 * or a null slice. So a decoder reads all fields of a message and looks at `failed` once, at the
 * end. It must look before it uses what it read: the zeros are not the sender's.
 *
 * A plain struct that the caller owns. It borrows the bytes, and so does all that it returns:
 * nothing is allocated or copied. One thread at a time.
 */
#pragma once

#include "base/slice.h"
#include <stdbool.h>
#include <stdint.h>

struct reader {
    const char *start, *pos, *end;
    bool failed; /* a read went past the end */
};

/* Starts at the first byte. A null slice is read as one without bytes. */
static inline struct reader reader_from(struct slice s)
{
    return (struct reader){s.ptr, s.ptr, s.ptr ? s.ptr + s.len : NULL, false};
}

/* Bytes not yet read. */
static inline size_t reader_left(const struct reader *r)
{
    return (size_t)(r->end - r->pos);
}

/* Where the reader stands, counted from the first byte: for error texts. */
static inline size_t reader_offset(const struct reader *r)
{
    return (size_t)(r->pos - r->start);
}

/* Numbers, big-endian. 0 after an underflow. */
uint8_t reader_u8(struct reader *r);
uint16_t reader_u16(struct reader *r);
uint32_t reader_u32(struct reader *r);
uint64_t reader_u64(struct reader *r);

/* The next n bytes, borrowed from the input. A null slice after an underflow. */
struct slice reader_bytes(struct reader *r, size_t n);

/* A string that ends with a NUL, borrowed and without the NUL. A null slice, and `failed`, if no
 * NUL comes. */
struct slice reader_cstring(struct reader *r);
