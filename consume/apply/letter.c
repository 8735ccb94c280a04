/* Makes texts of bytes, and the digest that tells one letter from another. */
#include "consume/apply/letter.h"

#include "base/utf8.h"
#include <stdio.h>

/* How many bytes from p on are one letter of a text; 0: that is none. */
static size_t text_at(const char *p, const char *end, enum letter_form form)
{
    size_t n = *p ? utf8_sequence(p, end) : 0;
    return n > 1 && form == LETTER_ASCII ? 0 : n;
}

void letter_text(struct letter_text *t, struct slice s, enum letter_form form)
{
    const char *instead = form == LETTER_ASCII ? "?" : "\xef\xbf\xbd";
    t->given = !slice_is_null(s);
    t->exact = true;
    buf_add_str(&t->text, "");
    for (const char *p = s.ptr, *end = s.len ? s.ptr + s.len : s.ptr; p < end;) {
        size_t n = text_at(p, end, form);
        t->exact = t->exact && n > 0;
        buf_add_slice(&t->text, n ? (struct slice){p, n} : slice_from(instead));
        p += n ? n : 1;
    }
}

void letter_text_release(struct letter_text *t)
{
    buf_release(&t->text);
}

static void add_part(struct buf *out, struct slice s)
{
    buf_printf(out, "%d %zu ", !slice_is_null(s), s.len);
    buf_add_slice(out, s);
}

void letter_digest(const struct record *r, char out[DIGEST_HEX_SIZE])
{
    CLEANUP(buf_release) struct buf all = {0};
    if (!slice_is_null(r->digest)) {
        snprintf(out, DIGEST_HEX_SIZE, "%.*s", SLICE_FMT(r->digest));
        return;
    }
    add_part(&all, r->id);
    add_part(&all, r->key);
    add_part(&all, r->received);
    digest_sha256(buf_slice(&all), out);
}

void letter_make(struct letter *l, const struct record *r, enum letter_form form)
{
    letter_text(&l->id, r->id, form);
    letter_text(&l->key, r->key, form);
    letter_text(&l->event, slice_is_null(r->line) ? SLICE_LITERAL("") : r->line, form);
    letter_digest(r, l->digest);
}

void letter_release(struct letter *l)
{
    letter_text_release(&l->id);
    letter_text_release(&l->key);
    letter_text_release(&l->event);
}
