/* `tail`: prints events as the relay would send them, without moving any position or marking any
 * row. */
#include "cli/kit/args.h"
#include "cli/kit/interrupt.h"
#include "cli/kit/quick.h"
#include "cli/kit/source_open.h"
#include "cli/kit/source_url.h"
#include "daemon/registry.h"
#include "db/pg.h"
#include "db/sqlite.h"
#include "message/encode.h"

enum { READ_EVENTS = 1000, READ_BYTES = 4 << 20 };

struct tail {
    struct source_url url;
    struct quick quick;
    int64_t number; /* -1: follow */
    struct config *config;
    struct cli_source source;
    int stop_fd;
};

static void release(struct tail *t)
{
    cli_source_release(&t->source);
    cli_config_free(&t->config);
}

/* --- where to begin --- */

static int before_last_postgres(const struct tail *t, struct buf *ret, struct error *err)
{
    CLEANUP(buf_release) struct buf sql = {0}, table = {0};
    struct pg_options options = {.url = t->url.text,
                                 .pipeline = "tail",
                                 .connect_timeout_us = 5 * US_PER_SECOND,
                                 .read_timeout_us = 30 * US_PER_SECOND,
                                 .stop_fd = t->stop_fd};
    struct pg *pg = NULL;
    struct pg_result *r = NULL;
    if (pg_quote_table(&table, t->quick.table, err) || pg_connect(&options, &pg, err)) {
        return RESULT_ERROR;
    }
    buf_printf(&sql, "select seq from %s order by seq desc limit 1 offset %lld", buf_str(&table),
               (long long)t->number);
    int rc = pg_query(pg, buf_str(&sql), 0, NULL, &r, err);
    if (rc == RESULT_DONE && pg_rows(r) > 0) {
        buf_add_slice(ret, pg_value(r, 0, 0));
    }
    pg_result_free(r);
    pg_close(pg);
    return rc;
}

static int before_last_sqlite(const struct tail *t, struct buf *ret, struct error *err)
{
    CLEANUP(buf_release) struct buf sql = {0};
    struct sqlite_options options = {
        .path = t->url.text, .patience_us = 5 * US_PER_SECOND, .stop_fd = t->stop_fd};
    struct sqlite *db = NULL;
    int64_t seq;
    if (sqlite_open(&options, &db, err)) {
        return RESULT_ERROR;
    }
    buf_add_str(&sql, "select seq from ");
    sqlite_quote_name(&sql, t->quick.table);
    buf_printf(&sql, " order by seq desc limit 1 offset %lld", (long long)t->number);
    int rc = sqlite_query_int(db, buf_str(&sql), INT64_MIN, &seq, err);
    if (rc == RESULT_DONE && seq != INT64_MIN) {
        buf_printf(ret, "%lld", (long long)seq);
    }
    sqlite_close(db);
    return rc;
}

/* The position before the last N events. Without a number it is "now". A change stream also begins
 * at "now", because its past cannot be read again: there N counts events that are still to come. */
static int first_position(const struct tail *t, struct buf *ret, struct error *err)
{
    int rc = RESULT_DONE;
    if (t->number < 0 || t->quick.cdc) {
        buf_add_str(ret, "now");
        return rc;
    }
    rc = t->url.kind == SOURCE_KIND_POSTGRES ? before_last_postgres(t, ret, err)
                                             : before_last_sqlite(t, ret, err);
    if (rc == RESULT_DONE && ret->len == 0) {
        buf_add_str(ret, "beginning"); /* the table has at most N events */
    }
    return rc;
}

static int start(struct tail *t, struct error *err)
{
    CLEANUP(buf_release) struct buf position = {0}, cursor = {0};
    struct cli_source *s = &t->source;
    if (cli_source_open(s, &t->config->pipelines[0], 0, t->stop_fd, err) ||
        first_position(t, &position, err) ||
        s->ops->position(s->source, buf_str(&position), &cursor, err)) {
        return RESULT_ERROR;
    }
    return s->ops->start(s->source, buf_slice(&cursor), 0, err);
}

/* --- printing --- */

/* Appends one event; one that could never be delivered is shown as far as possible, with a warning.
 */
