/*
 * Which transactions a snapshot of the server sees. It compares the text of pg_current_snapshot(),
 * whose xids have 64 bits, with the 32-bit xids of the stream. Only the lower 32 bits count, modulo
 * 2^32, as in the server itself. Plain values: any thread may use its own.
 */
#pragma once

#include "base/slice.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct visible {
    uint32_t xmax;     /* transactions from this one on had not ended: not visible */
    uint32_t *running; /* transactions before xmax that had not ended: not visible; owned */
    size_t count, cap;
};

void visible_release(struct visible *v);

/* Reads "xmin:xmax:xid,xid" into *v, whose memory is used again. False: it is anything else; then
 * *v must not be asked. */
bool visible_parse(struct visible *v, struct slice text);

/* Does the snapshot see this transaction, if it committed? */
bool visible_has(const struct visible *v, uint32_t xid);

/* Is `a` the older one? Right as long as they are less than 2^31 transactions apart. */
static inline bool xid_before(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) < 0;
}

/* A growing list of xids; all zero is the empty list, xids_release frees it. */
struct xids {
    uint32_t *items;
    size_t count, cap;
};
void xids_release(struct xids *x);
void xids_add(struct xids *x, uint32_t xid);
