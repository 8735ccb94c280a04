/* `init`: makes the tables, indexes and triggers that a relay needs in a database, or prints the
 * SQL for it. What is there already stays as it is, so it may be run twice. */
#include "cli/kit/args.h"
#include "cli/kit/findings.h"
#include "cli/kit/quick.h"
#include "cli/kit/source_open.h"
#include "cli/kit/source_url.h"
#include "cli/kit/sql_text.h"
#include "cli/sql_fit.h"
#include "config/conf_ask.h"
#include "config/conf_suggest.h"
#include "daemon/assembly.h"
#include "daemon/registry.h"
#include "db/pg.h"
#include "db/sqlite.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { CHANNEL_MAX = 63, PARTITIONS_MAX = 256 };
static const int64_t PATIENCE_US = 5 * US_PER_SECOND;

static const char *const mode_names[] = {
    [SQL_POSITION] = "position", [SQL_STATUS] = "status", [SQL_DELETE] = "delete"};
enum { MODES = sizeof mode_names / sizeof *mode_names };

static int take_mode(const char *word, enum sql_mode *ret)
{
    for (size_t i = 0; i < MODES; i++) {
        if (strcmp(word, mode_names[i]) == 0) {
            *ret = (enum sql_mode)i;
            return 0;
        }
    }
    CLEANUP(buf_release) struct buf hint = {0};
    suggest_add(&hint, slice_from(word), "the modes are", mode_names, MODES);
    return args_mistake(&cli_init, "no mode \"%s\"%s", word, buf_str(&hint));
}

/* Says what it means that a column or a key is missing: the SQL leaves a table as it was that has
 * the name already. */
static void explain_other_table(bool inbox, struct error *err)
{
    bool column = error_is(err, PG_UNDEFINED_COLUMN);
    if (inbox && (column || strstr(err->text, "no column") || strstr(err->text, "ON CONFLICT"))) {
        err->class = ERROR_CONFIG;
        err->exit_code = EXIT_CODE_CONFIG;
        error_prefix_text(err, "a table inbox was there already, and it is not the consumer's: "
                               "that has consumer, event_id, received_at and the primary key "
                               "(consumer, event_id); rename it");
    } else if (!inbox && column) {
        error_prefix_text(
            err,
            "the table was there already, with columns of other names: map them in a configuration and run `commitrelay init -c FILE --pipeline NAME`");
    }
}

/* `for_pipeline`: the pipeline whose timeouts are used; NULL: the defaults. */
static int run_postgres(const char *url, const char *sql, const struct conf_pipeline *for_pipeline,
                        struct error *err)
{
    struct pg_options options = {.url = url,
                                 .pipeline = "init",
                                 .connect_timeout_us = PATIENCE_US,
                                 .read_timeout_us = 30 * US_PER_SECOND,
                                 .stop_fd = -1};
    struct pg *pg = NULL;
    if (for_pipeline) {
        assembly_timeouts(for_pipeline, &options.connect_timeout_us, &options.read_timeout_us);
    }
    if (pg_connect(&options, &pg, err)) {
        return RESULT_ERROR;
    }
    /* As pg_make, but `init` may go through a pooler, where a session's lock could stay behind.
     * Here nothing has been looked up before the transaction waits. */
    CLEANUP(buf_release) struct buf locked = {0};
    buf_printf(&locked, "select pg_catalog.pg_advisory_xact_lock(" PG_MAKE_LOCK ");\n%s", sql);
    int rc = pg_query(pg, buf_str(&locked), 0, NULL, NULL, err);
    pg_close(pg);
    if (rc && error_is(err, PG_INSUFFICIENT_PRIVILEGE)) {
        return error_prefix(
            err, "init needs the rights of an owner; let one run the SQL that --print shows");
    }
    return rc;
}

/* In the default mode readers and writers wait for each other. A database with something in it
 * keeps its mode: that is its application's choice. The tables are in the file before the switch,
 * so the file alone is whole. */
static int make_sqlite(struct sqlite *db, const char *sql, struct error *err)
{
    int64_t objects;
    if (sqlite_query_int(db, "SELECT count(*) FROM sqlite_master", 0, &objects, err)) {
        return RESULT_ERROR;
    }
    if (sqlite_exec(db, sql, err)) {
        sqlite_rollback(db);
        return RESULT_ERROR;
    }
    return objects > 0 ? RESULT_DONE : sqlite_exec(db, "PRAGMA journal_mode = WAL", err);
}

