/* Real databases with the tables `commitrelay init` makes, and the epoch 7 for pipeline p. */
#include "../unit/unit.h"

#include "outbox.h"
#include "patience.h"

#include "db/pg.h"
#include "db/sqlite.h"
#include "schema/schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fail_sql(const char *sql, const struct error *err)
{
    fail_msg("%.200s: %s", sql, err->text);
}

/* --- PostgreSQL: one database for all cases --- */

static bool postgres_sql(struct outbox *o, unsigned session, const char *text)
{
    struct error err = {0};
    struct pg *c = o->sessions[session];
    if (pg_query(c, text, 0, NULL, NULL, &err)) {
        fail_sql(text, &err);
    }
    return true;
}

static bool postgres_make(struct outbox *o, const char *mode)
{
    struct pg_options opt = {.url = o->where,
                             .pipeline = "application",
                             .connect_timeout_us = PATIENCE_US,
                             .read_timeout_us = PATIENCE_US,
                             .stop_fd = -1};
    struct error err = {0};
    bool status = strcmp(mode, "status") == 0, deletes = strcmp(mode, "delete") == 0;
    if (!status && !deletes && strcmp(mode, "position") != 0) {
        return false;
    }
    snprintf(o->where, sizeof o->where, "%s", o->server);
    for (unsigned i = 0; i < OUTBOX_SESSIONS; i++) {
        struct pg *c = NULL;
        if (pg_connect(&opt, &c, &err)) {
            fail_sql(o->where, &err);
        }
        o->sessions[i] = c;
        postgres_sql(o, i, "set search_path = public");
    }
    postgres_sql(o, 0, "set client_min_messages = warning");
    postgres_sql(o, 0, "drop table if exists outbox");
    postgres_sql(o, 0, "drop schema if exists commitrelay cascade");
    postgres_sql(o, 0, schema_postgres_outbox);
    postgres_sql(o, 0, schema_postgres_relay);
    if (status || deletes) {
        postgres_sql(o, 0, status ? schema_postgres_status : schema_postgres_delete);
    }
    return postgres_sql(o, 0,
                        "insert into commitrelay.positions (pipeline, part, epoch)"
                        " values ('p', '" OUTBOX_PART "', 7), ('p', '" OUTBOX_OTHER_PART "', 3)");
}

static void postgres_drop(struct outbox *o)
{
    for (unsigned i = 0; i < OUTBOX_SESSIONS; i++) {
        pg_close(o->sessions[i]);
        o->sessions[i] = NULL;
    }
}

static void postgres_cut(struct outbox *o)
{
    postgres_sql(o, 0,
                 "select pg_terminate_backend(pid, 180000) from pg_stat_activity"
                 " where application_name = 'commitrelay p'");
}

bool outbox_no_session_is(struct outbox *o, const char *condition)
{
    char text[300];
    struct error err = {0};
    struct pg_result *r = NULL;
    snprintf(text, sizeof text,
             "select from pg_stat_activity where application_name = 'commitrelay p' and (%s)",
             condition);
    if (pg_query(o->sessions[0], text, 0, NULL, &r, &err)) {
        fail_sql(text, &err);
    }
    bool none = pg_rows(r) == 0;
    pg_result_free(r);
    return none;
}

static bool postgres_at_rest(struct outbox *o)
{
    return outbox_no_session_is(o, "backend_xmin is not null or state <> 'idle'");
}

const struct outbox_kind outbox_kind_outbox_postgres = {
    .url_key = "url",
    .positions = "commitrelay.positions",
    .dead_letters = "commitrelay.dead_letters",
    .on_server = true,
    .foreign_cursor = "s1 3 0123456789abcdef0123456789abcdef",
    .make = postgres_make,
    .drop = postgres_drop,
    .sql = postgres_sql,
    .at_rest = postgres_at_rest,
    .cut = postgres_cut,
};

/* --- SQLite: a file for each case --- */

static bool sqlite_sql(struct outbox *o, unsigned session, const char *text)
{
    struct error err = {0};
    if (sqlite_exec(o->sessions[session], text, &err) == RESULT_DONE) {
        return true;
    }
    if (!sqlite_is_busy(&err)) {
        fail_sql(text, &err);
    }
    return false;
}

static bool sqlite_make(struct outbox *o, const char *mode)
{
    struct error err = {0};
    if (strcmp(mode, "position") != 0 && strcmp(mode, "delete") != 0) {
        return false;
    }
    strcpy(o->dir, "/tmp/commitrelay-outbox-XXXXXX");
    assert_non_null(mkdtemp(o->dir));
    snprintf(o->where, sizeof o->where, "%s/shop.db", o->dir);
    struct sqlite_options opt = {
        .path = o->where, .create = true, .patience_us = 20 * US_PER_MS, .stop_fd = -1};
    for (unsigned i = 0; i < OUTBOX_SESSIONS; i++) {
        struct sqlite *c = NULL;
        if (sqlite_open(&opt, &c, &err)) {
            fail_sql(o->where, &err);
        }
        o->sessions[i] = c;
    }
    sqlite_sql(o, 0, "pragma journal_mode = wal");
    sqlite_sql(o, 0, schema_sqlite_outbox);
    sqlite_sql(o, 0, schema_sqlite_relay);
    return sqlite_sql(o, 0,
                      "insert into commitrelay_positions (pipeline, part, epoch)"
                      " values ('p', '" OUTBOX_PART "', 7), ('p', '" OUTBOX_OTHER_PART "', 3)");
}

static void sqlite_drop(struct outbox *o)
{
    char command[96];
    for (unsigned i = 0; i < OUTBOX_SESSIONS; i++) {
        sqlite_close(o->sessions[i]);
        o->sessions[i] = NULL;
    }
    snprintf(command, sizeof command, "rm -rf '%s'", o->dir);
    assert_int_equal(system(command), 0);
}

const struct outbox_kind outbox_kind_outbox_sqlite = {
    .url_key = "path",
    .positions = "commitrelay_positions",
    .dead_letters = "commitrelay_dead_letters",
    .one_writer = true,
    .foreign_cursor = "p1 4 4 3 10:10: 12:12:",
    .make = sqlite_make,
    .drop = sqlite_drop,
    .sql = sqlite_sql,
};
