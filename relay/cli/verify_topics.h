/*
 * The names of topics, as a `verify` sees them: those that it has read, and those that the rows
 * lead to. A plain set; main thread.
 */
#pragma once

#include "base/slice.h"
#include <stdbool.h>
#include <stddef.h>

struct verify_topics {
    char **names; /* in the order of strcmp */
    size_t count;
};

void verify_topics_release(struct verify_topics *t); /* for CLEANUP: start from {0} */

/* Adds a name, once. Beyond 10,000 names it does nothing: they are for errors, not for data. */
void verify_topics_add(struct verify_topics *t, struct slice name);
bool verify_topics_have(const struct verify_topics *t, const char *name);
