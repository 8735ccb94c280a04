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
    case MASK_DROP:
    case MASK_NULL:
    case MASK_REDACT:
        break;
    }
    return SLICE_LITERAL("***");
}
