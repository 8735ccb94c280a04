/*
 * `verify`: compares the rows of an outbox that were delivered with what lies in the topic, in the
 * batch files, or in a consumer's inbox. It reads the destination first, then the rows, because
 * what is delivered meanwhile may then be found too often, which a look into the table explains,
 * and never too seldom. Table changes are compared in another way: verify_changes.c.
 */
#include "cli/kit/args.h"
#include "cli/kit/interrupt.h"
#include "cli/replay_plan.h"
#include "cli/replay_source.h"
#include "cli/verify_changes.h"
#include "cli/verify_inbox.h"
#include "cli/verify_rows.h"
#include "cli/verify_show.h"
#include "cli/verify_table.h"
#include "cli/verify_target.h"
#include "config/conf_ask.h"
#include "daemon/assembly.h"
#include "daemon/registry.h"
#include "pipeline/formats.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Clocks of databases and brokers differ; what is a little too old is taken and judged later. */
static const int64_t SLACK_US = US_PER_SECOND, CLOCKS_US = 300 * US_PER_SECOND;
enum { REPAIR_IDS = 500 };

struct command {
    const char *file, *name;
    struct verify_target target;
    struct replay_words words; /* the range */
    int64_t most;
    bool json, repair, yes;
    bool expired; /* the destination has not everything any more: what is missing may be no loss */

    struct config *config;
    const struct conf_pipeline *p;
    struct cli_store store;
    struct replay_source source;
    struct source_range range;
    struct buf frontier;
    struct verify_table table;
    struct verify_topics read; /* the topics that were read */
    struct buf unread;         /* the first topic to which rows lead and that is not one of them */
    struct route *route;
    struct verify_sort *sort;
    struct verify_show show;
    struct verify_counts counts;
    struct cli_progress progress;
    int64_t copies;
    int stop_fd;
};

static void release(struct command *c)
{
    verify_target_release(&c->target);
    route_free(c->route);
    verify_sort_free(c->sort);
    verify_show_release(&c->show);
    replay_source_release(&c->source);
    cli_store_release(&c->store);
    cli_config_free(&c->config);
    verify_topics_release(&c->read);
    buf_release(&c->unread);
    buf_release(&c->frontier);
}

/* --- the destination --- */

static bool wants(void *ctx, struct slice topic)
{
    struct command *c = ctx;
    const char *letters = c->p->delivery.dead_letter_topic;
    bool ours = route_may_give(c->route, topic) && !(letters && slice_equal_str(topic, letters));
    if (ours) {
        verify_topics_add(&c->read, topic);
    }
    return ours;
}

static void note(void *ctx, const char *text)
{
    struct command *c = ctx;
    c->expired = true;
    cli_warning("%s", text);
}

/* Is it certainly not of the range? */
static bool is_left_out(const struct command *c, const struct sink_copy *copy)
{
    const struct source_range *r = &c->range;
    if (copy->created_us == TIME_NONE) {
        return copy->by_us != TIME_NONE && r->from_us != INT64_MIN &&
               copy->by_us < r->from_us - CLOCKS_US;
    }
    return (r->from_us != INT64_MIN && copy->created_us < r->from_us - SLACK_US) ||
           (r->to_us != INT64_MAX && copy->created_us > r->to_us + SLACK_US);
}

static int take_copy(void *ctx, const struct sink_copy *copy, struct error *err)
{
    struct command *c = ctx;
    char digest[VERIFY_DIGEST + 1];
    cli_progress(&c->progress, "verify: %" PRId64 " events found", ++c->copies);
    if (is_left_out(c, copy)) {
        c->counts.copies++;
        c->counts.outside++;
        return RESULT_DONE;
    }
    if (c->target.sink.ops) {
        verify_digest(&c->target.sink, copy->payload, digest);
    }
    bool late = copy->created_us == TIME_NONE;
    const struct verify_item item = {.id = copy->id.len ? copy->id : SLICE_NULL,
                                     .side = VERIFY_COPY,
                                     .digest = c->target.sink.ops ? slice_from(digest) : SLICE_NULL,
                                     .created_us = late ? copy->by_us : copy->created_us,
                                     .late = late,
                                     .replayed = copy->replayed,
                                     .number = (int64_t)copy->number};
    return verify_sort_add(c->sort, &item, copy->place, err);
}

