/*
 * The trace that an event belongs to: the member `traceparent` of its headers, as W3C Trace Context
 * has it. Example: {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}. It
 * goes on with the message as any other header does; this file is for log lines and for messages
 * that do not carry the headers.
 *
 * No state, nothing fails. Any thread.
 */
#pragma once

#include "model/event.h"

#define TRACE_HEADER "traceparent"
enum { TRACE_SIZE = 56 }; /* "00-" 32 digits "-" 16 digits "-" 2 digits, and a NUL */

/* Copies the traceparent of the event: version, trace id, parent id and flags, without what a later
 * version may append. "" if the event has none, or if it is not of the form that the standard
 * demands. The name may be written in capitals. */
void trace_of(const struct event *e, char out[TRACE_SIZE]);
