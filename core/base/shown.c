/* Takes passwords and control characters out of text before it is shown.
 *
 * A password is found by what stands around it: "user:...@" in a URL, or "password=". Where it is
 * not clear whether something is a password, it is taken for one. Example: in
 * "postgres://app:secret" the @ and the host are missing, and "secret" is no port number, so it is
 * hidden. To hide too much makes a text a little harder to read; to hide too little publishes the
 * password. */
#include "base/shown.h"

#include "base/utf8.h"
#include <string.h>
#include <strings.h>

static const char hidden[] = "***";

/* --- passwords --- */

/* Where a URL that begins at `url` ends: at the closing quote if a quote stands before it, else at
 * a blank, a quote or an angle bracket. */
static size_t url_end(struct slice text, size_t url)
{
    char before = url > 0 ? text.ptr[url - 1] : ' ';
    bool quoted = before == '"' || before == '\'' || before == '`';
    for (size_t i = url; i < text.len; i++) {
        char c = text.ptr[i];
        if (quoted ? c == before : strchr(" \t\r\n\"'`<>", c) != NULL) {
            return i;
        }
    }
    return text.len;
}

/* Whether c may stand in the name before "://". */
static bool is_scheme(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' ||
           c == '-' || c == '.';
}

/* Whether this is what stands behind a host's colon: a number, or the word "port" of help texts,
 * such as host:port or host:port[,host2:port2]. */
static bool is_port(struct slice s)
{
    size_t digits = 0;
    while (digits < s.len && s.ptr[digits] >= '0' && s.ptr[digits] <= '9') {
        digits++;
    }
    bool word = s.len >= 4 && strncasecmp(s.ptr, "port", 4) == 0;
    return digits == s.len || (word && (s.len == 4 || s.ptr[4] == '['));
}

/* Whether all colons belong to ports: host:5432, h1:1,h2:2, [::1]:5432. Then no user and no
 * password stand before the path. */
static bool hosts_only(struct slice s)
{
    size_t from = 0;
    for (size_t i = 0; i <= s.len; i++) {
        bool end = i == s.len || s.ptr[i] == '/' || s.ptr[i] == '?';
        if (!end && s.ptr[i] != ',') {
            continue;
        }
        struct slice host = {s.ptr + from, i - from};
        const char *close = memrchr(host.ptr, ']', host.len);
        const char *name = close ? close : host.ptr;
        const char *colon = memchr(name, ':', host.len - (size_t)(name - host.ptr));
        if (colon &&
            !is_port((struct slice){colon + 1, (size_t)(host.ptr + host.len - colon - 1)})) {
            return false;
        }
        if (end) {
            break;
        }
        from = i + 1;
    }
    return true;
}

/* Finds the password in what stands behind "://"; false if there is none, as in user@host:5432 or
 * host:5432. A password may hold a slash or an @ that somebody forgot to encode, so it goes from
 * the first colon to the last @, or to the end if there is no @ behind the colon. */
static bool find_password(struct slice s, size_t *ret_from, size_t *ret_to)
{
    const char *at = memrchr(s.ptr, '@', s.len), *first_at = memchr(s.ptr, '@', s.len);
    const char *colon = memchr(s.ptr, ':', s.len);
    if (!colon) {
        return false;
    }
    bool only_user = at && at == first_at && at < colon; /* user@host:port */
    if (only_user || (!at && hosts_only(s))) {
        return false;
    }
    *ret_from = (size_t)(colon + 1 - s.ptr);
    *ret_to = at && at > colon ? (size_t)(at - s.ptr) : s.len;
    return true;
}

/* The value of "password=..." at `at`; also at the end of a longer name (sslpassword=) and in a
 * URL's query. *ret_from is where it begins; returns where it ends, 0 if there is none. */
static size_t password_value(struct slice text, size_t at, size_t *ret_from)
{
    static const char name[] = "password=";
    size_t n = sizeof name - 1;
    if (text.len - at <= n || strncasecmp(text.ptr + at, name, n) != 0) {
        return 0;
    }
    *ret_from = at + n;
    bool quoted = text.ptr[at + n] == '\'';
    size_t end = at + n + quoted;
    while (end < text.len &&
           (quoted ? text.ptr[end] != '\'' : strchr("& \t\r\n\"'`", text.ptr[end]) == NULL)) {
        end++;
    }
    return end + (quoted && end < text.len);
}

void shown_redact(struct buf *out, struct slice text)
{
    size_t done = 0;
    for (size_t i = 0; i < text.len; i++) {
        size_t from = 0, to = 0;
        if (text.len - i > 3 && memcmp(text.ptr + i, "://", 3) == 0) {
            size_t scheme = i;
            while (scheme > 0 && is_scheme(text.ptr[scheme - 1])) {
                scheme--;
            }
            struct slice rest = {text.ptr + i + 3, url_end(text, scheme) - i - 3};
            if (!find_password(rest, &from, &to)) {
                continue;
            }
            from += i + 3;
            to += i + 3;
        } else if ((to = password_value(text, i, &from)) == 0) {
            continue;
        }
        buf_add(out, text.ptr + done, from - done);
        buf_add_str(out, hidden);
        done = to;
        i = to > i ? to - 1 : i;
    }
    buf_add(out, text.ptr + done, text.len - done);
}

/* --- control characters --- */

/* The code point of a well-formed sequence of n bytes. */
static uint32_t decode(const char *p, size_t n)
{
    const unsigned char *u = (const unsigned char *)p;
    static const unsigned char first[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    uint32_t c = u[0] & first[n];
    for (size_t i = 1; i < n; i++) {
        c = c << 6 | (u[i] & 0x3F);
    }
    return c;
}

bool shown_escaped(const char *p, size_t n, uint32_t *ret)
{
    uint32_t c = *ret = decode(p, n);
    return c < 0x20 || (c >= 0x7F && c <= 0x9F) || c == 0x061C || c == 0x200E || c == 0x200F ||
           (c >= 0x2028 && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069) || c == 0xFEFF;
}

static void add_escape(struct buf *out, uint32_t c)
{
    switch (c) {
    case '\n':
        buf_add_str(out, "\\n");
        break;
    case '\r':
        buf_add_str(out, "\\r");
        break;
    case '\t':
        buf_add_str(out, "\\t");
        break;
    default:
        buf_printf(out, "\\u%04x", (unsigned)c);
        break;
    }
}

void shown_escape(struct buf *out, struct slice text, enum shown_as as)
{
    const char *p = text.ptr, *end = p + text.len;
    for (size_t n; p < end; p += n) {
        uint32_t c = '?';
        n = utf8_sequence(p, end);
        bool kept = as == SHOWN_AS_LINES && (*p == '\n' || *p == '\t');
        if (n == 0) {
            buf_add_char(out, '?');
            n = 1;
        } else if (!kept && shown_escaped(p, n, &c)) {
            add_escape(out, c);
        } else {
            buf_add(out, p, n);
        }
    }
}

void shown_add(struct buf *out, struct slice text, enum shown_as as)
{
    CLEANUP(buf_release) struct buf redacted = {0};
    shown_redact(&redacted, text);
    shown_escape(out, buf_slice(&redacted), as);
}

void shown_mend(char *text, size_t size, enum shown_as as)
{
    CLEANUP(buf_release) struct buf shown = {0};
    shown_add(&shown, slice_from(text), as);
    size_t n = shown.len < size ? shown.len : size - 1;
    memcpy(text, buf_str(&shown), n);
    text[n] = '\0';
    utf8_mend(text); /* the end may be half a character now */
}
