/* Holds the rows of a chunk in a hash table by key, and takes out those that the stream changes. */
#include "cdc/snapshot/window.h"

#include "base/fnv1a.h"
#include "base/memory.h"
#include <stdio.h>
#include <stdlib.h>

void window_init(struct snapshot_window *w)
{
    *w = (struct snapshot_window){0};
    arena_init(&w->arena);
}

static void clear(struct snapshot_window *w)
{
    for (size_t i = 0; i < w->count; i++) {
        snapshot_key_release(&w->rows[i].key);
    }
    w->count = w->bytes = w->given = 0;
    w->useless = false;
    w->table = NULL;
    if (w->slots) {
        memset(w->slots, 0, w->slots_count * sizeof *w->slots);
    }
    arena_reset(&w->arena);
}

void window_release(struct snapshot_window *w)
{
    clear(w);
    free(w->rows);
    free(w->slots);
    arena_release(&w->arena);
}

void window_open(struct snapshot_window *w, const struct snapshot_table *t)
{
    clear(w);
    w->table = t;
}

/* --- rows by key --- */

/* The hash of a key's text. */
static size_t hash_of(const struct snapshot_key *k)
{
    uint64_t h = fnv1a_add(FNV1A_START, buf_slice(&k->text));
    return (size_t)(h ^ (h >> 32));
}

/* The slot of the key, or the empty slot where it belongs. */
static size_t *slot_of(struct snapshot_window *w, const struct snapshot_key *k)
{
    size_t i = hash_of(k) & (w->slots_count - 1);
    while (w->slots[i] &&
           !slice_equal(buf_slice(&w->rows[w->slots[i] - 1].key.text), buf_slice(&k->text))) {
        i = (i + 1) & (w->slots_count - 1);
    }
    return &w->slots[i];
}

static struct window_row *find(struct snapshot_window *w, const struct snapshot_key *k)
{
    size_t *slot = w->slots_count ? slot_of(w, k) : NULL;
    return slot && *slot ? &w->rows[*slot - 1] : NULL;
}

/* Makes room for one more key; the slots stay at most half full. */
static void grow_slots(struct snapshot_window *w)
{
    if (2 * (w->count + 1) > w->slots_count) {
        free(w->slots);
        w->slots_count = w->slots_count ? w->slots_count * 2 : 2048;
        w->slots = memory_need(calloc(w->slots_count, sizeof *w->slots));
        for (size_t i = 0; i < w->count; i++) {
            *slot_of(w, &w->rows[i].key) = i + 1;
        }
    }
}

/* Adds an empty row. The caller sets its key and puts it into the key's slot. */
static struct window_row *add_row(struct snapshot_window *w)
{
    if (w->count == w->cap || !w->rows) {
        w->cap = w->cap ? w->cap * 2 : 1024;
        w->rows = memory_need(reallocarray(w->rows, w->cap, sizeof *w->rows));
    }
    grow_slots(w);
    w->rows[w->count] = (struct window_row){0};
    return &w->rows[w->count++];
}

bool window_add(struct snapshot_window *w, const struct pg_result *row)
{
    if (w->count > 0 && w->bytes >= WINDOW_BYTES) {
        return false;
    }
    size_t n = w->table->table->columns_count;
    struct window_row *r = add_row(w);
    r->cells = snapshot_plan_cells(w->table, row, 0, &w->arena);
    for (size_t i = 0; i < n; i++) {
        w->bytes += r->cells[i].text.len + sizeof *r->cells;
    }
    snapshot_plan_key(w->table, row, 0, &r->key);
    w->bytes += r->key.text.len;
    *slot_of(w, &r->key) = w->count;
    return true;
}

/* --- changes --- */

/* Finds a column of the window's table in the stream's description of the table. `guess`: mostly it
 * has the same index. False: it is not there. */
static bool column_in(const struct change_table *t, const struct change_column *c, size_t guess,
                      size_t *ret)
{
    if (guess < t->columns_count && slice_equal(t->columns[guess].name, c->name)) {
        *ret = guess;
        return true;
    }
    for (size_t i = 0; i < t->columns_count; i++) {
        if (slice_equal(t->columns[i].name, c->name)) {
            *ret = i;
            return true;
        }
    }
    return false;
}

/* The key of the row in `cells`; a value that is missing there is taken from `other`, the row's
 * other version. False: a value or a column of the key is missing in both. */
