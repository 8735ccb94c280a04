/* `check`: reports what would stop a relay, and how to correct it, without starting one. Without
 * --connect only the file is judged; with it source, store and sink, and what a consumer reads and
 * changes, are looked at as well. */
#include "cli/kit/args.h"
#include "cli/kit/find_relay.h"
#include "cli/kit/findings.h"
#include "cli/kit/source_open.h"
#include "consume/consumer.h"
#include "daemon/assembly.h"
#include "daemon/membership.h"
#include "daemon/registry.h"
#include "pipeline/formats.h"
#include "pipeline/pipeline.h"
#include "pipeline/plugin_env.h"

/* Makes the pipeline as `run` would, which checks everything that can be checked without I/O. */
static bool check_settings(struct findings *f, const struct config *c, size_t index)
{
    const struct conf_pipeline *p = &c->pipelines[index];
    CLEANUP(buf_release) struct buf url = {0};
    struct metrics metrics;
    struct pipeline *made = NULL;
    struct error err = {0};
    metrics_init(&metrics);
    struct pipeline_parts parts;
    assembly_parts(&parts, &url, c, p);
    parts.metrics = &metrics;
    if (assembly_check_clash(c, index, &err) || pipeline_new(&parts, &made, &err)) {
        findings_error(f, "settings", &err);
        return false;
    }
    pipeline_free(made);
    findings_ok(f, "settings");
    return true;
}

/* What the store holds. It is read once, because the source's check needs the stored cursor too. */
struct stored {
    const char *part; /* of a divided pipeline the first shard: all are alike */
    struct cli_store store;
    struct store_position at;
    struct error err; /* set if not known */
    bool known;
};

static void look_into_store(struct stored *ret, const struct config *c,
                            const struct conf_pipeline *p)
{
    ret->known = !cli_store_open_part(&ret->store, c, p, ret->part) &&
                 !ret->store.ops->observe(ret->store.store, &ret->at, &ret->err);
}

static void stored_release(struct stored *s)
{
    buf_release(&s->at.cursor);
    cli_store_release(&s->store);
}

/* *ret_oldest_us: the timestamp that the first message would have, 0 if not known. */
static void check_source(struct findings *f, const struct conf_pipeline *p,
                         const struct stored *stored, int64_t *ret_oldest_us)
{
    struct source_lag lag = {.oldest_us = TIME_NONE};
    *ret_oldest_us = 0;
    const struct slice cursor = buf_slice(&stored->at.cursor);
    CLEANUP(cli_source_release) struct cli_source s = {0};
    struct error err = {0};
    size_t before = f->faults;
    int rc = cli_source_open(&s, p, 0, -1, &err);
    s.env.stored = stored->known ? &cursor : NULL;
    s.env.store.part = stored->part;
    if (rc || (s.ops->check && s.ops->check(s.source, findings_report, f, &err))) {
        findings_error(f, "source", &err);
    } else if (f->faults == before) {
        findings_ok(f, s.ops->check ? "source" : "source (has nothing to look at)");
    }
    if (!rc && s.ops->lag && p->route.timestamp == CONF_TIMESTAMP_CREATED_AT) {
        s.ops->lag(s.source, &lag);
        *ret_oldest_us = lag.oldest_us == TIME_NONE ? 0 : lag.oldest_us;
    }
}

static void check_sink(struct findings *f, const struct conf_pipeline *p, int64_t oldest_us)
{
    const struct sink_ops *ops = registry_sink(p->sink->name);
    struct route *r = NULL;
    struct error err = {0};
    void *sink = NULL;
    size_t max_event, before = f->faults;
    if (formats_route_new(p, assembly_changes(p), &r, &err)) {
        findings_error(f, "route", &err);
        return;
    }
    struct sink_env env;
    plugin_env_sink(&env, p, r);
    env.route = r;
    env.oldest_us = oldest_us;
    if (ops->open(p->sink_conf, &env, &sink, &max_event, &err) ||
        (ops->check && ops->check(sink, findings_report, f, &err))) {
        findings_error(f, "sink", &err);
    } else if (f->faults == before) {
        findings_ok(f, ops->check ? "sink" : "sink (has nothing to look at)");
    }
    if (sink) {
        ops->close(sink);
    }
    route_free(r);
}

static void check_store(struct findings *f, struct stored *s)
{
    if (!s->store.store) {
        return; /* cannot happen: check_settings opened it too */
    }
    size_t before = f->faults;
    const struct store_ops *ops = s->store.ops;
    if (!s->known || (ops->check && ops->check(s->store.store, findings_report, f, &s->err))) {
        findings_error(f, "store", &s->err);
    } else if (f->faults > before) {
        /* the faults are in the findings already */
    } else if (s->at.epoch > 0) {
        findings_ok(f, s->at.locked ? "store (a relay runs it now)" : "store");
    } else {
        findings_ok(f, "store (nothing stored yet: `run` makes what is missing)");
    }
}

