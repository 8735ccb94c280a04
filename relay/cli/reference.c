/* `reference`: prints the configuration keys, the metrics, the states and what Debezium's options
 * are here as Markdown, the man pages, and the completion of shells. They come from the same tables
 * that the program works with, so the text always fits the program. */
#include "cli/completion.h"
#include "cli/kit/args.h"
#include "cli/man_page.h"
#include "config/conf_debezium.h"
#include "config/conf_suggest.h"
#include "daemon/registry.h"
#include "daemon/report.h"
#include "pipeline/state.h"
#include <string.h>

static const struct cli_command *const commands[] = {
#define COMMAND(id) &cli_##id,
#define LATER(name)
#include "cli/commands.def"
#undef COMMAND
#undef LATER
};

enum { COMMANDS = sizeof commands / sizeof *commands };

static void add_config(struct buf *out)
{
    config_reference(out, registry_conf_plugins());
}

static void add_commands_page(struct buf *out)
{
    man_page_commands(out, commands, COMMANDS);
}

static void add_bash(struct buf *out)
{
    completion_bash(out, commands, COMMANDS);
}

static void add_zsh(struct buf *out)
{
    completion_zsh(out, commands, COMMANDS);
}

static void add_fish(struct buf *out)
{
    completion_fish(out, commands, COMMANDS);
}

/* Without a heading a part is printed only when it is asked for; one with `second` is asked for by
 * two words. */
static const struct reference_part {
    const char *name, *second, *heading;
    void (*add)(struct buf *out);
} parts[] = {
    {"config", NULL, "", add_config},
    {"metrics", NULL, "# Metrics\n\n", report_metrics_reference},
    {"states", NULL, "# States of a pipeline\n\n", pipeline_state_reference},
    {"debezium", NULL, NULL, debezium_reference},
    {"man", "commitrelay.1", NULL, add_commands_page},
    {"man", "commitrelay.yaml.5", NULL, man_page_config},
    {"completion", "bash", NULL, add_bash},
    {"completion", "zsh", NULL, add_zsh},
    {"completion", "fish", NULL, add_fish},
};

enum { PARTS = sizeof parts / sizeof *parts };

/* No part has these words: says which there are. */
static int no_part(const char *first, const char *second)
{
    const char *names[PARTS] = {NULL}, *seconds[PARTS] = {NULL};
    size_t n = 0, m = 0;
    for (size_t i = 0; i < PARTS; i++) {
        if (n == 0 || strcmp(names[n - 1], parts[i].name) != 0) {
            names[n++] = parts[i].name;
        }
        if (strcmp(first, parts[i].name) == 0) {
            seconds[m++] = parts[i].second;
        }
    }
    CLEANUP(buf_release) struct buf hint = {0};
    if (m == 0) {
        suggest_add(&hint, slice_from(first), "the parts are", names, n);
        return args_mistake(&cli_reference, "no part \"%s\"%s", first, buf_str(&hint));
    }
    if (!seconds[0]) {
        return args_mistake(&cli_reference, "\"%s\" is one word too many", second);
    }
    suggest_add(&hint, slice_from(second), "there are", seconds, m);
    return args_mistake(&cli_reference, "no %s \"%s\"%s", first, second, buf_str(&hint));
}

static int print_part(const char *first, const char *second)
{
    CLEANUP(buf_release) struct buf out = {0};
    for (size_t i = 0; i < PARTS; i++) {
        const char *wanted = parts[i].second ? parts[i].second : "";
        if (strcmp(first, parts[i].name) == 0 && strcmp(second, wanted) == 0) {
            parts[i].add(&out);
            return cli_print(buf_slice(&out));
        }
    }
    return no_part(first, second);
}

static int print_markdown(void)
{
    CLEANUP(buf_release) struct buf out = {0};
    for (size_t i = 0; i < PARTS; i++) {
        if (parts[i].heading) {
            buf_printf(&out, "%s%s", i ? "\n" : "", parts[i].heading);
            parts[i].add(&out);
        }
    }
    return cli_print(buf_slice(&out));
}

static int run(int argc, char **argv)
{
    const struct args_option options[] = {ARGS_END};
    struct args_rest rest;
    int exit_code;
    if (!args_parse(&cli_reference, options, argc, argv, &rest, &exit_code)) {
        return exit_code;
    }
    if (rest.count > 2) {
        return args_mistake(&cli_reference, "\"%s\" is one word too many", rest.items[2]);
    }
    return rest.count == 0 ? print_markdown()
                           : print_part(rest.items[0], rest.count == 2 ? rest.items[1] : "");
}

const struct cli_command cli_reference = {
    .name = "reference",
    .summary = "keys, metrics and states as Markdown, man pages, completion of shells",
    .usage = "[config|metrics|states|debezium]\n"
             "man commitrelay.1|commitrelay.yaml.5\n"
             "completion bash|zsh|fish",
    .run = run,
};
