/*
 * One relay per pipeline: takes the session lock (an advisory lock). One connection holds it, and
 * the lease keeps that connection (lease.h). If another relay has the lock, the error says which.
 */
#include "store/postgres/internal.h"

#include "base/fnv1a.h"
#include "schema/schema.h"

#include <stdio.h>

/* How long the server waits for the lock. It need not be free at once: the server takes a moment to
 * notice that an earlier connection of this relay was closed. */
static const char lock_wait[] = "500ms";

/* The key of the lock: FNV-1a over commitrelay/<pipeline>/<part>. Two pipelines with the same hash
 * would only wait for each other. The hash must not change between versions: an old and a new relay
 * would run side by side. */
int64_t store_pg_lock_key(const char *pipeline, const char *part)
{
    const char *const pieces[] = {"commitrelay/", pipeline, "/", part};
    uint64_t hash = FNV1A_START;
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        hash = fnv1a_add(hash, slice_from(pieces[i]));
    }
    return (int64_t)hash;
}

int store_pg_connect(const struct store_pg *s, struct pg **ret, struct error *err)
{
    struct pg_options options = {.url = s->url,
                                 .pipeline = s->pipeline,
                                 .connect_timeout_us = s->connect_timeout_us,
                                 .read_timeout_us = s->read_timeout_us,
                                 .stop_fd = s->stop_fd};
    if (pg_connect(&options, ret, err)) {
        return RESULT_ERROR;
    }
    pg_expect_values(*ret); /* results can be large: dead letters */
    return RESULT_DONE;
}

static int query_holder(struct store_pg *s, struct pg_result **ret, struct error *err)
{
    uint64_t key = (uint64_t)store_pg_lock_key(s->pipeline, s->part);
    char upper[16], lower[16];
    snprintf(upper, sizeof upper, "%u", (unsigned)(key >> 32));
    snprintf(lower, sizeof lower, "%u", (unsigned)key);
    return pg_query(s->pg, schema_sql_pipeline_lock, 2, (const char *const[]){upper, lower}, ret,
                    err);
}

int store_pg_locked(struct store_pg *s, struct store_position *ret, struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *holder = NULL;
    if (query_holder(s, &holder, err)) {
        return RESULT_ERROR;
    }
    ret->locked = pg_rows(holder) > 0;
    ret->holder[0] = '\0';
    if (ret->locked) {
        struct slice name = pg_value(holder, 0, 1);
        /* Without pg_read_all_stats the server hides the sessions of other roles. */
        bool hidden = name.len == 0;
        snprintf(ret->holder, sizeof ret->holder, "server process %.*s (%.*s%s%.*s)",
                 SLICE_FMT(pg_value(holder, 0, 0)),
                 SLICE_FMT(hidden ? SLICE_LITERAL("of another role") : name),
                 hidden ? "" : ", from ", SLICE_FMT(hidden ? SLICE_NULL : pg_value(holder, 0, 2)));
    }
    return RESULT_DONE;
}

static int tell_holder(struct store_pg *s, struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *holder = NULL;
    if (query_holder(s, &holder, err)) {
        return RESULT_ERROR;
    }
    if (pg_rows(holder) == 0) {
        error_set(err, ERROR_RETRY, "postgres", "the lock of pipeline %s was just given up",
                  s->pipeline);
        return RESULT_AGAIN;
    }
    struct slice pid = pg_value(holder, 0, 0), name = pg_value(holder, 0, 1);
    struct slice address = pg_value(holder, 0, 2);
    /* Without pg_read_all_stats the server hides the sessions of other roles. */
    bool hidden = name.len == 0;
    error_set(
        err, ERROR_RETRY, "postgres",
        "another relay runs pipeline %s: server process %.*s (%.*s%s%.*s) holds its lock; stop it, or select pg_terminate_backend(%.*s) if it is gone",
        s->pipeline, SLICE_FMT(pid), SLICE_FMT(hidden ? SLICE_LITERAL("of another role") : name),
        hidden ? "" : ", from ", SLICE_FMT(hidden ? SLICE_NULL : address), SLICE_FMT(pid));
    return RESULT_AGAIN;
}

int store_pg_backend(struct pg *pg, int64_t *ret, struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    if (pg_query(pg, "select pg_backend_pid()", 0, NULL, &r, err)) {
        return RESULT_ERROR;
    }
    *ret = pg_int(r, 0, 0, -1);
    return RESULT_DONE;
}

/* A URL with several hosts may lead to another server, where the lock means nothing. */
int store_pg_check_holder(struct store_pg *s, int64_t backend, struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *holder = NULL;
    if (query_holder(s, &holder, err)) {
        return RESULT_ERROR;
    }
    if (pg_rows(holder) == 0 || pg_int(holder, 0, 0, -1) != backend) {
        return error_set(
            err, ERROR_RETRY, "postgres",
            "the lock of pipeline %s was taken on one server and is not seen on the next connection: the URL leads to several servers that take writes, or the lock was lost at once",
            s->pipeline);
    }
    return RESULT_DONE;
}

static int hand_over(struct store_pg *s, struct error *err)
{
    int64_t backend;
    if (store_pg_backend(s->pg, &backend, err)) {
        return RESULT_ERROR;
    }
    struct pg *locked = s->pg;
    s->pg = NULL;
    if (pg_lease_new(locked, s->lease_us, &s->lease, err) || store_pg_connect(s, &s->pg, err)) {
        return RESULT_ERROR;
    }
    return store_pg_check_holder(s, backend, err);
}

int store_pg_lock(struct store_pg *s, struct error *err)
{
    char sql[160];
    /* Both statements go in one message and so in one transaction. lock_timeout ends with it; the
     * session lock stays. */
    snprintf(sql, sizeof sql,
             "select set_config('lock_timeout', '%s', true); select pg_advisory_lock(%lld)",
             lock_wait, (long long)store_pg_lock_key(s->pipeline, s->part));
    if (pg_query(s->pg, sql, 0, NULL, NULL, err) == RESULT_DONE) {
        return hand_over(s, err);
    }
    return error_is(err, PG_LOCK_NOT_AVAILABLE) ? tell_holder(s, err) : RESULT_ERROR;
}

/* Behind a pooler, pg_backend_pid() differs from the process id that the client was told. A pooler
 * that pools sessions is fine. One that pools transactions may give our server process to another
 * client while the session lock is on it: our process id changes, or a second connection gets the
 * same one. */
int store_pg_refuse_pooling(struct store_pg *s, struct error *err)
{
    int64_t first, second, other = -1;
    if (store_pg_backend(s->pg, &first, err)) {
        return RESULT_ERROR;
    }
    if (first == pg_backend_pid(s->pg)) {
        return RESULT_DONE;
    }
    struct pg *probe = NULL;
    if (store_pg_connect(s, &probe, err)) {
        return error_prefix(err, "checking what kind of pooler is in between");
    }
    int rc = store_pg_backend(probe, &other, err);
    if (rc == RESULT_DONE) {
        rc = store_pg_backend(s->pg, &second, err);
    }
    pg_close(probe);
    if (rc) {
        return RESULT_ERROR;
    }
    if (first != second || first == other) {
        return error_set(
            err, ERROR_CONFIG, "postgres",
            "the connection of pipeline %s goes through a pooler that pools transactions, where a lock protects nothing: connect directly, or through a pool of sessions",
            s->pipeline);
    }
    return RESULT_DONE;
}
