/* Scans JSON byte by byte. A function scan_x reads an x at s->pos and moves s->pos behind it. It
 * returns false if no x stands there; s->pos then shows where the text is wrong.
 *
 * Nested values need no recursion: scan_down enters arrays and objects until it has read a scalar,
 * scan_up leaves those that end behind it, and a bit for each open level says which of the two it
 * is. */
#include "value/json.h"

#include "base/utf8.h"
#include <stdint.h>

struct scan {
    const char *pos, *end; /* after a failure pos is the byte that cannot stand there */
};

/* One bit a level: set for an object, clear for an array. */
struct nesting {
    size_t depth;
    uint64_t objects[JSON_DEPTH_MAX / 64];
};

static void skip_blanks(struct scan *s)
{
    while (s->pos < s->end &&
           (*s->pos == ' ' || *s->pos == '\n' || *s->pos == '\r' || *s->pos == '\t')) {
        s->pos++;
    }
}

static bool take(struct scan *s, char c)
{
    if (s->pos == s->end || *s->pos != c) {
        return false;
    }
    s->pos++;
    return true;
}

/* Value of four hex digits, -1 if they are not. */
static int32_t hex4(const char *p, const char *end)
{
    if (end - p < 4) {
        return -1;
    }
    int32_t v = 0;
    for (int i = 0; i < 4; i++) {
        char c = p[i], lower = (char)(c | 0x20);
        int digit = c >= '0' && c <= '9'           ? c - '0'
                    : lower >= 'a' && lower <= 'f' ? lower - 'a' + 10
                                                   : -1;
        if (digit < 0) {
            return -1;
        }
        v = v << 4 | digit;
    }
    return v;
}

static bool scan_escape(struct scan *s)
{
    s->pos++;
    if (s->pos == s->end || *s->pos == '\0' || !strchr("\"\\/bfnrtu", *s->pos)) {
        return false;
    }
    bool unicode = *s->pos++ == 'u';
    if (unicode && hex4(s->pos, s->end) < 0) {
        return false;
    }
    s->pos += unicode ? 4 : 0;
    return true;
}

/* From the opening quote to behind the closing one. *ret_escaped: it has escapes. */
static bool scan_string(struct scan *s, bool *ret_escaped)
{
    bool escaped = false;
    if (!take(s, '"')) {
        return false;
    }
    while (true) {
        s->pos = json_plain_end(s->pos, s->end);
        if (s->pos == s->end) {
            return false;
        }
        unsigned char c = (unsigned char)*s->pos;
        if (c == '"') {
            s->pos++;
            *ret_escaped = escaped;
            return true;
        }
        if (c == '\\') {
            escaped = true;
            if (!scan_escape(s)) {
                return false;
            }
        } else if (c >= 0x80) {
            size_t n = utf8_sequence(s->pos, s->end);
            if (n == 0) {
                return false;
            }
            s->pos += n;
        } else {
            return false;
        }
    }
}

static bool scan_digits(struct scan *s)
{
    const char *first = s->pos;
    while (s->pos < s->end && *s->pos >= '0' && *s->pos <= '9') {
        s->pos++;
    }
    return s->pos > first;
}

static bool scan_number(struct scan *s)
{
    take(s, '-');
    if (!take(s, '0') && !scan_digits(s)) {
        return false;
    }
    if (take(s, '.') && !scan_digits(s)) {
        return false;
    }
    if (take(s, 'e') || take(s, 'E')) {
        if (!take(s, '+')) {
            take(s, '-');
        }
        return scan_digits(s);
    }
    return true;
}

/* Exactly these bytes. */
static bool scan_word(struct scan *s, struct slice word)
{
    if ((size_t)(s->end - s->pos) < word.len || memcmp(s->pos, word.ptr, word.len) != 0) {
        return false;
    }
    s->pos += word.len;
    return true;
}

