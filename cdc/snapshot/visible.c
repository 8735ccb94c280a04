/* Reads the text of pg_current_snapshot() and answers whether it sees a transaction. */
#include "cdc/snapshot/visible.h"

#include "base/digits.h"
#include "base/memory.h"

#include <stdlib.h>

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
        x->items = memory_need(reallocarray(x->items, x->cap, sizeof *x->items));
    }
    x->items[x->count++] = xid;
}

/* Takes a number and the `end` behind it off `rest`; behind the last number there is none. */
static bool take_xid(struct slice *rest, char end, uint32_t *ret)
{
    uint64_t v;
    if (!digits_take(rest, &v) || (rest->len > 0 && rest->ptr[0] != end)) {
        return false;
    }
    bool more = rest->len > 0;
    *rest = (struct slice){rest->ptr + more, rest->len - more};
    *ret = (uint32_t)v; /* the lower half: without the epoch */
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
