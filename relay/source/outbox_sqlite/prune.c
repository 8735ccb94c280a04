/*
 * Removes delivered rows step by step. SQLite has one writer at a time, so a row is delivered if
 * its row id is not above the one in the pipeline's cursor. A step is one short transaction, which
 * keeps other writers waiting for as long as it takes to delete the rows of one batch.
 */
#include "source/outbox_sqlite/internal.h"

#include "base/memory.h"

#include "contract/prune.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A pipeline of the table. */
struct reader {
    char *pipeline;
    const char *why; /* static: why it holds back everything; "" if it does not */
    int64_t last;    /* delivered up to this row id */
    int64_t held;    /* old rows that stayed for it, over all steps */
    bool seen;       /* by the step under way */
};

struct prune {
    const struct outbox_sqlite_conf *conf;
    struct source_env env;
    struct prune_order order;
    struct outbox_sqlite *source; /* opened to look only; its connection is ours */
    int64_t after;                /* row id of the last row that was looked at */
    struct reader *readers;
    size_t readers_count;
    int64_t *keys; /* rows to remove in this step, at most order.batch */
    size_t keys_count;
    int64_t *kept; /* rows that a dead letter needs */
    size_t kept_count;
};

static void prune_settings(const void *conf, struct prune_settings *ret)
{
    const struct outbox_sqlite_conf *c = conf;
    *ret = c->prune;
}

/* --- its life --- */

static void prune_close(void *prune)
{
    struct prune *p = prune;
    if (!p) {
        return;
    }
    outbox_sqlite_close(p->source);
    for (size_t i = 0; i < p->readers_count; i++) {
        free(p->readers[i].pipeline);
    }
    free(p->readers);
    free(p->keys);
    free(p->kept);
    free(p);
}

/* The columns that say which pipelines read the table; a file that only an earlier version has used
 * has none. */
static int judge_store(const struct prune *p, struct error *err)
{
    int64_t n;
    if (sqlite_query_int(p->source->db,
                         "SELECT count(*) FROM pragma_table_info('commitrelay_positions') WHERE "
                         "name = 'source_mode'",
                         0, &n, err)) {
        return RESULT_ERROR;
    }
    return n > 0 ? RESULT_DONE
                 : error_set(err, ERROR_CONFIG, "sqlite",
                             "the relay's tables in \"%s\" do not say which pipelines read the "
                             "table: start the relay once with this version",
                             p->conf->path);
}

int outbox_sqlite_refuse_prune(const struct outbox_sqlite_conf *conf, struct error *err)
{
    return error_set(
        err, ERROR_CONFIG, "sqlite",
        "table \"%s\" has no column \"%s\", which says how old a row is: name the right one in source.columns.created_at",
        conf->table, conf->columns.created_at);
}

static int prepare(struct prune *p, struct error *err)
{
    unsigned caps;
    void *source = NULL;
    if (outbox_sqlite_open(p->conf, &p->env, &source, &caps, err)) {
        return RESULT_ERROR;
    }
    p->source = source;
    if (outbox_sqlite_connect(p->source, err) || judge_store(p, err)) {
        return RESULT_ERROR;
    }
    if (!p->source->table.aged) {
        return outbox_sqlite_refuse_prune(p->conf, err);
    }
    return RESULT_DONE;
}

static int prune_open(const void *conf, const struct source_env *env,
                      const struct prune_order *order, void **ret, struct error *err)
{
    struct prune *p = memory_need(calloc(1, sizeof *p));
    p->conf = conf;
    p->env = *env;
    p->env.observe = true; /* it has time to wait for a lock */
    p->order = *order;
    p->after = INT64_MIN;
    p->keys = memory_need(calloc((size_t)order->batch, sizeof *p->keys));
    if (prepare(p, err)) {
        prune_close(p);
        return RESULT_ERROR;
    }
    *ret = p;
    return RESULT_DONE;
}

/* --- who reads the table --- */

static struct reader *reader_of(struct prune *p, struct slice pipeline)
{
    for (size_t i = 0; i < p->readers_count; i++) {
        if (slice_equal_str(pipeline, p->readers[i].pipeline)) {
            return &p->readers[i];
        }
    }
    struct reader *all = memory_need(realloc(p->readers, (p->readers_count + 1) * sizeof *all));
    p->readers = all;
    all[p->readers_count] = (struct reader){
        .pipeline = memory_need(strndup(pipeline.ptr ? pipeline.ptr : "", pipeline.len))};
    return &all[p->readers_count++];
}

