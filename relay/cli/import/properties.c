/* Reads Java's properties, as java.util.Properties does it. */
#include "base/buf.h"
#include "base/utf8.h"
#include "cli/import/options.h"

struct scanner {
    const char *at, *end;
    int line;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\f';
}

static bool at_line_end(const struct scanner *s)
{
    return s->at == s->end || *s->at == '\n' || *s->at == '\r';
}

static void skip_blanks(struct scanner *s)
{
    while (s->at < s->end && is_blank(*s->at)) {
        s->at++;
    }
}

/* Steps over a line end, if there is one: \n, \r or both. */
static void skip_line_end(struct scanner *s)
{
    if (s->at < s->end && *s->at == '\r') {
        s->at++;
        s->line += s->at == s->end || *s->at != '\n';
    }
    if (s->at < s->end && *s->at == '\n') {
        s->at++;
        s->line++;
    }
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* The four digits behind \u. False: they are not there. */
static bool read_hex(struct scanner *s, uint32_t *ret)
{
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) {
        int digit = s->at < s->end ? hex_digit(*s->at) : -1;
        if (digit < 0) {
            return false;
        }
        value = value * 16 + (uint32_t)digit;
        s->at++;
    }
    *ret = value;
    return true;
}

/* Behind \u: one character, which may need two escapes. False: it is none. */
static bool read_unicode(struct scanner *s, struct buf *out)
{
    uint32_t high, low;
    char utf8[4];
    if (!read_hex(s, &high) || high == 0 || (high >= 0xdc00 && high <= 0xdfff)) {
        return false;
    }
    if (high >= 0xd800 && high <= 0xdbff) {
        if (s->end - s->at < 6 || s->at[0] != '\\' || s->at[1] != 'u') {
            return false;
        }
        s->at += 2;
        if (!read_hex(s, &low) || low < 0xdc00 || low > 0xdfff) {
            return false;
        }
        high = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
    }
    buf_add(out, utf8, utf8_put(utf8, high));
    return true;
}

/* Behind a backslash: a continued line, or an escape. False: an escape that is none. */
static bool read_escape(struct scanner *s, struct buf *out)
{
    static const char letters[] = "tnrf", meant[] = "\t\n\r\f";
    if (at_line_end(s)) {
        skip_line_end(s);
        skip_blanks(s);
        return true;
    }
    char c = *s->at++;
    if (c == 'u') {
        return read_unicode(s, out);
    }
    const char *letter = strchr(letters, c);
    buf_add_char(out, letter ? meant[letter - letters] : c);
    return true;
}

/* A name ends with =, : or a blank, a value with its line. False: a wrong escape. */
static bool read_text(struct scanner *s, bool name, struct buf *out)
{
    buf_clear(out);
    while (!at_line_end(s)) {
        char c = *s->at;
        if (name && (c == '=' || c == ':' || is_blank(c))) {
            break;
        }
        s->at++;
        if (c != '\\') {
            buf_add_char(out, c);
        } else if (!read_escape(s, out)) {
            return false;
        }
    }
    return true;
}

static bool read_pair(struct scanner *s, struct buf *name, struct buf *value)
{
    if (!read_text(s, true, name)) {
        return false;
    }
    skip_blanks(s);
    if (!at_line_end(s) && (*s->at == '=' || *s->at == ':')) {
        s->at++;
        skip_blanks(s);
    }
    return read_text(s, false, value);
}

int import_read_properties(struct import_options *options, const char *file, struct slice text,
                           struct error *err)
{
    CLEANUP(buf_release) struct buf name = {0}, value = {0};
    struct scanner s = {text.ptr, text.ptr + text.len, 1};
    if (!utf8_valid(text) || memchr(text.ptr, '\0', text.len)) {
        return error_set(err, ERROR_CONFIG, "import",
                         "%s: is no text in UTF-8; write other characters as \\uXXXX", file);
    }
    while (s.at < s.end) {
        int line = s.line;
        skip_blanks(&s);
        if (at_line_end(&s)) {
            skip_line_end(&s);
            continue;
        }
        if (*s.at == '#' || *s.at == '!') {
            while (!at_line_end(&s)) {
                s.at++;
            }
            continue;
        }
        if (!read_pair(&s, &name, &value)) {
            return error_set(err, ERROR_CONFIG, "import",
                             "%s:%d: \\u needs four hex digits of a character that a text can hold",
                             file, line);
        }
        import_set(options, buf_slice(&name), buf_slice(&value));
    }
    return RESULT_DONE;
}
