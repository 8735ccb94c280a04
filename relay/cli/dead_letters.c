/* `dead-letters`: shows the events that could not be delivered, and lets an operator deal with
 * them.
 */
#include "cli/dead_letters.h"

#include "base/clock.h"
#include "base/memory.h"
#include "cli/kit/when.h"
#include "config/conf_suggest.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static void release(struct letters *c)
{
    find_relay_release(&c->relay);
    cli_config_free(&c->config);
    args_list_release(&c->headers);
    free(c->ids);
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

static int take_ids(struct letters *c, const struct args_rest *rest)
{
    c->ids = memory_need(calloc(rest->count, sizeof *c->ids));
    for (size_t i = 1; i < rest->count; i++) {
        int rc = take_id(rest->items[i], &c->ids[c->ids_count++]);
        if (rc) {
            return rc;
        }
    }
    return 0;
}

enum verb { LIST, SHOW, RETRY, DROP, EDIT, VERBS };
static const char *const verbs[] = {"list", "show", "retry", "drop", "edit"};

static int refuse_verb(const char *verb)
{
    CLEANUP(buf_release) struct buf hint = {0};
    suggest_add(&hint, slice_from(verb ? verb : ""), "say", verbs, VERBS);
    return verb ? args_mistake(&cli_dead_letters, "unknown word \"%s\"%s", verb, buf_str(&hint))
                : args_mistake(&cli_dead_letters, "say list, show, retry, drop or edit");
}

static int check_ids(const struct letters *c, enum verb verb, bool filtered)
{
    bool named = c->ids_count > 0;
    if (named && c->all) {
        return args_mistake(&cli_dead_letters, "either IDs or --all");
    }
    if (named && filtered && verb != EDIT) {
        return args_mistake(&cli_dead_letters, "either IDs or filters (--key, --type, ...)");
    }
    if (!named && !c->all && verb != LIST && verb != EDIT) {
        return args_mistake(&cli_dead_letters, "%s needs either IDs or --all", c->verb);
    }
    return verb == EDIT && (c->ids_count != 1 || c->all)
               ? args_mistake(&cli_dead_letters, "edit needs one ID")
               : 0;
}

/* Nothing is accepted that would do nothing. */
static int check_options(const struct letters *c, enum verb verb, bool since)
{
    bool edits = c->topic || c->payload_file || c->headers.count > 0;
    bool only_filters = c->type || c->reason || since;
    if (verb != EDIT && edits) {
        return args_mistake(&cli_dead_letters, "--topic, --payload-file and --header go with edit");
    }
    if (verb == EDIT && only_filters) {
        return args_mistake(&cli_dead_letters, "--type, --since and --reason do not go with edit");
    }
    if (c->yes && verb != RETRY && verb != DROP) {
        return args_mistake(&cli_dead_letters, "--yes goes with retry and drop");
    }
    if (c->json && verb != LIST && verb != SHOW) {
        return args_mistake(&cli_dead_letters, "--json goes with list and show");
    }
    if (c->consumer && (c->name || c->type || c->topic)) {
        return args_mistake(&cli_dead_letters,
                            "--pipeline, --type and --topic do not go with --consumer");
    }
    return check_ids(c, verb, only_filters || c->key);
}

static int obey(struct letters *c, enum verb verb)
{
    static letters_work *const works[] = {[LIST] = letters_list,
                                          [SHOW] = letters_show,
                                          [RETRY] = letters_retry,
                                          [DROP] = letters_drop,
                                          [EDIT] = letters_edit};
    int rc = cli_load(c->file, &c->config);
    if (!rc && c->consumer) {
        return consumer_letters(c);
    }
    rc = rc ? rc : cli_pick(c->config, c->name, &c->p);
    rc = rc ? rc : find_relay(&c->relay, c->config);
    return rc ? rc : letters_in_parts(c, works[verb]);
}

static int run(int argc, char **argv)
{
    CLEANUP(release) struct letters c = {.command = &cli_dead_letters, .since_us = TIME_NONE};
    const char *since = NULL;
    const struct args_option options[] = {
        {"config", 'c', ARGS_TEXT, &c.file, "FILE", ARGS_CONFIG_HELP, 0, 0},
        {"pipeline", 0, ARGS_TEXT, &c.name, "NAME",
         "which pipeline; may be left out if it is the only one", 0, 0},
        {"consumer", 0, ARGS_TEXT, &c.consumer, "NAME", "of this consumer, instead of a pipeline",
         0, 0},
        {"all", 0, ARGS_FLAG, &c.all, NULL,
         "retry, drop: all open ones; list, show: those that were retried or dropped as well", 0,
         0},
        {"key", 0, ARGS_TEXT, &c.key, "K", "only those with this key; edit: the new key", 0, 0},
        {"type", 0, ARGS_TEXT, &c.type, "T", "only those of this type", 0, 0},
        {"since", 0, ARGS_TEXT, &since, "1h", "only those that failed since then", 0, 0},
        {"reason", 0, ARGS_TEXT, &c.reason, "TEXT", "only those whose reason holds this", 0, 0},
        {"yes", 0, ARGS_FLAG, &c.yes, NULL, "retry, drop: do it", 0, 0},
        {"topic", 0, ARGS_TEXT, &c.topic, "T", "edit: the new topic", 0, 0},
        {"payload-file", 0, ARGS_TEXT, &c.payload_file, "F", "edit: a file with the new payload", 0,
         0},
        {"header", 0, ARGS_LIST, &c.headers, "N=V", "edit: a header and its new value", 0, 0},
        {"json", 0, ARGS_FLAG, &c.json, NULL, "list, show: for programs", 0, 0},
        ARGS_END};
    struct args_rest rest;
    int rc;
    if (!args_parse(&cli_dead_letters, options, argc, argv, &rest, &rc)) {
        return rc;
    }
    c.verb = rest.count ? rest.items[0] : NULL;
    size_t verb = 0;
    while (c.verb && verb < VERBS && strcmp(c.verb, verbs[verb]) != 0) {
        verb++;
    }
    if (!c.verb || verb == VERBS) {
        return refuse_verb(c.verb);
    }
    rc = take_ids(&c, &rest);
    rc = rc ? rc : check_options(&c, (enum verb)verb, since != NULL);
    rc = rc || !since ? rc : cli_when(&cli_dead_letters, "since", since, &c.since_us);
    return rc ? rc : obey(&c, (enum verb)verb);
}

const struct cli_command cli_dead_letters = {
    .name = "dead-letters",
    .summary = "the events that could not be delivered, or applied: look at them, send them again",
    .usage = "list [-c FILE] --pipeline NAME [ID...|--all] [FILTERS] [--json]\n"
             "show [-c FILE] --pipeline NAME (ID...|--all) [FILTERS] [--json]\n"
             "retry|drop [-c FILE] --pipeline NAME (ID...|--all [FILTERS]) [--yes]\n"
             "edit [-c FILE] --pipeline NAME ID [--topic T] [--key K] [--payload-file F] "
             "[--header N=V]...\n"
             "list|show|retry|drop|edit [-c FILE] --consumer NAME ...",
    .about =
        "list: a line each: number, time, event id, position, attempts, reason. show: all that is "
        "known,\nthe payload included (base64 if it is no UTF-8). retry sends them again, under "
        "their own ids, in\nthe order of their numbers; drop gives them up. Without --yes both say "
        "what they would do. edit\nchanges what will be sent and keeps the original beside it; "
        "without options it opens $EDITOR.\nFILTERS: --key, --type, --since, --reason. Repeating a "
        "command changes nothing.\nA running daemon is asked, and each letter is noted as sent once "
        "the sink has acknowledged it;\nwithout a daemon the command takes the pipeline's lock and "
        "does it itself, and waits\nhalf a minute for a sink that is down or busy.\n"
        "--consumer: the events that a consumer could not apply. retry applies them here, beside a "
        "consumer\nthat may run, and then what waits behind them (poison: park_key), in order.\n\n"
        "Exit codes: 0 ok, also when there are none; 64 usage, or no dead letter of that "
        "number; 74 the audit\nlog cannot be written; 75 not delivered (it stays open), the daemon "
        "did not answer within 15 s (it\nwill obey when it is back), or the database cannot be "
        "reached; 77 permission; 78 configuration.\n\n"
        "example: commitrelay dead-letters retry -c relay.yaml --pipeline orders --all --since 1h "
        "--yes",
    .run = run,
};
