/* `position`: shows or sets a pipeline's position. The position is set only by the holder of the
 * pipeline's lock, and the command says first what that will change. */
#include "base/clock.h"
#include "cli/columns.h"
#include "cli/kit/args.h"
#include "cli/kit/json_text.h"
#include "cli/kit/order.h"
#include "cli/kit/shell_text.h"
#include "cli/kit/source_open.h"
#include "cli/kit/when.h"
#include "cli/position_forget.h"
#include "cli/position_history.h"
#include "config/conf_suggest.h"
#include "contract/sink.h"
#include "daemon/membership.h"
#include "daemon/registry.h"
#include "pipeline/plugin_env.h"
#include <string.h>

struct command {
    const char *file, *name, *time, *since;
    bool yes, json, dead_letters;
    struct config *config;
    const struct conf_pipeline *p;
    struct found_relay relay;
    struct cli_store store;
    struct cli_source source;
    struct store_position at;
    struct buf target;       /* cursor */
    struct cli_audit *audit; /* while the position is set */
};

static void release(struct command *c)
{
    find_relay_release(&c->relay);
    cli_store_release(&c->store);
    cli_source_release(&c->source);
    cli_config_free(&c->config);
    buf_release(&c->at.cursor);
    buf_release(&c->target);
}

/* --- show --- */

/* Adds a position for people. `word`: what the operator typed, for example "now", which tells more
 * than the position it stands for; NULL: nothing was typed. The cursor itself is printed with
 * --json only. */
static void add_place(struct buf *out, const struct source_ops *ops, struct slice cursor,
                      const char *word)
{
    CLEANUP(buf_release) struct buf where = {0};
    cli_source_describe(ops, cursor, &where);
    bool end = word && (strcmp(word, "beginning") == 0 || strcmp(word, "now") == 0);
    if (cursor.len == 0) {
        buf_add_str(out, "nothing stored yet");
    } else if (end && strcmp(word, buf_str(&where)) != 0) {
        buf_printf(out, "%s (%s)", word, buf_str(&where));
    } else {
        buf_add_slice(out, buf_slice(&where));
    }
}

static void add_position(struct buf *out, const char *label, const struct source_ops *ops,
                         struct slice cursor, const char *word)
{
    buf_printf(out, "%-11s ", label);
    add_place(out, ops, cursor, word);
    buf_add_char(out, '\n');
}

static int show_json(struct command *c)
{
    CLEANUP(buf_release) struct buf where = {0};
    cli_source_describe(c->source.ops, buf_slice(&c->at.cursor), &where);
    json_t *j = json_object();
    json_object_set_new(j, "pipeline", json_string(c->p->name));
    if (*c->store.env.part) {
        json_object_set_new(j, "part", json_string(c->store.env.part));
    }
    json_object_set_new(j, "position", json_text_or_null(buf_str(&where)));
    json_object_set_new(j, "cursor", json_text_or_null(buf_str(&c->at.cursor)));
    json_object_set_new(j, "delivered", json_integer((json_int_t)c->at.delivered));
    json_object_set_new(j, "epoch", json_integer(c->at.epoch));
    json_object_set_new(j, "saved_at", json_time(c->at.saved_at_us));
    json_object_set_new(j, "store", json_text(buf_slice(&c->store.shown)));
    json_object_set_new(j, "locked", json_boolean(c->at.locked));
    json_object_set_new(j, "lock_holder", json_text_or_null(c->at.holder));
    return json_print(j);
}

static int show(struct command *c)
{
    if (c->json) {
        return show_json(c);
    }
    CLEANUP(buf_release) struct buf out = {0};
    char saved[CLOCK_RFC3339_SIZE] = "never";
    if (c->at.saved_at_us != TIME_NONE) {
        clock_format_rfc3339(c->at.saved_at_us, saved);
    }
    add_position(&out, "position", c->source.ops, buf_slice(&c->at.cursor), NULL);
    buf_printf(&out, "%-11s %llu\n%-11s %lld\n%-11s %s\n%-11s %s%s\n%-11s %s%s\n", "delivered",
               (unsigned long long)c->at.delivered, "epoch", (long long)c->at.epoch, "saved", saved,
               "lock", c->at.locked ? "held by " : "free: no relay runs it", c->at.holder, "store",
               buf_str(&c->store.shown), c->at.absent ? " (nothing there yet)" : "");
    return cli_show(buf_slice(&out));
}

