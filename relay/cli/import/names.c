/* Splits Debezium's lists. Their items are regular expressions, but most of them are names in which
 * a dot is escaped or not, and some are alternatives of names. */
#include "cli/import/names.h"
#include <ctype.h>

static void add_name(struct arena *memory, struct import_names *names, struct slice text)
{
    if ((names->count & (names->count - 1)) == 0) { /* none, or a power of two: full */
        const char **more = arena_array(memory, names->count ? names->count * 2 : 1, sizeof *more);
        if (names->count) {
            memcpy(more, names->items, names->count * sizeof *more);
        }
        names->items = more;
    }
    names->items[names->count++] = arena_copy(memory, text).ptr;
}

static bool is_name_character(char c)
{
    return isalnum((unsigned char)c) || (unsigned char)c >= 0x80 || strchr("_-. /#@:<>~", c);
}

/* Appends the text with its escapes resolved. False: it is a pattern. `${...}` is kept. */
static bool add_plain(struct buf *out, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        const char *close = c == '$' && i + 1 < text.len && text.ptr[i + 1] == '{'
                                ? memchr(text.ptr + i, '}', text.len - i)
                                : NULL;
        if (close) {
            buf_add(out, text.ptr + i, (size_t)(close - text.ptr) + 1 - i);
            i = (size_t)(close - text.ptr);
        } else if (c == '\\' && i + 1 < text.len && ispunct((unsigned char)text.ptr[i + 1])) {
            buf_add_char(out, text.ptr[++i]);
        } else if (is_name_character(c) || (c == '$' && i + 1 < text.len)) {
            buf_add_char(out, c);
        } else {
            return false;
        }
    }
    return true;
}

static bool add_joined(struct arena *memory, struct import_names *plain, struct slice head,
                       struct slice middle, struct slice tail)
{
    CLEANUP(buf_release) struct buf name = {0};
    if (!add_plain(&name, head) || !add_plain(&name, middle) || !add_plain(&name, tail)) {
        return false;
    }
    add_name(memory, plain, buf_slice(&name));
    return true;
}

/* A name, or head(a|b)tail. */
static bool add_item(struct arena *memory, struct import_names *plain, struct slice item)
{
    const struct slice none = {"", 0};
    const char *open = memchr(item.ptr, '(', item.len);
    const char *close = open ? memchr(open, ')', item.len - (size_t)(open - item.ptr)) : NULL;
    if (!close) {
        return add_joined(memory, plain, item, none, none);
    }
    struct slice head = {item.ptr, (size_t)(open - item.ptr)};
    struct slice tail = {close + 1, item.len - (size_t)(close + 1 - item.ptr)};
    size_t before = plain->count;
    for (const char *at = open + 1; at <= close;) {
        size_t left = (size_t)(close - at);
        const char *bar = memchr(at, '|', left);
        struct slice one = {at, bar ? (size_t)(bar - at) : left};
        if (!add_joined(memory, plain, head, one, tail)) {
            plain->count = before;
            return false;
        }
        at += one.len + 1;
    }
    return true;
}

bool import_item(const char **list, struct buf *item)
{
    const char *at = *list;
    buf_clear(item);
    while (*at && strchr(", \t\r\n", *at)) {
        at++;
    }
    for (; *at && *at != ','; at++) {
        at += at[0] == '\\' && at[1] == ',';
        buf_add_char(item, *at);
    }
    while (item->len && strchr(" \t\r\n", buf_str(item)[item->len - 1])) {
        buf_truncate(item, item->len - 1);
    }
    *list = at;
    return item->len > 0;
}

void import_split(struct arena *memory, const char *list, struct import_names *plain,
                  struct import_names *patterns)
{
    CLEANUP(buf_release) struct buf text = {0};
    while (import_item(&list, &text)) {
        struct slice item = buf_slice(&text);
        if (item.len > 1 && item.ptr[0] == '^') {
            item.ptr++;
            item.len--;
        }
        if (item.len > 1 && item.ptr[item.len - 1] == '$' && item.ptr[item.len - 2] != '\\') {
            item.len--;
        }
        if (!add_item(memory, plain, item)) {
            add_name(memory, patterns, item);
        }
    }
}