static bool key_of(const struct snapshot_window *w, const struct change_table *t,
                   const struct cell *cells, const struct cell *other, struct snapshot_key *ret)
{
    const struct change_table *own = w->table->table;
    snapshot_key_clear(ret);
    for (size_t i = 0; i < own->key_count; i++) {
        size_t at;
        if (!column_in(t, &own->columns[own->key[i]], own->key[i], &at)) {
            return false;
        }
        const struct cell *c = cells && cells[at].kind == CELL_TEXT ? &cells[at]
                               : other                              ? &other[at]
                                                                    : NULL;
        if (!c || c->kind != CELL_TEXT) {
            return false;
        }
        snapshot_key_add(ret, c->text);
    }
    return true;
}

/* An update came: its left-out values are filled from our row, and our row takes over its others.
 */
static void merge(struct snapshot_window *w, struct window_row *r, const struct change_table *t,
                  struct cell *after, struct arena *arena)
{
    const struct change_table *own = w->table->table;
    for (size_t i = 0; i < own->columns_count; i++) {
        size_t at;
        if (!column_in(t, &own->columns[i], i, &at)) {
            continue;
        }
        struct cell *mine = &r->cells[i], *theirs = &after[at];
        if (theirs->kind == CELL_UNCHANGED &&
            own->columns[i].type->oid == t->columns[at].type->oid) {
            *theirs = (struct cell){mine->kind, arena_copy(arena, mine->text)};
        } else if (theirs->kind != CELL_UNCHANGED &&
                   (theirs->kind != mine->kind || !slice_equal(theirs->text, mine->text))) {
            *mine = (struct cell){theirs->kind, arena_copy(&w->arena, theirs->text)};
            w->bytes += theirs->text.len;
        }
    }
}

/* An update changed the row's key: a row under the new key must not be given either. */
static void rename_row(struct snapshot_window *w, struct window_row *r,
                       const struct snapshot_key *key)
{
    struct cell *cells = r->cells;
    struct window_row *there = find(w, key);
    if (there == r) {
        return;
    }
    if (!there) {
        there = add_row(w); /* from here on `r` may point to freed memory */
        snapshot_key_copy(&there->key, key);
        *slot_of(w, key) = w->count;
    } /* else the snapshot saw the row under its new key already */
    there->gone = true;
    there->cells = cells;
}

static void take_change(struct snapshot_window *w, const struct change_table *t,
                        const struct snapshot_key *old_key, const struct snapshot_key *new_key,
                        struct cell *after, struct arena *arena)
{
    struct window_row *r = old_key->count ? find(w, old_key) : NULL;
    if (r) {
        r->gone = true;
    }
    if (!after) {
        return;
    }
    r = r ? r : find(w, new_key);
    if (r) {
        r->gone = true;
        merge(w, r, t, after, arena);
        rename_row(w, r, new_key);
    }
}

/* Is this a change of the window's table? If another table has its name by now, the window becomes
 * useless: rows that were read of the old table may be older than what the stream shows under that
 * name. */
static bool is_ours(struct snapshot_window *w, const struct change_table *t)
{
    const struct change_table *own = w->table ? w->table->table : NULL;
    if (own && own->oid != t->oid && slice_equal(own->name, t->name) &&
        slice_equal(own->schema, t->schema)) {
        w->useless = true;
    }
    return own && !w->useless && own->oid == t->oid;
}

static void key_release(struct snapshot_key *k)
{
    snapshot_key_release(k);
}

void window_change(struct snapshot_window *w, const struct change_table *t,
                   const struct cell *before, struct cell *after, struct arena *arena)
{
    if (!is_ours(w, t)) {
        return;
    }
    CLEANUP(key_release) struct snapshot_key old_key = {0}, new_key = {0};
    bool known = (!before || key_of(w, t, before, after, &old_key)) &&
                 (!after || key_of(w, t, after, before, &new_key));
    if (!known || w->bytes > 2 * WINDOW_BYTES) {
        w->useless = true;
        return;
    }
    take_change(w, t, &old_key, &new_key, after, arena);
}

void window_truncate(struct snapshot_window *w, const struct change_table *t)
{
    for (size_t i = 0; is_ours(w, t) && i < w->count; i++) {
        w->rows[i].gone = true;
    }
}

/* --- what is left --- */

static size_t skip_gone(const struct snapshot_window *w, size_t i)
{
    while (i < w->count && w->rows[i].gone) {
        i++;
    }
    return i;
}

const struct window_row *window_next(struct snapshot_window *w, bool *ret_last)
{
    size_t i = w->useless ? w->count : skip_gone(w, w->given);
    w->given = i + 1;
    if (i >= w->count) {
        w->given = w->count;
        return NULL;
    }
    *ret_last = skip_gone(w, i + 1) >= w->count;
    return &w->rows[i];
}
