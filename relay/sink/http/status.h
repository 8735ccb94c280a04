/*
 * What an answer of an HTTP server means for its events, and what people are told. Any thread.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"

/* A server's wish to wait is obeyed for at most so long. */
#define HTTP_RETRY_AFTER_MAX_US (INT64_C(300) * 1000000)

/* The class for a status code, ERROR_NONE for 2xx. retry_after: the answer has a Retry-After that
 * could be read. 429, and 503 with a Retry-After, are BUSY: the receiver works and asks to wait. */
enum error_class http_status_class(long status, bool retry_after);

/* The process's exit code if it ends because of this status: 77 for 401 and 403, 78 for other
 * faults of the configuration, else 75. */
int http_status_exit_code(long status);

/* What to do about it; never NULL. */
const char *http_status_remedy(long status);

/* Reads the value of a Retry-After header, seconds or an HTTP date (RFC 9110, 10.2.3). *ret_us is
 * how long to wait from now_us (wall clock), 0 to HTTP_RETRY_AFTER_MAX_US. False, and *ret_us
 * untouched, for anything else. */
bool http_retry_after(const char *text, int64_t now_us, int64_t *ret_us);

/* Appends a URL as people may see it: without its query, which often holds a token. */
void http_shown_url(struct buf *out, const char *url);
