/*
 * The headers of a request. Any thread.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "model/event.h"

#include <curl/curl.h>

/* A token of RFC 9110, at most 256 bytes. */
bool http_header_name_valid(struct slice name);

/* No control characters but tabs. */
bool http_header_value_valid(struct slice value);

/* Whether the relay or libcurl sets this header itself, so that no one else may: host,
 * content-length, authorization, webhook-id ... */
bool http_header_is_ours(struct slice name);

/* Whether all headers of the event can be sent. POISON. */
int http_headers_check(const struct event *e, struct error *err) MUST_CHECK;

/* Appends the event's headers; *list is the caller's. A ce_ attribute of a CloudEvent is written as
 * the HTTP binding wants it (ce-id: ..., percent-encoded); a header without a value is left out.
 * without_type: but for content-type. */
void http_headers_add_event(struct curl_slist **list, const struct event *e, bool without_type,
                            struct buf *scratch);

/* Appends one; memory running out aborts. */
void http_headers_add(struct curl_slist **list, const char *name, struct slice value,
                      struct buf *scratch);

/* The event's own content type, or a null slice. */
struct slice http_headers_type(const struct event *e);