/* --- set --- */

static int save_and_wait(struct cli_store *s, struct slice cursor, uint64_t delivered,
                         struct error *err)
{
    int rc = s->ops->save(s->store, cursor, delivered, err);
    while (rc == RESULT_DONE && (rc = s->ops->saved(s->store, err)) == RESULT_AGAIN) {
        struct poll_set set;
        poll_set_clear(&set);
        s->ops->poll_fds(s->store, &set);
        poll_set_deadline(&set, clock_mono_us() + US_PER_SECOND);
        poll_set_wait(&set);
        rc = RESULT_DONE;
    }
    return rc;
}

/* The batch was a dead letter that was sent again, or what waited behind one. */
static int note_dead_letter(const struct command *c, const struct sink_recovery *r,
                            struct error *err)
{
    const struct cli_store *s = &c->store;
    CLEANUP(buf_release) struct buf before = {0}, after = {0};
    bool done = false;
    int64_t removed;
    if (r->dead_letter != 0 &&
        (s->ops->dead_letter_close(s->store, r->dead_letter, STORE_LETTER_RETRIED, -1,
                                   clock_wall_us(), &done, err) ||
         s->ops->waiting_sent(s->store, 0, r->dead_letter, &removed, err))) {
        return RESULT_ERROR;
    }
    if (done) {
        audit_letter(&before, r->dead_letter, STORE_LETTER_OPEN);
        audit_letter(&after, r->dead_letter, STORE_LETTER_RETRIED);
        cli_audit_write(c->audit, "dead_letter_retry", c->p->name, &before, &after);
    }
    return RESULT_DONE;
}

/* A sink that asks a server may need some rounds. */
static int recover(const struct sink_ops *ops, void *sink, const struct sink_stored *stored,
                   struct sink_recovery *ret, struct error *err)
{
    int rc;
    while ((rc = ops->recover(sink, stored, ret, err)) == RESULT_AGAIN) {
        struct poll_set set;
        poll_set_clear(&set);
        poll_set_deadline(&set, clock_mono_us() + 100 * US_PER_MS);
        ops->poll_fds(sink, &set);
        poll_set_wait(&set);
    }
    return rc;
}

/* Deals first with a commit of the sink that is in place although its cursor was not saved: the
 * next start would recover it and set the cursor to its end, and the new position would be lost.
 * Its delivery numbers are used and must not be given again. */
static int settle_sink(const struct command *c, const struct sink_ops *ops, void *sink,
                       const struct store_position *at, uint64_t *delivered, struct error *err)
{
    struct sink_stored stored = {.delivered = *delivered, .origin = at->origin, .epoch = at->epoch};
    struct sink_recovery r = {0};
    arena_init(&r.arena);
    int rc = recover(ops, sink, &stored, &r, err);
    if (rc == RESULT_DONE && r.delivered > *delivered && r.keys_count > 0) {
        rc = error_set(
            err, ERROR_CONFIG, "position",
            "pipeline %s was interrupted after a batch was in place and before its rows were marked; run it once (`commitrelay run ... --until-idle`), which marks them, then set the position",
            c->p->name);
    } else if (rc == RESULT_DONE && r.delivered > *delivered) {
        *delivered = r.delivered;
        rc = note_dead_letter(c, &r, err);
    }
    buf_release(&r.cursor);
    buf_release(&r.last_position);
    buf_release(&r.last_id);
    arena_release(&r.arena);
    return rc;
}

