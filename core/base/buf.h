/*
 * A growing byte buffer for text that is put together piece by piece. A struct of zeros is an empty
 * buffer.
 *
 * The buffer belongs to whoever embeds it, and its memory to the buffer. One thread at a time. When
 * memory runs out the process aborts (see arena.h), so no function here can fail.
 *
 * From the first buf_add on a NUL follows the text; `len` does not count it. Before that there is
 * none: after buf_reserve alone the memory is uninitialised, and buf_str must not be read.
 */
#pragma once

#include "base/result.h"
#include "base/slice.h"
#include <stdint.h>

struct buf {
    char *data;      /* NULL until something was added or reserved */
    size_t len, cap; /* bytes of text, bytes at data */
};

/* Frees the memory. The buffer is empty then and may be used again. */
void buf_release(struct buf *b);

/* Empties the buffer and keeps its memory. */
void buf_clear(struct buf *b);

/* Empties the buffer, and frees its memory if that is more than `most` bytes: one large text, once
 * sent, does not stay in memory for good. */
void buf_trim(struct buf *b, size_t most);

/* Drops what is behind `len`, which is at most b->len. */
void buf_truncate(struct buf *b, size_t len);

/* Makes room for `more` bytes behind the text, and for a NUL. `len` stays, and nothing is written.
 */
void buf_reserve(struct buf *b, size_t more);

/* These append. They may move the memory, so what they append must not lie in the buffer itself,
 * and pointers into it are no longer valid. A null slice appends nothing. The first three are
 * inline because JSON is put together of pieces of a few bytes. */
static inline void buf_add(struct buf *b, const void *bytes, size_t n)
{
    if (b->cap - b->len <= n) { /* with the NUL */
        buf_reserve(b, n);
    }
    if (n) {
        memcpy(b->data + b->len, bytes, n);
    }
    b->len += n;
    b->data[b->len] = '\0';
}
static inline void buf_add_slice(struct buf *b, struct slice s)
{
    buf_add(b, s.ptr, s.len);
}
static inline void buf_add_char(struct buf *b, char c)
{
    buf_add(b, &c, 1);
}
void buf_add_str(struct buf *b, const char *str);
void buf_add_u64(struct buf *b, uint64_t v); /* in decimal */
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Appends `text` with `with` in the place of each `token`, which is not empty. What was put in is
 * not looked at again. */
void buf_add_replacing(struct buf *b, const char *text, const char *token, const char *with);

/* The text, borrowed; never a null slice. Valid until the next change. */
static inline struct slice buf_slice(const struct buf *b)
{
    return (struct slice){b->data ? b->data : "", b->len};
}

/* The text as a C string, borrowed; "" before anything was added or reserved. Valid until the next
 * change. */
static inline const char *buf_str(const struct buf *b)
{
    return b->data ? b->data : "";
}