static bool scan_scalar(struct scan *s)
{
    bool escaped;
    switch (s->pos < s->end ? *s->pos : '\0') {
    case '"':
        return scan_string(s, &escaped);
    case 't':
        return scan_word(s, SLICE_LITERAL("true"));
    case 'f':
        return scan_word(s, SLICE_LITERAL("false"));
    case 'n':
        return scan_word(s, SLICE_LITERAL("null"));
    default:
        return scan_number(s);
    }
}

/* A member's name and its colon. */
static bool scan_name(struct scan *s)
{
    bool escaped;
    skip_blanks(s);
    if (!scan_string(s, &escaped)) {
        return false;
    }
    skip_blanks(s);
    return take(s, ':');
}

static bool in_object(const struct nesting *n)
{
    size_t level = n->depth - 1;
    return n->objects[level / 64] >> (level % 64) & 1;
}

static bool push(struct nesting *n, bool object)
{
    if (n->depth == JSON_DEPTH_MAX) {
        return false;
    }
    size_t level = n->depth++;
    uint64_t bit = UINT64_C(1) << (level % 64);
    /* The words are not cleared before: the first level of each sets it whole. */
    uint64_t word = level % 64 ? n->objects[level / 64] : 0;
    n->objects[level / 64] = object ? word | bit : word & ~bit;
    return true;
}

/* Enters arrays and objects until a scalar or an empty array or object was read. */
static bool scan_down(struct scan *s, struct nesting *n)
{
    while (true) {
        skip_blanks(s);
        bool object = s->pos < s->end && *s->pos == '{';
        if (!object && (s->pos == s->end || *s->pos != '[')) {
            return scan_scalar(s);
        }
        if (!push(n, object)) {
            return false;
        }
        s->pos++;
        skip_blanks(s);
        if (take(s, object ? '}' : ']')) {
            n->depth--;
            return true;
        }
        if (object && !scan_name(s)) {
            return false;
        }
    }
}

/* After a value: leaves the arrays and objects that are closed here. Stops where the next value
 * begins, or when nothing is open any more. */
static bool scan_up(struct scan *s, struct nesting *n)
{
    while (n->depth > 0) {
        bool object = in_object(n);
        skip_blanks(s);
        if (take(s, ',')) {
            return !object || scan_name(s);
        }
        if (!take(s, object ? '}' : ']')) {
            return false;
        }
        n->depth--;
    }
    return true;
}

static bool scan_value(struct scan *s)
{
    struct nesting n;
    n.depth = 0;
    do {
        if (!scan_down(s, &n) || !scan_up(s, &n)) {
            return false;
        }
    } while (n.depth > 0);
    return true;
}

static enum json_kind type_of(char first)
{
    switch (first) {
    case '{':
        return JSON_IS_OBJECT;
    case '[':
        return JSON_IS_ARRAY;
    case '"':
        return JSON_IS_STRING;
    case 't':
    case 'f':
        return JSON_IS_BOOL;
    case 'n':
        return JSON_IS_NULL;
    default:
        return JSON_IS_NUMBER;
    }
}

bool json_check(struct slice text, enum json_kind *ret_kind, size_t *ret_fault)
{
    const char *start = text.ptr ? text.ptr : "";
    struct scan s = {start, start + text.len};
    skip_blanks(&s);
    const char *first = s.pos;
    bool ok = scan_value(&s);
    if (ok) {
        skip_blanks(&s);
    }
    if (!ok || s.pos != s.end) {
        *ret_fault = (size_t)(s.pos - start);
        return false;
    }
    *ret_kind = type_of(*first);
    return true;
}

struct json_members json_members(struct slice text)
{
    const char *start = text.ptr ? text.ptr : "";
    return (struct json_members){start, start, start + text.len};
}

size_t json_members_offset(const struct json_members *m)
{
    return (size_t)(m->pos - m->start);
}

