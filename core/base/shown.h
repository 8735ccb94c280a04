/*
 * Makes text fit to be shown to a person. Error texts, the log, commands and status quote what came
 * from data, a server or a file, and all of that goes through here. Otherwise such a text could
 * show a password, clear the screen of a terminal, or look like a line of our own.
 *
 * Redacted: a password in a URL (postgres://app:secret@db becomes postgres://app:***@db) and what
 * follows "password=".
 * Escaped, as in JSON: control characters (C0 and C1), and those that turn the direction of
 * writing, begin a line or cannot be seen (U+061C, U+200E, U+200F, U+2028 to U+202E, U+2066 to
 * U+2069, U+FEFF). Bytes that are no UTF-8 become "?".
 * A text that went through once is not changed by doing the same again.
 *
 * Any thread. `out` belongs to the caller and is appended to; `text` is borrowed for the call.
 * Nothing fails.
 */
#pragma once

#include "base/buf.h"

enum shown_as {
    SHOWN_IN_LINE, /* one line: line ends and tabs are escaped too */
    SHOWN_AS_LINES /* several lines of ours: line ends and tabs are kept */
};

/* Redacts and escapes. */
void shown_add(struct buf *out, struct slice text, enum shown_as as);

/* The two steps of shown_add. Event data is only escaped: if it holds something like a password,
 * the one who asks for the event is meant to see it. */
void shown_redact(struct buf *out, struct slice text);
void shown_escape(struct buf *out, struct slice text, enum shown_as as);

/* shown_add in place, for a C string in a field of `size` bytes. The result is cut to fit with its
 * NUL. */
void shown_mend(char *text, size_t size, enum shown_as as);

/* Whether the character at p has to be escaped. `n` is its length, from utf8_sequence, and not 0.
 * *ret is its code point in any case. */
bool shown_escaped(const char *p, size_t n, uint32_t *ret);
