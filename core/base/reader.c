/* Reads numbers and strings from foreign bytes. A length is compared with what is left before the
 * pointer moves: a pointer plus a foreign length could overflow and pass the check. */
#include "base/reader.h"

/* The next n bytes; NULL, and `failed` for good, if there are fewer. */
static const char *take(struct reader *r, size_t n)
{
    if (r->failed || reader_left(r) < n) {
        r->failed = true;
        return NULL;
    }
    const char *p = r->pos;
    r->pos += n;
    return p;
}

static uint64_t big_endian(struct reader *r, size_t n)
{
    const char *p = take(r, n);
    uint64_t v = 0;
    for (size_t i = 0; p && i < n; i++) {
        v = v << 8 | (uint8_t)p[i];
    }
    return v;
}

uint8_t reader_u8(struct reader *r)
{
    return (uint8_t)big_endian(r, 1);
}

uint16_t reader_u16(struct reader *r)
{
    return (uint16_t)big_endian(r, 2);
}

uint32_t reader_u32(struct reader *r)
{
    return (uint32_t)big_endian(r, 4);
}

uint64_t reader_u64(struct reader *r)
{
    return big_endian(r, 8);
}

struct slice reader_bytes(struct reader *r, size_t n)
{
    const char *p = take(r, n);
    return p ? (struct slice){p, n} : SLICE_NULL;
}

struct slice reader_cstring(struct reader *r)
{
    const char *nul = r->failed || r->pos == r->end ? NULL : memchr(r->pos, '\0', reader_left(r));
    if (!nul) {
        r->failed = true;
        return SLICE_NULL;
    }
    struct slice s = {r->pos, (size_t)(nul - r->pos)};
    r->pos = nul + 1;
    return s;
}
