/*
 * `replay`: sends events of an outbox table again, beside the running daemon. It asks the source
 * what is delivered and what lies in the range, writes a row into the store, and runs a pipeline
 * whose source reads that range and whose progress is that row.
 */
#include "base/log.h"
#include "cli/kit/args.h"
#include "cli/kit/cli_audit.h"
#include "cli/kit/interrupt.h"
#include "cli/kit/quick.h"
#include "cli/kit/shell_text.h"
#include "cli/replay_plan.h"
#include "cli/replay_resume.h"
#include "cli/replay_run.h"
#include "cli/replay_sink.h"
#include "cli/replay_source.h"
#include "daemon/assembly.h"
#include <stdio.h>

struct command {
    const char *file, *name, *replay_id;
    struct replay_words words;
    int64_t rate;
    bool dry_run, resume;

    struct config *config;
    const struct conf_pipeline *p;
    struct replay_sink sink;
    struct cli_store store;
    struct replay_source source;
    struct replay_plan plan;
    struct source_survey survey;
    struct cli_audit audit;
    bool nothing_stored; /* the pipeline has no cursor yet */
    int stop_fd;
};

static void release(struct command *c)
{
    replay_sink_release(&c->sink);
    replay_source_release(&c->source);
    cli_store_release(&c->store);
    cli_config_free(&c->config);
    replay_plan_release(&c->plan);
    cli_audit_release(&c->audit);
    args_list_release(&c->words.ids);
}

/* The options that name configuration and pipeline, and the sink. */
static void add_command(const struct command *c, struct buf *out)
{
    shell_add_command(out, "replay", c->config->file, c->p->name);
    buf_add_slice(out, buf_slice(&c->plan.sink));
    if (c->rate > 0) {
        buf_printf(out, " --rate %lld", (long long)c->rate);
    }
}

/* --- what is there --- */

static int ask_source(struct command *c, struct error *err)
{
    struct cli_source *reads = &c->source.source;
    if (replay_source_frontier(&c->source, &c->store, c->stop_fd, &c->plan.frontier,
                               &c->nothing_stored, err)) {
        return RESULT_ERROR;
    }
    c->plan.range.frontier = buf_str(&c->plan.frontier);
    return reads->ops->survey(reads->source, &c->plan.range, &c->survey, err);
}

static void add_there(const struct command *c, struct buf *out)
{
    const struct source_survey *s = &c->survey;
    if (s->count == 0) {
        buf_add_str(out, "0 events");
    } else {
        buf_printf(out, "%lld events, first %lld, last %lld", (long long)s->count,
                   (long long)s->first, (long long)s->last);
    }
    if (s->waiting > 0) {
        buf_printf(out,
                   "; %lld more lie in it that the pipeline has not delivered yet, and will itself",
                   (long long)s->waiting);
    }
}

/* Rows in front of the lowest one are gone, or never were: numbers that a rollback used up look the
 * same. */
static bool is_gone(const struct command *c)
{
    const struct source_range *r = &c->plan.range;
    const struct source_survey *s = &c->survey;
    if (r->ids_count) {
        return s->count + s->waiting < (int64_t)r->ids_count;
    }
    if (s->lowest == INT64_MAX) {
        return !c->nothing_stored && (r->from != INT64_MIN || r->from_us != INT64_MIN);
    }
    if (r->from_us != INT64_MIN) {
        return s->lowest > 1 && (s->lowest_us == TIME_NONE || s->lowest_us > r->from_us);
    }
    return r->from != INT64_MIN && s->lowest > r->from;
}

static int tell_gone(const struct command *c)
{
    CLEANUP(buf_release) struct buf there = {0}, command = {0};
    char lowest[24];
    struct replay_words from = c->words;
    snprintf(lowest, sizeof lowest, "%lld", (long long)c->survey.lowest);
    from.from_time = NULL;
    from.from_position = lowest;
    add_there(c, &there);
    add_command(c, &command);
    replay_words_add(&from, &command);
    if (c->plan.range.ids_count) {
        return cli_error(EXIT_CODE_UNAVAILABLE,
                         "%s%s is not in the table of pipeline %s: it was removed, or never "
                         "committed; the lowest position there is %s",
                         c->plan.range.ids_count > 1 ? "one of the events from " : "event ",
                         c->plan.range.ids[0], c->p->name,
                         c->survey.lowest == INT64_MAX ? "none: it is empty" : lowest);
    }
    if (c->survey.lowest == INT64_MAX) {
        return cli_error(EXIT_CODE_UNAVAILABLE,
                         "the rows of the range are gone: the table of pipeline %s is empty",
                         c->p->name);
    }
    return cli_error(
        EXIT_CODE_UNAVAILABLE,
        "rows of the range are gone: the lowest position in the table of pipeline %s is "
        "%s. There: %s. To send those: %s",
        c->p->name, lowest, buf_str(&there), buf_str(&command));
}

