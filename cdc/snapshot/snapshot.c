/* The snapshot as the source sees it: decides whether it is a first run (read.c) or goes on
 * (resume.c), hands out the rows, and writes the state from which the rest can be read. */
#include "cdc/snapshot/snapshot.h"

#include "base/memory.h"
#include "cdc/snapshot/judge.h"
#include "cdc/snapshot/read.h"
#include "cdc/snapshot/resume.h"
#include "cdc/snapshot/state.h"

#include <stdio.h>
#include <stdlib.h>

/* One backend reads rows about as fast as one thread hands them out. A second one helps where rows
 * are wide or compressed. */
enum { CONNECTIONS = 2 };

struct snapshot {
    struct snapshot_options opt;
    bool requested, some; /* opt.request was given; it has a predicate */
    struct snapshot_plan plan;
    struct snapshot_read *read;     /* under one snapshot: the first run */
    struct snapshot_resume *resume; /* or between watermarks: an interrupted one goes on */
    uint64_t lsn;
    int64_t started_us, run_us; /* wall clock; monotonic, of this run */
    uint64_t rows, run_rows;    /* rows given: in all, and by this run */
    uint64_t number;            /* of the row given last, in its table */
    struct snapshot_rest rest;  /* what is left behind that row */

    /* With `read`: a row is kept here until the next one is known. Only then is it known whether it
     * is the last one, which gets a mark of its own. */
    struct pg_result *held;
    size_t held_table;

    struct slice *key_names, *key_values; /* room for snapshot_state */
    uint32_t *key_types;
};

static void release_catalog_connection(struct pg **sql)
{
    pg_close(*sql);
}

/* --- opening --- */

static int open_first(struct snapshot *s, struct error *err)
{
    s->lsn = s->opt.lsn;
    s->started_us = clock_wall_us();
    return snapshot_read_open(&s->opt, &s->plan, s->opt.exported, CONNECTIONS, NULL, &s->read, err);
}

static bool has_name(const struct change_table *t, const struct snapshot_place *place)
{
    return slice_equal(t->schema, place->schema) && slice_equal(t->name, place->table);
}

/* Is the key the one in the state: same columns, same types? Another type may sort in another
 * order, so "behind this value" would mean other rows. */
static bool has_key(const struct change_table *t, const struct snapshot_place *place)
{
    bool same = place->key_count == t->key_count;
    for (size_t k = 0; same && k < t->key_count; k++) {
        const struct change_column *c = &t->columns[t->key[k]];
        same = slice_equal(place->columns[k], c->name) &&
               (!place->oid || place->types[k] == c->type->oid);
    }
    return same;
}

/* Finds where to go on. Tables are read in the order of their names, so all tables before the place
 * were given.
 * If they are not the same tables any more, one of them may not have been read: all begins anew.
 * If the table at the place is another one under the same name, or its key has changed, the key in
 * the state means nothing: this table begins anew. */
static void find_rest(struct snapshot *s, const struct snapshot_place *place)
{
    size_t i = snapshot_plan_find(&s->plan, place->schema, place->table);
    const struct change_table *t = i < s->plan.count ? s->plan.tables[i].table : NULL;
    if (place->oid && place->before != snapshot_plan_before(&s->plan, i)) {
        return;
    }
    s->rest.table = i;
    if (!t || !has_name(t, place) || (place->oid && t->oid != place->oid)) {
        return;
    }
    s->rest.table += place->done;
    for (size_t k = 0; has_key(t, place) && k < t->key_count; k++) {
        snapshot_key_add(&s->rest.after, place->values[k]);
    }
}

/* Goes on with an outbox. Its rows are events, and an event must not come after a later one of the
 * stream. So the rest is read in a new snapshot while the stream waits. The stream then brings some
 * of the rows once more, with the same id. */
static int open_again(struct snapshot *s, struct pg *sql, struct error *err)
{
    struct pg_result *name = NULL;
    int rc = pg_query(sql, "begin isolation level repeatable read read only", 0, NULL, NULL, err);
    rc = rc ? rc : pg_query(sql, "select pg_export_snapshot()", 0, NULL, &name, err);
    rc = rc ? rc
            : snapshot_read_open(&s->opt, &s->plan, pg_value(name, 0, 0).ptr, CONNECTIONS, &s->rest,
                                 &s->read, err);
    pg_result_free(name);
    return rc;
}

static int open_interrupted(struct snapshot *s, struct pg *sql, struct error *err)
{
    CLEANUP(arena_release) struct arena arena;
    arena_init(&arena);
    struct snapshot_place place;
    if (snapshot_place_parse(s->opt.state, &arena, &place, err)) {
        return RESULT_ERROR;
    }
    s->lsn = place.lsn;
    s->started_us = place.started_us;
    s->rows = place.rows;
    if (!slice_is_null(place.table)) {
        find_rest(s, &place);
    }
    return s->opt.as_outbox ? open_again(s, sql, err)
                            : snapshot_resume_open(&s->opt, &s->plan, &s->rest, place.bare_done,
                                                   &s->resume, err);
}