/* The row of a pipeline: pipeline, cursor, source_table, source_mode. */
static void read_one(struct prune *p, struct sqlite_stmt *q)
{
    struct reader *r = reader_of(p, sqlite_value(q, 0));
    struct slice cursor = sqlite_value(q, 1), table = sqlite_value(q, 2), mode = sqlite_value(q, 3);
    r->seen = true;
    r->last = INT64_MIN;
    r->why = "";
    if (slice_is_null(table)) {
        r->why = "its table is not known: start it once with this version";
    } else if (!slice_equal_str(mode, "position")) {
        r->why = "it removes its rows itself (mode: delete)";
    } else if (cursor.len == 0) {
        r->why = "it has not run yet";
    } else if (!outbox_sqlite_cursor_is_ours(p->source, cursor)) {
        r->why = "its position means nothing here";
    } else {
        r->last = outbox_sqlite_cursor_last(cursor);
    }
}

/* A pipeline whose table is not known, or not there any more, counts too, until it is started again
 * or forgotten. An empty source_table needs no rows. */
static int read_readers(struct prune *p, struct error *err)
{
    CLEANUP(sqlite_stmt_freep) struct sqlite_stmt *q = NULL;
    bool row;
    for (size_t i = 0; i < p->readers_count; i++) {
        p->readers[i].seen = false;
    }
    if (sqlite_prepare(p->source->db,
                       "SELECT pipeline, cursor, source_table, source_mode FROM "
                       "commitrelay_positions WHERE source_table IS NULL OR (source_table <> '' "
                       "AND (source_table = ?1 COLLATE NOCASE OR NOT EXISTS (SELECT 1 FROM "
                       "sqlite_master WHERE name = source_table COLLATE NOCASE)))",
                       &q, err)) {
        return RESULT_ERROR;
    }
    sqlite_bind_text(q, 1, slice_from(p->source->table.name));
    while (sqlite_step(q, &row, err) == RESULT_DONE) {
        if (row) {
            read_one(p, q);
            continue;
        }
        struct reader *own = reader_of(p, slice_from(p->env.pipeline));
        if (!own->seen) {
            own->seen = true;
            own->last = INT64_MIN;
            own->why = "it has not run yet";
        }
        return RESULT_DONE;
    }
    return RESULT_ERROR;
}

/* A dead letter holds the whole event, so its row may go; but not the row of one that does not
 * (SOURCE_ROW_KEPT). */
static int read_kept(struct prune *p, struct error *err)
{
    CLEANUP(sqlite_stmt_freep) struct sqlite_stmt *q = NULL;
    bool row;
    p->kept_count = 0;
    if (sqlite_prepare(p->source->db,
                       "SELECT position FROM commitrelay_dead_letters WHERE state IN ('dead', "
                       "'waiting') AND code = '" SOURCE_ROW_KEPT "'",
                       &q, err)) {
        return RESULT_ERROR;
    }
    while (sqlite_step(q, &row, err) == RESULT_DONE) {
        if (!row) {
            return RESULT_DONE;
        }
        int64_t *all = memory_need(realloc(p->kept, (p->kept_count + 1) * sizeof *all));
        p->kept = all;
        p->kept[p->kept_count++] = sqlite_int(q, 0);
    }
    return RESULT_ERROR;
}

/* --- a step --- */

static bool is_kept(const struct prune *p, int64_t key)
{
    for (size_t i = 0; i < p->kept_count; i++) {
        if (p->kept[i] == key) {
            return true;
        }
    }
    return false;
}

/* True: every pipeline has delivered the row. */
static bool is_delivered(struct prune *p, int64_t key)
{
    bool delivered = true;
    for (size_t i = 0; i < p->readers_count; i++) {
        struct reader *r = &p->readers[i];
        if (r->seen && r->last < key) {
            r->held++;
            delivered = false;
        }
    }
    return delivered;
}

