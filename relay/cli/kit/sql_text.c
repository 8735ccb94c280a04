/* Makes the SQL of `init` from the scripts of schema/. The table's name is quoted wherever it is
 * put in, and a name that holds the scripts' block quote is refused; otherwise it could end a block
 * and run as SQL. */
#include "cli/kit/sql_text.h"

#include "db/pg.h"
#include "db/sqlite.h"
#include "schema/schema.h"

/* The dollar quote around blocks in the scripts. A table name must not hold it. */
static const char block_quote[] = "$commitrelay$";

void sql_text_rename(struct buf *out, const char *script, const char *quoted)
{
    buf_add_replacing(out, script, "\"outbox\"", quoted);
}

/* Adds a trigger that notifies `channel` after each INSERT statement. One function serves all
 * tables and gets the channel as the trigger's argument. Users who insert need no right on the
 * function: PostgreSQL checks that only when the trigger is made. */
static void add_notify(struct buf *out, const char *table, const char *channel)
{
    buf_printf(out,
               "\n-- Wakes a listening relay (source.notify_channel) once a statement.\n"
               "create or replace function commitrelay.notify() returns trigger\n"
               "    language plpgsql set search_path = ''\n"
               "as %s\n"
               "begin\n"
               "    perform pg_catalog.pg_notify(tg_argv[0], '');\n"
               "    return null;\n"
               "end\n"
               "%s;\n"
               "create or replace trigger commitrelay_notify after insert on %s\n"
               "    for each statement execute function commitrelay.notify(",
               block_quote, block_quote, table);
    pg_quote_literal(out, slice_from(channel));
    buf_add_str(out, ");\n");
}

static void add_by_hash(struct buf *out, const char *table, int partitions)
{
    CLEANUP(buf_release) struct buf script = {0}, number = {0};
    buf_printf(&number, "partitions constant int := %d;", partitions);
    buf_add_replacing(&script, schema_postgres_outbox_hash, "partitions constant int := 8;",
                      buf_str(&number));
    sql_text_rename(out, buf_str(&script), table);
}

static int add_outbox(struct buf *out, const struct sql_request *r, struct error *err)
{
    CLEANUP(buf_release) struct buf table = {0};
    if (pg_quote_table(&table, r->table, err)) {
        return RESULT_ERROR;
    }
    if (strstr(buf_str(&table), block_quote)) {
        return error_set(err, ERROR_CONFIG, "init",
                         "the table name %s holds %s, which the scripts quote with; choose another",
                         buf_str(&table), block_quote);
    }
    if (r->by_day) {
        buf_add_str(out, "set local lock_timeout = '5s';\n\n");
    }
    buf_add_str(out, schema_postgres_relay);
    buf_add_char(out, '\n');
    if (r->by_day) {
        sql_text_rename(out, schema_postgres_outbox_day, buf_str(&table));
        buf_add_char(out, '\n');
        sql_text_rename(out, schema_postgres_partitions, buf_str(&table));
    } else if (r->by_hash) {
        add_by_hash(out, buf_str(&table), r->by_hash);
    } else {
        sql_text_rename(out, schema_postgres_outbox, buf_str(&table));
    }
    if (r->mode != SQL_POSITION) {
        buf_add_char(out, '\n');
        const char *more = r->mode == SQL_STATUS ? schema_postgres_status : schema_postgres_delete;
        sql_text_rename(out, more, buf_str(&table));
    }
    if (r->channel) {
        add_notify(out, buf_str(&table), r->channel);
    }
    return RESULT_DONE;
}

int sql_text_postgres(struct buf *out, const struct sql_request *r, struct error *err)
{
    buf_printf(out,
               "begin;\n"
               "set local client_min_messages = warning;\n"
               "-- Two that run this at once take turns.\n"
               "do %s begin perform pg_catalog.pg_advisory_xact_lock("
               "pg_catalog.hashtextextended('commitrelay/schema', 0)); end %s;\n\n",
               block_quote, block_quote);
    if (r->inbox) {
        buf_add_str(out, "set local search_path = public;\n");
        buf_add_str(out, schema_postgres_inbox);
    } else if (add_outbox(out, r, err)) {
        return RESULT_ERROR;
    }
    buf_add_str(out, "\ncommit;\n");
    return RESULT_DONE;
}

int sql_text_sqlite(struct buf *out, const struct sql_request *r, struct error *err)
{
    CLEANUP(buf_release) struct buf table = {0};
    if (r->mode == SQL_STATUS) {
        return error_set(err, ERROR_CONFIG, "init",
                         "mode status is for PostgreSQL; a SQLite outbox has position and delete");
    }
    if (r->by_day || r->by_hash) {
        return error_set(err, ERROR_CONFIG, "init",
                         "SQLite has no partitions; leave --partitioned out");
    }
    if (r->channel) {
        return error_set(
            err, ERROR_CONFIG, "init",
            "SQLite has no notifications; leave --notify out: the relay watches the file and finds commits at once");
    }
    buf_add_str(out, "begin immediate;\n");
    if (r->inbox) {
        buf_add_str(out, schema_sqlite_inbox);
    } else {
        sqlite_quote_name(&table, r->table);
        buf_add_str(out, schema_sqlite_relay);
        buf_add_char(out, '\n');
        sql_text_rename(out, schema_sqlite_outbox, buf_str(&table));
    }
    buf_add_str(out, "commit;\n");
    return RESULT_DONE;
}
