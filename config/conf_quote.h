/*
 * Quotes a text of a command line for a configuration that is made of it, so that no character of
 * it acts as YAML and no ${...} in it is expanded. Any thread; cannot fail.
 */
#pragma once

#include "base/buf.h"

/* Appends the text in double quotes. */
void conf_quote(struct buf *out, const char *text);
