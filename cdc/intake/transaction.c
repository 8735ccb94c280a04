/* Where a transaction begins and ends, as events, and the numbers of its changes. BEGIN has ordinal
 * 1 of its transaction although it is given only before the first event: a transaction without one
 * is not spoken of, or each heartbeat would make two messages. */
#include "cdc/intake/intake.h"

#include "base/memory.h"
#include <stdlib.h>

enum { EVENT_BYTES = 512, BEGIN_ORDINAL = 1 };

void intake_begin(struct intake *in, uint64_t lsn)
{
    intake_counts_clear(&in->counts);
    in->counts.begin_lsn = lsn;
}

/* Gives the event of ordinal `ordinal`, unless it was delivered before the restart. */
static void give(struct intake *in, struct change *c, uint64_t ordinal, struct batch *batch)
{
    const struct txn *now = in->txn;
    struct txn then = *now;
    then.ordinal = ordinal;
    if (txn_was_delivered(&then, 0)) {
        return;
    }
    c->database = in->database;
    c->commit_lsn = now->commit;
    c->last_commit_lsn = now->last_end;
    c->xid = now->xid;
    c->commit_us = now->commit_us;
    c->prefix = SLICE_LITERAL("transaction");
    in->txn = &then;
    intake_place(in, batch, intake_add_apart(in, c, EVENT_BYTES, batch), 0, true);
    in->txn = now;
}

/* The count of a table, or of logical messages. The names are few, and mostly it is the last one.
 */
static struct change_count *find(struct intake_counts *counts, struct slice name)
{
    for (size_t i = counts->count; i-- > 0;) {
        if (slice_equal(counts->tables[i].name, name)) {
            return &counts->tables[i];
        }
    }
    if (counts->count == counts->cap) {
        counts->cap = counts->cap ? 2 * counts->cap : 8;
        counts->tables = memory_need(realloc(counts->tables, counts->cap * sizeof *counts->tables));
    }
    char *copy = memory_need(malloc(name.len + 1));
    memcpy(copy, name.ptr, name.len);
    copy[name.len] = '\0';
    struct change_count *one = &counts->tables[counts->count++];
    *one = (struct change_count){{copy, name.len}, 0};
    return one;
}

void intake_number(struct intake *in, struct change *c, struct batch *batch)
{
    struct intake_counts *counts = &in->counts;
    CLEANUP(buf_release) struct buf name = {0};
    if (counts->total++ == 0) {
        struct change *begin = arena_alloc(in->scratch, sizeof *begin);
        *begin = (struct change){.op = CHANGE_BEGIN, .lsn = counts->begin_lsn};
        give(in, begin, BEGIN_ORDINAL, batch);
    }
    if (c->table) {
        buf_printf(&name, "%.*s.%.*s", SLICE_FMT(c->table->schema), SLICE_FMT(c->table->name));
    } else {
        buf_add_str(&name, "message");
    }
    c->total_order = counts->total;
    c->table_order = ++find(counts, buf_slice(&name))->events;
}

void intake_end(struct intake *in, uint64_t lsn, struct batch *batch)
{
    struct intake_counts *counts = &in->counts;
    if (counts->total == 0) {
        return;
    }
    struct change *end = arena_alloc(in->scratch, sizeof *end);
    struct change_count *copy = arena_array(in->scratch, counts->count, sizeof *copy);
    for (size_t i = 0; i < counts->count; i++) {
        copy[i] = (struct change_count){arena_copy(in->scratch, counts->tables[i].name),
                                        counts->tables[i].events};
    }
    *end = (struct change){.op = CHANGE_END,
                           .lsn = lsn,
                           .total_order = counts->total,
                           .counts = copy,
                           .counts_count = counts->count};
    give(in, end, in->txn->ordinal, batch);
}
