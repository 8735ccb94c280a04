/*
 * Text on its way to a person's eyes: no password of a URL, no byte that a terminal would obey, no
 * line that only looks like one of ours. Everything that shows what came from data, a server or a
 * file goes through here: errors, the log, commands, status.
 *
 * Escaped, as in JSON: control characters (C0 and C1), what turns the direction of writing or
 * begins a line (U+061C, U+200E, U+200F, U+2028 to U+202E, U+2066 to U+2069, U+FEFF). Bytes that
 * are no UTF-8 become "?". To do it twice changes nothing.
 */
#pragma once

#include "base/buf.h"

enum shown_as {
    SHOWN_IN_LINE, /* line ends are escaped too */
    SHOWN_AS_LINES /* they are ours: kept, and tabs */
};

void shown_add(struct buf *out, struct slice text, enum shown_as as);

/* The two halves of it. Event data is escaped only: what looks like a password in it is its own. */
void shown_redact(struct buf *out, struct slice text);
void shown_escape(struct buf *out, struct slice text, enum shown_as as);

/* In place, cut to `size` with its NUL. */
void shown_mend(char *text, size_t size, enum shown_as as);

/* Whether the sequence of `n` bytes (utf8_sequence) is escaped, and which character it is. */
bool shown_escaped(const char *p, size_t n, uint32_t *ret);
