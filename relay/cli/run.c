/* `run`: starts the daemon, from a configuration file or from two URLs, and relays until it is
 * stopped. */
#include "base/log.h"
#include "cli/kit/args.h"
#include "cli/kit/quick.h"
#include "daemon/registry.h"
#include "daemon/supervisor.h"

struct run_args {
    const char *file, *source, *sink;
    struct quick quick;
    struct args_list pipelines;
    bool until_idle;
};

static void release(struct run_args *a)
{
    args_list_release(&a->pipelines);
}

static int load_file(const struct run_args *a, struct config **ret)
{
    struct error err = {0};
    const struct conf_pipeline *found;
    if (a->source || a->sink || a->quick.table || a->quick.cdc) {
        return args_mistake(&cli_run, "either -c FILE, or --source and --sink; not both");
    }
    if (config_load(a->file, registry_conf_plugins(), ret, &err)) {
        return cli_fail(&err);
    }
    for (size_t i = 0; i < a->pipelines.count; i++) {
        int rc = cli_pick(*ret, a->pipelines.items[i], &found);
        if (rc) {
            cli_config_free(ret);
            return rc;
        }
    }
    return 0;
}

static int load_urls(const struct run_args *a, struct config **ret)
{
    CLEANUP(buf_release) struct buf yaml = {0};
    struct source_url source;
    struct error err = {0};
    if (!a->sink) {
        return args_mistake(&cli_run, "give -c FILE, or --source URL and --sink URL");
    }
    if (a->pipelines.count > 0) {
        return args_mistake(&cli_run, "--pipeline goes with -c FILE");
    }
    int rc = source_url_take(&cli_run, a->source, &source);
    if (rc == 0) {
        rc = quick_config(&cli_run, &source, a->sink, &a->quick, &yaml);
    }
    if (rc) {
        return rc;
    }
    if (config_parse("command line", buf_slice(&yaml), registry_conf_plugins(), ret, &err)) {
        return cli_fail(&err);
    }
    return 0;
}

/* Warns that the slot stays. Somebody who only tried the program does not expect that the server
 * keeps all WAL from then on, until its disk is full. */
static void tell_slot(void)
{
    log_write(
        LOG_WARN, NULL,
        "slot commitrelay_default stays, so that the same command goes on from here, and the server keeps all WAL for it meanwhile; to end that: SELECT pg_drop_replication_slot('commitrelay_default'), and delete commitrelay.db, which holds its position");
}

static int run(int argc, char **argv)
{
    CLEANUP(release) struct run_args a = {0};
    const struct args_option options[] = {
        {"config", 'c', ARGS_TEXT, &a.file, "FILE", ARGS_CONFIG_HELP, 0, 0},
        {"pipeline", 0, ARGS_LIST, &a.pipelines, "NAME",
         "only this pipeline; may be given several times", 0, 0},
        {"source", 0, ARGS_TEXT, &a.source, "URL",
         "postgresql://..., a libpq conninfo string or sqlite:PATH; default COMMITRELAY_SOURCE", 0,
         0},
        {"sink", 0, ARGS_TEXT, &a.sink, "URL", quick_sinks(" or "), 0, 0},
        {"table", 0, ARGS_TEXT, &a.quick.table, "T", "the outbox table (default outbox)", 0, 0},
        {"cdc", 0, ARGS_FLAG, &a.quick.cdc, NULL,
         "read the replication stream: with --table that outbox, without it every change of the "
         "publication",
         0, 0},
        {"until-idle", 0, ARGS_FLAG, &a.until_idle, NULL,
         "end with 0 when all that was committed is delivered and saved", 0, 0},
        ARGS_END};
    struct config *config = NULL;
    int exit_code;
    if (!args_parse(&cli_run, options, argc, argv, NULL, &exit_code)) {
        return exit_code;
    }
    bool urls = a.source || a.sink || a.quick.table || a.quick.cdc;
    a.file = a.file || urls ? a.file : cli_default_file();
    exit_code = a.file ? load_file(&a, &config) : load_urls(&a, &config);
    if (exit_code) {
        return exit_code;
    }
    struct supervisor_options o = {.file = a.file,
                                   .only = a.pipelines.items,
                                   .only_count = a.pipelines.count,
                                   .until_idle = a.until_idle};
    exit_code = supervisor_run(&o, config);
    if (!a.file && a.quick.cdc && exit_code == 0) {
        tell_slot();
    }
    return exit_code;
}

const struct cli_command cli_run = {
    .name = "run",
    .summary = "relay until stopped",
    .usage = "[-c FILE] [--pipeline NAME]... [--until-idle]\n"
             "--source URL --sink URL [--table T] [--cdc] [--until-idle]",
    .about =
        "Relays what is committed. SIGTERM or SIGINT: settle what is in flight, save, end "
        "with 0; a\nsecond one: end at once. SIGHUP: read the file again; what has changed is "
        "restarted.\n\n"
        "--cdc reads the replication stream of the publication commitrelay_default through "
        "the slot of the\nsame name, which it creates; the publication must be there: CREATE "
        "PUBLICATION commitrelay_default\nFOR TABLE ...; changes go out as flat rows, after "
        "those that are there already. The position is\nkept in sqlite:commitrelay.db (in "
        "$STATE_DIRECTORY or the working directory).\n\n"
        "Exit codes: 0 stopped in good order, or idle with --until-idle; 64 usage; 69 data may "
        "be lost,\nlook first; 70 a bug; 74 disk, or the reader of stdout is gone; 75 gave up "
        "waiting\n(--until-idle); 77 permission; 78 configuration, table or topic; 130 a "
        "second signal.\n\n"
        "example: commitrelay run -c relay.yaml",
    .run = run,
};
