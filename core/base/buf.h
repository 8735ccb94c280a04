/*
 * A growing byte buffer for text that is put together piece by piece. Owner: whoever embeds it; one
 * thread. The contents are always followed by a NUL that `len` does not count. Memory running out
 * aborts (see arena.h).
 */
#pragma once

#include "base/result.h"
#include "base/slice.h"
#include <stdint.h>

struct buf {
    char *data; /* NULL until something was added */
    size_t len, cap;
};

void buf_release(struct buf *b);
void buf_clear(struct buf *b);                /* len 0, memory kept */
void buf_truncate(struct buf *b, size_t len); /* drops what is behind; len is at most b->len */
void buf_reserve(struct buf *b, size_t more);
void buf_add(struct buf *b, const void *bytes, size_t n);
void buf_add_slice(struct buf *b, struct slice s);
void buf_add_str(struct buf *b, const char *str);
void buf_add_char(struct buf *b, char c);
void buf_add_u64(struct buf *b, uint64_t v);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);

static inline struct slice buf_slice(const struct buf *b)
{
    return (struct slice){b->data ? b->data : "", b->len};
}

/* The text as a C string; "" while empty. Valid until the next change. */
static inline const char *buf_str(const struct buf *b)
{
    return b->data ? b->data : "";
}
