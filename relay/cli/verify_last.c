/* The events of a row are folded into one: what was not sent is filled in from the event before. */
#include "cli/verify_last.h"

#include "base/memory.h"
#include "cli/kit/interrupt.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { PLACES_MAX = 3, LOOK_EVERY = 10000 };

/* --- tables --- */

void verify_seen_release(struct verify_seen *s)
{
    for (size_t i = 0; i < s->count; i++) {
        free(s->tables[i].name);
        verify_blanks_release(&s->tables[i].blanks);
    }
    free(s->tables);
    *s = (struct verify_seen){0};
}

static bool is_last(const struct verify_seen *s, struct slice name)
{
    return s->last < s->count && slice_equal_str(name, s->tables[s->last].name);
}

struct verify_seen_table *verify_seen_table(struct verify_seen *s, struct slice name)
{
    if (is_last(s, name)) {
        return &s->tables[s->last];
    }
    for (s->last = 0; s->last < s->count; s->last++) {
        if (is_last(s, name)) {
            return &s->tables[s->last];
        }
    }
    s->tables = memory_need(realloc(s->tables, (s->count + 1) * sizeof *s->tables));
    struct verify_seen_table *t = &s->tables[s->count++];
    *t = (struct verify_seen_table){.name = memory_need(strndup(name.ptr, name.len))};
    return t;
}

/* The table stands before the last line end of a row's id: a key is JSON in one line. */
static struct slice table_of(struct slice id)
{
    const char *end = memrchr(id.ptr, '\n', id.len);
    return (struct slice){id.ptr, end ? (size_t)(end - id.ptr) : id.len};
}

/* --- the items of one row --- */

struct walk {
    const struct verify_last *v;
    struct verify_counts *counts;
    size_t items;

    bool open, has_row, row_known, letter;
    bool exists;                      /* after the event at hand */
    bool any;                         /* there is an event */
    struct buf id, row, state, fresh; /* columns: of the row, after the event at hand, of it */
    char when[SOURCE_WHEN_SIZE];      /* of the event at hand */
    struct buf where, twice;          /* of the event at hand; of those that are there again */
    int64_t again;
};

static void release(struct walk *w)
{
    buf_release(&w->id);
    buf_release(&w->row);
    buf_release(&w->state);
    buf_release(&w->fresh);
    buf_release(&w->where);
    buf_release(&w->twice);
}

static int tell(struct walk *w, enum verify_what what, struct slice id, const struct buf *where,
                struct error *err)
{
    CLEANUP(buf_release) struct buf shown = {0};
    buf_add_slice(&shown, id);
    for (size_t i = 0; i < shown.len; i++) {
        shown.data[i] = (char)(shown.data[i] == '\n' ? ' ' : shown.data[i]);
    }
    const struct verify_difference d = {.what = what,
                                        .id = slice_is_null(id) ? id : buf_slice(&shown),
                                        .position = INT64_MIN,
                                        .where = where->len ? buf_str(where) : ""};
    w->counts->differences[what]++;
    return w->v->tell(w->v->ctx, &d, err);
}

/* What the last event says against what the table has; VERIFY_KINDS: the same. */
static enum verify_what judge(struct walk *w)
{
    bool unsent = false;
    if (!w->has_row || !w->exists) {
        return w->has_row ? VERIFY_MISSING : w->exists ? VERIFY_EXTRA : VERIFY_KINDS;
    }
    if (!w->row_known) {
        return VERIFY_KINDS;
    }
    bool equal = verify_columns_equal(buf_slice(&w->row), buf_slice(&w->state), &unsent);
    w->counts->not_comparable += unsent && equal;
    return equal ? VERIFY_KINDS : VERIFY_DIFFERENT;
}

static int end_row(struct walk *w, struct error *err)
{
    if (!w->open) {
        return RESULT_DONE;
    }
    w->open = false;
    const struct verify_seen_table *t = verify_seen_table(w->v->seen, table_of(buf_slice(&w->id)));
    w->exists = w->exists && strcmp(t->truncated, w->when) <= 0;
    if (w->again > 0 && tell(w, VERIFY_DUPLICATED, buf_slice(&w->id), &w->twice, err)) {
        return RESULT_ERROR;
    }
    enum verify_what what = judge(w);
    if (what != VERIFY_KINDS && w->letter) { /* an event of it was not sent, or was edited */
        w->counts->letters++;
        return RESULT_DONE;
    }
    return what == VERIFY_KINDS ? RESULT_DONE : tell(w, what, buf_slice(&w->id), &w->where, err);
}

