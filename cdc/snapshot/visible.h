/*
 * Which transactions a snapshot of the server sees: pg_current_snapshot()'s text, against the
 * 32-bit xids of the stream. Compared modulo 2^32, as the server itself does. One thread.
 */
#pragma once

#include "base/slice.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct visible {
    uint32_t xmax;     /* this one and all behind it had not begun to end */
    uint32_t *running; /* before xmax, and not over */
    size_t count, cap;
};

void visible_release(struct visible *v);

/* "xmin:xmax:xid,xid"; false for anything else. */
bool visible_parse(struct visible *v, struct slice text);

bool visible_has(const struct visible *v, uint32_t xid);

static inline bool xid_before(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) < 0;
}

/* A growing list of xids. */
struct xids {
    uint32_t *items;
    size_t count, cap;
};
void xids_release(struct xids *x);
void xids_add(struct xids *x, uint32_t xid);
