/*
 * Remembers the rows in flight and the keys that are blocked (keys.h).
 */
#include "source/outbox_postgres/keys.h"

#include "base/clock.h"
#include "base/memory.h"
#include "db/pg.h"
#include <stdlib.h>

/* --- held --- */

void outbox_pg_held_release(struct outbox_pg_held *h)
{
    free(h->items);
    buf_release(&h->text);
    *h = (struct outbox_pg_held){0};
}

void outbox_pg_held_clear(struct outbox_pg_held *h)
{
    h->from = h->count = h->hint = h->live = 0;
    buf_clear(&h->text);
}

/* Removes the items that are gone, so that memory does not grow with the number of events ever
 * seen. */
static void compact(struct outbox_pg_held *h)
{
    struct buf text = {0};
    size_t n = 0;
    buf_reserve(&text, h->text.len / 2 + 1);
    for (size_t i = h->from; i < h->count; i++) {
        struct outbox_pg_held_item item = h->items[i];
        if (!item.gone) {
            size_t offset = text.len;
            buf_add(&text, h->text.data + item.offset, item.len);
            item.offset = offset;
            h->items[n++] = item;
        }
    }
    buf_release(&h->text);
    h->text = text;
    h->from = h->hint = 0;
    h->count = n;
}

void outbox_pg_held_add(struct outbox_pg_held *h, struct slice key)
{
    if (h->count == h->cap) {
        if (h->live <= h->count / 2) {
            compact(h);
        }
        if (h->count == h->cap) {
            h->cap = h->cap ? h->cap * 2 : 1024;
            h->items = memory_need(reallocarray(h->items, h->cap, sizeof *h->items));
        }
    }
    h->items[h->count++] =
        (struct outbox_pg_held_item){.offset = h->text.len, .len = (uint32_t)key.len};
    buf_add_slice(&h->text, key);
    h->live++;
}

void outbox_pg_held_acking(struct outbox_pg_held *h, struct slice key)
{
    size_t n = h->count - h->from, at = h->hint < h->from ? h->from : h->hint;
    for (size_t i = 0; i < n; i++, at++) {
        at = at >= h->count ? h->from : at;
        struct outbox_pg_held_item *item = &h->items[at];
        struct slice text = {buf_str(&h->text) + item->offset, item->len};
        if (!item->gone && slice_equal(text, key)) {
            item->acking = true;
            h->hint = at + 1;
            return;
        }
    }
}

void outbox_pg_held_acked(struct outbox_pg_held *h)
{
    for (size_t i = h->from; i < h->count; i++) {
        if (h->items[i].acking && !h->items[i].gone) {
            h->items[i].gone = true;
            h->live--;
        }
    }
    while (h->from < h->count && h->items[h->from].gone) {
        h->from++;
    }
    if (h->from == h->count) {
        outbox_pg_held_clear(h);
    }
}

void outbox_pg_held_array(const struct outbox_pg_held *h, struct buf *out)
{
    buf_clear(out);
    buf_add_char(out, '{');
    for (size_t i = h->from; i < h->count; i++) {
        const struct outbox_pg_held_item *item = &h->items[i];
        if (!item->gone) {
            pg_array_element(out, (struct slice){h->text.data + item->offset, item->len});
        }
    }
    buf_add_char(out, '}');
}

/* --- blocked --- */

void outbox_pg_blocked_clear(struct outbox_pg_blocked *b)
{
    outbox_pg_blocked_expire(b, INT64_MAX);
}

void outbox_pg_blocked_release(struct outbox_pg_blocked *b)
{
    outbox_pg_blocked_clear(b);
    free(b->items);
    *b = (struct outbox_pg_blocked){0};
}

static struct outbox_pg_blocked_item *find(const struct outbox_pg_blocked *b, struct slice key)
{
    for (size_t i = 0; i < b->count; i++) {
        if (slice_equal((struct slice){b->items[i].key, b->items[i].len}, key)) {
            return &b->items[i];
        }
    }
    return NULL;
}

bool outbox_pg_blocked_add(struct outbox_pg_blocked *b, struct slice key, int64_t until_us)
{
    struct outbox_pg_blocked_item *known = find(b, key);
    if (known) {
        known->until_us = until_us > known->until_us ? until_us : known->until_us;
        return true;
    }
    if (b->count == OUTBOX_PG_BLOCKED_MAX) {
        return false;
    }
    if (b->count == b->cap) {
        b->cap = b->cap ? b->cap * 2 : 16;
        b->items = memory_need(reallocarray(b->items, b->cap, sizeof *b->items));
    }
    char *copy = memory_need(malloc(key.len + 1));
    memcpy(copy, key.ptr, key.len);
    b->items[b->count++] = (struct outbox_pg_blocked_item){copy, key.len, until_us};
    return true;
}

bool outbox_pg_blocked_has(const struct outbox_pg_blocked *b, struct slice key)
{
    return find(b, key) != NULL;
}

void outbox_pg_blocked_expire(struct outbox_pg_blocked *b, int64_t now_us)
{
    size_t n = 0;
    for (size_t i = 0; i < b->count; i++) {
        if (b->items[i].until_us <= now_us) {
            free(b->items[i].key);
        } else {
            b->items[n++] = b->items[i];
        }
    }
    b->count = n;
}

int64_t outbox_pg_blocked_next(const struct outbox_pg_blocked *b)
{
    int64_t next = DEADLINE_NEVER;
    for (size_t i = 0; i < b->count; i++) {
        next = b->items[i].until_us < next ? b->items[i].until_us : next;
    }
    return next;
}

void outbox_pg_blocked_array(const struct outbox_pg_blocked *b, struct buf *out)
{
    buf_clear(out);
    buf_add_char(out, '{');
    for (size_t i = 0; i < b->count; i++) {
        pg_array_element(out, (struct slice){b->items[i].key, b->items[i].len});
    }
    buf_add_char(out, '}');
}
