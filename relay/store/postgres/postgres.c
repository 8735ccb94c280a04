/*
 * The store in PostgreSQL: keeps a pipeline's cursor in the database of its outbox. Only the relay
 * that holds the lock and the current epoch saves. This file starts, saves and observes.
 */
#include "store/postgres/internal.h"

#include "base/fault.h"
#include "base/memory.h"

#include "schema/schema.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

static void store_pg_close(void *store)
{
    struct store_pg *s = store;
    if (!s) {
        return;
    }
    store_pg_release(s);
    store_pg_get_up(s);
    free(s);
}

static int store_pg_open(const struct store_env *env, void **ret_store, struct error *err)
{
    bool has_password; /* not used; the call fails if the URL cannot be parsed */
    if (pg_has_password(env->url, &has_password, err)) {
        return RESULT_ERROR;
    }
    struct part part;
    if (!part_parse(env->part, &part)) {
        return error_set(err, ERROR_FATAL, "postgres", "pipeline %s: \"%s\" is no shard",
                         env->pipeline, env->part);
    }
    struct store_pg *s = memory_need(calloc(1, sizeof *s));
    store_pg_copy_env(s, env, env->part);
    store_pg_sit_down(s, env->member, part.number);
    *ret_store = s;
    return RESULT_DONE;
}

/* --- saving --- */

static int store_pg_save(void *store, struct slice cursor, uint64_t delivered, struct error *err)
{
    struct store_pg *s = store;
    assert(s->save == SAVE_NONE);
    if (!store_pg_is_locked(s) && !s->replay[0]) {
        return error_set(err, ERROR_FATAL, "postgres", "pipeline %s: saving without the lock",
                         s->pipeline);
    }
    if (store_pg_check_lease(s, err)) {
        return RESULT_ERROR;
    }
    /* I2: from here on only the epoch says whose pipeline it is. */
    fault_point("store_before_save");
    CLEANUP(arena_release) struct arena arena;
    arena_init(&arena);
    char number[24];
    snprintf(number, sizeof number, "%llu", (unsigned long long)delivered);
    const char *last = s->replay[0] ? s->replay : s->system_id[0] ? s->system_id : NULL;
    const char *params[] = {s->pipeline, s->part,       store_pg_text(&arena, cursor),
                            number,      s->epoch_text, last};
    const char *save = s->replay[0] ? store_pg_replay_save : store_pg_save_statement(s);
    if (pg_send_prepared(s->pg, save, 6, params, false, err)) {
        return RESULT_ERROR;
    }
    s->save = SAVE_RUNNING;
    s->overtaken = true; /* until the server reports that a row was updated */
    return RESULT_DONE;
}

static int store_pg_saved(void *store, struct error *err)
{
    struct store_pg *s = store;
    if (s->save == SAVE_RUNNING && store_pg_save_step(s) == RESULT_AGAIN) {
        return RESULT_AGAIN;
    }
    bool failed = s->save == SAVE_FAILED;
    s->save = SAVE_NONE;
    if (failed) {
        *err = s->save_error;
        return RESULT_ERROR;
    }
    return RESULT_DONE;
}

static void store_pg_poll_fds(void *store, struct poll_set *set)
{
    struct store_pg *s = store;
    if (s->pg) {
        pg_poll_fds(s->pg, set);
    }
    if (s->save == SAVE_DURABLE || s->save == SAVE_FAILED) {
        /* The save ended while something else was asked: `saved` can return at once. */
        poll_set_deadline(set, clock_mono_us());
    }
}

/* --- starting --- */

static int read_system_id(struct store_pg *s, struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    s->system_id[0] = '\0';
    if (pg_query(s->pg,
                 "select system_identifier, d.oid || ' (' || d.datname || ')'"
                 " from pg_control_system(), pg_database d where d.datname = current_database()",
                 0, NULL, &r, err) == RESULT_DONE) {
        store_pg_field(s->system_id, sizeof s->system_id, pg_value(r, 0, 0));
        store_pg_field(s->database, sizeof s->database, pg_value(r, 0, 1));
        return RESULT_DONE;
    }
    return error_is(err, PG_INSUFFICIENT_PRIVILEGE)
               ? RESULT_DONE
               : RESULT_ERROR; /* without the privilege there is nothing to compare */
}

/* In another cluster, sequences and transaction numbers begin again, and a cursor from the old one
 * would skip rows: FATAL. `position set` is the way out. If such a command already waits,
 * *ret_foreign is set and the start continues without a cursor; the next save stores the new
 * cluster. */