static int look(struct command *c)
{
    struct error err = {0};
    if (ask_source(c, &err)) {
        return cli_fail(&err);
    }
    c->plan.total = c->survey.count;
    if (c->survey.untimed > 0) {
        return cli_error(
            EXIT_CODE_CONFIG,
            "%lld rows have a created_at that cannot be read as a time, so a range by "
            "time would leave them out; give positions (--from-position, --to-position)",
            (long long)c->survey.untimed);
    }
    if (is_gone(c)) {
        return tell_gone(c);
    }
    if (c->plan.range.ids_count && c->survey.count == 0) {
        return cli_error(
            EXIT_CODE_GAVE_UP,
            "pipeline %s has not delivered event %s yet, and will itself: a replay must "
            "not overtake it",
            c->p->name, c->plan.range.ids[0]);
    }
    return 0;
}

/* --- the audit log --- */

/* What the range is given by; not the values, for a key may be part of a message. */
static const char *range_of(const struct source_range *r)
{
    return r->ids_count                                       ? "id"
           : r->key                                           ? "key"
           : r->from_us != INT64_MIN || r->to_us != INT64_MAX ? "time"
                                                              : "position";
}

static void note_start(struct command *c)
{
    CLEANUP(buf_release) struct buf after = {0};
    audit_text(&after, "replay", c->plan.id);
    audit_text(&after, "by", range_of(&c->plan.range));
    audit_number(&after, "events", c->plan.total);
    audit_yes(&after, "resumed", c->resume);
    cli_audit_write(&c->audit, "replay_start", c->p->name, NULL, &after);
}

/* It may have taken hours, in which the file was renamed. */
static void note_end(struct command *c, const struct replay_end *end, bool failed)
{
    CLEANUP(buf_release) struct buf before = {0}, after = {0};
    audit_rotate(c->audit.log);
    audit_text(&before, "replay", c->plan.id);
    audit_text(&after, "replay", c->plan.id);
    audit_text(&after, "ended", failed ? "failed" : end->interrupted ? "interrupted" : "whole");
    audit_number(&after, "delivered", (int64_t)end->status.delivered);
    audit_number(&after, "dead_letters", end->dead_letters);
    cli_audit_write(&c->audit, "replay_end", c->p->name, &before, &after);
}

/* --- sending --- */

static int begin(struct command *c)
{
    CLEANUP(buf_release) struct buf text = {0};
    struct error err = {0};
    int rc = replay_plan_name(&c->plan, &cli_replay, c->replay_id);
    if (rc) {
        return rc;
    }
    replay_plan_text(&c->plan, &text);
    return c->store.ops->replay_add(c->store.store, c->plan.id, buf_slice(&text), &err)
               ? cli_fail(&err)
               : 0;
}

/* It is still in the store, so it can go on. */
static int tell_unfinished(const struct command *c, const struct replay_end *end)
{
    CLEANUP(buf_release) struct buf command = {0};
    int code = end->exit_code ? end->exit_code : EXIT_CODE_GAVE_UP;
    add_command(c, &command);
    return cli_error(code,
                     "replay %s: %s after %llu of %lld events%s%s; to go on: %s --replay-id %s "
                     "--resume",
                     c->plan.id, end->exit_code ? "ended" : "interrupted",
                     (unsigned long long)end->status.delivered, (long long)c->plan.total,
                     end->exit_code && end->status.detail[0] ? ": " : "",
                     end->exit_code ? end->status.detail : "", buf_str(&command), c->plan.id);
}

/* Fewer than were counted: they are gone, or were gone through a second time (a dead letter that a
 * run before this one had passed already). */
