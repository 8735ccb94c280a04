/* Makes events of a row's change. A format may want several: a delete is followed by a tombstone,
 * for example. Each has a fixed number within the change, whether the others are wanted or not, so
 * that a cursor or an id means the same after the configuration has changed. */
#include "cdc/intake/intake.h"

/* The numbers of the messages of a change. */
enum { PART_CHANGE, PART_TOMBSTONE, PART_CREATE };

/* A change under construction, and what its events share. */
struct making {
    struct intake *in;
    const struct intake_table *mark;
    struct batch *batch;
    struct change base;
    size_t bytes;
};

static const struct cell *fallback(const struct cell *cells, int32_t i)
{
    return cells && cells[i].kind == CELL_TEXT ? &cells[i] : NULL;
}

/* The value of a further column: of the row after the change, or else of the row before it. It is
 * copied into the batch, because a message key may be this slice and has to live as long as the
 * event. */
static struct slice further_value(const struct change *c, int32_t which, struct arena *arena)
{
    static const char ops[] = "rcudtm0";
    switch (which) {
    case FURTHER_NONE:
        return SLICE_NULL;
    case FURTHER_SCHEMA:
        return c->table ? arena_copy(arena, c->table->schema) : SLICE_NULL;
    case FURTHER_TABLE:
        return c->table ? arena_copy(arena, c->table->name) : SLICE_NULL;
    case FURTHER_OP: {
        /* A tombstone must get the topic and key of its delete. */
        const char *op = strchr(ops, c->op == CHANGE_TOMBSTONE ? CHANGE_DELETE : (char)c->op);
        return op ? (struct slice){op, 1} : SLICE_NULL;
    }
    default:
        break;
    }
    const struct cell *cell = fallback(c->after, which);
    cell = cell ? cell : fallback(c->before, which);
    return cell ? arena_copy(arena, cell->text) : SLICE_NULL;
}

static struct event *add(struct making *m, const struct change *change)
{
    const struct source_env *env = m->in->env;
    struct change *c = arena_alloc(m->in->scratch, sizeof *c);
    struct event *e = batch_add(m->batch);
    *c = *change;
    e->change = c;
    e->created_at_us = c->commit_us;
    e->bytes = m->bytes;
    m->batch->bytes += m->bytes;
    if (env->columns_count > 0) {
        struct arena *arena = &m->batch->arena;
        struct slice *columns = arena_array(arena, env->columns_count, sizeof *columns);
        for (size_t i = 0; i < env->columns_count; i++) {
            columns[i] = further_value(c, m->mark->further[i], arena);
        }
        e->columns = columns;
    }
    return e;
}

/* Adds the event, unless the format does not want such changes or it was delivered before the
 * restart. */
static void give(struct making *m, const struct change *c, uint32_t part, bool last)
{
    struct change numbered;
    if (m->in->env->shape.skip[c->op & 127]) {
        return;
    }
    if (m->in->env->shape.transactions && c->op != CHANGE_TOMBSTONE) {
        numbered = *c;
        intake_number(m->in, &numbered, m->batch);
        c = &numbered;
    }
    if (!txn_was_delivered(m->in->txn, part)) {
        intake_place(m->in, m->batch, add(m, c), part, last);
    }
}

static struct making making_of(struct intake *in, const struct intake_table *mark, size_t bytes,
                               uint64_t lsn, struct batch *batch)
{
    bool placeholder = in->conf->unchanged_toast_given
                           ? in->conf->unchanged_toast == CDC_TOAST_PLACEHOLDER
                           : in->env->shape.placeholder;
    return (struct making){.in = in,
                           .mark = mark,
                           .batch = batch,
                           .bytes = bytes,
                           .base = {.table = mark->sent,
                                    .database = in->database,
                                    .lsn = lsn,
                                    .commit_lsn = in->txn->commit,
                                    .last_commit_lsn = in->txn->last_end,
                                    .xid = in->txn->xid,
                                    .commit_us = in->txn->commit_us,
                                    .omit_unchanged = !placeholder}};
}

size_t intake_change_parts(const struct intake *in, enum pgoutput_type type)
{
    size_t begin = in->env->shape.transactions;
    if (in->conf->as == CDC_AS_OUTBOX) {
        return 1;
    }
    if (type == PGOUTPUT_UPDATE && in->env->shape.split_key_change) {
        return begin + PART_CREATE + 1;
    }
    bool tombstone = type == PGOUTPUT_DELETE && in->env->shape.tombstones;
    return begin + (tombstone ? PART_TOMBSTONE + 1 : 1);
}

static size_t tuple_bytes(const struct pgoutput_tuple *t)
{
    size_t bytes = 0;
    for (size_t i = 0; t->cells && i < t->count; i++) {
        bytes += t->cells[i].text.len;
    }
    return bytes;
}

/* A key tuple has null in the columns outside the key. That is not their value: they are absent. */
static void clear_beside_key(const struct change_table *table, struct cell *before)
{
    for (size_t i = 0; i < table->columns_count; i++) {
        if (!table->columns[i].identity) {
            before[i] = (struct cell){.kind = CELL_ABSENT};
        }
    }
}

/* An update leaves out large values that it did not change. If the old row has them, they are taken
 * from there. */