static int check_cluster(struct store_pg *s, bool *ret_foreign, struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    const char *more[] = {s->system_id[0] ? s->system_id : NULL};
    if (store_pg_ask(s, schema_sql_other_cluster, 1, more, &r, err)) {
        return RESULT_ERROR;
    }
    *ret_foreign = pg_rows(r) > 0;
    if (!*ret_foreign || pg_true(r, 0, 1)) {
        return RESULT_DONE;
    }
    return error_exit(
        err, ERROR_FATAL, EXIT_CODE_UNAVAILABLE, "postgres",
        "the cursor of pipeline %s was saved in another cluster (system identifier %.*s, this one is %s): it means nothing here; run `commitrelay position set ... --yes` to say where to go on",
        s->pipeline, SLICE_FMT(pg_value(r, 0, 0)), s->system_id);
}

/* The columns of read_position, in its order. */
#define POSITION_COLUMNS \
    "cursor, delivered, epoch, (extract(epoch from saved_at) * 1000000)::bigint, state, detail"
enum { POSITION_COLUMNS_COUNT = 6 };

static void read_position(const struct pg_result *r, struct store_position *ret)
{
    buf_clear(&ret->cursor);
    ret->delivered = 0;
    ret->epoch = 0;
    ret->saved_at_us = TIME_NONE;
    ret->state[0] = ret->detail[0] = '\0';
    if (pg_rows(r) == 0) {
        return;
    }
    buf_add_slice(&ret->cursor, pg_value(r, 0, 0));
    ret->delivered = (uint64_t)pg_int(r, 0, 1, 0);
    ret->epoch = pg_int(r, 0, 2, 0);
    ret->saved_at_us = pg_int(r, 0, 3, TIME_NONE);
    store_pg_field(ret->state, sizeof ret->state, pg_value(r, 0, 4));
    store_pg_field(ret->detail, sizeof ret->detail, pg_value(r, 0, 5));
}

/* I3: one that does not divide the pipeline would send what its shards have sent. */
static int refuse_divided(const struct store_pg *s, const struct pg_result *position,
                          struct error *err)
{
    int64_t shards = pg_int(position, 0, POSITION_COLUMNS_COUNT, 1);
    return shards == 1
               ? RESULT_DONE
               : error_exit(
                     err, ERROR_FATAL, EXIT_CODE_UNAVAILABLE, "postgres",
                     "pipeline %s is divided into %lld shards: set source.shards to %lld; this version cannot change the number",
                     s->pipeline, (long long)shards, (long long)shards);
}

/* Raises the epoch, and says what the pipeline reads: two pipelines may spell one table in
 * different ways, so it is stored in the form that pg_quote_table gives. */
static int raise_epoch(struct store_pg *s, struct pg_result **ret, struct error *err)
{
    CLEANUP(buf_release) struct buf table = {0};
    const struct outbox_rows *rows = &s->rows;
    if (rows->table && pg_quote_table(&table, rows->table, err)) {
        return RESULT_ERROR;
    }
    const char *more[] = {buf_str(&table), rows->mode ? rows->mode : "", rows->seq ? rows->seq : "",
                          rows->xid ? rows->xid : "", rows->shard_by};
    if (store_pg_ask(s,
                     "insert into commitrelay.positions as p"
                     " (pipeline, part, epoch, source_table, source_mode, seq_column, xid_column,"
                     " shard_column) values ($1, $2, 1, $3, $4, $5, $6, $7)"
                     " on conflict (pipeline, part) do update set epoch = p.epoch + 1,"
                     " source_table = excluded.source_table, source_mode = excluded.source_mode,"
                     " seq_column = excluded.seq_column, xid_column = excluded.xid_column,"
                     " shard_column = excluded.shard_column"
                     " returning " POSITION_COLUMNS ", shards",
                     5, more, ret, err) ||
        refuse_divided(s, *ret, err)) {
        return RESULT_ERROR;
    }
    s->epoch = pg_int(*ret, 0, 2, 0);
    snprintf(s->epoch_text, sizeof s->epoch_text, "%lld", (long long)s->epoch);
    return store_pg_history_start(s, err);
}

