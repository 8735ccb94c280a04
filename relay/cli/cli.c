/* Finds the command that was typed and runs it. An unknown one is refused, with the nearest name.
 */
#include "cli/cli.h"

#include "cli/commands.h"
#include "config/conf_suggest.h"
#include <string.h>

static const struct cli_command *const commands[] = {
#define COMMAND(id) &cli_##id,
#define LATER(name)
#include "cli/commands.def"
#undef COMMAND
#undef LATER
};

static const char *const later[] = {
#define COMMAND(id)
#define LATER(name) name,
#include "cli/commands.def"
#undef COMMAND
#undef LATER
};

enum {
    COMMANDS = sizeof commands / sizeof commands[0],
    LATERS = sizeof later / sizeof *later,
};

static int help(void)
{
    CLEANUP(buf_release) struct buf out = {0};
    buf_add_str(&out, "commitrelay relays what a database has committed: to Kafka, RabbitMQ, "
                      "ActiveMQ (AMQP 1.0),\nRedis streams, NATS JetStream, HTTP webhooks, batch "
                      "files and stdout.\n\nusage: commitrelay COMMAND [OPTION]...\n\n");
    for (size_t i = 0; i < COMMANDS; i++) {
        buf_printf(&out, "  %-15s %s\n", commands[i]->name, commands[i]->summary);
    }
    buf_add_str(&out, "\n`commitrelay COMMAND --help` shows the options of a command.\n");
    return cli_print(buf_slice(&out));
}

static int unknown(const char *word)
{
    CLEANUP(buf_release) struct buf hint = {0};
    const char *names[COMMANDS];
    for (size_t i = 0; i < LATERS; i++) {
        if (strcmp(word, later[i]) == 0) {
            return cli_error(EXIT_CODE_USAGE, "the command %s is not in this version", word);
        }
    }
    for (size_t i = 0; i < COMMANDS; i++) {
        names[i] = commands[i]->name;
    }
    suggest_add(&hint, slice_from(word), "the commands are", names, COMMANDS);
    return cli_error(EXIT_CODE_USAGE,
                     "unknown command \"%s\"%s (`commitrelay --help` explains them)", word,
                     buf_str(&hint));
}

int cli_main(int argc, char **argv)
{
    if (argc < 2) {
        return cli_error(EXIT_CODE_USAGE, "no command given; see `commitrelay --help`");
    }
    const char *word = argv[1];
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0) {
        return help();
    }
    if (strcmp(word, "--version") == 0) {
        word = "version";
    }
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(word, commands[i]->name) == 0) {
            return commands[i]->run(argc - 1, argv + 1);
        }
    }
    return unknown(word);
}
