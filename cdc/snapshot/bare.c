/* Tables without a key, in an interrupted snapshot: makes the temporary slot, reads the tables in
 * its snapshot, and gives their rows when the stream has reached the LSN of that snapshot. */
#include "cdc/snapshot/bare.h"

#include "base/memory.h"
#include "cdc/snapshot/read.h"
#include "cdc/snapshot/resume.h"
#include "cdc/stream/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct snapshot_bare {
    struct snapshot_plan plan; /* borrows its tables' contents from the whole plan */
    size_t *places;            /* for each of its tables: the index in the whole plan */
    struct snapshot_read *read;
    uint64_t lsn; /* transactions that commit from here on are not in the snapshot */
    bool reached;
    size_t table;
    uint64_t number; /* rows given of that table */
};

/* Opens a walsender connection and makes the temporary slot. Closing the connection drops the slot.
 */
static int export(const struct snapshot_options *opt, struct stream **ret_stream,
                  struct stream_slot *ret_slot, struct error *err)
{
    const struct stream_options o = {.url = opt->conf->url,
                                     .pipeline = opt->pipeline,
                                     .connect_timeout_us = opt->connect_timeout_us,
                                     .read_timeout_us = opt->read_timeout_us,
                                     .stop_fd = opt->stop_fd,
                                     .plain_money = opt->plain_money};
    char name[64];
    snprintf(name, sizeof name, "commitrelay_snapshot_%ld_%lld", (long)getpid(),
             (long long)clock_wall_us());
    struct stream *stream = NULL;
    if (stream_connect(&o, &stream, err) ||
        stream_create_slot(stream, name, true, true, ret_slot, err)) {
        stream_close(stream);
        return error_prefix(
            err,
            "tables without a key have to be read again, at a place of the stream that a temporary slot marks");
    }
    *ret_stream = stream;
    return RESULT_DONE;
}

static struct snapshot_bare *choose(const struct snapshot_plan *plan, size_t first)
{
    struct snapshot_bare *b = memory_need(calloc(1, sizeof *b));
    arena_init(&b->plan.arena);
    b->plan.tables = arena_array(&b->plan.arena, plan->count, sizeof *b->plan.tables);
    b->places = arena_array(&b->plan.arena, plan->count, sizeof *b->places);
    for (size_t i = first; i < plan->count; i++) {
        if (plan->tables[i].table->key_count == 0) {
            b->places[b->plan.count] = i;
            b->plan.tables[b->plan.count++] = plan->tables[i];
        }
    }
    return b;
}

int snapshot_bare_open(const struct snapshot_options *opt, const struct snapshot_plan *plan,
                       size_t first, struct snapshot_bare **ret, struct error *err)
{
    struct snapshot_bare *b = choose(plan, first);
    struct stream *stream = NULL;
    struct stream_slot slot;
    if (b->plan.count == 0) {
        snapshot_bare_close(b);
        *ret = NULL;
        return RESULT_DONE;
    }
    if (export(opt, &stream, &slot, err) ||
        snapshot_read_open(opt, &b->plan, slot.snapshot, 1, NULL, &b->read, err)) {
        stream_close(stream);
        snapshot_bare_close(b);
        return RESULT_ERROR;
    }
    stream_close(stream);
    b->lsn = slot.consistent_lsn;
    *ret = b;
    return RESULT_DONE;
}

void snapshot_bare_close(struct snapshot_bare *b)
{
    if (b) {
        snapshot_read_close(b->read);
        arena_release(&b->plan.arena);
        free(b);
    }
}

void snapshot_bare_begin(struct snapshot_bare *b, uint64_t commit_lsn)
{
    b->reached = b->reached || commit_lsn >= b->lsn;
}

bool snapshot_bare_holds(const struct snapshot_bare *b)
{
    return b->reached;
}

bool snapshot_bare_covers(const struct snapshot_bare *b, const struct change_table *t)
{
    for (size_t i = 0; !b->reached && i < b->plan.count; i++) {
        if (b->plan.tables[i].table->oid == t->oid) {
            return true;
        }
    }
    return false;
}

int snapshot_bare_next(struct snapshot_bare *b, struct arena *arena,
                       struct snapshot_resume_row *ret, struct error *err)
{
    struct pg_result *row = NULL;
    size_t table = 0;
    int rc = snapshot_read_next(b->read, &table, &row, err);
    if (rc) {
        return rc;
    }
    *ret = (struct snapshot_resume_row){0};
    if (row) {
        b->number = table == b->table ? b->number + 1 : 1;
        b->table = table;
        ret->table = b->places[table];
        ret->cells = snapshot_plan_cells(&b->plan.tables[table], row, 0, arena);
        ret->lsn = b->lsn;
        ret->number = b->number;
        pg_result_free(row);
    }
    return RESULT_DONE;
}

void snapshot_bare_poll_fds(struct snapshot_bare *b, struct poll_set *set)
{
    snapshot_read_poll_fds(b->read, set);
}