/* Goes through the next rows and notes those that may go. *ret_old: rows that are old enough. */
static int choose(struct prune *p, struct prune_step *ret, int64_t *ret_old, struct error *err)
{
    CLEANUP(sqlite_stmt_freep) struct sqlite_stmt *q = NULL;
    int64_t before_us = clock_wall_us() - p->order.older_than_us, created_us;
    bool row;
    if (sqlite_prepare(p->source->db, p->source->table.aged, &q, err)) {
        return RESULT_ERROR;
    }
    sqlite_bind_int(q, 1, p->after);
    sqlite_bind_int(q, 2, p->order.batch);
    while (sqlite_step(q, &row, err) == RESULT_DONE) {
        if (!row) {
            return RESULT_DONE;
        }
        int64_t key = sqlite_int(q, 0);
        ret->looked_at++;
        p->after = key;
        if (clock_parse_timestamp(sqlite_value(q, 1), &created_us) && created_us < before_us) {
            ++*ret_old;
            if (is_delivered(p, key) && !is_kept(p, key)) {
                p->keys[p->keys_count++] = key;
            }
        }
    }
    return RESULT_ERROR;
}

static int remove_chosen(struct prune *p, struct prune_step *ret, struct error *err)
{
    struct sqlite_stmt *q = p->source->remove;
    for (size_t i = 0; i < p->keys_count; i++) {
        sqlite_bind_int(q, 1, p->keys[i]);
        sqlite_bind_text(q, 2, SLICE_NULL);
        if (sqlite_run(q, err)) {
            return RESULT_ERROR;
        }
        ret->removed += sqlite_changes(p->source->db);
    }
    return ret->removed > 0 || p->keys_count == 0
               ? RESULT_DONE
               : error_set(err, ERROR_CONFIG, "sqlite",
                           "rows of \"%s\" that were deleted are still there: a trigger keeps them",
                           p->conf->table);
}

/* No row with a higher row id is delivered by all pipelines. */
static int64_t frontier(const struct prune *p)
{
    int64_t lowest = INT64_MAX;
    for (size_t i = 0; i < p->readers_count; i++) {
        const struct reader *r = &p->readers[i];
        lowest = r->seen && r->last < lowest ? r->last : lowest;
    }
    return lowest;
}

static int take_step(struct prune *p, struct prune_step *ret, struct error *err)
{
    int64_t old = 0;
    p->keys_count = 0;
    *ret = (struct prune_step){0};
    if (read_readers(p, err) || read_kept(p, err) || choose(p, ret, &old, err)) {
        return RESULT_ERROR;
    }
    /* The numbers grow, so what follows rows that are all too young is young too, and behind the
     * pipeline that is furthest back nothing may go. */
    bool held = p->keys_count == 0 && p->after > frontier(p);
    ret->ended = ret->looked_at < p->order.batch || old == 0 || held;
    if (p->order.dry_run) {
        ret->removed = (int64_t)p->keys_count;
        return RESULT_DONE;
    }
    return remove_chosen(p, ret, err);
}

static int prune_step(void *prune, struct prune_step *ret, struct error *err)
{
    struct prune *p = prune;
    int64_t after = p->after;
    struct prune_step step = {0};
    if (!p->order.dry_run && sqlite_begin(p->source->db, err)) {
        return RESULT_ERROR;
    }
    int rc = take_step(p, &step, err);
    if (!p->order.dry_run) {
        if (rc) {
            sqlite_rollback(p->source->db);
        } else {
            rc = sqlite_commit(p->source->db, err);
        }
    }
    if (rc) {
        p->after = after; /* the same rows again */
        return RESULT_ERROR;
    }
    *ret = step;
    return RESULT_DONE;
}

static void prune_held(void *prune, void (*each)(void *ctx, const struct prune_held *held),
                       void *ctx)
{
    const struct prune *p = prune;
    for (size_t i = 0; i < p->readers_count; i++) {
        const struct reader *r = &p->readers[i];
        if (r->held > 0) {
            each(ctx,
                 &(struct prune_held){.pipeline = r->pipeline, .rows = r->held, .why = r->why});
        }
    }
}

const struct prune_ops outbox_sqlite_prune = {.settings = prune_settings,
                                              .needless = outbox_sqlite_prune_needless,
                                              .open = prune_open,
                                              .step = prune_step,
                                              .held = prune_held,
                                              .close = prune_close};
