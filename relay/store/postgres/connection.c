/*
 * The store's connection, its tables, and the save under way. Commands connect when they need to. A
 * running relay never reconnects by itself, because its lock may be lost. A save under way is
 * finished before anything else is asked on the connection.
 */
#include "store/postgres/internal.h"

#include "base/memory.h"
#include "base/utf8.h"
#include "schema/schema.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char store_pg_replay_save[] = "commitrelay_save_replay";

static char *copy(const char *text)
{
    char *p = memory_need(strdup(text ? text : ""));
    return p;
}

void store_pg_copy_env(struct store_pg *s, const struct store_env *env, const char *part)
{
    s->url = copy(env->url);
    s->pipeline = copy(env->pipeline);
    s->part = copy(part);
    s->connect_timeout_us = env->connect_timeout_us;
    s->read_timeout_us = env->read_timeout_us;
    s->lease_us = env->lease_us;
    s->rows = env->rows;
    s->stop_fd = env->stop_fd;
    s->parks = env->parks;
}

void store_pg_disconnect(struct store_pg *s)
{
    pg_lease_free(s->lease);
    pg_close(s->pg);
    s->lease = NULL;
    s->pg = NULL;
    s->term = 0;
    s->save = SAVE_NONE;
}

void store_pg_release(struct store_pg *s)
{
    store_pg_disconnect(s);
    free(s->url);
    free(s->pipeline);
    free(s->part);
}

bool store_pg_is_locked(const struct store_pg *s)
{
    return s->lease || s->term > 0;
}

/* I1: asked before everything that is done as the pipeline's relay. */
static bool still_locked(const struct store_pg *s)
{
    return s->seats ? s->term == 0 || pg_seats_hold(s->seats, s->shard, s->term)
                    : !s->lease || pg_lease_held(s->lease);
}

int store_pg_check_lease(const struct store_pg *s, struct error *err)
{
    if (still_locked(s)) {
        return RESULT_DONE;
    }
    return error_set(
        err, ERROR_RETRY, "postgres",
        "the lock of pipeline %s is lost: its session has ended, or was silent for longer than store.lease",
        s->pipeline);
}

static int save_failed(struct store_pg *s, const struct error *err)
{
    s->save = SAVE_FAILED;
    s->save_error = *err;
    return RESULT_ERROR;
}

/* An UPDATE that changed no row means that the stored epoch is another relay's. */
int store_pg_save_step(struct store_pg *s)
{
    for (;;) {
        struct pg_result *r = NULL;
        struct error err;
        int rc = pg_take(s->pg, &r, &err);
        if (rc == RESULT_AGAIN) {
            return RESULT_AGAIN;
        }
        if (rc) {
            return save_failed(s, &err);
        }
        if (!r) {
            break;
        }
        s->overtaken = pg_affected(r) != 1;
        pg_result_free(r);
    }
    if (s->overtaken && s->replay[0]) {
        struct error err;
        error_exit(&err, ERROR_FATAL, EXIT_CODE_GAVE_UP, "postgres",
                   "another process goes on with replay %s (or it was removed): this one ends",
                   s->replay);
        return save_failed(s, &err);
    }
    if (s->overtaken) {
        struct error err;
        error_set(
            &err, ERROR_RETRY, "postgres",
            "pipeline %s was taken over by another relay (its epoch is no longer %s): this one saves nothing and waits for its turn",
            s->pipeline, s->epoch_text);
        return save_failed(s, &err);
    }
    s->save = SAVE_DURABLE;
    return RESULT_DONE;
}

int store_pg_ready(struct store_pg *s, struct error *err)
{
    while (s->save == SAVE_RUNNING && store_pg_save_step(s) == RESULT_AGAIN) {
        struct poll_set set; /* bounded: pg_take fails once read_timeout has passed */
        poll_set_clear(&set);
        pg_poll_fds(s->pg, &set);
        poll_set_wait(&set);
    }
    if (store_pg_check_lease(s, err)) {
        return RESULT_ERROR;
    }
    if (s->pg && pg_alive(s->pg)) {
        return RESULT_DONE;
    }
    if (store_pg_is_locked(s) || s->replay[0]) {
        return error_set(err, ERROR_RETRY, "postgres",
                         "the connection to the store of pipeline %s was lost", s->pipeline);
    }
    store_pg_disconnect(s);
    return store_pg_connect(s, &s->pg, err);
}

int store_pg_ask(struct store_pg *s, const char *sql, size_t n, const char *const *more,
                 struct pg_result **ret, struct error *err)
{
    enum { MORE_MAX = 20 };
    const char *params[2 + MORE_MAX] = {s->pipeline, s->part};
    assert(n <= MORE_MAX);
    for (size_t i = 0; i < n; i++) {
        params[2 + i] = more[i];
    }
    if (store_pg_ready(s, err)) {
        return RESULT_ERROR;
    }
    return pg_query(s->pg, sql, 2 + n, params, ret, err);
}

