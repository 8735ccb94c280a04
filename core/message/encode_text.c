/* Writes the values of delimited (CSV) and key=value files. Values are quoted so that a reader can
 * find the end of each one and can tell null from the empty string. */
#include "message/encode.h"

/* Whether a spreadsheet would take the value for a formula. That includes =, +, - and @ in their
 * full-width forms, which East Asian editions accept, and the blanks that it skips before a
 * formula. */
static bool begins_formula(struct slice value)
{
    static const char *const starts[] = {"=",
                                         "+",
                                         "-",
                                         "@",
                                         "\t",
                                         "\r",
                                         "\n",
                                         "\xef\xbc\x9d",
                                         "\xef\xbc\x8b",
                                         "\xef\xbc\x8d",
                                         "\xef\xbc\xa0"};
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
        size_t n = strlen(starts[i]);
        if (value.len >= n && memcmp(value.ptr, starts[i], n) == 0) {
            return true;
        }
    }
    return false;
}

void encode_csv_escape_formula(struct buf *value)
{
    /* Makes room for one byte first: the ' goes to the end, then all moves up by one. */
    if (begins_formula(buf_slice(value))) {
        buf_add_char(value, '\'');
        memmove(value->data + 1, value->data, value->len - 1);
        value->data[0] = '\'';
    }
}

static bool csv_needs_quotes(const struct encode_csv *csv, struct slice value)
{
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];
        if (c == csv->delimiter || c == '"' || c == '\r' || c == '\n') {
            return true;
        }
    }
    return slice_equal_str(value, csv->null_text);
}

void encode_csv_value(struct buf *out, const struct encode_csv *csv, struct slice value, bool null)
{
    if (null) {
        buf_add_str(out, csv->null_text);
        return;
    }
    if (!csv->quote_all && !csv_needs_quotes(csv, value)) {
        buf_add_slice(out, value);
        return;
    }
    buf_add_char(out, '"');
    const char *p = value.ptr, *end = value.ptr + value.len;
    for (const char *quote; p < end && (quote = memchr(p, '"', (size_t)(end - p))); p = quote + 1) {
        buf_add(out, p, (size_t)(quote - p) + 1);
        buf_add_char(out, '"');
    }
    buf_add(out, p, (size_t)(end - p));
    buf_add_char(out, '"');
}

static bool is_control(unsigned char c)
{
    return c < 0x20 || c == 0x7f;
}

static bool kv_needs_quotes(struct slice value)
{
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];
        if (is_control((unsigned char)c) || c == ' ' || c == '"' || c == '\'' || c == '\\' ||
            c == '=') {
            return true;
        }
    }
    return value.len == 0; /* as with CSV: a null is name=, the empty string name="" */
}

static void kv_add_quoted(struct buf *out, unsigned char c)
{
    static const char hex[] = "0123456789ABCDEF";
    switch (c) {
    case '"':
        buf_add(out, "\\\"", 2);
        break;
    case '\\':
        buf_add(out, "\\\\", 2);
        break;
    case '\n':
        buf_add(out, "\\n", 2);
        break;
    case '\r':
        buf_add(out, "\\r", 2);
        break;
    case '\t':
        buf_add(out, "\\t", 2);
        break;
    default:
        if (is_control(c)) {
            buf_add(out, (char[]){'\\', 'x', hex[c >> 4], hex[c & 15]}, 4);
        } else {
            buf_add_char(out, (char)c);
        }
        break;
    }
}

void encode_kv_pair(struct buf *out, const char *name, struct slice value)
{
    buf_add_str(out, name);
    buf_add_char(out, '=');
    if (slice_is_null(value)) {
        return;
    }
    if (!kv_needs_quotes(value)) {
        buf_add_slice(out, value);
        return;
    }
    buf_add_char(out, '"');
    for (size_t i = 0; i < value.len; i++) {
        kv_add_quoted(out, (unsigned char)value.ptr[i]);
    }
    buf_add_char(out, '"');
}
