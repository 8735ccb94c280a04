/* Writes commitrelay(1) and commitrelay.yaml(5). */
#include "cli/man_page.h"

#include "cli/kit/args.h"
#include "cli/kit/roff.h"
#include "daemon/registry.h"
#include "daemon/report.h"
#include "pipeline/state.h"

static void add_lines(struct buf *out, const char *const *lines)
{
    for (; *lines; lines++) {
        buf_add_str(out, *lines);
        buf_add_char(out, '\n');
    }
}

/* Left-adjusted and not hyphenated: a name or value stays as one types it. */
static void add_title(struct buf *out, const char *title, int section, const char *manual)
{
    buf_printf(out, ".TH %s %d \"\" \"commitrelay %s\" \"%s\"\n.ad l\n.nh\n", title, section,
               COMMITRELAY_VERSION, manual);
}

static void add_term(struct buf *out, const char *term, const char *meaning)
{
    buf_add_str(out, ".TP\n\\fB");
    roff_text(out, slice_from(term));
    buf_add_str(out, "\\fR\n");
    roff_text(out, slice_from(meaning));
    buf_add_char(out, '\n');
}

/* --- commitrelay(1) --- */

static void add_option(struct buf *out, const struct args_option *o)
{
    buf_add_str(out, ".TP\n\\fB");
    if (o->letter) {
        buf_printf(out, "\\-%c\\fR, \\fB", o->letter);
    }
    buf_add_str(out, "\\-\\-");
    roff_text(out, slice_from(o->name));
    buf_add_str(out, "\\fR");
    if (o->value) {
        buf_add_str(out, " \\fI");
        roff_text(out, slice_from(o->value));
        buf_add_str(out, "\\fR");
    }
    buf_add_char(out, '\n');
    roff_text(out, slice_from(o->help ? o->help : ""));
    buf_add_char(out, '\n');
}

/* The forms of the usage, one a line. */
static void add_usage(struct buf *out, const struct cli_command *command)
{
    buf_add_str(out, ".nf\n");
    for (const char *form = command->usage; form;) {
        size_t n = strcspn(form, "\n");
        buf_add_str(out, "\\fBcommitrelay ");
        roff_text(out, slice_from(command->name));
        buf_add_str(out, n > 0 ? "\\fR " : "\\fR");
        roff_text(out, (struct slice){form, n});
        buf_add_char(out, '\n');
        form = form[n] ? form + n + 1 : NULL;
    }
    buf_add_str(out, ".fi\n");
}

static void add_command(void *ctx, const struct cli_command *command,
                        const struct args_option *options, size_t count)
{
    struct buf *out = ctx;
    roff_heading(out, "SS", slice_from(command->name));
    add_usage(out, command);
    roff_paragraphs(out, command->about ? command->about : command->summary);
    for (size_t i = 0; i < count; i++) {
        add_option(out, &options[i]);
    }
}

static void add_surroundings(struct buf *out)
{
    buf_add_str(out, ".SH FILES\n");
    add_term(
        out, "/etc/commitrelay/relay.yaml",
        "the configuration that is taken where neither `-c` nor the environment names one; see "
        "commitrelay.yaml(5)");
    buf_add_str(out, ".SH ENVIRONMENT\n");
    add_term(out, "COMMITRELAY_CONFIG", "the configuration, where no `-c` is given");
    add_term(out, "COMMITRELAY_SOURCE",
             "the database, where no `--source` is given: a URL with a password belongs here and "
             "not on the command line");
    add_term(out, "STATE_DIRECTORY",
             "where relative paths of store, socket and audit log begin; systemd sets it");
}

void man_page_commands(struct buf *out, const struct cli_command *const *commands, size_t count)
{
    static const char *const head[] = {
        ".SH NAME",
        "commitrelay \\- relays what a database has committed",
        ".SH SYNOPSIS",
        "\\fBcommitrelay\\fR \\fICOMMAND\\fR [\\fIOPTION\\fR]...",
        ".br",
        "\\fBcommitrelay\\fR [\\fICOMMAND\\fR] \\fB\\-\\-help\\fR",
        ".SH DESCRIPTION",
        "An application writes its rows and, in the same transaction, an event into an outbox",
        "table. commitrelay runs beside the database and relays what is committed: outbox rows of",
        "PostgreSQL and SQLite, and the changes of any table of PostgreSQL.",
        "The configuration is one file, commitrelay.yaml(5).",
        NULL};
    static const char *const tail[] = {
        ".SH SEE ALSO", "\\fBcommitrelay.yaml\\fR(5), \\fBcommitrelay_inbox\\fR(3)", NULL};
    add_title(out, "COMMITRELAY", 1, "User Commands");
    add_lines(out, head);
    for (size_t i = 0; i < count; i++) {
        add_term(out, commands[i]->name, commands[i]->summary);
    }
    buf_add_str(out, ".SH COMMANDS\n");
    for (size_t i = 0; i < count; i++) {
        args_look(commands[i], add_command, out);
    }
    add_surroundings(out);
    CLEANUP(buf_release) struct buf part = {0};
    buf_add_str(&part, "## States\n\n");
    pipeline_state_reference(&part);
    buf_add_str(&part, "\n## Metrics\n\n");
    report_metrics_reference(&part);
    roff_markdown(out, buf_slice(&part));
    add_lines(out, tail);
}

/* --- commitrelay.yaml(5) --- */

void man_page_config(struct buf *out)
{
    static const char *const head[] = {
        ".SH NAME",
        "commitrelay.yaml \\- configuration of commitrelay",
        ".SH SYNOPSIS",
        ".nf",
        "/etc/commitrelay/relay.yaml",
        "/etc/commitrelay/\\fINAME\\fR.yaml (of the unit commitrelay@\\fINAME\\fR)",
        ".fi",
        ".SH DESCRIPTION",
        NULL};
    static const char *const tail[] = {
        ".SH EXAMPLES",
        "The folder \\fIexamples\\fR of the documentation (/usr/share/doc/commitrelay/examples in a",
        "package) has a file for each source and sink.",
        "\\fBcommitrelay check \\-\\-connect\\fR says whether all that a file names is there.",
        ".SH SEE ALSO",
        "\\fBcommitrelay\\fR(1)",
        NULL};
    CLEANUP(buf_release) struct buf reference = {0};
    config_reference(&reference, registry_conf_plugins());
    add_title(out, "COMMITRELAY.YAML", 5, "File Formats");
    add_lines(out, head);
    roff_markdown(out, buf_slice(&reference));
    add_lines(out, tail);
}