static int save_behind_sink(struct command *c, struct cli_store *s, struct store_position *at,
                            struct error *err)
{
    const struct sink_ops *ops = registry_sink(c->p->sink->name);
    uint64_t delivered = at->delivered;
    if (!(ops->caps & SINK_COMMITS) && !ops->caps_now) {
        return save_and_wait(s, buf_slice(&c->target), delivered, err);
    }
    struct sink_env env;
    void *sink = NULL;
    size_t max_event;
    plugin_env_sink(&env, c->p, c->source.route);
    int rc = ops->open(c->p->sink_conf, &env, &sink, &max_event, err);
    bool commits = sink && (sink_caps(ops, sink) & SINK_COMMITS);
    if (rc == RESULT_DONE && commits) {
        rc = settle_sink(c, ops, sink, at, &delivered, err);
    }
    if (rc == RESULT_DONE) {
        rc = save_and_wait(s, buf_slice(&c->target), delivered, err);
    }
    if (rc == RESULT_DONE && commits) {
        ops->recovered(sink);
    }
    if (sink) {
        ops->close(sink);
    }
    return rc;
}

static void add_fact(struct buf *facts, const struct command *c, struct slice cursor)
{
    CLEANUP(buf_release) struct buf where = {0};
    if (cursor.len > 0 && c->source.ops->describe) {
        c->source.ops->describe(cursor, &where);
    }
    audit_text(facts, "position", where.len > 0 ? buf_str(&where) : "nothing stored yet");
}

static int apply(void *ctx, struct cli_store *s, struct store_position *at, struct cli_audit *audit,
                 struct error *err)
{
    CLEANUP(buf_release) struct buf before = {0}, after = {0};
    struct command *c = ctx;
    c->audit = audit;
    if (save_behind_sink(c, s, at, err)) {
        return RESULT_ERROR;
    }
    add_fact(&before, c, buf_slice(&at->cursor));
    add_fact(&after, c, buf_slice(&c->target));
    cli_audit_write(audit, "position_set", c->p->name, &before, &after);
    return RESULT_DONE;
}

/* Without --yes: what it would do, and the command that does it. */
static int print_change(const struct command *c, const char *position)
{
    CLEANUP(buf_release) struct buf out = {0}, command = {0};
    bool same = slice_equal(buf_slice(&c->at.cursor), buf_slice(&c->target));
    buf_printf(&out, "%s: would change%s: from ", c->p->name, same ? " nothing" : "");
    add_place(&out, c->source.ops, buf_slice(&c->at.cursor), NULL);
    buf_add_str(&out, " to ");
    add_place(&out, c->source.ops, buf_slice(&c->target), position);
    buf_printf(&out, "\nstore: %s\n", buf_str(&c->store.shown));
    buf_add_str(&out, "Nothing was changed. Set back, events between the two are sent again; set "
                      "forward, never. To do it:\n");
    shell_add_command(&command, "position set", c->config->file, c->p->name);
    buf_add_str(&command, c->time ? " --time " : " ");
    shell_add_word(&command, c->time ? position + sizeof STORE_AT_TIME - 1 : position);
    buf_add_str(&command, " --yes");
    columns_command(&out, 4, buf_slice(&command));
    return cli_show(buf_slice(&out));
}

static int set(struct command *c, const char *position)
{
    CLEANUP(buf_release) struct buf out = {0};
    if (!c->yes) {
        return print_change(c, position);
    }
    add_position(&out, "before", c->source.ops, buf_slice(&c->at.cursor), NULL);
    add_position(&out, "after", c->source.ops, buf_slice(&c->target), position);
    struct order o = {.config = c->config,
                      .command = STORE_SET_POSITION,
                      .argument = position,
                      .apply = apply,
                      .ctx = c,
                      .done = "position set (no daemon runs it now)"};
    int rc = cli_show(buf_slice(&out));
    return rc ? rc : order_give(&o, &c->store, &c->relay);
}

static int set_to_position(struct command *c, const char *position)
{
    struct error err = {0};
    if (c->source.ops->position(c->source.source, position, &c->target, &err)) {
        return cli_fail(&err);
    }
    return set(c, position);
}