static void fill_unchanged(const struct change_table *table, const struct cell *before,
                           struct cell *after)
{
    for (size_t i = 0; i < table->columns_count; i++) {
        if (after[i].kind == CELL_UNCHANGED &&
            (before[i].kind == CELL_TEXT || before[i].kind == CELL_NULL)) {
            after[i] = before[i];
        }
    }
}

static bool cells_equal(const struct cell *a, const struct cell *b)
{
    return a->kind == b->kind && (a->kind != CELL_TEXT || slice_equal(a->text, b->text));
}

/* Compares the keys. That an old tuple is there does not mean that the key changed: it also comes
 * with REPLICA IDENTITY FULL, or when a key column is stored out of line. */
static bool key_changed(const struct change_table *table, const struct cell *before,
                        const struct cell *after)
{
    for (size_t k = 0; k < table->key_count; k++) {
        size_t i = table->key[k];
        if (before[i].kind != CELL_ABSENT && after[i].kind != CELL_UNCHANGED &&
            !cells_equal(&before[i], &after[i])) {
            return true;
        }
    }
    return false;
}

static void give_delete(struct making *m, const struct cell *before, const struct cell *other,
                        bool alone)
{
    const struct intake *in = m->in;
    bool tombstone = in->env->shape.tombstones && m->base.table->key_count > 0 &&
                     !in->env->shape.skip[CHANGE_DELETE];
    struct change c = m->base;
    c.op = CHANGE_DELETE;
    c.before = before;
    c.other_key = other;
    give(m, &c, PART_CHANGE, alone && !tombstone);
    if (tombstone) {
        c.op = CHANGE_TOMBSTONE;
        give(m, &c, PART_TOMBSTONE, alone);
    }
}

static void give_update(struct making *m, struct pgoutput_message *msg)
{
    const struct change_table *table = m->base.table;
    struct cell *before = msg->row.before.cells, *after = msg->row.after.cells;
    bool changed = false;
    if (before) {
        fill_unchanged(table, before, after);
        changed = key_changed(table, before, after);
    }
    struct change c = m->base;
    if (changed && m->in->env->shape.split_key_change) {
        give_delete(m, before, after, false);
        c.op = CHANGE_CREATE;
        c.after = after;
        c.other_key = before;
        give(m, &c, PART_CREATE, true);
        return;
    }
    c.op = CHANGE_UPDATE;
    c.before = changed || table->identity == IDENTITY_FULL ? before : NULL;
    c.after = after;
    give(m, &c, PART_CHANGE, true);
}

void intake_row_change(struct intake *in, const struct intake_table *mark,
                       const struct change_table *table, struct pgoutput_message *m, uint64_t lsn,
                       struct batch *batch)
{
    size_t bytes = mark->bytes + 2 * (tuple_bytes(&m->row.before) + tuple_bytes(&m->row.after));
    struct making making = making_of(in, mark, bytes, lsn, batch);
    if (m->row.before.cells && m->row.old_is_key) {
        clear_beside_key(table, m->row.before.cells);
    }
    if (mark->raw_chars) {
        intake_escape_chars(in, table, m->row.before.cells);
        intake_escape_chars(in, table, m->row.after.cells);
    }
    switch (m->type) {
    case PGOUTPUT_UPDATE:
        give_update(&making, m);
        return;
    case PGOUTPUT_DELETE:
        give_delete(&making, m->row.before.cells, NULL, true);
        return;
    default: {
        struct change c = making.base;
        c.op = CHANGE_CREATE;
        c.after = m->row.after.cells;
        give(&making, &c, PART_CHANGE, true);
        return;
    }
    }
}

void intake_truncate(struct intake *in, const struct intake_table *mark,
                     const struct pgoutput_message *m, uint64_t lsn, uint32_t part, bool last,
                     struct batch *batch)
{
    struct making making = making_of(in, mark, mark->bytes, lsn, batch);
    struct change c = making.base;
    c.op = CHANGE_TRUNCATE;
    c.cascade = m->truncate.cascade;
    c.restart_identity = m->truncate.restart_identity;
    give(&making, &c, part, last);
}

struct event *intake_read(struct intake *in, const struct intake_table *mark,
                          const struct change_table *table, const struct cell *cells,
                          enum snapshot_mark snapshot, uint64_t lsn, int64_t taken_us,
                          struct batch *batch)
{
    size_t bytes = mark->bytes;
    for (size_t i = 0; i < table->columns_count; i++) {
        bytes += 2 * cells[i].text.len;
    }
    struct making making = making_of(in, mark, bytes, lsn, batch);
    if (mark->raw_chars) {
        struct cell *own = arena_array(in->scratch, table->columns_count, sizeof *own);
        memcpy(own, cells, table->columns_count * sizeof *own);
        intake_escape_chars(in, table, own);
        cells = own;
    }
    struct change c = making.base;
    c.op = CHANGE_READ;
    c.after = cells;
    c.snapshot = snapshot;
    c.commit_lsn = 0;
    c.last_commit_lsn = 0;
    c.xid = 0;
    c.commit_us = taken_us;
    struct event *e = in->env->shape.skip[CHANGE_READ] ? NULL : add(&making, &c);
    if (e) {
        e->ends_transaction = true;
    }
    return e;
}
