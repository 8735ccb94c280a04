/*
 * SHA-256 and HMAC-SHA-256 of a text in memory, as hex, and digests by name. Pure; any thread. If
 * OpenSSL fails the process ends, because a wrong digest must never be sent.
 */
#pragma once

#include "base/slice.h"
#include <stdbool.h>

enum {
    DIGEST_HEX_SIZE = 65, /* 64 lower-case hex digits and a NUL */
    DIGEST_ANY_SIZE = 129 /* of any digest, such as SHA-512 */
};

/* Ends the process unless `ok`. A digest fails only when memory runs out, or if OpenSSL is
 * configured without SHA-256. */
void digest_must(bool ok);

/* `out` gets two digits for each byte, and a NUL. */
void digest_hex(const unsigned char *bytes, size_t n, char *out);

void digest_sha256(struct slice text, char out[DIGEST_HEX_SIZE]);
void digest_hmac_sha256(struct slice key, struct slice text, char out[DIGEST_HEX_SIZE]);

/* Whether OpenSSL has a digest of this name ("SHA-512"); in FIPS mode it has no MD5. */
bool digest_known(const char *name);
/* The digest of n texts, one behind the other. `name` must be known. */
void digest_named(const char *name, const struct slice *texts, size_t n, char out[DIGEST_ANY_SIZE]);
