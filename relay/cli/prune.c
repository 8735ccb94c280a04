/* `prune`: removes rows of an outbox table that every pipeline on it has delivered; with --inbox,
 * old claims of a consumer's inbox. */
#include "base/clock.h"
#include "cli/columns.h"
#include "cli/kit/args.h"
#include "cli/kit/cli_audit.h"
#include "cli/kit/find_relay.h"
#include "cli/kit/interrupt.h"
#include "cli/kit/shell_text.h"
#include "cli/kit/when.h"
#include "cli/prune_inbox.h"
#include "config/conf_ask.h"
#include "daemon/pruning.h"
#include "daemon/registry.h"

struct command {
    const char *file, *name, *older_than, *pause;
    int64_t batch;
    bool dry_run;
    struct config *config;
    const struct conf_pipeline *p;
    struct found_relay relay;
    struct cli_store store;
    struct cli_progress progress;
};

static void release(struct command *c)
{
    find_relay_release(&c->relay);
    cli_store_release(&c->store);
    cli_config_free(&c->config);
}

static void show_progress(void *ctx, int64_t looked_at, int64_t removed)
{
    struct command *c = ctx;
    cli_progress(&c->progress, "%s %lld of %lld rows", c->dry_run ? "would remove" : "removed",
                 (long long)removed, (long long)looked_at);
}

/* A line of its own, at once: dropping a partition may take a while. */
static void show_partition(void *ctx, const char *what)
{
    struct command *c = ctx;
    CLEANUP(buf_release) struct buf out = {0};
    cli_progress_end(&c->progress);
    buf_printf(&out, "%s: %s\n", c->p->name, what);
    int rc UNUSED = cli_show(buf_slice(&out)); /* the result is printed, or fails, at the end */
}

/* Nothing has to be pruned in a mode or source like this one. */
static int print_needless(const struct command *c, const char *why)
{
    CLEANUP(buf_release) struct buf out = {0};
    buf_printf(&out, "%s: nothing to do: %s\n", c->p->name, why);
    return cli_show(buf_slice(&out));
}

static int print_result(const struct command *c, const struct pruning_result *r)
{
    CLEANUP(buf_release) struct buf out = {0};
    buf_printf(&out, "%s: %s %lld rows of %s that are older than %s\n", c->p->name,
               c->dry_run ? "would remove" : "removed", (long long)r->removed,
               conf_ask_text(c->p->source->keys, c->p->source_conf, "table"), c->older_than);
    if (r->held.len > 0) {
        buf_printf(&out, "held back by %s\n", buf_str(&r->held));
    }
    if (r->advice.len > 0) {
        buf_printf(&out, "note: %s\n", buf_str(&r->advice));
    }
    buf_printf(&out, "store: %s\n", buf_str(&c->store.shown));
    return cli_show(buf_slice(&out));
}

static int print_interrupted(const struct command *c, const struct pruning_result *r)
{
    CLEANUP(buf_release) struct buf out = {0}, command = {0};
    buf_printf(&out, "%s: interrupted, %lld rows are removed. To go on:\n", c->p->name,
               (long long)r->removed);
    shell_add_command(&command, "prune", c->config->file, c->p->name);
    shell_add_option(&command, "older-than", c->older_than);
    buf_printf(&command, " --batch %lld", (long long)c->batch);
    shell_add_option(&command, "pause", c->pause);
    buf_add_str(&command, c->dry_run ? " --dry-run" : "");
    columns_command(&out, 4, buf_slice(&command));
    int rc = cli_show(buf_slice(&out));
    return rc ? rc : EXIT_CODE_GAVE_UP;
}

static int prune(struct command *c, const struct pruning *what)
{
    CLEANUP(pruning_result_release) struct pruning_result r = {0};
    CLEANUP(cli_audit_release) struct cli_audit audit = {0};
    struct error err = {0};
    if (!c->dry_run && cli_audit_open(&audit, c->config, &err)) {
        return cli_fail(&err);
    }
    int rc = pruning_run(what, &r, &err);
    cli_progress_end(&c->progress);
    if (rc == RESULT_DONE || r.removed > 0) {
        pruning_audit(what, &r, audit.who, audit.log);
    }
    bool stopped = interrupted(what->stop_fd);
    if (rc && stopped) {
        return print_interrupted(c, &r);
    }
    if (rc && r.removed > 0) {
        cli_warning("%lld rows were removed before it failed", (long long)r.removed);
    }
    if (rc) {
        return cli_fail(&err);
    }
    return cli_audit_end(&audit, print_result(c, &r));
}

/* A store that is not there holds no position, so nothing is delivered. */
static int look_at_store(struct command *c)
{
    struct store_position at = {0};
    struct error err = {0};
    int rc = cli_store_open(&c->store, c->config, c->p);
    if (rc) {
        return rc;
    }
    if (found_observe(&c->relay, &c->store, &at, &err)) {
        return cli_fail(&err);
    }
    buf_release(&at.cursor);
    return at.absent ? cli_error(EXIT_CODE_CONFIG,
                                 "there is nothing of pipeline %s in %s: no relay has run it yet, "
                                 "so nothing is delivered",
                                 c->p->name, buf_str(&c->store.shown))
                     : 0;
}

