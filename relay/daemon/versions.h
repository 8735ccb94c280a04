/*
 * The libraries this process runs with, as they say of themselves.
 */
#pragma once

#include "base/buf.h"

/* Appends "libpq 15.1", then each sink's library, then SQLite, with `separator` between. */
void versions_add(struct buf *out, const char *separator);
