/* Writes strings, bytes and whole numbers exactly as Jackson, Debezium's JSON library, writes them.
 * Most of a message is made here, so the loops are written for speed. */
#include "message/debezium/debezium.h"

#include "base/utf8.h"
#include "value/base64.h"
#include "value/json.h"

/* One UTF-16 unit as \uXXXX, with capital digits. */
static void add_unit(struct buf *out, unsigned u)
{
    static const char hex[] = "0123456789ABCDEF";
    dbz_add(out, (char[]){'\\', 'u', hex[u >> 12], hex[u >> 8 & 15], hex[u >> 4 & 15], hex[u & 15]},
            6);
}

static void add_escape(struct buf *out, unsigned char c, char escape)
{
    if (escape == 'u') {
        add_unit(out, c);
    } else {
        dbz_add(out, (char[]){'\\', escape}, 2);
    }
}

/* Whether eight bytes can all be copied as they are: ASCII, no control character, no quote, no
 * backslash. It tests all eight at once ("Bit Twiddling Hacks": a byte less than n, a zero byte). A
 * byte of a longer UTF-8 sequence has its high bit set and answers no. */
static bool all_plain(const char *p)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), highs = ones << 7;
    uint64_t x, quote, backslash;
    memcpy(&x, p, sizeof x);
    quote = x ^ ones * '"';
    backslash = x ^ ones * '\\';
    return ((x | (x - ones * 0x20) | ((quote - ones) & ~quote) |
             ((backslash - ones) & ~backslash)) &
            highs) == 0;
}

/* A character of four bytes at p as its two surrogates. */
static void add_surrogates(struct buf *out, const char *p)
{
    const unsigned char *b = (const unsigned char *)p;
    unsigned code = (b[0] & 7U) << 18 | (b[1] & 63U) << 12 | (b[2] & 63U) << 6 | (b[3] & 63U);
    code -= 0x10000;
    add_unit(out, 0xd800 | code >> 10);
    add_unit(out, 0xdc00 | (code & 0x3ff));
}

/* `run` is the start of the bytes that are to be copied as they are. `surrogates` tells dbz_string
 * from dbz_inner_string. */
static bool add_string(struct buf *out, struct slice text, bool surrogates)
{
    size_t start = out->len;
    const char *run = text.ptr, *p = text.ptr, *end = text.ptr + text.len;
    buf_reserve(out, text.len + 2);
    dbz_add_char(out, '"');
    while (p < end) {
        if (end - p >= 8 && all_plain(p)) {
            p += 8;
            continue;
        }
        unsigned char c = (unsigned char)*p;
        if (c >= 0x20 && c < 0x80 && c != '"' && c != '\\') {
            p++;
            continue;
        }
        size_t n = c < 0x80 ? 1 : utf8_sequence(p, end);
        if (n == 0) {
            buf_truncate(out, start);
            return false;
        }
        if (n == 1 || (n == 4 && surrogates)) {
            dbz_add(out, run, (size_t)(p - run));
            if (n == 1) {
                add_escape(out, c, json_escape_letter(c));
            } else {
                add_surrogates(out, p);
            }
            run = p + n;
        }
        p += n;
    }
    dbz_add(out, run, (size_t)(end - run));
    dbz_add_char(out, '"');
    return true;
}

bool dbz_string(struct buf *out, struct slice text)
{
    return add_string(out, text, true);
}

bool dbz_inner_string(struct buf *out, struct slice text)
{
    return add_string(out, text, false);
}

/* Two digits at a time, from a table: half as many divisions. */
void dbz_u64(struct buf *out, uint64_t v)
{
    static const char pairs[] =
        "00010203040506070809101112131415161718192021222324252627282930313233"
        "34353637383940414243444546474849505152535455565758596061626364656667"
        "6869707172737475767778798081828384858687888990919293949596979899";
    char text[20];
    size_t at = sizeof text;
    for (; v >= 10; v /= 100) {
        at -= 2;
        memcpy(text + at, pairs + v % 100 * 2, 2);
    }
    if (v > 0 || at == sizeof text) {
        text[--at] = (char)('0' + v);
    }
    dbz_add(out, text + at, sizeof text - at);
}

void dbz_i64(struct buf *out, int64_t v)
{
    if (v < 0) {
        dbz_add_char(out, '-');
    }
    dbz_u64(out, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

void dbz_base64(struct buf *out, struct slice bytes)
{
    dbz_add_char(out, '"');
    base64_add(out, bytes);
    dbz_add_char(out, '"');
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
    dbz_add_char(out, '"');
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char c = (unsigned char)bytes.ptr[i];
        dbz_add(out, (char[]){digits[c >> 4], digits[c & 15]}, 2);
    }
    dbz_add_char(out, '"');
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
        dbz_base64(d->out, bytes); /* `bytes` too: Kafka Connect's JSON of bytes is base64 */
        break;
    }
}

int dbz_name(struct buf *out, struct slice name, struct error *err)
{
    if (!dbz_string(out, name)) {
        return error_set(err, ERROR_POISON, "encode",
                         "the name %.*s is not UTF-8; give it one that is", SLICE_FMT(name));
    }
    return RESULT_DONE;
}
