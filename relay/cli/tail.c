/* `tail`: prints events as the relay would send them, without moving any position or marking any
 * row. */
#include "cli/kit/args.h"
#include "cli/kit/interrupt.h"
#include "cli/kit/quick.h"
#include "cli/kit/source_again.h"
#include "cli/kit/source_open.h"
#include "cli/kit/source_url.h"
#include "daemon/assembly.h"
#include "daemon/registry.h"
#include "message/encode.h"

enum { READ_EVENTS = 1000, READ_BYTES = 4 << 20 };

struct tail {
    const char *file, *name, *url;
    struct quick quick;
    int64_t number; /* -1: follow */

    struct config *config;
    const struct conf_pipeline *p;
    struct source_again again;
    struct source_range every;
    struct cli_source source;
    int stop_fd;
};

static void release(struct tail *t)
{
    cli_source_release(&t->source);
    source_again_release(&t->again);
    cli_config_free(&t->config);
}

/* --- where to begin --- */

/* The last events of a stream are read from its outbox table. Changes have none. */
static int open_source(struct tail *t, struct error *err)
{
    const struct conf_pipeline *reads = t->p;
    if (t->number >= 0 && !assembly_changes(t->p)) {
        if (source_again(&t->again, t->p, "tail", err)) {
            return RESULT_ERROR;
        }
        reads = &t->again.reads;
    }
    t->every = SOURCE_RANGE_ALL;
    t->every.every = true;
    bool table = registry_source(reads->source->name)->recent != NULL;
    return cli_source_open_range(&t->source, reads, table ? &t->every : NULL,
                                 (size_t)t->p->delivery.max_event_bytes, t->stop_fd, err);
}

/* Before the last N events; without a number behind all of them. */
static int begin(struct tail *t, struct error *err)
{
    CLEANUP(buf_release) struct buf cursor = {0};
    const struct cli_source *s = &t->source;
    int64_t n = t->number > 0 ? t->number : 0;
    int rc = s->ops->recent ? s->ops->recent(s->source, n, &cursor, err)
                            : s->ops->position(s->source, "now", &cursor, err);
    return rc ? rc : s->ops->start(s->source, buf_slice(&cursor), 0, err);
}

static int start(struct tail *t, struct error *err)
{
    if (!open_source(t, err) && !begin(t, err)) {
        return RESULT_DONE;
    }
    return t->again.polled && err->class == ERROR_CONFIG
               ? error_prefix(err, "-n reads the outbox table; without -n the stream is shown")
               : RESULT_ERROR;
}

/* --- printing --- */

/* Appends one event; one that could never be delivered is shown as far as possible, with a warning.
 */
static void add_event(const struct tail *t, struct buf *out, struct batch *batch, struct event *e)
{
    struct error err = {0};
    if (e->poison) {
        cli_warning("the event at position %.*s could not be delivered: %s", SLICE_FMT(e->position),
                    e->poison);
    } else if (cli_source_prepare(&t->source, batch, e, &err)) {
        cli_warning("the event at position %.*s could not be delivered: %s", SLICE_FMT(e->position),
                    err.text);
        e->topic = SLICE_NULL; /* a topic that was refused must not be printed as the event's */
    }
    if (encode_json_line(out, e, &err)) {
        cli_warning("the event at position %.*s cannot be shown: %s", SLICE_FMT(e->position),
                    err.text);
        return;
    }
    buf_add_char(out, '\n');
}

static int print_events(struct tail *t, struct batch *batch, struct error *err)
{
    CLEANUP(buf_release) struct buf out = {0};
    int64_t left = t->number < 0 ? INT64_MAX : t->number;
    bool follow = t->number < 0 || !t->source.ops->recent;
    while (left > 0 && !interrupted(t->stop_fd)) {
        batch_reset(batch);
        buf_clear(&out);
        int rc = cli_source_read(&t->source, batch, left < READ_EVENTS ? (size_t)left : READ_EVENTS,
                                 READ_BYTES, DEADLINE_NEVER, err);
        if (rc == RESULT_ERROR) {
            return cli_fail(err);
        }
        if (rc == RESULT_AGAIN || (batch->count == 0 && !follow)) {
            break; /* interrupted, or there are fewer than N */
        }
        if (batch->count == 0 && cli_source_wait(&t->source, DEADLINE_NEVER, err) < 0) {
            return cli_fail(err);
        }
        for (size_t i = 0; i < batch->count; i++) {
            add_event(t, &out, batch, &batch->events[i]);
        }
        left -= (int64_t)batch->count;
        rc = cli_print(buf_slice(&out));
        if (rc) {
            return rc;
        }
    }
    return 0;
}

