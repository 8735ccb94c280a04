/* `snapshot`: asks the relay of a pipeline to send the present rows of tables beside the stream, or
 * to stop, pause or resume that. The request goes through the database, so it is neither lost nor
 * done twice, whether a relay runs now or not. */
#include "base/clock.h"
#include "cli/kit/args.h"
#include "cli/kit/cli_audit.h"
#include "cli/kit/interrupt.h"
#include "cli/kit/source_open.h"
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
};

static void release(struct command *c)
{
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
                                  .where = c->where ? c->where : ""};
}

/* The name in the log and in the rows' ids has to differ from those of other requests. */
static void make_id(struct command *c)
{
    snprintf(c->id, sizeof c->id, "%lld-%ld", (long long)clock_wall_us(), (long)getpid());
}

/* --- the act --- */

static const char *verb_of(enum source_snapshot_act act)
{
    static const char *const verbs[] = {[SOURCE_SNAPSHOT_EXECUTE] = "a snapshot",
                                        [SOURCE_SNAPSHOT_STOP] = "the end of the snapshot",
                                        [SOURCE_SNAPSHOT_PAUSE] = "a pause of the snapshots",
                                        [SOURCE_SNAPSHOT_RESUME] = "the snapshots to go on"};
    return verbs[act];
}

static int print_done(const struct command *c, const struct source_signal *what,
                      const struct buf *said)
{
    CLEANUP(buf_release) struct buf out = {0};
    buf_printf(&out, "%s: asked for %s%s%s (signal %s) %s\n", c->p->name, verb_of(what->act),
               what->tables ? " of " : "", what->tables ? what->tables : "", c->id, buf_str(said));
    if (what->act == SOURCE_SNAPSHOT_EXECUTE) {
        buf_printf(&out, "`commitrelay status` shows how far it is\n");
    }
    return cli_show(buf_slice(&out));
}

static void note(struct cli_audit *audit, const struct command *c, const struct source_signal *what)
{
    CLEANUP(buf_release) struct buf before = {0}, after = {0};
    static const char *const acts[] = {"execute", "stop", "pause", "resume"};
    audit_text(&after, "act", acts[what->act]);
    audit_text(&after, "tables", what->tables ? what->tables : "");
    audit_text(&after, "signal", c->id);
    cli_audit_write(audit, "snapshot", c->p->name, &before, &after);
}

static int ask(struct command *c)
{
    CLEANUP(cli_audit_release) struct cli_audit audit = {0};
    CLEANUP(buf_release) struct buf said = {0};
    struct error err = {0};
    const struct source_signal what = signal_of(c);
    const struct source_ops *ops = registry_source(c->p->source->name);
    if (!ops->signal) {
        return cli_error(EXIT_CODE_CONFIG,
                         "pipeline %s reads its table by polling (%s), so no snapshot can be taken "
                         "beside a stream: `commitrelay replay` sends rows again",
                         c->p->name, ops->name);
    }
    if (cli_audit_open(&audit, c->config, &err) ||
        cli_source_open(&c->source, c->p, 0, interrupt_open(), &err) ||
        ops->signal(c->source.source, &what, &said, &err)) {
        return cli_fail(&err);
    }
    note(&audit, c, &what);
    return cli_audit_end(&audit, print_done(c, &what, &said));
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
        "The request is a row of source.signal_table, or without one a message in the database's "
        "WAL: it reaches\nthe relay in its place among the changes, and waits in the slot if no "
        "relay runs. --where needs a\nsignal table, because anybody who may connect could write such "
        "a message.\n\n"
        "Exit codes: 0 asked; 64 usage; 69 the slot is lost; 74 the audit log cannot be written; 75 "
        "the\ndatabase cannot be reached; 77 permission; 78 configuration, a table that is not "
        "published or has no\nkey, or a condition that is none.\n\n"
        "example: commitrelay snapshot -c relay.yaml --pipeline shop public.orders --where \"total > "
        "100\"",
    .run = run,
};
