/* `resend`: gives batch files that lie in their folder to upload targets once more. A relay may run
 * meanwhile: what its targets have accepted is not changed. */
#include "base/clock.h"
#include "cli/kit/args.h"
#include "cli/kit/cli_audit.h"
#include "cli/kit/when.h"
#include "daemon/registry.h"

struct command {
    const char *file, *name, *batch, *since, *target;
    int64_t from, to;
    struct config *config;
    const struct conf_pipeline *p;
};

static void release(struct command *c)
{
    cli_config_free(&c->config);
}

static void tell(void *ctx UNUSED, const char *file, const char *target)
{
    CLEANUP(buf_release) struct buf line = {0};
    buf_printf(&line, "%s: %s has it\n", file, target);
    (void)!cli_show(buf_slice(&line)); /* the files are what counts */
}

static int no_file(const struct command *c)
{
    return cli_error(EXIT_CODE_UNAVAILABLE,
                     "resend: no batch file of pipeline %s that lies in its folder fits; "
                     "what was removed can only be made anew, by `replay`",
                     c->p->name);
}

static void note(struct command *c, struct cli_audit *audit, size_t files, bool failed)
{
    CLEANUP(buf_release) struct buf after = {0};
    audit_text(&after, "by", c->batch ? "file" : c->since ? "time" : "number");
    audit_text(&after, "target", c->target ? c->target : "all");
    audit_number(&after, "files", (int64_t)files);
    audit_text(&after, "ended", failed ? "failed" : "whole");
    cli_audit_write(audit, "resend", c->p->name, NULL, &after);
}

static int resend(struct command *c, struct sink_resend *what)
{
    CLEANUP(cli_audit_release) struct cli_audit audit = {0};
    const struct sink_ops *ops = registry_sink(c->p->sink->name);
    const struct sink_env env = {.pipeline = c->p->name, .stop_fd = -1};
    struct error err;
    void *sink;
    size_t max_event, files = 0;
    if (!ops->resend) {
        return cli_error(EXIT_CODE_USAGE, "resend: the sink of pipeline %s makes no batch files",
                         c->p->name);
    }
    if (cli_audit_open(&audit, c->config, &err) ||
        ops->open(c->p->sink_conf, &env, &sink, &max_event, &err)) {
        return cli_fail(&err);
    }
    int rc = ops->resend(sink, what, &files, &err);
    ops->close(sink);
    note(c, &audit, files, rc != RESULT_DONE);
    return cli_audit_end(&audit, rc ? cli_fail(&err) : files ? 0 : no_file(c));
}

/* Exactly one way to say which files. */
static int choose(const struct command *c, struct sink_resend *ret)
{
    bool numbers = c->from > 0 || c->to > 0;
    if ((c->batch != NULL) + numbers + (c->since != NULL) != 1) {
        return args_mistake(&cli_resend,
                            "say which files: --file FILE, --from N with or without --to N, or "
                            "--since TIME");
    }
    ret->file = c->batch && strrchr(c->batch, '/') ? strrchr(c->batch, '/') + 1 : c->batch;
    ret->from = (uint64_t)c->from;
    ret->to = c->to > 0 ? (uint64_t)c->to : UINT64_MAX;
    ret->since_us = INT64_MIN;
    return c->since ? cli_when(&cli_resend, "since", c->since, &ret->since_us) : 0;
}

static int run(int argc, char **argv)
{
    CLEANUP(release) struct command c = {0};
    const struct args_option options[] = {
        {"config", 'c', ARGS_TEXT, &c.file, "FILE", ARGS_CONFIG_HELP, 0, 0},
        {"pipeline", 0, ARGS_TEXT, &c.name, "NAME",
         "whose files; may be left out if it is the only one", 0, 0},
        {"file", 0, ARGS_TEXT, &c.batch, "FILE", "this batch file", 0, 0},
        {"from", 0, ARGS_INT, &c.from, "N", "the files from delivery number N on", 1, INT64_MAX},
        {"to", 0, ARGS_INT, &c.to, "N", "and up to this number", 1, INT64_MAX},
        {"since", 0, ARGS_TEXT, &c.since, "TIME",
         "the files completed since then (RFC 3339, or 2h: so long ago)", 0, 0},
        {"target", 0, ARGS_TEXT, &c.target, "NAME",
         "only to this target; on_complete is the command's", 0, 0},
        ARGS_END};
    struct sink_resend what = {.told = tell};
    int rc;
    if (!args_parse(&cli_resend, options, argc, argv, NULL, &rc)) {
        return rc;
    }
    rc = choose(&c, &what);
    what.target = c.target;
    rc = rc ? rc : cli_load(c.file, &c.config);
    rc = rc ? rc : cli_pick(c.config, c.name, &c.p);
    return rc ? rc : resend(&c, &what);
}

const struct cli_command cli_resend = {
    .name = "resend",
    .summary = "send batch files to upload targets again",
    .usage = "[-c FILE] --pipeline NAME (--file FILE|--from N [--to N]|--since TIME) "
             "[--target NAME]",
    .about =
        "Sends files that lie in the folder of a pipeline once more, with their manifests, under the "
        "same\nnames, whether a target had them or not. What the relay knows of its targets stays as "
        "it is, and it\nmay run meanwhile. A file that lies unchanged at an SFTP target is not "
        "written again.\n\n"
        "Exit codes: 0 every target has all of them; 64 usage; 69 no such file is there; 74 a file "
        "cannot be\nread; 75 a target does not answer or does not take a file: repeat it; 78 "
        "configuration, or a target\nrefuses us.\n\n"
        "example: commitrelay resend -c relay.yaml --pipeline orders --since 2h --target partner",
    .run = run,
};
