/* What stands for a masked value. */
#include "message/mask/internal.h"

#include "base/utf8.h"
#include "value/digest.h"

enum { SHOWN_CHARACTERS = 4 };

/* Where the last four characters begin; 0 if there are not more than four. A byte that is no UTF-8
 * counts as a character. */
static size_t last_characters(struct slice text)
{
    size_t begins[SHOWN_CHARACTERS] = {0}, count = 0;
    for (size_t at = 0; at < text.len; count++) {
        size_t n = utf8_sequence(text.ptr + at, text.ptr + text.len);
        begins[count % SHOWN_CHARACTERS] = at;
        at += n ? n : 1;
    }
    return count > SHOWN_CHARACTERS ? begins[count % SHOWN_CHARACTERS] : 0;
}

static struct slice last4(struct slice text, struct arena *arena)
{
    static const char stars[] = "****";
    size_t from = last_characters(text), n = from ? text.len - from : 0;
    char *out = arena_bytes(arena, sizeof stars - 1 + n);
    memcpy(out, stars, sizeof stars - 1);
    if (n > 0) {
        memcpy(out + sizeof stars - 1, text.ptr + from, n);
    }
    return (struct slice){out, sizeof stars - 1 + n};
}

static struct slice stars(size_t n, struct arena *arena)
{
    char *out = arena_bytes(arena, n + 1);
    memset(out, '*', n);
    out[n] = '\0';
    return (struct slice){out, n};
}

/* Characters are counted as Java does: one beyond U+FFFF is two. It is not cut in half. A byte that
 * is no UTF-8 counts as one. */
static struct slice truncated(struct slice text, size_t length)
{
    size_t at = 0;
    for (size_t units = 0; at < text.len;) {
        size_t n = utf8_sequence(text.ptr + at, text.ptr + text.len);
        units += n == 4 ? 2 : 1;
        if (units > length) {
            break;
        }
        at += n ? n : 1;
    }
    return (struct slice){text.ptr, at};
}

/* The head of a text as Java's ObjectOutputStream writes it: magic, version, type, length. */
static size_t java_head(size_t len, char out[16])
{
    static const char magic[] = {(char)0xac, (char)0xed, 0, 5};
    bool large = len > 0xffff;
    size_t n = sizeof magic, bytes = large ? 8 : 2;
    memcpy(out, magic, n);
    out[n++] = large ? 0x7c : 0x74;
    for (size_t i = bytes; i-- > 0;) {
        out[n++] = (char)((uint64_t)len >> (8 * i));
    }
    return n;
}

/* A character beyond U+FFFF as Java writes it there: its two surrogates, of three bytes each. Other
 * characters are as in UTF-8; a text of PostgreSQL has no U+0000. */
static struct slice java_text(struct slice text, struct arena *arena)
{
    char *out = arena_bytes(arena, text.len / 4 * 6 + text.len % 4 + text.len + 1);
    size_t len = 0;
    for (size_t at = 0, n; at < text.len; at += n) {
        const unsigned char *b = (const unsigned char *)text.ptr + at;
        n = utf8_sequence(text.ptr + at, text.ptr + text.len);
        if (n == 4) {
            unsigned code =
                (b[0] & 7U) << 18 | (b[1] & 63U) << 12 | (b[2] & 63U) << 6 | (b[3] & 63U);
            unsigned units[] = {0xd800 | (code - 0x10000) >> 10, 0xdc00 | (code & 0x3ff)};
            for (size_t i = 0; i < 2; i++) {
                out[len++] = (char)(0xe0 | units[i] >> 12);
                out[len++] = (char)(0x80 | (units[i] >> 6 & 63));
                out[len++] = (char)(0x80 | (units[i] & 63));
            }
            continue;
        }
        n = n ? n : 1;
        memcpy(out + len, b, n);
        len += n;
    }
    return (struct slice){out, len};
}

static struct slice hash(const struct rule *r, struct slice text, struct arena *arena)
{
    char hex[DIGEST_ANY_SIZE], head[16];
    struct slice own = r->how == MASK_HASH ? java_text(text, arena) : text;
    struct slice parts[] = {
        r->key, {head, r->how == MASK_HASH ? java_head(own.len, head) : 0}, own};
    digest_named(r->algorithm, parts, sizeof parts / sizeof *parts, hex);
    return arena_copy(arena, slice_from(hex));
}

struct slice mask_text(const struct rule *r, struct slice text, struct arena *arena)
{
    char hex[DIGEST_HEX_SIZE];
    switch (r->how) {
    case MASK_LAST4:
        return last4(text, arena);
    case MASK_HMAC:
        digest_hmac_sha256(r->key, text, hex);
        return arena_copy(arena, slice_from(hex));
    case MASK_SHA256:
        digest_sha256(text, hex);
        return arena_copy(arena, slice_from(hex));
    case MASK_STARS:
        return stars(r->length, arena);
    case MASK_TRUNCATE:
        return truncated(text, r->length);
    case MASK_HASH:
    case MASK_HASH_V2:
        return hash(r, text, arena);
    case MASK_DROP:
    case MASK_NULL:
    case MASK_REDACT:
        break;
    }
    return SLICE_LITERAL("***");
}
