/*
 * A strict JSON scanner (RFC 8259, UTF-8 only). It checks whether a text is JSON, and it finds the
 * members of an object. It builds no tree: a payload is passed on as the text that it is, so
 * nothing else has to be known of it.
 *
 * Any thread. Nothing is allocated: results point into the text that was given, and are valid as
 * long as it is. Nothing recurses, so deep nesting cannot overflow the stack.
 */
#pragma once

#include "base/slice.h"
#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum json_kind {
    JSON_IS_NULL,
    JSON_IS_BOOL,
    JSON_IS_NUMBER,
    JSON_IS_STRING,
    JSON_IS_ARRAY,
    JSON_IS_OBJECT
};

/* Levels of arrays and objects; deeper nesting is refused. PostgreSQL itself stops at about 6,000
 * levels with its default stack. */
enum { JSON_DEPTH_MAX = 10240 };

/* True if `text` is exactly one JSON value, with or without blanks around it; *ret_kind is its
 * kind. Else false, and *ret_fault is where it stops being one, in bytes from the start. A null
 * slice is no value. */
bool json_check(struct slice text, enum json_kind *ret_kind, size_t *ret_fault);

struct json_member {
    struct slice name;  /* what stands between the quotes, escapes not decoded */
    struct slice value; /* of a string, the same; of any other value, all of its text */
    enum json_kind type;
    bool name_escaped, value_escaped; /* it has escapes: json_unescape decodes them */
};

/* A walk over an object's members, in the order of the text. A name that stands there twice gives
 * two members. */
struct json_members {
    const char *start, *pos, *end;
};

enum json_step { JSON_MEMBER, JSON_END, JSON_FAULT };

/* Begins a walk. `text` must stay until its end. */
struct json_members json_members(struct slice text);

/* The next step. JSON_MEMBER: *ret is the member. JSON_END: the object is closed, and only blanks
 * follow. JSON_FAULT: the text is no object, or is malformed at json_members_offset. Members before
 * the fault were given already. After JSON_END and JSON_FAULT it must not be called again. */
enum json_step json_members_next(struct json_members *m, struct json_member *ret);

/* Finds a member by its name, which has no escapes; the first of that name. False: there is none,
 * or `object` is no object up to there. */
bool json_find(struct slice object, const char *name, struct json_member *ret);

/* The member's value as it stands in the text: a string with its quotes. */
struct slice json_member_text(const struct json_member *m);

/* Where the walk stands, in bytes from the start. */
size_t json_members_offset(const struct json_members *m);

/* Decodes the escapes in a name or value that json_members_next gave; on other text it may read
 * past the end. `out` is the caller's and needs raw.len bytes; no NUL is added. False, and `out` is
 * garbage, for escapes that a text cannot hold: half a surrogate pair, U+0000. */
bool json_unescape(struct slice raw, char *out, size_t *ret_len);

/* The end of the characters from p on that stand for themselves in a JSON string: the next quote,
 * backslash, control character or byte above 0x7f, or `end`. It looks at eight bytes at once: one
 * of the subtractions sets the highest bit of each byte that ends the run (of a byte above 0x7f it
 * is set already, and not all three can clear it). A borrow reaches only bytes behind such a one,
 * so the first is right. */
static inline const char *json_plain_end(const char *p, const char *end)
{
    const uint64_t each = 0x0101010101010101;
    for (; end - p >= (ptrdiff_t)sizeof(uint64_t); p += sizeof(uint64_t)) {
        uint64_t eight;
        memcpy(&eight, p, sizeof eight);
        eight = le64toh(eight);
        uint64_t ends =
            (eight - each * 0x20) | ((eight ^ each * '"') - each) | ((eight ^ each * '\\') - each);
        ends &= each * 0x80;
        if (ends) {
            return p + __builtin_ctzll(ends) / 8;
        }
    }
    while (p < end && (unsigned char)*p >= 0x20 && (unsigned char)*p < 0x80 && *p != '"' &&
           *p != '\\') {
        p++;
    }
    return p;
}

/* How a JSON string has to write this byte. 0: as it is. 'u': as \u00XX. Else: as a backslash and
 * the letter returned. */
char json_escape_letter(unsigned char c);