static void add_event(const struct tail *t, struct buf *out, struct batch *batch, struct event *e)
{
    struct error err = {0};
    if (e->poison) {
        cli_warning("the event at position %.*s could not be delivered: %s", SLICE_FMT(e->position),
                    e->poison);
    } else if (cli_source_prepare(&t->source, batch, e, &err)) {
        cli_warning("the event at position %.*s could not be delivered: %s", SLICE_FMT(e->position),
                    err.text);
        e->topic = SLICE_NULL; /* a topic that was refused must not be printed as the event's */
    }
    if (encode_json_line(out, e, &err)) {
        cli_warning("the event at position %.*s cannot be shown: %s", SLICE_FMT(e->position),
                    err.text);
        return;
    }
    buf_add_char(out, '\n');
}

static int print_events(struct tail *t, struct batch *batch, struct error *err)
{
    CLEANUP(buf_release) struct buf out = {0};
    int64_t left = t->number < 0 ? INT64_MAX : t->number;
    bool follow = t->number < 0 || t->quick.cdc;
    while (left > 0 && !interrupted(t->stop_fd)) {
        batch_reset(batch);
        buf_clear(&out);
        int rc = cli_source_read(&t->source, batch, left < READ_EVENTS ? (size_t)left : READ_EVENTS,
                                 READ_BYTES, DEADLINE_NEVER, err);
        if (rc == RESULT_ERROR) {
            return cli_fail(err);
        }
        if (rc == RESULT_AGAIN || (batch->count == 0 && !follow)) {
            break; /* interrupted, or there are fewer than N */
        }
        if (batch->count == 0 && cli_source_wait(&t->source, DEADLINE_NEVER, err) < 0) {
            return cli_fail(err);
        }
        for (size_t i = 0; i < batch->count; i++) {
            add_event(t, &out, batch, &batch->events[i]);
        }
        left -= (int64_t)batch->count;
        rc = cli_print(buf_slice(&out));
        if (rc) {
            return rc;
        }
    }
    return 0;
}

static int tail(struct tail *t)
{
    CLEANUP(buf_release) struct buf yaml = {0};
    struct error err = {0};
    int rc = quick_config(&cli_tail, &t->url, NULL, &t->quick, &yaml);
    if (rc) {
        return rc;
    }
    if (config_parse("command line", buf_slice(&yaml), registry_conf_sources(), &t->config, &err)) {
        return cli_fail(&err);
    }
    t->stop_fd = interrupt_open();
    if (start(t, &err)) {
        return interrupted(t->stop_fd) ? 0 : cli_fail(&err);
    }
    struct batch *batch = batch_new();
    rc = print_events(t, batch, &err);
    batch_free(batch);
    return rc;
}

static int run(int argc, char **argv)
{
    const char *source = NULL;
    CLEANUP(release) struct tail t = {.number = -1, .stop_fd = -1};
    const struct args_option options[] = {
        {"source", 0, ARGS_TEXT, &source, "URL",
         "postgresql://..., a libpq conninfo string or sqlite:PATH; default COMMITRELAY_SOURCE", 0,
         0},
        {"table", 0, ARGS_TEXT, &t.quick.table, "T", "the outbox table (default outbox)", 0, 0},
        {"cdc", 0, ARGS_FLAG, &t.quick.cdc, NULL,
         "read the replication stream: with --table that outbox, without it every change of the "
         "publication",
         0, 0},
        {"number", 'n', ARGS_INT, &t.number, "N",
         "print the last N events and end; with --cdc the next N", 0, 1000000000},
        ARGS_END};
    int rc;
    if (!args_parse(&cli_tail, options, argc, argv, NULL, &rc) ||
        (rc = source_url_take(&cli_tail, source, &t.url)) != 0) {
        return rc;
    }
    if (!t.quick.table && !t.quick.cdc) {
        t.quick.table = "outbox";
    }
    return tail(&t);
}

const struct cli_command cli_tail = {
    .name = "tail",
    .summary = "print events without moving any position",
    .usage = "--source URL [--table T] [--cdc] [-n N]",
    .about =
        "Prints committed events in the order of delivery, as JSON lines: the last N and "
        "ends; without -n\nthose that are committed from now on, until it is interrupted. "
        "Nothing is stored, marked or locked.\n\n"
        "--cdc reads the publication commitrelay_default through a temporary replication slot, "
        "which goes\nwith the command; changes are shown as flat rows. The publication must be "
        "there: "
        "CREATE PUBLICATION\ncommitrelay_default FOR TABLE ...\n\n"
        "Exit codes: 0 ok, also when interrupted; 64 usage; 74 stdout cannot be written; 75 "
        "the database\ncannot be reached; 77 permission; 78 no such table, file or "
        "publication, or a\ntable that is not of mode position.\n\n"
        "example: commitrelay tail --source sqlite:shop.db -n 5",
    .run = run,
};
