/*
 * Base64 with padding (RFC 4648, section 4). Any thread.
 */
#pragma once

#include "base/buf.h"

/* Appends the text of `bytes` to `out`, which belongs to the caller. Cannot fail: memory running
 * out aborts (base/buf.h). */
void base64_add(struct buf *out, struct slice bytes);
