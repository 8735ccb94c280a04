/*
 * Finds the word that the writer of a wrong one probably meant, for error texts. No state; any
 * thread.
 */
#pragma once

#include "base/buf.h"

/* The candidate that is nearest to the word, or NULL if none is near. "Near" is one to three typing
 * mistakes, more for longer words; letter case does not count. Points to one of the candidates. */
const char *suggest_nearest(struct slice word, const char *const *candidates, size_t n);

/* Appends "; did you mean `x`?" or, if nothing is near, "; <what>: a, b, c". */
void suggest_add(struct buf *out, struct slice word, const char *what,
                 const char *const *candidates, size_t n);