/* The daemon is told the time of the line that was found, so that both take the same one. */
static int set_to_time(struct command *c)
{
    char argument[sizeof STORE_AT_TIME + CLOCK_RFC3339_SIZE] = STORE_AT_TIME;
    struct error err = {0};
    int64_t at_us, found_us;
    int rc = cli_when(&cli_position, "time", c->time, &at_us);
    rc = rc ? rc : position_history_find(&c->store, c->p->name, at_us, &c->target, &found_us);
    if (rc) {
        return rc;
    }
    if (!c->source.ops->resumes) {
        return cli_error(EXIT_CODE_CONFIG, "a source of type %s has no positions to go back to",
                         c->source.ops->name);
    }
    if (c->source.ops->resumes(c->source.source, buf_slice(&c->target), &err)) {
        return cli_fail(&err);
    }
    clock_format_rfc3339(found_us, argument + sizeof STORE_AT_TIME - 1);
    return set(c, argument);
}

static int show_history(struct command *c)
{
    int64_t since_us;
    int rc = cli_when(&cli_position, "since", c->since ? c->since : "7d", &since_us);
    return rc ? rc : position_history(&c->store, c->source.ops, since_us, c->json);
}

/* --- all --- */

enum verb { SHOW, SET, HISTORY, FORGET, VERBS };
static const char *const verbs[] = {
    [SHOW] = "show", [SET] = "set", [HISTORY] = "history", [FORGET] = "forget"};

static int find_verb(const struct args_rest *rest, enum verb *ret)
{
    CLEANUP(buf_release) struct buf hint = {0};
    if (rest->count == 0) {
        return args_mistake(&cli_position, "say show, set, history or forget");
    }
    for (*ret = SHOW; *ret < VERBS; (*ret)++) {
        if (strcmp(rest->items[0], verbs[*ret]) == 0) {
            return 0;
        }
    }
    suggest_add(&hint, slice_from(rest->items[0]), "say", verbs, VERBS);
    return args_mistake(&cli_position, "unknown word \"%s\"%s", rest->items[0], buf_str(&hint));
}

static int check_words(const struct command *c, enum verb verb, const struct args_rest *rest)
{
    const struct {
        bool given;
        const char *option;
        bool with[VERBS];
    } options[] = {{c->json, "--json", {[SHOW] = true, [HISTORY] = true}},
                   {c->yes, "--yes", {[SET] = true, [FORGET] = true}},
                   {c->time, "--time", {[SET] = true}},
                   {c->since, "--since", {[HISTORY] = true}},
                   {c->dead_letters, "--dead-letters", {[FORGET] = true}}};
    size_t most = verb == SET && !c->time ? 2 : 1;
    if (rest->count > most) {
        return args_mistake(&cli_position, "\"%s\" is one word too many", rest->items[most]);
    }
    if (rest->count < most) {
        return args_mistake(&cli_position,
                            "set needs a position: beginning, now or an event's; or --time");
    }
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        if (options[i].given && !options[i].with[verb]) {
            return args_mistake(&cli_position, "%s does not go with %s", options[i].option,
                                verbs[verb]);
        }
    }
    return 0;
}

static int open_all(struct command *c, const char *part)
{
    struct error err = {0};
    int rc = cli_store_open_part(&c->store, c->config, c->p, part);
    if (rc) {
        return rc;
    }
    if (cli_source_open(&c->source, c->p, 0, -1, &err)) {
        return cli_fail(&err);
    }
    c->source.env.observe = false; /* what it answers is for the relay, not for looking */
    return found_observe(&c->relay, &c->store, &c->at, &err) ? cli_fail(&err) : 0;
}

static int obey_part(struct command *c, enum verb verb, const struct args_rest *rest,
                     const char *part)
{
    int rc = open_all(c, part);
    if (rc) {
        return rc;
    }
    switch (verb) {
    case SET:
        return c->time ? set_to_time(c) : set_to_position(c, rest->items[1]);
    case HISTORY:
        return show_history(c);
    case SHOW:
    case FORGET:
    case VERBS:
        break;
    }
    return show(c);
}

