/* `dead-letters`: shows the events that could not be delivered, with all that is known of them. */
#include "cli/kit/args.h"
#include "cli/kit/find_relay.h"
#include "cli/kit/json_text.h"

#include "base/clock.h"
#include "base/shown.h"
#include "base/utf8.h"
#include "config/conf_suggest.h"
#include "value/base64.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct show {
    bool json, full;
    json_t *list;
    struct buf out;
    size_t count;
};

static void release(struct show *s)
{
    json_decref(s->list);
    buf_release(&s->out);
}

static json_t *letter_json(const struct store_dead_letter *d, bool full)
{
    json_t *j = json_object();
    json_object_set_new(j, "id", json_integer(d->id));
    json_object_set_new(j, "event_id", json_text(d->event_id));
    json_object_set_new(j, "position", json_text(d->position));
    json_object_set_new(j, "topic", json_text(d->topic));
    json_set_bytes(j, "key", d->key);
    json_object_set_new(j, "attempts", json_integer(d->attempts));
    json_object_set_new(j, "reason", json_text(d->reason));
    json_object_set_new(j, "code", json_text(d->code));
    json_object_set_new(j, "first_failed_at", json_time(d->first_failed_us));
    json_object_set_new(j, "last_failed_at", json_time(d->last_failed_us));
    json_object_set_new(j, "state", json_string(d->state));
    if (full) {
        json_t *headers = slice_is_null(d->headers)
                              ? NULL
                              : json_loadb(d->headers.ptr, d->headers.len, JSON_DECODE_ANY, NULL);
        json_object_set_new(j, "headers", headers ? headers : json_text(d->headers));
        json_set_bytes(j, "payload", d->payload);
        json_object_set_new(j, "payload_kind", json_text(d->payload_kind));
        json_object_set_new(j, "aggregatetype", json_text(d->aggregatetype));
        json_object_set_new(j, "aggregateid", json_text(d->aggregateid));
        json_object_set_new(j, "type", json_text(d->type));
        json_object_set_new(j, "created_at", json_text(d->created_at));
    }
    return j;
}

static const char *time_text(int64_t us, char out[CLOCK_RFC3339_SIZE])
{
    if (us == TIME_NONE) {
        return "-";
    }
    clock_format_rfc3339(us, out);
    return out;
}

static void add_field(struct buf *out, const char *name, struct slice text)
{
    buf_printf(out, "  %-16s", name);
    if (slice_is_null(text)) {
        buf_add_str(out, "(none)");
    } else if (utf8_valid(text)) {
        shown_escape(out, text, SHOWN_IN_LINE);
    } else {
        buf_add_str(out, "base64:");
        base64_add(out, text);
    }
    buf_add_char(out, '\n');
}

static void add_summary(struct buf *out, const struct store_dead_letter *d)
{
    char when[CLOCK_RFC3339_SIZE];
    buf_printf(out, "%lld  %s  ", (long long)d->id, time_text(d->last_failed_us, when));
    shown_escape(out, d->event_id, SHOWN_IN_LINE);
    buf_add_str(out, "  at ");
    shown_escape(out, d->position, SHOWN_IN_LINE);
    buf_printf(out, "  %lld %s  ", (long long)d->attempts,
               d->attempts == 1 ? "attempt" : "attempts");
    shown_add(out, d->reason, SHOWN_IN_LINE);
    buf_add_char(out, '\n');
}

static void add_full(struct buf *out, const struct store_dead_letter *d)
{
    char when[CLOCK_RFC3339_SIZE];
    buf_printf(out, "dead letter %lld\n", (long long)d->id);
    add_field(out, "event id", d->event_id);
    add_field(out, "position", d->position);
    add_field(out, "topic", d->topic);
    add_field(out, "key", d->key);
    buf_printf(out, "  %-16s%lld\n", "attempts", (long long)d->attempts);
    add_field(out, "first failed", slice_from(time_text(d->first_failed_us, when)));
    add_field(out, "last failed", slice_from(time_text(d->last_failed_us, when)));
    add_field(out, "reason", d->reason);
    add_field(out, "code", d->code);
    add_field(out, "aggregatetype", d->aggregatetype);
    add_field(out, "aggregateid", d->aggregateid);
    add_field(out, "type", d->type);
    add_field(out, "created at", d->created_at);
    add_field(out, "headers", d->headers);
    add_field(out, "payload", d->payload);
}

static int each(void *ctx, const struct store_dead_letter *d)
{
    struct show *s = ctx;
    s->count++;
    if (s->json) {
        json_array_append_new(s->list, letter_json(d, s->full));
    } else if (s->full) {
        add_full(&s->out, d);
    } else {
        add_summary(&s->out, d);
    }
    return RESULT_DONE;
}

static int take_id(const char *text, int64_t *ret)
{
    char *end;
    errno = 0;
    long long id = strtoll(text, &end, 10);
    if (errno || *end || end == text || id <= 0) {
        return args_mistake(&cli_dead_letters,
                            "\"%s\" is no dead letter's number; `dead-letters list` shows them",
                            text);
    }
    *ret = id;
    return 0;
}

