/* `pause` and `resume`. A pause is kept in the store, so it lasts until `resume`, even if the
 * daemon is restarted in between. */
#include "cli/kit/args.h"
#include "cli/kit/order.h"
#include "daemon/membership.h"

static int apply(void *ctx, struct cli_store *s, struct store_position *at UNUSED,
                 struct cli_audit *audit, struct error *err)
{
    CLEANUP(buf_release) struct buf before = {0}, after = {0};
    const bool *paused = ctx;
    bool was;
    if (s->ops->get_paused(s->store, &was, err) || s->ops->set_paused(s->store, *paused, err)) {
        return RESULT_ERROR;
    }
    audit_yes(&before, "paused", was);
    audit_yes(&after, "paused", *paused);
    cli_audit_write(audit, *paused ? "pause" : "resume", s->env.pipeline, &before, &after);
    return RESULT_DONE;
}

/* Each shard of a divided pipeline has a pause of its own, which goes with it to another relay. */
static int give(const struct order *o, const struct conf_pipeline *p, const struct found_relay *f)
{
    int of = membership_shards(p), rc = 0;
    for (int i = 0; i < of && rc == 0; i++) {
        CLEANUP(cli_store_release) struct cli_store s = {0};
        char part[PART_SIZE];
        part_text((struct part){i, of}, part);
        rc = cli_store_open_part(&s, o->config, p, part);
        rc = rc ? rc : order_give(o, &s, f);
    }
    return rc;
}

static int run_either(const struct cli_command *command, bool paused, int argc, char **argv)
{
    const char *file = NULL, *name = NULL;
    const struct args_option options[] = {
        {"config", 'c', ARGS_TEXT, &file, "FILE", ARGS_CONFIG_HELP, 0, 0},
        {"pipeline", 0, ARGS_TEXT, &name, "NAME",
         "which pipeline; may be left out if it is the only one", 0, 0},
        ARGS_END};
    CLEANUP(cli_config_free) struct config *c = NULL;
    CLEANUP(find_relay_release) struct found_relay f = {0};
    const struct conf_pipeline *p;
    int rc;
    if (!args_parse(command, options, argc, argv, NULL, &rc)) {
        return rc;
    }
    rc = cli_load(file, &c);
    rc = rc ? rc : cli_pick(c, name, &p);
    rc = rc ? rc : find_relay(&f, c);
    if (rc) {
        return rc;
    }
    struct order o = {.config = c,
                      .command = paused ? STORE_PAUSE : STORE_RESUME,
                      .argument = "",
                      .apply = apply,
                      .ctx = &paused,
                      .done = paused ? "paused (no daemon runs it now)"
                                     : "resumed (no daemon runs it now)"};
    return give(&o, p, &f);
}

static int run_pause(int argc, char **argv)
{
    return run_either(&cli_pause, true, argc, argv);
}

static int run_resume(int argc, char **argv)
{
    return run_either(&cli_resume, false, argc, argv);
}

#define EXIT_CODES                                                                              \
    "Exit codes: 0 done; 64 usage; 74 the audit log cannot be written; 75 the daemon did not "  \
    "answer\nwithin 15 s (it will obey when it is back) or the database cannot be reached; 77 " \
    "permission;\n78 configuration.\n\n"

const struct cli_command cli_pause = {
    .name = "pause",
    .summary = "let a pipeline read nothing more until it is resumed",
    .usage = "[-c FILE] --pipeline NAME",
    .about =
        "Asks the running daemon, over its socket or through the store, and waits for its answer; "
        "without a\ndaemon the pause is stored, and holds when one starts. What is in flight is "
        "still delivered.\n\n" EXIT_CODES
        "example: commitrelay pause -c relay.yaml --pipeline orders",
    .run = run_pause,
};

const struct cli_command cli_resume = {
    .name = "resume",
    .summary = "let a paused or blocked pipeline go on",
    .usage = "[-c FILE] --pipeline NAME",
    .about = "Ends a pause. A pipeline that waits after a failure, or stands at a poison event, "
             "tries again\nat once.\n\n" EXIT_CODES
             "example: commitrelay resume -c relay.yaml --pipeline orders",
    .run = run_resume,
};