static void check_registry(struct findings *f, const struct conf_pipeline *p)
{
    struct error err;
    const struct schemas_conf conf = formats_registry(p);
    if (formats_encode(p).value == VALUE_JSON) {
        return;
    }
    if (schemas_look(&conf, &err)) {
        findings_error(f, "schema registry", &err);
    } else {
        findings_ok(f, "schema registry");
    }
}

/* What does not exist yet may be made by a pipeline beside it, so that is no fault. */
static void look_at_consumer(struct findings *f, const struct conf_consumer *conf)
{
    struct error from, inbox;
    bool missing;
    consumer_look(conf, &from, &inbox, &missing);
    if (from.class == ERROR_CONFIG && from.exit_code == EXIT_CODE_CONFIG) {
        error_prefix_text(&from, "from (`run` waits for it, `consume` does not)");
        findings_report(f, 0, from.text, "");
    } else if (from.class != ERROR_NONE) {
        findings_error(f, "from", &from);
    } else {
        findings_ok(f, "from");
    }
    if (inbox.class != ERROR_NONE) {
        findings_error(f, "inbox", &inbox);
    } else {
        findings_ok(f, missing ? "inbox (the consumer makes its tables, if it may)" : "inbox");
    }
}

/* Makes the consumer as `run` would. */
static void check_consumer(struct findings *f, const struct conf_consumer *conf, bool connect)
{
    struct consumer *made = NULL;
    struct error err = {0};
    f->noun = "consumer";
    f->pipeline = conf->name;
    if (consumer_new(conf, false, false, &made, &err)) {
        findings_error(f, "settings", &err);
        return;
    }
    consumer_free(made);
    findings_ok(f, "settings");
    if (connect) {
        look_at_consumer(f, conf);
    }
}

static int run(int argc, char **argv)
{
    const char *file = NULL;
    bool connect = false;
    CLEANUP(findings_release) struct findings f = {0};
    const struct args_option options[] = {
        {"config", 'c', ARGS_TEXT, &file, "FILE", ARGS_CONFIG_HELP, 0, 0},
        {"connect", 0, ARGS_FLAG, &connect, NULL, "look at the real servers and files too", 0, 0},
        {"strict", 0, ARGS_FLAG, &f.strict, NULL, "a NOTE counts as a FAULT", 0, 0},
        ARGS_END};
    CLEANUP(cli_config_free) struct config *c = NULL;
    CLEANUP(find_relay_release) struct found_relay relay = {0};
    int exit_code;
    if (!args_parse(&cli_check, options, argc, argv, NULL, &exit_code)) {
        return exit_code;
    }
    exit_code = cli_load_all(file, &c);
    /* A running relay may keep its files in another directory; the command then goes there. */
    if (exit_code == 0 && connect) {
        exit_code = find_relay(&relay, c);
    }
    for (size_t i = 0; exit_code == 0 && i < c->pipelines_count; i++) {
        const struct conf_pipeline *p = &c->pipelines[i];
        f.pipeline = p->name;
        if (check_settings(&f, c, i) && connect) {
            char part[PART_SIZE];
            CLEANUP(stored_release) struct stored stored = {.part = part};
            int64_t oldest_us = 0;
            part_text((struct part){0, membership_shards(p)}, part);
            look_into_store(&stored, c, p);
            check_source(&f, p, &stored, &oldest_us);
            check_store(&f, &stored);
            check_sink(&f, p, oldest_us);
            check_registry(&f, p);
        }
        exit_code = cli_print(buf_slice(&f.out));
        buf_clear(&f.out);
    }
    for (size_t i = 0; exit_code == 0 && i < c->consumers_count; i++) {
        check_consumer(&f, &c->consumers[i], connect);
        exit_code = cli_print(buf_slice(&f.out));
        buf_clear(&f.out);
    }
    return exit_code ? exit_code : f.exit_code;
}

const struct cli_command cli_check = {
    .name = "check",
    .summary = "validate a configuration, and with --connect what it needs",
    .usage = "[-c FILE] [--connect] [--strict]",
    .about =
        "Prints a line for everything that was looked at: OK, NOTE or FAULT, and below a fault "
        "the\n"
        "statement that mends it; of a file that cannot be read every mistake. Nothing is changed, "
        "no event is read, no lock is taken.\n"
        "--strict is for a deployment that shall not begin with an open question: what is only a "
        "NOTE\notherwise is a FAULT then.\n\n"
        "Exit codes: 0 no fault; else that of the first fault: 78 configuration, table or topic,\n"
        "77 permission or authentication, 75 a server cannot be reached now, 69 what is stored "
        "does\n"
        "not fit the server; 64 usage.\n\n"
        "example: commitrelay check -c relay.yaml --connect",
    .run = run,
};