static int read_destination(struct command *c, struct error *err)
{
    const struct sink_reading reading = {.at = c->target.folder,
                                         .from_us = c->range.from_us,
                                         .wants = wants,
                                         .take = take_copy,
                                         .note = note,
                                         .ctx = c};
    struct verify_inbox inbox = {.url = buf_str(&c->target.inbox_url),
                                 .consumer = c->target.consumer,
                                 .stop_fd = c->stop_fd};
    assembly_timeouts(c->p, &inbox.connect_timeout_us, &inbox.read_timeout_us);
    c->progress.next_us = clock_mono_us() + US_PER_SECOND;
    int rc = c->target.sink.ops ? c->target.sink.ops->read_back(c->target.sink.sink, &reading, err)
                                : verify_inbox_read(&inbox, &reading, err);
    cli_progress_end(&c->progress);
    return rc;
}

/* --- dead letters, and what waits behind them --- */

struct letters {
    struct command *c;
    struct error *err;
};

static int add_letter(const struct letters *l, struct slice id, int64_t edits)
{
    const struct verify_item item = {
        .id = id, .side = VERIFY_LETTER, .created_us = TIME_NONE, .number = edits};
    return id.len == 0 ? RESULT_DONE : verify_sort_add(l->c->sort, &item, NULL, l->err);
}

/* One that was sent again is delivered like any other; if it was edited, its payload is another. */
static int take_letter(void *ctx, const struct store_dead_letter *d)
{
    bool sent = strcmp(d->state, STORE_LETTER_RETRIED) == 0;
    return sent && d->edits == 0 ? RESULT_DONE : add_letter(ctx, d->event_id, d->edits);
}

static int take_waiting(void *ctx, struct slice id)
{
    return add_letter(ctx, id, 0);
}

static int take_removed(void *ctx, struct slice id, int64_t edits)
{
    return add_letter(ctx, id, edits);
}

static int read_letters(struct command *c, struct error *err)
{
    struct letters l = {c, err};
    const struct store_ops *ops = c->store.ops;
    const struct store_letter_pick all = {.bare = true};
    return ops->dead_letter_list(c->store.store, all, take_letter, &l, err) ||
                   ops->waiting_ids(c->store.store, take_waiting, &l, err) ||
                   ops->removed_letters(c->store.store, take_removed, &l, err)
               ? RESULT_ERROR
               : RESULT_DONE;
}

/* --- the rows --- */

static int find(void *ctx, const char *const *ids, size_t n, bool *ret_there, struct error *err)
{
    const struct command *c = ctx;
    return verify_table_find(&c->table, ids, n, ret_there, err);
}

static int removed(void *ctx, struct verify_removed *ret, struct error *err)
{
    const struct command *c = ctx;
    return verify_table_removed(&c->table, ret, err);
}

static int tell(void *ctx, const struct verify_difference *d, struct error *err)
{
    struct command *c = ctx;
    if (verify_show_difference(&c->show, d) == 0) {
        return RESULT_DONE;
    }
    return error_exit(err, ERROR_FATAL, EXIT_CODE_IO, "verify", "the differences cannot be shown");
}

