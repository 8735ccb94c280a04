/*
 * Base64 with padding (RFC 4648, section 4). Any thread.
 */
#pragma once

#include "base/buf.h"
#include <stdbool.h>

/* Appends the text of `bytes` to `out`, which belongs to the caller. Cannot fail: memory running
 * out aborts (base/buf.h). */
void base64_add(struct buf *out, struct slice bytes);

/* Appends the bytes that the text stands for. "-" and "_" count as "+" and "/" (RFC 4648, section
 * 5), and the padding may be missing. False, and nothing is appended, for any other text. */
bool base64_parse(struct buf *out, struct slice text);
