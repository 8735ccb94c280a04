/*
 * Notices an event that comes after a later one of its key. Example: position 9 of a key is
 * applied, and then position 7. It remembers the last position of the keys that came last. One
 * thread.
 */
#pragma once

#include "consume/record.h"

enum { STEPS_KEYS = 16384 };

struct steps {
    struct {
        uint64_t key, position; /* position 0: empty */
    } last[STEPS_KEYS];
};

/* Takes note of an event that is applied now. True: it is a step back. An event without a position,
 * or whose position is none that can be compared, is none. */
bool steps_note(struct steps *s, const struct record *r);

/* The position as a number: of "42" and, hexadecimal, of an LSN "1/2A" with or without ":n.m"
 * behind it. False for any other text. */
bool steps_position(struct slice text, uint64_t *ret);