static void begin_row(struct walk *w, struct slice id)
{
    buf_clear(&w->id);
    buf_clear(&w->row);
    buf_clear(&w->state);
    buf_clear(&w->where);
    buf_clear(&w->twice);
    buf_add_slice(&w->id, id);
    w->open = true;
    w->has_row = w->row_known = w->letter = w->exists = w->any = false;
    w->when[0] = '\0';
    w->again = 0;
}

static int add_place(struct walk *w, const struct verify_item *item, struct buf *out,
                     struct error *err)
{
    if (verify_sort_place(w->v->sort, item->place, out, err)) {
        return RESULT_ERROR;
    }
    if (item->number >= 0) {
        buf_printf(out, " %" PRId64, item->number);
    }
    return RESULT_DONE;
}

/* The same event once more: a consumer drops it by its id. */
static int take_again(struct walk *w, const struct verify_item *item, struct error *err)
{
    if (item->replayed) {
        w->counts->replayed++;
        return RESULT_DONE;
    }
    if (++w->again > PLACES_MAX) {
        return RESULT_DONE;
    }
    if (w->again == 1) {
        buf_add_slice(&w->twice, buf_slice(&w->where));
    }
    buf_add_str(&w->twice, ", ");
    return add_place(w, item, &w->twice, err);
}

/* The order of two copies of one event says nothing. So its columns are those of the last one. */
static int take_event(struct walk *w, const struct verify_item *item, struct error *err)
{
    if (w->any && slice_equal_str(item->when, w->when) && take_again(w, item, err)) {
        return RESULT_ERROR;
    }
    const struct verify_seen_table *t = verify_seen_table(w->v->seen, table_of(buf_slice(&w->id)));
    buf_clear(&w->fresh);
    if (item->op == VERIFY_UPSERT) {
        buf_add_slice(&w->fresh, item->digest);
        verify_columns_fill(&w->fresh, buf_slice(&w->state), &t->blanks);
    }
    buf_clear(&w->state);
    buf_add_slice(&w->state, buf_slice(&w->fresh));
    buf_clear(&w->where);
    w->exists = item->op == VERIFY_UPSERT;
    w->any = true;
    size_t n = item->when.len < sizeof w->when ? item->when.len : sizeof w->when - 1;
    memcpy(w->when, item->when.ptr, n);
    w->when[n] = '\0';
    return add_place(w, item, &w->where, err);
}

static int take_foreign(struct walk *w, const struct verify_item *item, struct error *err)
{
    CLEANUP(buf_release) struct buf where = {0};
    return add_place(w, item, &where, err) || tell(w, VERIFY_EXTRA, item->id, &where, err)
               ? RESULT_ERROR
               : RESULT_DONE;
}

static int take(void *ctx, const struct verify_item *item, struct error *err)
{
    struct walk *w = ctx;
    if (++w->items % LOOK_EVERY == 0 && interrupted(w->v->stop_fd)) {
        return error_set(err, ERROR_RETRY, "verify", "it was interrupted");
    }
    if (item->side == VERIFY_COPY && item->op == VERIFY_NOTHING) {
        return take_foreign(w, item, err);
    }
    if (w->open && !slice_equal(item->id, buf_slice(&w->id)) && end_row(w, err)) {
        return RESULT_ERROR;
    }
    if (!w->open) {
        begin_row(w, item->id);
    }
    if (item->side == VERIFY_ROW) {
        w->counts->rows++;
        w->has_row = true;
        w->row_known = !slice_is_null(item->digest);
        buf_add_slice(&w->row, item->digest);
        return RESULT_DONE;
    }
    w->letter = w->letter || item->side == VERIFY_LETTER;
    return item->side == VERIFY_COPY ? take_event(w, item, err) : RESULT_DONE;
}

int verify_last(const struct verify_last *v, struct verify_counts *ret, struct error *err)
{
    CLEANUP(release) struct walk w = {.v = v, .counts = ret};
    return verify_sort_walk(v->sort, take, &w, err) || end_row(&w, err) ? RESULT_ERROR
                                                                        : RESULT_DONE;
}