/* Reads a member's value. ret->value points to it. */
static bool scan_member_value(struct scan *s, struct json_member *ret)
{
    skip_blanks(s);
    const char *first = s->pos;
    ret->type = type_of(first < s->end ? *first : '\0');
    ret->value_escaped = false;
    if (ret->type != JSON_IS_STRING) {
        bool ok = scan_value(s);
        ret->value = (struct slice){first, (size_t)(s->pos - first)};
        return ok;
    }
    bool ok = scan_string(s, &ret->value_escaped);
    if (ok) {
        ret->value = (struct slice){first + 1, (size_t)(s->pos - first) - 2};
    }
    return ok;
}

static bool scan_member(struct scan *s, struct json_member *ret)
{
    skip_blanks(s);
    const char *first = s->pos;
    if (!scan_string(s, &ret->name_escaped)) {
        return false;
    }
    ret->name = (struct slice){first + 1, (size_t)(s->pos - first) - 2};
    skip_blanks(s);
    return take(s, ':') && scan_member_value(s, ret);
}

/* Reads what stands before a member: the opening brace if it is the `first` one, else a comma.
 * JSON_END if the object is closed instead and only blanks follow. */
static enum json_step scan_separator(struct scan *s, bool first)
{
    skip_blanks(s);
    if (!take(s, first ? '{' : ',')) {
        if (first || !take(s, '}')) {
            return JSON_FAULT;
        }
        skip_blanks(s);
        return s->pos == s->end ? JSON_END : JSON_FAULT;
    }
    skip_blanks(s);
    if (first && take(s, '}')) {
        skip_blanks(s);
        return s->pos == s->end ? JSON_END : JSON_FAULT;
    }
    return JSON_MEMBER;
}

enum json_step json_members_next(struct json_members *m, struct json_member *ret)
{
    struct scan s = {m->pos, m->end};
    struct json_member member = {0};
    enum json_step step = scan_separator(&s, m->pos == m->start);
    if (step == JSON_MEMBER && !scan_member(&s, &member)) {
        step = JSON_FAULT;
    }
    m->pos = s.pos;
    if (step == JSON_MEMBER) {
        *ret = member;
    }
    return step;
}

bool json_find(struct slice object, const char *name, struct json_member *ret)
{
    struct json_members walk = json_members(object);
    while (json_members_next(&walk, ret) == JSON_MEMBER) {
        if (slice_equal_str(ret->name, name)) {
            return true;
        }
    }
    return false;
}

struct slice json_member_text(const struct json_member *m)
{
    size_t quote = m->type == JSON_IS_STRING;
    return (struct slice){m->value.ptr - quote, m->value.len + 2 * quote};
}

/* The code point of \uXXXX; *p stands behind the u, and is moved on. A surrogate pair is two of
 * them. 0 for half a pair, and for U+0000. */
static uint32_t unescape_unicode(const char **p, const char *end)
{
    uint32_t high = (uint32_t)hex4(*p, end);
    *p += 4;
    if (high < 0xD800 || high > 0xDFFF) {
        return high;
    }
    if (high > 0xDBFF || end - *p < 6 || (*p)[0] != '\\' || (*p)[1] != 'u') {
        return 0;
    }
    uint32_t low = (uint32_t)hex4(*p + 2, end);
    *p += 6;
    return low < 0xDC00 || low > 0xDFFF ? 0 : 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
}

static char unescape_simple(char c)
{
    switch (c) {
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return c; /* quote, backslash, slash */
    }
}

bool json_unescape(struct slice raw, char *out, size_t *ret_len)
{
    const char *p = raw.ptr, *end = raw.ptr + raw.len;
    char *o = out;
    while (p < end) {
        if (*p != '\\') {
            *o++ = *p++;
            continue;
        }
        char c = p[1];
        p += 2;
        if (c != 'u') {
            *o++ = unescape_simple(c);
            continue;
        }
        uint32_t code = unescape_unicode(&p, end);
        if (code == 0) {
            return false;
        }
        /* The character is never longer than its escape: at most 3 bytes for 6, 4 for 12. */
        char bytes[4];
        size_t n = utf8_put(bytes, code);
        memcpy(o, bytes, n);
        o += n;
    }
    *ret_len = (size_t)(o - out);
    return true;
}

char json_escape_letter(unsigned char c)
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