static int ask_source(struct command *c, struct source_survey *ret, struct error *err)
{
    const struct cli_source *reads = &c->source.source;
    bool never_ran;
    if (replay_source_open(&c->source, c->p, c->stop_fd, err) ||
        replay_source_frontier(&c->source, &c->store, c->stop_fd, &c->frontier, &never_ran, err)) {
        return error_prefix(err, "the rows cannot be compared");
    }
    c->range.frontier = buf_str(&c->frontier);
    c->table =
        (struct verify_table){.reads = reads,
                              .store = &c->store,
                              .name = conf_ask_text(c->source.again.reads.source->keys,
                                                    c->source.again.reads.source_conf, "table"),
                              .frontier = c->range.frontier,
                              .never_ran = never_ran};
    if (reads->ops->survey(reads->source, &c->range, ret, err)) {
        return RESULT_ERROR;
    }
    return ret->untimed == 0
               ? RESULT_DONE
               : error_set(err, ERROR_CONFIG, "verify",
                           "%" PRId64 " rows have a created_at that cannot be read as a time; "
                           "give positions (--from-position, --to-position)",
                           ret->untimed);
}

/* A topic to which rows lead, and which was not among those that could be read, is gone, or hidden
 * from us: all its events would be called missing. */
static int check_topics(const struct command *c, struct error *err)
{
    const struct verify_sink *sink = &c->target.sink;
    const char *topic = buf_str(&c->unread);
    if (c->unread.len == 0) {
        return RESULT_DONE;
    }
    return sink->ops->find_topic(sink->sink, topic, err)
               ? RESULT_ERROR
               : error_set(err, ERROR_RETRY, "verify",
                           "topic %s was made while the others were read; run verify again", topic);
}

static int compare_changes(struct command *c, struct error *err)
{
    const struct verify_changes v = {.p = c->p,
                                     .store = &c->store,
                                     .target = &c->target,
                                     .route = c->route,
                                     .sort = c->sort,
                                     .tell = tell,
                                     .note = note,
                                     .ctx = c,
                                     .stop_fd = c->stop_fd};
    return verify_changes(&v, &c->counts, err);
}

static int compare(struct command *c, struct error *err)
{
    struct source_survey found;
    if (verify_sort_new(&c->sort, err)) {
        return RESULT_ERROR;
    }
    if (c->show.changes) {
        return compare_changes(c, err);
    }
    /* The letters first: one that is retried meanwhile counts as one, not as missing. */
    if (ask_source(c, &found, err) || read_letters(c, err) || read_destination(c, err) ||
        verify_rows(&c->source.again.reads, &c->range, &c->target.sink, found.count, c->stop_fd,
                    c->sort, &c->read, &c->unread, err) ||
        check_topics(c, err)) {
        return RESULT_ERROR;
    }
    const struct verify_judge judge = {.sort = c->sort,
                                       .range = &c->range,
                                       .find = find,
                                       .removed = removed,
                                       .tell = tell,
                                       .ctx = c,
                                       .stop_fd = c->stop_fd};
    return verify_judge(&judge, &c->counts, err);
}

/* --- repair --- */

/* One replay of some of the missing events. */
static int replay_some(const struct command *c, const char *ids, size_t count)
{
    const char *argv[2 * REPAIR_IDS + 8];
    int n = 0;
    argv[n++] = "replay";
    if (c->file) {
        argv[n++] = "-c";
        argv[n++] = c->file;
    }
    argv[n++] = "--pipeline";
    argv[n++] = c->p->name;
    for (size_t i = 0; i < count; i++, ids += strlen(ids) + 1) {
        argv[n++] = "--id";
        argv[n++] = ids;
    }
    argv[n] = NULL;
    return cli_replay.run(n, (char **)(uintptr_t)argv); /* getopt only moves the pointers */
}

static int repair(struct command *c)
{
    CLEANUP(buf_release) struct buf ids = {0};
    struct error err = {0};
    int64_t after = INT64_MIN;
    size_t count;
    int rc = 0;
    do {
        buf_clear(&ids);
        if (verify_sort_missing(c->sort, &after, REPAIR_IDS, &ids, &count, &err)) {
            return cli_fail(&err);
        }
        rc = count ? replay_some(c, buf_str(&ids), count) : 0;
    } while (rc == 0 && count == REPAIR_IDS);
    return rc;
}

