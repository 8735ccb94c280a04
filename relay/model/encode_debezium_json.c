/* Strings, bytes and whole numbers come out exactly as Debezium's JSON library writes them. */
#include "model/encode_debezium.h"

#include "base/utf8.h"
#include "model/base64.h"

/* 0: stands for itself; 'u': \u00XX; else the letter behind the backslash. */
static char escape_of(unsigned char c)
{
    switch (c) {
    case '"':
    case '\\':
        return (char)c;
    case '\b':
        return 'b';
    case '\f':
        return 'f';
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    default:
        return c < 0x20 ? 'u' : 0;
    }
}

static void add_escape(struct buf *out, unsigned char c, char escape)
{
    static const char hex[] = "0123456789ABCDEF";
    if (escape == 'u') {
        buf_add(out, (char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6);
    } else {
        buf_add(out, (char[]){'\\', escape}, 2);
    }
}

bool dbz_string(struct buf *out, struct slice text)
{
    size_t start = out->len;
    const char *run = text.ptr, *p = text.ptr, *end = text.ptr + text.len;
    buf_reserve(out, text.len + 2);
    buf_add_char(out, '"');
    while (p < end) {
        unsigned char c = (unsigned char)*p;
        if (c >= 0x20 && c < 0x80 && c != '"' && c != '\\') {
            p++;
            continue;
        }
        size_t n = c < 0x80 ? 1 : utf8_sequence(p, end);
        if (n == 0) {
            dbz_truncate(out, start);
            return false;
        }
        if (n == 1) {
            buf_add(out, run, (size_t)(p - run));
            add_escape(out, c, escape_of(c));
            run = p + 1;
        }
        p += n;
    }
    buf_add(out, run, (size_t)(end - run));
    buf_add_char(out, '"');
    return true;
}

void dbz_i64(struct buf *out, int64_t v)
{
    if (v < 0) {
        buf_add_char(out, '-');
    }
    buf_add_u64(out, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

void dbz_base64(struct buf *out, struct slice bytes)
{
    buf_add_char(out, '"');
    base64_add(out, bytes);
    buf_add_char(out, '"');
}

static void add_url_safe(struct buf *out, struct slice bytes)
{
    size_t start = out->len;
    dbz_base64(out, bytes);
    for (size_t i = start; i < out->len; i++) {
        char c = out->data[i];
        out->data[i] = c == '+' ? '-' : c == '/' ? '_' : c;
    }
}

static void add_hex(struct buf *out, struct slice bytes)
{
    static const char digits[] = "0123456789abcdef";
    buf_reserve(out, bytes.len * 2 + 2);
    buf_add_char(out, '"');
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char c = (unsigned char)bytes.ptr[i];
        buf_add(out, (char[]){digits[c >> 4], digits[c & 15]}, 2);
    }
    buf_add_char(out, '"');
}

void dbz_binary(struct dbz *d, struct slice bytes)
{
    switch (d->conf->binary) {
    case BINARY_HEX:
        add_hex(d->out, bytes);
        break;
    case BINARY_BASE64_URL_SAFE:
        add_url_safe(d->out, bytes);
        break;
    case BINARY_BYTES:
    case BINARY_BASE64:
    default:
        dbz_base64(d->out, bytes); /* the JSON of bytes is base64 too */
        break;
    }
}
