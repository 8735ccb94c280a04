/* `consume`: runs one consumer of a configuration file, or one that the command line describes. */
#include "base/log.h"
#include "cli/kit/args.h"
#include "config/conf_quote.h"
#include "consume/consumer.h"
#include "consume/from/from.h"
#include "daemon/registry.h"
#include "db/pg.h"
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

struct consume_args {
    const char *file, *from, *group, *inbox, *name, *into, *call, *format, *poison;
    int64_t workers;
    bool exec, until_idle;
    struct args_rest rest;
};

/* --- without a file --- */

static void add_key(struct buf *out, const char *key, const char *text)
{
    if (text) {
        buf_printf(out, ", %s: ", key);
        conf_quote(out, text);
    }
}

static int add_from(const char *url, struct buf *out)
{
    for (const struct from_ops *const *f = from_all(); *f; f++) {
        if ((*f)->from_url(url, out)) {
            return 0;
        }
    }
    return args_mistake(
        &cli_consume, "--from \"%s\" is none of kafka://HOST:PORT/TOPIC[,TOPIC] and file:DIR", url);
}

static void add_command(const struct args_rest *rest, struct buf *out)
{
    buf_add_str(out, "exec: [");
    for (size_t i = 0; i < rest->count; i++) {
        buf_add_str(out, i ? ", " : "");
        conf_quote(out, rest->items[i]);
    }
    buf_add_char(out, ']');
}

static void add_apply(const struct consume_args *a, struct buf *out)
{
    buf_add_str(out, ", apply: {");
    if (a->exec) {
        add_command(&a->rest, out);
    } else {
        buf_add_str(out, a->into ? "into: " : "call: ");
        conf_quote(out, a->into ? a->into : a->call);
    }
    buf_add_char(out, '}');
}

static int check_words(const struct consume_args *a)
{
    if (!a->inbox || !a->name) {
        return args_mistake(&cli_consume, "--from needs --inbox URL and --consumer NAME, too");
    }
    if (!!a->into + !!a->call + a->exec != 1) {
        return args_mistake(&cli_consume, "give one of --into TABLE, --call FUNCTION and --exec -- "
                                          "PROGRAM ARG...");
    }
    if (a->exec && a->rest.count == 0) {
        return args_mistake(&cli_consume, "--exec: the program is missing behind --");
    }
    if (!a->exec && a->rest.count > 0) {
        return args_mistake(&cli_consume, "\"%s\" is one word too many", a->rest.items[0]);
    }
    return 0;
}

/* Every user of the machine can read a command line. */
static int check_password(const char *url)
{
    struct error err = {0};
    bool has = false;
    if (pg_url(url) && pg_has_password(url, &has, &err)) {
        return args_mistake(&cli_consume, "--inbox: %s", err.text);
    }
    return has ? args_mistake(&cli_consume,
                              "--inbox holds a password, which other users can read there; put it "
                              "into PGPASSFILE, a service file or a configuration (-c FILE)")
               : 0;
}

static int load_words(const struct consume_args *a, struct config **ret)
{
    CLEANUP(buf_release) struct buf yaml = {0};
    struct error err = {0};
    int rc = check_words(a);
    rc = rc ? rc : check_password(a->inbox);
    if (rc) {
        return rc;
    }
    buf_add_str(&yaml, "consumers:\n  - {name: ");
    conf_quote(&yaml, a->name);
    buf_add_str(&yaml, ", from: ");
    rc = add_from(a->from, &yaml);
    if (rc) {
        return rc;
    }
    buf_add_str(&yaml, ", inbox: {url: ");
    conf_quote(&yaml, a->inbox);
    buf_add_char(&yaml, '}');
    add_apply(a, &yaml);
    add_key(&yaml, "group", a->group);
    add_key(&yaml, "format", a->format);
    add_key(&yaml, "poison", a->poison);
    buf_printf(&yaml, ", workers: %" PRId64 "}\n", a->workers);
    if (config_parse("command line", buf_slice(&yaml), registry_conf_plugins(), ret, &err)) {
        return cli_fail(&err);
    }
    return 0;
}

/* --- of a file --- */

static int load_file(const struct consume_args *a, struct config **ret)
{
    if (a->inbox || a->name || a->into || a->call || a->exec || a->format || a->poison ||
        a->group) {
        return args_mistake(&cli_consume, "either -c FILE, or --from and what belongs to it; not "
                                          "both");
    }
    if (a->rest.count > 1) {
        return args_mistake(&cli_consume, "\"%s\" is one word too many", a->rest.items[1]);
    }
    return cli_load(a->file, ret);
}

/* --- running --- */

/* Waits for signals: the first one asks the consumer to stop, the second one ends the process. */
static void *watch_signals(void *consumer)
{
    sigset_t both;
    int number;
    sigemptyset(&both);
    sigaddset(&both, SIGINT);
    sigaddset(&both, SIGTERM);
    sigwait(&both, &number);
    log_write(LOG_INFO, NULL, "%s: stopping", number == SIGINT ? "SIGINT" : "SIGTERM");
    consumer_request_stop(consumer);
    sigwait(&both, &number);
    log_write(LOG_WARN, NULL, "second signal: ending at once");
    _exit(EXIT_CODE_SECOND_SIGNAL);
}

