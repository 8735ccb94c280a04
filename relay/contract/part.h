/*
 * The part of a pipeline that a store and a source work on: the whole, or shard k of N.
 *
 * Example: shard 3 of 8 is the part "3/8", shard 0 the first. The text is a key of the relay's
 * tables (pipeline, part) and a piece of the name of its lock, so it must not change between
 * versions. No I/O, any thread.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The part of a pipeline that is not divided into shards. */
#define PART_WHOLE ""

enum { PART_SHARDS_MAX = 16, PART_SIZE = 8 /* of a part's text */ };

struct part {
    int number; /* from 0 */
    int of;     /* number of shards; 1: the whole */
};

static inline void part_text(struct part p, char out[PART_SIZE])
{
    out[0] = '\0';
    if (p.of > 1) {
        snprintf(out, PART_SIZE, "%d/%d", p.number % PART_SHARDS_MAX, p.of % (PART_SHARDS_MAX + 1));
    }
}

/* NULL counts as the whole. False for a text that part_text never writes. */
static inline bool part_parse(const char *text, struct part *ret)
{
    struct part p = {.of = 1};
    char again[PART_SIZE];
    if (text && *text) {
        char *slash;
        long number = strtol(text, &slash, 10), of = *slash ? strtol(slash + 1, NULL, 10) : 0;
        if (of < 2 || of > PART_SHARDS_MAX || number < 0 || number >= of) {
            return false;
        }
        p = (struct part){(int)number, (int)of};
    }
    part_text(p, again);
    *ret = p;
    return strcmp(again, text ? text : PART_WHOLE) == 0;
}
