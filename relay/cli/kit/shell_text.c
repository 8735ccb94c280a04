/* Quotes in the way that shells and columns_command both read: a quote of one kind stands within
 * the other kind and never behind a backslash. */
#include "cli/kit/shell_text.h"

#include "base/shown.h"

#include <string.h>

static bool is_plain(const char *text)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.:/@,+=";
    return text[0] && text[strspn(text, plain)] == '\0';
}

/* Is it printed as it is, so that it can be pasted? */
static bool is_shown(const char *text)
{
    CLEANUP(buf_release) struct buf shown = {0};
    shown_escape(&shown, slice_from(text), SHOWN_IN_LINE);
    return slice_equal(buf_slice(&shown), slice_from(text));
}

static void add_quoted(struct buf *out, const char *text)
{
    buf_add_char(out, '\'');
    for (; *text; text++) {
        buf_add_str(out, *text == '\'' ? "'\"'\"'" : (const char[]){*text, '\0'});
    }
    buf_add_char(out, '\'');
}

static void add_numbered(struct buf *out, const char *text)
{
    buf_add_str(out, "$'");
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        bool as_it_is = c >= ' ' && c < 0x7f && c != '\'' && c != '\\';
        buf_printf(out, as_it_is ? "%c" : "\\%03o", c);
    }
    buf_add_char(out, '\'');
}

void shell_add_word(struct buf *out, const char *text)
{
    if (is_plain(text)) {
        buf_add_str(out, text);
    } else if (is_shown(text)) {
        add_quoted(out, text);
    } else {
        add_numbered(out, text);
    }
}

void shell_add_option(struct buf *out, const char *name, const char *value)
{
    if (value) {
        buf_printf(out, " --%s ", name);
        shell_add_word(out, value);
    }
}

void shell_add_command(struct buf *out, const char *words, const char *file, const char *pipeline)
{
    buf_printf(out, "commitrelay %s -c ", words);
    shell_add_word(out, file);
    shell_add_option(out, "pipeline", pipeline);
}