/* --- the command --- */

/* Of table changes: the rows of the tables are compared, which have no time and no position. */
static int check_changes(const struct command *c)
{
    const struct replay_words *w = &c->words;
    struct error err = {0};
    if (!assembly_changes(c->p)) {
        return 0;
    }
    if (verify_changes_check(c->p, &err)) {
        return cli_fail(&err);
    }
    if (w->from_time || w->to_time || w->from_position || w->to_position) {
        return args_mistake(&cli_verify,
                            "pipeline %s relays table changes: all rows of its tables are "
                            "compared, because a row does not say when it was changed",
                            c->p->name);
    }
    if (verify_target_is_inbox(&c->target)) {
        return args_mistake(&cli_verify,
                            "pipeline %s relays table changes, and an inbox has only the ids of "
                            "events, which no row has; compare with the sink or with files, and "
                            "the consumer's table by SQL",
                            c->p->name);
    }
    if (c->repair) {
        return args_mistake(&cli_verify,
                            "pipeline %s relays table changes, which the server forgets once they "
                            "are delivered: --repair has nothing to send. `snapshot: always` sends "
                            "the tables' present rows at the next start",
                            c->p->name);
    }
    return 0;
}

static int check_repair(const struct command *c)
{
    const struct sink_ops *own = registry_sink(c->p->sink->name);
    if (c->repair != c->yes) {
        return args_mistake(&cli_verify, c->repair ? "--repair sends events again; add --yes"
                                                   : "--yes is for --repair");
    }
    if (c->repair && c->target.folder) {
        return args_mistake(&cli_verify, "--repair sends to the pipeline's own sink, so the "
                                         "comparison must be with it, or with an inbox");
    }
    if (c->repair && verify_target_is_inbox(&c->target) && !c->words.from_time &&
        !c->words.from_position) {
        return args_mistake(&cli_verify,
                            "old claims are removed from an inbox (prune --inbox), and a consumer "
                            "would handle their events again: --repair needs a beginning within "
                            "the time for which claims are kept (--from-time)");
    }
    if (c->repair && own->same_place) {
        return args_mistake(&cli_verify,
                            "--repair cannot add events to the folder of pipeline %s, which has "
                            "each event in exactly one file; send them into another one: "
                            "commitrelay replay --pipeline %s --id ID --sink %s",
                            c->p->name, c->p->name, own->url.shown);
    }
    return 0;
}

static int verify(struct command *c)
{
    struct error err = {0};
    c->stop_fd = interrupt_open();
    c->show.pipeline = c->p->name;
    c->show.json = c->json;
    c->show.most = c->most;
    c->show.changes = assembly_changes(c->p);
    if (formats_route_new(c->p, c->show.changes, &c->route, &err)) {
        return cli_fail(&err);
    }
    int rc = verify_target_open(&c->target, c->route, c->stop_fd);
    if (rc) {
        return rc;
    }
    c->show.against = buf_str(&c->target.shown);
    c->show.digests = !verify_target_is_inbox(&c->target);
    if (compare(c, &err)) {
        return cli_fail(&err);
    }
    rc = verify_show_summary(&c->show, &c->counts);
    if (rc == 0 && c->repair && c->counts.differences[VERIFY_MISSING] > 0) {
        rc = c->expired ? cli_error(EXIT_CODE_UNAVAILABLE,
                                    "--repair has sent nothing: some of what was delivered is not "
                                    "there any more (see above), so what is missing need not be "
                                    "lost; give a range that begins later (--from-time)")
                        : repair(c);
    }
    return rc ? rc : verify_show_total(&c->counts) > 0;
}

