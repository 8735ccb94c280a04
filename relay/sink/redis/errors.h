/*
 * The rules for what a server answers in the place of a result: whose fault is it, and what can
 * people do? Functions without state; any thread.
 */
#pragma once

#include "base/error.h"
#include "base/slice.h"

/* Fills *err from an error reply such as "WRONGTYPE Operation against a key ...". `server` is whom
 * it came from, `about` the stream or channel that was written to ("": the reply is about none).
 * The code is the reply's first word. */
int redis_error(struct error *err, const char *server, struct slice about, struct slice reply);
