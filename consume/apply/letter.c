/* Makes texts of bytes, and the digest that tells one letter from another. */
#include "consume/apply/letter.h"

#include "base/utf8.h"

void letter_text(struct letter_text *t, struct slice s)
{
    t->given = !slice_is_null(s);
    t->exact = true;
    buf_add_str(&t->text, "");
    for (const char *p = s.ptr, *end = s.len ? s.ptr + s.len : s.ptr; p < end;) {
        size_t n = *p ? utf8_sequence(p, end) : 0;
        t->exact = t->exact && n > 0;
        buf_add(&t->text, n ? p : "\xef\xbf\xbd", n ? n : 3);
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

void letter_make(struct letter *l, const struct record *r)
{
    CLEANUP(buf_release) struct buf all = {0};
    struct slice event = slice_is_null(r->line) ? SLICE_LITERAL("") : r->line;
    letter_text(&l->id, r->id);
    letter_text(&l->key, r->key);
    letter_text(&l->event, event);
    add_part(&all, r->id);
    add_part(&all, r->key);
    add_part(&all, event);
    digest_sha256(buf_slice(&all), l->digest);
}

void letter_release(struct letter *l)
{
    letter_text_release(&l->id);
    letter_text_release(&l->key);
    letter_text_release(&l->event);
}