static int run_it(const struct conf_consumer *conf, bool until_idle)
{
    struct consumer *c = NULL;
    struct consumer_status status;
    struct error err = {0};
    sigset_t both;
    pthread_t watcher;
    sigemptyset(&both);
    sigaddset(&both, SIGINT);
    sigaddset(&both, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &both, NULL); /* before any thread exists, which inherits it */
    if (consumer_new(conf, until_idle, false, &c, &err)) {
        return cli_fail(&err);
    }
    if (pthread_create(&watcher, NULL, watch_signals, c)) {
        consumer_free(c);
        return cli_error(EXIT_CODE_BUG,
                         "no thread can be started; raise the limits of the process");
    }
    int rc = consumer_run(c);
    consumer_status(c, &status);
    log_write(LOG_INFO, conf->name,
              "applied %" PRId64 ", passed over as applied before %" PRId64
              ", dead letters %" PRId64 ", put behind one %" PRId64 ", steps back %" PRId64,
              status.applied, status.seen, status.buried, status.waiting, status.steps_back);
    pthread_cancel(watcher);
    pthread_join(watcher, NULL);
    consumer_free(c);
    return rc;
}

static int run(int argc, char **argv)
{
    struct consume_args a = {.workers = 1};
    CLEANUP(cli_config_free) struct config *config = NULL;
    const struct conf_consumer *conf = NULL;
    const struct args_option options[] = {
        {"config", 'c', ARGS_TEXT, &a.file, "FILE", ARGS_CONFIG_HELP, 0, 0},
        {"from", 0, ARGS_TEXT, &a.from, "URL",
         "without a file: kafka://HOST:PORT[,HOST:PORT]/TOPIC[,TOPIC] or file:DIR", 0, 0},
        {"group", 0, ARGS_TEXT, &a.group, "G", "the Kafka consumer group (default: --consumer)", 0,
         0},
        {"inbox", 0, ARGS_TEXT, &a.inbox, "URL",
         "the database with the inbox: postgresql://..., a libpq conninfo string or sqlite:PATH", 0,
         0},
        {"consumer", 0, ARGS_TEXT, &a.name, "NAME", "the consumer's name in the inbox", 0, 0},
        {"into", 0, ARGS_TEXT, &a.into, "TABLE", "insert, update and delete rows of this table", 0,
         0},
        {"call", 0, ARGS_TEXT, &a.call, "FUNCTION", "call this function(jsonb) (PostgreSQL)", 0, 0},
        {"exec", 0, ARGS_FLAG, &a.exec, NULL,
         "run the program behind -- for each event, which it reads from stdin", 0, 0},
        {"format", 0, ARGS_TEXT, &a.format, "json|flat|debezium|payload",
         "what an event is; default json", 0, 0},
        {"workers", 0, ARGS_INT, &a.workers, "N", "keys that are applied at the same time", 1, 32},
        {"poison", 0, ARGS_TEXT, &a.poison, "stop|skip|park_key",
         "what an event does that can never be applied; default stop", 0, 0},
        {"until-idle", 0, ARGS_FLAG, &a.until_idle, NULL,
         "end with 0 when all that is there is applied", 0, 0},
        ARGS_END};
    int rc;
    if (!args_parse(&cli_consume, options, argc, argv, &a.rest, &rc)) {
        return rc;
    }
    if (!a.from && !a.file && !cli_default_file()) {
        return args_mistake(&cli_consume, "give -c FILE, or --from URL and what belongs to it");
    }
    if (a.from && a.file) {
        return args_mistake(&cli_consume, "either -c FILE or --from; not both");
    }
    rc = a.from ? load_words(&a, &config) : load_file(&a, &config);
    if (!config) {
        return rc;
    }
    rc = cli_pick_consumer(config, !a.from && a.rest.count ? a.rest.items[0] : NULL, &conf);
    if (!conf) {
        return rc;
    }
    log_configure((enum log_level)config->log.level, (enum log_format)config->log.format);
    return run_it(conf, a.until_idle);
}

const struct cli_command cli_consume = {
    .name = "consume",
    .summary = "apply events to a database or program, each once",
    .usage =
        "[-c FILE] [NAME] [--until-idle]\n"
        "--from URL [--group G] --inbox URL --consumer NAME --into TABLE [--until-idle]\n"
        "--from URL [--group G] --inbox URL --consumer NAME --call FUNCTION [--until-idle]\n"
        "--from URL [--group G] --inbox URL --consumer NAME --exec [--until-idle] -- PROGRAM ARG...",
    .about =
        "Takes events from Kafka or from batch files and applies each once: the event is claimed "
        "in the\ninbox and applied in one transaction, so a crash or an event that comes twice "
        "changes nothing.\nThe inbox and the consumer's own tables are made if they are "
        "missing.\n\n"
        "Exit codes: 0 stopped in good order, or idle with --until-idle; 64 usage; 69 events are "
        "missing;\n75 gave up (--until-idle); 77 permission; 78 configuration or table; 130 a "
        "second signal.\n\n"
        "example: commitrelay consume --from file:/var/spool/orders --inbox "
        "postgresql://app@localhost/shop\n--consumer billing --into public.orders",
    .run = run,
};
