/* Counts what is settled, marked and saved, and keeps the keys of the rows to mark. Two rules: a
 * step is saved only after its rows were marked, and a mark or a save that was under way when the
 * connection failed is done again. */
#include "pipeline/progress.h"

#include "base/memory.h"
#include <assert.h>
#include <stdlib.h>

void progress_init(struct progress *g, bool marks_rows)
{
    *g = (struct progress){.marks_rows = marks_rows};
}

void progress_release(struct progress *g)
{
    if (g->owns_last_batch) {
        batch_free(g->last_batch);
    }
    buf_release(&g->cursor);
    buf_release(&g->saving_cursor);
    for (size_t i = 0; i < 2; i++) {
        arena_release(&g->keys[i].arena);
        free(g->keys[i].keys);
    }
}

static void drop_keys(struct progress_keys *k)
{
    k->count = 0;
    arena_reset(&k->arena);
}

void progress_number(struct progress *g)
{
    g->delivered++;
}

void progress_add_key(struct progress *g, struct slice key)
{
    struct progress_keys *k = &g->keys[g->collecting];
    if (k->count == k->cap) {
        k->cap = k->cap ? k->cap * 2 : 256;
        k->keys = memory_need(reallocarray(k->keys, k->cap, sizeof *k->keys));
    }
    k->keys[k->count++] = arena_copy(&k->arena, key);
}

static void mark_all(struct progress *g)
{
    g->marked = g->settled;
    g->delivered_marked = g->delivered;
}

static void mark_what_has_no_rows(struct progress *g)
{
    if (!g->marks_rows) {
        mark_all(g);
    }
}

struct batch *progress_settle(struct progress *g, struct batch *batch, size_t index, size_t events,
                              bool take_batch)
{
    struct batch *before = g->owns_last_batch ? g->last_batch : NULL;
    g->last_batch = batch;
    g->owns_last_batch = take_batch;
    if (events > 0) {
        g->last_index = index;
        g->cursor_stale = true;
        g->settled += events;
        g->events += events;
        mark_what_has_no_rows(g);
    }
    return before;
}

struct batch *progress_let_go(struct progress *g)
{
    if (!g->owns_last_batch || g->cursor_stale) {
        return NULL;
    }
    struct batch *b = g->last_batch;
    g->last_batch = NULL;
    g->owns_last_batch = false;
    return b;
}

void progress_set_cursor(struct progress *g, struct slice cursor)
{
    buf_clear(&g->cursor);
    buf_add_slice(&g->cursor, cursor);
    g->cursor_stale = false;
}

void progress_move(struct progress *g, struct slice cursor)
{
    progress_set_cursor(g, cursor);
    g->settled++;
    g->marked = g->settled;
}

void progress_beside(struct progress *g, size_t events)
{
    assert(g->marked == g->settled);
    g->delivered += events;
    g->delivered_marked = g->delivered;
    g->marked = ++g->settled;
}

void progress_recover(struct progress *g, uint64_t delivered)
{
    g->settled++;
    g->delivered = delivered;
    mark_what_has_no_rows(g);
}

void progress_adopt(struct progress *g, struct slice cursor, uint64_t delivered)
{
    progress_set_cursor(g, cursor);
    g->mark_lost = g->marking = g->saving = false;
    drop_keys(&g->keys[0]);
    drop_keys(&g->keys[1]);
    g->marked = g->saved = g->settled;
    g->delivered = g->delivered_marked = delivered;
}

uint64_t progress_unmarked(const struct progress *g)
{
    return g->settled - g->marked;
}

bool progress_mark_begin(struct progress *g, const struct progress_keys **ret_keys)
{
    assert(g->marks_rows && !g->marking);
    if (!g->mark_lost) {
        if (g->keys[g->collecting].count == 0) {
            mark_all(g); /* settled events without a key: dead letters whose rows stay */
            return false;
        }
        g->collecting = !g->collecting;
        g->marking_settled = g->settled;
        g->marking_delivered = g->delivered;
    }
    g->mark_lost = false;
    g->marking = true;
    *ret_keys = &g->keys[!g->collecting];
    return true;
}

void progress_mark_done(struct progress *g)
{
    assert(g->marking);
    g->marking = false;
    g->marked = g->marking_settled;
    g->delivered_marked = g->marking_delivered;
    drop_keys(&g->keys[!g->collecting]);
}

bool progress_may_save(const struct progress *g)
{
    return !g->saving && g->saved != g->marked;
}

void progress_save_begun(struct progress *g)
{
    assert(!g->saving && !g->cursor_stale);
    g->saving = true;
    g->saving_steps = g->marked;
    buf_clear(&g->saving_cursor);
    buf_add_slice(&g->saving_cursor, buf_slice(&g->cursor));
}

void progress_save_done(struct progress *g)
{
    g->saving = false;
    g->saved = g->saving_steps;
}

void progress_connection_lost(struct progress *g)
{
    g->mark_lost = g->mark_lost || g->marking;
    g->marking = g->saving = false;
}

bool progress_all_saved(const struct progress *g)
{
    return !g->marking && !g->mark_lost && !g->saving && g->saved == g->settled &&
           g->keys[g->collecting].count == 0;
}
