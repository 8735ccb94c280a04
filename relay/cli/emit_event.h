/*
 * Makes sample events of a shop: orders that are created, paid, shipped and delivered. The
 * generator takes four bytes of memory per key. One thread per generator.
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
    uint32_t *numbers; /* by key: how many of its events there were */
    uint64_t keys, random;
    char run[17]; /* tells the events of two runs apart */
};

void emit_generator_init(struct emit_generator *g, uint64_t keys);
void emit_generator_release(struct emit_generator *g);

/* The payload holds "n": 1, 2, 3 ... for each key, so that a reader sees order and gaps. */
void emit_generate(struct emit_generator *g, struct emit_event *ret);
void emit_event_release(struct emit_event *e);
