/*
 * Log sequence numbers (LSN: a place in the WAL, counted in bytes) as PostgreSQL prints them:
 * "16/B374D848", two hexadecimal halves. PostgreSQL documentation: datatype-pg-lsn. Any thread.
 */
#pragma once

#include "base/buf.h"
#include "base/slice.h"
#include <stdbool.h>
#include <stdint.h>

enum { LSN_TEXT_SIZE = 18 }; /* "FFFFFFFF/FFFFFFFF" and a NUL */

/* Writes the text with its NUL and returns its length without it. */
size_t lsn_format(uint64_t lsn, char out[LSN_TEXT_SIZE]);
void lsn_add(struct buf *out, uint64_t lsn);

/* False, and *ret stays as it was, unless all of `text` is an LSN. */
bool lsn_parse(struct slice text, uint64_t *ret);