static int run_sqlite(const char *path, const char *sql, struct error *err)
{
    struct sqlite_options options = {.path = path,
                                     .create = true,
                                     .need_write = true,
                                     .patience_us = PATIENCE_US,
                                     .stop_fd = -1};
    struct sqlite *db = NULL;
    if (sqlite_open(&options, &db, err)) {
        return RESULT_ERROR;
    }
    int rc = make_sqlite(db, sql, err);
    sqlite_close(db);
    return rc;
}

/* Runs the source's own check on the table, and reports what the pipeline would find. */
static int judge(const struct conf_pipeline *p, struct findings *f)
{
    CLEANUP(cli_source_release) struct cli_source s = {0};
    struct error err = {0};
    if (cli_source_open(&s, p, 0, -1, &err) ||
        (s.ops->check && s.ops->check(s.source, findings_report, f, &err))) {
        return cli_fail(&err);
    }
    return 0;
}

/* Checks the table afterwards, because `create table if not exists` does not report a table that
 * was there before and lacks columns. */
static int look_at_table(const struct source_url *url, const char *table)
{
    CLEANUP(cli_config_free) struct config *c = NULL;
    CLEANUP(findings_release) struct findings f = {0};
    CLEANUP(buf_release) struct buf yaml = {0};
    struct error err = {0};
    int rc = quick_config(&cli_init, url, NULL, &(struct quick){.table = table}, &yaml);
    if (rc) {
        return rc;
    }
    if (config_parse("init", buf_slice(&yaml), registry_conf_sources(), &c, &err)) {
        return cli_fail(&err);
    }
    f.pipeline = table;
    rc = judge(&c->pipelines[0], &f);
    if (rc || f.faults == 0) {
        return rc;
    }
    return cli_error(f.exit_code, "table %s was there already and does not fit mode position:\n%s",
                     table, buf_str(&f.out));
}

static int apply(const struct source_url *url, const struct sql_request *r, const char *sql)
{
    struct error err = {0};
    bool postgres = url->kind == SOURCE_KIND_POSTGRES;
    if (postgres ? run_postgres(url->text, sql, NULL, &err) : run_sqlite(url->text, sql, &err)) {
        explain_other_table(r->inbox, &err);
        return cli_fail(&err);
    }
    if (!r->inbox && r->mode == SQL_POSITION) {
        int rc = look_at_table(url, r->table);
        if (rc) {
            return rc;
        }
    }
    CLEANUP(buf_release) struct buf out = {0};
    if (r->inbox) {
        buf_add_str(&out, "table inbox is ready\n");
    } else {
        buf_printf(&out, "table %s (mode %s%s%s) and the relay's own tables are ready\n", r->table,
                   mode_names[r->mode], r->by_day ? ", partitioned by day" : "",
                   r->by_hash ? ", partitioned by hash" : "");
    }
    return cli_print(buf_slice(&out));
}

/* --- for a pipeline of a configuration --- */

static const char *source_text(const struct conf_pipeline *p, const char *key)
{
    return conf_ask_text(p->source->keys, p->source_conf, key);
}

static int fit_table(const struct conf_pipeline *p, const char *sql)
{
    CLEANUP(findings_release) struct findings f = {.pipeline = p->name};
    CLEANUP(buf_release) struct buf out = {0};
    struct error err = {0};
    if (run_postgres(source_text(p, "url"), sql, p, &err)) {
        explain_other_table(false, &err);
        return cli_fail(&err);
    }
    int rc = judge(p, &f);
    if (rc || f.faults > 0) {
        return rc ? rc
                  : cli_error(f.exit_code,
                              "what a program can add is there now, and this is left:\n%s",
                              buf_str(&f.out));
    }
    buf_printf(&out, "table %s fits pipeline %s now\n", source_text(p, "table"), p->name);
    return cli_print(buf_slice(&out));
}

