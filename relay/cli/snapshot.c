/* `snapshot`: orders the relay of a pipeline to send the present rows of tables beside the stream,
 * or to stop, pause or resume that. If none runs, the order waits in the store. */
#include "base/clock.h"
#include "cli/kit/args.h"
#include "cli/kit/interrupt.h"
#include "cli/kit/order.h"
#include "cli/kit/source_open.h"
#include "contract/source_signal.h"
#include "daemon/registry.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { ID_SIZE = 48 };

struct command {
    const char *file, *name, *where;
    bool stop, pause, resume;
    char id[ID_SIZE];
    struct buf tables;
    struct config *config;
    const struct conf_pipeline *p;
    struct cli_source source;
    struct cli_store store;
    struct found_relay relay;
};

static void release(struct command *c)
{
    find_relay_release(&c->relay);
    cli_store_release(&c->store);
    cli_source_release(&c->source);
    cli_config_free(&c->config);
    buf_release(&c->tables);
}

/* --- the words --- */

static int count_acts(const struct command *c)
{
    return c->stop + c->pause + c->resume;
}

static int check_form(const struct command *c, size_t tables)
{
    bool waits = c->pause || c->resume;
    if (count_acts(c) > 1) {
        return args_mistake(&cli_snapshot, "--stop, --pause and --resume exclude each other");
    }
    if (tables > 1) {
        return args_mistake(&cli_snapshot, "one table at a time; repeat the command for another");
    }
    if (waits && tables > 0) {
        return args_mistake(&cli_snapshot, "--pause and --resume are for all requested snapshots "
                                           "of the pipeline; leave the table out");
    }
    if (c->where && count_acts(c) > 0) {
        return args_mistake(&cli_snapshot, "--where is for a new snapshot");
    }
    if (count_acts(c) == 0 && tables == 0) {
        return args_mistake(&cli_snapshot, "say of which table: schema.table");
    }
    return 0;
}

static struct source_signal signal_of(const struct command *c)
{
    return (struct source_signal){.act = c->stop     ? SOURCE_SNAPSHOT_STOP
                                         : c->pause  ? SOURCE_SNAPSHOT_PAUSE
                                         : c->resume ? SOURCE_SNAPSHOT_RESUME
                                                     : SOURCE_SNAPSHOT_EXECUTE,
                                  .id = c->id,
                                  .tables = c->tables.len > 0 ? buf_str(&c->tables) : NULL,
                                  .where = c->where ? c->where : "",
                                  .asked_us = clock_wall_us()};
}

/* The name in the log; an order of the same name is taken for the same order. */
static void make_id(struct command *c)
{
    snprintf(c->id, sizeof c->id, "%lld-%ld", (long long)clock_wall_us(), (long)getpid());
}

/* --- the act --- */

static int refuse_long(size_t length)
{
    return cli_error(EXIT_CODE_CONFIG,
                     "the request takes %zu bytes, and an order has room for %d: shorten the "
                     "condition, or write it into source.signal_table",
                     length, STORE_ARGUMENT_SIZE - 1);
}

static int ask(struct command *c)
{
    CLEANUP(buf_release) struct buf text = {0};
    struct error err = {0};
    const struct source_signal what = signal_of(c);
    const struct source_ops *ops = registry_source(c->p->source->name);
    if (!ops->signal) {
        return cli_error(EXIT_CODE_CONFIG,
                         "pipeline %s reads its table by polling (%s), so no snapshot can be taken "
                         "beside a stream: `commitrelay replay` sends rows again",
                         c->p->name, ops->name);
    }
    if (cli_source_open(&c->source, c->p, 0, interrupt_open(), &err) ||
        ops->signal(c->source.source, &what, &text, &err)) {
        return cli_fail(&err);
    }
    if (text.len >= STORE_ARGUMENT_SIZE) {
        return refuse_long(text.len);
    }
    struct order o = {.config = c->config,
                      .command = STORE_SNAPSHOT,
                      .argument = buf_str(&text),
                      .done = "ordered; no daemon runs it now, the next one obeys"};
    int rc = find_relay(&c->relay, c->config);
    rc = rc ? rc : cli_store_open(&c->store, c->config, c->p);
    return rc ? rc : order_give(&o, &c->store, &c->relay);
}

static int run(int argc, char **argv)
{
    CLEANUP(release) struct command c = {0};
    struct args_rest rest = {0};
    const struct args_option options[] = {
        {"config", 'c', ARGS_TEXT, &c.file, "FILE", ARGS_CONFIG_HELP, 0, 0},
        {"pipeline", 0, ARGS_TEXT, &c.name, "NAME",
         "which pipeline; may be left out if it is the only one", 0, 0},
        {"where", 0, ARGS_TEXT, &c.where, "SQL", "only rows for which this condition is true", 0,
         0},
        {"stop", 0, ARGS_FLAG, &c.stop, NULL, "give up a snapshot; without a table all of them", 0,
         0},
        {"pause", 0, ARGS_FLAG, &c.pause, NULL, "read nothing more of them until --resume", 0, 0},
        {"resume", 0, ARGS_FLAG, &c.resume, NULL, "let them go on", 0, 0},
        ARGS_END};
    int rc;
    if (!args_parse(&cli_snapshot, options, argc, argv, &rest, &rc)) {
        return rc;
    }
    rc = check_form(&c, rest.count);
    if (rest.count > 0) {
        buf_printf(&c.tables, "%s%s", strchr(rest.items[0], '.') ? "" : "public.", rest.items[0]);
    }
    make_id(&c);
    rc = rc ? rc : cli_load(c.file, &c.config);
    rc = rc ? rc : cli_pick(c.config, c.name, &c.p);
    return rc ? rc : ask(&c);
}

const struct cli_command cli_snapshot = {
    .name = "snapshot",
    .summary = "send the present rows of a table beside the stream",
    .usage = "[-c FILE] --pipeline NAME TABLE [--where SQL]\n"
             "[-c FILE] --pipeline NAME --stop [TABLE]\n"
             "[-c FILE] --pipeline NAME --pause|--resume",
    .about =
        "For a pipeline that reads the replication stream and sends changes. The running relay reads "
        "the table\nin chunks and sends each row as an event `r`, while the stream goes on; a row "
        "that changes meanwhile\ncomes as its change. The table has to be published and to have a "
        "primary key (or a replica identity\nindex); TABLE is schema.table, or a regular expression "
        "of it. --where is a condition in SQL, evaluated\nby the relay's own role. Both are checked "
        "before anything is asked for. Snapshots are read one after\nthe other, go on after a crash, "
        "and are given up when `position set` is used.\n\n"
        "The running daemon gets the order over its socket or through the store, and answers once it "
        "is stored with\nthe position; without a daemon the next one obeys. source.signal_table takes "
        "the same from Debezium's\nsignals.\n\n"
        "Exit codes: 0 ordered; 64 usage; 75 the daemon did not answer within 15 s (it will obey when "
        "it is back) or\na database cannot be reached; 77 permission; 78 configuration, a table that "
        "is not published or has no\nkey, or a condition that is none.\n\n"
        "example: commitrelay snapshot -c relay.yaml --pipeline shop public.orders --where \"total > "
        "100\"",
    .run = run,
};
