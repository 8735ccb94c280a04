/*
 * Reads the numbers in texts that programs write, such as a cursor or pg_current_snapshot(). "0"
 * and "12" are numbers. "012", "+12", " 12", "" and anything above UINT64_MAX are none, so that a
 * number can be written in one way only and a damaged text is refused instead of guessed at.
 *
 * Any thread. Nothing is allocated.
 */
#pragma once

#include "base/slice.h"
#include <stdbool.h>
#include <stdint.h>

/* Reads the number at the front of *rest, up to the first byte that is no digit, and moves *rest
 * behind it. False where there is none; then *rest and *ret are untouched. */
bool digits_take(struct slice *rest, uint64_t *ret);

/* Reads a text that is one number and nothing else. False, and *ret untouched, if it is not; a null
 * slice is none. */
bool digits_parse(struct slice text, uint64_t *ret);