static int open_all(struct snapshot *s, struct error *err)
{
    CLEANUP(release_catalog_connection) struct pg *sql = NULL;
    if (snapshot_connect(&s->opt, &sql, err) || snapshot_plan_load(&s->plan, sql, &s->opt, err) ||
        (s->opt.request && snapshot_judge(&s->opt, &s->plan, sql, err))) {
        return RESULT_ERROR;
    }
    s->key_names = arena_array(&s->plan.arena, SNAPSHOT_KEY_MAX, sizeof *s->key_names);
    s->key_values = arena_array(&s->plan.arena, SNAPSHOT_KEY_MAX, sizeof *s->key_values);
    s->key_types = arena_array(&s->plan.arena, SNAPSHOT_KEY_MAX, sizeof *s->key_types);
    return s->opt.exported ? open_first(s, err) : open_interrupted(s, sql, err);
}

int snapshot_open(const struct snapshot_options *opt, struct snapshot **ret, struct error *err)
{
    struct snapshot *s = memory_need(calloc(1, sizeof *s));
    s->opt = *opt;
    s->requested = opt->request != NULL;
    s->some = opt->request && opt->request->where[0];
    s->run_us = clock_mono_us();
    if (open_all(s, err)) {
        snapshot_close(s);
        return RESULT_ERROR;
    }
    s->opt.request = NULL; /* it need not live longer */
    *ret = s;
    return RESULT_DONE;
}

int snapshot_check(const struct snapshot_options *opt, struct error *err)
{
    CLEANUP(release_catalog_connection) struct pg *sql = NULL;
    struct snapshot_plan plan = {0};
    int rc = snapshot_connect(opt, &sql, err);
    if (rc == RESULT_DONE) {
        rc = snapshot_plan_load(&plan, sql, opt, err);
        rc = rc ? rc : snapshot_judge(opt, &plan, sql, err);
        snapshot_plan_release(&plan);
    }
    return rc;
}

void snapshot_close(struct snapshot *s)
{
    if (!s) {
        return;
    }
    snapshot_read_close(s->read);
    snapshot_resume_close(s->resume);
    pg_result_free(s->held);
    snapshot_key_release(&s->rest.after);
    snapshot_plan_release(&s->plan);
    free(s);
}

/* --- rows --- */

/* Counts a row of this table that is given now, and moves `rest` behind it. */
static void step(struct snapshot *s, size_t table, const struct pg_result *row, bool last_in_table)
{
    const struct snapshot_table *t = &s->plan.tables[table];
    s->number++;
    s->rows++;
    s->run_rows++;
    s->rest.table = last_in_table ? table + 1 : table;
    snapshot_key_clear(&s->rest.after);
    if (!last_in_table) {
        snapshot_plan_key(t, row, 0, &s->rest.after);
    }
}

/* The mark as Debezium sets it. A row that is the last of all and also the first is marked as last.
 */
static enum snapshot_mark mark_of(const struct snapshot *s, bool last_in_table, bool last)
{
    return last             ? SNAPSHOT_LAST
           : s->rows == 1   ? SNAPSHOT_FIRST
           : last_in_table  ? SNAPSHOT_LAST_IN_TABLE
           : s->number == 1 ? SNAPSHOT_FIRST_IN_TABLE
                            : SNAPSHOT_TRUE;
}

static void give_held(struct snapshot *s, bool last_in_table, bool last, struct arena *arena,
                      struct snapshot_row *ret)
{
    const struct snapshot_table *t = &s->plan.tables[s->held_table];
    step(s, s->held_table, s->held, last_in_table);
    *ret = (struct snapshot_row){.table = t->table,
                                 .cells = snapshot_plan_cells(t, s->held, 0, arena),
                                 .mark = mark_of(s, last_in_table, last),
                                 .lsn = s->lsn,
                                 .number = s->number,
                                 .taken_us = s->started_us};
    if (last_in_table) {
        s->number = 0;
    }
    pg_result_free(s->held);
}

static int next_read(struct snapshot *s, struct arena *arena, struct snapshot_row *ret,
                     bool *ret_end, struct error *err)
{
    struct pg_result *next = NULL;
    size_t next_table = 0;
    int rc = snapshot_read_next(s->read, &next_table, &next, err);
    if (rc == RESULT_DONE && next && !s->held) {
        s->held = next;
        s->held_table = next_table;
        rc = snapshot_read_next(s->read, &next_table, &next, err);
    }
    if (rc) {
        return rc;
    }
    *ret_end = !s->held;
    if (s->held) {
        give_held(s, !next || next_table != s->held_table, !next, arena, ret);
    }
    s->held = next;
    s->held_table = next_table;
    return RESULT_DONE;
}

