/*
 * The text of a struct's settings by its key table: two loads with equal texts have equal settings.
 */
#pragma once

#include "base/buf.h"
#include "config/conf_key.h"

/* Appends "prefix.key=value" lines. Texts that may hold a secret stand as length and hash. */
void conf_fingerprint(struct buf *out, const char *prefix, const struct conf_key *keys,
                      const void *base);