static int start_locked(struct store_pg *s, struct store_position *ret, struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *position = NULL;
    bool foreign = false;
    if ((s->parks && store_pg_waiting_demand(s, err)) || read_system_id(s, err) ||
        check_cluster(s, &foreign, err) || raise_epoch(s, &position, err)) {
        return RESULT_ERROR;
    }
    read_position(position, ret);
    ret->foreign = foreign;
    if (foreign) {
        buf_clear(&ret->cursor);
    }
    if (s->system_id[0]) {
        snprintf(ret->origin, sizeof ret->origin, "PostgreSQL cluster %s, database %s",
                 s->system_id, s->database);
    }
    ret->locked = true;
    ret->server_restarted = s->restarted;
    s->restarted = false;
    return RESULT_DONE;
}

static int store_pg_start(void *store, struct store_position *ret, struct error *err)
{
    struct store_pg *s = store;
    int64_t backend = 0;
    uint64_t term = 0;
    store_pg_disconnect(s);
    int rc = store_pg_claim(s, &term, &backend, err);
    rc = rc ? rc : store_pg_connect(s, &s->pg, err);
    if (rc == RESULT_DONE) {
        rc = store_pg_refuse_standby(s, err);
    }
    if (rc == RESULT_DONE) {
        rc = store_pg_refuse_pooling(s, err);
    }
    if (rc == RESULT_DONE) {
        rc = store_pg_tables(s, err);
    }
    s->term = term;
    if (rc == RESULT_DONE) {
        rc = s->member ? store_pg_lock_shard(s, backend, err) : store_pg_lock(s, err);
    }
    /* From here on a lost connection is an error: connecting again would lose the lock. */
    if (rc == RESULT_DONE) {
        rc = store_pg_refuse_standby(
            s, err); /* the connection is a new one, and needs its settings too */
    }
    if (rc == RESULT_DONE) {
        rc = start_locked(s, ret, err);
    }
    if (rc) {
        store_pg_disconnect(s); /* gives up the lock too */
    }
    return rc;
}

static int store_pg_observe(void *store, struct store_position *ret, struct error *err)
{
    struct store_pg *s = store;
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    struct store_pg_there there;
    if (store_pg_look(s, &there, err) || store_pg_locked(s, ret, err)) {
        return RESULT_ERROR;
    }
    const char *sql = there.tables ? "select " POSITION_COLUMNS
                                     " from commitrelay.positions where pipeline = $1 and part = $2"
                                   : "select where $1 = $2 and false";
    if (store_pg_ask(s, sql, 0, NULL, &r, err)) {
        return RESULT_ERROR;
    }
    read_position(r, ret);
    ret->absent = !there.tables;
    return RESULT_DONE;
}

const struct store_ops store_postgres = {
    .name = "postgres",
    .url = {.value = pg_url},
    .positions = "commitrelay.positions",
    .dead_letters = "commitrelay.dead_letters",
    .leases = true,
    .open = store_pg_open,
    .start = store_pg_start,
    .observe = store_pg_observe,
    .poll_fds = store_pg_poll_fds,
    .save = store_pg_save,
    .saved = store_pg_saved,
    .history_list = store_pg_history_list,
    .history_at = store_pg_history_at,
    .forget = store_pg_forget,
    .report_state = store_pg_report_state,
    .control_take = store_pg_control_take,
    .control_answer = store_pg_control_answer,
    .control_put = store_pg_control_put,
    .control_look = store_pg_control_look,
    .set_paused = store_pg_set_paused,
    .get_paused = store_pg_get_paused,
    .dead_letter_put = store_pg_dead_letter_put,
    .dead_letter_count = store_pg_dead_letter_count,
    .dead_letter_list = store_pg_dead_letter_list,
    .dead_letter_close = store_pg_dead_letter_close,
    .dead_letter_failed = store_pg_dead_letter_failed,
    .dead_letter_edit = store_pg_dead_letter_edit,
    .dead_letter_expire = store_pg_dead_letter_expire,
    .note_pruned = store_pg_note_pruned,
    .pruned = store_pg_pruned,
    .removed_letters = store_pg_removed_letters,
    .waiting_put = store_pg_waiting_put,
    .parked_list = store_pg_parked_list,
    .waiting_ids = store_pg_waiting_ids,
    .waiting_list = store_pg_waiting_list,
    .waiting_sent = store_pg_waiting_sent,
    .waiting_failed = store_pg_waiting_failed,
    .replay_add = store_pg_replay_add,
    .replay_list = store_pg_replay_list,
    .replay_start = store_pg_replay_start,
    .replay_end = store_pg_replay_end,
    .shards = &store_pg_shards,
    .close = store_pg_close,
    .check = store_pg_check,
};