static int check_whole(struct command *c, const struct replay_end *end)
{
    struct error err = {0};
    int64_t sent = (int64_t)end->status.delivered + end->dead_letters + end->left_out;
    if (sent >= c->plan.total) {
        return 0;
    }
    const struct cli_source *reads = &c->source.source;
    if (reads->ops->survey(reads->source, &c->plan.range, &c->survey, &err)) {
        return cli_fail(&err);
    }
    if (c->survey.count >= c->plan.total) {
        return 0;
    }
    CLEANUP(buf_release) struct buf there = {0};
    add_there(c, &there);
    return cli_error(EXIT_CODE_UNAVAILABLE,
                     "replay %s: rows of the range were removed while it ran: %lld of %lld events "
                     "were sent; now there: %s",
                     c->plan.id, (long long)sent, (long long)c->plan.total, buf_str(&there));
}

static int finish(struct command *c, const struct replay_end *end)
{
    struct error err = {0};
    if (end->exit_code || end->interrupted) {
        return tell_unfinished(c, end);
    }
    int rc = check_whole(c, end);
    if (c->store.ops->replay_end(c->store.store, c->plan.id, &err)) {
        return cli_fail(&err);
    }
    if (rc == 0) {
        fprintf(stderr, "replay %s: sent %llu events", c->plan.id,
                (unsigned long long)end->status.delivered);
        if (end->dead_letters > 0) {
            fprintf(stderr, ", %lld became dead letters", (long long)end->dead_letters);
        }
        if (end->left_out > 0) {
            fprintf(stderr, ", left out %lld that have a dead letter or wait behind one",
                    (long long)end->left_out);
        }
        fputs("\n", stderr);
    }
    return rc;
}

static int send_events(struct command *c)
{
    CLEANUP(buf_release) struct buf url = {0};
    struct error err = {0};
    struct replay_end end = {0};
    struct pipeline_replay replay = {.id = c->plan.id, .range = c->plan.range, .rate = c->rate};
    struct pipeline_parts parts;
    struct conf_pipeline *changed = replay_sink_pipeline(&c->sink, c->plan.id);
    changed->source = c->source.again.reads.source;
    changed->source_conf = c->source.again.reads.source_conf;
    assembly_parts(&parts, &url, c->config, changed);
    parts.store = c->store.ops; /* the row is kept with the pipeline's own state */
    parts.store_env = c->store.env;
    parts.store_env.observe = false;
    parts.until_idle = true;
    parts.replay = &replay;
    log_configure((enum log_level)c->config->log.level, (enum log_format)c->config->log.format);
    fprintf(stderr, "replay %s: sends %lld events%s\n", c->plan.id, (long long)c->plan.total,
            c->resume ? ", goes on" : "");
    note_start(c);
    bool failed = replay_run(&parts, c->plan.total, c->stop_fd, &end, &err);
    note_end(c, &end, failed || end.exit_code);
    if (failed) {
        struct error ignored;
        if (!c->resume) { /* it never began, so there is nothing to go on with */
            (void)!c->store.ops->replay_end(c->store.store, c->plan.id, &ignored);
        }
        return cli_fail(&err);
    }
    return cli_audit_end(&c->audit, finish(c, &end));
}

/* --- the command --- */

static int replay(struct command *c)
{
    CLEANUP(buf_release) struct buf out = {0};
    struct error err = {0};
    if (replay_source_open(&c->source, c->p, c->stop_fd, &err)) {
        return cli_fail(&err);
    }
    int rc = c->resume ? replay_resume_find(&c->store, &c->words, c->replay_id, &c->plan) : look(c);
    if (rc) {
        return rc;
    }
    if (!c->resume && (c->dry_run || c->survey.count == 0)) {
        buf_printf(&out, "%s: ", c->p->name);
        add_there(c, &out);
        buf_add_str(&out, c->dry_run ? "\n" : "; nothing to send\n");
        if (c->dry_run) {
            return cli_show(buf_slice(&out));
        }
        fputs(buf_str(&out), stderr); /* stdout may be the sink */
        return 0;
    }
    if (cli_audit_open(&c->audit, c->config, &err)) {
        return cli_fail(&err);
    }
    rc = c->resume ? 0 : begin(c);
    return rc ? rc : send_events(c);
}

static int check_words(const struct command *c)
{
    if (c->resume && c->dry_run) {
        return args_mistake(&cli_replay, "--dry-run sends nothing, so there is nothing to resume");
    }
    return 0;
}

