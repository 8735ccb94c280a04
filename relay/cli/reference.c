/* `reference`: prints the configuration keys, the metrics, the states and what Debezium's options
 * are here as Markdown. They come from the same tables that the program works with, so the text
 * always fits the program. */
#include "cli/kit/args.h"
#include "config/conf_debezium.h"
#include "config/conf_suggest.h"
#include "daemon/registry.h"
#include "daemon/report.h"
#include "pipeline/state.h"
#include <string.h>

static void add_config(struct buf *out)
{
    config_reference(out, registry_conf_plugins());
}

/* Without a heading a part is printed only when it is asked for. */
static const struct {
    const char *name, *heading;
    void (*add)(struct buf *out);
} parts[] = {
    {"config", "", add_config},
    {"metrics", "# Metrics\n\n", report_metrics_reference},
    {"states", "# States of a pipeline\n\n", pipeline_state_reference},
    {"debezium", NULL, debezium_reference},
};

enum { PARTS = sizeof parts / sizeof *parts };

static int add_part(struct buf *out, const char *name)
{
    const char *names[PARTS];
    for (size_t i = 0; i < PARTS; i++) {
        names[i] = parts[i].name;
        if (strcmp(name, parts[i].name) == 0) {
            parts[i].add(out);
            return 0;
        }
    }
    CLEANUP(buf_release) struct buf hint = {0};
    suggest_add(&hint, slice_from(name), "the parts are", names, PARTS);
    return args_mistake(&cli_reference, "no part \"%s\"%s", name, buf_str(&hint));
}

static int run(int argc, char **argv)
{
    const struct args_option options[] = {ARGS_END};
    struct args_rest rest;
    int exit_code;
    if (!args_parse(&cli_reference, options, argc, argv, &rest, &exit_code)) {
        return exit_code;
    }
    if (rest.count > 1) {
        return args_mistake(&cli_reference, "\"%s\" is one word too many", rest.items[1]);
    }
    CLEANUP(buf_release) struct buf out = {0};
    if (rest.count == 1) {
        exit_code = add_part(&out, rest.items[0]);
        return exit_code ? exit_code : cli_print(buf_slice(&out));
    }
    for (size_t i = 0; i < PARTS && parts[i].heading; i++) {
        buf_printf(&out, "%s%s", i ? "\n" : "", parts[i].heading);
        parts[i].add(&out);
    }
    return cli_print(buf_slice(&out));
}

const struct cli_command cli_reference = {
    .name = "reference",
    .summary = "configuration keys, metrics, states and Debezium's options, as Markdown",
    .usage = "[config|metrics|states|debezium]",
    .run = run,
};
