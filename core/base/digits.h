/*
 * Numbers in texts that programs write: decimal digits only, no sign, no blank, no zero in front,
 * nothing above UINT64_MAX. So every number has one text, and what was cut is not taken for another
 * number. Plain functions, any thread.
 */
#pragma once

#include "base/slice.h"
#include <stdbool.h>
#include <stdint.h>

/* Takes a number off the front; false, and nothing taken, where there is none. */
bool digits_take(struct slice *rest, uint64_t *ret);

/* The whole text is one number. */
bool digits_parse(struct slice text, uint64_t *ret);