static int run(int argc, char **argv)
{
    CLEANUP(release)
    struct command c = {
        .words.command = &cli_verify, .target.command = &cli_verify, .most = 100, .stop_fd = -1};
    struct replay_words *w = &c.words;
    const struct args_option options[] = {
        {"config", 'c', ARGS_TEXT, &c.file, "FILE", ARGS_CONFIG_HELP, 0, 0},
        {"pipeline", 0, ARGS_TEXT, &c.name, "NAME",
         "which pipeline; may be left out if it is the only one", 0, 0},
        {"from-time", 0, ARGS_TEXT, &w->from_time, "T",
         "events with this created_at or a later one", 0, 0},
        {"to-time", 0, ARGS_TEXT, &w->to_time, "T", "events up to this created_at", 0, 0},
        {"from-position", 0, ARGS_TEXT, &w->from_position, "P",
         "the event at this position and later ones", 0, 0},
        {"to-position", 0, ARGS_TEXT, &w->to_position, "P", "events up to this position", 0, 0},
        {"against", 0, ARGS_TEXT, &c.target.against, "sink|inbox|FILE-DIR",
         "what to compare with; default the pipeline's sink", 0, 0},
        {"inbox", 0, ARGS_TEXT, &c.target.inbox, "URL",
         "the database of the inbox; default that of the outbox", 0, 0},
        {"consumer", 0, ARGS_TEXT, &c.target.consumer, "NAME", "whose inbox", 0, 0},
        {"json", 0, ARGS_FLAG, &c.json, NULL, "the result as JSON", 0, 0},
        {"show", 0, ARGS_INT, &c.most, "N", "show at most so many differences (default 100)", 0,
         100000},
        {"repair", 0, ARGS_FLAG, &c.repair, NULL, "send what is missing again, by `replay`", 0, 0},
        {"yes", 0, ARGS_FLAG, &c.yes, NULL, "needed for --repair", 0, 0},
        ARGS_END};
    int rc;
    if (!args_parse(&cli_verify, options, argc, argv, NULL, &rc)) {
        return rc;
    }
    rc = cli_load(c.file, &c.config);
    rc = rc ? rc : cli_pick(c.config, c.name, &c.p);
    rc = rc ? rc
            : cli_refuse_shards(c.p, "verify",
                                "`status` shows what each shard has pending, and its dead letters");
    rc = rc ? rc : replay_words_range(w, &c.range);
    rc = rc ? rc : check_changes(&c);
    rc = rc ? rc : verify_target_choose(&c.target, c.p);
    rc = rc ? rc : check_repair(&c);
    rc = rc ? rc : cli_store_open(&c.store, c.config, c.p);
    return rc ? rc : verify(&c);
}

const struct cli_command cli_verify = {
    .name = "verify",
    .summary = "compare an outbox, or tables, with what was sent",
    .usage =
        "[-c FILE] --pipeline NAME [--from-time T|--from-position P] [--to-time T|--to-position P]\n"
        "    [--against sink|inbox|FILE-DIR] [--inbox URL] [--consumer NAME] [--json] [--show N]\n"
        "    [--repair --yes]",
    .about =
        "Compares the delivered rows of the range with what lies in the pipeline's topics or batch "
        "files, in\nanother folder of batch files, or in a consumer's inbox: by event id, and by a "
        "digest of the payload.\nOf a pipeline of table changes: each row of its tables with its "
        "last event.\nPrints what is missing, extra, duplicated or different, and a "
        "summary. Memory is bounded; both sides\nare sorted in a temporary file (TMPDIR), about "
        "250 bytes an event. Nothing is locked, marked or\nmoved, and the daemon may run "
        "meanwhile. docs/VERIFY.md says what each word means.\n\n"
        "Exit codes: 0 equal; 1 they differ (also after --repair); 64 usage; 69 --repair "
        "cannot tell a\nloss from what has expired; 74 a file or disk; "
        "75 a server\ncannot be reached, or interrupted; 77 permission; 78 configuration, or rows "
        "that are not there any more.\n\n"
        "example: commitrelay verify -c relay.yaml --pipeline orders --from-time 24h",
    .run = run,
};
