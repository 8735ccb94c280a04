/*
 * The versions of the libraries in use, for `version` and the log. Any thread.
 */
#pragma once

#include "base/buf.h"

/* Appends "libpq 15.1", the library of each sink, and SQLite, with `separator` between them. */
void versions_add(struct buf *out, const char *separator);
