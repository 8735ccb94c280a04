/*
 * What the writer of a wrong word probably meant.
 */
#pragma once

#include "base/buf.h"

/* The nearest of n candidates, or NULL if none is near. Letter case is no difference. */
const char *suggest_nearest(struct slice word, const char *const *candidates, size_t n);

/* Appends "; did you mean `x`?" or, if nothing is near, "; <what>: a, b, c". */
void suggest_add(struct buf *out, struct slice word, const char *what,
                 const char *const *candidates, size_t n);
