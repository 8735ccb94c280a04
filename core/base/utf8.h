/*
 * Strict UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF.
 */
#pragma once

#include "base/slice.h"
#include <stdbool.h>
#include <stdint.h>

/* Length (1 to 4) of the well-formed sequence at p, 0 if there is none. p < end. */
size_t utf8_sequence(const char *p, const char *end);

bool utf8_valid(struct slice text);

/* Writes the sequence of a code point (no surrogate, at most U+10FFFF) and returns its length. */
size_t utf8_put(char out[4], uint32_t code_point);

/* Makes a C string well-formed in place: each byte that belongs to no sequence, and so also the end
 * of one that was cut off, becomes a question mark. */
void utf8_mend(char *text);
