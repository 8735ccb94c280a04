/*
 * Log sequence numbers as PostgreSQL prints them: "16/B374D848", two hexadecimal halves.
 * pgdoc: datatype-pg-lsn.
 */
#pragma once

#include "base/slice.h"
#include <stdbool.h>
#include <stdint.h>

enum { LSN_TEXT_SIZE = 18 }; /* "FFFFFFFF/FFFFFFFF" and a NUL */

/* Writes the text and returns its length. */
size_t lsn_format(uint64_t lsn, char out[LSN_TEXT_SIZE]);

/* False unless the whole of `text` is an LSN. */
bool lsn_parse(struct slice text, uint64_t *ret);
