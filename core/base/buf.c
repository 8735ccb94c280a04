/* The byte buffer. Its memory doubles when it is full, so that a text made of many small pieces is
 * copied only a few times. */
#include "base/buf.h"

#include "base/memory.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void buf_release(struct buf *b)
{
    free(b->data);
    *b = (struct buf){0};
}

void buf_truncate(struct buf *b, size_t len)
{
    b->len = len;
    if (b->data) {
        b->data[len] = '\0';
    }
}

void buf_clear(struct buf *b)
{
    buf_truncate(b, 0);
}

void buf_trim(struct buf *b, size_t most)
{
    if (b->cap > most) {
        buf_release(b);
    } else {
        buf_clear(b);
    }
}

void buf_reserve(struct buf *b, size_t more)
{
    size_t need;
    if (__builtin_add_overflow(b->len, more, &need) || __builtin_add_overflow(need, 1, &need)) {
        abort();
    }
    if (need <= b->cap) {
        return;
    }
    size_t cap = b->cap ? b->cap : 128;
    while (cap < need) {
        cap = cap > SIZE_MAX / 2 ? need : cap * 2;
    }
    char *data = memory_need(realloc(b->data, cap));
    b->data = data;
    b->cap = cap;
}

void buf_add_str(struct buf *b, const char *str)
{
    buf_add(b, str, strlen(str));
}

void buf_add_u64(struct buf *b, uint64_t v)
{
    char digits[20];
    size_t n = sizeof digits;
    do {
        digits[--n] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    buf_add(b, digits + n, sizeof digits - n);
}

void buf_add_replacing(struct buf *b, const char *text, const char *token, const char *with)
{
    const char *found;
    while ((found = strstr(text, token)) != NULL) {
        buf_add(b, text, (size_t)(found - text));
        buf_add_str(b, with);
        text = found + strlen(token);
    }
    buf_add_str(b, text);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    /* The first vsnprintf only measures, the second one writes. */
    va_list ap;
    va_start(ap, fmt);
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n > 0) {
        buf_reserve(b, (size_t)n);
        vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
}
