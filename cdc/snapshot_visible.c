/* A transaction counts as seen only if the snapshot's text says so. */
#include "cdc/snapshot_visible.h"

#include <stdio.h>
#include <stdlib.h>

static void *must_alloc(void *p)
{
    if (!p) {
        fputs("commitrelay: out of memory\n", stderr);
        abort();
    }
    return p;
}

void visible_release(struct visible *v)
{
    free(v->running);
    *v = (struct visible){0};
}

void xids_release(struct xids *x)
{
    free(x->items);
    *x = (struct xids){0};
}

void xids_add(struct xids *x, uint32_t xid)
{
    if (x->count == x->cap) {
        x->cap = x->cap ? x->cap * 2 : 256;
        x->items = must_alloc(reallocarray(x->items, x->cap, sizeof *x->items));
    }
    x->items[x->count++] = xid;
}

/* Digits up to `end` (or the end of the text), which is passed over. */
static bool take_xid(struct slice *rest, char end, uint32_t *ret)
{
    uint64_t v = 0;
    size_t i = 0;
    for (; i < rest->len && rest->ptr[i] != end; i++) {
        unsigned digit = (unsigned)(unsigned char)rest->ptr[i] - '0';
        if (digit > 9 || __builtin_mul_overflow(v, 10U, &v) ||
            __builtin_add_overflow(v, digit, &v)) {
            return false;
        }
    }
    if (i == 0) {
        return false;
    }
    bool more = i < rest->len;
    *rest = (struct slice){rest->ptr + i + more, rest->len - i - more};
    *ret = (uint32_t)v; /* without its epoch */
    return true;
}

bool visible_parse(struct visible *v, struct slice text)
{
    uint32_t xmin, xid;
    struct xids running = {v->running, 0, v->cap};
    bool ok = !slice_is_null(text) && take_xid(&text, ':', &xmin) && take_xid(&text, ':', &v->xmax);
    while (ok && text.len > 0) {
        ok = take_xid(&text, ',', &xid);
        if (ok) {
            xids_add(&running, xid);
        }
    }
    v->running = running.items;
    v->count = running.count;
    v->cap = running.cap;
    return ok;
}

bool visible_has(const struct visible *v, uint32_t xid)
{
    if (!xid_before(xid, v->xmax)) {
        return false;
    }
    for (size_t i = 0; i < v->count; i++) {
        if (v->running[i] == xid) {
            return false;
        }
    }
    return true;
}
