/*
 * FNV-1a, 64 bits (draft-eastlake-fnv): a fast hash for tables and for seeing that a text has
 * changed. It protects nothing: who wants two texts with one hash can make them.
 *
 * Values are stored (in cursors and ids), so the function must stay as it is. Pure; any thread.
 */
#pragma once

#include "base/slice.h"
#include <stdint.h>

#define FNV1A_START UINT64_C(0xcbf29ce484222325)

/* The hash of what `hash` stands for with one byte behind it. */
static inline uint64_t fnv1a_byte(uint64_t hash, unsigned char byte)
{
    return (hash ^ byte) * UINT64_C(0x100000001b3);
}

/* The same with a text behind it. The hash of a text alone begins with FNV1A_START. */
static inline uint64_t fnv1a_add(uint64_t hash, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        hash = fnv1a_byte(hash, (unsigned char)text.ptr[i]);
    }
    return hash;
}
