/* Makes tables of formats.def: the formats, their words and their help texts. The three have the
 * same sequence, so one index serves them all. */
#include "message/format.h"

#include "message/internal.h"

#define FORMAT(name, help) extern const struct format_ops format_##name;
#include "message/formats.def"
#undef FORMAT

static const struct format_ops *const formats[] = {
#define FORMAT(name, help) &format_##name,
#include "message/formats.def"
#undef FORMAT
};

enum { FORMATS = sizeof formats / sizeof *formats };

const char *const format_words[FORMATS + 1] = {
#define FORMAT(name, help) #name,
#include "message/formats.def"
#undef FORMAT
    NULL};

const char *const format_helps[FORMATS + 1] = {
#define FORMAT(name, help) help,
#include "message/formats.def"
#undef FORMAT
    NULL};

const struct format_ops *format_at(int index)
{
    return formats[index];
}

const char *format_name(const struct format_ops *format)
{
    for (size_t i = 0; i < FORMATS; i++) {
        if (formats[i] == format) {
            return format_words[i];
        }
    }
    return "";
}

/* Whether the format obeys this key under `encode`. */
static bool has_key(const struct format_ops *format, const char *key)
{
    for (const char *const *k = format->keys; k && *k; k++) {
        if (strcmp(*k, key) == 0) {
            return true;
        }
    }
    return false;
}

void format_list(struct buf *out, struct format_wanted wanted, const char *last)
{
    const char *words[FORMATS];
    size_t n = 0;
    for (size_t i = 0; i < FORMATS; i++) {
        const struct format_ops *f = formats[i];
        if ((f->can & wanted.can) == wanted.can && (!wanted.lines || !f->message_only) &&
            (!wanted.key || has_key(f, wanted.key))) {
            words[n++] = format_words[i];
        }
    }
    encode_add_words(out, words, n, last);
}

void encode_add_words(struct buf *out, const char *const *words, size_t n, const char *last)
{
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && i + 1 == n) {
            buf_printf(out, " %s ", last);
        } else if (i > 0) {
            buf_add_str(out, ", ");
        }
        buf_add_str(out, words[i]);
    }
}