int store_pg_has_table(struct store_pg *s, const char *name, bool *ret, struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    if (store_pg_ready(s, err) ||
        pg_query(s->pg, "select to_regclass('commitrelay.' || $1) is not null", 1, &name, &r,
                 err)) {
        return RESULT_ERROR;
    }
    *ret = pg_true(r, 0, 0);
    return RESULT_DONE;
}

int store_pg_look(struct store_pg *s, struct store_pg_there *ret, struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    if (store_pg_ready(s, err) || pg_query(s->pg, schema_sql_store_tables, 0, NULL, &r, err)) {
        return RESULT_ERROR;
    }
    ret->tables = pg_true(r, 0, 0);
    ret->letters = ret->tables && pg_true(r, 0, 1);
    ret->whole = ret->tables && pg_true(r, 0, 2);
    return RESULT_DONE;
}

/* Looks first whether they are there: "create ... if not exists" needs the privilege even if there
 * is nothing to make. */
int store_pg_tables(struct store_pg *s, struct error *err)
{
    struct store_pg_there there;
    if (store_pg_look(s, &there, err)) {
        return RESULT_ERROR;
    }
    return there.whole ? RESULT_DONE : store_pg_make_tables(s, err);
}

int store_pg_make_tables(struct store_pg *s, struct error *err)
{
    if (pg_make(s->pg, schema_postgres_relay, err) == RESULT_DONE) {
        return RESULT_DONE;
    }
    if (error_is(err, PG_INSUFFICIENT_PRIVILEGE)) {
        CLEANUP(buf_release) struct buf url = {0};
        pg_redact(s->url, &url);
        error_exit(
            err, ERROR_CONFIG, EXIT_CODE_PERMISSION, "postgres",
            "the relay's tables (schema commitrelay) are missing, or an earlier version's, and the role may not make them: let an owner run the SQL that `commitrelay init --source '%s' --print` shows, then grant as in schema/postgres/roles.sql",
            buf_str(&url));
        error_code(err, PG_INSUFFICIENT_PRIVILEGE);
    }
    return RESULT_ERROR;
}

char *store_pg_text(struct arena *a, struct slice text)
{
    const char *p = text.ptr, *end = text.ptr ? text.ptr + text.len : NULL;
    char *out = arena_bytes(a, text.len * 3 + 1), *to = out;
    while (p < end) {
        size_t n = *p ? utf8_sequence(p, end) : 0;
        if (n == 0) {
            to += utf8_put(to, 0xFFFD);
            p++;
            continue;
        }
        memcpy(to, p, n);
        to += n;
        p += n;
    }
    *to = '\0';
    return out;
}

void store_pg_field(char *out, size_t size, struct slice value)
{
    size_t n = value.len < size - 1 ? value.len : size - 1;
    if (n > 0) {
        memcpy(out, value.ptr, n);
    }
    out[n] = '\0';
}

/* Text that changes with each start of the server. It also changes with each recovery from a crash
 * if the role may see the checkpointer in pg_stat_activity. */
#define SERVER_LIFE                                                             \
    "pg_postmaster_start_time()::text || coalesce((select ' ' || min(pid) from" \
    " pg_stat_activity where backend_type = 'checkpointer'), '')"

static void note_life(struct store_pg *s, struct slice life)
{
    char now[sizeof s->life];
    snprintf(now, sizeof now, "%.*s", SLICE_FMT(life));
    s->restarted = s->restarted || (s->life[0] && strcmp(now, s->life) != 0);
    memcpy(s->life, now, sizeof now);
}

int store_pg_refuse_standby(struct store_pg *s, struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    /* With synchronous_commit = off a saved cursor could be lost in a crash, so it is set to on.
     * Other values are left as they are. */
    if (pg_query(s->pg,
                 "select set_config('synchronous_commit', 'on', false) from pg_settings"
                 " where name = 'synchronous_commit' and setting = 'off';"
                 " select pg_is_in_recovery(), " SERVER_LIFE,
                 0, NULL, &r, err)) {
        return RESULT_ERROR;
    }
    if (pg_true(r, 0, 0)) {
        CLEANUP(buf_release) struct buf url = {0};
        pg_redact(s->url, &url);
        error_set(
            err, ERROR_RETRY, "postgres",
            "%s is a standby and takes no cursor: name the primary, or all servers with target_session_attrs=read-write in the URL",
            buf_str(&url));
        return error_code(err, PG_READ_ONLY_SQL_TRANSACTION);
    }
    note_life(s, pg_value(r, 0, 1));
    return RESULT_DONE;
}
