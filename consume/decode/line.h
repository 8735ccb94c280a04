/*
 * The line of an event: one JSON object, as batch files and the format `json` have it. Any thread.
 */
#pragma once

#include "consume/record.h"

/* What stands in a line. Null slices for members that are absent or null; they point into the line
 * and, where a text has escapes, into `memory`. */
struct line_parts {
    struct slice id, topic, key, position;
    struct slice payload; /* its JSON text: a string with its quotes */
    bool payload_given;   /* false: there is no member of that name, nor payload_base64 */
    bool binary;          /* the payload is base64 in a string */
};

/* False: the line is no JSON object, or one of the first four is no text; *ret_fault says so
 * (static). */
bool line_read(struct slice line, struct arena *memory, struct line_parts *ret,
               const char **ret_fault);

/* Appends the line of an event that came without one. `position` is its place in the source. A
 * payload that is no JSON becomes a string, or `payload_base64` if it is no text. */
void line_make(struct buf *out, const struct incoming *in, struct slice id, const char *position);
