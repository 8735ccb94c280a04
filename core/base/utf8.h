/*
 * Strict UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF. A decoder that
 * is less strict may read two different texts as the same one, so such bytes are not text here.
 *
 * Any thread. Nothing is allocated.
 */
#pragma once

#include "base/slice.h"
#include <stdbool.h>
#include <stdint.h>

/* The length in bytes (1 to 4) of the well-formed sequence that begins at p, 0 if there is none.
 * p must be before end. */
size_t utf8_sequence(const char *p, const char *end);

/* Whether all of the text is well-formed; a null slice and an empty one are. */
bool utf8_valid(struct slice text);

/* Writes the sequence of a code point and returns its length in bytes. The caller makes sure that
 * it is no surrogate and at most U+10FFFF. */
size_t utf8_put(char out[4], uint32_t code_point);

/* Makes a C string well-formed in place, without changing its length: each byte that belongs to no
 * well-formed sequence becomes a question mark. A text that was cut within a character ends so. */
void utf8_mend(char *text);