/* On stderr, because each line on stdout is one event of the list. */
static int look_at_store(const struct cli_store *s, const struct found_relay *f)
{
    struct store_position at = {0};
    struct error err = {0};
    if (found_observe(f, s, &at, &err)) {
        return cli_fail(&err);
    }
    buf_release(&at.cursor);
    fprintf(stderr, "store: %s%s\n", buf_str(&s->shown), at.absent ? " (nothing there yet)" : "");
    return 0;
}

static int collect(struct show *show, struct cli_store *s, char *const *ids, size_t n)
{
    struct error err = {0};
    if (n == 0) {
        return s->ops->dead_letter_list(s->store, 0, each, show, &err) ? cli_fail(&err) : 0;
    }
    for (size_t i = 0; i < n; i++) {
        int64_t id = 0;
        size_t before = show->count;
        int rc = take_id(ids[i], &id);
        if (rc) {
            return rc;
        }
        if (s->ops->dead_letter_list(s->store, id, each, show, &err)) {
            return cli_fail(&err);
        }
        if (show->count == before) {
            return cli_error(EXIT_CODE_USAGE,
                             "pipeline %s has no dead letter %s; `dead-letters list` shows them",
                             s->env.pipeline, ids[i]);
        }
    }
    return 0;
}

static int print(struct show *s, const char *pipeline, const char *store)
{
    if (s->json) {
        json_t *all = json_object();
        json_object_set_new(all, "pipeline", json_string(pipeline));
        json_object_set_new(all, "store", json_string(store));
        json_object_set(all, "dead_letters", s->list);
        return json_print(all);
    }
    if (s->count == 0) {
        buf_printf(&s->out, "pipeline %s has no dead letters\n", pipeline);
    }
    return cli_show(buf_slice(&s->out));
}

static int refuse_verb(const char *verb)
{
    static const char *const later[] = {"retry", "drop", "edit"};
    static const char *const verbs[] = {"list", "show"};
    for (size_t i = 0; i < sizeof later / sizeof *later; i++) {
        if (verb && strcmp(verb, later[i]) == 0) {
            return args_mistake(&cli_dead_letters, "%s is not in this version", verb);
        }
    }
    CLEANUP(buf_release) struct buf hint = {0};
    suggest_add(&hint, slice_from(verb ? verb : ""), "say", verbs, 2);
    return verb ? args_mistake(&cli_dead_letters, "unknown word \"%s\"%s", verb, buf_str(&hint))
                : args_mistake(&cli_dead_letters, "say list or show");
}

static int run(int argc, char **argv)
{
    const char *file = NULL, *name = NULL;
    bool all = false;
    CLEANUP(release) struct show show = {.list = json_array()};
    const struct args_option options[] = {
        {"config", 'c', ARGS_TEXT, &file, "FILE", ARGS_CONFIG_HELP, 0, 0},
        {"pipeline", 0, ARGS_TEXT, &name, "NAME",
         "which pipeline; may be left out if it is the only one", 0, 0},
        {"all", 0, ARGS_FLAG, &all, NULL, "show: all of them", 0, 0},
        {"json", 0, ARGS_FLAG, &show.json, NULL, "for programs", 0, 0},
        ARGS_END};
    CLEANUP(cli_config_free) struct config *c = NULL;
    CLEANUP(cli_store_release) struct cli_store s = {0};
    CLEANUP(find_relay_release) struct found_relay f = {0};
    const struct conf_pipeline *p;
    struct args_rest rest;
    int rc;
    if (!args_parse(&cli_dead_letters, options, argc, argv, &rest, &rc)) {
        return rc;
    }
    const char *verb = rest.count ? rest.items[0] : NULL;
    show.full = verb && strcmp(verb, "show") == 0;
    if (!show.full && (!verb || strcmp(verb, "list") != 0)) {
        return refuse_verb(verb);
    }
    if (show.full && (rest.count > 1) == all) {
        return args_mistake(&cli_dead_letters, "show needs either IDs or --all");
    }
    if (!show.full && all && rest.count > 1) {
        return args_mistake(&cli_dead_letters, "either IDs or --all");
    }
    rc = cli_load(file, &c);
    rc = rc ? rc : cli_pick(c, name, &p);
    rc = rc ? rc : find_relay(&f, c);
    rc = rc ? rc : cli_store_open(&s, c, p);
    rc = rc ? rc : look_at_store(&s, &f);
    rc = rc ? rc : collect(&show, &s, rest.items + 1, rest.count - 1);
    return rc ? rc : print(&show, p->name, buf_str(&s.shown));
}

const struct cli_command cli_dead_letters = {
    .name = "dead-letters",
    .summary = "the events of a pipeline that could not be delivered",
    .usage = "list [-c FILE] --pipeline NAME [ID...] [--json]\n"
             "show [-c FILE] --pipeline NAME (ID...|--all) [--json]",
    .about = "list: a line each: number, time, event id, position, attempts, reason. show: all "
             "that is known,\nthe payload included (base64 if it is no UTF-8).\n\n"
             "Exit codes: 0 ok, also when there are none; 64 usage, or no dead letter of that "
             "number;\n75 the database cannot be reached; 77 permission; 78 configuration.\n\n"
             "example: commitrelay dead-letters show -c relay.yaml --pipeline orders 17",
    .run = run,
};