static int tail(struct tail *t)
{
    struct error err = {0};
    t->stop_fd = interrupt_open();
    if (start(t, &err)) {
        return interrupted(t->stop_fd) ? 0 : cli_fail(&err);
    }
    struct batch *batch = batch_new();
    int rc = print_events(t, batch, &err);
    batch_free(batch);
    return rc;
}

/* --- what to read --- */

static int load_url(struct tail *t)
{
    CLEANUP(buf_release) struct buf yaml = {0};
    struct source_url url;
    struct error err = {0};
    int rc = source_url_take(&cli_tail, t->url, &url);
    if (!t->quick.table && !t->quick.cdc) {
        t->quick.table = "outbox";
    }
    rc = rc ? rc : quick_config(&cli_tail, &url, NULL, &t->quick, &yaml);
    if (rc) {
        return rc;
    }
    if (config_parse("command line", buf_slice(&yaml), registry_conf_sources(), &t->config, &err)) {
        return cli_fail(&err);
    }
    return 0;
}

static int load(struct tail *t)
{
    bool urls = t->url || t->quick.table || t->quick.cdc;
    if (urls && (t->file || t->name)) {
        return args_mistake(&cli_tail, "-c and --pipeline say what to read; leave --source, "
                                       "--table and --cdc out");
    }
    bool from_file =
        t->file || t->name || (!urls && !source_url_given(t->url) && cli_default_file());
    int rc = from_file ? cli_load(t->file, &t->config) : load_url(t);
    return rc ? rc : cli_pick(t->config, t->name, &t->p);
}

static int run(int argc, char **argv)
{
    CLEANUP(release) struct tail t = {.number = -1, .stop_fd = -1};
    const struct args_option options[] = {
        {"config", 'c', ARGS_TEXT, &t.file, "FILE", ARGS_CONFIG_HELP, 0, 0},
        {"pipeline", 0, ARGS_TEXT, &t.name, "NAME",
         "which pipeline; may be left out if it is the only one", 0, 0},
        {"source", 0, ARGS_TEXT, &t.url, "URL",
         "instead of -c: postgresql://..., a libpq conninfo string or sqlite:PATH; default "
         "COMMITRELAY_SOURCE",
         0, 0},
        {"table", 0, ARGS_TEXT, &t.quick.table, "T",
         "with --source: the outbox table (default outbox)", 0, 0},
        {"cdc", 0, ARGS_FLAG, &t.quick.cdc, NULL,
         "with --source: read the replication stream: with --table that outbox, without it every "
         "change of the publication",
         0, 0},
        {"number", 'n', ARGS_INT, &t.number, "N",
         "print the last N events and end; of table changes the next N", 0, 1000000000},
        ARGS_END};
    int rc;
    if (!args_parse(&cli_tail, options, argc, argv, NULL, &rc)) {
        return rc;
    }
    rc = load(&t);
    return rc ? rc : tail(&t);
}

const struct cli_command cli_tail = {
    .name = "tail",
    .summary = "print events without moving any position",
    .usage = "[-c FILE] [--pipeline NAME] [-n N]\n"
             "--source URL [--table T] [--cdc] [-n N]",
    .about =
        "Prints committed events as JSON lines: mapped, masked and routed as the pipeline does it, "
        "and changes in\nits format. -n N prints the last N and ends; without it those that are "
        "committed from now on, until it\nis interrupted. Nothing is stored, marked or locked, so a "
        "relay may run beside it.\n\n"
        "An outbox table is read in the order of seq, and delivered rows are shown too. In mode "
        "delete a row\nthat the relay has removed already is not there to be shown.\n\n"
        "A stream is read through a temporary replication slot, which goes with the command. What "
        "went by in it\ncannot be read again. So -n N of an outbox reads its table, which needs seq "
        "and xid for that, and of\ntable changes prints the next N. --cdc reads the publication "
        "commitrelay_default; changes are shown as\nflat rows. The publication must be there: CREATE "
        "PUBLICATION commitrelay_default FOR TABLE ...\n\n"
        "Exit codes: 0 ok, also when interrupted; 64 usage; 74 stdout cannot be written; 75 "
        "the database\ncannot be reached; 77 permission; 78 configuration; no such table, file or "
        "publication; or a\ntable without a number to go by.\n\n"
        "example: commitrelay tail -c relay.yaml --pipeline orders -n 5",
    .run = run,
};
