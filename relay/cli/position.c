/* `position`: shows or sets a pipeline's position. The position is set only by the holder of the
 * pipeline's lock, and the command says first what that will change. */
#include "cli/columns.h"
#include "cli/kit/args.h"
#include "cli/kit/json_text.h"
#include "cli/kit/order.h"
#include "cli/kit/source_open.h"
#include "config/conf_suggest.h"
#include "contract/sink.h"
#include "daemon/registry.h"
#include "pipeline/plugin_env.h"

struct command {
    const char *file, *name;
    bool yes, json;
    struct config *config;
    const struct conf_pipeline *p;
    struct found_relay relay;
    struct cli_store store;
    struct cli_source source;
    struct store_position at;
    struct buf target; /* cursor */
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

/* Deals first with a commit of the sink that is in place although its cursor was not saved: the
 * next start would recover it and set the cursor to its end, and the new position would be lost.
 * Its delivery numbers are used and must not be given again. */
static int settle_sink(const struct command *c, const struct sink_ops *ops, void *sink,
                       const struct store_position *at, uint64_t *delivered, struct error *err)
{
    struct sink_stored stored = {.delivered = *delivered, .origin = at->origin};
    struct sink_recovery r = {0};
    arena_init(&r.arena);
    int rc = ops->recover(sink, &stored, &r, err);
    if (rc == RESULT_DONE && r.delivered > *delivered && r.keys_count > 0) {
        rc = error_set(
            err, ERROR_CONFIG, "position",
            "pipeline %s was interrupted after a batch was in place and before its rows were marked; run it once (`commitrelay run ... --until-idle`), which marks them, then set the position",
            c->p->name);
    } else if (rc == RESULT_DONE && r.delivered > *delivered) {
        *delivered = r.delivered;
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
    if (!(ops->caps & SINK_COMMITS)) {
        return save_and_wait(s, buf_slice(&c->target), delivered, err);
    }
    struct sink_env env;
    void *sink = NULL;
    size_t max_event;
    plugin_env_sink(&env, c->p, c->source.route);
    int rc = ops->open(c->p->sink_conf, &env, &sink, &max_event, err);
    if (rc == RESULT_DONE) {
        rc = settle_sink(c, ops, sink, at, &delivered, err);
    }
    if (rc == RESULT_DONE) {
        rc = save_and_wait(s, buf_slice(&c->target), delivered, err);
    }
    if (rc == RESULT_DONE) {
        ops->recovered(sink);
    }
    if (sink) {
        ops->close(sink);
    }
    return rc;
}

static int apply(void *ctx, struct cli_store *s, struct store_position *at, struct error *err)
{
    return save_behind_sink(ctx, s, at, err);
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
    buf_printf(&command, "commitrelay position set -c %s --pipeline %s %s --yes", c->config->file,
               c->p->name, position);
    columns_command(&out, 4, buf_slice(&command));
    return cli_show(buf_slice(&out));
}

static int set(struct command *c, const char *position)
{
    struct error err = {0};
    CLEANUP(buf_release) struct buf out = {0};
    if (c->source.ops->position(c->source.source, position, &c->target, &err)) {
        return cli_fail(&err);
    }
    if (!c->yes) {
        return print_change(c, position);
    }
    add_position(&out, "before", c->source.ops, buf_slice(&c->at.cursor), NULL);
    add_position(&out, "after", c->source.ops, buf_slice(&c->target), position);
    struct order o = {.command = STORE_SET_POSITION,
                      .argument = position,
                      .apply = apply,
                      .ctx = c,
                      .done = "position set (no daemon runs it now)"};
    int rc = cli_show(buf_slice(&out));
    return rc ? rc : order_give(&o, &c->store, &c->relay);
}

/* --- both --- */

static int check_words(const struct command *c, const struct args_rest *rest)
{
    static const char *const verbs[] = {"show", "set"};
    const char *verb = rest->count ? rest->items[0] : NULL;
    if (!verb) {
        return args_mistake(&cli_position, "say show or set");
    }
    if (strcmp(verb, "history") == 0) {
        return args_mistake(&cli_position, "history is not in this version");
    }
    bool is_set = strcmp(verb, "set") == 0;
    if (!is_set && strcmp(verb, "show") != 0) {
        CLEANUP(buf_release) struct buf hint = {0};
        suggest_add(&hint, slice_from(verb), "say", verbs, 2);
        return args_mistake(&cli_position, "unknown word \"%s\"%s", verb, buf_str(&hint));
    }
    if (rest->count > (is_set ? 2u : 1u)) {
        return args_mistake(&cli_position, "\"%s\" is one word too many",
                            rest->items[is_set ? 2 : 1]);
    }
    if (is_set && rest->count < 2) {
        return args_mistake(&cli_position, "set needs a position: beginning, now or an event's");
    }
    if (is_set && c->json) {
        return args_mistake(&cli_position, "--json goes with show");
    }
    if (!is_set && c->yes) {
        return args_mistake(&cli_position, "--yes goes with set");
    }
    return 0;
}

static int run(int argc, char **argv)
{
    CLEANUP(release) struct command c = {0};
    const struct args_option options[] = {
        {"config", 'c', ARGS_TEXT, &c.file, "FILE", ARGS_CONFIG_HELP, 0, 0},
        {"pipeline", 0, ARGS_TEXT, &c.name, "NAME",
         "which pipeline; may be left out if it is the only one", 0, 0},
        {"yes", 0, ARGS_FLAG, &c.yes, NULL, "set: do it", 0, 0},
        {"json", 0, ARGS_FLAG, &c.json, NULL, "show: for programs", 0, 0},
        ARGS_END};
    struct args_rest rest;
    struct error err = {0};
    int rc;
    if (!args_parse(&cli_position, options, argc, argv, &rest, &rc)) {
        return rc;
    }
    rc = check_words(&c, &rest);
    rc = rc ? rc : cli_load(c.file, &c.config);
    rc = rc ? rc : cli_pick(c.config, c.name, &c.p);
    rc = rc ? rc : find_relay(&c.relay, c.config);
    rc = rc ? rc : cli_store_open(&c.store, c.config, c.p);
    if (rc) {
        return rc;
    }
    if (cli_source_open(&c.source, c.p, 0, -1, &err)) {
        return cli_fail(&err);
    }
    c.source.env.observe = false; /* what it answers is for the relay, not for looking */
    if (found_observe(&c.relay, &c.store, &c.at, &err)) {
        return cli_fail(&err);
    }
    return rest.count == 2 ? set(&c, rest.items[1]) : show(&c);
}

const struct cli_command cli_position = {
    .name = "position",
    .summary = "look at the stored cursor of a pipeline, or move it",
    .usage = "show [-c FILE] --pipeline NAME [--json]\n"
             "set [-c FILE] --pipeline NAME (beginning|now|POSITION) [--yes]",
    .about =
        "set: events after POSITION are sent next. Without --yes it says what would change "
        "and changes\nnothing. A running daemon is asked and obeys once all it has in flight "
        "is settled; without one\nthe command takes the pipeline's lock and does it itself.\n"
        "POSITION is the `position` of an event: a number, or of a change stream LSN:ordinal "
        "or an LSN;\n`beginning` of a change stream is where its slot stands.\n\n"
        "Exit codes: 0 done, or said what would change; 64 usage; 75 the daemon did not answer "
        "within 15 s\n(it will obey when it is back) or the database cannot be reached; 77 "
        "permission; 78 no such\nposition, configuration.\n\n"
        "example: commitrelay position set -c relay.yaml --pipeline orders beginning --yes",
    .run = run,
};
