/* A hash table with open addressing. Removing moves the entries behind it together, so there are no
 * marks of removed ones that would slow a look down. */
#include "pipeline/parked.h"

#include "base/fnv1a.h"
#include "base/memory.h"
#include <stdlib.h>

enum { SIZE_MIN = 16 };

/* The upper half is folded in because the lowest bits choose the slot. */
static uint64_t hash_of(struct slice key)
{
    uint64_t h = fnv1a_add(FNV1A_START, key);
    return h ^ h >> 32;
}

/* The slot of the key, or the free one where it belongs. Only with size > count. */
static size_t slot_of(const struct parked *s, struct slice key, uint64_t hash)
{
    size_t i = hash & (s->size - 1);
    while (s->slots[i].key.ptr &&
           !(s->slots[i].hash == hash && slice_equal(s->slots[i].key, key))) {
        i = (i + 1) & (s->size - 1);
    }
    return i;
}

void parked_clear(struct parked *s)
{
    for (size_t i = 0; i < s->size; i++) {
        free((char *)s->slots[i].key.ptr);
    }
    free(s->slots);
    *s = (struct parked){0};
}

struct parked_key *parked_find(const struct parked *s, struct slice key)
{
    if (s->count == 0) {
        return NULL;
    }
    struct parked_key *k = &s->slots[slot_of(s, key, hash_of(key))];
    return k->key.ptr ? k : NULL;
}

static void grow(struct parked *s)
{
    struct parked old = *s;
    if ((s->count + 1) * 2 <= s->size) {
        return;
    }
    s->size = old.size ? old.size * 2 : SIZE_MIN;
    s->slots = memory_need(calloc(s->size, sizeof *s->slots));
    for (size_t i = 0; i < old.size; i++) {
        if (old.slots[i].key.ptr) {
            s->slots[slot_of(s, old.slots[i].key, old.slots[i].hash)] = old.slots[i];
        }
    }
    free(old.slots);
}

static char *copy(struct slice key)
{
    char *out = memory_need(malloc(key.len + 1));
    if (key.len > 0) {
        memcpy(out, key.ptr, key.len);
    }
    return out;
}

void parked_add(struct parked *s, struct slice key, int64_t letter)
{
    uint64_t hash = hash_of(key);
    grow(s);
    struct parked_key *k = &s->slots[slot_of(s, key, hash)];
    if (!k->key.ptr) {
        *k = (struct parked_key){.key = {copy(key), key.len}, .hash = hash};
        s->count++;
        s->released++;
    }
    s->released -= k->letter == 0;
    k->letter = letter;
    s->released += k->letter == 0;
}

void parked_remove(struct parked *s, struct slice key)
{
    struct parked_key *k = parked_find(s, key);
    if (!k) {
        return;
    }
    s->count--;
    s->released -= k->letter == 0;
    free((char *)k->key.ptr);
    size_t hole = (size_t)(k - s->slots), mask = s->size - 1;
    s->slots[hole] = (struct parked_key){0};
    for (size_t i = (hole + 1) & mask; s->slots[i].key.ptr; i = (i + 1) & mask) {
        size_t home = s->slots[i].hash & mask;
        if (((i - home) & mask) >= ((i - hole) & mask)) { /* a look from its home meets the hole */
            s->slots[hole] = s->slots[i];
            s->slots[i] = (struct parked_key){0};
            hole = i;
        }
    }
}

bool parked_release(struct parked *s, int64_t letter)
{
    for (size_t i = 0; i < s->size; i++) {
        if (s->slots[i].key.ptr && letter != 0 && s->slots[i].letter == letter) {
            s->slots[i].letter = 0;
            s->released++;
            return true;
        }
    }
    return false;
}

const struct parked_key *parked_released(const struct parked *s)
{
    for (size_t i = 0; s->released > 0 && i < s->size; i++) {
        if (s->slots[i].key.ptr && s->slots[i].letter == 0) {
            return &s->slots[i];
        }
    }
    return NULL;
}

int64_t parked_oldest(const struct parked *s)
{
    int64_t oldest = 0;
    for (size_t i = 0; i < s->size; i++) {
        int64_t letter = s->slots[i].letter;
        oldest = letter != 0 && (oldest == 0 || letter < oldest) ? letter : oldest;
    }
    return oldest;
}
