/* Turns rows of the initial snapshot into events. Each gets an id that is made of the row itself
 * (its key), so that a row that is read again after a restart has the same id. */
#include "base/fnv1a.h"
#include "base/log.h"
#include "cdc/internal.h"
#include "cdc/stream/lsn.h"

#include <stdio.h>

static const int64_t PROGRESS_EVERY_US = 10 * US_PER_SECOND;

/* Bytes of a key in an id. For a longer key the id has its hash: the id becomes a message header,
 * which should stay small. */
enum { KEY_TEXT_MAX = 200 };

void cdc_free_old_marks(struct cdc_source *s)
{
    for (struct intake_table *t = s->old_marks, *next; t; t = next) {
        next = t->next;
        intake_table_free(t);
    }
    s->old_marks = NULL;
}

void cdc_snapshot_close(struct cdc_source *s)
{
    snapshot_close(s->snapshot);
    cdc_free_old_marks(s);
    intake_table_free(s->row_mark);
    s->snapshot = NULL;
    s->row_mark = NULL;
    s->row_table = NULL;
    s->snapshot_ended = false;
}

static void tell_progress(struct cdc_source *s)
{
    int64_t now = clock_mono_us();
    char text[256];
    if (now < s->progress_at_us) {
        return;
    }
    s->progress_at_us = now + PROGRESS_EVERY_US;
    snapshot_progress(s->snapshot, text, sizeof text);
    if (text[0] && s->env->note) {
        s->env->note(s->env->note_ctx, LOG_INFO, text);
    }
}

/* --- the id of a row --- */

/* Escapes every byte that could be taken for a separator. Otherwise the keys ("a,b", "c") and
 * ("a", "b,c") would have the same id, and a consumer would drop one of the rows. */
static void add_escaped(struct buf *out, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c <= ' ' || c >= 0x7f || c == ',' || c == ':' || c == '%') {
            buf_printf(out, "%%%02X", c);
        } else {
            buf_add_char(out, (char)c);
        }
    }
}

static void add_key(struct buf *out, const struct change_table *t, const struct cell *cells)
{
    size_t from = out->len;
    for (size_t k = 0; k < t->key_count; k++) {
        if (k > 0) {
            buf_add_char(out, ',');
        }
        add_escaped(out, cells[t->key[k]].text);
    }
    if (out->len - from > KEY_TEXT_MAX) {
        struct slice whole = {out->data + from, out->len - from};
        uint64_t high = fnv1a_add(FNV1A_START, whole);
        uint64_t low = fnv1a_add(high ^ UINT64_C(0x9e3779b97f4a7c15), whole);
        out->len = from;
        buf_printf(out, "#%016llx%016llx", (unsigned long long)high, (unsigned long long)low);
    }
}

/* The id of a row without a key: its number in the table and a hash of its values. The order may be
 * another one when the table is read again. Then the row gets an id that no other row had, and is
 * sent twice, but it is never taken for another row and dropped. */
static void add_number(struct buf *out, const struct change_table *t, const struct cell *cells,
                       uint64_t number)
{
    uint64_t h = FNV1A_START;
    for (size_t i = 0; i < t->columns_count; i++) {
        h = fnv1a_byte(h, (unsigned char)('0' + (int)cells[i].kind));
        h = fnv1a_add(h, cells[i].text);
    }
    buf_printf(out, "%llu-%016llx", (unsigned long long)number, (unsigned long long)h);
}

static struct slice row_id(struct cdc_source *s, const struct snapshot_row *row,
                           struct arena *arena)
{
    struct buf *id = &s->row_id;
    buf_clear(id);
    buf_add_u64(id, s->identity.system_id);
    buf_add_char(id, ':');
    lsn_add(id, row->lsn);
    buf_add_char(id, ':');
    add_escaped(id, row->table->schema);
    buf_add_char(id, '.');
    add_escaped(id, row->table->name);
    buf_add_char(id, ':');
    if (row->table->key_count > 0) {
        add_key(id, row->table, row->cells);
    } else {
        add_number(id, row->table, row->cells, row->number);
    }
    return arena_copy(arena, buf_slice(id));
}

/* --- rows --- */

static int enter_table(struct cdc_source *s, const struct change_table *table, struct error *err)
{
    struct intake_table *mark = NULL;
    if (s->row_table == table) {
        return RESULT_DONE;
    }
    if (intake_table_new(&s->intake, table, &mark, err)) {
        return RESULT_ERROR;
    }
    if (s->row_mark) {
        s->row_mark->next = s->old_marks;
        s->old_marks = s->row_mark;
    }
    s->row_mark = mark;
    s->row_table = table;
    return RESULT_DONE;
}

static void place(struct cdc_source *s, const struct snapshot_row *row, struct batch *batch,
                  struct event *e)
{
    struct arena *arena = &batch->arena;
    struct mark *m = arena_alloc(arena, sizeof *m);
    *m = (struct mark){.start = s->txn.start,
                       .last = s->txn.last_end,
                       .behind = txn_place_now(&s->txn),
                       .snapshot = arena_copy(arena, buf_slice(&s->snapshot_text))};
    e->origin = m;
    buf_clear(&s->row_id);
    cdc_position_format(row->lsn, 0, 0, &s->row_id);
    e->position = arena_copy(arena, buf_slice(&s->row_id));
    if (slice_is_null(e->id)) {
        e->id = row_id(s, row, arena);
    }
}

static int take_row(struct cdc_source *s, const struct snapshot_row *row, struct batch *batch,
                    struct error *err)
{
    struct event *e = NULL;
    if (enter_table(s, row->table, err)) {
        return RESULT_ERROR;
    }
    if (!s->row_mark->wanted) {
        return RESULT_DONE;
    }
    if (s->conf->as == CDC_AS_CHANGES) {
        e = intake_read(&s->intake, s->row_mark, row->table, row->cells, row->mark, row->lsn,
                        row->taken_us, batch);
    } else {
        size_t bytes = s->row_mark->bytes;
        for (size_t i = 0; i < row->table->columns_count; i++) {
            bytes += row->cells[i].text.len;
        }
        if (intake_outbox_row(&s->intake, s->row_mark->map, row->cells, bytes, batch, &e, err)) {
            return RESULT_ERROR;
        }
    }
    if (e) {
        place(s, row, batch, e);
    }
    return RESULT_DONE;
}

int cdc_snapshot_read(struct cdc_source *s, struct batch *batch, size_t max_events,
                      size_t max_bytes, struct error *err)
{
    /* A change borrows its cells until the next read. An outbox event keeps them, so they have to
     * live as long as the batch. */
    struct arena *arena = s->conf->as == CDC_AS_CHANGES ? &s->scratch : &batch->arena;
    tell_progress(s);
    while (batch->count < max_events && batch->bytes < max_bytes) {
        struct snapshot_row row;
        bool end = false;
        int rc = snapshot_next(s->snapshot, arena, &row, &end, err);
        if (rc) {
            return rc;
        }
        if (end) {
            s->snapshot_ended = s->snapshot_taken = s->unsaved = s->more = true;
            buf_clear(&s->snapshot_text);
            return RESULT_DONE;
        }
        buf_clear(&s->snapshot_text);
        snapshot_state(s->snapshot, &s->snapshot_text);
        if (take_row(s, &row, batch, err)) {
            return RESULT_ERROR;
        }
    }
    s->more = true;
    return RESULT_DONE;
}