static void close_all(struct command *c)
{
    cli_store_release(&c->store);
    cli_source_release(&c->source);
    buf_release(&c->at.cursor);
    buf_release(&c->target);
    c->at = (struct store_position){0};
}

/* Each shard of a divided pipeline has a position of its own. */
static int obey(struct command *c, enum verb verb, const struct args_rest *rest)
{
    if (verb == FORGET) { /* a retired pipeline may be in the file no more */
        return position_forget(c->config, &c->relay, c->name, c->yes, c->dead_letters);
    }
    int rc = cli_pick(c->config, c->name, &c->p);
    int of = rc ? 0 : membership_shards(c->p);
    for (int i = 0; i < of && rc == 0; i++) {
        CLEANUP(buf_release) struct buf title = {0};
        char part[PART_SIZE];
        part_text((struct part){i, of}, part);
        if (*part && !c->json) {
            buf_printf(&title, "%s %s\n", c->p->name, part);
            rc = cli_show(buf_slice(&title));
        }
        rc = rc ? rc : obey_part(c, verb, rest, part);
        close_all(c);
    }
    return rc;
}

static int run(int argc, char **argv)
{
    CLEANUP(release) struct command c = {0};
    const struct args_option options[] = {
        {"config", 'c', ARGS_TEXT, &c.file, "FILE", ARGS_CONFIG_HELP, 0, 0},
        {"pipeline", 0, ARGS_TEXT, &c.name, "NAME",
         "which pipeline; may be left out if it is the only one", 0, 0},
        {"time", 0, ARGS_TEXT, &c.time, "T",
         "set: where it stood then; RFC 3339, or a duration ago (2h)", 0, 0},
        {"since", 0, ARGS_TEXT, &c.since, "T", "history: from then on (default 7d)", 0, 0},
        {"dead-letters", 0, ARGS_FLAG, &c.dead_letters, NULL,
         "forget: although there are dead letters, which go too", 0, 0},
        {"yes", 0, ARGS_FLAG, &c.yes, NULL, "set, forget: do it", 0, 0},
        {"json", 0, ARGS_FLAG, &c.json, NULL, "show, history: for programs", 0, 0},
        ARGS_END};
    struct args_rest rest;
    enum verb verb = SHOW;
    int rc;
    if (!args_parse(&cli_position, options, argc, argv, &rest, &rc)) {
        return rc;
    }
    rc = find_verb(&rest, &verb);
    rc = rc ? rc : check_words(&c, verb, &rest);
    rc = rc ? rc : cli_load(c.file, &c.config);
    rc = rc ? rc : find_relay(&c.relay, c.config);
    return rc ? rc : obey(&c, verb, &rest);
}

const struct cli_command cli_position = {
    .name = "position",
    .summary = "look at the stored cursor of a pipeline, or move it",
    .usage = "show [-c FILE] --pipeline NAME [--json]\n"
             "set [-c FILE] --pipeline NAME (beginning|now|POSITION|--time T) [--yes]\n"
             "history [-c FILE] --pipeline NAME [--since T] [--json]\n"
             "forget [-c FILE] --pipeline NAME [--dead-letters] [--yes]",
    .about =
        "set: events after POSITION are sent next. Without --yes it says what would change "
        "and changes\nnothing. A running daemon is asked and obeys once all it has in flight "
        "is settled; without one\nthe command takes the pipeline's lock and does it itself.\n"
        "POSITION is the `position` of an event: a number, or of a change stream LSN:ordinal "
        "or an LSN;\n`beginning` of a change stream is where its slot stands.\n\n"
        "Exit codes: 0 done, or said what would change; 64 usage; 69 what is stored is of another "
        "database or\ngone from it; 74 the audit log cannot be written; 75 the daemon did not answer "
        "within 15 s (it will\nobey when it is back) or the database cannot be reached; 77 "
        "permission; 78 no such position,\nconfiguration.\n\n"
        "example: commitrelay position set -c relay.yaml --pipeline orders beginning --yes",
    .run = run,
};
