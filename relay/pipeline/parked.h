/*
 * The set of parked keys: message keys whose events have to wait, because an earlier event of the
 * key is an open dead letter. The pipeline asks for each event, so a look costs a hash of the key,
 * and nothing while no key is parked.
 *
 * Private to relay/pipeline, one thread. No I/O; nothing here fails, but memory running out aborts
 * the process.
 */
#pragma once

#include "base/slice.h"
#include <stdint.h>

struct parked_key {
    struct slice key; /* owned */
    uint64_t hash;
    int64_t letter; /* the open dead letter at its head; 0: what waits is to be sent */
    struct slice event_id, position; /* owned: of that letter, if the store has told; else null */
};

/* All zero: empty. */
struct parked {
    struct parked_key *slots; /* open addressing; key.ptr NULL: free */
    size_t size, count;       /* size: 0 or a power of two, at least twice the count */
    size_t released;          /* keys without a dead letter */
};

void parked_clear(struct parked *s); /* frees all of it */

/* NULL if the key is not parked. What these return is valid until the next add or remove. */
struct parked_key *parked_find(const struct parked *s, struct slice key);
/* Parks the key (copied) behind this letter; 0: released at once. One that is parked gets the
 * letter. */
void parked_add(struct parked *s, struct slice key, int64_t letter);
/* Which event the letter of a parked key is of (both copied). */
void parked_know(struct parked *s, struct slice key, struct slice event_id, struct slice position);
void parked_remove(struct parked *s, struct slice key);

/* The letter is not open any more: its key is released. False: it heads no key. */
bool parked_release(struct parked *s, int64_t letter);
/* Some released key; NULL if there is none. */
const struct parked_key *parked_released(const struct parked *s);
/* The lowest number of a dead letter that heads a key; 0 if there is none. */
int64_t parked_oldest(const struct parked *s);
