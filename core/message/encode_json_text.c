/* The pieces of JSON that several formats write: a string, and JSON that was checked before. */
#include "message/internal.h"

#include "base/utf8.h"
#include "value/json.h"

/* A character that may not stand as it is in a JSON string: \n, \" or \u001f. */
static void add_escape(struct buf *out, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    char letter = json_escape_letter(c);
    if (letter == 'u') {
        buf_add(out, (char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6);
    } else {
        buf_add(out, (char[]){'\\', letter}, 2);
    }
}

bool encode_json_string(struct buf *out, struct slice text)
{
    size_t start = out->len;
    const char *run = text.ptr, *p = text.ptr, *end = text.ptr + text.len;
    buf_reserve(out, text.len + 2);
    buf_add_char(out, '"');
    while ((p = json_plain_end(p, end)) < end) {
        unsigned char c = (unsigned char)*p;
        size_t n = c < 0x80 ? 1 : utf8_sequence(p, end);
        if (n == 0) {
            buf_truncate(out, start);
            return false;
        }
        if (c < 0x80) {
            buf_add(out, run, (size_t)(p - run));
            add_escape(out, c);
            run = p + 1;
        }
        p += n;
    }
    buf_add(out, run, (size_t)(end - run));
    buf_add_char(out, '"');
    return true;
}

/* A line break in JSON that was checked stands between tokens, never inside a string, so a blank
 * may take its place. */
void encode_json_one_line(struct buf *out, struct slice json)
{
    static const char breaks[] = {'\n', '\r'};
    size_t start = out->len;
    buf_add_slice(out, json);
    char *end = out->data + out->len;
    for (size_t i = 0; i < sizeof breaks; i++) {
        char *p = out->data + start;
        while ((p = memchr(p, breaks[i], (size_t)(end - p))) != NULL) {
            *p++ = ' ';
        }
    }
}
