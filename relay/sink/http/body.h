/*
 * The bodies of requests: the value of one event, or several values in one body. Any thread.
 */
#pragma once

#include "sink/http/conf.h"

/* Whether the event's value can be a part of a body of several (batch.events above 1). POISON for a
 * value that is not JSON; CONFIG for one that is no CloudEvent where a CloudEvents batch is wanted.
 */
int http_body_check(const struct http_conf *c, const struct event *e, struct error *err) MUST_CHECK;

/* How many bytes the event takes in a body of several. */
size_t http_body_bytes(const struct event *e);

/* Appends event i of a body of several; http_body_end comes last. A null value is JSON null. */
void http_body_add(const struct http_conf *c, struct buf *out, size_t i, const struct event *e);
void http_body_end(const struct http_conf *c, struct buf *out);

/* The media type of a body of several, or of one event that says none itself. */
const char *http_body_type(const struct http_conf *c);
const char *http_value_type(const struct event *e);