static int run_for_pipeline(struct command *c, struct pruning *what)
{
    const struct prune_ops *ops = registry_source(c->p->source->name)->prune;
    const char *needless =
        ops ? ops->needless(c->p->source_conf)
            : "it reads the replication stream, and needs no rows once they are committed";
    if (needless) {
        return print_needless(c, needless);
    }
    int rc = look_at_store(c);
    if (rc) {
        return rc;
    }
    what->config = c->config;
    what->conf = c->p;
    what->stop_fd = interrupt_open();
    what->progress = show_progress;
    what->tell = show_partition;
    what->ctx = c;
    return prune(c, what);
}

static int run_for_inbox(const struct command *c, const struct pruning *what, const char *source,
                         const char *consumer)
{
    const struct prune_inbox order = {.source = source,
                                      .consumer = consumer,
                                      .older_than = c->older_than,
                                      .pause = c->pause,
                                      .older_than_us = what->order.older_than_us,
                                      .pause_us = what->pause_us,
                                      .batch = c->batch,
                                      .dry_run = c->dry_run};
    return prune_inbox(&cli_prune, &order);
}

static int check_form(const struct command *c, bool inbox, const char *source, const char *consumer)
{
    if (inbox && (c->file || c->name)) {
        return args_mistake(&cli_prune, "--inbox is for the database that --source names; leave -c "
                                        "and --pipeline out");
    }
    if (!inbox && (source || consumer)) {
        return args_mistake(&cli_prune, "--source and --consumer are for --inbox; an outbox is "
                                        "pruned with -c and --pipeline");
    }
    if (!c->older_than) {
        return args_mistake(&cli_prune, "say which rows may go: --older-than 7d");
    }
    return 0;
}

static int run(int argc, char **argv)
{
    CLEANUP(release) struct command c = {.pause = "100ms", .batch = 10000};
    const char *source = NULL, *consumer = NULL;
    bool inbox = false;
    const struct args_option options[] = {
        {"config", 'c', ARGS_TEXT, &c.file, "FILE", ARGS_CONFIG_HELP, 0, 0},
        {"pipeline", 0, ARGS_TEXT, &c.name, "NAME",
         "whose table; may be left out if it is the only one", 0, 0},
        {"inbox", 0, ARGS_FLAG, &inbox, NULL, "the claims of a consumer's inbox instead", 0, 0},
        {"source", 0, ARGS_TEXT, &source, "URL",
         "with --inbox: the consumer's database; default COMMITRELAY_SOURCE", 0, 0},
        {"consumer", 0, ARGS_TEXT, &consumer, "NAME", "with --inbox: only this consumer's claims",
         0, 0},
        {"older-than", 0, ARGS_TEXT, &c.older_than, "TIME",
         "rows stay for so long, by created_at, claims by received_at (7d)", 0, 0},
        {"dry-run", 0, ARGS_FLAG, &c.dry_run, NULL, "only count", 0, 0},
        {"batch", 0, ARGS_INT, &c.batch, "N", "rows a statement looks at (default 10000)", 1,
         100000},
        {"pause", 0, ARGS_TEXT, &c.pause, "TIME", "between two statements (default 100ms)", 0, 0},
        ARGS_END};
    struct pruning what = {0};
    int rc;
    if (!args_parse(&cli_prune, options, argc, argv, NULL, &rc)) {
        return rc;
    }
    rc = check_form(&c, inbox, source, consumer);
    what.order = (struct prune_order){.batch = c.batch, .dry_run = c.dry_run};
    rc = rc ? rc : cli_duration(&cli_prune, "older-than", c.older_than, &what.order.older_than_us);
    rc = rc ? rc : cli_duration(&cli_prune, "pause", c.pause, &what.pause_us);
    if (rc == 0 && inbox) {
        return run_for_inbox(&c, &what, source, consumer);
    }
    rc = rc ? rc : cli_load(c.file, &c.config);
    rc = rc ? rc : cli_pick(c.config, c.name, &c.p);
    rc = rc ? rc : find_relay(&c.relay, c.config);
    return rc ? rc : run_for_pipeline(&c, &what);
}

const struct cli_command cli_prune = {
    .name = "prune",
    .summary = "remove delivered rows from an outbox table, or old claims from an inbox",
    .usage = "[-c FILE] --pipeline NAME --older-than TIME [--dry-run] [--batch N] [--pause TIME]\n"
             "--source URL --inbox [--consumer NAME] --older-than TIME\n"
             "    [--dry-run] [--batch N] [--pause TIME]",
    .about =
        "Removes rows that every pipeline of the table has delivered and that are old enough. A row "
        "that one\nof them has not delivered stays, and that pipeline is named; `position forget` "
        "takes a retired one out.\nIt works in small statements and may be stopped or killed at any "
        "time. A relay may run meanwhile.\nA table that is partitioned by day loses whole partitions "
        "instead of rows, and gets the coming ones\n(its owner may do that).\n"
        "The daemon does the same with source.prune.\n\n"
        "--inbox removes claims from the table inbox of a consumer's database (PostgreSQL: of the "
        "schema\npublic). An event that comes again after its claim is gone is handled again: keep "
        "claims for longer\nthan anything may be sent again, by a replay too.\n\n"
        "Exit codes: 0 done; 64 usage; 74 the audit log cannot be written; 75 interrupted (the "
        "command to go\non is printed), another prune is at work, or the database cannot be "
        "reached or is locked; 77\npermission; 78 configuration, or a table without created_at.\n\n"
        "example: commitrelay prune -c relay.yaml --pipeline orders --older-than 7d --dry-run",
    .run = run,
};
