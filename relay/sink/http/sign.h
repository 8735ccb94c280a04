/*
 * The signature of Standard Webhooks (https://www.standardwebhooks.com): HMAC-SHA-256 over id, time
 * and body, so that a receiver who has the secret knows who sent them. Example:
 *
 *     webhook-signature: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=
 *
 * While a secret is being changed there are two, and the header has both signatures. Any thread.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"

/* Longest key in bytes; Standard Webhooks asks for 24 to 64. */
enum { HTTP_KEY_MAX = 128, HTTP_KEY_MIN = 16 };

struct http_secret {
    unsigned char key[HTTP_KEY_MAX];
    size_t len; /* 0: there is none */
};

/* Reads "whsec_<base64>", or the base64 alone. `name` is the configuration key, for the error,
 * which never shows the secret. CONFIG for what is not base64, or too short or long. */
int http_secret_read(const char *text, const char *name, struct http_secret *ret,
                     struct error *err) MUST_CHECK;

/* Appends the value of webhook-signature: one signature for each secret of the n that is set,
 * separated by blanks. timestamp_s: as webhook-timestamp has it, in seconds since 1970. `scratch`
 * is overwritten. */
void http_sign(struct buf *out, const struct http_secret *secrets, size_t n, struct slice id,
               int64_t timestamp_s, struct slice body, struct buf *scratch);
