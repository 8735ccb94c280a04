/*
 * SHA-256 and HMAC-SHA-256 of a text in memory, as hex. Pure; any thread. If OpenSSL fails the
 * process ends, because a wrong digest must never be sent.
 */
#pragma once

#include "base/slice.h"
#include <stdbool.h>

enum { DIGEST_HEX_SIZE = 65 }; /* 64 lower-case hex digits and a NUL */

/* Ends the process unless `ok`. A digest fails only when memory runs out, or if OpenSSL is
 * configured without SHA-256. */
void digest_must(bool ok);

/* `out` gets two digits for each byte, and a NUL. */
void digest_hex(const unsigned char *bytes, size_t n, char *out);

void digest_sha256(struct slice text, char out[DIGEST_HEX_SIZE]);
void digest_hmac_sha256(struct slice key, struct slice text, char out[DIGEST_HEX_SIZE]);