/* Takes from the pipeline's source keys what sql_fit needs to know. */
static struct sql_fit request_of(const struct conf_pipeline *p)
{
    static const char *const mappable[] = {"columns.id",          "columns.aggregatetype",
                                           "columns.aggregateid", "columns.type",
                                           "columns.payload",     "columns.headers",
                                           "columns.created_at",  "columns.seq",
                                           "columns.xid",         "order_by"};
    const char *mode = conf_ask_word(p->source->keys, p->source_conf, "mode");
    struct sql_fit r = {.table = source_text(p, "table"),
                        .id = source_text(p, "columns.id"),
                        .seq = source_text(p, "columns.seq"),
                        .xid = source_text(p, "columns.xid")};
    for (size_t i = 0; i < MODES; i++) {
        r.mode = strcmp(mode, mode_names[i]) == 0 ? (enum sql_mode)i : r.mode;
    }
    for (size_t i = 0; i < sizeof mappable / sizeof *mappable; i++) {
        r.mapped = r.mapped || conf_ask_given(p->source->keys, p->source_conf, mappable[i]);
    }
    if (conf_ask_given(p->source->keys, p->source_conf, "order_by")) {
        r.order_by = source_text(p, "order_by");
    }
    return r;
}

static const char *fitted_source(void)
{
    for (const struct source_ops *const *s = registry_sources(); *s; s++) {
        if ((*s)->init_fits) {
            return (*s)->name;
        }
    }
    return "no source of this program";
}

static int run_for_pipeline(const char *file, const char *name, bool print)
{
    CLEANUP(cli_config_free) struct config *c = NULL;
    CLEANUP(buf_release) struct buf sql = {0};
    const struct conf_pipeline *p;
    struct error err = {0};
    int rc = cli_load(file, &c);
    rc = rc ? rc : cli_pick(c, name, &p);
    if (rc) {
        return rc;
    }
    if (!registry_source(p->source->name)->init_fits) {
        return args_mistake(&cli_init,
                            "-c is for tables of %s, and pipeline %s reads %s; `check --connect` "
                            "says what it lacks",
                            fitted_source(), p->name, p->source->name);
    }
    struct sql_fit request = request_of(p);
    if (sql_fit(&sql, &request, &err)) {
        return cli_fail(&err);
    }
    return print ? cli_print(buf_slice(&sql)) : fit_table(p, buf_str(&sql));
}

static int take_partitions(const char *text, int *ret)
{
    char *end;
    errno = 0;
    long n = strtol(text, &end, 10);
    if (errno || end == text || *end || n < 2 || n > PARTITIONS_MAX) {
        return RESULT_ERROR;
    }
    *ret = (int)n;
    return RESULT_DONE;
}

static int take_partitioned(const char *how, struct sql_request *r)
{
    static const char hash[] = "hash:";
    bool by_hash = strncmp(how, hash, sizeof hash - 1) == 0;
    if (by_hash && take_partitions(how + sizeof hash - 1, &r->by_hash)) {
        return args_mistake(&cli_init,
                            "--partitioned %s: say hash:N with 2 to %d partitions, as in hash:8",
                            how, PARTITIONS_MAX);
    }
    if (!by_hash && strcmp(how, "day") != 0) {
        return args_mistake(&cli_init, "no way of partitioning \"%s\": there are day and hash:N",
                            how);
    }
    if (r->mode != SQL_POSITION) {
        return args_mistake(&cli_init, "--partitioned is for mode position: %s",
                            r->mode == SQL_STATUS
                                ? "in mode status each row is marked, and would be looked for in "
                                  "every partition"
                                : "in mode delete no row stays, so there is nothing to drop");
    }
    r->by_day = !by_hash;
    return 0;
}

static int check_request(const struct sql_request *r, const char *table, const char *mode,
                         const char *partitioned)
{
    if (r->inbox && (table || mode || r->channel || partitioned)) {
        return args_mistake(&cli_init, "--inbox makes the table inbox and nothing else; leave "
                                       "--table, --mode, --notify and --partitioned out");
    }
    if (r->channel && strlen(r->channel) > CHANNEL_MAX) {
        return args_mistake(&cli_init, "--notify: a channel's name has at most %d bytes",
                            CHANNEL_MAX);
    }
    return 0;
}

