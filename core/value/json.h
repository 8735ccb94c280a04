/*
 * A strict JSON scanner (RFC 8259, UTF-8 only) that allocates nothing, copies nothing and does not
 * recurse: what a relay needs to pass JSON on is to know that it is JSON, and where an object's
 * members lie.
 */
#pragma once

#include "base/slice.h"
#include <stdbool.h>

enum json_kind {
    JSON_IS_NULL,
    JSON_IS_BOOL,
    JSON_IS_NUMBER,
    JSON_IS_STRING,
    JSON_IS_ARRAY,
    JSON_IS_OBJECT
};

/* Deeper nesting is refused. PostgreSQL itself stops at about 6,000 levels with its default stack.
 */
enum { JSON_DEPTH_MAX = 10240 };

/* True if `text` is exactly one JSON value, blanks around it allowed. Otherwise *ret_fault is where
 * (in bytes from the start) it stops being one. */
bool json_check(struct slice text, enum json_kind *ret_kind, size_t *ret_fault);

struct json_member {
    struct slice name;  /* between the quotes, escapes as they stand */
    struct slice value; /* a string: between the quotes, as name; else the value's text */
    enum json_kind type;
    bool name_escaped, value_escaped; /* json_unescape is needed */
};

/* Walks an object's members in the order of the text; the same name twice is two members. */
struct json_members {
    const char *start, *pos, *end;
};

enum json_step { JSON_MEMBER, JSON_END, JSON_FAULT };

struct json_members json_members(struct slice text);

/* MEMBER fills *ret. END: the object is closed and nothing but blanks follows. FAULT: no object, or
 * malformed at json_members_offset; nothing more may be asked of it. */
enum json_step json_members_next(struct json_members *m, struct json_member *ret);
size_t json_members_offset(const struct json_members *m);

/* Decodes the inside of a string that was scanned above; `out` needs raw.len bytes. False for what
 * UTF-8 text should not hold: half a surrogate pair, U+0000. */
bool json_unescape(struct slice raw, char *out, size_t *ret_len);

/* How a string writes this byte: 0 as it stands, 'u' as \u00XX, else a backslash and this letter.
 */
char json_escape_letter(unsigned char c);