static int run(int argc, char **argv)
{
    CLEANUP(release) struct command c = {.words.command = &cli_replay, .stop_fd = -1};
    struct replay_words *w = &c.words;
    const struct args_option options[] = {
        {"config", 'c', ARGS_TEXT, &c.file, "FILE", ARGS_CONFIG_HELP, 0, 0},
        {"pipeline", 0, ARGS_TEXT, &c.name, "NAME",
         "which pipeline; may be left out if it is the only one", 0, 0},
        {"from-time", 0, ARGS_TEXT, &w->from_time, "T",
         "events with this created_at or a later one", 0, 0},
        {"from-position", 0, ARGS_TEXT, &w->from_position, "P",
         "the event at this position and later ones; or `beginning`", 0, 0},
        {"to-time", 0, ARGS_TEXT, &w->to_time, "T", "events up to this created_at", 0, 0},
        {"to-position", 0, ARGS_TEXT, &w->to_position, "P", "events up to this position", 0, 0},
        {"id", 0, ARGS_LIST, &w->ids, "ID", "this event; may be given several times", 0, 0},
        {"key", 0, ARGS_TEXT, &w->key, "K", "only events of this aggregateid", 0, 0},
        {"sink", 0, ARGS_TEXT, &w->sink, "URL", quick_sinks(" or "), 0, 0},
        {"sink-config", 0, ARGS_TEXT, &w->sink_config, "FILE",
         "a file with the key `sink`, as in a pipeline", 0, 0},
        {"rate", 0, ARGS_INT, &c.rate, "N", "at most so many events per second", 1, 100000000},
        {"dry-run", 0, ARGS_FLAG, &c.dry_run, NULL, "only print count, first and last", 0, 0},
        {"resume", 0, ARGS_FLAG, &c.resume, NULL, "go on with a replay that was interrupted", 0, 0},
        {"replay-id", 0, ARGS_TEXT, &c.replay_id, "ID",
         "the id of the replay; default: made of the time", 0, 0},
        ARGS_END};
    int rc;
    if (!args_parse(&cli_replay, options, argc, argv, NULL, &rc)) {
        return rc;
    }
    bool bare = c.resume && !replay_words_any(w);
    rc = check_words(&c);
    rc = rc ? rc : cli_load(c.file, &c.config);
    rc = rc ? rc : cli_pick(c.config, c.name, &c.p);
    rc = rc ? rc
            : cli_refuse_shards(
                  c.p, "replay",
                  "an undivided pipeline of another name on the same table sends its rows again");
    rc = rc ? rc : bare ? replay_plan_sink(&c.plan, w) : replay_plan_read(&c.plan, w);
    rc = rc || c.dry_run ? rc : replay_sink_choose(&c.sink, c.p, w);
    rc = rc ? rc : cli_store_open(&c.store, c.config, c.p);
    if (rc) {
        return rc;
    }
    c.stop_fd = interrupt_open();
    return replay(&c);
}

const struct cli_command cli_replay = {
    .name = "replay",
    .summary = "send events of an outbox table again",
    .usage =
        "[-c FILE] --pipeline NAME (--from-time T|--from-position P|--id ID...|--key K)\n"
        "    [--to-time T|--to-position P] [--sink URL|--sink-config FILE] [--rate N] [--dry-run]\n"
        "[-c FILE] --pipeline NAME --resume [--replay-id ID] [--sink URL|--sink-config FILE]",
    .about =
        "Sends what lies in the range and was delivered before, in the order of seq, with the same "
        "ids and\npayloads and one more header, `replayed: ID`: to the pipeline's own sink, or to "
        "another one. The daemon\nmay run meanwhile: its position is not touched, and what it has "
        "not delivered yet is not sent.\nT is a time (2026-11-21T10:00:00Z) or a duration ago (2h) "
        "and means created_at; both ends of the\nrange belong to it. For outbox tables in mode "
        "position or status; what others can give back is in\ndocs/REPLAY.md.\n\n"
        "How far it is lies in the store: a replay that was interrupted or killed goes on with "
        "--resume, and\nsends again only what was not saved.\n\n"
        "Exit codes: 0 sent; 64 usage; 69 rows of the range are gone (says what is there); 74 the "
        "audit log\ncannot be written; 75 interrupted, or gave up after a failure (says how to go "
        "on); 77 permission; 78\nconfiguration, or nothing that can be sent again.\n\n"
        "example: commitrelay replay -c relay.yaml --pipeline orders --from-time 2h --dry-run",
    .run = run,
};