static int run(int argc, char **argv)
{
    const char *source = NULL, *table = NULL, *mode = NULL, *file = NULL, *name = NULL;
    const char *partitioned = NULL;
    struct sql_request r = {0};
    bool print = false;
    const struct args_option options[] = {
        {"source", 0, ARGS_TEXT, &source, "URL",
         "postgresql://..., a libpq conninfo string or sqlite:PATH; default COMMITRELAY_SOURCE", 0,
         0},
        {"config", 'c', ARGS_TEXT, &file, "FILE",
         "instead of --source: fit the table of a pipeline of this file", 0, 0},
        {"pipeline", 0, ARGS_TEXT, &name, "NAME",
         "with -c: which pipeline; may be left out if it is the only one", 0, 0},
        {"table", 0, ARGS_TEXT, &table, "T", "the outbox table (default outbox)", 0, 0},
        {"mode", 0, ARGS_TEXT, &mode, "position|status|delete",
         "what the relay does to a delivered row; default position: nothing", 0, 0},
        {"notify", 0, ARGS_TEXT, &r.channel, "CHANNEL",
         "PostgreSQL: a trigger that notifies CHANNEL once a statement", 0, 0},
        {"inbox", 0, ARGS_FLAG, &r.inbox, NULL, "make the consumer's inbox table only", 0, 0},
        {"partitioned", 0, ARGS_TEXT, &partitioned, "day|hash:N",
         "PostgreSQL: a partition for each day, so that `prune` drops whole days; or N by key", 0,
         0},
        {"print", 0, ARGS_FLAG, &print, NULL, "print the SQL instead of running it", 0, 0},
        ARGS_END};
    CLEANUP(buf_release) struct buf sql = {0};
    struct source_url url;
    struct error err = {0};
    int rc;
    if (!args_parse(&cli_init, options, argc, argv, NULL, &rc)) {
        return rc;
    }
    if (file || name) {
        return source || table || mode || r.channel || r.inbox || partitioned
                   ? args_mistake(&cli_init,
                                  "-c says it all; leave the other options but --print out")
                   : run_for_pipeline(file, name, print);
    }
    rc = check_request(&r, table, mode, partitioned);
    rc = rc || !mode ? rc : take_mode(mode, &r.mode);
    rc = rc || !partitioned ? rc : take_partitioned(partitioned, &r);
    rc = rc ? rc : source_url_take(&cli_init, source, &url);
    if (rc) {
        return rc;
    }
    r.table = table ? table : "outbox";
    bool postgres = url.kind == SOURCE_KIND_POSTGRES;
    if (postgres ? sql_text_postgres(&sql, &r, &err) : sql_text_sqlite(&sql, &r, &err)) {
        return cli_fail(&err);
    }
    return print ? cli_print(buf_slice(&sql)) : apply(&url, &r, buf_str(&sql));
}

const struct cli_command cli_init = {
    .name = "init",
    .summary = "make the outbox table and the relay's own tables",
    .usage =
        "--source URL [--table T] [--mode position|status|delete] [--notify CHANNEL] [--print]\n"
        "--source URL --partitioned day|hash:N [--table T] [--notify CHANNEL] [--print]\n"
        "-c FILE --pipeline NAME [--print]\n"
        "--source URL --inbox [--print]",
    .about =
        "Makes the outbox table with its indexes, and what the relay keeps beside it (schema\n"
        "commitrelay in PostgreSQL, tables commitrelay_* in SQLite), so that the relay itself can\n"
        "run with fewer rights. What is there stays as it is. A missing SQLite file is made,\n"
        "with journal_mode=WAL; one with something in it keeps its journal mode.\n"
        "-c adds to an existing table what the mode of that pipeline needs, under the names that "
        "it "
        "maps.\n"
        "--partitioned day makes a table with a partition for each day (UTC), and one for rows of "
        "other days;\nrun it again, or `prune`, to have the partitions of the next seven days.\n"
        "--partitioned hash:8 makes one with the partitions T_0 to T_7 by hash of aggregateid, for "
        "a pipeline\nof its own each.\n\n"
        "Exit codes: 0 ok; 64 usage; 75 the server cannot be reached now; 77 permission; 78 a "
        "table\n"
        "of that name is there and does not fit, or a name that cannot be one.\n\n"
        "example: commitrelay init --source postgresql://owner@localhost/shop --notify outbox",
    .run = run,
};
