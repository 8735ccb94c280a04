/*
 * Commands to a running relay, the state it reports, and its paused flag. They are rows, so they
 * survive a restart of the relay and the end of the command's process.
 */
#include "store/postgres/internal.h"

#include <stdio.h>

static const char *const command_names[] = {"",      "set_position", "pause",   "resume",
                                            "retry", "drop",         "snapshot"};
#define KNOWN_COMMANDS "('set_position', 'pause', 'resume', 'retry', 'drop', 'snapshot')"

/* The state is for people only, so the statement does not wait for a disk or a synchronous standby.
 * The epoch keeps an overtaken relay from changing it. */
int store_pg_report_state(void *store, const char *state, const char *detail, struct error *err)
{
    struct store_pg *s = store;
    CLEANUP(arena_release) struct arena arena;
    arena_init(&arena);
    const char *more[] = {store_pg_text(&arena, slice_from(state)),
                          store_pg_text(&arena, slice_from(detail)), s->epoch_text};
    if (!store_pg_is_locked(s)) {
        return error_set(err, ERROR_RETRY, "postgres",
                         "pipeline %s has no lock to report a state under", s->pipeline);
    }
    return store_pg_ask(
        s,
        "with quick as materialized (select set_config('synchronous_commit', 'off', true))"
        " update commitrelay.positions set state = $3, detail = $4 from quick"
        " where pipeline = $1 and part = $2 and epoch = $5::bigint",
        3, more, NULL, err);
}

/* The columns of read_control, in its order. */
#define CONTROL_COLUMNS "id, command, argument, acknowledged_at is not null, answer, who"

static void read_control(const struct pg_result *r, struct store_control *ret)
{
    *ret = (struct store_control){.command = STORE_NO_COMMAND};
    if (pg_rows(r) == 0) {
        return;
    }
    ret->id = pg_int(r, 0, 0, 0);
    for (size_t i = 1; i < sizeof command_names / sizeof *command_names; i++) {
        if (slice_equal_str(pg_value(r, 0, 1), command_names[i])) {
            ret->command = (enum store_command)i;
        }
    }
    store_pg_field(ret->argument, sizeof ret->argument, pg_value(r, 0, 2));
    ret->acknowledged = pg_true(r, 0, 3);
    store_pg_field(ret->answer, sizeof ret->answer, pg_value(r, 0, 4));
    store_pg_field(ret->who, sizeof ret->who, pg_value(r, 0, 5));
}

int store_pg_control_take(void *store, struct store_control *ret, struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    /* A command that this version does not know stays for a later version. */
    if (store_pg_ask(store,
                     "select " CONTROL_COLUMNS " from commitrelay.control"
                     " where pipeline = $1 and part = $2 and acknowledged_at is null"
                     " and command in " KNOWN_COMMANDS " order by id limit 1",
                     0, NULL, &r, err)) {
        return RESULT_ERROR;
    }
    read_control(r, ret);
    return RESULT_DONE;
}

int store_pg_control_answer(void *store, int64_t id, const char *answer, struct error *err)
{
    CLEANUP(arena_release) struct arena arena;
    arena_init(&arena);
    char number[24];
    snprintf(number, sizeof number, "%lld", (long long)id);
    const char *more[] = {number, store_pg_text(&arena, slice_from(answer))};
    return store_pg_ask(store,
                        "update commitrelay.control set acknowledged_at = now(), answer = $4"
                        " where pipeline = $1 and part = $2 and id = $3::bigint",
                        2, more, NULL, err);
}

int store_pg_control_put(void *store, enum store_command command, const char *argument,
                         const char *who, int64_t *ret_id, struct error *err)
{
    CLEANUP(arena_release) struct arena arena;
    arena_init(&arena);
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    const char *more[] = {command_names[command], store_pg_text(&arena, slice_from(argument)),
                          store_pg_text(&arena, slice_from(who))};
    if (store_pg_tables(store, err) ||
        store_pg_ask(store,
                     "insert into commitrelay.control (pipeline, part, command, argument, who)"
                     " values ($1, $2, $3, $4, $5) returning id",
                     3, more, &r, err)) {
        return RESULT_ERROR;
    }
    *ret_id = pg_int(r, 0, 0, 0);
    return RESULT_DONE;
}

int store_pg_control_look(void *store, int64_t id, struct store_control *ret, struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    char number[24];
    snprintf(number, sizeof number, "%lld", (long long)id);
    const char *more[] = {number};
    if (store_pg_ask(store,
                     "select " CONTROL_COLUMNS " from commitrelay.control"
                     " where pipeline = $1 and part = $2 and id = $3::bigint",
                     1, more, &r, err)) {
        return RESULT_ERROR;
    }
    read_control(r, ret);
    return RESULT_DONE;
}

int store_pg_set_paused(void *store, bool paused, struct error *err)
{
    const char *more[] = {paused ? "t" : "f"};
    return store_pg_ask(
        store,
        "insert into commitrelay.positions (pipeline, part, paused) values ($1, $2, $3::boolean)"
        " on conflict (pipeline, part) do update set paused = excluded.paused",
        1, more, NULL, err);
}

int store_pg_get_paused(void *store, bool *ret, struct error *err)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    if (store_pg_ask(store,
                     "select paused from commitrelay.positions where pipeline = $1 and part = $2",
                     0, NULL, &r, err)) {
        return RESULT_ERROR;
    }
    *ret = pg_rows(r) > 0 && pg_true(r, 0, 0);
    return RESULT_DONE;
}
