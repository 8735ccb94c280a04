/*
 * Makes sample events of a shop: orders that are created, paid, shipped and delivered. One thread
 * per generator. Nothing here fails; memory running out aborts the process.
 */
#pragma once

#include "base/buf.h"
#include <stdint.h>

struct emit_event {
    char id[37]; /* a random UUID */
    char aggregateid[32];
    const char *type; /* static */
    struct buf payload, headers;
};

struct emit_generator {
    uint32_t *numbers;     /* by key: how many events it has had */
    uint64_t keys, random; /* how many keys there are; state of the random numbers, never 0 */
    char run[17];          /* random text, tells the events of two runs apart */
};

/* `keys`: how many keys (orders) the events are spread over, at least 1; each takes four bytes. */
void emit_generator_init(struct emit_generator *g, uint64_t keys);
void emit_generator_release(struct emit_generator *g);

/* Makes the next event, of a random key. Its payload has an "n" that counts 1, 2, 3 ... for each
 * key, so that a reader can see whether the order is right and nothing is missing. *ret starts from
 * {0} and may be used again; its texts are the caller's, freed with emit_event_release. */
void emit_generate(struct emit_generator *g, struct emit_event *ret);
void emit_event_release(struct emit_event *e);