static int next_resumed(struct snapshot *s, struct arena *arena, struct snapshot_row *ret,
                        bool *ret_end, struct error *err)
{
    struct snapshot_resume_row row;
    int rc = snapshot_resume_next(s->resume, arena, &row, err);
    if (rc) {
        return rc;
    }
    *ret_end = !row.cells;
    if (row.cells) {
        s->rows++;
        s->run_rows++;
        *ret = (struct snapshot_row){.table = s->plan.tables[row.table].table,
                                     .cells = row.cells,
                                     .mark = s->requested ? SNAPSHOT_INCREMENTAL
                                             : row.last   ? SNAPSHOT_LAST
                                                          : SNAPSHOT_TRUE,
                                     .lsn = row.lsn ? row.lsn : s->lsn,
                                     .number = row.number,
                                     .taken_us = s->started_us};
    }
    return RESULT_DONE;
}

int snapshot_next(struct snapshot *s, struct arena *arena, struct snapshot_row *ret, bool *ret_end,
                  struct error *err)
{
    return s->resume ? next_resumed(s, arena, ret, ret_end, err)
                     : next_read(s, arena, ret, ret_end, err);
}

void snapshot_poll_fds(struct snapshot *s, struct poll_set *set)
{
    if (s->resume) {
        snapshot_resume_poll_fds(s->resume, set);
    } else {
        snapshot_read_poll_fds(s->read, set);
    }
}

/* --- beside the stream --- */

bool snapshot_holds(const struct snapshot *s)
{
    return !s->resume || snapshot_resume_holds(s->resume);
}

void snapshot_begin(struct snapshot *s, uint32_t xid, uint64_t commit_lsn)
{
    if (s->resume) {
        snapshot_resume_begin(s->resume, xid, commit_lsn);
    }
}

void snapshot_watermark(struct snapshot *s, struct slice content)
{
    if (s->resume) {
        snapshot_resume_watermark(s->resume, content);
    }
}

bool snapshot_row_changed(struct snapshot *s, const struct change_table *table,
                          const struct cell *before, struct cell *after, struct arena *arena)
{
    if (s->resume) {
        window_change(snapshot_resume_window(s->resume), table, before, after, arena);
    }
    return !s->resume || !snapshot_resume_covers(s->resume, table);
}

bool snapshot_truncated(struct snapshot *s, const struct change_table *table)
{
    if (s->resume) {
        window_truncate(snapshot_resume_window(s->resume), table);
    }
    return !s->resume || !snapshot_resume_covers(s->resume, table);
}

/* --- where it stands --- */

static const struct snapshot_rest *rest_of(const struct snapshot *s)
{
    return s->resume ? snapshot_resume_rest(s->resume) : &s->rest;
}

void snapshot_state(const struct snapshot *s, struct buf *out)
{
    struct snapshot_place p = {.lsn = s->lsn,
                               .started_us = s->started_us,
                               .rows = s->rows,
                               .bare_done = s->resume && snapshot_resume_bare_done(s->resume)};
    const struct snapshot_rest *rest = rest_of(s);
    size_t count = rest->after.count;
    p.done = count == 0;
    if (!p.done || rest->table > 0) {
        size_t at = rest->table - p.done;
        const struct change_table *t = s->plan.tables[at].table;
        const char *values[SNAPSHOT_KEY_MAX];
        snapshot_key_values(&rest->after, values);
        p.schema = t->schema;
        p.table = t->name;
        p.oid = t->oid;
        p.before = snapshot_plan_before(&s->plan, at);
        for (size_t i = 0; i < count; i++) {
            s->key_names[i] = t->columns[t->key[i]].name;
            s->key_types[i] = t->columns[t->key[i]].type->oid;
            s->key_values[i] = slice_from(values[i]);
        }
        p.columns = s->key_names;
        p.values = s->key_values;
        p.types = s->key_types;
        p.key_count = count;
    }
    snapshot_place_format(&p, out);
}

void snapshot_progress(const struct snapshot *s, char *out, size_t size)
{
    size_t i = rest_of(s)->table;
    if (i >= s->plan.count) {
        snprintf(out, size, "%s", "");
        return;
    }
    int64_t expected = 0;
    for (size_t n = 0; n < s->plan.count; n++) {
        expected += s->plan.tables[n].rows > 0 ? s->plan.tables[n].rows : 0;
    }
    const struct change_table *t = s->plan.tables[i].table;
    int n = snprintf(out, size, "snapshot: %.*s (table %zu of %zu): %llu rows in all",
                     SLICE_FMT(t->name), i + 1, s->plan.count, (unsigned long long)s->rows);
    if (s->some || expected < (int64_t)s->rows || expected == 0 || n < 0 || (size_t)n >= size) {
        return; /* nobody knows how many it will be */
    }
    double elapsed = (double)(clock_mono_us() - s->run_us) / (double)US_PER_SECOND;
    double left =
        s->run_rows ? elapsed / (double)s->run_rows * (double)(expected - (int64_t)s->rows) : -1;
    out += n;
    size -= (size_t)n;
    n = snprintf(out, size, " of about %lld (%lld %%)", (long long)expected,
                 (long long)(100 * s->rows / (uint64_t)expected));
    if (left >= 0 && n > 0 && (size_t)n < size) {
        snprintf(out + n, size - (size_t)n, ", about %.0f s left", left);
    }
}
