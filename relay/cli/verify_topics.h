/*
 * The names of the topics that a `verify` has read: as many as the broker has, which its metadata
 * holds in memory anyway. A plain set; main thread.
 */
#pragma once

#include "base/slice.h"
#include <stdbool.h>
#include <stddef.h>

struct verify_topics {
    char **names; /* in the order of strcmp */
    size_t count, room;
};

void verify_topics_release(struct verify_topics *t); /* for CLEANUP: start from {0} */

void verify_topics_add(struct verify_topics *t, struct slice name); /* once */
bool verify_topics_have(const struct verify_topics *t, struct slice name);
